//! Every test that a Markdown page names exists: a test that was renamed or replaced takes its name on
//! the pages with it. A name is taken for a test's if it stands in backticks and has at least five words.

use std::collections::BTreeSet;

use super::Violation;
use crate::workspace::SourceFile;

/// Shorter names are mostly modules, fields and functions, which compilers and rustdoc know.
const WORDS_MIN: usize = 5;

pub(super) fn check(files: &[SourceFile]) -> Vec<Violation> {
    let sources = files.iter().filter(|file| file.extension() == "rs");
    let functions: BTreeSet<&str> = sources.flat_map(|file| functions(&file.text)).collect();
    let pages = files.iter().filter(|file| file.extension() == "md");
    // What a change log says of an old version stays true of it.
    let pages = pages.filter(|page| page.path != "CHANGELOG.md");
    let mut violations = Vec::new();
    for page in pages {
        for (line, text) in (1..).zip(page.text.lines()) {
            for name in names(text).filter(|name| !functions.contains(name)) {
                let message = format!("no function is called {name}");
                violations.push(Violation::new(&page.path, line, message));
            }
        }
    }
    violations
}

/// The names behind each `fn`.
fn functions(source: &str) -> impl Iterator<Item = &str> {
    source.match_indices("fn ").map(|(at, keyword)| {
        let rest = &source[at + keyword.len()..];
        let end = rest.find(|c: char| !is_of_name(c));
        &rest[..end.unwrap_or(rest.len())]
    })
}

/// What stands in backticks and looks like the name of a test.
fn names(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|name| {
        let words = name.split('_').filter(|word| !word.is_empty()).count();
        words >= WORDS_MIN && name.chars().all(is_of_name)
    })
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(page: &str) -> [SourceFile; 2] {
        let file = |path: &str, text: &str| SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        [
            file("docs/TESTING.md", page),
            file("src/lib.rs", "#[test]\nfn a_name_of_five_words() {}\n"),
        ]
    }

    #[test]
    fn a_test_that_is_gone_is_found_on_its_line() {
        let found = check(&files(
            "first\n`a_name_of_five_words`, `one_that_is_not_there`\n",
        ));
        let expected = "no function is called one_that_is_not_there";
        assert_eq!(found, [Violation::new("docs/TESTING.md", 2, expected)]);
    }

    #[test]
    fn what_is_no_name_of_a_test_is_passed() {
        let page =
            "`four_words_are_few` one_that_is_not_there `a_b_c_d::e_f` `MAX_OF_ALL_FIVE_WORDS`";
        assert_eq!(check(&files(page)), []);
    }
}
