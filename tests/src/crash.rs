//! Crashes and faults at every operation of a store's life, and what must hold after each.
//!
//! A [`Scenario`] is a small script. [`cuts`] plays it and crashes the machine after every
//! operation of the file system, in every image that a disk may be found in; [`faults`] plays it
//! once for each operation that may fail; [`ordeals`] are random scripts that shrink. What is found
//! after a restart is held against a [`History`] of what was promised. Everything is drawn from a
//! seed: the same seed gives the same operations, crashes and answers.
//!
//! `cargo xtask crash` runs all of it in a [`campaign`] for as long as wanted, the test binary
//! `crash` a fast cut. Never touches a real disk or a clock, except to know when to stop.

mod aftermath;
mod book;
pub mod campaign;
pub mod cuts;
pub mod faults;
pub mod history;
pub(crate) mod leftovers;
pub mod ordeals;
mod play;
pub mod scenarios;
pub mod script;
mod stage;
mod start;
pub mod threads;
mod violation;

pub use book::Reached;
pub(crate) use cuts::caught;
pub use history::History;
pub use script::{Ending, Scenario, Step};
pub use violation::Violation;

use lsm_fs::{CrashImage, SimFs};

/// How a machine goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Crash {
    /// The process is killed: what it had handed over is still in the page cache.
    Kill,
    /// The power goes; the image says what of the unsynced state is found.
    PowerCut(CrashImage),
}

impl Crash {
    /// One crash of every kind, the kill last; the random ones drawn from `seed`. Always the same
    /// number in the same order.
    pub fn every(seed: u64) -> Vec<Self> {
        let images = CrashImage::standard(seed).into_iter().map(Self::PowerCut);
        images.chain([Self::Kill]).collect()
    }

    /// The disk as the next process finds it.
    pub fn of(self, disk: &SimFs) -> SimFs {
        match self {
            Self::Kill => disk.reopen_after_kill(),
            Self::PowerCut(image) => disk.crash(&image),
        }
    }
}

/// A seed for one step of a sweep: each step has another, and each sweep's steps are others.
pub(crate) fn mixed(seed: u64, number: u64) -> u64 {
    crate::random::Random::new(seed.rotate_left(32) ^ number).draw()
}
