//! `cargo xtask tidy`: the rules of the source tree that the compiler does not check.
//!
//! Each check is a function from text to violations, so it is tested on small strings; this file
//! only gathers the input and prints what was found. It never changes a file.

mod crates;
mod layers;
mod links;
mod manifests;
mod named_tests;
mod sources;

use crate::workspace;

/// A broken rule, and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    /// Relative to the workspace's root.
    path: String,
    /// Counted from 1; 0 where the rule concerns the whole file.
    line: usize,
    message: String,
}

impl Violation {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }

    fn of_file(path: &str, message: impl Into<String>) -> Self {
        Self::new(path, 0, message)
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.path, self.message)
        } else {
            write!(f, "{}:{}: {}", self.path, self.line, self.message)
        }
    }
}

/// Runs every check and lists all violations.
///
/// # Errors
///
/// If a rule is broken, or the tree cannot be read.
pub(crate) fn run() -> Result<(), String> {
    let root = workspace::root();
    let metadata = workspace::metadata(&root)?;
    let files = workspace::files(&root)?;

    let mut violations = Vec::new();
    violations.extend(layers::check(&metadata, &files));
    violations.extend(crates::check(&metadata, &files));
    violations.extend(named_tests::check(&files));
    for file in &files {
        violations.extend(sources::check(file));
        violations.extend(manifests::check(file));
        violations.extend(links::check(file, &files, &root));
    }
    violations.sort();

    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => {
            println!("tidy: {} files, no violation", files.len());
            Ok(())
        }
        count => Err(format!("tidy: {count} violation(s)")),
    }
}
