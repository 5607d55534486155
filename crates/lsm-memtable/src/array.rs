//! An array: sorted entries that never change, in one piece of memory.
//!
//! A front that filled up, a large batch that was sorted once, or several arrays merged. Made by
//! [`Parts`](crate::parts::Parts), searched by the memtable, walked by
//! [`ArrayCursor`](crate::array_cursor::ArrayCursor). It holds every version of every key, like a
//! front, so a read at any seqno may come to it. It never locks and is never written to.
//!
//! Searches compare eight bytes of each key, taken behind the prefix that all keys of the array
//! share, and touch keys only where those are equal. Small entries lie side by side, in order, in one
//! buffer: walking and merging read memory forward, and what is dropped is one buffer and not a node
//! for each. Large ones stay handles to the buffers they came in.

mod merge;

use std::cmp::Ordering;

use bytes::Bytes;

use crate::key::{cmp_same_head, key_head};
use crate::memtable::Found;

pub(crate) use merge::merge;

/// What an entry of an array costs beside the bytes of its key and value.
pub(crate) const ARRAY_ENTRY_OVERHEAD_BYTES: u64 =
    (size_of::<ArrayEntry>() + size_of::<u64>()) as u64;

/// Keys and values that are together no longer than this are copied into the array; to copy them is
/// then cheaper than to follow a handle.
pub(crate) const INLINE_BYTES_MAX: usize = 4096;

/// The length of a value that is not there: a tombstone. Values that are inline are shorter.
const NO_VALUE: u16 = u16::MAX;

#[derive(Clone, Copy, Debug)]
struct ArrayEntry {
    place: Place,
    seqno: u64,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// In `bytes`: the key from `offset` on, then the value.
    Inline {
        offset: usize,
        key_len: u16,
        value_len: u16,
    },
    /// In `shared`, at this index.
    Shared(usize),
}

impl Place {
    /// Where the entry is when so many bytes, and so many handles, have come before it.
    fn moved_by(self, bytes: usize, handles: usize) -> Self {
        match self {
            Self::Inline {
                offset,
                key_len,
                value_len,
            } => Self::Inline {
                offset: offset + bytes,
                key_len,
                value_len,
            },
            Self::Shared(index) => Self::Shared(index + handles),
        }
    }
}

/// Key ascending, then seqno descending.
pub(crate) struct Array {
    /// What all keys share: a slice of the first.
    prefix: Bytes,
    prefix_head: u64,
    /// Of each key, behind the prefix.
    heads: Box<[u64]>,
    entries: Box<[ArrayEntry]>,
    bytes: Bytes,
    shared: Box<[(Bytes, Option<Bytes>)]>,
    /// Of keys and values behind handles.
    shared_bytes: u64,
    memory_bytes: u64,
    seqno_smallest: u64,
    seqno_largest: u64,
    has_versions: bool,
}

/// Copying so many bytes costs as much as merging an entry: some fifty nanoseconds.
const BYTES_PER_COST: usize = 512;

impl Array {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What it costs to merge it, in entries.
    pub(crate) fn merge_cost(&self) -> usize {
        self.len() + self.bytes.len() / BYTES_PER_COST
    }

    /// Bytes that a merge copies.
    #[cfg(test)]
    pub(crate) fn copied_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether a read at `seqno` may find something: not if all entries are newer.
    pub(crate) fn is_visible_at(&self, seqno: u64) -> bool {
        self.seqno_smallest <= seqno
    }

    /// Bytes of keys and values, those behind handles too, [`ARRAY_ENTRY_OVERHEAD_BYTES`] each.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    pub(crate) fn seqno_largest(&self) -> u64 {
        self.seqno_largest
    }

    /// Whether some entry is a handle, and no copy.
    pub(crate) fn has_handles(&self) -> bool {
        !self.shared.is_empty()
    }

    /// Whether some key is there more than once.
    pub(crate) fn has_versions(&self) -> bool {
        self.has_versions
    }

    /// The key at `at`, which is below the length; empty if it is not.
    #[inline]
    pub(crate) fn key(&self, at: usize) -> &[u8] {
        self.entries.get(at).map_or(&[], |entry| self.key_of(entry))
    }

    /// The head of the key at `at`, which is below the length, without a look at the key.
    #[inline]
    pub(crate) fn head(&self, at: usize) -> u64 {
        let rest = self.heads.get(at).copied().unwrap_or_default();
        let bits = u32::try_from(self.prefix.len().saturating_mul(8)).unwrap_or(u32::MAX);
        self.prefix_head | rest.checked_shr(bits).unwrap_or_default()
    }

    /// The value at `at`; `None` for a tombstone.
    #[inline]
    pub(crate) fn value(&self, at: usize) -> Option<&[u8]> {
        match self.entries.get(at)?.place {
            Place::Inline {
                offset,
                key_len,
                value_len,
            } if value_len != NO_VALUE => {
                let start = offset + usize::from(key_len);
                self.bytes.get(start..start + usize::from(value_len))
            }
            Place::Inline { .. } => None,
            Place::Shared(index) => self.shared.get(index)?.1.as_deref(),
        }
    }

    #[inline]
    pub(crate) fn seqno(&self, at: usize) -> u64 {
        self.entries.get(at).map_or(0, |entry| entry.seqno)
    }

    /// The key at `at` as a handle that keeps little alive: a copy, unless the entry is large.
    pub(crate) fn key_handle(&self, at: usize) -> Bytes {
        match self.shared_of(at) {
            Some((key, _)) => key.clone(),
            None => Bytes::copy_from_slice(self.key(at)),
        }
    }

    /// The value at `at` as a handle that keeps little alive; `None` for a tombstone.
    pub(crate) fn value_handle(&self, at: usize) -> Option<Bytes> {
        match self.shared_of(at) {
            Some((_, value)) => value.clone(),
            None => self.value(at).map(Bytes::copy_from_slice),
        }
    }

    fn shared_of(&self, at: usize) -> Option<&(Bytes, Option<Bytes>)> {
        match self.entries.get(at)?.place {
            Place::Shared(index) => self.shared.get(index),
            Place::Inline { .. } => None,
        }
    }

    /// The newest version of `key` at or below `seqno`.
    pub(crate) fn get(&self, key: &[u8], seqno: u64) -> Option<Found> {
        let at = self.lower_bound(key, seqno);
        if at == self.len() || self.key(at) != key {
            return None;
        }
        let inline = || Some(self.bytes.slice_ref(self.value(at)?));
        Some(Found {
            seqno: self.seqno(at),
            value: match self.shared_of(at) {
                Some((_, value)) => value.clone(),
                None => inline(),
            },
        })
    }

    /// The first entry at or behind version `seqno` of `key`, older versions being behind newer ones.
    pub(crate) fn lower_bound(&self, key: &[u8], seqno: u64) -> usize {
        let Some(rest) = key.strip_prefix(&*self.prefix) else {
            return if key < &*self.prefix { 0 } else { self.len() };
        };
        let head = key_head(rest);
        let start = self.heads.partition_point(|other| *other < head);
        let end = self.end_of(start, |other| self.heads.get(other) == Some(&head));
        let same_heads = self.entries.get(start..end).unwrap_or_default();
        start
            + same_heads.partition_point(|entry| {
                cmp_same_head(self.rest_of(entry), rest)
                    .then_with(|| seqno.cmp(&entry.seqno))
                    .is_lt()
            })
    }

    /// Where the versions of the key at `at` begin.
    pub(crate) fn start_of_key(&self, at: usize) -> usize {
        if self.has_versions {
            self.lower_bound(self.key(at), u64::MAX)
        } else {
            at
        }
    }

    /// Where the versions of the key at `at` end.
    pub(crate) fn end_of_key(&self, at: usize) -> usize {
        if !self.has_versions {
            return at + 1;
        }
        let key = self.key(at);
        self.end_of(at, |other| self.key(other) == key)
    }

    /// The end of the entries from `start` on that are the `same`; `start` if that one is not. Takes
    /// time by the logarithm of how many they are.
    fn end_of(&self, start: usize, same: impl Fn(usize) -> bool) -> usize {
        if start >= self.len() || !same(start) {
            return start;
        }
        let (mut inside, mut step) = (start, 1);
        while inside + step < self.len() && same(inside + step) {
            inside += step;
            step *= 2;
        }
        let (mut low, mut high) = (inside + 1, (inside + step).min(self.len()));
        while low < high {
            let middle = low + (high - low) / 2;
            if same(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    #[inline]
    fn key_of(&self, entry: &ArrayEntry) -> &[u8] {
        match entry.place {
            Place::Inline {
                offset, key_len, ..
            } => self
                .bytes
                .get(offset..offset + usize::from(key_len))
                .unwrap_or_default(),
            Place::Shared(index) => self.shared.get(index).map_or(&[], |(key, _)| key),
        }
    }

    fn rest_of(&self, entry: &ArrayEntry) -> &[u8] {
        self.key_of(entry)
            .get(self.prefix.len()..)
            .unwrap_or_default()
    }
}

/// Whether an entry is copied into its array.
pub(crate) fn is_inline(key: &[u8], value: Option<&[u8]>) -> bool {
    key.len().saturating_add(value.map_or(0, <[u8]>::len)) <= INLINE_BYTES_MAX
}

/// Makes an array of entries that come in its order.
pub(crate) struct ArrayBuilder {
    bytes: Vec<u8>,
    entries: Vec<ArrayEntry>,
    shared: Vec<(Bytes, Option<Bytes>)>,
    shared_bytes: u64,
    seqno_smallest: u64,
    seqno_largest: u64,
    has_versions: bool,
    last_head: u64,
}

impl Default for ArrayBuilder {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            entries: Vec::new(),
            shared: Vec::new(),
            shared_bytes: 0,
            seqno_smallest: u64::MAX,
            seqno_largest: 0,
            has_versions: false,
            last_head: 0,
        }
    }
}

impl ArrayBuilder {
    /// Room for so many entries, and for so many bytes of them.
    pub(crate) fn with_capacity(entries: usize, bytes: usize) -> Self {
        Self {
            entries: Vec::with_capacity(entries),
            bytes: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// Adds an entry behind all others. `handles` are its key and value, and asked for only if it is
    /// not copied.
    #[inline]
    pub(crate) fn push(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        seqno: u64,
        handles: impl FnOnce() -> (Bytes, Option<Bytes>),
    ) {
        let head = key_head(key);
        let order = match self.last_key() {
            Some(last) => self
                .last_head
                .cmp(&head)
                .then_with(|| cmp_same_head(last, key)),
            None => Ordering::Less,
        };
        self.last_head = head;
        debug_assert!(order.is_le(), "keys ascend");
        debug_assert!(
            order.is_lt() || self.entries.last().is_some_and(|last| last.seqno >= seqno),
            "newer versions come first"
        );
        self.has_versions |= order.is_eq();
        self.seqno_smallest = self.seqno_smallest.min(seqno);
        self.seqno_largest = self.seqno_largest.max(seqno);
        let value_bytes = value.map_or(0, <[u8]>::len);
        let is_small = is_inline(key, value);
        let lens = (u16::try_from(key.len()), u16::try_from(value_bytes));
        let place = if let (true, (Ok(key_len), Ok(value_len))) = (is_small, lens) {
            let offset = self.bytes.len();
            self.bytes.extend_from_slice(key);
            self.bytes.extend_from_slice(value.unwrap_or_default());
            Place::Inline {
                offset,
                key_len,
                value_len: value.map_or(NO_VALUE, |_| value_len),
            }
        } else {
            self.shared_bytes += key.len() as u64 + value_bytes as u64;
            self.shared.push(handles());
            Place::Shared(self.shared.len() - 1)
        };
        self.entries.push(ArrayEntry { place, seqno });
    }

    /// Adds all entries of an array, behind all others.
    fn append(&mut self, array: &Array) {
        debug_assert!(
            self.last_key().is_none_or(|last| last < array.key(0)),
            "keys ascend"
        );
        let (bytes_before, shared_before) = (self.bytes.len(), self.shared.len());
        self.bytes.extend_from_slice(&array.bytes);
        self.shared.extend_from_slice(&array.shared);
        let moved = array.entries.iter().map(|entry| ArrayEntry {
            place: entry.place.moved_by(bytes_before, shared_before),
            ..*entry
        });
        self.entries.extend(moved);
        self.shared_bytes += array.shared_bytes;
        self.seqno_smallest = self.seqno_smallest.min(array.seqno_smallest);
        self.seqno_largest = self.seqno_largest.max(array.seqno_largest);
        self.has_versions |= array.has_versions;
        self.last_head = self.last_key().map_or(0, key_head);
    }

    pub(crate) fn finish(self) -> Array {
        let overhead_bytes = self.entries.len() as u64 * ARRAY_ENTRY_OVERHEAD_BYTES;
        let mut array = Array {
            prefix: Bytes::new(),
            prefix_head: 0,
            heads: Box::default(),
            memory_bytes: self.bytes.len() as u64 + self.shared_bytes + overhead_bytes,
            entries: self.entries.into_boxed_slice(),
            // Without what was reserved and not needed: it would stay as long as the array.
            bytes: Bytes::from(self.bytes.into_boxed_slice()),
            shared: self.shared.into_boxed_slice(),
            shared_bytes: self.shared_bytes,
            seqno_smallest: self.seqno_smallest,
            seqno_largest: self.seqno_largest,
            has_versions: self.has_versions,
        };
        // What the first and the last key share, all between them share.
        let (first, last) = (array.key(0), array.key(array.len().wrapping_sub(1)));
        let shared = first.iter().zip(last).take_while(|(a, b)| a == b);
        let prefix = first.get(..shared.count()).unwrap_or_default();
        let prefix = match array.shared_of(0) {
            Some((key, _)) => key.slice_ref(prefix),
            None => array.bytes.slice_ref(prefix),
        };
        array.prefix_head = key_head(&prefix);
        array.prefix = prefix;
        let heads = array.entries.iter();
        array.heads = heads.map(|entry| key_head(array.rest_of(entry))).collect();
        array
    }

    fn last_key(&self) -> Option<&[u8]> {
        match self.entries.last()?.place {
            Place::Inline {
                offset, key_len, ..
            } => self.bytes.get(offset..offset + usize::from(key_len)),
            Place::Shared(index) => self.shared.get(index).map(|(key, _)| &key[..]),
        }
    }
}

#[cfg(test)]
mod tests;
