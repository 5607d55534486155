//! Builds runs part by part, so that a test can have one part wrong and every checksum right.

use lsm_format::{Entry, Footer, HEADER_LEN, MAGIC, crc32c, encode_entry};

/// One entry of the index.
#[derive(Debug, Clone)]
pub(crate) struct IndexEntry {
    pub(crate) last_key: Vec<u8>,
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) crc: u32,
}

/// A value, for brevity.
pub(crate) fn value(value: &[u8]) -> Entry<'_> {
    Entry::Value(value)
}

/// The bytes of one entry.
pub(crate) fn entry(key: &[u8], entry: Entry<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_entry(&mut bytes, key, entry);
    bytes
}

type Tamper<T> = Box<dyn Fn(&mut T)>;

/// A run in the making. Each `fn` changes one part; what depends on it is computed after that.
pub(crate) struct Craft {
    blocks: Vec<Vec<u8>>,
    last_keys: Vec<Vec<u8>>,
    index: Tamper<Vec<IndexEntry>>,
    index_bytes: Tamper<Vec<u8>>,
    footer: Tamper<Footer>,
}

impl Craft {
    /// Starts with sound blocks.
    pub(crate) fn new(blocks: Vec<Vec<u8>>) -> Self {
        let last_key = |block: &Vec<u8>| {
            lsm_format::Entries::new(block)
                .last()
                .map(|item| item.unwrap().0.to_vec())
                .unwrap()
        };
        Self {
            last_keys: blocks.iter().map(last_key).collect(),
            blocks,
            index: Box::new(|_| {}),
            index_bytes: Box::new(|_| {}),
            footer: Box::new(|_| {}),
        }
    }

    /// Changes blocks; the index keeps their last keys and gets their new lengths and checksums.
    pub(crate) fn blocks(mut self, tamper: impl Fn(&mut Vec<Vec<u8>>)) -> Self {
        tamper(&mut self.blocks);
        self
    }

    /// Changes entries of the index.
    pub(crate) fn index(mut self, tamper: impl Fn(&mut Vec<IndexEntry>) + 'static) -> Self {
        self.index = Box::new(tamper);
        self
    }

    /// Changes the bytes of the index; its checksum is made after that.
    pub(crate) fn index_bytes(mut self, tamper: impl Fn(&mut Vec<u8>) + 'static) -> Self {
        self.index_bytes = Box::new(tamper);
        self
    }

    /// Changes the footer.
    pub(crate) fn footer(mut self, tamper: impl Fn(&mut Footer) + 'static) -> Self {
        self.footer = Box::new(tamper);
        self
    }

    /// The bytes of the run.
    pub(crate) fn build(self) -> Vec<u8> {
        let mut run = MAGIC.to_vec();
        let mut entries = Vec::new();
        for (block, last_key) in self.blocks.iter().zip(self.last_keys) {
            let (offset, len) = (run.len() as u64, u32::try_from(block.len()).unwrap());
            entries.push(IndexEntry {
                last_key,
                offset,
                len,
                crc: crc32c(block),
            });
            run.extend(block);
        }
        (self.index)(&mut entries);
        let mut index = Vec::new();
        for entry in entries {
            index.extend(u32::try_from(entry.last_key.len()).unwrap().to_le_bytes());
            index.extend(entry.last_key);
            index.extend(entry.offset.to_le_bytes());
            index.extend(entry.len.to_le_bytes());
            index.extend(entry.crc.to_le_bytes());
        }
        (self.index_bytes)(&mut index);
        let mut footer = Footer {
            entry_count: 2 * self.blocks.len() as u64,
            index_offset: run.len() as u64,
            index_len: index.len() as u64,
            index_crc: crc32c(&index),
        };
        (self.footer)(&mut footer);
        run.extend(index);
        run.extend(footer.encode());
        run
    }
}

/// Three blocks of two entries of 11 bytes, then an index of three entries of 21 bytes.
pub(crate) fn sound() -> Craft {
    Craft::new(vec![
        [entry(b"b", value(b"1")), entry(b"d", value(b"2"))].concat(),
        [entry(b"f", value(b"3")), entry(b"h", value(b"4"))].concat(),
        [entry(b"j", value(b"5")), entry(b"l", value(b"6"))].concat(),
    ])
}

pub(crate) const BLOCK_LEN: u64 = 22;
pub(crate) const INDEX_AT: u64 = HEADER_LEN as u64 + 3 * BLOCK_LEN;
pub(crate) const INDEX_ENTRY_LEN: u64 = 21;
/// Where the index starts, as an index into the file.
pub(crate) const INDEX_AT_USIZE: usize = HEADER_LEN + 3 * 22;
pub(crate) const FOOTER_AT: u64 = INDEX_AT + 3 * INDEX_ENTRY_LEN;

pub(crate) const fn block_at(block: u64) -> u64 {
    HEADER_LEN as u64 + block * BLOCK_LEN
}
