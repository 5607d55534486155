//! Files that no writer left so: flipped, cut, forged. Each is refused, or is a torn tail.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::path::Path;

use lsm_fs::{Fault, FaultFs, FileSystem, SimFs};
use lsm_version::{CommitError, LoadError, Manifest, ManifestState, VersionEdit};
use lsm_wal::{FrameBuffer, FrameKey, Position};

use crate::support::*;

/// A manifest of one snapshot and several appended records.
struct Sample {
    bytes: Vec<u8>,
    /// The state after the snapshot, and after each appended record, with the file's length then.
    prefixes: Vec<(usize, ManifestState)>,
}

fn sample(last: VersionEdit) -> Sample {
    let fs = SimFs::new();
    let mut manifest = create(fs.clone());
    manifest.commit(ceilings(100, 10, 1000)).expect("commits");
    manifest.commit(add(1, run(1, "a", "m"))).expect("commits");
    let mut manifest = load(fs.clone()).expect("loads");
    let mut prefixes = Vec::new();
    for edit in [
        add(1, run(2, "n", "z")),
        add(0, run(3, "a", "b")),
        add(0, run(4, "b", "c")),
        last,
    ] {
        manifest.commit(edit).expect("commits");
        prefixes.push((manifest_bytes(&fs).len(), manifest.state().clone()));
    }
    Sample {
        bytes: manifest_bytes(&fs),
        prefixes,
    }
}

fn samples() -> [Sample; 2] {
    [sample(ceilings(200, 20, 2000)), sample(mark())]
}

type Loaded = Result<(ManifestState, bool), LoadError<Infallible>>;

fn load_bytes(bytes: &[u8]) -> Loaded {
    load(disk_with(bytes)).map(|manifest| (manifest.state().clone(), manifest.was_torn()))
}

#[test]
fn every_flipped_byte_is_damage_save_in_the_last_record() {
    for Sample { bytes, prefixes } in samples() {
        let last_record = prefixes[prefixes.len() - 2].0;
        for at in 0..bytes.len() {
            for mask in [0x01, 0x80, 0xff] {
                let mut flipped = bytes.clone();
                flipped[at] ^= mask;
                match load_bytes(&flipped) {
                    Err(_) if at < last_record => {}
                    Ok((state, true)) if at >= last_record => {
                        assert_eq!(state, prefixes[prefixes.len() - 2].1, "byte {at}");
                    }
                    other => panic!("byte {at} of {}, {mask:#x}: {other:?}", bytes.len()),
                }
            }
        }
    }
}

#[test]
fn every_cut_is_damage_in_the_snapshot_and_a_torn_tail_behind_it() {
    for Sample { bytes, prefixes } in samples() {
        for len in 0..bytes.len() {
            let whole = prefixes
                .iter()
                .rev()
                .find(|(prefix_len, _)| *prefix_len <= len);
            match (load_bytes(&bytes[..len]), whole) {
                (Err(_), None) => {}
                (Ok((state, torn)), Some((prefix_len, expected))) => {
                    assert_eq!(&state, expected, "{len} bytes");
                    assert_eq!(torn, *prefix_len != len, "{len} bytes");
                }
                (other, _) => panic!("{len} bytes of {}: {other:?}", bytes.len()),
            }
        }
    }
}

#[test]
fn zeros_and_garbage_behind_the_last_record_are_a_torn_tail_but_damage_behind_a_mark() {
    for (index, Sample { bytes, prefixes }) in samples().into_iter().enumerate() {
        for tail in [&[0_u8; 1][..], &[0; 4096], &[0xa5; 48], b"LSMMAN01"] {
            let longer = [bytes.as_slice(), tail].concat();
            match load_bytes(&longer) {
                Ok((state, true)) if index == 0 => assert_eq!(state, prefixes[3].1),
                Err(LoadError::Damaged { offset, .. }) if index == 1 => {
                    assert_eq!(offset, bytes.len() as u64);
                }
                other => panic!("{} bytes behind: {other:?}", tail.len()),
            }
        }
    }
}

#[test]
fn a_record_of_another_generation_or_database_is_not_taken_for_this_ones() {
    let fs = SimFs::new();
    let mut manifest = create(fs.clone());
    manifest.commit(ceilings(100, 10, 1000)).expect("commits");
    let old = manifest_bytes(&fs);
    let mut manifest = load(fs.clone()).expect("loads");
    manifest.commit(VersionEdit::default()).expect("commits");
    let new = manifest_bytes(&fs);
    // The stale record stands where the next one would, with the same number.
    assert!(old.len() > new.len());
    let spliced = [new.as_slice(), &old[new.len()..]].concat();
    let (state, torn) = load_bytes(&spliced).expect("loads");
    assert!(torn && state == *manifest.state());
}

#[test]
fn an_error_of_the_file_system_is_not_the_end_of_the_file() {
    let sim = disk_with(&samples()[0].bytes);
    let count = {
        let fs = FaultFs::over_sim(sim.clone());
        load(fs.clone()).expect("loads");
        // The caller opens the directory.
        fs.operation_count() - 1
    };
    assert!(count >= 4);
    for n in 0..count {
        let fs = FaultFs::over_sim(sim.clone());
        let dir = open_dir(&fs);
        fs.fail_nth_of_all(n, Fault::new(ErrorKind::Other));
        let failed = Manifest::load(dir, &mut |run| -> Result<_, Infallible> {
            panic!("keys of {run:?} are not stored")
        });
        assert!(
            matches!(failed, Err(LoadError::Io { .. })),
            "operation {n}: {failed:?}"
        );
    }
}

#[test]
fn files_of_other_kinds_are_told_apart() {
    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let error = load_bytes(bytes).expect_err("is no manifest");
        assert_eq!(error.to_string(), expected);
    }
    check(b"", "/MANIFEST is not a manifest");
    check(&[0; 4096], "/MANIFEST is not a manifest");
    check(b"LSMTBL01........", "/MANIFEST is not a manifest");
    check(
        b"LSMDB-MANIFEST v1\nnext_seq=1\n",
        "/MANIFEST was written by lsm-db 1.x",
    );
    check(b"LSMDB-MANIFEST v2\n", "/MANIFEST is not a manifest");
    check(
        b"LSMMAN01\x02\0\0\0",
        "/MANIFEST is damaged at offset 0: the header is cut short",
    );
    for version in [1, 3] {
        let mut other = b"LSMMAN01v\0\0\0 whatever comes later in that version".to_vec();
        other[8] = version;
        let expected = "/MANIFEST has format version V, which this version cannot read";
        check(&other, &expected.replace('V', &version.to_string()));
    }
    let missing = load(SimFs::new()).expect_err("is not there");
    assert_eq!(missing.to_string(), "/MANIFEST does not exist");
    let fs = SimFs::new();
    fs.create_dir(Path::new(MANIFEST)).expect("creates");
    let directory = load(fs).expect_err("is a directory");
    assert!(
        matches!(
            directory,
            LoadError::Io {
                operation: "open",
                ..
            }
        ),
        "{directory}"
    );
}

/// Forges records with checksums that match, behind a sound snapshot.
struct Forger {
    bytes: Vec<u8>,
    key: FrameKey,
    number: u64,
}

impl Forger {
    const EDIT: u16 = 0x8001;
    const CLEAN: u16 = 0x8002;

    /// Behind ceilings of 100, 10 and 1000, and run 1 from "a" to "m" at level 1.
    fn new() -> Self {
        let fs = SimFs::new();
        let mut manifest = create(fs.clone());
        manifest.commit(ceilings(100, 10, 1000)).expect("commits");
        let mut manifest = load(fs.clone()).expect("loads");
        manifest.commit(add(1, run(1, "a", "m"))).expect("commits");
        let bytes = manifest_bytes(&fs);
        Self {
            bytes,
            key: FrameKey::new(IDENTITY.database_id, 2),
            number: 1,
        }
    }

    fn record(mut self, kind: u16, payload: &[u8]) -> Self {
        self.number += 1;
        let number = self.number;
        self.frame(kind, 0, number, payload)
    }

    fn frame(mut self, kind: u16, keyspace: u32, number: u64, payload: &[u8]) -> Self {
        let mut frame = FrameBuffer::new();
        frame.push(kind, keyspace, number, |bytes| {
            bytes.extend_from_slice(payload)
        });
        let offset = self.bytes.len() as u64;
        frame.seal(&self.key, offset, Position::new(2, offset));
        self.bytes.extend_from_slice(frame.as_bytes());
        self
    }

    #[track_caller]
    fn check(self, expected: &str) {
        let found = match load_bytes(&self.bytes) {
            Ok((state, torn)) => format!("{} runs, torn: {torn}", state.version.run_count()),
            Err(LoadError::Damaged { reason, .. }) => reason,
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }
}

/// An edit that adds runs, each as (level, id, smallest key, largest key) with single-byte keys.
fn adds(runs: &[(u8, u8, &[u8; 1], &[u8; 1])]) -> Vec<u8> {
    let mut payload = vec![0, u8::try_from(runs.len()).expect("few")];
    for (level, id, smallest, largest) in runs {
        payload.extend_from_slice(&[*level, *id, 100, 10, 5, 20, 7]);
        payload.extend_from_slice(&[1, 1, smallest[0], 1, largest[0]]);
    }
    payload.extend_from_slice(&[0, 0, 0, 0, 0]);
    payload
}

#[test]
fn a_forged_record_that_says_nothing_wrong_is_applied() {
    let forger = Forger::new().record(Forger::EDIT, &adds(&[(1, 9, b"n", b"z")]));
    forger.check("2 runs, torn: false");
    Forger::new()
        .record(Forger::CLEAN, &[0; 7])
        .check("1 runs, torn: false");
}

#[test]
fn runs_that_break_a_rule_are_refused() {
    for (runs, expected) in [
        (
            &[(1, 9, b"m", b"z")][..],
            "runs 1 and 9 at level 1 overlap or are out of order",
        ),
        (
            &[(2, 9, b"z", b"a")],
            "run 9 at level 2 is misdescribed: its smallest key is above its largest",
        ),
        (
            &[(0, 1, b"a", b"b")],
            "run 1 occurs both at level 0 and at level 1",
        ),
        (
            &[(0, 9, b"a", b"b"), (0, 9, b"a", b"b")],
            "run 9 occurs both at level 0 and at level 0",
        ),
        (
            &[(16, 9, b"a", b"b")],
            "run 9 is placed at level 16, but there are only 16 levels",
        ),
        (
            &[(0, 100, b"a", b"b")],
            "run id 100 is not below its ceiling 100",
        ),
    ] {
        Forger::new()
            .record(Forger::EDIT, &adds(runs))
            .check(expected);
    }
    let removes = [1, 1, 7, 0, 0, 0, 0, 0, 0];
    Forger::new()
        .record(Forger::EDIT, &removes)
        .check("run 7 to be removed is not at level 1");
    let twice = [2, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0];
    Forger::new()
        .record(Forger::EDIT, &twice)
        .check("run 1 to be removed is not at level 1");
}

#[test]
fn what_an_edit_says_of_lsm_db_1x_must_fit() {
    #[track_caller]
    fn check(kind: u16, legacy: &[u8], expected: &str) {
        let payload = [&[0; 5], legacy].concat();
        Forger::new().record(kind, &payload).check(expected);
    }
    check(Forger::EDIT, &[1, 40, 2, 3, 99], "1 runs, torn: false");
    check(Forger::CLEAN, &[1, 40, 0], "1 runs, torn: false");
    check(Forger::EDIT, &[0, 2, 3, 3], "a run is unnamed twice");
    check(
        Forger::EDIT,
        &[0, 1, 100],
        "unnamed run 100 is not below its ceiling 100",
    );
    check(Forger::EDIT, &[0, 1, 1], "an unnamed run is at a level");
    check(
        Forger::CLEAN,
        &[0, 1, 3],
        "the mark of a clean close must not change runs",
    );
    let aside = [0, 0, 0, 0, 0, 1, 40, 1, 9];
    Forger::new()
        .record(Forger::EDIT, &aside)
        .record(Forger::EDIT, &adds(&[(1, 9, b"n", b"z")]))
        .check("an unnamed run is at a level");
    Forger::new()
        .record(Forger::EDIT, &aside)
        .record(Forger::EDIT, &[0, 0, 0, 0, 0, 1, 39, 0])
        .check("the end of the log of lsm-db 1.x must not change");
}

#[test]
fn ids_that_would_wrap_are_refused() {
    let ceilings = |run_id: u64, segment_id: u64, seqno: u64| {
        let mut payload = vec![0, 0, 0, 0, 1];
        for value in [run_id, segment_id, seqno] {
            payload.push(253);
            payload.extend_from_slice(&value.to_le_bytes());
        }
        payload.extend_from_slice(&[0, 0]);
        payload
    };
    for (payload, expected) in [
        (ceilings(u64::MAX, 10, 1000), "no run ids are left"),
        (ceilings(10_000_000_001, 10, 1000), "no run ids are left"),
        (ceilings(100, u64::MAX, 1000), "no segment ids are left"),
        (ceilings(100, 10, u64::MAX), "no seqnos are left"),
        (
            ceilings(99, 10, 1000),
            "the run id ceiling would go back from 100 to 99",
        ),
    ] {
        Forger::new().record(Forger::EDIT, &payload).check(expected);
    }
    let mark = Forger::new().record(Forger::CLEAN, &ceilings(1, 10, 1000));
    mark.check("run id 1 is not below its ceiling 1");
}

#[test]
fn unknown_records_are_skipped_or_refused_as_they_ask() {
    let offset = Forger::new().bytes.len();
    let refused = format!("unknown record kind 0x8003 at offset {offset} of /MANIFEST");
    Forger::new().record(0x8003, b"later").check(&refused);
    let skipped = Forger::new().record(0x0003, b"later");
    skipped
        .record(Forger::EDIT, &adds(&[(1, 9, b"n", b"z")]))
        .check("2 runs, torn: false");
}

#[test]
fn records_out_of_place_are_refused() {
    let edit = adds(&[(1, 9, b"n", b"z")]);
    let forger = Forger::new().frame(Forger::EDIT, 0, 3, &edit);
    forger.check("record 3 stands where 2 should");
    let forger = Forger::new().frame(Forger::EDIT, 1, 2, &edit);
    forger.check("a record is for a keyspace that does not exist");
    let forger = Forger::new()
        .record(Forger::CLEAN, &[0; 7])
        .record(Forger::EDIT, &edit);
    forger.check("a record follows the mark of a clean close");
    let forger = Forger::new().record(Forger::CLEAN, &edit);
    forger.check("the mark of a clean close must not change runs");
}

#[test]
fn payloads_that_are_not_edits_are_refused() {
    Forger::new()
        .record(Forger::EDIT, &[0; 8])
        .check("a record is longer than its edit");
    Forger::new()
        .record(Forger::EDIT, &vec![0; 65_537])
        .check("a record of 65537 bytes is too long");
    for payload in [
        &[][..],
        &[0; 6],
        &[0, 0, 2, 0, 0, 0, 0],
        &[253, 255, 255, 255, 255, 255, 255, 255, 127],
    ] {
        let forger = Forger::new().record(Forger::EDIT, payload);
        let error = load_bytes(&forger.bytes)
            .expect_err("is no edit")
            .to_string();
        assert!(error.contains("a record does not decode"), "{error}");
    }
}

#[test]
fn a_header_that_promises_more_than_the_file_is_a_bad_record() {
    // What lies there is a genuine header whose payload was never written.
    let mut forger = Forger::new().record(Forger::EDIT, &vec![0; 60_000]);
    forger.bytes.truncate(forger.bytes.len() - 59_000);
    forger.check("1 runs, torn: true");
}

/// The last rewrite but one wrote a generation that every reader refuses: the manifest was lost.
#[test]
fn a_generation_that_no_reader_takes_is_never_written() {
    let last = u64::MAX - 1;
    let mut bytes = Forger::new().bytes;
    bytes.truncate(64);
    bytes[16..24].copy_from_slice(&last.to_le_bytes());
    bytes[48..56].copy_from_slice(&64_u64.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..].copy_from_slice(&crc.to_le_bytes());

    let fs = disk_with(&bytes);
    let mut manifest = load(fs.clone()).expect("loads");
    let refused = manifest
        .commit(ceilings(2, 2, 2))
        .expect_err("none is left");
    let CommitError::Invalid(refused) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(refused.to_string(), "no generations are left");
    assert_eq!(manifest_bytes(&fs), bytes);
    load(fs).expect("loads again");
}

quickcheck::quickcheck! {
    fn no_bytes_make_loading_panic(at: usize, garbage: Vec<u8>, kind: bool) -> bool {
        let bytes = samples()[0].bytes.clone();
        let mut overwritten = bytes.clone();
        for (to, from) in overwritten.iter_mut().skip(at % bytes.len()).zip(&garbage) {
            *to = *from;
        }
        let _ = load_bytes(&overwritten);
        let kind = if kind { Forger::EDIT } else { Forger::CLEAN };
        let _ = load_bytes(&Forger::new().record(kind, &garbage).bytes);
        true
    }
}
