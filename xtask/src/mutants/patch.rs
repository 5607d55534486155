//! The patches: what each breaks, and what a file becomes under it.
//!
//! Called by the command, and by the test that holds every patch against the tree. Works on text;
//! reads the patches' folder and never writes.

use std::path::Path;

use diffy::patch_set::{FileOperation, ParseOptions, PatchSet};

use super::suite::{self, Suite};

/// The folder of the patches, below the workspace's root.
pub(super) const FOLDER: &str = "tests/mutants";

/// A way to break the engine.
pub(super) struct Mutant {
    /// The patch's file name without its extension.
    pub(super) name: String,
    /// The rule that it breaks, in one sentence.
    pub(super) rule: String,
    /// The suites to try, in this order.
    pub(super) suites: Vec<&'static Suite>,
    diff: String,
}

/// A file as a patch leaves it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Relative to the workspace's root.
    pub(super) path: String,
    pub(super) text: String,
}

/// Reads every patch. Those of one file follow each other, so that less is built again between them.
pub(super) fn read_all(root: &Path) -> Result<Vec<Mutant>, String> {
    let folder = root.join(FOLDER);
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut mutants = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if path
            .extension()
            .is_some_and(|extension| extension == "patch")
        {
            let text = std::fs::read_to_string(&path).map_err(failed)?;
            mutants.push(parse(&name, &text)?);
        }
    }
    mutants.sort_by(|a, b| (a.first_path(), &a.name).cmp(&(b.first_path(), &b.name)));
    Ok(mutants)
}

/// Takes a patch apart: lines of the rule, a line of suites (or else all of them), the diff.
pub(super) fn parse(name: &str, text: &str) -> Result<Mutant, String> {
    let starts_diff = |line: &&str| line.starts_with("--- ") || line.starts_with("diff --git ");
    let header: Vec<&str> = text.lines().take_while(|line| !starts_diff(line)).collect();
    let mut rule = Vec::new();
    let mut suites: Vec<&Suite> = suite::SUITES.iter().collect();
    for line in &header {
        match line.strip_prefix("suites:") {
            Some(names) => {
                let named = names.split_whitespace().map(suite::find);
                suites = named
                    .collect::<Result<_, _>>()
                    .map_err(|error| format!("{name}: {error}"))?;
            }
            None => rule.push(line.trim()),
        }
    }
    let rule = rule.join(" ").trim().to_owned();
    if rule.is_empty() || suites.is_empty() {
        return Err(format!(
            "{name}: no rule stands before the diff, or no suite is named"
        ));
    }
    let diff = text.split_inclusive('\n').skip(header.len()).collect();
    Ok(Mutant {
        name: name.to_owned(),
        rule,
        suites,
        diff,
    })
}

impl Mutant {
    fn first_path(&self) -> Option<&str> {
        self.diff.lines().find_map(|line| line.strip_prefix("+++ "))
    }

    /// The files that it changes, as they are to be; `read` gives a file's present text.
    ///
    /// # Errors
    ///
    /// If it does not apply: what it changes is no longer there, word for word.
    pub(super) fn apply(
        &self,
        read: impl Fn(&str) -> std::io::Result<String>,
    ) -> Result<Vec<Change>, String> {
        let mut changes = Vec::new();
        for file in PatchSet::parse(&self.diff, ParseOptions::unidiff()) {
            let file = file.map_err(|error| format!("{}: {error}", self.name))?;
            let operation = file.operation().strip_prefix(1);
            let (FileOperation::Modify { modified: path, .. }, Some(patch)) =
                (&operation, file.patch().as_text())
            else {
                return Err(format!("{}: it does more than change files", self.name));
            };
            let failed = |reason: String| format!("{}: {path}: {reason}", self.name);
            let text = read(path).map_err(|error| failed(error.to_string()))?;
            let patched = diffy::apply(&text, patch);
            changes.push(Change {
                path: path.to_string(),
                text: patched.map_err(|error| failed(error.to_string()))?,
            });
        }
        if changes.is_empty() {
            return Err(format!("{}: it changes nothing", self.name));
        }
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    const DIFF: &str = "--- a/x.rs\n+++ b/x.rs\n@@ -1,2 +1,1 @@\n keep\n-drop\n";

    #[test]
    fn every_patch_applies_to_the_tree_and_breaks_library_code() {
        let root = workspace::root();
        let mutants = read_all(&root).unwrap();
        assert!(mutants.len() >= 18, "{} patches", mutants.len());
        for mutant in mutants {
            let read = |path: &str| std::fs::read_to_string(root.join(path));
            for change in mutant.apply(read).unwrap() {
                let is_library =
                    change.path.starts_with("crates/") && change.path.contains("/src/");
                assert!(
                    is_library && !change.path.contains("test"),
                    "{}: {} is no library code",
                    mutant.name,
                    change.path
                );
                assert!(
                    mutant.rule.ends_with('.'),
                    "{}: {}",
                    mutant.name,
                    mutant.rule
                );
            }
        }
    }

    #[test]
    fn a_patch_is_a_rule_and_suites_and_a_diff() {
        let text = format!("What is kept\nis kept.\nsuites: crash lsm-wal\n{DIFF}");
        let mutant = parse("lost", &text).unwrap();
        assert_eq!(mutant.rule, "What is kept is kept.");
        let suites: Vec<&str> = mutant.suites.iter().map(|suite| suite.name).collect();
        assert_eq!(suites, ["crash", "lsm-wal"]);
        let changes = mutant
            .apply(|_| Ok("keep\ndrop\nmore\n".to_owned()))
            .unwrap();
        let expected = Change {
            path: "x.rs".to_owned(),
            text: "keep\nmore\n".to_owned(),
        };
        assert_eq!(changes, [expected]);
    }

    #[test]
    fn a_patch_without_suites_is_tried_with_all() {
        let mutant = parse("lost", &format!("A rule.\n{DIFF}")).unwrap();
        assert_eq!(mutant.suites.len(), suite::SUITES.len());
    }

    #[test]
    fn a_patch_whose_place_has_changed_does_not_apply() {
        let mutant = parse("lost", &format!("A rule.\n{DIFF}")).unwrap();
        let error = mutant
            .apply(|_| Ok("keep\ndropped\n".to_owned()))
            .unwrap_err();
        assert!(error.contains("lost: x.rs"), "{error}");
    }

    #[test]
    fn a_patch_without_a_rule_or_with_an_unknown_suite_is_refused() {
        assert!(parse("lost", DIFF).is_err());
        assert!(parse("lost", &format!("A rule.\nsuites: none-such\n{DIFF}")).is_err());
    }
}
