#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod by_path;
#[cfg(test)]
mod conformance;
mod directory_lock;
mod error;
mod fault;
mod file_name;
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that calls the operating system's files"
)]
mod real;
mod relief;
mod seam;
mod sim;
mod sync_latch;
mod synced_dirs;
mod whole_file;

pub use by_path::ByPath;
pub use directory_lock::lock_directory;
pub use error::{AtomicWriteError, FsError};
pub use fault::{Event, Fault, FaultFs, Operation, Parked, TraceEvent};
pub use file_name::{FileName, InvalidFileName};
pub use real::{RealFs, is_too_many_open_files};
pub use relief::ReliefFs;
pub use seam::{DirEntry, Directory, DirectoryId, EntryKind, File, FileLock, FileSystem};
pub use sim::{CrashImage, SimFs};
pub use synced_dirs::create_dir_all_synced;
pub use whole_file::{read_to_vec, write_file_atomically};
