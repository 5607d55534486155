//! Scenarios as data: what a store is opened with and what is done to it.
//!
//! Written out in the catalogue of scenarios, drawn at random for ordeals. Does nothing itself.

use lsm_db::{Durability, LsmConfig};
use lsm_fs::{CrashImage, Fault};

use super::Reached;

/// A named script.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name, for cases and reports.
    pub name: &'static str,
    /// How the store is opened at first.
    pub config: LsmConfig,
    /// The directory of `lsm-db` 1.x that it starts with, as [`vectors`](crate::vectors) names it.
    pub directory: Option<&'static str>,
    /// What is done on an earlier handle, which is closed; not swept, and played only once.
    pub before: Vec<Step>,
    /// What is done.
    pub steps: Vec<Step>,
    /// The first step whose operations are swept: what comes before is only the way there.
    pub swept_from: usize,
    /// Whether it got to what it is named for.
    pub reaches: fn(&Reached) -> bool,
}

/// One thing that is done. Keys are numbers; values are made up, unlike every other, and only
/// their length is given.
#[derive(Debug, Clone)]
pub enum Step {
    /// A batch of puts (of so many bytes) and deletes. `Sync` is read as `Buffered` where there is
    /// no log.
    Write(Vec<(u8, Option<usize>)>, Durability),
    /// As `Write`, if each of these keys has the value that it has then (true), or another (false):
    /// then nothing is written. Without puts and deletes it is a check.
    Conditional(Vec<(u8, bool)>, Vec<(u8, Option<usize>)>, Durability),
    /// A put of a value of 8 bytes with two keys of so many bytes in one batch.
    LongKeys(usize),
    /// `sync()`.
    Sync,
    /// `flush()`.
    Flush,
    /// `compact_range()` between two keys, both included.
    Compact(u8, u8),
    /// So many background tasks run.
    Background(usize),
    /// All background tasks run.
    Settle,
    /// The handle ends, and the store is opened again.
    Reopen(Ending),
    /// The store is opened so from the next time on.
    Configure(LsmConfig),
    /// The next sync of a log segment fails.
    FailLogSync,
    /// The next sync of the manifest fails.
    FailManifestSync,
    /// Something goes wrong so many mutating operations from now.
    Fail(Trouble, u64),
    /// The disk is well again, and has room.
    Heal,
}

/// How a handle ends.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// `close()`.
    Close,
    /// It is dropped.
    Drop,
    /// The process is killed.
    Kill,
    /// The power is cut.
    PowerCut(CrashImage),
    /// The power is cut, and again after so many operations of the recovery.
    PowerCutTwice(CrashImage, u64, CrashImage),
}

/// What can go wrong with one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// `EIO`, once.
    Eio,
    /// `EIO`, then and for ever after: no operation changes the disk any more.
    DeadDisk,
    /// `ENOSPC`, once.
    NoRoom,
    /// From then on the disk takes no more bytes.
    FullDisk,
    /// An append writes so many bytes and then `ENOSPC`; other operations get that at once.
    ShortWrite(usize),
}

const EIO: i32 = 5;

impl Trouble {
    /// All of them, with short writes that tear a header, a record, and write nothing.
    pub const ALL: [Self; 7] = [
        Self::Eio,
        Self::DeadDisk,
        Self::NoRoom,
        Self::FullDisk,
        Self::ShortWrite(0),
        Self::ShortWrite(17),
        Self::ShortWrite(90),
    ];

    /// As the disk's fault; `None` for a full disk, which is no single operation's.
    pub fn fault(self) -> Option<Fault> {
        let no_room = Fault::new(std::io::ErrorKind::StorageFull);
        match self {
            Self::Eio => Some(Fault::from_raw_os_error(EIO)),
            Self::DeadDisk => Some(Fault::from_raw_os_error(EIO).for_good()),
            Self::NoRoom => Some(no_room),
            Self::ShortWrite(bytes) => Some(no_room.short_write(bytes)),
            Self::FullDisk => None,
        }
    }

    /// Its place among all, for cases.
    pub fn number(self) -> Option<usize> {
        Self::ALL.iter().position(|trouble| *trouble == self)
    }
}

/// The key of a number.
pub fn key(number: u8) -> Vec<u8> {
    format!("key-{number:03}").into_bytes()
}
