//! Reading a run that is a borrowed byte slice: from flash, from a memory map, from a test.
//!
//! Copies no key and no value; allocates a few bytes for each block once. Every block is checked
//! as a whole when it is read, each time. For many reads of the same blocks decode them once and
//! keep them: [`Block`](crate::Block).

use crate::entry::{Entries, Entry};
use crate::error::{Error, Result};
use crate::footer::{Footer, split_run};
use crate::index::{bounds_in, decode_index, find_in};
use crate::table::KeyTable;
use crate::walk::BlockBounds;

/// A checked run over borrowed bytes: point lookups and iteration in key order.
///
/// ```
/// use lsm_format::{Entry, RunReader, RunWriter};
///
/// let mut writer = RunWriter::new();
/// writer.put("apple", "red")?;
/// writer.put("cherry", "dark red")?;
/// let bytes = writer.finish();
///
/// let run = RunReader::new(&bytes)?;
/// assert_eq!(run.get(b"cherry")?, Some(Entry::Value(b"dark red")));
/// assert_eq!(run.get(b"banana")?, None);
/// for item in &run {
///     let (key, entry) = item?;
///     assert!(key.len() > 4 && entry.value().is_some());
/// }
/// # Ok::<(), lsm_format::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RunReader<'a> {
    bytes: &'a [u8],
    index: &'a [u8],
    footer: Footer,
    table: KeyTable,
}

impl<'a> RunReader<'a> {
    /// Checks frame and index of a run. A block is checked when it is first needed, and again
    /// each time.
    ///
    /// # Errors
    /// [`Error::Frame`], [`Error::IndexChecksum`] or [`Error::Index`]: these bytes are no run.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let (footer, index) = split_run(bytes)?;
        let table = decode_index(index, &footer)?;
        Ok(Self {
            bytes,
            index,
            footer,
            table,
        })
    }

    /// Returns how many values and tombstones the run has, as its writer counted them.
    ///
    /// No checksum covers this number: never size anything by it.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.footer.entry_count
    }

    /// Returns what the run holds for `key`, or `None` if it holds nothing.
    ///
    /// Reads one block at most.
    ///
    /// # Errors
    /// [`Error::BlockChecksum`] or [`Error::Block`] if that block is damaged.
    pub fn get(&self, key: &[u8]) -> Result<Option<Entry<'a>>> {
        let i = find_in(self.index, &self.table, key);
        if i == self.table.len() {
            return Ok(None);
        }
        let (bounds, bytes) = self.block(i)?;
        let mut found = None;
        bounds.check_entries(bytes, |_, k, entry| {
            if k == key {
                found = Some(entry);
            }
        })?;
        Ok(found)
    }

    /// Iterates over all entries in ascending key order, tombstones included.
    #[must_use]
    pub fn iter(&self) -> RunIter<'a, '_> {
        RunIter {
            run: self,
            next_block: 0,
            entries: Entries::new(&[]),
        }
    }

    /// The bytes of block `i`, with their checksum checked.
    fn block(&self, i: usize) -> Result<(BlockBounds<'_>, &'a [u8])> {
        let bounds = bounds_in(self.index, &self.table, i)?;
        let start = usize::try_from(bounds.handle.offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(bounds.handle.len as usize);
        let bytes = self.bytes.get(start..end).unwrap_or_default();
        bounds.check_bytes(bytes)?;
        Ok((bounds, bytes))
    }
}

impl<'a, 'r> IntoIterator for &'r RunReader<'a> {
    type Item = Result<(&'a [u8], Entry<'a>)>;
    type IntoIter = RunIter<'a, 'r>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The entries of a [`RunReader`] in ascending key order: `(key, entry)`.
///
/// Yields nothing of a damaged block but its error, and nothing after that.
#[derive(Debug, Clone)]
pub struct RunIter<'a, 'r> {
    run: &'r RunReader<'a>,
    next_block: usize,
    /// What is left of the current block, which was checked as a whole.
    entries: Entries<'a>,
}

impl<'a> RunIter<'a, '_> {
    fn enter_block(&self) -> Result<Entries<'a>> {
        let (bounds, bytes) = self.run.block(self.next_block)?;
        bounds.check_entries(bytes, |_, _, _| {})?;
        Ok(Entries::new(bytes))
    }
}

impl<'a> Iterator for RunIter<'a, '_> {
    type Item = Result<(&'a [u8], Entry<'a>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(item) = self.entries.next() {
            return Some(item);
        }
        if self.next_block >= self.run.table.len() {
            return None;
        }
        match self.enter_block() {
            Ok(entries) => {
                self.entries = entries;
                self.next_block += 1;
                self.entries.next()
            }
            Err(error) => {
                self.next_block = self.run.table.len();
                Some(Err(error))
            }
        }
    }
}

impl core::iter::FusedIterator for RunIter<'_, '_> {}
