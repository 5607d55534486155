//! What a reader holds: memtables and runs, taken together, immutable.
//!
//! A read takes its view first and the visible seqno second. A view that it took may lack a
//! memtable that the seqno already covers; what the view has is then a complete prefix all the
//! same, because a memtable gets no writes once a newer one is published.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use lsm_fs::FileLock;
use lsm_memtable::Memtable;
use lsm_version::{RunId, Version};

use crate::Result;
use crate::run::Run;
use crate::source::Source;
use crate::sync::locked;

/// A memtable, the log segments that hold its writes, and its place in the order of seals.
#[derive(Debug)]
pub(crate) struct LoggedMemtable {
    pub(crate) memtable: Arc<Memtable>,
    /// 1 for the first memtable of a handle; a flush installs them in this order.
    pub(crate) ordinal: u64,
    segments: Mutex<Vec<u64>>,
    keeps_log: bool,
    slack_bytes: AtomicU64,
    last_seqno: AtomicU64,
}

impl LoggedMemtable {
    pub(crate) fn new(ordinal: u64) -> Self {
        Self {
            memtable: Arc::new(Memtable::new()),
            ordinal,
            segments: Mutex::new(Vec::new()),
            keeps_log: false,
            slack_bytes: AtomicU64::new(0),
            last_seqno: AtomicU64::new(0),
        }
    }

    /// A memtable of replayed writes whose flush leaves the log alone: a later one retires it.
    pub(crate) fn keeping_log(mut self) -> Self {
        self.keeps_log = true;
        self
    }

    pub(crate) fn wrote(&self, segment: Option<u64>, last_seqno: u64, slack_bytes: u64) {
        if let Some(segment) = segment {
            let mut segments = locked(&self.segments);
            if segments.last() != Some(&segment) {
                segments.push(segment);
            }
        }
        self.last_seqno.store(last_seqno, Ordering::Release);
        self.slack_bytes.fetch_add(slack_bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_segments(&self, ids: impl IntoIterator<Item = u64>) {
        locked(&self.segments).extend(ids);
    }

    /// The segments that hold its writes, oldest first; none if its flush leaves the log alone.
    pub(crate) fn retired_segments(&self) -> Vec<u64> {
        if self.keeps_log {
            return Vec::new();
        }
        locked(&self.segments).clone()
    }

    pub(crate) fn first_segment(&self) -> Option<u64> {
        locked(&self.segments).first().copied()
    }

    pub(crate) fn last_seqno(&self) -> u64 {
        self.last_seqno.load(Ordering::Acquire)
    }

    /// Bytes it keeps alive: its entries, and what surrounds them in the buffers they share.
    pub(crate) fn bytes(&self) -> u64 {
        self.memtable.bytes() + self.slack_bytes.load(Ordering::Relaxed)
    }
}

/// The runs of a version, as things that can be read.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) version: Arc<Version>,
    levels: Vec<Arc<[Arc<Run>]>>,
}

impl Tree {
    /// The tree of `version`; runs that `known` has are taken over, the others come from `make`.
    pub(crate) fn new(
        version: Arc<Version>,
        known: Option<&Self>,
        mut make: impl FnMut(&Arc<lsm_version::RunMeta>) -> Arc<Run>,
    ) -> Self {
        let known: HashMap<RunId, &Arc<Run>> = known
            .into_iter()
            .flat_map(Tree::runs)
            .map(|run| (run.meta().id, run))
            .collect();
        let levels = version
            .levels()
            .iter()
            .map(|level| {
                let runs = level.runs().iter();
                runs.map(|meta| match known.get(&meta.id) {
                    Some(run) => Arc::clone(run),
                    None => make(meta),
                })
                .collect()
            })
            .collect();
        Self { version, levels }
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.levels.iter().flat_map(|level| level.iter())
    }

    pub(crate) fn run(&self, id: RunId) -> Option<&Arc<Run>> {
        self.runs().find(|run| run.meta().id == id)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let Some((level_zero, deeper)) = self.levels.split_first() else {
            return Ok(None);
        };
        for run in level_zero.iter().filter(|run| run.meta().covers(key)) {
            if let Some(entry) = run.get(key)? {
                return Ok(entry);
            }
        }
        for (runs, level) in deeper.iter().zip(1..) {
            let run = self.version.level(level).find(key);
            if let Some(run) = run.and_then(|at| runs.get(at))
                && let Some(entry) = run.get(key)?
            {
                return Ok(entry);
            }
        }
        Ok(None)
    }

    fn sources(&self, sources: &mut Vec<Source>) {
        let Some((level_zero, deeper)) = self.levels.split_first() else {
            return;
        };
        let single = level_zero.iter().map(|run| Arc::from([Arc::clone(run)]));
        let levels = deeper.iter().filter(|level| !level.is_empty());
        let all = single.chain(levels.map(Arc::clone));
        sources.extend(all.map(Source::level));
    }
}

#[derive(Debug)]
pub(crate) struct ReadView {
    pub(crate) active: Arc<LoggedMemtable>,
    /// Newest first.
    pub(crate) sealed: Vec<Arc<LoggedMemtable>>,
    pub(crate) tree: Arc<Tree>,
    /// Held until the last reader is gone, so that nobody opens the directory under it.
    pub(crate) directory_lock: Arc<dyn FileLock>,
}

impl ReadView {
    fn memtables(&self) -> impl Iterator<Item = &Arc<LoggedMemtable>> {
        std::iter::once(&self.active).chain(&self.sealed)
    }

    /// The value of `key` as of `seqno`.
    pub(crate) fn get(&self, key: &[u8], seqno: u64) -> Result<Option<Bytes>> {
        for logged in self.memtables() {
            if let Some(found) = logged.memtable.get(key, seqno) {
                return Ok(found.value);
            }
        }
        self.tree.get(key)
    }

    /// Cursors over everything as of `seqno`, newest source first.
    pub(crate) fn sources(&self, seqno: u64) -> Vec<Source> {
        let mut sources: Vec<Source> = self
            .memtables()
            .filter(|logged| !logged.memtable.is_empty())
            .map(|logged| Source::Memtable(logged.memtable.cursor(seqno)))
            .collect();
        self.tree.sources(&mut sources);
        sources
    }

    pub(crate) fn sealed_bytes(&self) -> u64 {
        self.sealed.iter().map(|logged| logged.bytes()).sum()
    }
}
