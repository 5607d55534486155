//! The workspace as the checks see it: its root, its packages, its files.
//!
//! `tidy`, `ci` and the commands that build programs call it. It asks `cargo metadata` and
//! `git ls-files`, runs cargo, and never writes itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{Metadata, MetadataCommand};

/// The folder of the workspace's root manifest.
pub(crate) fn root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().unwrap_or(manifest_dir).to_path_buf()
}

/// What cargo knows of the workspace's own packages; does not touch the network.
pub(crate) fn metadata(root: &Path) -> Result<Metadata, String> {
    MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()
        .map_err(|error| format!("cargo metadata: {error}"))
}

/// A text file of the tree.
pub(crate) struct SourceFile {
    /// Relative to the root, with `/` between the parts on every platform.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    /// The part after the last dot of the file's name, or the empty string.
    pub(crate) fn extension(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }
}

/// Every text file that is tracked, or neither tracked nor ignored, in path order.
///
/// Files that are not UTF-8, or that git lists and the disk lacks, are left out.
pub(crate) fn files(root: &Path) -> Result<Vec<SourceFile>, String> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .map_err(|error| format!("git ls-files: {error}"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(format!("git ls-files: {}", message.trim()));
    }
    let listing = String::from_utf8_lossy(&output.stdout);
    let mut paths: Vec<&str> = listing
        .split('\0')
        .filter(|path| !path.is_empty())
        .collect();
    paths.sort_unstable();
    paths.dedup();
    Ok(paths
        .into_iter()
        .filter_map(|path| {
            let text = std::fs::read_to_string(root.join(path)).ok()?;
            Some(SourceFile {
                path: path.to_owned(),
                text,
            })
        })
        .collect())
}

/// Runs cargo in `root` with these arguments, shown first, and this environment.
pub(crate) fn run_cargo(
    arguments: &str,
    environment: &[(&str, &str)],
    root: &Path,
) -> Result<(), String> {
    let line = format!("cargo {arguments}");
    println!("$ {line}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(arguments.split_whitespace())
        .envs(environment.iter().copied())
        .current_dir(root)
        .status()
        .map_err(|error| format!("`{line}`: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{line}`: {status}"))
    }
}
