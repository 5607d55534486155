//! The bytes themselves: what the golden file and the page that specifies them hold still.

use lsm_fs::SimFs;
use lsm_version::VersionEdit;
use lsm_wal::{LogBounds, Position};

use crate::support::*;

const GOLDEN: &[u8] = include_bytes!("../golden/manifest-v2.bin");
const SPECIFICATION: &str = include_str!("../../../../docs/MANIFEST.md");

/// The second generation of a manifest of a database that `lsm-db` 1.x began: a snapshot, an edit,
/// and the mark of a clean close.
fn worked_example() -> SimFs {
    let fs = SimFs::new();
    let mut manifest = create(fs.clone());
    manifest
        .commit(ceilings(1000, 16, 65_536))
        .expect("commits");
    let of_1x = VersionEdit {
        legacy_log_end: Some(777),
        unnamed: vec![0],
        ..add(1, run(1, "apple", "mango"))
    };
    manifest.commit(of_1x).expect("commits");
    let mut manifest = load(fs.clone()).expect("loads");
    manifest
        .commit(add(0, run(2, "fig", "plum")))
        .expect("commits");
    let log = LogBounds {
        retired_below: 4,
        floor: Some(4),
        end: Some(Position::new(4, 4096)),
        discarded_through: 0,
    };
    let compaction = VersionEdit {
        removed: vec![(0, 2), (1, 1)],
        log: Some(log),
        flushed_seqno: Some(300),
        ..add(1, run(3, "apple", "plum"))
    };
    manifest.commit(compaction).expect("commits");
    let exact = VersionEdit {
        clean: true,
        ..ceilings(4, 5, 301)
    };
    manifest.commit(exact).expect("commits");
    fs
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (index, line) in bytes.chunks(16).enumerate() {
        let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        text += &format!("{:04x}: {}\n", index * 16, digits.join(" "));
    }
    text
}

/// `cargo xtask conformance --bless` has the golden file written anew, and shows what changed.
#[expect(clippy::disallowed_methods, reason = "a golden file is no store's")]
fn bless(found: &[u8]) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/manifest-v2.bin");
    std::fs::write(path, found).expect("writes");
}

#[test]
fn the_bytes_are_those_of_the_golden_file() {
    let found = manifest_bytes(&worked_example());
    if std::env::var_os("LSM_BLESS").is_some() {
        return bless(&found);
    }
    assert!(
        found == GOLDEN,
        "the format changed; now it writes\n{}",
        hex(&found)
    );
}

#[test]
fn the_golden_file_is_still_read() {
    let loaded = load(disk_with(GOLDEN)).expect("loads");
    assert!(loaded.was_clean() && !loaded.was_torn());
    assert_eq!(loaded.identity(), IDENTITY);
    let state = loaded.state();
    assert_eq!(state.version.level(1).runs(), [run(3, "apple", "plum")]);
    assert_eq!((state.version.run_count(), state.flushed_seqno), (1, 300));
    assert_eq!(state.log.end, Some(Position::new(4, 4096)));
    assert_eq!(state.legacy_log_end, Some(777));
    assert!(state.unnamed.iter().eq(&[0]));
    assert_eq!(state.ceilings, ceilings(4, 5, 301).ceilings.expect("given"));
}

#[test]
fn the_worked_example_of_the_specification_is_the_golden_file() {
    let start = SPECIFICATION
        .find("0000: ")
        .expect("the page has a worked example");
    let example = &SPECIFICATION[start..];
    let end = example.find("```").expect("the example ends");
    assert!(
        example[..end] == hex(GOLDEN),
        "the page should show\n{}",
        hex(GOLDEN)
    );
}
