//! No filters: the feature `bloom` is off. Every question is answered "maybe".

use std::sync::Arc;

use lsm_scheduler::Pool;
use lsm_version::RunMeta;

use crate::LsmConfig;
use crate::health::Health;
use crate::run::{Run, RunContext};

#[derive(Debug)]
pub(crate) struct Filters;

impl Filters {
    pub(crate) fn new(
        _hash_seed: u64,
        _config: &LsmConfig,
        _pool: &Pool,
        _health: &Arc<Health>,
    ) -> Self {
        Self
    }
}

/// A key that is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe<'k> {
    pub(crate) key: &'k [u8],
}

#[derive(Debug)]
pub(crate) struct MemtableFilter;

impl MemtableFilter {
    pub(crate) fn new(_filters: &Filters, _capacity_bytes: u64) -> Self {
        Self
    }

    pub(crate) fn probe<'k>(&self, key: &'k [u8]) -> Probe<'k> {
        Probe { key }
    }

    pub(crate) fn insert(&self, _key: &[u8]) {}

    pub(crate) fn may_contain(&self, _probe: &Probe<'_>) -> bool {
        true
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        0
    }
}

#[derive(Debug)]
pub(crate) struct RunFilter;

impl RunFilter {
    pub(crate) fn new(_context: &RunContext, _is_deepest: bool) -> Self {
        Self
    }

    pub(crate) fn may_contain(&self, _run: &Arc<Run>, _probe: &Probe<'_>) -> bool {
        true
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        0
    }
}

#[derive(Debug)]
pub(crate) struct OutputFilter;

impl OutputFilter {
    pub(crate) fn new(_context: &RunContext, _is_deepest: bool) -> Self {
        Self
    }

    pub(crate) fn push(&mut self, _key: &[u8]) {}

    pub(crate) fn scratch_bytes(&self) -> usize {
        0
    }

    pub(crate) fn write(&mut self, _context: &RunContext, _run: &RunMeta) {}
}
