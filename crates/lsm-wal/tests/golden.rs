//! The bytes of a segment, frozen: a changed byte in what is written fails here, and so does a
//! reader that no longer reads what was written. The worked example of `docs/WAL.md` is the same
//! segment.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::path::Path;

use lsm_fs::{ByPath, FileSystem, SimFs};
use lsm_wal::{FrameBuffer, KIND_DATA, Log, LogBounds, LogOptions, Position, recover};

const GOLDEN: &[u8] = include_bytes!("golden/wal-0000000002.log");
const PAGE: &str = include_str!("../../../docs/WAL.md");

fn options(fs: SimFs) -> LogOptions {
    LogOptions {
        dir: fs.open_dir(Path::new("/")).unwrap(),
        database_id: *b"0123456789abcdef",
        segment_bytes_max: 1 << 20,
    }
}

fn append(log: &mut Log, records: &[(u64, &[u8])]) {
    let mut group = FrameBuffer::new();
    for (seqno, payload) in records {
        group.push(KIND_DATA, 0, *seqno, |out| out.extend_from_slice(payload));
    }
    log.append(&mut group, &mut || Ok(2)).unwrap();
}

/// Segment 2, continuing a log that ended at 1:144: "hello" synced, then a group of an empty
/// record and one of nine bytes, and a clean close.
fn write() -> SimFs {
    let fs = SimFs::new();
    let mut log = Log::new(options(fs.clone()), Some(Position::new(1, 144)));
    append(&mut log, &[(7, b"hello")]);
    log.sync().unwrap();
    append(&mut log, &[(8, b""), (10, b"nine byte")]);
    log.close().unwrap();
    fs
}

/// `cargo xtask conformance --bless` has the golden file written anew, and shows what changed.
#[expect(clippy::disallowed_methods, reason = "a golden file is no store's")]
fn bless(found: &[u8]) {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/wal-0000000002.log"
    );
    std::fs::write(path, found).unwrap();
}

#[test]
fn the_writer_writes_the_golden_bytes() {
    let fs = write();
    let file = fs.open(Path::new("/wal-0000000002.log")).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    if std::env::var_os("LSM_BLESS").is_some() {
        return bless(&bytes);
    }
    assert_eq!(hex_dump(&bytes), hex_dump(GOLDEN));
}

#[test]
fn the_reader_reads_the_golden_bytes() {
    let fs = SimFs::new();
    let file = fs.create_new(Path::new("/wal-0000000002.log")).unwrap();
    file.append_all(GOLDEN).unwrap();
    let bounds = LogBounds {
        retired_below: 2,
        ..LogBounds::default()
    };
    let mut records = Vec::new();
    let recovered = recover(&options(fs), &bounds, &mut |record| {
        records.push((
            record.position.offset,
            record.seqno,
            record.payload.to_vec(),
        ));
        Ok::<(), Infallible>(())
    })
    .unwrap();
    assert_eq!(
        records,
        [
            (80, 7, b"hello".to_vec()),
            (136, 8, Vec::new()),
            (184, 10, b"nine byte".to_vec())
        ]
    );
    assert!(recovered.clean);
    assert_eq!(recovered.end, Some(Position::new(2, 248)));
}

#[test]
fn the_worked_example_in_the_documentation_is_the_golden_file() {
    let dump = hex_dump(GOLDEN);
    assert!(PAGE.contains(&dump), "docs/WAL.md should show:\n{dump}");
}

/// Sixteen bytes a line, behind their offset.
fn hex_dump(bytes: &[u8]) -> String {
    let lines = bytes.chunks(16).enumerate().map(|(line, bytes)| {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{:04x}  {}\n", line * 16, hex.join(" "))
    });
    lines.collect()
}
