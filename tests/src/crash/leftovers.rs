//! What the directory of a store that is at rest must hold, and may: what its manifest names or says
//! to be unnamed, and nothing else.
//!
//! Reads the manifest and the directory itself, not what the store says of them.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use lsm_fs::{ByPath, EntryKind, FileSystem};
use lsm_version::{FileKind, Manifest, RunId, RunMeta, run_file_name, run_unnamed_file_name};

/// Checks the levels' invariants, the runs' lengths, and that no file is left over.
///
/// # Errors
/// The first file or invariant that is not as it must be.
pub(crate) fn check(disk: &Arc<dyn FileSystem>, dir: &Path) -> Result<(), String> {
    let keys_of = &mut |run: &lsm_version::UnresolvedRun| -> Result<_, Infallible> {
        // Only the order of levels would need them, and no script goes there.
        let _ = run;
        Ok(Default::default())
    };
    let opened = disk.open_dir(dir).map_err(|error| error.to_string())?;
    let manifest =
        Manifest::load(opened, keys_of).map_err(|error| format!("the manifest: {error}"))?;
    let state = manifest.state();
    let violated = |error| format!("levels: {error}");
    state.version.check().map_err(violated)?;
    let named: BTreeSet<u64> = state.version.runs().map(|(_, run)| run.id).collect();
    for (_, run) in state.version.runs() {
        check_run(&**disk, dir, run)?;
    }

    let mut lost = state.unnamed.as_ref().clone();
    for entry in disk.list(dir).map_err(|error| error.to_string())? {
        let aside = state.unnamed.iter().find(|id| is_aside(**id, &entry.name));
        if let Some(id) = aside {
            lost.remove(id);
            continue;
        }
        let path = dir.join(&entry.name);
        let is_file = disk
            .kind(&path)
            .is_ok_and(|kind| kind == Some(EntryKind::File));
        let belongs = is_file
            && match FileKind::of(&entry.name) {
                FileKind::Lock | FileKind::Manifest => true,
                FileKind::Run(id) | FileKind::RunSidecar(id) => named.contains(&id),
                FileKind::Segment(id) => !state.log.holds_nothing(id),
                _ => false,
            };
        if !belongs {
            return Err(format!("{} is left over", entry.name.display()));
        }
    }
    match lost.first() {
        Some(id) => Err(format!("run {id}, which nobody named, is gone")),
        None => Ok(()),
    }
}

/// Whether a run that nobody named has this name: its own, or one that says so. A power cut may have
/// brought back its own after it was renamed.
fn is_aside(id: RunId, name: &OsStr) -> bool {
    let mut names = (0..3).map(|number| run_unnamed_file_name(id, number));
    name == run_file_name(id).as_os_str() || names.any(|aside| name == aside.as_os_str())
}

fn check_run(disk: &dyn FileSystem, dir: &Path, run: &RunMeta) -> Result<(), String> {
    let path = dir.join(run_file_name(run.id));
    match disk.file_len(&path) {
        Ok(len) if len == run.file_len => Ok(()),
        Ok(len) => Err(format!(
            "run {} has {len} bytes, not {}",
            run.id, run.file_len
        )),
        Err(error) => Err(format!("run {}: {error}", run.id)),
    }
}
