//! Several writes that become visible and durable together.
//!
//! A batch is encoded as it is built: its bytes are what the log records and what the memtable's
//! keys and values are slices of, so nothing is encoded twice.

use std::fmt;

use lsm_format::{Entry, check_lengths, encode_entry, encoded_len};

use crate::{Error, Result};

/// Writes that are applied as one: all of them or, after any failure, none.
///
/// A later operation on a key wins over an earlier one in the same batch.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = lsm_db::Lsm::open(dir.path())?;
/// let mut batch = lsm_db::Batch::new();
/// batch.put("from", "70");
/// batch.put("to", "130");
/// batch.delete("pending");
/// assert_eq!(batch.len(), 3);
/// store.write(batch)?;
/// assert_eq!(store.get("to")?.as_deref(), Some(&b"130"[..]));
/// # Ok::<(), lsm_db::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Batch {
    encoded: Vec<u8>,
    operation_count: usize,
    refusal: Option<&'static str>,
}

/// The largest batch that [`Lsm::write`](crate::Lsm::write) takes, in bytes: keys, values, and
/// nine bytes for each operation.
pub const MAX_BATCH_BYTES: u64 = 1 << 32;

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds: `key` has `value`.
    ///
    /// A key or value over [`MAX_KEY_LEN`](crate::format::MAX_KEY_LEN) or
    /// [`MAX_VALUE_LEN`](crate::format::MAX_VALUE_LEN) bytes is not copied, and the batch is then
    /// refused as a whole when it is written.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.push(key.as_ref(), Entry::Value(value.as_ref()));
    }

    /// Adds: `key` is absent.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) {
        self.push(key.as_ref(), Entry::Tombstone);
    }

    /// The number of operations, those on the same key counted each.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operation_count
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operation_count == 0
    }

    /// A batch of one operation.
    pub(crate) fn of(key: &[u8], entry: Entry<'_>) -> Result<Self> {
        let mut batch = Self::new();
        batch.push(key, entry);
        batch.check()?;
        Ok(batch)
    }

    fn push(&mut self, key: &[u8], entry: Entry<'_>) {
        self.operation_count += 1;
        match check_lengths(key, entry) {
            Ok(()) => encode_entry(&mut self.encoded, key, entry),
            Err(error) => self.refusal = Some(error.reason()),
        }
    }

    /// Whether the batch may be written.
    pub(crate) fn check(&self) -> Result<()> {
        check_batch(self.refusal, self.encoded.len() as u64)
    }

    /// The bytes of all keys and values.
    pub(crate) fn user_bytes(&self) -> u64 {
        let overhead = self.operation_count.saturating_mul(encoded_len(0, 0));
        self.encoded.len().saturating_sub(overhead) as u64
    }

    /// The operations as a concatenation of encoded entries.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}

fn check_batch(refusal: Option<&'static str>, encoded_bytes: u64) -> Result<()> {
    match refusal {
        Some(reason) => Err(Error::invalid(reason)),
        None if encoded_bytes > MAX_BATCH_BYTES => Err(Error::invalid(
            "the batch is larger than MAX_BATCH_BYTES (4 GiB)",
        )),
        None => Ok(()),
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("operations", &self.operation_count)
            .field("bytes", &self.encoded.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_over_the_stated_maximum_is_invalid_input_and_one_at_it_is_not() {
        assert!(check_batch(None, MAX_BATCH_BYTES).is_ok());
        let refused = check_batch(None, MAX_BATCH_BYTES + 1);
        assert!(matches!(refused, Err(Error::InvalidInput { .. })));
    }

    #[test]
    fn an_oversized_value_is_not_copied_and_refuses_the_whole_batch() {
        let mut batch = Batch::new();
        batch.put("small", "value");
        batch.put("large", vec![0; lsm_format::MAX_VALUE_LEN + 1]);
        assert_eq!(batch.len(), 2);
        assert!(batch.encoded().len() < 64);
        assert!(matches!(batch.check(), Err(Error::InvalidInput { .. })));
    }
}
