//! A count and as many entries after it: how `lsm-db` 1.x wrote a batch into its log.
//!
//! Called when such a log is replayed. Borrows the bytes, allocates nothing, and never says how
//! records of a log are framed: that is the log's business.

use crate::entry::{Entries, Entry};
use crate::error::{Error, Result};

/// The bytes of the count.
const COUNT_LEN: usize = 4;

/// The fewest bytes of an entry: two lengths and a tag.
const ENTRY_BYTES_MIN: u64 = 9;

/// Reads a little-endian `u32` count and exactly as many entries, in whatever order they were
/// written.
///
/// Yields `(key, entry)` borrowed from the slice. After an error it yields nothing more.
///
/// # Errors
/// [`Error::Entry`] where the bytes are no entry, where entries end before the count is reached,
/// and where bytes follow the last one.
///
/// ```
/// use lsm_format::{CountedEntries, Entry, encode_entry};
///
/// let mut batch = 2_u32.to_le_bytes().to_vec();
/// encode_entry(&mut batch, b"pear", Entry::Value(b"green"));
/// encode_entry(&mut batch, b"apple", Entry::Tombstone);
/// let entries: Result<Vec<_>, _> = CountedEntries::new(&batch)?.collect();
/// assert_eq!(entries?, [(&b"pear"[..], Entry::Value(b"green")), (b"apple", Entry::Tombstone)]);
/// # Ok::<(), lsm_format::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct CountedEntries<'a> {
    entries: Entries<'a>,
    entries_len: usize,
    left: u32,
}

impl<'a> CountedEntries<'a> {
    /// Reads the count; no entry is checked before it is reached.
    ///
    /// # Errors
    /// [`Error::Entry`] if there are not even the bytes of a count.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let (count, entries) = bytes
            .split_first_chunk::<COUNT_LEN>()
            .ok_or(flaw(0, "no room for a count"))?;
        Ok(Self {
            entries: Entries::new(entries),
            entries_len: entries.len(),
            left: u32::from_le_bytes(*count),
        })
    }

    /// Whether `bytes` start as a count and entries would, in constant time: the count fits the
    /// length, and so does the first entry. Random bytes hardly ever do.
    #[must_use]
    pub fn is_plausible(bytes: &[u8]) -> bool {
        let Ok(mut counted) = CountedEntries::new(bytes) else {
            return false;
        };
        let fits = u64::from(counted.left) * ENTRY_BYTES_MIN <= counted.entries_len as u64;
        let is_empty = counted.left == 0;
        fits && (is_empty == (counted.entries_len == 0))
            && counted.next().is_none_or(|first| first.is_ok())
    }
}

impl<'a> Iterator for CountedEntries<'a> {
    type Item = Result<(&'a [u8], Entry<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.entries.position();
        match (self.left.checked_sub(1), self.entries.next()) {
            (Some(left), Some(entry)) => {
                self.left = if entry.is_ok() { left } else { 0 };
                Some(entry.map_err(|error| match error {
                    Error::Entry { offset, reason } => Error::Entry {
                        offset: offset + COUNT_LEN as u64,
                        reason,
                    },
                    other => other,
                }))
            }
            (Some(_), None) => {
                self.left = 0;
                Some(Err(flaw(at, "fewer entries than the count says")))
            }
            (None, Some(_)) => {
                self.entries = Entries::new(&[]);
                Some(Err(flaw(at, "bytes after the last entry")))
            }
            (None, None) => None,
        }
    }
}

fn flaw(at: usize, reason: &'static str) -> Error {
    Error::Entry {
        offset: (at + COUNT_LEN) as u64,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::encode_entry;

    fn batch(count: u32, keys: &[&str]) -> Vec<u8> {
        let mut bytes = count.to_le_bytes().to_vec();
        for key in keys {
            encode_entry(&mut bytes, key.as_bytes(), Entry::Value(b"value"));
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Result<usize> {
        CountedEntries::new(bytes)?.try_fold(0, |count, entry| entry.map(|_| count + 1))
    }

    #[test]
    fn the_count_is_what_is_there_or_it_is_an_error() {
        assert_eq!(read(&batch(0, &[])), Ok(0));
        assert_eq!(read(&batch(3, &["c", "a", "c"])), Ok(3));
        assert!(read(&batch(4, &["c", "a", "c"])).is_err());
        assert!(read(&batch(2, &["c", "a", "c"])).is_err());
        assert!(read(&batch(u32::MAX, &["c"])).is_err());
        assert!(read(&[1, 0, 0]).is_err());
    }

    #[test]
    fn an_error_is_the_last_item_and_says_where_in_the_whole_batch() {
        let mut bytes = batch(2, &["a", "b"]);
        bytes.pop();
        let mut entries = CountedEntries::new(&bytes).unwrap();
        assert!(entries.next().is_some_and(|entry| entry.is_ok()));
        let second = entries.next();
        assert!(
            matches!(second, Some(Err(Error::Entry { offset, .. })) if offset >= 4 + 15),
            "{second:?}"
        );
        assert_eq!(entries.next(), None);
    }

    #[test]
    fn every_cut_is_an_error_and_batches_are_plausible() {
        for keys in [&[][..], &["a"], &["a", "bb", "ccc"]] {
            let bytes = batch(u32::try_from(keys.len()).unwrap(), keys);
            assert!(CountedEntries::is_plausible(&bytes));
            for len in 0..bytes.len() {
                assert!(read(&bytes[..len]).is_err(), "{len} bytes");
            }
        }
        for implausible in [
            &[][..],
            &[0; 5],
            &[1, 0, 0, 0],
            &[0xff; 64],
            b"plain text, no batch",
        ] {
            assert!(
                !CountedEntries::is_plausible(implausible),
                "{implausible:?}"
            );
        }
    }
}
