//! What lies in a store's directory, by the names of its files.
//!
//! Read by open. Touches nothing; a name that is not ours is not even remembered.

use std::path::{Path, PathBuf};

use lsm_fs::{EntryKind, FileSystem};
use lsm_version::{Ceilings, FileKind};

use crate::{Error, Result};

/// The files that are ours.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) has_manifest: bool,
    /// The log of `lsm-db` 1.x.
    pub(crate) legacy_log: Option<PathBuf>,
    pub(crate) runs: Vec<(u64, PathBuf)>,
    /// Filters beside runs. Those of `lsm-db` 1.x are of another format, and replaced.
    pub(crate) sidecars: Vec<(u64, PathBuf)>,
    /// Temporary ones too.
    pub(crate) segments: Vec<(u64, PathBuf)>,
    pub(crate) temporaries: Vec<PathBuf>,
    /// Above every run id in any name.
    pub(crate) unused_run_id: u64,
}

/// Lists the directory.
pub(crate) fn list(file_system: &dyn FileSystem, directory: &Path) -> Result<Listing> {
    let entries = file_system
        .list(directory)
        .map_err(|source| Error::io("list the directory", directory, source))?;
    let mut listing = Listing::default();
    for entry in entries {
        let path = directory.join(&entry.name);
        let kind = FileKind::of(&entry.name);
        if kind != FileKind::Foreign && is_file(file_system, &path)? {
            listing.add(kind, path);
        }
    }
    Ok(listing)
}

/// A directory may carry any name, ours too; only files are ever ours.
fn is_file(file_system: &dyn FileSystem, path: &Path) -> Result<bool> {
    match file_system.kind(path) {
        Ok(kind) => Ok(kind == Some(EntryKind::File)),
        Err(source) => Err(Error::io("look at", path, source)),
    }
}

impl Listing {
    fn add(&mut self, kind: FileKind, path: PathBuf) {
        if let FileKind::Run(id)
        | FileKind::RunTemp(id)
        | FileKind::RunSidecar(id)
        | FileKind::RunSidecarTemp(id) = kind
        {
            self.unused_run_id = self.unused_run_id.max(id + 1);
        }
        match kind {
            FileKind::Manifest => self.has_manifest = true,
            FileKind::Run(id) => self.runs.push((id, path)),
            FileKind::RunSidecar(id) => self.sidecars.push((id, path)),
            FileKind::Segment(id) => self.segments.push((id, path)),
            FileKind::LegacyLog => self.legacy_log = Some(path),
            FileKind::SegmentTemp(id) => {
                self.segments.push((id, path.clone()));
                self.temporaries.push(path);
            }
            FileKind::RunTemp(_) | FileKind::RunSidecarTemp(_) | FileKind::ManifestTemp => {
                self.temporaries.push(path);
            }
            _ => {}
        }
    }

    /// A file whose id was never given out is not a leftover: the manifest is not the one that
    /// belongs to it, and nothing here may be judged by it.
    pub(crate) fn refuse_unknown_ids(&self, ceilings: Ceilings) -> Result<()> {
        let run = self.runs.iter().find(|(id, _)| *id >= ceilings.run_id);
        let segment = self
            .segments
            .iter()
            .find(|(id, _)| *id >= ceilings.segment_id);
        match run.or(segment) {
            Some((_, file)) => Err(Error::corrupt_file(
                "a file with an id that the manifest has never given out",
                file,
            )),
            None => Ok(()),
        }
    }
}
