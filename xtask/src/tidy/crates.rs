//! What every crate of the workspace has: no unsafe code, the shared lints, and, where it is
//! published, a README that is its crate documentation.

use cargo_metadata::{Metadata, Package, TargetKind};

use super::Violation;
use crate::workspace::SourceFile;

pub(super) fn check(metadata: &Metadata, files: &[SourceFile]) -> Vec<Violation> {
    metadata
        .packages
        .iter()
        .flat_map(|package| check_package(metadata, package, files))
        .collect()
}

fn check_package(metadata: &Metadata, package: &Package, files: &[SourceFile]) -> Vec<Violation> {
    let relative = |path: &cargo_metadata::camino::Utf8Path| {
        let path = path.strip_prefix(&metadata.workspace_root).unwrap_or(path);
        path.as_str().replace('\\', "/")
    };
    let text_of = |path: &str| {
        let file = files.iter().find(|file| file.path == path);
        file.map_or("", |file| file.text.as_str())
    };

    let manifest = relative(&package.manifest_path);
    let mut violations = Vec::from_iter(check_manifest(&manifest, text_of(&manifest)));
    let is_published = package.publish.as_ref().is_none_or(|to| !to.is_empty());
    if is_published {
        let readme = manifest.replace("Cargo.toml", "README.md");
        if text_of(&readme).trim().is_empty() {
            violations.push(Violation::of_file(&readme, "is missing or empty"));
        }
    }
    for target in &package.targets {
        let is_library = target.is_kind(TargetKind::Lib);
        if is_library || target.is_kind(TargetKind::Bin) {
            let root = relative(&target.src_path);
            let is_front_page = is_library && is_published;
            violations.extend(check_root(&root, text_of(&root), is_front_page));
        }
    }
    violations
}

fn check_manifest(path: &str, text: &str) -> Option<Violation> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let inherits = lines
        .windows(2)
        .any(|pair| pair == ["[lints]", "workspace = true"]);
    (!inherits).then(|| Violation::of_file(path, "lacks `[lints]` with `workspace = true`"))
}

fn check_root(path: &str, text: &str, is_front_page: bool) -> Vec<Violation> {
    let mut violations = Vec::new();
    if !text.lines().any(|line| line == "#![forbid(unsafe_code)]") {
        let message = "lacks `#![forbid(unsafe_code)]` on a line of its own";
        violations.push(Violation::of_file(path, message));
    }
    if is_front_page && !text.contains("include_str!(\"../README.md\")") {
        let message = "does not include README.md as the crate's documentation";
        violations.push(Violation::of_file(path, message));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_root_with_everything_passes() {
        let root = "#![doc = include_str!(\"../README.md\")]\n#![forbid(unsafe_code)]\n";
        assert_eq!(check_root("a/src/lib.rs", root, true), []);
    }

    #[test]
    fn a_crate_root_without_the_ban_on_unsafe_code_is_found() {
        let root = "//! Nothing.\n// #![forbid(unsafe_code)]\n";
        assert_eq!(check_root("a/src/main.rs", root, false).len(), 1);
        assert_eq!(check_root("a/src/lib.rs", root, true).len(), 2);
    }

    #[test]
    fn a_manifest_must_inherit_the_lints() {
        let inherits = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";
        assert_eq!(check_manifest("a/Cargo.toml", inherits), None);
        let inherits_something_else = "[package]\nworkspace = true\n[lints]\n";
        assert!(check_manifest("a/Cargo.toml", inherits_something_else).is_some());
    }
}
