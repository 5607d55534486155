//! Several writes that become visible and durable together.
//!
//! A batch is encoded as it is built: its bytes are what the log records and what the memtable's
//! keys and values are slices of, so nothing is encoded twice. What it requires is encoded beside,
//! in the same way, and is never logged.

use std::fmt;

use lsm_format::{Entries, Entry, check_lengths, encode_entry, encoded_len};

use crate::{Error, Result};

/// Writes that are applied as one: all of them or, after any failure, none.
///
/// A later operation on a key wins over an earlier one in the same batch. With
/// [`require`](Self::require) a batch is applied only if the store holds what it expects.
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
    delete_count: usize,
    /// As entries: the value that a key must have, or a tombstone if it must be absent.
    requirements: Vec<u8>,
    refusal: Option<&'static str>,
}

/// The largest batch that [`Lsm::write`](crate::Lsm::write) takes, in bytes: keys, values, and
/// nine bytes for each operation and each requirement.
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

    /// The batch is applied only if `key` has the value `expected` at that moment, or is absent if
    /// that is `None`.
    ///
    /// Any number of keys may be required, the batch's own among them; a batch of requirements
    /// alone is a check. They are judged when the batch's turn in the order of commits has come:
    /// every write before it is seen, whoever made it, and nothing can come between the judgement
    /// and the batch's own operations, which are not seen. If one is not met, nothing of the batch
    /// is applied, and the write fails with
    /// [`Error::ConditionFailed`](crate::Error::ConditionFailed), which names the first such key in
    /// the order of these calls.
    ///
    /// The answer is as durable as the write: see [`Lsm::write_with`](crate::Lsm::write_with).
    ///
    /// A key or value that could never be written refuses the whole batch, as with
    /// [`put`](Self::put).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = lsm_db::Lsm::open(dir.path())?;
    /// store.put("balance", "70")?;
    /// let mut batch = lsm_db::Batch::new();
    /// batch.require("balance", Some(b"70"));
    /// batch.require("frozen", None);
    /// batch.put("balance", "40");
    /// batch.put("withdrawn", "30");
    /// store.write(batch.clone())?;
    ///
    /// let again = store.write(batch); // the balance is 40 now
    /// assert!(matches!(again, Err(lsm_db::Error::ConditionFailed { key, .. }) if key == b"balance"));
    /// # Ok::<(), lsm_db::Error>(())
    /// ```
    pub fn require(&mut self, key: impl AsRef<[u8]>, expected: Option<&[u8]>) {
        let (key, entry) = (key.as_ref(), Entry::from(expected));
        match check_lengths(key, entry) {
            Ok(()) => encode_entry(&mut self.requirements, key, entry),
            Err(error) => self.refusal = Some(error.reason()),
        }
    }

    /// The number of operations, those on the same key counted each. Requirements are none.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operation_count
    }

    /// Whether there is no operation. Such a batch changes nothing, but may have requirements, and
    /// then writing it is a check.
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
        self.delete_count += usize::from(entry == Entry::Tombstone);
        match check_lengths(key, entry) {
            Ok(()) => encode_entry(&mut self.encoded, key, entry),
            Err(error) => self.refusal = Some(error.reason()),
        }
    }

    /// Whether the batch may be written.
    pub(crate) fn check(&self) -> Result<()> {
        check_batch(self.refusal, self.bytes() as u64)
    }

    /// What counts towards the stated maximum.
    pub(crate) fn bytes(&self) -> usize {
        self.encoded.len().saturating_add(self.requirements.len())
    }

    /// The bytes of all keys and values.
    pub(crate) fn user_bytes(&self) -> u64 {
        let overhead = self.operation_count.saturating_mul(encoded_len(0, 0));
        self.encoded.len().saturating_sub(overhead) as u64
    }

    /// How many of the operations delete, those on the same key counted each.
    pub(crate) fn delete_count(&self) -> usize {
        self.delete_count
    }

    /// The operations as a concatenation of encoded entries.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    pub(crate) fn operations(&self) -> Entries<'_> {
        Entries::new(&self.encoded)
    }

    /// The keys that are given a value, also if a later operation deletes them again.
    pub(crate) fn put_keys(&self) -> impl Iterator<Item = &[u8]> {
        self.operations().filter_map(|operation| match operation {
            Ok((key, Entry::Value(_))) => Some(key),
            _ => None,
        })
    }

    pub(crate) fn has_requirements(&self) -> bool {
        !self.requirements.is_empty()
    }

    /// What must hold: each key's value, a tombstone if it must be absent.
    pub(crate) fn requirements(&self) -> Entries<'_> {
        Entries::new(&self.requirements)
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
            .field("requirements", &self.requirements().count())
            .field("bytes", &self.bytes())
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

    #[test]
    fn requirements_are_no_operations_but_count_towards_the_maximum() {
        let mut batch = Batch::new();
        batch.require("key", Some(b"value"));
        batch.require("absent", None);
        assert_eq!((batch.is_empty(), batch.len()), (true, 0));
        assert_eq!(batch.bytes(), 2 * 9 + "keyvalueabsent".len());
        assert!(format!("{batch:?}").contains("requirements: 2"));
        batch.require("key", Some(&vec![0; lsm_format::MAX_VALUE_LEN + 1]));
        assert!(matches!(batch.check(), Err(Error::InvalidInput { .. })));
    }
}
