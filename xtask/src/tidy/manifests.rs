//! Every package from outside the workspace has its reason beside it.
//!
//! The reason is a comment on the line above the dependency or at the end of its line. It stands
//! once: where the version is given, that is in the root manifest, or in a crate's own manifest if
//! the dependency is not inherited from there.

use super::Violation;
use crate::workspace::SourceFile;

pub(super) fn check(file: &SourceFile) -> Vec<Violation> {
    let is_manifest = file.path == "Cargo.toml" || file.path.ends_with("/Cargo.toml");
    if is_manifest {
        check_text(&file.path, &file.text)
    } else {
        Vec::new()
    }
}

fn check_text(path: &str, text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut in_dependencies = false;
    let mut previous = "";
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let above = std::mem::replace(&mut previous, line);
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]");
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        if !in_dependencies || line.starts_with('#') {
            continue;
        }
        let is_inherited =
            name.trim().ends_with(".workspace") || value.contains("workspace = true");
        let is_ours = value.contains("path = ");
        let has_reason = above.starts_with('#') || value.contains(" # ");
        if !is_inherited && !is_ours && !has_reason {
            let message = format!("`{}` has no comment above it that says why", name.trim());
            violations.push(Violation::new(path, index + 1, message));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    fn lines(text: &str) -> Vec<usize> {
        let found = check_text("Cargo.toml", text);
        found.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_reason_stands_above_or_at_the_end() {
        assert_eq!(
            lines("[workspace.dependencies]\n# Why.\na = \"1\"\nb = \"2\" # Why.\n"),
            NONE
        );
    }

    #[test]
    fn a_comment_is_the_reason_of_one_dependency_only() {
        assert_eq!(
            lines("[dev-dependencies]\n# Why.\na = \"1\"\nb = \"2\"\n"),
            [4]
        );
    }

    #[test]
    fn our_own_and_inherited_dependencies_need_none() {
        let text = "[dependencies]\na.workspace = true\nb = { workspace = true, features = [] }\n\
                    c = { path = \"../c\", version = \"1\" }\n";
        assert_eq!(lines(text), NONE);
    }

    #[test]
    fn other_sections_are_not_dependencies() {
        let text = "[package]\nname = \"a\"\n[target.'cfg(unix)'.dependencies]\na = \"1\"\n\
                    [features]\nstd = []\n";
        assert_eq!(lines(text), [4]);
    }
}
