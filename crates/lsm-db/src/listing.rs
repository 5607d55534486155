//! What lies in a store's directory, by the names of its files.
//!
//! Read by open. Touches nothing; a name that is not ours is not even remembered.

use std::path::PathBuf;

use lsm_fs::{Directory, EntryKind, FileName};
use lsm_version::{Ceilings, FileKind};

use crate::{Error, Result};

/// The files that are ours.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The directory's path, for messages.
    directory: PathBuf,
    pub(crate) has_manifest: bool,
    /// The log of `lsm-db` 1.x.
    pub(crate) legacy_log: Option<FileName>,
    /// What has the name of that log or of the manifest and is no file: a symbolic link, say.
    stand_in: Option<FileName>,
    pub(crate) runs: Vec<(u64, FileName)>,
    /// Filters beside runs. Those of `lsm-db` 1.x are of another format, and replaced.
    pub(crate) sidecars: Vec<(u64, FileName)>,
    /// Temporary ones too.
    pub(crate) segments: Vec<(u64, FileName)>,
    pub(crate) temporaries: Vec<FileName>,
    /// Above every run id in any name.
    pub(crate) unused_run_id: u64,
}

/// Lists the directory.
pub(crate) fn list(directory: &dyn Directory) -> Result<Listing> {
    let entries = directory.list();
    let entries =
        entries.map_err(|source| Error::io("list the directory", directory.path(), source))?;
    let mut listing = Listing {
        directory: directory.path().to_path_buf(),
        ..Listing::default()
    };
    for entry in entries {
        let kind = FileKind::of(&entry.name);
        let name = match FileName::try_from(&*entry.name) {
            Ok(name) if kind != FileKind::Foreign => name,
            _ => continue,
        };
        let found = directory.kind(&name);
        // A directory may carry any name, ours too; only files are ever ours.
        match found.map_err(|source| Error::io("look at", &directory.path_of(&name), source))? {
            Some(EntryKind::File) => listing.add(kind, name),
            Some(EntryKind::Other) if matches!(kind, FileKind::Manifest | FileKind::LegacyLog) => {
                listing.stand_in = Some(name);
            }
            _ => {}
        }
    }
    Ok(listing)
}

impl Listing {
    /// Where a file is, for messages.
    pub(crate) fn path_of(&self, name: &FileName) -> PathBuf {
        self.directory.join(name)
    }

    fn add(&mut self, kind: FileKind, name: FileName) {
        if let FileKind::Run(id)
        | FileKind::RunTemp(id)
        | FileKind::RunSidecar(id)
        | FileKind::RunSidecarTemp(id) = kind
        {
            self.unused_run_id = self.unused_run_id.max(id + 1);
        }
        match kind {
            FileKind::Manifest => self.has_manifest = true,
            FileKind::Run(id) => self.runs.push((id, name)),
            FileKind::RunSidecar(id) => self.sidecars.push((id, name)),
            FileKind::Segment(id) => self.segments.push((id, name)),
            FileKind::LegacyLog => self.legacy_log = Some(name),
            FileKind::SegmentTemp(id) => {
                self.segments.push((id, name.clone()));
                self.temporaries.push(name);
            }
            FileKind::RunTemp(_) | FileKind::RunSidecarTemp(_) | FileKind::ManifestTemp => {
                self.temporaries.push(name);
            }
            _ => {}
        }
    }

    /// A link in the place of the manifest or of the log: `lsm-db` 1.x followed it, so what it leads
    /// to belongs to the database, and this store opens no links.
    pub(crate) fn refuse_stand_ins(&self) -> Result<()> {
        match &self.stand_in {
            Some(file) => Err(Error::UnsupportedFormat {
                reason: "a symbolic link, or no regular file; put the file itself in its place",
                file: self.path_of(file),
            }),
            None => Ok(()),
        }
    }

    /// A segment whose id was never given out is not a leftover: the manifest is not the one that
    /// belongs to it, and nothing here may be judged by it. (Of runs, see [`crate::strays`].)
    pub(crate) fn refuse_unknown_segments(&self, ceilings: Ceilings) -> Result<()> {
        let mut segments = self.segments.iter();
        match segments.find(|(id, _)| *id >= ceilings.segment_id) {
            Some((_, file)) => Err(Error::corrupt_file(
                "a file with an id that the manifest has never given out",
                &self.path_of(file),
            )),
            None => Ok(()),
        }
    }
}
