//! Which unsynced pieces a power cut leaves: the catalogue of crash images.
//!
//! Called by tests, which take the standard set or name one. Decides nothing itself: the builder
//! turns an image into a file system.

use super::random::Random;

/// What of the unsynced state a power cut leaves on the disk.
///
/// What was synced is found in every image. For the rest, real file systems promise little: data
/// may be written in any order, in sectors; a length may reach the disk before the data it covers;
/// names are written apart from what they name. Each image is one such outcome, and the random
/// ones depend on their `seed` alone. Pieces of files are whole sectors, aligned in the file; of
/// several unsynced writes to one sector an image keeps a first part, because later states of a
/// sector include the earlier ones.
///
/// What a failed sync left (see [`SimFs::fail_sync`](super::SimFs::fail_sync)) counts as unsynced
/// here: the disk may or may not have it.
///
/// ```
/// use std::path::Path;
/// use lsm_fs::{ByPath, CrashImage, SimFs};
///
/// let fs = SimFs::new();
/// fs.create_new(Path::new("/a"))?.append_all(b"unsynced")?;
/// for image in CrashImage::standard(42) {
///     let after_crash = fs.crash(&image);
///     // … recover from `after_crash`, and check what was promised; print `image` if it fails.
///     assert!(after_crash.list(Path::new("/"))?.len() <= 1, "{image:?}");
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CrashImage {
    /// Nothing that was not synced: finds a missing sync of a file or a directory.
    NothingUnsynced,
    /// All of it, as if the cut had come long after: finds a recovery that fails on what an
    /// unacknowledged operation left.
    EverythingUnsynced,
    /// The first operations of the whole disk, in the order they were made, up to a random one,
    /// which may be torn: what a kill of the machine in the middle would leave on a disk without a
    /// cache.
    Prefix {
        /// Where the order is cut.
        seed: u64,
    },
    /// Any subset of 512-byte sectors, any moment of each length, any subset of directory
    /// operations: a disk that promises no more than its sector.
    Sectors512 {
        /// Which subsets.
        seed: u64,
    },
    /// The same in 4 KiB pieces: a page cache written back in any order.
    Sectors4096 {
        /// Which subsets.
        seed: u64,
    },
    /// Names and lengths, but none of the data: new bytes read as zeros.
    LengthsWithoutData,
    /// Names and lengths, and some of the data; the rest of the new bytes is what the blocks held
    /// before, which is anything.
    LengthsWithGarbage {
        /// Which data, and which garbage.
        seed: u64,
    },
    /// Names, but neither data nor lengths: new files are found empty.
    NamesWithoutData,
    /// Data and lengths, but no directory operation.
    DataWithoutNames,
    /// All but the removals: unlinked files are back beside the new ones.
    RemovalsUndone,
    /// Data and removals, but no creation or rename: what was to be replaced is gone already.
    RemovalsOnly,
    /// All data, and of each directory's operations a random first part, so that directories
    /// disagree on when the power went.
    NamesPrefix {
        /// Where each directory's order is cut.
        seed: u64,
    },
    /// All data, and an arbitrary subset of the directory operations.
    NamesSubset {
        /// Which subset.
        seed: u64,
    },
}

impl CrashImage {
    /// One image of every kind, the mild ones first; the random ones seeded from `seed`.
    ///
    /// The set may grow in later versions. In a sweep, give each step a seed of its own.
    pub fn standard(seed: u64) -> Vec<Self> {
        let mut random = Random::new(seed);
        vec![
            Self::NothingUnsynced,
            Self::EverythingUnsynced,
            Self::Prefix {
                seed: random.next(),
            },
            Self::Sectors512 {
                seed: random.next(),
            },
            Self::Sectors4096 {
                seed: random.next(),
            },
            Self::LengthsWithoutData,
            Self::LengthsWithGarbage {
                seed: random.next(),
            },
            Self::NamesWithoutData,
            Self::DataWithoutNames,
            Self::RemovalsUndone,
            Self::RemovalsOnly,
            Self::NamesPrefix {
                seed: random.next(),
            },
            Self::NamesSubset {
                seed: random.next(),
            },
        ]
    }
}
