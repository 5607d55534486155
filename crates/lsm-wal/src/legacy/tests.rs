//! What counts as the end of a log of `lsm-db` 1.x, and what as damage.

use std::convert::Infallible;
use std::path::Path;

use lsm_fs::{FileSystem, SimFs};

use super::*;

fn record(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&len), payload);
    [&crc.to_le_bytes(), &len, payload].concat()
}

/// The payloads and the end of a log with these bytes, every payload being plausible.
fn read(bytes: &[u8]) -> Result<(Vec<Bytes>, u64), RecoverError<Infallible>> {
    let fs = SimFs::new();
    let log = FileName::constant("wal.log");
    let dir = fs.open_dir(Path::new("/")).unwrap();
    dir.create_new(&log).unwrap().append_all(bytes).unwrap();
    let mut payloads = Vec::new();
    let end = read_legacy_log(&*dir, &log, &|_| true, &mut |_, payload| {
        payloads.push(payload);
        Ok(())
    })?;
    Ok((payloads, end))
}

fn three() -> (Vec<u8>, [usize; 4]) {
    let records = [record(b"first"), record(&[]), record(&[7; 300])];
    let ends = [
        0,
        records[0].len(),
        records[0].len() + records[1].len(),
        records.concat().len(),
    ];
    (records.concat(), ends)
}

#[test]
fn an_empty_log_holds_nothing_and_every_record_is_visited_in_order() {
    assert_eq!(read(&[]).unwrap(), (vec![], 0));
    let (bytes, ends) = three();
    let (payloads, end) = read(&bytes).unwrap();
    assert_eq!(payloads, [&b"first"[..], b"", &[7; 300]]);
    assert_eq!(end, ends[3] as u64);
}

#[test]
fn a_log_cut_anywhere_ends_with_its_last_whole_record() {
    let (bytes, ends) = three();
    for len in 0..bytes.len() {
        let whole = ends.iter().filter(|&&end| end <= len).count() - 1;
        let (payloads, end) = read(&bytes[..len]).unwrap();
        assert_eq!(payloads.len(), whole, "{len} bytes");
        assert_eq!(end, ends[whole] as u64, "{len} bytes");
    }
}

#[test]
fn a_flipped_bit_with_a_record_after_it_is_damage_and_in_the_last_record_the_end() {
    let (bytes, ends) = three();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let hit = ends.iter().filter(|&&end| end <= bit / 8).count() - 1;
        match read(&flipped) {
            Ok((payloads, end)) => {
                assert_eq!((hit, payloads.len()), (2, 2), "bit {bit}");
                assert_eq!(end, ends[2] as u64);
            }
            Err(RecoverError::Log(Error::LegacyDamaged { offset, .. })) => {
                assert!(hit < 2, "bit {bit}");
                assert_eq!(offset, ends[hit] as u64, "bit {bit}");
            }
            other => panic!("bit {bit}: {other:?}"),
        }
    }
}

#[test]
fn zeros_and_noise_after_the_last_record_are_a_torn_tail() {
    let (bytes, ends) = three();
    for tail in [vec![0; 5000], vec![0xff; 5000], b"noise ".repeat(900)] {
        let (payloads, end) = read(&[bytes.clone(), tail].concat()).unwrap();
        assert_eq!((payloads.len(), end), (3, ends[3] as u64));
    }
}

/// A length that no checksum covers yet sizes no allocation.
#[test]
fn a_length_past_the_end_or_the_limit_is_a_bad_record() {
    let (bytes, _) = three();
    for len in [65, PAYLOAD_BYTES_MAX + 1, u32::MAX as usize] {
        let len = u32::try_from(len).unwrap().to_le_bytes();
        let tail = [&[1, 2, 3, 4], &len[..], &[9; 64]].concat();
        assert_eq!(read(&[bytes.clone(), tail].concat()).unwrap().0.len(), 3);
    }
}

#[test]
fn a_payload_that_is_not_plausible_is_no_later_record() {
    let fs = SimFs::new();
    let log = FileName::constant("wal.log");
    let dir = fs.open_dir(Path::new("/")).unwrap();
    let mut bytes = record(b"torn");
    bytes[9] ^= 1;
    bytes.extend(record(b"by chance"));
    dir.create_new(&log).unwrap().append_all(&bytes).unwrap();
    let visit = &mut |_, _| Ok::<_, Infallible>(());
    assert!(read_legacy_log(&*dir, &log, &|_| true, visit).is_err());
    assert_eq!(read_legacy_log(&*dir, &log, &|_| false, visit).unwrap(), 0);
}

/// A value of which nearly every offset looks like a long record. The search gave up on such a
/// tail, because a checksum for each would take a square of time, and its log never opened again.
#[test]
fn a_torn_record_that_can_be_read_as_records_in_very_many_ways_is_the_end_of_the_log() {
    let (bytes, ends) = three();
    let value = (1_u32 << 18).to_le_bytes().repeat(1 << 17);
    let mut torn = record(&value);
    torn.truncate(torn.len() - 9);
    let mut log = [bytes, torn].concat();
    let (payloads, end) = read(&log).unwrap();
    assert_eq!((payloads.len(), end), (3, ends[3] as u64));

    // It is told from a record that really is there, wherever that starts.
    for padding in 0..5 {
        log.extend(vec![7; padding]);
        let at = log.len();
        match read(&[log.clone(), record(b"later")].concat()) {
            Err(RecoverError::Log(Error::LegacyDamaged { offset, reason, .. })) => {
                assert_eq!(offset, ends[3] as u64);
                assert_eq!(reason, format!("a record follows at {at}"));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// What a record cut off by a power cut leaves may be a copy of such a log, a back-up kept as a
/// value, say. Nothing tells that from records of this log: better refused than guessed.
#[test]
fn a_torn_record_that_holds_whole_records_is_refused() {
    let copy = [record(b"one"), record(b"two")].concat();
    let mut torn = record(&copy);
    torn.truncate(torn.len() - 1);
    let refused = read(&torn);
    assert!(
        matches!(
            &refused,
            Err(RecoverError::Log(Error::LegacyDamaged { offset: 0, .. }))
        ),
        "{refused:?}"
    );
}

/// The search reads in stretches; a record that starts at the end of one ends in the next.
#[test]
fn a_later_record_is_found_across_the_edge_of_what_is_read_at_a_time() {
    let later = record(&[3; 5000]);
    for before in [0, 1, 8, 4000] {
        let bad = vec![0xff; SEARCH_BYTES + 1 - before];
        let found = read(&[bad.as_slice(), &later].concat());
        match found {
            Err(RecoverError::Log(Error::LegacyDamaged { reason, .. })) => {
                assert_eq!(reason, format!("a record follows at {}", bad.len()));
            }
            other => panic!("{before}: {other:?}"),
        }
    }
}

#[test]
fn records_longer_than_a_read_are_whole() {
    let long: Vec<u8> = (0..3_000_000_u32)
        .map(|byte| byte.to_le_bytes()[0])
        .collect();
    let bytes = [record(b"a"), record(&long), record(b"b")].concat();
    let (payloads, _) = read(&bytes).unwrap();
    assert_eq!(payloads, [&b"a"[..], &long, b"b"]);
}
