//! A second reader of run files, written from the format's description and not from the engine:
//! tests use it to aim at a block, and to say what a run should hold.

use std::ops::Range;

const MAGIC: &[u8] = b"LSMTBL01";
const FOOTER_LEN: usize = 36;

/// Where the parts of a run file are.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The data blocks, in order.
    pub blocks: Vec<Block>,
    /// The bytes of the index.
    pub index: Range<usize>,
    /// The bytes of the footer.
    pub footer: Range<usize>,
}

/// A data block.
#[derive(Debug, Clone)]
pub struct Block {
    /// Its bytes in the file.
    pub bytes: Range<usize>,
    /// Its keys, in order.
    pub keys: Vec<Vec<u8>>,
}

/// Finds the parts of a sound run file; `None` if it is not one. Checks no checksum.
pub fn layout(file: &[u8]) -> Option<Layout> {
    let footer_start = file.len().checked_sub(FOOTER_LEN)?;
    let footer = file.get(footer_start..)?;
    if !file.starts_with(MAGIC) || !footer.ends_with(MAGIC) {
        return None;
    }
    let index_start = read_u64(footer, 8)?;
    let index_end = index_start.checked_add(read_u64(footer, 16)?)?;
    let index = file.get(index_start..index_end)?;

    let mut blocks = Vec::new();
    let mut at = 0;
    while at < index.len() {
        at += 4 + read_u32(index, at)?;
        let start = read_u64(index, at)?;
        let len = read_u32(index, at + 8)?;
        at += 16;
        let bytes = start..start.checked_add(len)?;
        let keys = keys(file.get(bytes.clone())?)?;
        blocks.push(Block { bytes, keys });
    }
    Some(Layout {
        blocks,
        index: index_start..index_end,
        footer: footer_start..file.len(),
    })
}

/// The keys of a block: each entry is key length, key, tag, value length, value.
fn keys(block: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut keys = Vec::new();
    let mut at = 0;
    while at < block.len() {
        let key_end = at + 4 + read_u32(block, at)?;
        keys.push(block.get(at + 4..key_end)?.to_vec());
        at = key_end + 5 + read_u32(block, key_end + 1)?;
    }
    Some(keys)
}

fn read_u32(bytes: &[u8], at: usize) -> Option<usize> {
    let number = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*number)).ok()
}

fn read_u64(bytes: &[u8], at: usize) -> Option<usize> {
    let number = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u64::from_le_bytes(*number)).ok()
}
