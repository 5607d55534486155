//! A simulated machine to run a store on: a disk that can lose power, faults to inject, and a
//! scheduler that runs background work only when it is stepped. One seed, one history.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsm_db::{Lsm, LsmConfig, Scheduler};
use lsm_fs::{CrashImage, FaultFs, SimFs};

/// More background tasks than any test of this size can have queued.
const STEPS_MAX: usize = 100_000;

/// A disk, a scheduler, and the configuration with which the store in [`dir`](Self::dir) is
/// opened.
#[derive(Debug)]
pub struct Machine {
    /// The simulated disk: for looking at it, and for taking power away.
    pub disk: SimFs,
    /// The way that stores take to the disk: for faults, held operations and the trace.
    pub faults: FaultFs,
    /// The scheduler of stores opened from now on.
    pub scheduler: Scheduler,
    config: LsmConfig,
    seed: u64,
}

impl Machine {
    /// A machine with an empty disk.
    pub fn new(config: LsmConfig, seed: u64) -> Self {
        Self::with_disk(SimFs::new(), config, seed)
    }

    /// A machine with an empty disk, whose background work runs on threads.
    pub fn on_threads(config: LsmConfig) -> Self {
        Self::new(config, 0).on_its_own_threads()
    }

    /// The same machine, with the background work of stores opened from now on on threads.
    #[must_use]
    pub fn on_its_own_threads(self) -> Self {
        Self {
            scheduler: Scheduler::threads(),
            ..self
        }
    }

    /// A machine with this disk.
    pub fn with_disk(disk: SimFs, config: LsmConfig, seed: u64) -> Self {
        let faults = FaultFs::over_sim(disk.clone());
        Self {
            disk,
            faults,
            scheduler: Scheduler::stepped(seed),
            config,
            seed,
        }
    }

    /// Where the store is.
    pub fn dir(&self) -> &'static Path {
        Path::new("/data/store")
    }

    /// The path of a file of the store.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// The configuration, on this machine's disk and scheduler.
    pub fn config(&self) -> LsmConfig {
        self.config
            .clone()
            .file_system(Arc::new(self.faults.clone()))
            .scheduler(self.scheduler.clone())
    }

    /// Opens the store.
    ///
    /// # Errors
    /// The store's.
    pub fn open(&self) -> lsm_db::Result<Lsm> {
        Lsm::open_with(self.dir(), self.config())
    }

    /// Runs background work until there is none, and retries too.
    ///
    /// # Panics
    /// If it never ends.
    pub fn settle(&self) {
        let steps = self.scheduler.run_until_idle(STEPS_MAX);
        assert!(steps < STEPS_MAX, "background work goes on for ever");
    }

    /// The machine after a power cut now: a new one, with what is left of the disk. Handles stay
    /// with the old one.
    pub fn after_power_cut(&self, image: &CrashImage) -> Self {
        self.restarted(self.disk.crash(image), self.config.clone())
    }

    /// The machine after the process was killed now: the page cache survives.
    pub fn after_kill(&self) -> Self {
        self.restarted(self.disk.reopen_after_kill(), self.config.clone())
    }

    /// Stores are opened so from now on.
    pub fn configure(&mut self, config: LsmConfig) {
        self.config = config;
    }

    /// The same disk, for a store opened otherwise.
    pub fn reconfigured(&self, config: LsmConfig) -> Self {
        self.restarted(self.disk.clone(), config)
    }

    fn restarted(&self, disk: SimFs, config: LsmConfig) -> Self {
        let machine = Self::with_disk(disk, config, self.seed.wrapping_add(1));
        match self.scheduler.is_stepped() {
            true => machine,
            false => machine.on_its_own_threads(),
        }
    }
}
