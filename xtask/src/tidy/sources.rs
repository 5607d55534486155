//! What a file may hold: its size and opening, no left-overs, no path of one machine, and no
//! reach past the layer it stands in.

use super::Violation;
use crate::text::{contains_word, library_code, without_comment};
use crate::workspace::SourceFile;

/// A file longer than this is more than one idea.
const MAX_LINES: usize = 500;

/// Words that mark unfinished work. Split, so that this file does not hold them itself.
const LEFT_OVERS: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
];
/// Macros that mark unfinished work, with their opening parenthesis.
const LEFT_OVER_MACROS: [&str; 3] = [
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
];
/// What begins a line where two versions of a file were never made one.
const CONFLICT_MARKS: [&str; 2] = [concat!("<<<<", "<<< "), concat!(">>>>", ">>> ")];
/// Folders of one machine, which mean nothing to whoever clones the repository.
const MACHINE_PATHS: [&str; 3] = [
    concat!("/", "work"),
    concat!("/", "root"),
    concat!("shared", "/"),
];
/// Named in documentation only: a program may well use it.
const TEMPORARY_FOLDER: &str = concat!("/tmp", "/");

/// What opens a file of the operating system, with or without `std::fs` before it.
const FILE_CALLS: [&str; 6] = [
    "std::fs",
    "rustix::",
    "File::open(",
    "File::create(",
    "File::options(",
    "fs::read",
];
/// What turns numbers into bytes or checks them: a codec's work.
const CODEC_CALLS: [&str; 6] = [
    "to_le_bytes",
    "from_le_bytes",
    "to_be_bytes",
    "from_be_bytes",
    "crc32fast",
    "crc32c::",
];

pub(super) fn check(file: &SourceFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    let extension = file.extension();
    if extension == "rs" {
        violations.extend(check_shape(file));
        violations.extend(check_layer(file));
    }
    let is_script = file.path.starts_with(".ci/");
    if is_script || matches!(extension, "rs" | "toml" | "md" | "yml" | "sh" | "txt") {
        violations.extend(check_words(file));
    }
    violations
}

fn check_shape(file: &SourceFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    let lines = file.text.lines().count();
    if lines > MAX_LINES {
        let message = format!("{lines} lines, more than {MAX_LINES}: is it one idea?");
        violations.push(Violation::of_file(&file.path, message));
    }
    let opening = file.text.lines().find(|line| !line.trim().is_empty());
    let is_documented =
        opening.is_some_and(|line| line.starts_with("//!") || line.starts_with("#![doc"));
    // A `tests.rs` stands beside the module that it tests, and that one says what it is for.
    let is_sibling = file.path.ends_with("/tests.rs") && file.path.contains("/src/");
    if !is_documented && !is_sibling {
        let message = "does not open with `//!`: what it is for, who calls it, what it never does";
        violations.push(Violation::new(&file.path, 1, message));
    }
    violations
}

fn check_words(file: &SourceFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    let is_page = file.extension() == "md";
    for (index, line) in file.text.lines().enumerate() {
        let mut report = |what: &str| {
            violations.push(Violation::new(
                &file.path,
                index + 1,
                format!("{what} is left over"),
            ));
        };
        LEFT_OVERS
            .into_iter()
            .filter(|word| contains_word(line, word))
            .for_each(&mut report);
        LEFT_OVER_MACROS
            .into_iter()
            .filter(|call| line.contains(call))
            .for_each(&mut report);
        CONFLICT_MARKS
            .into_iter()
            .filter(|mark| line.starts_with(mark))
            .for_each(&mut report);
        MACHINE_PATHS
            .into_iter()
            .filter(|path| contains_path(line, path))
            .for_each(&mut report);
        let is_documentation = is_page || line.trim_start().starts_with("//");
        if is_documentation && line.contains(TEMPORARY_FOLDER) {
            report(TEMPORARY_FOLDER);
        }
    }
    violations
}

/// Whether the path stands in the line on its own, and not as the end of a longer path or word.
fn contains_path(line: &str, path: &str) -> bool {
    let is_part_of_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '*');
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + path.len()..].chars().next();
        let ends = path.ends_with('/') || !after.is_some_and(is_part_of_path);
        ends && !before.is_some_and(|c| is_part_of_path(c) || matches!(c, '}' | ')' | '.'))
    }) || line.contains(&format!("../{path}"))
}

/// The name of the crate whose library the file is part of, if it is part of one.
fn library_of(path: &str) -> Option<&str> {
    let (name, rest) = path.strip_prefix("crates/")?.split_once('/')?;
    let module = rest.strip_prefix("src/")?;
    let is_test = module
        .split('/')
        .any(|part| matches!(part, "tests" | "tests.rs"));
    (!is_test).then_some(name)
}

fn check_layer(file: &SourceFile) -> Vec<Violation> {
    let Some(name) = library_of(&file.path) else {
        return Vec::new();
    };
    let mut violations = Vec::new();
    let mut inside_std_use = false;
    for (line, code) in library_code(&file.text) {
        let mut report = |message: String| {
            violations.push(Violation::new(&file.path, line, message));
        };
        if name != "lsm-fs" {
            inside_std_use |= code.trim_start().starts_with("use std::{");
            let imports = inside_std_use && contains_word(code, "fs");
            inside_std_use &= !without_comment(code).contains(';');
            let call = FILE_CALLS.into_iter().find(|call| calls(code, call));
            if let Some(call) = call.or(imports.then_some("std::fs")) {
                report(format!("`{call}`: files are opened in lsm-fs only"));
            }
        }
        if name == "lsm-db" {
            for call in CODEC_CALLS.into_iter().filter(|call| code.contains(call)) {
                report(format!(
                    "`{call}`: the facade leaves bytes to the crates below it"
                ));
            }
        }
    }
    violations
}

/// Whether the code holds the call, and not as the end of a longer name.
fn calls(code: &str, call: &str) -> bool {
    code.match_indices(call).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
    })
}

#[cfg(test)]
mod tests;
