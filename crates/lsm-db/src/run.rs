//! A run that a version names: its file, opened when first read, and its index, loaded when first
//! needed.
//!
//! Readers hold a run through their view. When the last of them lets go of a run that no version
//! names any more, the file goes to the reaper.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use lsm_format::{Block, Index, ReadAt, ReadError, RunFile};
use lsm_fs::{File, FileSystem};
use lsm_version::{RunMeta, run_file_name};

use crate::reaper::Reaper;
use crate::{Error, Result};

/// A file of the seam, as the run codec reads it.
#[derive(Debug)]
pub(crate) struct SeamFile(Arc<dyn File>);

impl SeamFile {
    pub(crate) fn new(file: Arc<dyn File>) -> Self {
        Self(file)
    }
}

impl ReadAt for SeamFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}

/// What all runs of a store share.
#[derive(Debug)]
pub(crate) struct RunContext {
    pub(crate) file_system: Arc<dyn FileSystem>,
    pub(crate) directory: PathBuf,
    pub(crate) reaper: Reaper,
    pub(crate) blocks_read: AtomicU64,
}

impl RunContext {
    pub(crate) fn run_path(&self, id: u64) -> PathBuf {
        self.directory.join(run_file_name(id))
    }
}

#[derive(Debug)]
pub(crate) struct Run {
    meta: Arc<RunMeta>,
    path: PathBuf,
    context: Arc<RunContext>,
    opened: OnceLock<Opened>,
    obsolete: AtomicBool,
}

#[derive(Debug)]
struct Opened {
    file: RunFile<SeamFile>,
    index: Arc<Index>,
}

impl Run {
    pub(crate) fn new(meta: Arc<RunMeta>, context: &Arc<RunContext>) -> Arc<Self> {
        Arc::new(Self {
            path: context.run_path(meta.id),
            meta,
            context: Arc::clone(context),
            opened: OnceLock::new(),
            obsolete: AtomicBool::new(false),
        })
    }

    pub(crate) fn meta(&self) -> &Arc<RunMeta> {
        &self.meta
    }

    /// No version names this run any more, durably: unlink it after its last reader.
    pub(crate) fn retire(&self) {
        self.obsolete.store(true, Ordering::Release);
    }

    /// The newest entry for `key` in this run: `Some(None)` is a tombstone.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Option<Bytes>>> {
        let opened = self.opened()?;
        let at = opened.index.find(key);
        if at == opened.index.block_count() {
            return Ok(None);
        }
        let block = self.read_block(at)?;
        let position = block.lower_bound(key);
        let found = position < block.len() && block.key(position) == key;
        Ok(found.then(|| block.value_bytes(position)))
    }

    pub(crate) fn index(&self) -> Result<&Arc<Index>> {
        Ok(&self.opened()?.index)
    }

    pub(crate) fn read_block(&self, at: usize) -> Result<Block> {
        let opened = self.opened()?;
        self.context.blocks_read.fetch_add(1, Ordering::Relaxed);
        let block = opened.file.read_block(&opened.index, at);
        block.map_err(|error| self.error(&error))
    }

    /// Several blocks in a row with one read.
    pub(crate) fn read_blocks(&self, range: std::ops::Range<usize>) -> Result<Vec<Block>> {
        let opened = self.opened()?;
        let count = range.len() as u64;
        self.context.blocks_read.fetch_add(count, Ordering::Relaxed);
        let blocks = opened.file.read_blocks(&opened.index, range);
        blocks.map_err(|error| self.error(&error))
    }

    /// Bytes of memory that the loaded index takes; 0 while it isn't.
    pub(crate) fn index_memory_bytes(&self) -> usize {
        self.opened
            .get()
            .map_or(0, |opened| opened.index.memory_bytes())
    }

    fn opened(&self) -> Result<&Opened> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let opened = self.open()?;
        // Another reader may have been faster; either is as good.
        Ok(self.opened.get_or_init(|| opened))
    }

    fn open(&self) -> Result<Opened> {
        let file = self.context.file_system.open(&self.path);
        let file = file.map_err(|source| Error::io("open a run", &self.path, source))?;
        let file = RunFile::open(SeamFile::new(file), self.meta.file_len);
        let file = file.map_err(|error| self.error(&error))?;
        let footer = file.footer();
        if footer.index_crc != self.meta.index_crc || footer.index_len != self.meta.index_len {
            return Err(Error::corrupt_file(
                "the footer is not the one that the manifest recorded",
                &self.path,
            ));
        }
        let index = file.load_index().map_err(|error| self.error(&error))?;
        Ok(Opened {
            file,
            index: Arc::new(index),
        })
    }

    fn error(&self, error: &ReadError) -> Error {
        read_error(error, &self.path)
    }
}

/// The caller's view of what reading a run ran into.
pub(crate) fn read_error(error: &ReadError, path: &Path) -> Error {
    match error {
        ReadError::Io { source, .. } if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            Error::corrupt_file("the file is shorter than the manifest says", path)
        }
        ReadError::Io { source, .. } => Error::io(
            "read a run",
            path,
            std::io::Error::new(source.kind(), source.to_string()),
        ),
        ReadError::Format(error) => Error::Corruption {
            reason: error.reason(),
            detail: None,
            file: Some(path.to_path_buf()),
            offset: error.offset(),
            block: error.block(),
        },
        _ => Error::corrupt_file("the run can't be read", path),
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire) {
            self.context.reaper.post(vec![self.path.clone()]);
        }
        if let Some(opened) = self.opened.take() {
            // Closing the last handle of an unlinked file frees its blocks: not a reader's work.
            self.context.reaper.drop_later(opened);
        }
    }
}
