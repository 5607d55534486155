//! Runs that are wrong in one place or a few, with every checksum around it right.
//!
//! Called by the sweeps. A run is taken apart with the tests' own reader, changed, and sealed
//! again; so nothing but the parser stands between the lie and the engine.

use lsm_format::{Entry, FOOTER_LEN, Footer, HEADER_LEN, MAGIC, crc32c, encode_entry};

use super::frames::odd_number;
use crate::layout::layout;
use crate::model::Write;
use crate::random::Random;

/// A run of these blocks, in whatever order and however small they are.
pub(crate) fn of_blocks(blocks: &[Vec<Write>]) -> Vec<u8> {
    let item = |(key, value): &Write| Item {
        key: key.clone(),
        value: value.clone(),
    };
    let parts = Parts {
        blocks: blocks
            .iter()
            .map(|block| block.iter().map(item).collect())
            .collect(),
        entry_count: blocks.iter().map(|block| block.len() as u64).sum(),
    };
    let (blocks, index) = parts.laid_out();
    let mut run = [MAGIC.as_slice(), &blocks.concat()].concat();
    let index = sealed_index(&run, &index);
    let footer = Footer {
        entry_count: parts.entry_count,
        index_offset: run.len() as u64,
        index_len: index.len() as u64,
        index_crc: crc32c(&index),
    };
    run.extend_from_slice(&index);
    run.extend_from_slice(&footer.encode());
    run
}

/// A run in parts.
#[derive(Debug, Clone)]
struct Parts {
    blocks: Vec<Vec<Item>>,
    entry_count: u64,
}

/// An entry, as it will be encoded.
#[derive(Debug, Clone)]
struct Item {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

/// An entry of the index.
#[derive(Debug, Clone)]
struct IndexEntry {
    last_key: Vec<u8>,
    offset: u64,
    len: u32,
}

/// A run whose checksums fit and whose content does not; and what was done to it.
pub(crate) fn forge(sound: &[u8], random: &mut Random) -> Option<(Vec<u8>, String)> {
    let mut parts = Parts::of(sound)?;
    let mut said = Vec::new();
    let place = random.below(4);
    if place == 0 {
        said.push(parts.change_entries(random));
    }
    let (mut blocks, mut index) = parts.laid_out();
    if place == 1 {
        said.push(change_block(&mut blocks, random));
        index = relaid(&blocks, index);
    }
    if place == 2 {
        for _ in 0..=random.below(2) {
            said.push(change_index(&mut index, random));
        }
    }
    let body = blocks.concat();
    let mut footer = Footer {
        entry_count: parts.entry_count,
        index_offset: (HEADER_LEN + body.len()) as u64,
        index_len: 0,
        index_crc: 0,
    };
    let mut run = [MAGIC.as_slice(), &body].concat();
    let mut index = sealed_index(&run, &index);
    if place == 3 {
        said.push(change_index_bytes(&mut index, random));
    }
    footer.index_len = index.len() as u64;
    footer.index_crc = crc32c(&index);
    if random.one_in(8) {
        said.push(change_footer(&mut footer, random));
    }
    run.extend_from_slice(&index);
    run.extend_from_slice(&footer.encode());
    Some((run, said.join(", ")))
}

/// What a manifest says of a run file: its length, and its index's length and checksum.
pub fn recorded(run: &[u8]) -> Option<[u64; 3]> {
    let footer = run.len().checked_sub(FOOTER_LEN)?;
    let footer = Footer::decode(run.get(footer..)?.first_chunk()?, run.len() as u64).ok()?;
    Some([
        run.len() as u64,
        footer.index_len,
        u64::from(footer.index_crc),
    ])
}

impl Parts {
    fn of(sound: &[u8]) -> Option<Self> {
        let layout = layout(sound)?;
        let mut blocks = Vec::new();
        for block in &layout.blocks {
            let entries = lsm_format::Entries::new(sound.get(block.bytes.clone())?);
            let items = entries.map(|entry| {
                entry.map(|(key, entry)| Item {
                    key: key.to_vec(),
                    value: entry.value().map(<[u8]>::to_vec),
                })
            });
            blocks.push(items.collect::<Result<Vec<_>, _>>().ok()?);
        }
        let entry_count = blocks.iter().map(|block| block.len() as u64).sum();
        Some(Self {
            blocks,
            entry_count,
        })
    }

    /// The bytes of the blocks, and their index.
    fn laid_out(&self) -> (Vec<Vec<u8>>, Vec<IndexEntry>) {
        let mut blocks = Vec::new();
        let mut index = Vec::new();
        for block in &self.blocks {
            let mut bytes = Vec::new();
            for item in block {
                let entry = item.value.as_deref().map_or(Entry::Tombstone, Entry::Value);
                encode_entry(&mut bytes, &item.key, entry);
            }
            index.push(IndexEntry {
                last_key: block
                    .last()
                    .map(|item| item.key.clone())
                    .unwrap_or_default(),
                offset: 0,
                len: 0,
            });
            blocks.push(bytes);
        }
        let index = relaid(&blocks, index);
        (blocks, index)
    }

    /// Sound in form, wrong in content: other keys, another order, entries twice or nowhere.
    fn change_entries(&mut self, random: &mut Random) -> String {
        let block = random.below(self.blocks.len().max(1));
        let other = random.below(self.blocks.len().max(1));
        let Some(items) = self.blocks.get_mut(block).filter(|items| !items.is_empty()) else {
            return "nothing to change".to_owned();
        };
        let (at, to) = (random.below(items.len()), random.below(items.len()));
        match random.below(9) {
            0 => {
                items.swap(at, to);
                format!("block {block}: entries {at} and {to} swapped")
            }
            1 => {
                let item = items[at].clone();
                items.insert(to, item);
                format!("block {block}: entry {at} again at {to}")
            }
            2 => {
                items.remove(at);
                format!("block {block}: entry {at} gone")
            }
            3 => {
                items.clear();
                format!("block {block}: empty")
            }
            4 => {
                items[at].key = random.bytes(to);
                format!("block {block}: entry {at} has a random key of {to} bytes")
            }
            5 => {
                items[at].key = [vec![0xff; 9], random.bytes(4)].concat();
                format!("block {block}: entry {at} has a key past all others")
            }
            6 => {
                items[at].value = match items[at].value {
                    Some(_) => None,
                    None => Some(random.bytes(to)),
                };
                format!("block {block}: entry {at} the other way round")
            }
            7 => {
                self.blocks.swap(block, other);
                format!("blocks {block} and {other} swapped")
            }
            _ => {
                let copy = self.blocks[other].clone();
                self.blocks.insert(block, copy);
                format!("block {other} again before {block}")
            }
        }
    }
}

/// Gives the index the places that the blocks have.
fn relaid(blocks: &[Vec<u8>], mut index: Vec<IndexEntry>) -> Vec<IndexEntry> {
    let mut offset = HEADER_LEN as u64;
    for (entry, block) in index.iter_mut().zip(blocks) {
        entry.offset = offset;
        entry.len = u32::try_from(block.len()).unwrap_or(u32::MAX);
        offset += block.len() as u64;
    }
    index
}

/// Encodes the index, each block's checksum made of the bytes that the entry points at.
fn sealed_index(run: &[u8], index: &[IndexEntry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in index {
        let start = usize::try_from(entry.offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(entry.len as usize);
        let len = u32::try_from(entry.last_key.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&entry.last_key);
        bytes.extend_from_slice(&entry.offset.to_le_bytes());
        bytes.extend_from_slice(&entry.len.to_le_bytes());
        let crc = crc32c(run.get(start..end).unwrap_or_default());
        bytes.extend_from_slice(&crc.to_le_bytes());
    }
    bytes
}

/// Changes bytes of a block: lengths, tags, junk behind the last entry.
fn change_block(blocks: &mut [Vec<u8>], random: &mut Random) -> String {
    let at = random.below(blocks.len().max(1));
    let Some(block) = blocks.get_mut(at).filter(|block| block.len() >= 8) else {
        return "no block to change".to_owned();
    };
    let place = random.below(block.len() - 4);
    match random.below(5) {
        0 => {
            let number = odd_number(random, place as u64).to_le_bytes();
            block[place..place + 4].copy_from_slice(&number[..4]);
            format!("block {at}: another number at {place}")
        }
        1 => {
            block[place] = [0, 1, 2, 0x7f, 0x80, 0xff][random.below(6)];
            format!("block {at}: byte {place} is {}", block[place])
        }
        2 => {
            let number = odd_number(random, 0).to_le_bytes();
            block[..4].copy_from_slice(&number[..4]);
            format!("block {at}: first key length {:?}", &number[..4])
        }
        3 => {
            block.truncate(place);
            format!("block {at}: cut at {place}")
        }
        _ => {
            let len = 1 + random.below(40);
            block.extend(random.bytes(len));
            format!("block {at}: {len} bytes of junk behind")
        }
    }
}

fn change_index(index: &mut Vec<IndexEntry>, random: &mut Random) -> String {
    let at = random.below(index.len().max(1));
    let other = random.below(index.len().max(1));
    let Some(entry) = index.get_mut(at) else {
        return "no index to change".to_owned();
    };
    match random.below(8) {
        0 => {
            entry.offset = odd_number(random, entry.offset);
            format!("index {at}: offset {}", entry.offset)
        }
        1 => {
            let len = odd_number(random, u64::from(entry.len)).to_le_bytes();
            entry.len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]);
            format!("index {at}: length {}", entry.len)
        }
        2 => {
            let len = random.below(20);
            entry.last_key = random.bytes(len);
            format!("index {at}: a random last key")
        }
        3 => {
            entry.last_key.push(0);
            format!("index {at}: last key a byte longer")
        }
        4 => {
            let copy = index[other].clone();
            index.insert(at, copy);
            format!("index {at}: entry {other} again before it")
        }
        5 => {
            index.remove(at);
            format!("index {at}: gone")
        }
        6 => {
            index.swap(at, other);
            format!("index {at}: swapped with {other}")
        }
        _ => {
            // Blocks that overlap: each is sound where it is pointed at.
            let (offset, len) = (index[other].offset, index[other].len);
            let entry = &mut index[at];
            (entry.offset, entry.len) = (offset, len);
            format!("index {at}: points at the block of {other}")
        }
    }
}

fn change_index_bytes(index: &mut Vec<u8>, random: &mut Random) -> String {
    let at = random.below(index.len().max(1));
    match random.below(4) {
        0 => {
            index.truncate(at);
            format!("index cut at {at}")
        }
        1 => {
            let len = 1 + random.below(40);
            index.extend(random.bytes(len));
            format!("index with {len} bytes of junk behind")
        }
        2 => {
            let number = odd_number(random, at as u64).to_le_bytes();
            for (byte, new) in index.iter_mut().skip(at).zip(&number[..4]) {
                *byte = *new;
            }
            format!("index with another number at {at}")
        }
        _ => {
            let number = odd_number(random, 0).to_le_bytes();
            for (byte, new) in index.iter_mut().zip(&number[..4]) {
                *byte = *new;
            }
            "index with another first key length".to_owned()
        }
    }
}

fn change_footer(footer: &mut Footer, random: &mut Random) -> String {
    match random.below(4) {
        0 => footer.entry_count = odd_number(random, footer.entry_count),
        1 => footer.index_offset = odd_number(random, footer.index_offset),
        2 => footer.index_len = odd_number(random, footer.index_len),
        _ => {
            // Another place with the same end.
            let moved = odd_number(random, 0);
            footer.index_offset = footer.index_offset.wrapping_add(moved);
            footer.index_len = footer.index_len.wrapping_sub(moved);
        }
    }
    format!("{footer:?}")
}
