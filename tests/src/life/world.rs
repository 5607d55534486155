//! Where a life is lived: a simulated machine, or a real directory with real threads.

use lsm_db::{Lsm, LsmConfig};
use lsm_fs::CrashImage;
use tempfile::TempDir;

use crate::machine::Machine;

/// What [`run`](super::run()) needs of the place.
pub trait World: Sized {
    /// Opens the store.
    ///
    /// # Errors
    /// The store's.
    fn open(&self) -> lsm_db::Result<Lsm>;

    /// The store is opened so from the next time on.
    fn configure(&mut self, config: LsmConfig);

    /// Runs one background task, where background work waits to be run.
    fn step(&self);

    /// Runs all background tasks, where background work waits to be run.
    fn settle(&self);

    /// The world after a kill of the process, if this one can do that.
    fn after_kill(&self) -> Option<Self>;

    /// The world after a power cut, if this one can do that.
    fn after_power_cut(&self, seed: u64) -> Option<Self>;
}

impl World for Machine {
    fn open(&self) -> lsm_db::Result<Lsm> {
        Machine::open(self)
    }

    fn configure(&mut self, config: LsmConfig) {
        Machine::configure(self, config);
    }

    fn step(&self) {
        self.scheduler.step();
    }

    fn settle(&self) {
        Machine::settle(self);
    }

    fn after_kill(&self) -> Option<Self> {
        Some(Machine::after_kill(self))
    }

    fn after_power_cut(&self, seed: u64) -> Option<Self> {
        let images = CrashImage::standard(seed);
        let image = images.get(usize::try_from(seed % images.len() as u64).ok()?)?;
        Some(Machine::after_power_cut(self, image))
    }
}

/// A store in a temporary directory of the operating system, with its work on threads.
#[derive(Debug)]
pub struct RealDirectory {
    dir: TempDir,
    config: LsmConfig,
}

impl RealDirectory {
    /// A new directory, removed at the end.
    ///
    /// # Errors
    /// The file system's.
    pub fn new(config: LsmConfig) -> std::io::Result<Self> {
        Ok(Self {
            dir: tempfile::tempdir()?,
            config,
        })
    }
}

impl World for RealDirectory {
    fn open(&self) -> lsm_db::Result<Lsm> {
        Lsm::open_with(self.dir.path(), self.config.clone())
    }

    fn configure(&mut self, config: LsmConfig) {
        self.config = config;
    }

    fn step(&self) {}

    fn settle(&self) {}

    fn after_kill(&self) -> Option<Self> {
        None
    }

    fn after_power_cut(&self, _seed: u64) -> Option<Self> {
        None
    }
}
