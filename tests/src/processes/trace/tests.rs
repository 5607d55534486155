use std::collections::BTreeSet;
use std::path::Path;

use super::judge::{Checked, judge};
use super::meaning::{Meaning, Named, Promise};
use super::*;
use crate::processes::record::{Outcome, Record};

/// Manifests that say in plain text which runs there are (`r1`) and which segments (`s1`); what an
/// action writes to the log is its number in words.
struct Plain;

impl Meaning for Plain {
    fn promise(&self, record: &Record) -> Promise {
        match record {
            Record::End {
                number,
                outcome: Outcome::Done,
                ..
            } => Promise::Durable(format!("write {number};").into_bytes()),
            Record::End { .. } => Promise::AllBefore,
            _ => Promise::Nothing,
        }
    }

    fn named(&self, manifest: &[u8], segments: &BTreeSet<u64>) -> Result<Named, String> {
        // The last line counts.
        let text = String::from_utf8_lossy(manifest).into_owned();
        let line = text.lines().last().ok_or("an empty manifest")?.to_owned();
        let ids = |letter: char| -> BTreeSet<u64> {
            let words = line
                .split(' ')
                .filter_map(move |word| word.strip_prefix(letter));
            words.filter_map(|id| id.parse().ok()).collect()
        };
        Ok(Named {
            runs: ids('r'),
            segments: ids('s').intersection(segments).copied().collect(),
        })
    }
}

const SEGMENT: &str = "wal-0000000001.log";
const NEWER_SEGMENT: &str = "wal-0000000002.log";
const RUN: &str = "run-0000000001.sst";

fn create(name: &str) -> String {
    format!("7 openat(9</db>, \"{name}\", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 5</db/{name}>")
}

fn write(name: &str, text: &str, offset: usize) -> String {
    let len = text.len();
    format!(
        "7 pwrite64(5</db/{name}>, \"{}\", {len}, {offset}) = {len}",
        text.escape_default()
    )
}

fn sync(name: &str) -> String {
    format!("7 fdatasync(5</db/{name}>)         = 0")
}

fn sync_dir() -> String {
    "8 fsync(9</db>) = 0".to_owned()
}

fn rename() -> String {
    "7 renameat(9</db>, \"MANIFEST.tmp\", 9</db>, \"MANIFEST\") = 0".to_owned()
}

fn unlink(name: &str) -> String {
    format!("8 unlinkat(9</db>, \"{name}\", 0) = 0")
}

fn says(record: &Record) -> String {
    let bytes = record.encode();
    let octal: String = bytes.iter().map(|byte| format!("\\{byte:03o}")).collect();
    format!(
        "7 write(0<socket:[12]>, \"{octal}\", {}) = {}",
        bytes.len(),
        bytes.len()
    )
}

fn acknowledged(number: u32) -> String {
    says(&Record::End {
        lane: 0,
        number,
        outcome: Outcome::Done,
    })
}

/// A manifest in its place, and a segment with a name.
fn opening() -> Vec<String> {
    vec![
        "7 mkdir(\"/db\", 0777) = 0".to_owned(),
        create("MANIFEST.tmp"),
        write("MANIFEST.tmp", "s1 s2", 0),
        sync("MANIFEST.tmp"),
        rename(),
        sync_dir(),
        create(SEGMENT),
        sync_dir(),
    ]
}

fn judged(lines: &[Vec<String>]) -> Result<Checked, String> {
    let text = lines.concat().join("\n");
    judge(&read(&text)?, Path::new("/db"), &Plain)
}

/// A good life: two acknowledged writes in two segments, a flush, and the segments' end.
fn good() -> Vec<String> {
    vec![
        write(SEGMENT, "write 1;", 0),
        sync(SEGMENT),
        acknowledged(1),
        create(RUN),
        write(RUN, "entries", 0),
        sync(RUN),
        sync_dir(),
        write("MANIFEST", "\ns2 r1", 5),
        sync("MANIFEST"),
        create(NEWER_SEGMENT),
        write(NEWER_SEGMENT, "write 2;", 0),
        sync(NEWER_SEGMENT),
        sync_dir(),
        acknowledged(2),
        unlink(SEGMENT),
    ]
}

/// The good life with the lines for which `is_moved` put behind the one that says `behind`, or left
/// out.
fn disturbed(moved: &str, behind: Option<&str>) -> Vec<String> {
    let mut lines = good();
    let at = lines.iter().position(|line| line == moved).unwrap();
    let line = lines.remove(at);
    if let Some(behind) = behind {
        let at = lines.iter().position(|line| line == behind).unwrap();
        lines.insert(at + 1, line);
    }
    lines
}

fn refused(lines: Vec<String>, why: &str) {
    let outcome = judged(&[opening(), lines]);
    let error = outcome.expect_err(why);
    assert!(error.contains(why), "{error}, not {why}");
}

#[test]
fn a_life_in_the_right_order_passes_and_is_counted() {
    let checked = judged(&[opening(), good()]).unwrap();
    let expected = Checked {
        acknowledgements: 2,
        unlinked: 1,
        manifests: 2,
        log_writes: 2,
    };
    assert_eq!(checked, expected);
}

#[test]
fn an_acknowledgement_before_the_sync_is_found() {
    let too_late = disturbed(&sync(SEGMENT), Some(&acknowledged(1)));
    refused(too_late, "acknowledged before wal-0000000001.log");
    refused(
        disturbed(&sync(SEGMENT), None),
        "acknowledged before wal-0000000001.log",
    );
    // A sync that failed is none.
    let mut failed = good();
    failed[1] = format!("7 fdatasync(5</db/{SEGMENT}>) = -1 EIO (Input/output error) (INJECTED)");
    refused(failed, "acknowledged before wal-0000000001.log");
}

#[test]
fn an_acknowledgement_while_the_sync_is_still_under_way_is_found() {
    let mut lines = good();
    lines[1] = format!("9 fdatasync(5</db/{SEGMENT}> <unfinished ...>");
    lines.insert(3, "9 <... fdatasync resumed>) = 0".to_owned());
    refused(lines.clone(), "acknowledged before wal-0000000001.log");
    lines.swap(2, 3);
    judged(&[opening(), lines]).unwrap();
}

#[test]
fn a_sync_that_began_before_the_write_ended_does_not_count() {
    let mut lines = good();
    lines[0] = format!("7 pwrite64(5</db/{SEGMENT}>, \"write 1;\", 8, 0 <unfinished ...>");
    lines[1] = format!("9 fdatasync(5</db/{SEGMENT}> <unfinished ...>");
    lines.insert(2, "7 <... pwrite64 resumed>) = 8".to_owned());
    lines.insert(3, "9 <... fdatasync resumed>) = 0".to_owned());
    refused(lines.clone(), "acknowledged before wal-0000000001.log");
    lines.swap(1, 2);
    judged(&[opening(), lines]).unwrap();
}

#[test]
fn a_segment_whose_name_was_not_synced_is_found() {
    let mut lines = good();
    let at = lines.iter().rposition(|line| *line == sync_dir()).unwrap();
    let line = lines.remove(at);
    refused(lines.clone(), "acknowledged before wal-0000000002.log");
    lines.insert(at + 1, line);
    refused(lines, "acknowledged before wal-0000000002.log");
}

#[test]
fn an_older_segment_that_was_not_synced_is_found_while_it_is_needed() {
    let older = |manifest: &str| {
        vec![
            write(SEGMENT, "write 1;", 0),
            create(NEWER_SEGMENT),
            sync_dir(),
            write("MANIFEST", manifest, 5),
            sync("MANIFEST"),
            write(NEWER_SEGMENT, "write 2;", 0),
            sync(NEWER_SEGMENT),
            acknowledged(2),
        ]
    };
    refused(older("\ns1 s2"), "acknowledged before wal-0000000001.log");
    judged(&[opening(), older("\ns2")]).unwrap();
}

#[test]
fn an_answer_that_depends_on_what_is_not_synced_is_found() {
    let begin = says(&Record::Begin { lane: 0, number: 2 });
    let unmet = says(&Record::End {
        lane: 0,
        number: 2,
        outcome: Outcome::Unmet,
    });
    let lines = vec![write(SEGMENT, "write 1;", 0), begin, unmet, sync(SEGMENT)];
    refused(lines.clone(), "acknowledged before wal-0000000001.log");
    let mut good = lines;
    good.swap(2, 3);
    judged(&[opening(), good]).unwrap();
}

#[test]
fn an_acknowledgement_of_what_was_never_written_is_found() {
    refused(vec![acknowledged(3)], "never written to the log");
}

#[test]
fn an_unlink_before_the_edit_or_before_its_sync_is_found() {
    let edit = write("MANIFEST", "\ns2 r1", 5);
    refused(
        disturbed(&unlink(SEGMENT), Some(&acknowledged(1))),
        "the durable manifest needs it",
    );
    refused(
        disturbed(&unlink(SEGMENT), Some(&edit)),
        "the durable manifest needs it",
    );
    judged(&[
        opening(),
        disturbed(&unlink(SEGMENT), Some(&sync("MANIFEST"))),
    ])
    .unwrap();
}

#[test]
fn an_unlink_before_the_directory_of_the_new_manifest_is_synced_is_found() {
    let rewritten = |last: [String; 3]| {
        let mut lines = good();
        lines.truncate(7);
        lines.extend([
            create("MANIFEST.tmp"),
            write("MANIFEST.tmp", "s2 r1", 0),
            sync("MANIFEST.tmp"),
        ]);
        lines.extend(last);
        lines
    };
    judged(&[
        opening(),
        rewritten([rename(), sync_dir(), unlink(SEGMENT)]),
    ])
    .unwrap();
    let too_early = rewritten([rename(), unlink(SEGMENT), sync_dir()]);
    refused(too_early, "the directory of a new manifest is not synced");
    let too_early = rewritten([unlink(SEGMENT), rename(), sync_dir()]);
    refused(too_early, "the durable manifest needs it");
}

#[test]
fn a_run_named_before_it_or_its_name_is_synced_is_found() {
    refused(disturbed(&sync(RUN), None), "named before it is synced");
    let lines = disturbed(&sync_dir(), None);
    refused(lines, "named before its directory is synced");
}

#[test]
fn a_manifest_that_gets_its_name_before_it_is_synced_is_found() {
    let mut lines = opening();
    lines.swap(3, 4);
    let outcome = judged(&[lines]);
    assert!(outcome.is_err_and(|error| error.contains("before it is synced")));
}

#[test]
fn calls_on_the_store_that_are_not_known_are_refused_and_elsewhere_let_be() {
    for unknown in [
        format!("7 pwritev(5</db/{SEGMENT}>, [{{iov_base=\"x\", iov_len=1}}], 1, 0) = 1"),
        format!("7 write(5</db/{SEGMENT}>, \"x\", 1) = 1"),
        format!(
            "7 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 5</db/{SEGMENT}>, 0) = 0x7f00"
        ),
        format!("7 openat(AT_FDCWD</>, \"/db/{SEGMENT}\", O_WRONLY|O_TRUNC) = 6</db/{SEGMENT}>"),
        format!("7 sync_file_range(5</db/{SEGMENT}>, 0, 0, SYNC_FILE_RANGE_WRITE) = 0"),
        write(SEGMENT, "write 1;", 4),
    ] {
        let outcome = judged(&[opening(), vec![unknown.clone()]]);
        assert!(outcome.is_err(), "{unknown}");
    }
    let elsewhere = "7 write(2</dev/null>, \"x\", 1) = 1".to_owned();
    judged(&[opening(), vec![elsewhere]]).unwrap();
}

#[test]
fn a_line_that_is_not_understood_is_refused() {
    for line in [
        "fdatasync(5</db/x>) = 0",
        "7 fdatasync(5</db/x>)",
        "7 fdatasync 5 = 0",
        "7 fdatasync(5</db/x> = 0",
        "7 fdatasync(5</db/x>) = nothing",
        "7 <... fdatasync resumed>) = 0",
        "7 write(0<socket:[1]>, \"half) = 1",
        "7 --- SIGUSR1",
        "7 ???(",
        "7 fsync(5</db/x> <detached ...>",
        "\n",
    ] {
        assert!(read(line).is_err(), "{line}");
    }
    let twice = "7 fsync(1</x> <unfinished ...>\n7 fsync(1</x>) = 0";
    assert!(read(twice).is_err());
}

#[test]
fn lines_of_every_shape_are_read() {
    let text = "7  openat(AT_FDCWD</tmp/a b>, \"a,\\\")\\n\", O_RDONLY) = -1 ENOENT (No such file)\n\
                7 mmap(NULL, 8, PROT_READ, MAP_PRIVATE, 3</x>, 0) = 0x7f10\n\
                8 fcntl(3</x>, F_GETFL) = 0x8002 (flags O_RDWR|O_LARGEFILE)\n\
                8 statx(AT_FDCWD</>, \"/x\", AT_X, STATX_ALL, {stx_mask=1, stx_size=3, ...}) = 0\n\
                7 exit_group(0) = ?\n\
                8 --- SIGCHLD {si_signo=SIGCHLD} ---\n\
                9 ???( <detached ...>\n\
                8 +++ exited with 0 +++";
    let events = read(text).unwrap();
    let ended: Vec<_> = events
        .iter()
        .filter_map(|event| event.outcome.clone())
        .collect();
    let expected = [Err("ENOENT".to_owned()), Ok(0x7f10), Ok(0x8002), Ok(0)];
    assert_eq!(ended, expected);
    let first = &events[0].call.arguments;
    assert_eq!(unquoted(&first[1]), Ok(b"a,\")\n".to_vec()));
    assert_eq!(first.len(), 3);
    assert_eq!(path_of_descriptor("5</db/x (deleted)>"), Some("/db/x"));
    assert_eq!(path_of_descriptor("5</db/x>(deleted)"), Some("/db/x"));
    assert!(unquoted("\"cut short\"...").is_err());
}
