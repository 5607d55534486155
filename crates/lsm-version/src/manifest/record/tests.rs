use std::sync::Arc;

use super::*;
use crate::testing::run;

fn encoded(edit: &VersionEdit) -> Vec<u8> {
    let mut payload = BytesMut::new();
    encode(edit, &mut payload);
    payload.to_vec()
}

fn full_edit() -> VersionEdit {
    VersionEdit {
        removed: vec![(0, 3), (2, u64::MAX)],
        added: vec![(0, run(4, "a", "b")), (15, run(RunId::MAX, "", "z"))],
        log: Some(LogBounds {
            retired_below: 300,
            floor: Some(300),
            end: Some(Position {
                segment: 301,
                offset: 70_000,
            }),
            discarded_through: u64::MAX,
        }),
        flushed_seqno: Some(0),
        ceilings: Some(Ceilings {
            run_id: 250,
            segment_id: 251,
            seqno: 1 << 40,
        }),
        legacy_log_end: Some(1 << 33),
        unnamed: vec![7, 300, RunId::MAX],
        clean: false,
    }
}

/// The edit that a decoded one was made from, as far as the keys are there.
fn undecoded(decoded: DecodedEdit) -> VersionEdit {
    let added = decoded.added.into_iter().map(|DecodedRun { run, keys }| {
        let (smallest, largest) = keys.unwrap_or_default();
        (run.level, Arc::new(run.with_keys(smallest, largest)))
    });
    VersionEdit {
        added: added.collect(),
        ..decoded.edit
    }
}

#[test]
fn an_edit_survives_the_round_trip() {
    for edit in [VersionEdit::default(), full_edit()] {
        let payload = encoded(&edit);
        assert_eq!(undecoded(decode(kind_of(&edit), &payload).unwrap()), edit);
    }
    let mark = VersionEdit {
        clean: true,
        ..VersionEdit::default()
    };
    assert_eq!(decode(kind_of(&mark), &encoded(&mark)).unwrap().edit, mark);
}

#[test]
fn keys_are_stored_up_to_4_kib_and_both_or_neither() {
    for (smallest_len, largest_len, stored) in [
        (1, 4096, true),
        (1, 4097, false),
        (4097, 4097, false),
        (4096, 4096, true),
    ] {
        let run = run(1, &"a".repeat(smallest_len), &"b".repeat(largest_len));
        let edit = VersionEdit {
            added: vec![(1, run.clone())],
            ..VersionEdit::default()
        };
        let decoded = decode(KIND_EDIT, &encoded(&edit)).unwrap();
        let expected = (run.smallest_key.clone(), run.largest_key.clone());
        assert_eq!(decoded.added[0].keys, stored.then_some(expected));
        assert_eq!(decoded.added[0].run.file_len, run.file_len);
    }
}

#[test]
fn every_cut_and_every_added_byte_is_refused() {
    let payload = encoded(&full_edit());
    for len in 0..payload.len() {
        assert!(decode(KIND_EDIT, &payload[..len]).is_err(), "{len} bytes");
    }
    let longer = [payload.as_slice(), &[0]].concat();
    assert_eq!(
        decode(KIND_EDIT, &longer),
        Err("a record is longer than its edit".to_owned())
    );
}

#[test]
fn a_count_beyond_the_payload_allocates_nothing() {
    // 253 announces a 64-bit count.
    for count in [1_u64 << 20, 1 << 40, u64::MAX] {
        let mut payload = vec![253];
        payload.extend_from_slice(&count.to_le_bytes());
        assert!(decode(KIND_EDIT, &payload).is_err());
        let mut payload = vec![0, 253];
        payload.extend_from_slice(&count.to_le_bytes());
        assert!(decode(KIND_EDIT, &payload).is_err());
    }
    // The shortest entries there are: no more of them fit a record than decoding allows for.
    let smallest = RunMeta {
        id: 0,
        file_len: 0,
        entry_count: 0,
        tombstone_count: 0,
        index_len: 0,
        index_crc: 0,
        smallest_key: Bytes::from(vec![0; 4097]),
        largest_key: Bytes::new(),
    };
    let added = vec![(0, Arc::new(smallest)); (RECORD_BYTES_MAX - 16) / 8];
    let payload = encoded(&VersionEdit {
        added,
        ..VersionEdit::default()
    });
    assert!(payload.len() <= RECORD_BYTES_MAX && payload.len() > RECORD_BYTES_MAX - 100);
    assert!(decode(KIND_EDIT, &payload).is_ok());
    let removed = vec![(0, 0); (RECORD_BYTES_MAX - 16) / 2];
    let payload = encoded(&VersionEdit {
        removed,
        ..VersionEdit::default()
    });
    assert!(payload.len() <= RECORD_BYTES_MAX && payload.len() > RECORD_BYTES_MAX - 100);
    assert!(decode(KIND_EDIT, &payload).is_ok());
    let unnamed = vec![0; RECORD_BYTES_MAX - 16];
    let payload = encoded(&VersionEdit {
        unnamed,
        ..VersionEdit::default()
    });
    assert!(payload.len() <= RECORD_BYTES_MAX && payload.len() > RECORD_BYTES_MAX - 100);
    assert!(decode(KIND_EDIT, &payload).is_ok());
    assert!(decode(KIND_EDIT, &vec![0; RECORD_BYTES_MAX + 1]).is_err());
}

#[test]
fn a_snapshot_is_bounded_records_that_add_up_to_the_state() {
    let mut state = ManifestState::default();
    let ceilings = Some(Ceilings {
        run_id: 1 << 33,
        ..Ceilings::default()
    });
    let last = 1 << 32;
    state = state
        .apply(&VersionEdit {
            ceilings,
            legacy_log_end: Some(u64::MAX),
            unnamed: (last..last + 20_000).collect(),
            ..VersionEdit::default()
        })
        .unwrap();
    let long = |number: u64| format!("{number:04096}");
    let mut added: Vec<_> = (1..40)
        .map(|id| (0, run(id, &long(id), &long(id + 7))))
        .collect();
    added.extend((40..900).map(|id| (1, run(id, &format!("{id:05}"), &format!("{id:05}z")))));
    added.extend((900..930).map(|id| (3, run(id, &long(id), &long(id)))));
    state = state
        .apply(&VersionEdit {
            added,
            ..VersionEdit::default()
        })
        .unwrap();
    let closed = state
        .apply(&VersionEdit {
            clean: true,
            ..VersionEdit::default()
        })
        .unwrap();

    for state in [state, closed] {
        let edits = snapshot(&state);
        assert!(
            edits.len() > 12,
            "keys and ids take three quarters of a mebibyte"
        );
        let mut rebuilt = ManifestState::default();
        for edit in &edits {
            let payload = encoded(edit);
            assert!(payload.len() <= RECORD_BYTES_MAX, "{} bytes", payload.len());
            let decoded = decode(kind_of(edit), &payload).unwrap();
            rebuilt = rebuilt.apply(&undecoded(decoded)).unwrap();
        }
        assert_eq!(rebuilt, state);
    }
}
