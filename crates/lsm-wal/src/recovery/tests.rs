//! Recovery: named situations, one test each. Claims are in `claims`, random histories in `histories`.

mod claims;
mod histories;

use std::convert::Infallible;
use std::io;
use std::path::Path;

use lsm_fs::{ByPath, CrashImage, Fault, FaultFs, FileSystem, Operation, SimFs};

use super::*;
use crate::error::Error;
use crate::frame::{FrameBuffer, KIND_MUST_UNDERSTAND};
use crate::log::Log;
use crate::segment::{SEGMENT_HEADER_LEN, SegmentHeader};
use crate::{segment_file_name, segment_temporary_file_name};

const DATABASE_ID: [u8; 16] = [5; 16];

pub(super) fn options(sim: &SimFs) -> LogOptions {
    LogOptions {
        dir: sim.open_dir(Path::new("/")).unwrap(),
        database_id: DATABASE_ID,
        segment_bytes_max: 2_048,
    }
}

pub(super) fn read(
    sim: &SimFs,
    bounds: &LogBounds,
) -> Result<(RecoveredLog, Vec<u64>), RecoverError<Infallible>> {
    let mut seqnos = Vec::new();
    let recovered = recover(&options(sim), bounds, &mut |record| {
        seqnos.push(record.seqno);
        Ok(())
    })?;
    Ok((recovered, seqnos))
}

fn error_of(sim: &SimFs, bounds: &LogBounds) -> Error {
    match read(sim, bounds) {
        Err(RecoverError::Log(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Appends one record with this seqno; a new segment gets the id `segment`.
fn append(log: &mut Log, seqno: u64, segment: u64) -> Position {
    let mut group = FrameBuffer::new();
    group.push(KIND_DATA, 0, seqno, |payload| {
        payload.extend_from_slice(&[7; 32])
    });
    log.append(&mut group, &mut || Ok(segment)).unwrap()
}

const UNKNOWN: LogBounds = LogBounds {
    retired_below: 0,
    floor: None,
    end: None,
    discarded_through: 0,
};

/// Segment 1 holds seqnos 1 (synced) and 2; segment 2 holds 3. The power cut takes 2, so 3 goes.
fn torn_in_an_older_segment() -> (SimFs, Position) {
    let sim = SimFs::new();
    let mut log = Log::new(options(&sim), None);
    append(&mut log, 1, 1);
    let durable = log.sync().unwrap();
    append(&mut log, 2, 1);
    log.rotate();
    append(&mut log, 3, 2);
    (sim.crash(&CrashImage::NothingUnsynced), durable)
}

#[test]
fn an_empty_directory_is_an_empty_log() {
    let (recovered, seqnos) = read(&SimFs::new(), &UNKNOWN).unwrap();
    assert!(seqnos.is_empty() && recovered.end.is_none() && recovered.chain.is_empty());
    assert_eq!(recovered.largest_segment_id, None);
}

#[test]
fn a_tail_lost_in_an_older_unsynced_segment_ends_the_log_there_and_discards_the_newer() {
    let (sim, durable) = torn_in_an_older_segment();
    let (recovered, seqnos) = read(&sim, &UNKNOWN).unwrap();
    assert_eq!(seqnos, [1]);
    assert_eq!(
        (recovered.end, recovered.durable),
        (Some(durable), Some(durable))
    );
    assert_eq!(
        (&recovered.chain[..], &recovered.obsolete[..]),
        (&[1][..], &[2][..])
    );
    assert!(!recovered.clean && !recovered.needs_rewrite());
}

#[test]
fn a_discarded_segment_that_comes_back_holds_nothing() {
    let (sim, durable) = torn_in_an_older_segment();
    let (recovered, _) = read(&sim, &UNKNOWN).unwrap();
    let bounds = recovered.bounds(&UNKNOWN, None);
    assert_eq!((bounds.end, bounds.discarded_through), (Some(durable), 2));
    for continued in [false, true] {
        let mut log = Log::new(options(&sim), recovered.end);
        if continued {
            append(&mut log, 4, 3);
        }
        let (again, seqnos) = read(&sim, &bounds).unwrap();
        assert_eq!(seqnos, if continued { vec![1, 4] } else { vec![1] });
        assert_eq!(again.obsolete, [2]);
    }
}

#[test]
fn a_torn_segment_that_is_no_longer_the_newest_is_no_damage() {
    let sim = SimFs::new();
    let mut log = Log::new(options(&sim), None);
    append(&mut log, 1, 1);
    log.sync().unwrap();
    append(&mut log, 2, 1);
    let crashed = sim.crash(&CrashImage::LengthsWithoutData);
    let (recovered, _) = read(&crashed, &UNKNOWN).unwrap();
    let mut log = Log::new(options(&crashed), recovered.end);
    append(&mut log, 5, 2);
    log.sync().unwrap();
    assert_eq!(read(&crashed, &UNKNOWN).unwrap().1, [1, 5]);
}

#[test]
fn the_tail_is_rewritten_from_the_best_claim_and_then_survives_a_power_cut() {
    let sim = SimFs::new();
    let mut log = Log::new(options(&sim), None);
    for seqno in 1..=3 {
        append(&mut log, seqno, 1);
    }
    let durable = log.sync().unwrap();
    append(&mut log, 4, 1);
    log.rotate();
    append(&mut log, 5, 2);
    let killed = sim.reopen_after_kill();
    let (recovered, seqnos) = read(&killed, &UNKNOWN).unwrap();
    assert_eq!(seqnos, [1, 2, 3, 4, 5]);
    // The claim for seqno 3 is in the record of seqno 4, whether that one is durable or not.
    assert_eq!(recovered.durable, Some(durable));
    assert_eq!(
        recovered.bounds(&UNKNOWN, None),
        UNKNOWN,
        "nothing to record before the rewrite"
    );
    let end = recovered
        .rewrite_tail(&options(&killed), 3)
        .unwrap()
        .unwrap();
    assert_eq!(recovered.superseded(), [2]);
    let lost = killed.crash(&CrashImage::NothingUnsynced);
    // Before the caller has recorded where the log ends now, the tail is only found again …
    let (again, seqnos) = read(&lost, &UNKNOWN).unwrap();
    assert_eq!(seqnos, [1, 2, 3, 4, 5]);
    assert_eq!(
        (again.end, again.durable, again.needs_rewrite()),
        (Some(end), Some(durable), true)
    );
    // … and after that it is settled.
    let bounds = recovered.bounds(&UNKNOWN, Some(end));
    let (again, seqnos) = read(&lost, &bounds).unwrap();
    assert_eq!(seqnos, [1, 2, 3, 4, 5]);
    assert_eq!(
        (again.end, again.durable, again.needs_rewrite()),
        (Some(end), Some(end), false)
    );
    assert_eq!(
        (&again.chain[..], &again.obsolete[..]),
        (&[1, 3][..], &[2][..])
    );
    // Rot in what was rewritten is damage, though nothing was appended since.
    flip(&lost, 3, SEGMENT_HEADER_LEN + 60);
    assert!(matches!(
        error_of(&lost, &bounds),
        Error::Damaged { segment: 3, .. }
    ));
}

/// A rewritten segment used to vouch for itself: its name, lost in a failed directory sync, came
/// back from the page cache, was believed, and the power cut took every acknowledged write in it.
#[test]
fn a_rewritten_segment_whose_name_was_in_memory_only_is_not_believed() {
    let sim = SimFs::new();
    append(&mut Log::new(options(&sim), None), 1, 1);
    let (recovered, _) = read(&sim, &UNKNOWN).unwrap();
    let fs = FaultFs::over_sim(sim.clone());
    fs.fail_when(
        Operation::SyncDir,
        |_| true,
        Fault::new(io::ErrorKind::Other),
    );
    let mut faulty = options(&sim);
    faulty.dir = fs.open_dir(Path::new("/")).unwrap();
    recovered.rewrite_tail(&faulty, 2).unwrap_err();
    let killed = sim.reopen_after_kill();
    let (recovered, seqnos) = read(&killed, &UNKNOWN).unwrap();
    assert_eq!((seqnos, recovered.needs_rewrite()), (vec![1], true));
    recovered.rewrite_tail(&options(&killed), 3).unwrap();
    let cut = killed.crash(&CrashImage::NothingUnsynced);
    assert_eq!(read(&cut, &UNKNOWN).unwrap().1, [1]);
}

#[test]
fn the_newest_of_two_segments_with_the_same_predecessor_wins() {
    let sim = SimFs::new();
    append(&mut Log::new(options(&sim), None), 1, 1);
    let (recovered, _) = read(&sim, &UNKNOWN).unwrap();
    recovered.rewrite_tail(&options(&sim), 2).unwrap();
    // The directory sync's answer was lost, say: it is done again.
    let end = recovered.rewrite_tail(&options(&sim), 3).unwrap();
    let (again, seqnos) = read(&sim, &UNKNOWN).unwrap();
    assert_eq!((seqnos, again.end), (vec![1], end));
    assert_eq!(
        (&again.chain[..], &again.obsolete[..]),
        (&[3][..], &[1, 2][..])
    );
}

#[test]
fn a_rewrite_does_not_detach_the_chain_from_its_floor() {
    let sim = SimFs::new();
    let mut log = Log::new(options(&sim), None);
    append(&mut log, 1, 1);
    log.sync().unwrap();
    log.rotate();
    append(&mut log, 2, 2);
    // Segment 1 was flushed and retired; no record of 2 is claimed by anything.
    let bounds = LogBounds {
        retired_below: 2,
        floor: Some(2),
        ..UNKNOWN
    };
    sim.remove_file(&Path::new("/").join(segment_file_name(1)))
        .unwrap();
    let (recovered, seqnos) = read(&sim, &bounds).unwrap();
    assert_eq!(seqnos, [2]);
    recovered.rewrite_tail(&options(&sim), 3).unwrap();
    let (again, seqnos) = read(&sim, &bounds).unwrap();
    assert_eq!((seqnos, &again.chain[..]), (vec![2], &[2, 3][..]));
}

#[test]
fn an_end_mark_in_the_page_cache_only_is_missed_by_no_one() {
    let sim = SimFs::new();
    let mut log = Log::new(options(&sim), None);
    append(&mut log, 1, 1);
    let before_mark = sim.reopen_after_kill();
    let end = log.close().unwrap();
    let (recovered, _) = read(&sim, &UNKNOWN).unwrap();
    assert!(recovered.clean);
    assert_eq!((recovered.end, recovered.needs_rewrite()), (end, false));
    append(&mut Log::new(options(&sim), recovered.end), 2, 2);
    assert_eq!(read(&sim, &UNKNOWN).unwrap().1, [1, 2]);
    assert!(!read(&before_mark, &UNKNOWN).unwrap().0.clean);
}

#[test]
fn a_bad_record_before_the_recorded_end_is_damage_even_at_a_record_boundary() {
    let sim = SimFs::new();
    let mut log = Log::new(options(&sim), None);
    let first = append(&mut log, 1, 1);
    let end = append(&mut log, 2, 1);
    log.sync().unwrap();
    let bounds = LogBounds {
        end: Some(end),
        ..UNKNOWN
    };
    assert_eq!(read(&sim, &bounds).unwrap().1, [1, 2]);
    truncate(&sim, 1, first.offset);
    let error = error_of(&sim, &bounds);
    assert!(matches!(error, Error::Damaged { segment: 1, offset, .. } if offset == first.offset));
    assert_eq!(
        read(&sim, &UNKNOWN).unwrap().1,
        [1],
        "without the bounds it looks torn"
    );
    sim.remove_file(&Path::new("/").join(segment_file_name(1)))
        .unwrap();
    assert!(matches!(
        error_of(&sim, &bounds),
        Error::MissingSegment { segment: 1, .. }
    ));
}

#[test]
fn a_floor_that_is_missing_or_not_in_the_chain_is_an_error() {
    let sim = SimFs::new();
    let floor = |id| LogBounds {
        retired_below: id,
        floor: Some(id),
        ..UNKNOWN
    };
    assert!(matches!(
        error_of(&sim, &floor(3)),
        Error::MissingSegment { segment: 3, .. }
    ));
    append(&mut Log::new(options(&sim), None), 1, 3);
    append(&mut Log::new(options(&sim), None), 1, 4);
    assert!(matches!(
        error_of(&sim, &floor(3)),
        Error::Damaged { segment: 3, .. }
    ));
    assert_eq!(read(&sim, &floor(4)).unwrap().1, [1]);
}

#[test]
fn a_half_created_segment_and_temporaries_hold_nothing() {
    let sim = SimFs::new();
    let mut log = Log::new(options(&sim), None);
    append(&mut log, 1, 1);
    log.sync().unwrap();
    for name in [segment_file_name(2), segment_temporary_file_name(3)] {
        let file = sim.create_new(&Path::new("/").join(name)).unwrap();
        file.append_all(&[0; 40]).unwrap();
        file.preallocate(4_096).unwrap();
    }
    let (recovered, seqnos) = read(&sim, &UNKNOWN).unwrap();
    assert_eq!((seqnos, &recovered.obsolete[..]), (vec![1], &[2][..]));
    assert_eq!(recovered.obsolete_temporaries, [3]);
    assert_eq!(recovered.largest_segment_id, Some(3));
    assert!(
        recovered.rewrite_tail(&options(&sim), 3).is_err(),
        "ids are not reused"
    );
}

#[test]
fn unknown_kinds_stop_or_are_skipped_and_survive_a_rewrite() {
    let sim = SimFs::new();
    let mut log = Log::new(options(&sim), None);
    let mut group = FrameBuffer::new();
    group.push(77, 4, 1, |payload| payload.extend_from_slice(b"later"));
    group.push(KIND_DATA, 0, 2, |_| {});
    log.append(&mut group, &mut || Ok(1)).unwrap();
    let (recovered, seqnos) = read(&sim, &UNKNOWN).unwrap();
    assert_eq!(seqnos, [2]);
    assert_eq!(
        recovered.tail.len(),
        2,
        "whoever knows kind 77 may read the log next"
    );
    let mut group = FrameBuffer::new();
    group.push(77 | KIND_MUST_UNDERSTAND, 0, 3, |_| {});
    let end = log.append(&mut group, &mut || Ok(1)).unwrap();
    assert!(matches!(
        error_of(&sim, &UNKNOWN),
        Error::UnknownKind { kind: 0x804d, offset, .. } if offset == end.offset - 48
    ));
}

#[test]
fn segments_of_another_database_or_version_or_name_are_refused() {
    let sim = SimFs::new();
    append(&mut Log::new(options(&sim), None), 1, 1);
    let mut other = options(&sim);
    other.database_id = [6; 16];
    let mut ignore = |_| Ok::<(), Infallible>(());
    let error = recover(&other, &UNKNOWN, &mut ignore).unwrap_err();
    assert!(matches!(
        error,
        RecoverError::Log(Error::WrongDatabase { .. })
    ));

    let header = SegmentHeader {
        database_id: DATABASE_ID,
        segment: 2,
        predecessor: None,
        durable: Position::default(),
    };
    let mut bytes = header.encode();
    bytes[8] = 9;
    let crc = crc32fast::hash(&bytes[..76]).to_le_bytes();
    bytes[76..].copy_from_slice(&crc);
    create(&sim, 2, &bytes);
    assert!(matches!(
        error_of(&sim, &UNKNOWN),
        Error::UnsupportedVersion { version: 9, .. }
    ));

    // A file under another segment's name is not half-created, so it is damage.
    let sim = SimFs::new();
    create(&sim, 3, &header.encode());
    assert!(matches!(
        error_of(&sim, &UNKNOWN),
        Error::Damaged {
            segment: 3,
            offset: 0,
            ..
        }
    ));
}

#[test]
fn a_header_that_names_itself_or_claims_the_future_is_damage() {
    let valid = SegmentHeader {
        database_id: DATABASE_ID,
        segment: 2,
        predecessor: None,
        durable: Position::default(),
    };
    for header in [
        SegmentHeader {
            predecessor: Some(Position::new(2, 80)),
            ..valid
        },
        SegmentHeader {
            predecessor: Some(Position::new(1, 79)),
            ..valid
        },
        SegmentHeader {
            predecessor: Some(Position::new(1, 84)),
            ..valid
        },
        SegmentHeader {
            durable: Position::new(3, 0),
            ..valid
        },
        SegmentHeader {
            durable: Position::new(2, 81),
            ..valid
        },
    ] {
        let sim = SimFs::new();
        create(&sim, 2, &header.encode());
        assert!(
            matches!(error_of(&sim, &UNKNOWN), Error::Damaged { segment: 2, .. }),
            "{header:?}"
        );
    }
}

#[test]
fn seqnos_that_go_backwards_are_damage() {
    let sim = SimFs::new();
    let end = append(&mut Log::new(options(&sim), None), 5, 1);
    append(&mut Log::new(options(&sim), Some(end)), 5, 2);
    assert!(matches!(
        error_of(&sim, &UNKNOWN),
        Error::Damaged { segment: 2, .. }
    ));
}

#[test]
fn the_visitor_can_stop_a_recovery() {
    let sim = SimFs::new();
    append(&mut Log::new(options(&sim), None), 1, 1);
    let stopped = recover(&options(&sim), &UNKNOWN, &mut |_| Err("enough"));
    assert!(matches!(stopped, Err(RecoverError::Visit("enough"))));
}

fn contents(sim: &SimFs, segment: u64) -> Vec<u8> {
    let file = sim
        .open(&Path::new("/").join(segment_file_name(segment)))
        .unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn create(sim: &SimFs, segment: u64, bytes: &[u8]) {
    let path = Path::new("/").join(segment_file_name(segment));
    sim.create_new(&path).unwrap().append_all(bytes).unwrap();
}

fn replace(sim: &SimFs, segment: u64, bytes: &[u8]) {
    sim.remove_file(&Path::new("/").join(segment_file_name(segment)))
        .unwrap();
    create(sim, segment, bytes);
}

fn flip(sim: &SimFs, segment: u64, offset: u64) {
    let mut bytes = contents(sim, segment);
    bytes[usize::try_from(offset).unwrap()] ^= 1;
    replace(sim, segment, &bytes);
}

fn truncate(sim: &SimFs, segment: u64, len: u64) {
    let bytes = contents(sim, segment);
    replace(sim, segment, &bytes[..usize::try_from(len).unwrap()]);
}
