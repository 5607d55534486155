//! The memory that background jobs hold for the time they run: what `stats` says of it.
//!
//! Told by the outputs that write a run, by the inputs of a merge and by the maintenance of memtables;
//! asked by `stats`. It bounds nothing: what a job may hold is bounded where it is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are held by all jobs together.
#[derive(Debug, Clone, Default)]
pub(crate) struct JobMemory(Arc<AtomicU64>);

impl JobMemory {
    /// What a part of a job holds, which is nothing so far.
    pub(crate) fn charge(&self) -> Charge {
        Charge {
            all: self.clone(),
            bytes: 0,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one part of a job holds; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    all: JobMemory,
    bytes: u64,
}

impl Charge {
    /// It holds so many bytes now.
    pub(crate) fn set(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        let before = std::mem::replace(&mut self.bytes, bytes);
        // Added first: the sum never falls below what the others hold.
        self.all.0.fetch_add(bytes, Ordering::Relaxed);
        self.all.0.fetch_sub(before, Ordering::Relaxed);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use lsm_compact::Cursor;
    use lsm_fs::SimFs;

    use super::*;
    use crate::run_blocks::Caching;
    use crate::run_writer::RunOutput;
    use crate::source::Source;
    use crate::{LsmConfig, Scheduler, recovery};

    #[test]
    fn what_a_merge_holds_is_told_until_it_is_done() {
        let config = LsmConfig::new()
            .file_system(Arc::new(SimFs::new()))
            .scheduler(Scheduler::stepped(1));
        let engine = recovery::open(Path::new("/store"), config).unwrap();
        let told = || engine.stats().job_bytes;
        let mut output = RunOutput::create(&engine, false).unwrap();
        for number in 0_u32..20_000 {
            output.push(&number.to_be_bytes(), Some(&[7; 100])).unwrap();
        }
        // The write buffer, and what making a filter takes.
        let hashes = if cfg!(feature = "bloom") {
            18_000 * 36
        } else {
            0
        };
        assert!(told() > (256 << 10) + hashes, "{}", told());
        let meta = output.finish().unwrap();
        drop(output);
        assert_eq!(told(), 0);

        let run = crate::run::Run::new(meta, false, &engine.run_context);
        let mut input = Source::level(Arc::from([run]), Caching::Bypass);
        input.seek_first().unwrap();
        for _ in 0..10_000 {
            input.next().unwrap();
        }
        // It reads ahead by now.
        assert!(told() > 128 << 10, "{}", told());
        drop(input);
        assert_eq!(told(), 0);
    }

    #[test]
    fn what_parts_hold_adds_up_and_is_given_back() {
        let memory = JobMemory::default();
        let (mut output, mut input) = (memory.charge(), memory.charge());
        output.set(100);
        input.set(20);
        input.set(30);
        assert_eq!(memory.bytes(), 130);
        drop(output);
        assert_eq!(memory.bytes(), 30);
        drop(input);
        assert_eq!(memory.bytes(), 0);
    }
}
