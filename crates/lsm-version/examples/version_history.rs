//! The history of a small database, told by its version edits alone.
//!
//! Runs are flushed to level 0, compacted into level 1, moved down to level 2; each edit is
//! committed to a manifest on a simulated disk. Then the power is cut, and the manifest is loaded
//! again.
//!
//! `cargo run -p lsm-version --example version_history`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::convert::Infallible;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use lsm_fs::{CrashImage, FileSystem, SimFs};
use lsm_version::{Ceilings, Identity, Manifest, RunId, RunMeta, Version, VersionEdit};

fn main() -> Result<(), Box<dyn Error>> {
    let disk = SimFs::new();
    let identity = Identity {
        database_id: *b"use random bytes",
        hash_seed: 42,
    };
    let mut manifest = Manifest::create(disk.open_dir(Path::new("/"))?, identity)?;
    print_version("created", &manifest.state().version);

    for (title, edit) in history() {
        manifest.commit(&edit)?;
        print_version(title, &manifest.state().version);
    }

    // An edit that does not fit is refused, and nothing is written.
    let overlapping = VersionEdit {
        added: vec![(2, run(9, "carrot", "zucchini"))],
        ..VersionEdit::default()
    };
    if let Err(error) = manifest.commit(&overlapping) {
        let cause = error.source().map(ToString::to_string);
        println!("refused: {}\n", cause.unwrap_or_default());
    }

    let after_power_cut = disk.crash(&CrashImage::NothingUnsynced);
    // No key here is so long that it would have to be read from its run.
    let keys_of = &mut |_: &_| Ok::<_, Infallible>(Default::default());
    let loaded = Manifest::load(after_power_cut.open_dir(Path::new("/"))?, keys_of)?;
    print_version("after a power cut", &loaded.state().version);
    println!(
        "writes up to seqno {} are in runs; the next run id is {}",
        loaded.state().flushed_seqno,
        loaded.state().ceilings.run_id
    );
    Ok(())
}

fn history() -> Vec<(&'static str, VersionEdit)> {
    let reserve = VersionEdit {
        ceilings: Some(Ceilings {
            run_id: 64,
            segment_id: 16,
            seqno: 10_000,
        }),
        ..VersionEdit::default()
    };
    let flush = |id, smallest, largest, seqno| VersionEdit {
        added: vec![(0, run(id, smallest, largest))],
        flushed_seqno: Some(seqno),
        ..VersionEdit::default()
    };
    let compaction = VersionEdit {
        removed: vec![(0, 1), (0, 2)],
        added: vec![(1, run(3, "apple", "kale")), (1, run(4, "leek", "pear"))],
        ..VersionEdit::default()
    };
    let moved_down = VersionEdit {
        removed: vec![(1, 4)],
        added: vec![(2, run(4, "leek", "pear"))],
        ..VersionEdit::default()
    };
    vec![
        ("ids reserved", reserve),
        ("flushed", flush(1, "apple", "pear", 100)),
        ("flushed", flush(2, "fig", "leek", 250)),
        ("compacted level 0 into level 1", compaction),
        ("moved run 4 to level 2", moved_down),
        ("flushed", flush(5, "beet", "chard", 300)),
    ]
}

fn run(id: RunId, smallest: &'static str, largest: &'static str) -> Arc<RunMeta> {
    Arc::new(RunMeta {
        id,
        file_len: 64 << 10,
        entry_count: 1000,
        tombstone_count: 0,
        index_len: 400,
        index_crc: 0,
        smallest_key: smallest.into(),
        largest_key: largest.into(),
    })
}

fn print_version(title: &str, version: &Version) {
    println!(
        "{title}: {} runs, {} bytes",
        version.run_count(),
        version.bytes()
    );
    for (index, level) in version.levels().iter().enumerate() {
        let runs = level.runs().iter().map(|run| {
            let [smallest, largest] =
                [&run.smallest_key, &run.largest_key].map(|key| key.escape_ascii());
            format!("{} [{smallest} .. {largest}]", run.id)
        });
        println!("  level {index}: {}", runs.collect::<Vec<_>>().join(", "));
    }
    println!();
}
