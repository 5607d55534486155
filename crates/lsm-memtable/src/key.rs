//! The order of entries: user key ascending, then seqno descending, settled by key heads where
//! possible.
//!
//! The front stores [`EntryKey`]s and is searched with [`Probe`]s, which borrow the caller's bytes;
//! both show themselves to the skiplist as `dyn KeyView`, so a lookup never builds an owned key.
//! Nothing here allocates or follows a pointer that a head can spare.

use std::borrow::Borrow;
use std::cmp::Ordering;

use bytes::Bytes;

/// How many leading bytes of a key its head holds.
const HEAD_BYTES: usize = 8;

/// The first eight bytes of `key` as a big-endian number, padded with zeros.
///
/// Two heads that differ order their keys; two equal heads leave the order open.
pub(crate) fn key_head(key: &[u8]) -> u64 {
    if let Some(first) = key.first_chunk::<HEAD_BYTES>() {
        return u64::from_be_bytes(*first);
    }
    let mut padded = [0; HEAD_BYTES];
    for (to, from) in padded.iter_mut().zip(key) {
        *to = *from;
    }
    u64::from_be_bytes(padded)
}

/// The order of two keys whose heads are equal.
///
/// When one of them fits into its head, the other begins with it and zeros, so that the lengths
/// decide and no key byte is read: keys of up to eight bytes never leave the node.
pub(crate) fn cmp_same_head(left: &[u8], right: &[u8]) -> Ordering {
    match (left.get(HEAD_BYTES..), right.get(HEAD_BYTES..)) {
        (Some(left), Some(right)) => left.cmp(right),
        _ => left.len().cmp(&right.len()),
    }
}

/// What the order of entries looks at.
pub(crate) trait KeyView {
    fn head(&self) -> u64;
    fn user_key(&self) -> &[u8];
    fn seqno(&self) -> u64;
}

impl Ord for dyn KeyView + '_ {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.head().cmp(&other.head()).then_with(|| {
            cmp_same_head(self.user_key(), other.user_key())
                .then_with(|| other.seqno().cmp(&self.seqno()))
        })
    }
}

impl PartialOrd for dyn KeyView + '_ {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn KeyView + '_ {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for dyn KeyView + '_ {}

/// The key of a node: a user key, one of its versions, and the head of the user key.
///
/// `repr(C)` with the head last, because the skiplist lays out `value, key, refcount, tower`: the
/// head and the pointers that a search follows then share a cache line.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct EntryKey {
    user_key: Bytes,
    seqno: u64,
    head: u64,
}

impl EntryKey {
    pub(crate) fn new(user_key: Bytes, seqno: u64) -> Self {
        Self {
            head: key_head(&user_key),
            user_key,
            seqno,
        }
    }

    pub(crate) fn user_key(&self) -> &Bytes {
        &self.user_key
    }

    pub(crate) fn seqno(&self) -> u64 {
        self.seqno
    }

    pub(crate) fn same_user_key(&self, other: &Self) -> bool {
        self.head == other.head && cmp_same_head(&self.user_key, &other.user_key).is_eq()
    }

    /// The key under which the front remembers this entry's user key as a landmark.
    pub(crate) fn landmark(&self) -> Self {
        Self {
            user_key: self.user_key.clone(),
            seqno: u64::MAX,
            head: self.head,
        }
    }

    /// A probe for version `seqno` of this entry's user key.
    pub(crate) fn probe(&self, seqno: u64) -> Probe<'_> {
        Probe {
            user_key: &self.user_key,
            seqno,
            head: self.head,
        }
    }
}

impl KeyView for EntryKey {
    #[inline]
    fn head(&self) -> u64 {
        self.head
    }

    #[inline]
    fn user_key(&self) -> &[u8] {
        &self.user_key
    }

    #[inline]
    fn seqno(&self) -> u64 {
        self.seqno
    }
}

impl Ord for EntryKey {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.head.cmp(&other.head).then_with(|| {
            cmp_same_head(&self.user_key, &other.user_key)
                .then_with(|| other.seqno.cmp(&self.seqno))
        })
    }
}

impl PartialOrd for EntryKey {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for EntryKey {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for EntryKey {}

impl<'a> Borrow<dyn KeyView + 'a> for EntryKey {
    #[inline]
    fn borrow(&self) -> &(dyn KeyView + 'a) {
        self
    }
}

/// A position to search for, on borrowed bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe<'k> {
    user_key: &'k [u8],
    seqno: u64,
    head: u64,
}

impl<'k> Probe<'k> {
    pub(crate) fn new(user_key: &'k [u8], seqno: u64) -> Self {
        Self {
            head: key_head(user_key),
            user_key,
            seqno,
        }
    }

    /// Compares user keys only.
    pub(crate) fn cmp_user_key(&self, entry: &EntryKey) -> Ordering {
        self.head
            .cmp(&entry.head)
            .then_with(|| cmp_same_head(self.user_key, &entry.user_key))
    }
}

impl KeyView for Probe<'_> {
    #[inline]
    fn head(&self) -> u64 {
        self.head
    }

    #[inline]
    fn user_key(&self) -> &[u8] {
        self.user_key
    }

    #[inline]
    fn seqno(&self) -> u64 {
        self.seqno
    }
}

#[cfg(test)]
mod tests;
