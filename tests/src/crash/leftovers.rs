//! What the directory of a store that is at rest may hold: what its manifest names, and nothing
//! else.
//!
//! Reads the manifest and the directory itself, not what the store says of them.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use lsm_fs::{EntryKind, FileSystem, SimFs};
use lsm_version::{FileKind, Manifest, RunMeta};

/// Checks the levels' invariants, the runs' lengths, and that no file is left over.
///
/// # Errors
/// The first file or invariant that is not as it must be.
pub(super) fn check(disk: &SimFs, dir: &Path) -> Result<(), String> {
    let keys_of = &mut |run: &lsm_version::UnresolvedRun| -> Result<_, Infallible> {
        // Only the order of levels would need them, and no script goes there.
        let _ = run;
        Ok(Default::default())
    };
    let manifest = Manifest::load(Arc::new(disk.clone()), dir, keys_of)
        .map_err(|error| format!("the manifest: {error}"))?;
    let state = manifest.state();
    let violated = |error| format!("levels: {error}");
    state.version.check().map_err(violated)?;
    let named: BTreeSet<u64> = state.version.runs().map(|(_, run)| run.id).collect();
    for (_, run) in state.version.runs() {
        check_run(disk, dir, run)?;
    }

    for entry in disk.list(dir).map_err(|error| error.to_string())? {
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
    Ok(())
}

fn check_run(disk: &SimFs, dir: &Path, run: &RunMeta) -> Result<(), String> {
    let path = dir.join(lsm_version::run_file_name(run.id));
    match disk.file_len(&path) {
        Ok(len) if len == run.file_len => Ok(()),
        Ok(len) => Err(format!(
            "run {} has {len} bytes, not {}",
            run.id, run.file_len
        )),
        Err(error) => Err(format!("run {}: {error}", run.id)),
    }
}
