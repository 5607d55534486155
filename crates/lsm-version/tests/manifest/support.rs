//! What every test here needs: a directory on a simulated disk, and short ways to write edits.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use lsm_fs::{ByPath, Directory, FileSystem, SimFs};
use lsm_version::{
    Ceilings, Identity, LoadError, Manifest, ManifestState, RunId, RunMeta, VersionEdit,
};

pub(crate) const DIR: &str = "/";
pub(crate) const MANIFEST: &str = "/MANIFEST";
pub(crate) const IDENTITY: Identity = Identity {
    database_id: *b"sixteen raw byte",
    hash_seed: 0x0123_4567_89ab_cdef,
};

pub(crate) fn open_dir(fs: &impl FileSystem) -> Arc<dyn Directory> {
    fs.open_dir(Path::new(DIR)).expect("opens")
}

pub(crate) fn create(fs: impl FileSystem) -> Manifest {
    Manifest::create(open_dir(&fs), IDENTITY).expect("creates")
}

/// Loads a manifest of which every run's keys are short.
pub(crate) fn load(fs: impl FileSystem) -> Result<Manifest, LoadError<Infallible>> {
    Manifest::load(open_dir(&fs), &mut |run| {
        panic!("keys of {run:?} are not stored")
    })
}

/// Loads a manifest, with `long` to look up the keys that it does not store.
pub(crate) fn load_with(
    fs: impl FileSystem,
    long: &HashMap<RunId, Arc<RunMeta>>,
) -> Result<Manifest, LoadError<Infallible>> {
    Manifest::load(open_dir(&fs), &mut |run| {
        let run = &long[&run.id];
        Ok((run.smallest_key.clone(), run.largest_key.clone()))
    })
}

pub(crate) fn state_of(fs: impl FileSystem) -> ManifestState {
    load(fs).expect("loads").state().clone()
}

pub(crate) fn manifest_bytes(fs: &SimFs) -> Vec<u8> {
    fs.read_to_vec(Path::new(MANIFEST), u64::MAX)
        .expect("reads")
}

/// A disk whose `MANIFEST` holds `bytes`.
pub(crate) fn disk_with(bytes: &[u8]) -> SimFs {
    let fs = SimFs::new();
    let file = fs.create_new(Path::new(MANIFEST)).expect("creates");
    file.append_all(bytes).expect("writes");
    fs
}

pub(crate) fn run(id: RunId, smallest: &str, largest: &str) -> Arc<RunMeta> {
    Arc::new(RunMeta {
        id,
        file_len: 4096 + id,
        entry_count: 12,
        tombstone_count: id % 3,
        index_len: 96,
        index_crc: 0x5eed_0000,
        smallest_key: Bytes::copy_from_slice(smallest.as_bytes()),
        largest_key: Bytes::copy_from_slice(largest.as_bytes()),
    })
}

pub(crate) fn ceilings(run_id: u64, segment_id: u64, seqno: u64) -> VersionEdit {
    VersionEdit {
        ceilings: Some(Ceilings {
            run_id,
            segment_id,
            seqno,
        }),
        ..VersionEdit::default()
    }
}

pub(crate) fn add(level: u8, run: Arc<RunMeta>) -> VersionEdit {
    VersionEdit {
        added: vec![(level, run)],
        ..VersionEdit::default()
    }
}

/// The mark of a clean close.
pub(crate) fn mark() -> VersionEdit {
    VersionEdit {
        clean: true,
        ..VersionEdit::default()
    }
}
