#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(test)]
mod conformance;
mod error;
mod fault;
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that calls the operating system's files"
)]
mod real;
mod relief;
mod seam;
mod sim;
mod synced_dirs;
mod whole_file;

pub use error::{AtomicWriteError, FsError};
pub use fault::{Event, Fault, FaultFs, Operation, Parked, TraceEvent};
pub use real::RealFs;
pub use relief::ReliefFs;
pub use seam::{DirEntry, EntryKind, File, FileLock, FileSystem};
pub use sim::{CrashImage, SimFs};
pub use synced_dirs::create_dir_all_synced;
pub use whole_file::{read_to_vec, write_file_atomically};
