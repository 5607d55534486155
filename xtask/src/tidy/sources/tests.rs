//! The rules for single files, on small strings.

use super::*;

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

fn lines(violations: &[Violation]) -> Vec<usize> {
    violations.iter().map(|violation| violation.line).collect()
}

#[test]
fn a_file_may_have_500_lines_and_no_more() {
    let fits = format!("//! x\n{}", "\n".repeat(499));
    assert_eq!(check_shape(&file("a.rs", &fits)), []);
    let too_long = format!("{fits}\n");
    assert_eq!(check_shape(&file("a.rs", &too_long)).len(), 1);
}

#[test]
fn a_file_opens_with_its_documentation() {
    assert_eq!(check_shape(&file("a.rs", "#![doc = \"x\"]\n")), []);
    assert_eq!(
        lines(&check_shape(&file("a.rs", "use std::fmt;\n//! x\n"))),
        [1]
    );
    assert_eq!(lines(&check_shape(&file("a.rs", ""))), [1]);
}

#[test]
fn left_overs_are_found_as_whole_words() {
    let text = format!(
        "//! x\n// {}: later\nlet {}ISH = 1;\n    {}x);\n",
        LEFT_OVERS[0], LEFT_OVERS[3], LEFT_OVER_MACROS[2]
    );
    assert_eq!(lines(&check_words(&file("a.rs", &text))), [2, 4]);
}

#[test]
fn what_a_merge_left_unmade_is_found() {
    let [ours, theirs] = CONFLICT_MARKS;
    let text = format!("a\n{ours}HEAD\nb\n{theirs}else\nx {ours}y\n");
    assert_eq!(lines(&check_words(&file("a.md", &text))), [2, 4]);
}

#[test]
fn paths_of_one_machine_are_found_but_not_their_namesakes() {
    let [work, root, shared] = MACHINE_PATHS;
    for line in [
        format!("cd {work}/main"),
        format!("see `../{shared}DESIGN.md`"),
        format!("in {shared}DATA"),
        format!("HOME={root}"),
    ] {
        assert_eq!(lines(&check_words(&file("a.md", &line))), [1], "{line}");
    }
    for line in [
        format!("target{work}/x"),
        format!("src{work}space.rs"),
        format!("the crate{root}"),
        format!("not_{shared}x"),
    ] {
        assert_eq!(check_words(&file("a.md", &line)), [], "{line}");
    }
}

#[test]
fn documentation_names_no_temporary_folder_but_a_program_may() {
    let line = format!("    let dir = \"{TEMPORARY_FOLDER}db\";");
    assert_eq!(check_words(&file("a.rs", &line)), []);
    assert_eq!(
        lines(&check_words(&file("a.rs", &format!("    ///{line}")))),
        [1]
    );
    assert_eq!(lines(&check_words(&file("a.md", &line))), [1]);
}

#[test]
fn only_the_file_system_crate_opens_files() {
    let text = "//! x\nlet f = std::fs::read(path)?;\nlet f = File::open(path)?;\n";
    assert_eq!(
        lines(&check_layer(&file("crates/lsm-wal/src/a.rs", text))),
        [2, 3]
    );
    assert_eq!(check_layer(&file("crates/lsm-fs/src/a.rs", text)), []);
    assert_eq!(check_layer(&file("crates/lsm-wal/tests/a.rs", text)), []);
    assert_eq!(
        check_layer(&file("crates/lsm-wal/src/a/tests.rs", text)),
        []
    );
    assert_eq!(check_layer(&file("xtask/src/a.rs", text)), []);
}

#[test]
fn an_import_of_the_file_system_in_braces_is_found() {
    let text = "//! x\nuse std::{\n    fmt,\n    fs,\n};\nlet fs = 1;\n";
    assert_eq!(
        lines(&check_layer(&file("crates/lsm-wal/src/a.rs", text))),
        [4]
    );
}

#[test]
fn the_seam_of_our_own_is_not_the_file_system() {
    let text = "//! std::fs\nuse lsm_fs::{FileSystem, OpenMode};\nself.fs.read(path)?;\n\
                lsm_fs::read(x);\nMyFile::open(path);\n";
    assert_eq!(check_layer(&file("crates/lsm-wal/src/a.rs", text)), []);
}

#[test]
fn the_facade_leaves_bytes_alone() {
    let text = "//! x\nlet n = u64::from_le_bytes(b);\nlet c = crc32fast::hash(b);\n\
                #[cfg(test)]\nmod tests {\n    fn f() { x.to_le_bytes(); }\n}\n";
    assert_eq!(
        lines(&check_layer(&file("crates/lsm-db/src/a.rs", text))),
        [2, 3]
    );
    assert_eq!(check_layer(&file("crates/lsm-wal/src/a.rs", text)), []);
}
