//! Claims that no writer makes, under checksums that match.
//!
//! A recovery once continued the log from wherever the best claim pointed, into the middle of a
//! record too: it opened, wrote its tail again behind that place, and what it had written could
//! not be opened any more.

use super::*;

/// Segment 1 holds seqnos 1 and 2, of 80 bytes each from 80 on; segment 2 follows, with seqno 3.
/// Its header, or else its record, claims `claim`.
fn log_that_claims(claim: Position, in_header: bool) -> SimFs {
    let sim = SimFs::new();
    let mut log = Log::new(options(&sim), None);
    append(&mut log, 1, 1);
    append(&mut log, 2, 1);
    let end = log.sync().unwrap();
    assert_eq!(end, Position::new(1, 240));
    let header = SegmentHeader {
        database_id: DATABASE_ID,
        segment: 2,
        predecessor: Some(end),
        durable: if in_header {
            claim
        } else {
            Position::default()
        },
    };
    let mut group = FrameBuffer::new();
    group.push(KIND_DATA, 0, 3, |payload| {
        payload.extend_from_slice(&[7; 32])
    });
    let durable = if in_header {
        Position::default()
    } else {
        claim
    };
    group.seal(&crate::FrameKey::new(DATABASE_ID, 2), 80, durable);
    create(&sim, 2, &[&header.encode()[..], group.as_bytes()].concat());
    sim
}

#[test]
fn a_claim_that_is_no_place_of_the_log_is_damage_and_not_continued_from() {
    for (offset, reason) in [
        (1, "a place where no record starts or ends"),
        (72, "a place where no record starts or ends"),
        (159, "a place where no record starts or ends"),
        (168, "a place where no record starts or ends"),
        (248, "a place behind the end of its segment"),
        (u64::MAX, "a place where no record starts or ends"),
        (1 << 62, "a place behind the end of its segment"),
    ] {
        for in_header in [false, true] {
            let claim = Position::new(1, offset);
            match error_of(&log_that_claims(claim, in_header), &UNKNOWN) {
                Error::Damaged {
                    segment: 1,
                    offset: at,
                    reason: said,
                    ..
                } if at == offset => assert!(said.ends_with(reason), "{offset}: {said}"),
                other => panic!("{offset}, in the header: {in_header}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_claim_for_a_segment_that_the_log_does_not_go_through_is_damage() {
    let sim = log_that_claims(Position::new(0, 80), false);
    assert!(error_of(&sim, &UNKNOWN).to_string().contains("go through"));
    let bounds = LogBounds {
        retired_below: 1,
        ..UNKNOWN
    };
    assert_eq!(read(&sim, &bounds).unwrap().1, [1, 2, 3], "a retired one");
}

#[test]
fn a_claim_where_a_record_starts_or_ends_is_continued_from_again_and_again() {
    for offset in [80, 160, 240] {
        let sim = log_that_claims(Position::new(1, offset), true);
        let (recovered, seqnos) = read(&sim, &UNKNOWN).unwrap();
        assert_eq!(seqnos, [1, 2, 3]);
        recovered.rewrite_tail(&options(&sim), 3).unwrap();
        assert_eq!(read(&sim, &UNKNOWN).unwrap().1, [1, 2, 3], "{offset}");
    }
}

/// The end that a caller recorded was believed unseen if its segment is retired and no other is
/// there: the next segment then named it as its predecessor's end, and could not be opened again.
/// Found by fuzzing the recovery.
#[test]
fn a_recorded_end_where_no_record_ends_is_damage_also_if_no_segment_is_there() {
    for offset in [0, 79, 10_794, u64::MAX] {
        let bounds = LogBounds {
            retired_below: 4,
            end: Some(Position::new(3, offset)),
            ..UNKNOWN
        };
        let error = error_of(&SimFs::new(), &bounds).to_string();
        assert!(error.ends_with("no record starts or ends"), "{error}");
    }
    let bounds = LogBounds {
        retired_below: 4,
        end: Some(Position::new(3, 240)),
        ..UNKNOWN
    };
    let (recovered, _) = read(&SimFs::new(), &bounds).unwrap();
    assert_eq!(recovered.end, bounds.end);
}

/// A log that ended below its floor was continued from the floor, without what lies between, and
/// the next open called the same bad record damage. Found by fuzzing the recovery.
#[test]
fn a_bad_record_below_a_floor_that_is_not_the_first_segment_is_damage() {
    let sim = log_that_claims(Position::default(), false);
    let bounds = LogBounds {
        floor: Some(2),
        ..UNKNOWN
    };
    assert_eq!(read(&sim, &bounds).unwrap().1, [1, 2, 3]);
    flip(&sim, 1, 160 + 48);
    match error_of(&sim, &bounds) {
        Error::Damaged {
            segment: 1,
            offset: 160,
            reason,
            ..
        } => assert_eq!(reason, "the log is known to go on in segment 2"),
        other => panic!("{other:?}"),
    }
    // Without that knowledge it is the end of the log.
    assert_eq!(read(&sim, &UNKNOWN).unwrap().1, [1]);
}

/// Only the best claim of the moment was held against a record, and not against end marks: a later
/// claim into the same record, or into a mark, was continued from, and what was written behind that
/// place could not be opened any more. Found by fuzzing the recovery.
#[test]
fn a_later_claim_into_a_record_or_an_end_mark_is_damage() {
    let key = |segment| crate::FrameKey::new(DATABASE_ID, segment);
    let frames = |segment, kinds: &[u16], claims: &[Position]| {
        let mut bytes = Vec::new();
        for ((seqno, kind), claim) in (segment * 10..).zip(kinds).zip(claims) {
            let mut group = FrameBuffer::new();
            group.push(*kind, 0, seqno, |payload| {
                payload.extend_from_slice(&[7; 32])
            });
            let offset = 80 + bytes.len() as u64;
            group.seal(&key(segment), offset, *claim);
            bytes.extend_from_slice(group.as_bytes());
        }
        bytes
    };
    let nothing = Position::default();
    // The first record or mark of segment 1 lies from 80 to 160.
    for (kind, claims) in [
        (crate::KIND_END, [nothing, Position::new(1, 120)]),
        (KIND_DATA, [Position::new(1, 104), Position::new(1, 120)]),
    ] {
        let sim = SimFs::new();
        let header = |segment, predecessor, durable| SegmentHeader {
            database_id: DATABASE_ID,
            segment,
            predecessor,
            durable,
        };
        let first = frames(1, &[kind, KIND_DATA], &[nothing; 2]);
        let head = header(1, None, nothing).encode();
        create(&sim, 1, &[&head[..], &first].concat());
        let second = frames(2, &[KIND_DATA], &claims[1..]);
        let head = header(2, Some(Position::new(1, 240)), claims[0]).encode();
        create(&sim, 2, &[&head[..], &second].concat());
        let error = error_of(&sim, &UNKNOWN).to_string();
        assert!(error.ends_with("no record starts or ends"), "{error}");
    }
}

/// A segment without records states that the one before it ends before a record. The end was
/// recorded and that segment discarded, so that the next recovery took the record for the log's,
/// though whatever is written next states that end again. Found by fuzzing the recovery.
#[test]
fn a_record_behind_the_recorded_end_stays_cut_off() {
    let sim = SimFs::new();
    let mut log = Log::new(options(&sim), None);
    let end = append(&mut log, 1, 1);
    append(&mut log, 2, 1);
    log.sync().unwrap();
    // It claims all before it.
    append(&mut log, 3, 1);
    let header = SegmentHeader {
        database_id: DATABASE_ID,
        segment: 2,
        predecessor: Some(end),
        durable: end,
    };
    create(&sim, 2, &header.encode());
    let (recovered, seqnos) = read(&sim, &UNKNOWN).unwrap();
    assert_eq!((recovered.end, seqnos), (Some(end), vec![1]));
    let bounds = recovered.bounds(&UNKNOWN, None);
    assert_eq!((bounds.end, bounds.discarded_through), (Some(end), 2));
    let (recovered, seqnos) = read(&sim, &bounds).unwrap();
    assert_eq!((recovered.end, seqnos), (Some(end), vec![1]));

    // A bad one is no damage there either, whatever the one behind it claims.
    flip(&sim, 1, end.offset + 48);
    let (recovered, seqnos) = read(&sim, &bounds).unwrap();
    assert_eq!((recovered.end, seqnos), (Some(end), vec![1]));
}
