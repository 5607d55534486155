//! Sorted keys with their heads: the search structure that index and block share.
//!
//! The keys stay in the encoded bytes. Beside them this keeps, for each key, where its entry
//! starts, and its *head*: eight bytes as a big-endian number, taken after the prefix that all
//! the keys have in common. Heads lie in one flat array, so a search touches one or two cache
//! lines and follows a pointer only for the last comparison. It never validates: the decoders
//! hand it keys that they found ascending.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::entry::counted_slice;

/// The first eight bytes of a key as a number that sorts as they do; a short key is zero-padded.
///
/// A lower head means a lower key; an equal head means nothing.
#[inline]
pub(crate) fn head(key: &[u8]) -> u64 {
    if let Some(first) = key.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let mut padded = [0; 8];
    for (slot, byte) in padded.iter_mut().zip(key) {
        *slot = *byte;
    }
    u64::from_be_bytes(padded)
}

/// The length of the prefix that two keys share.
pub(crate) fn common_prefix_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Where entries start, in the narrowest integers that hold every position in their bytes.
#[derive(Debug, Clone)]
enum Offsets {
    U16(Vec<u16>),
    U32(Vec<u32>),
    Usize(Vec<usize>),
}

impl Offsets {
    fn with_capacity(bytes_len: usize, capacity: usize) -> Self {
        if u16::try_from(bytes_len).is_ok() {
            Self::U16(Vec::with_capacity(capacity))
        } else if u32::try_from(bytes_len).is_ok() {
            Self::U32(Vec::with_capacity(capacity))
        } else {
            Self::Usize(Vec::with_capacity(capacity))
        }
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the width was chosen for the length of the bytes"
    )]
    fn push(&mut self, offset: usize) {
        match self {
            Self::U16(offsets) => offsets.push(offset as u16),
            Self::U32(offsets) => offsets.push(offset as u32),
            Self::Usize(offsets) => offsets.push(offset),
        }
    }

    #[inline]
    fn get(&self, i: usize) -> Option<usize> {
        match self {
            Self::U16(offsets) => offsets.get(i).map(|&offset| usize::from(offset)),
            Self::U32(offsets) => offsets.get(i).map(|&offset| offset as usize),
            Self::Usize(offsets) => offsets.get(i).copied(),
        }
    }

    fn shrink_to_fit(&mut self) {
        match self {
            Self::U16(offsets) => offsets.shrink_to_fit(),
            Self::U32(offsets) => offsets.shrink_to_fit(),
            Self::Usize(offsets) => offsets.shrink_to_fit(),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Self::U16(offsets) => offsets.capacity() * size_of::<u16>(),
            Self::U32(offsets) => offsets.capacity() * size_of::<u32>(),
            Self::Usize(offsets) => offsets.capacity() * size_of::<usize>(),
        }
    }
}

/// Offsets and heads of sorted keys. Each entry opens with its key: `len u32`, then the bytes.
///
/// The bytes themselves are the owner's, who passes the same slice to every call.
#[derive(Debug, Clone)]
pub(crate) struct KeyTable {
    /// How many leading bytes all the keys share; heads are taken after them.
    prefix_len: usize,
    heads: Box<[u64]>,
    offsets: Offsets,
}

/// Collects a [`KeyTable`] while its bytes are being validated.
#[derive(Debug, Clone)]
pub(crate) struct KeyTableBuilder {
    prefix_len: usize,
    heads: Vec<u64>,
    offsets: Offsets,
}

impl KeyTableBuilder {
    /// Starts a table over `bytes_len` bytes; room for `capacity` keys is taken at once.
    pub(crate) fn new(prefix_len: usize, bytes_len: usize, capacity: usize) -> Self {
        Self {
            prefix_len,
            heads: Vec::with_capacity(capacity),
            offsets: Offsets::with_capacity(bytes_len, capacity),
        }
    }

    /// Adds the next key in order and where its entry starts.
    #[inline]
    pub(crate) fn push(&mut self, offset: usize, key: &[u8]) {
        self.heads
            .push(head(key.get(self.prefix_len..).unwrap_or_default()));
        self.offsets.push(offset);
    }

    pub(crate) fn finish(mut self) -> KeyTable {
        self.offsets.shrink_to_fit();
        KeyTable {
            prefix_len: self.prefix_len,
            heads: self.heads.into_boxed_slice(),
            offsets: self.offsets,
        }
    }
}

impl KeyTable {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    /// Where entry `i` starts.
    #[inline]
    pub(crate) fn offset(&self, i: usize) -> Option<usize> {
        self.offsets.get(i)
    }

    /// The key of entry `i`; empty if there is none.
    #[inline]
    pub(crate) fn key<'a>(&self, bytes: &'a [u8], i: usize) -> &'a [u8] {
        self.offset(i)
            .map_or(&[], |offset| counted_slice(bytes, offset))
    }

    /// Heap bytes of the table, without those of the owner.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val::<[u64]>(&self.heads) + self.offsets.memory_bytes()
    }

    /// Finds `key`: `Ok` with its position, or `Err` with the position of the first greater key.
    #[inline]
    pub(crate) fn search(&self, bytes: &[u8], key: &[u8]) -> Result<usize, usize> {
        if self.prefix_len > 0 {
            let prefix = self
                .key(bytes, 0)
                .get(..self.prefix_len)
                .unwrap_or_default();
            if !key.starts_with(prefix) {
                return Err(if key < prefix { 0 } else { self.len() });
            }
        }
        self.search_after_prefix(bytes, key)
    }

    /// Finds a key that is there, without a look at the shared prefix.
    ///
    /// A key with another prefix ends at a comparison of whole keys, which cannot succeed; only
    /// the position of an absent key would be wrong, and is not returned. It saves a cache miss.
    #[inline]
    pub(crate) fn find_exact(&self, bytes: &[u8], key: &[u8]) -> Option<usize> {
        if key.len() < self.prefix_len {
            return None;
        }
        self.search_after_prefix(bytes, key).ok()
    }

    #[inline]
    fn search_after_prefix(&self, bytes: &[u8], key: &[u8]) -> Result<usize, usize> {
        let wanted = head(key.get(self.prefix_len..).unwrap_or_default());
        let mut low = self.heads.partition_point(|&head| head < wanted);
        if self.heads.get(low) != Some(&wanted) {
            return Err(low);
        }
        let mut high = low + 1;
        if self.heads.get(high) == Some(&wanted) {
            high = self.heads.partition_point(|&head| head <= wanted);
        }
        while low < high {
            let middle = low.midpoint(high);
            match self.key(bytes, middle).cmp(key) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }
}

#[cfg(test)]
mod tests;
