//! Every relative link of a Markdown page leads somewhere: to a file or folder, and to a heading
//! where it names one. Addresses on the web are not asked for.

use std::path::Path;

use super::Violation;
use crate::workspace::SourceFile;

pub(super) fn check(file: &SourceFile, files: &[SourceFile], root: &Path) -> Vec<Violation> {
    if file.extension() != "md" {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for (line, target) in links(&file.text) {
        let (path, heading) = target.split_once('#').unwrap_or((target, ""));
        let path = if path.is_empty() {
            file.path.clone()
        } else {
            resolve(&file.path, path)
        };
        let page = files.iter().find(|file| file.path == path);
        let broken = if page.is_none() && !root.join(&path).exists() {
            Some(format!("the link leads nowhere: {target}"))
        } else {
            page.filter(|page| !heading.is_empty() && !has_heading(&page.text, heading))
                .map(|page| format!("{} has no heading #{heading}", page.path))
        };
        violations.extend(broken.map(|message| Violation::new(&file.path, line, message)));
    }
    violations
}

/// The relative targets of the page's links, with their lines.
fn links(page: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (line, text) in prose(page) {
        let inline = text.match_indices("](").filter_map(|(at, opening)| {
            let target = &text[at + opening.len()..];
            Some(&target[..target.find([')', ' '])?])
        });
        let definition = text
            .starts_with('[')
            .then(|| text.split_once("]: "))
            .flatten()
            .map(|(_, target)| target.split(' ').next().unwrap_or_default());
        found.extend(
            inline
                .chain(definition)
                .filter(|target| is_relative(target))
                .map(|target| (line, target)),
        );
    }
    found
}

/// The lines outside fenced code, numbered from 1.
fn prose(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    page.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        (!in_code && !is_fence).then_some((index + 1, line))
    })
}

/// Neither an address nor the name of a Rust item, which rustdoc resolves.
fn is_relative(target: &str) -> bool {
    let is_item = target.contains("::") || target.contains('@');
    !target.is_empty() && !is_item && !target.contains("://") && !target.starts_with("mailto:")
}

/// The path from the root that `target` means on the page at `page`.
fn resolve(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|&last| last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn has_heading(page: &str, anchor: &str) -> bool {
    prose(page)
        .filter(|(_, line)| line.starts_with('#'))
        .any(|(_, line)| anchor_of(line) == anchor)
}

/// The anchor that a heading gets: lower case, punctuation dropped, spaces as hyphens.
fn anchor_of(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .flat_map(char::to_lowercase)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_links_are_read_and_others_left_alone() {
        let page = "[a](b.md) and [c](https://x.y) [`D`](crate::D)\n\
                    ```\n[x](in-code.md)\n```\n[e]: f/g.md#h \"title\"\n[i](#j)\n";
        assert_eq!(links(page), [(1, "b.md"), (5, "f/g.md#h"), (6, "#j")]);
    }

    #[test]
    fn a_target_is_resolved_from_the_folder_of_its_page() {
        assert_eq!(resolve("docs/a.md", "b.md"), "docs/b.md");
        assert_eq!(resolve("docs/a.md", "../README.md"), "README.md");
        assert_eq!(resolve("a.md", "./docs/"), "docs");
        assert_eq!(resolve("a.md", "../outside.md"), "../outside.md");
    }

    #[test]
    fn a_heading_is_found_by_its_anchor() {
        let page = "# The `log`, in short\n```\n# code\n```\n";
        assert!(has_heading(page, "the-log-in-short"));
        assert!(!has_heading(page, "code"));
    }

    #[test]
    fn broken_links_and_missing_headings_are_found() {
        let page = |path: &str, text: &str| SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let files = [
            page("docs/a.md", "[x](b.md#one)\n[y](b.md#two)\n[z](c.md)\n"),
            page("docs/b.md", "# One\n"),
        ];
        let no_root = Path::new("no-such-folder");
        let found = check(&files[0], &files, no_root);
        let found: Vec<usize> = found.iter().map(|violation| violation.line).collect();
        assert_eq!(found, [2, 3]);
    }
}
