//! Real processes on a real disk: children that are killed, traced, failed and filled up, and held
//! against what they were promised.
//!
//! What the sweeps of [`crash`](crate::crash) show on a simulated disk is shown here once more with
//! nothing simulated: a child opens a store through the operating system, says over a pipe what it
//! is about to do and what was acknowledged, and its parent, who knows all it may have done, opens
//! what it left. [`kills`] ends children at random moments, or at chosen operations of their file
//! system; [`system_calls`] has `strace` fail, kill or write down their system calls; [`full_disk`]
//! fills a small file system of its own; [`environment`] does to a store that is open, and to its
//! process, what happens to programs: it moves its directory, forks, starts other programs.
//!
//! `cargo xtask processes` runs all of it, the unit tests a handful. What needs a tool or a right
//! that is not there is left out, and said to be.

pub mod aftermath;
pub mod child;
pub mod deadly_fs;
pub mod environment;
mod forked;
pub mod full_disk;
pub mod job;
pub mod kills;
pub mod life;
pub mod oracle;
pub mod puppet;
pub mod record;
pub mod system_calls;
pub mod trace;
pub mod workload;
