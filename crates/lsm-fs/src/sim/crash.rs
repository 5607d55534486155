//! The builder of crash images: from a disk with pending changes to one that has been through a
//! power cut.
//!
//! Called by `SimFs::crash`. Never changes the disk that it starts from, and never loses what was
//! synced.

use std::collections::BTreeMap;

use super::content::Content;
use super::dir_node::{DirChange, DirEdit, DirNode, Names};
use super::disk::{Disk, Inode};
use super::file_node::{FileChange, FileEdit, FileNode};
use super::image::CrashImage;
use super::random::Random;

/// The disk as found after a power cut.
pub(super) fn after_power_cut(disk: &Disk, image: &CrashImage) -> Disk {
    let mut fate = Fate::of(disk, image);
    disk.rebuilt(|inode| match inode {
        Inode::File(file) => Inode::File(FileNode::settled(fate.content(file))),
        Inode::Dir(dir) => Inode::Dir(DirNode::settled(fate.names(dir))),
    })
}

const SECTOR_512: u64 = 512;
const SECTOR_4096: u64 = 4096;

/// An image as three independent choices.
#[derive(Debug)]
struct Fate {
    random: Random,
    sector_bytes: u64,
    data: Data,
    lengths: Lengths,
    names: NameFate,
    /// What is read where a length is found without its data.
    garbage: bool,
}

#[derive(Debug, Clone, Copy)]
enum Data {
    Lost,
    Kept,
    RandomSectors,
    Before(Cut),
}

#[derive(Debug, Clone, Copy)]
enum Lengths {
    Lost,
    Kept,
    /// As of any moment since the last sync, of each file its own.
    RandomMoment,
    Before(Cut),
}

#[derive(Debug, Clone, Copy)]
enum NameFate {
    Lost,
    Kept,
    AllButRemovals,
    RemovalsOnly,
    RandomPrefix,
    RandomSubset,
    Before(Cut),
}

/// A point in the order of all changes: those before `sequence` are kept, of that one the first
/// `sectors`, and nothing after it.
#[derive(Debug, Clone, Copy)]
struct Cut {
    sequence: u64,
    sectors: u64,
}

impl Cut {
    /// Where the power goes in a random one of the pending changes, or after all of them.
    fn random(disk: &Disk, random: &mut Random) -> Self {
        let mut pending: Vec<(u64, u64)> = Vec::new();
        for inode in disk.inodes() {
            match inode {
                Inode::File(file) => pending.extend(
                    file.pending()
                        .iter()
                        .map(|change| (change.sequence, sectors_of(change))),
                ),
                Inode::Dir(dir) => {
                    pending.extend(dir.pending().iter().map(|change| (change.sequence, 0)));
                }
            }
        }
        pending.sort_unstable();
        let torn = usize::try_from(random.below(pending.len() as u64 + 1)).unwrap_or_default();
        match pending.get(torn) {
            Some(&(sequence, sectors)) => Self {
                sequence,
                sectors: random.below(sectors + 1),
            },
            None => Self {
                sequence: u64::MAX,
                sectors: 0,
            },
        }
    }

    fn keeps(self, sequence: u64, sector: u64) -> bool {
        sequence < self.sequence || (sequence == self.sequence && sector < self.sectors)
    }
}

/// Into how many 512-byte sectors a change can be torn.
fn sectors_of(change: &FileChange) -> u64 {
    match &change.edit {
        FileEdit::Write { offset, bytes } => {
            (offset % SECTOR_512 + bytes.len() as u64).div_ceil(SECTOR_512)
        }
        FileEdit::Grow | FileEdit::Cut => 0,
    }
}

impl Fate {
    fn of(disk: &Disk, image: &CrashImage) -> Self {
        use CrashImage as Image;
        let seed = match *image {
            Image::Prefix { seed }
            | Image::Sectors512 { seed }
            | Image::Sectors4096 { seed }
            | Image::LengthsWithGarbage { seed }
            | Image::NamesPrefix { seed }
            | Image::NamesSubset { seed } => seed,
            Image::NothingUnsynced
            | Image::EverythingUnsynced
            | Image::LengthsWithoutData
            | Image::NamesWithoutData
            | Image::DataWithoutNames
            | Image::RemovalsUndone
            | Image::RemovalsOnly => 0,
        };
        let mut random = Random::new(seed);
        let (data, lengths, names) = match image {
            Image::NothingUnsynced => (Data::Lost, Lengths::Lost, NameFate::Lost),
            Image::EverythingUnsynced => (Data::Kept, Lengths::Kept, NameFate::Kept),
            Image::Prefix { .. } => {
                let cut = Cut::random(disk, &mut random);
                (
                    Data::Before(cut),
                    Lengths::Before(cut),
                    NameFate::Before(cut),
                )
            }
            Image::Sectors512 { .. } | Image::Sectors4096 { .. } => (
                Data::RandomSectors,
                Lengths::RandomMoment,
                NameFate::RandomSubset,
            ),
            Image::LengthsWithoutData => (Data::Lost, Lengths::Kept, NameFate::Kept),
            Image::LengthsWithGarbage { .. } => {
                (Data::RandomSectors, Lengths::Kept, NameFate::Kept)
            }
            Image::NamesWithoutData => (Data::Lost, Lengths::Lost, NameFate::Kept),
            Image::DataWithoutNames => (Data::Kept, Lengths::Kept, NameFate::Lost),
            Image::RemovalsUndone => (Data::Kept, Lengths::Kept, NameFate::AllButRemovals),
            Image::RemovalsOnly => (Data::Kept, Lengths::Kept, NameFate::RemovalsOnly),
            Image::NamesPrefix { .. } => (Data::Kept, Lengths::Kept, NameFate::RandomPrefix),
            Image::NamesSubset { .. } => (Data::Kept, Lengths::Kept, NameFate::RandomSubset),
        };
        let sector_bytes = match image {
            Image::Sectors4096 { .. } => SECTOR_4096,
            _ => SECTOR_512,
        };
        let garbage = matches!(image, Image::LengthsWithGarbage { .. });
        Self {
            random,
            sector_bytes,
            data,
            lengths,
            names,
            garbage,
        }
    }

    /// The names that a directory is found with.
    fn names(&mut self, dir: &DirNode) -> Names {
        let mut names = dir.durable().clone();
        let first_lost = self.random.below(dir.pending().len() as u64 + 1);
        for (place, change) in (0..).zip(dir.pending()) {
            if self.keeps_name(change, place < first_lost) {
                change.edit.apply(&mut names);
            }
        }
        names
    }

    fn keeps_name(&mut self, change: &DirChange, in_prefix: bool) -> bool {
        let is_removal = matches!(change.edit, DirEdit::Remove { .. });
        match self.names {
            NameFate::Lost => false,
            NameFate::Kept => true,
            NameFate::AllButRemovals => !is_removal,
            NameFate::RemovalsOnly => is_removal,
            NameFate::RandomPrefix => in_prefix,
            NameFate::RandomSubset => self.random.chance(4),
            NameFate::Before(cut) => cut.keeps(change.sequence, 0),
        }
    }

    /// The bytes that a file is found with.
    fn content(&mut self, file: &FileNode) -> Content {
        let mut builder = FileBuilder {
            content: file.durable().clone(),
            sectors: BTreeMap::new(),
            // Files differ in how much of them was written back, so that both nearly whole and
            // nearly empty ones are found.
            eighths: self.random.pick(&[1, 4, 7]),
            moments_left: 0,
        };
        if let Lengths::RandomMoment = self.lengths {
            let moments = file
                .pending()
                .iter()
                .map(|change| self.moments_of(change))
                .sum::<u64>();
            builder.moments_left = self.random.below(moments + 1);
        }
        for change in file.pending() {
            match &change.edit {
                FileEdit::Write { offset, bytes } => {
                    self.write(&mut builder, change, *offset, bytes);
                }
                FileEdit::Grow => {
                    if self.keeps_length(&mut builder, change.sequence, 0) {
                        builder.content.set_len(change.len_after);
                    }
                }
                FileEdit::Cut => {
                    if self.keeps_length(&mut builder, change.sequence, 0) {
                        builder.content.cut(change.len_after);
                    }
                }
            }
        }
        builder.content
    }

    fn write(&mut self, file: &mut FileBuilder, change: &FileChange, offset: u64, bytes: &[u8]) {
        let (mut at, mut rest) = (offset, bytes);
        for nth in 0.. {
            if rest.is_empty() {
                break;
            }
            let to_boundary = self.sector_bytes - at % self.sector_bytes;
            let count = usize::try_from(to_boundary)
                .unwrap_or(usize::MAX)
                .min(rest.len());
            let (sector, after) = rest.split_at(count);
            let end = at + count as u64;
            if self.keeps_data(file, change.sequence, nth, at / self.sector_bytes) {
                file.content.put(sector, at);
            } else if self.garbage && at >= change.len_before {
                let garbage: Vec<u8> = sector.iter().map(|_| self.random.byte()).collect();
                file.content.put(&garbage, at);
            }
            if end > change.len_before && self.keeps_length(file, change.sequence, nth) {
                file.content.set_len(end);
            }
            (at, rest) = (end, after);
        }
    }

    fn keeps_data(&mut self, file: &mut FileBuilder, sequence: u64, nth: u64, sector: u64) -> bool {
        match self.data {
            Data::Lost => false,
            Data::Kept => true,
            Data::Before(cut) => cut.keeps(sequence, nth),
            Data::RandomSectors => {
                let eighths = match file.sectors.get(&sector) {
                    None => file.eighths,
                    // Once a state of the sector did not reach the disk, no later one did.
                    Some(false) => 0,
                    Some(true) => 7,
                };
                let kept = self.random.chance(eighths);
                file.sectors.insert(sector, kept);
                kept
            }
        }
    }

    fn keeps_length(&self, file: &mut FileBuilder, sequence: u64, nth: u64) -> bool {
        match self.lengths {
            Lengths::Lost => false,
            Lengths::Kept => true,
            Lengths::Before(cut) => cut.keeps(sequence, nth),
            Lengths::RandomMoment => {
                let kept = file.moments_left > 0;
                file.moments_left = file.moments_left.saturating_sub(1);
                kept
            }
        }
    }

    /// How many times `change` asks [`keeps_length`](Self::keeps_length): a long write moves the
    /// length sector by sector.
    fn moments_of(&self, change: &FileChange) -> u64 {
        match &change.edit {
            FileEdit::Grow | FileEdit::Cut => 1,
            FileEdit::Write { offset, bytes } => {
                let first_new = change.len_before.max(*offset);
                let end = offset + bytes.len() as u64;
                if end <= first_new {
                    return 0;
                }
                end.div_ceil(self.sector_bytes) - first_new / self.sector_bytes
            }
        }
    }
}

/// A file on its way through the power cut.
#[derive(Debug)]
struct FileBuilder {
    content: Content,
    /// For each sector seen so far, whether its last state reached the disk.
    sectors: BTreeMap<u64, bool>,
    /// How many of eight sectors do.
    eighths: u64,
    /// How many more changes of the length do.
    moments_left: u64,
}
