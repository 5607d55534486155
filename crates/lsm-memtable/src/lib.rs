#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod array;
mod array_cursor;
mod cursor;
mod front;
mod front_cursor;
mod key;
mod maintenance;
mod memtable;
mod parts;
mod shared;
mod superseded;

pub use cursor::MemtableCursor;
pub use maintenance::Maintenance;
pub use memtable::{ENTRY_OVERHEAD_BYTES, FRONT_BYTES_MAX, Found, LARGE_BATCH_ENTRIES, Memtable};
pub use parts::Retired;
