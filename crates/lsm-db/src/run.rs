//! A run that a version names: its file, its index and its filter, each opened or loaded when first
//! needed, and let go when others need the room more.
//!
//! Readers hold a run through their view. When the last of them lets go of a run that no version
//! names any more, the file goes to the reaper.

mod warming;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lsm_cache::{Pages, Slot, SlotPool};
use lsm_format::{Block, Index, ReadAt, ReadError, RunFile};
use lsm_fs::{Directory, File, FileName};
use lsm_scheduler::Pool;
use lsm_version::{RunMeta, run_file_name, run_sidecar_file_name};

use crate::block_cache::BlockCache;
use crate::damage::Damage;
use crate::filter::{Filters, Probe, RunFilter};
use crate::job_memory::JobMemory;
use crate::l0_reads::L0Reads;
use crate::reaper::Reaper;
use crate::{Error, Result};
use warming::Missed;

/// A file of the seam, as the run codec reads it.
#[derive(Debug, Clone)]
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
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) reaper: Reaper,
    pub(crate) pool: Pool,
    pub(crate) filters: Filters,
    /// Runs that are open, as many as may be.
    pub(crate) files: SlotPool,
    /// Indexes and filters that are loaded, by bytes.
    pub(crate) parts: SlotPool,
    pub(crate) blocks: BlockCache,
    pub(crate) jobs: JobMemory,
    /// What reads of the runs have met.
    pub(crate) damage: Damage,
    /// What readers have spent on the runs of level 0.
    pub(crate) l0_reads: L0Reads,
    /// What the open owed the disk is paid.
    pub(crate) settled: AtomicBool,
    pub(crate) closing: AtomicBool,
}

impl RunContext {
    /// Where a run is, for messages.
    pub(crate) fn run_path(&self, id: u64) -> PathBuf {
        self.directory.path_of(&run_file_name(id))
    }

    /// All that a run's id stands for in the directory.
    pub(crate) fn names_of(id: u64) -> [FileName; 2] {
        [run_file_name(id), run_sidecar_file_name(id)]
    }

    /// Refuses a child that was forked off the process which opened the store. To be asked before
    /// anything writes, waits or takes a lock.
    #[inline]
    pub(crate) fn check_process(&self) -> Result<()> {
        match self.pool.is_ours() {
            true => Ok(()),
            false => Err(Error::ForkedProcess),
        }
    }

    /// Indexes and filters take their room from the blocks.
    pub(crate) fn parts_changed(&self) {
        self.blocks.leave_room_for(self.parts.used());
    }
}

/// A run: the file that a version names, its parts loaded as they are needed, and as long as there
/// is room for them.
#[derive(Debug)]
pub(crate) struct Run {
    meta: Arc<RunMeta>,
    path: PathBuf,
    context: Arc<RunContext>,
    file: Slot<RunFile<SeamFile>>,
    index: Slot<LoadedIndex>,
    filter: RunFilter,
    retired: AtomicBool,
    /// Its blocks are being read ahead, or will be.
    warming: AtomicBool,
}

/// An index, and the blocks that are cached of those it names.
#[derive(Debug)]
struct LoadedIndex {
    index: Arc<Index>,
    blocks: Pages<Block>,
    missed: Missed,
}

/// What a run says to a key.
pub(crate) enum Lookup {
    /// The block that holds an entry for it, and its position there.
    Found(Arc<Block>, usize),
    /// Not there, said the filter.
    Skipped,
    /// Not there, as its index and block show.
    Absent,
}

impl Run {
    /// `is_deepest`: nothing can come to lie below its level.
    pub(crate) fn new(
        meta: Arc<RunMeta>,
        is_deepest: bool,
        context: &Arc<RunContext>,
    ) -> Arc<Self> {
        Arc::new(Self {
            path: context.run_path(meta.id),
            meta,
            file: Slot::new(&context.files),
            index: Slot::new(&context.parts),
            filter: RunFilter::new(context, is_deepest),
            context: Arc::clone(context),
            retired: AtomicBool::new(false),
            warming: AtomicBool::new(false),
        })
    }

    pub(crate) fn meta(&self) -> &Arc<RunMeta> {
        &self.meta
    }

    #[cfg(feature = "bloom")]
    pub(crate) fn context(&self) -> &Arc<RunContext> {
        &self.context
    }

    /// A reader has spent so much on level 0, where this run is. Who reads an old view pays for nothing that
    /// a compaction could spare others.
    pub(crate) fn spend_on_l0(&self, units: u64) {
        if !self.is_retired() {
            self.context.l0_reads.spend(units);
        }
    }

    pub(crate) fn filter(&self) -> &RunFilter {
        &self.filter
    }

    /// No version names this run any more, durably: unlink it after its last reader.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Looks for the entry of a key.
    // Most runs are passed over by their filter: that much belongs into the loop over runs.
    #[inline]
    pub(crate) fn find(self: &Arc<Self>, probe: &Probe<'_>) -> Result<Lookup> {
        if !self.filter.may_contain(self, probe) {
            self.context.blocks.counters.count_filter_skip();
            return Ok(Lookup::Skipped);
        }
        // Usually both are there, and found in one look.
        let found = self.index.with(|loaded| {
            let at = loaded.index.find(probe.key);
            (at, loaded.blocks.get(at))
        });
        let block = match found {
            Some((_, Some(block))) => block,
            _ => {
                let index = self.index()?;
                let at = index.find(probe.key);
                if at >= index.block_count() {
                    return Ok(Lookup::Absent);
                }
                self.read_and_keep_block(&index, at)?
            }
        };
        Ok(match block.position(probe.key) {
            Some(position) => Lookup::Found(block, position),
            None => Lookup::Absent,
        })
    }

    pub(crate) fn index(&self) -> Result<Arc<Index>> {
        match self.index.with(|loaded| Arc::clone(&loaded.index)) {
            Some(index) => Ok(index),
            None => self.noting_damage(self.load_index()),
        }
    }

    /// The index, for a reader that will not come back: not left where others want the room.
    pub(crate) fn index_in_passing(&self) -> Result<Arc<Index>> {
        match self.index.with(|loaded| Arc::clone(&loaded.index)) {
            Some(index) => Ok(index),
            None => self.noting_damage(self.read_index()),
        }
    }

    /// What a reader is going to be told. If it is an error, `stats` tells it too.
    fn noting_damage<T>(&self, read: Result<T>) -> Result<T> {
        read.inspect_err(|error| self.context.damage.note(self.meta.id, error))
    }

    #[cold]
    fn load_index(&self) -> Result<Arc<Index>> {
        let index = self.read_index()?;
        if self.index.with(|_| ()).is_some() {
            // Another reader was faster, and may have left blocks there.
            return Ok(index);
        }
        let index_bytes = index.memory_bytes() as u64;
        let mut blocks = self.context.blocks.pages(index.block_count());
        if index_bytes + blocks.memory_bytes() as u64 > self.context.parts.limit() {
            // Better the index alone than neither.
            blocks = self.context.blocks.pages(0);
        }
        let bytes = index_bytes + blocks.memory_bytes() as u64;
        let loaded = LoadedIndex {
            index: Arc::clone(&index),
            blocks,
            missed: Missed::default(),
        };
        self.index.fill(loaded, bytes);
        self.context.parts_changed();
        Ok(index)
    }

    /// Opens the file that has the run's name now, and reads footer and index there. What is read
    /// later comes from it too.
    ///
    /// A file that was kept open does not show that its name is gone, nor an index in memory what became
    /// of it on the disk.
    pub(crate) fn check_frame(&self) -> Result<()> {
        self.context.check_process()?;
        let checked = self.open().and_then(|file| self.read_index_of(&file));
        self.noting_damage(checked).map(drop)
    }

    fn read_index(&self) -> Result<Arc<Index>> {
        self.read_index_of(&self.file()?)
    }

    fn read_index_of(&self, file: &RunFile<SeamFile>) -> Result<Arc<Index>> {
        let index = file.load_index();
        let index = Arc::new(index.map_err(|error| self.error(&error))?);
        let last_block = index.block_count().checked_sub(1);
        if last_block.and_then(|last| index.last_key(last)) != Some(&self.meta.largest_key) {
            return Err(Error::corrupt_file(
                "the last key is not the one that the manifest recorded",
                &self.path,
            ));
        }
        Ok(index)
    }

    /// A block out of the cache, if it is there.
    pub(crate) fn kept_block(&self, at: usize) -> Option<Arc<Block>> {
        self.index.with(|loaded| loaded.blocks.get(at)).flatten()
    }

    /// Keeps a block that a reader has missed.
    pub(crate) fn keep_block(self: &Arc<Self>, index: &Index, at: usize, block: &Arc<Block>) {
        let bytes = block.memory_bytes() as u64;
        let keep = |loaded: &LoadedIndex| {
            loaded.blocks.insert(at, block, bytes);
            loaded.missed.note(loaded.index.block_count())
        };
        let is_reason_to_warm = self.index.with(keep).or_else(|| {
            // A cursor may have the index for longer than it is kept for others. One that there is no room
            // for would be read for nothing, and one that can't be loaded again is the next reader's error.
            let has_room = index.memory_bytes() as u64 <= self.context.parts.limit();
            (has_room && self.load_index().is_ok()).then(|| self.index.with(keep))?
        });
        if is_reason_to_warm == Some(true) {
            self.warm_up();
        }
    }

    fn read_and_keep_block(self: &Arc<Self>, index: &Index, at: usize) -> Result<Arc<Block>> {
        let block = Arc::new(self.read_block(index, at)?);
        self.keep_block(index, at, &block);
        Ok(block)
    }

    /// A block, read from the file.
    pub(crate) fn read_block(&self, index: &Index, at: usize) -> Result<Block> {
        self.context.blocks.counters.count_blocks(1);
        self.noting_damage(self.try_read_block(index, at))
    }

    fn try_read_block(&self, index: &Index, at: usize) -> Result<Block> {
        let block = self.file()?.read_block(index, at);
        let block = block.map_err(|error| self.error(&error))?;
        self.check_start(at, &block)?;
        Ok(block)
    }

    /// Several blocks in a row with one read. If it fails, each that is wanted is read alone, and then
    /// its reader is told.
    pub(crate) fn read_blocks(
        &self,
        index: &Index,
        range: std::ops::Range<usize>,
    ) -> Result<Vec<Block>> {
        let start = range.start;
        let counters = &self.context.blocks.counters;
        counters.count_blocks(range.len() as u64);
        let blocks = self.file()?.read_blocks(index, range);
        let blocks = blocks.map_err(|error| self.error(&error))?;
        if let Some(first) = blocks.first() {
            self.check_start(start, first)?;
        }
        Ok(blocks)
    }

    /// With the check of the last key, this keeps every key of the run in the span that the
    /// manifest recorded: the order of levels and iterators rests on it.
    fn check_start(&self, at: usize, block: &Block) -> Result<()> {
        if at == 0 && block.key(0) != self.meta.smallest_key {
            return Err(Error::corrupt_file(
                "the first key is not the one that the manifest recorded",
                &self.path,
            ));
        }
        Ok(())
    }

    /// Bytes of memory that the index takes; 0 while it isn't loaded.
    pub(crate) fn index_memory_bytes(&self) -> u64 {
        self.index.weight()
    }

    /// Bytes of memory that it takes whatever is loaded of it.
    pub(crate) fn metadata_bytes(&self) -> u64 {
        let RunMeta {
            smallest_key,
            largest_key,
            ..
        } = &*self.meta;
        let fixed = size_of::<Self>() + size_of::<RunMeta>() + self.path.as_os_str().len();
        (fixed + smallest_key.len() + largest_key.len()) as u64
    }

    /// The memory of the jobs that read or write runs.
    pub(crate) fn jobs(&self) -> &JobMemory {
        &self.context.jobs
    }

    /// The open file. Whatever is loaded of a run, and kept, goes through here before it takes a lock.
    fn file(&self) -> Result<RunFile<SeamFile>> {
        self.context.check_process()?;
        match self.file.with(RunFile::clone) {
            Some(file) => Ok(file),
            None => self.open(),
        }
    }

    #[cold]
    fn open(&self) -> Result<RunFile<SeamFile>> {
        let file = self.context.directory.open(&run_file_name(self.meta.id));
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
        self.file.fill(file.clone(), 1);
        Ok(file)
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
        if !self.is_retired() {
            return;
        }
        let context = &self.context;
        context
            .reaper
            .post(RunContext::names_of(self.meta.id).into());
        // Closing the last handle of an unlinked file frees its blocks: not a reader's work, and
        // neither is dropping its blocks.
        let (file, index) = (self.file.take(), self.index.take());
        let (context, id) = (Arc::clone(context), self.meta.id);
        self.context.reaper.free(move || {
            context.damage.forget(id);
            drop(index);
            context.parts_changed();
            drop(file);
        });
    }
}
