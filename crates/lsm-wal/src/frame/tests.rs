//! The framing: its bytes, and what becomes of every change to them.

use std::path::Path;
use std::sync::Arc;

use lsm_fs::{ByPath, File, SimFs};

use super::*;
use crate::error::Error;

const PATH: &str = "/frames";
const FILE_ID: u64 = 3;

fn key() -> FrameKey {
    FrameKey::new([0xab; 16], FILE_ID)
}

fn file_with(bytes: &[u8]) -> Arc<dyn File> {
    let file = SimFs::new().create_new(Path::new(PATH)).unwrap();
    file.append_all(bytes).unwrap();
    file
}

fn reader(bytes: &[u8], start: u64, limit: Option<u64>) -> FrameReader {
    FrameReader::new(file_with(bytes), Path::new(PATH), key(), start, limit).unwrap()
}

/// All records up to where reading stops, and how it stops.
fn read_all(mut reader: FrameReader) -> (Vec<(u64, Vec<u8>)>, Step) {
    let mut records = Vec::new();
    loop {
        match reader.next().unwrap() {
            Step::Record {
                header, payload, ..
            } => records.push((header.seqno, payload.to_vec())),
            stop => {
                assert_eq!(
                    reader.next().unwrap(),
                    stop,
                    "reading stays where it stopped"
                );
                return (records, stop);
            }
        }
    }
}

fn group_of(payloads: &[Vec<u8>]) -> FrameBuffer {
    let mut group = FrameBuffer::new();
    for (seqno, payload) in (1..).zip(payloads) {
        let place = group.push(KIND_DATA, 0, seqno, |out| out.extend_from_slice(payload));
        assert_eq!(group.as_bytes().get(place), Some(&payload[..]));
    }
    group
}

#[test]
fn a_header_is_laid_out_as_documented() {
    let mut group = FrameBuffer::new();
    group.push(KIND_DATA, 0x0102_0304, 0x1122_3344_5566_7788, |payload| {
        payload.extend([0xee])
    });
    group.seal(&key(), 80, Position::new(2, 0x0a0b));
    let bytes = group.as_bytes();
    assert_eq!(bytes.len(), 56);
    assert_eq!(bytes[4..8], crc32fast::hash(&[0xee]).to_le_bytes());
    assert_eq!(bytes[8..16], 1_u64.to_le_bytes());
    assert_eq!(bytes[16..24], 0x1122_3344_5566_7788_u64.to_le_bytes());
    assert_eq!(bytes[24..32], 2_u64.to_le_bytes());
    assert_eq!(bytes[32..40], 0x0a0b_u64.to_le_bytes());
    assert_eq!(bytes[40..44], 0x0102_0304_u32.to_le_bytes());
    assert_eq!(bytes[44..48], [1, 0, 0, 0]);
    assert_eq!(bytes[48..], [0xee, 0, 0, 0, 0, 0, 0, 0]);
    let mut covered = vec![0xab; 16];
    covered.extend_from_slice(&FILE_ID.to_le_bytes());
    covered.extend_from_slice(&80_u64.to_le_bytes());
    covered.extend_from_slice(&bytes[4..48]);
    assert_eq!(bytes[..4], crc32fast::hash(&covered).to_le_bytes());
}

#[test]
fn groups_read_back_whatever_their_payloads_and_place() {
    fn round_trip(payloads: Vec<Vec<u8>>, place: u16) -> bool {
        let start = u64::from(place) * 8;
        let mut group = group_of(&payloads);
        // Sealed for another place first: sealing again must leave no trace of that.
        group.seal(&FrameKey::new([1; 16], 99), 8_000_000, Position::new(98, 7));
        group.seal(&key(), start, Position::new(1, 5));
        let mut bytes = vec![0; usize::from(place) * 8];
        bytes.extend_from_slice(group.as_bytes());
        let (records, stop) = read_all(reader(&bytes, start, None));
        assert_eq!(
            stop,
            Step::End {
                offset: bytes.len() as u64
            }
        );
        let expected: Vec<(u64, Vec<u8>)> = (1..).zip(payloads).collect();
        records == expected
    }
    quickcheck::quickcheck(round_trip as fn(Vec<Vec<u8>>, u16) -> bool);
}

#[test]
fn records_larger_than_the_read_window_read_back() {
    let payloads = [
        vec![1; 10],
        vec![2; 3 << 20],
        vec![3; (1 << 20) - 100],
        vec![4; 200],
    ];
    let mut group = group_of(&payloads);
    group.seal(&key(), 0, Position::default());
    let (records, _) = read_all(reader(group.as_bytes(), 0, None));
    assert!(records.iter().map(|(_, payload)| payload).eq(&payloads));
}

#[test]
fn any_changed_bit_and_any_cut_ends_reading_before_the_changed_record() {
    let payloads = [b"one".to_vec(), b"a longer second".to_vec(), Vec::new()];
    let mut group = group_of(&payloads);
    group.seal(&key(), 0, Position::default());
    let good = group.as_bytes();
    let starts = [0, 56, 120, 168];
    for at in 0..good.len() {
        let whole = starts.iter().filter(|&&start| start <= at).count() - 1;
        for bit in 0..8 {
            let mut bad = good.to_vec();
            bad[at] ^= 1 << bit;
            let (records, stop) = read_all(reader(&bad, 0, None));
            assert_eq!(
                (records.len(), stop),
                (
                    whole,
                    Step::Bad {
                        offset: starts[whole] as u64
                    }
                )
            );
        }
        let (records, stop) = read_all(reader(&good[..at], 0, None));
        assert_eq!(records.len(), whole);
        let at_boundary = starts.contains(&at);
        assert_eq!(matches!(stop, Step::End { .. }), at_boundary, "{at}");
        // With a stated end, a file that is too short is bad even at a record's boundary.
        let limit = Some(good.len() as u64);
        let (_, stop) = read_all(reader(&good[..at], 0, limit));
        assert!(matches!(stop, Step::Bad { .. }), "{at}");
    }
}

#[test]
fn a_record_is_bound_to_its_database_file_and_offset() {
    let mut group = group_of(&[b"x".to_vec()]);
    group.seal(&key(), 64, Position::default());
    let header = group.as_bytes().first_chunk().unwrap();
    assert!(decode_header(&key(), 64, header).is_some());
    assert!(decode_header(&key(), 72, header).is_none());
    assert!(decode_header(&FrameKey::new([0xab; 16], 4), 64, header).is_none());
    assert!(decode_header(&FrameKey::new([0xac; 16], FILE_ID), 64, header).is_none());
}

/// A header with a right checksum and whatever else.
fn forged(kind: u16, reserved: u16, durable: Position, payload_len: u64) -> [u8; 48] {
    let mut header = [0; FRAME_HEADER_LEN];
    set_field(&mut header, KIND, kind.to_le_bytes());
    set_field(&mut header, RESERVED, reserved.to_le_bytes());
    set_field(&mut header, DURABLE_SEGMENT, durable.segment.to_le_bytes());
    set_field(&mut header, DURABLE_OFFSET, durable.offset.to_le_bytes());
    set_field(&mut header, PAYLOAD_LEN, payload_len.to_le_bytes());
    let crc = key().header_crc(0, &header);
    set_field(&mut header, HEADER_CRC, crc.to_le_bytes());
    header
}

#[test]
fn headers_that_no_writer_writes_are_none() {
    let none = Position::default();
    assert!(decode_header(&key(), 0, &forged(1, 0, none, 0)).is_some());
    assert!(decode_header(&key(), 0, &forged(0, 0, none, 0)).is_none());
    assert!(decode_header(&key(), 0, &forged(1, 1, none, 0)).is_none());
    assert!(decode_header(&key(), 0, &forged(1, 0, Position::new(FILE_ID, 1), 0)).is_none());
    assert!(decode_header(&key(), 0, &forged(1, 0, Position::new(FILE_ID + 1, 0), 0)).is_none());
}

#[test]
fn a_payload_length_that_the_file_cannot_hold_allocates_nothing() {
    for payload_len in [1, 8, 1 << 40, u64::MAX - 48, u64::MAX - 7, u64::MAX] {
        let bytes = forged(1, 0, Position::default(), payload_len);
        let (records, stop) = read_all(reader(&bytes, 0, None));
        assert_eq!(
            (records.len(), stop),
            (0, Step::Bad { offset: 0 }),
            "{payload_len}"
        );
    }
}

#[test]
fn a_later_claim_is_found_behind_anything_and_only_if_it_reaches_further() {
    let window = 1_usize << 20;
    for gap in [
        8,
        4_096,
        window - 48,
        window - 24,
        window - 8,
        window,
        3 * window + 8,
    ] {
        let mut bytes = vec![0x5a; gap];
        let mut group = group_of(&[b"x".to_vec()]);
        let claim = Position::new(FILE_ID, 8);
        group.seal(&key(), gap as u64, claim);
        bytes.extend_from_slice(group.as_bytes());
        bytes.extend_from_slice(&[0; 5]);
        let find =
            |past| later_claim(&*file_with(&bytes), Path::new(PATH), &key(), 1, past).unwrap();
        let at = Position::new(FILE_ID, gap as u64);
        assert_eq!(
            find(Position::new(FILE_ID, 0)),
            Some(LaterClaim { at, claim }),
            "{gap}"
        );
        assert_eq!(find(Position::new(FILE_ID, 8)), None, "{gap}");
    }
}

#[test]
fn a_payload_that_holds_a_record_cannot_claim_anything() {
    // The best forgery without the database id: a genuine record of another place, as a value.
    let mut inner = group_of(&[b"inner".to_vec()]);
    inner.seal(&key(), 4_096, Position::new(FILE_ID, 4_000));
    let mut group = group_of(&[inner.as_bytes().to_vec()]);
    group.seal(&key(), 0, Position::default());
    let file = file_with(group.as_bytes());
    let found = later_claim(&*file, Path::new(PATH), &key(), 8, Position::default());
    assert_eq!(found.unwrap(), None);
}

#[test]
fn a_read_error_is_an_error_and_not_the_end() {
    use lsm_fs::{Fault, FaultFs, Operation};
    let fs = FaultFs::over_sim(SimFs::new());
    let file = fs.create_new(Path::new(PATH)).unwrap();
    file.append_all(&[0; 100]).unwrap();
    fs.fail_when(
        Operation::ReadAt,
        |_| true,
        Fault::from_raw_os_error(5).for_good(),
    );
    let mut reader = FrameReader::new(Arc::clone(&file), Path::new(PATH), key(), 0, None).unwrap();
    assert!(matches!(
        reader.next(),
        Err(Error::Io {
            operation: "read",
            ..
        })
    ));
    let found = later_claim(&*file, Path::new(PATH), &key(), 0, Position::default());
    assert!(matches!(
        found,
        Err(Error::Io {
            operation: "read",
            ..
        })
    ));
}

#[test]
fn a_cleared_buffer_starts_anew() {
    let mut group = group_of(&[b"old".to_vec()]);
    group.clear();
    assert!(group.is_empty() && group.as_bytes().is_empty());
    assert_eq!(group.check_seqnos(Some(9)), Ok(Some(9)));
    group.push(KIND_DATA, 0, 5, |_| {});
    assert_eq!(group.check_seqnos(Some(4)), Ok(Some(5)));
    assert_eq!(group.check_seqnos(Some(5)), Err((5, 5)));
    group.push(KIND_DATA, 0, 4, |_| {});
    assert_eq!(group.check_seqnos(None), Err((5, 4)));
}
