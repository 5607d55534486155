#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cursor;
mod front;
mod key;
mod memtable;

pub use cursor::MemtableCursor;
pub use memtable::{ENTRY_OVERHEAD_BYTES, Found, Memtable};
