//! Reading source text line by line: what is code, what is a comment, what is a test, what is a
//! whole word.
//!
//! The checks of `tidy` call it. It is no parser: it leans on the layout that `cargo fmt`
//! enforces, which the gate checks first.

/// The lines of a Rust file that are compiled into the library, numbered from 1, without their
/// comments.
///
/// Items under `#[cfg(test)]` are left out. Their end is known by the indentation: the formatter
/// puts an item's closing brace under its first character.
pub(crate) fn library_code(source: &str) -> Vec<(usize, &str)> {
    let mut kept = Vec::new();
    let mut lines = source.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if is_test_attribute(line) {
            let indentation = &line[..line.len() - line.trim_start().len()];
            skip_item(&mut lines, indentation);
            continue;
        }
        let code = without_comment(line);
        if !code.trim().is_empty() {
            kept.push((index + 1, code));
        }
    }
    kept
}

fn is_test_attribute(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test")
}

fn skip_item<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>, indentation: &str) {
    for (_, line) in lines {
        let Some(item) = line.strip_prefix(indentation) else {
            continue;
        };
        if item.starts_with(char::is_whitespace) || item.starts_with("#[") {
            continue;
        }
        let code = without_comment(item).trim_end();
        if code.starts_with('}') || code.ends_with([';', ',']) || code.ends_with("{}") {
            return;
        }
    }
}

/// A line without its `//` comment; the `//` of an address in a string is left alone.
pub(crate) fn without_comment(line: &str) -> &str {
    let mut searched = 0;
    while let Some(found) = line[searched..].find("//") {
        let at = searched + found;
        if !line[..at].ends_with(':') {
            return &line[..at];
        }
        searched = at + 2;
    }
    line
}

/// Whether `word` stands in `line` with no letter, digit or underscore on either side.
pub(crate) fn contains_word(line: &str, word: &str) -> bool {
    let is_part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part_of_word) && !after.is_some_and(is_part_of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_code_leaves_out_comments_and_blank_lines() {
        let source = "//! Opens std::fs.\n\nfn f() {} // std::fs\n";
        assert_eq!(library_code(source), [(3, "fn f() {} ")]);
    }

    #[test]
    fn library_code_leaves_out_a_test_module_and_resumes_after_it() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn f() {\n    }\n}\nfn b() {}\n";
        assert_eq!(library_code(source), [(1, "fn a() {}"), (7, "fn b() {}")]);
    }

    #[test]
    fn library_code_leaves_out_a_test_module_kept_in_another_file() {
        let source = "#[cfg(test)]\nmod tests;\nfn b() {}\n";
        assert_eq!(library_code(source), [(3, "fn b() {}")]);
    }

    #[test]
    fn library_code_leaves_out_a_test_item_with_further_attributes() {
        let source =
            "impl T {\n    #[cfg(test)]\n    #[must_use]\n    fn f() {\n    }\n    g!();\n}\n";
        let numbers: Vec<usize> = library_code(source).iter().map(|line| line.0).collect();
        assert_eq!(numbers, [1, 6, 7]);
    }

    #[test]
    fn an_address_is_not_a_comment() {
        assert_eq!(without_comment("\"http://a//b\""), "\"http://a");
        assert_eq!(without_comment("\"http://a\""), "\"http://a\"");
    }

    #[test]
    fn a_word_has_no_letters_around_it() {
        assert!(contains_word("use fs;", "fs"));
        assert!(!contains_word("use lsm_fs;", "fs"));
        assert!(!contains_word("offset", "fs"));
        assert!(contains_word("lsm_fs, fs", "fs"));
    }
}
