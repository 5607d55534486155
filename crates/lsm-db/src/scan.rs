//! The materialised scan of `lsm-db` 1.x: a range, read to its end, as a plain list.

/// The entries of a range, ascending by key, as they were when [`Lsm::scan`](crate::Lsm::scan)
/// was called.
///
/// All of them are in memory: for a range that may be large use [`Lsm::range`](crate::Lsm::range).
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = lsm_db::Lsm::open(dir.path())?;
/// store.put("a", "1")?;
/// store.put("b", "2")?;
/// let scan = store.scan(..)?;
/// assert_eq!(scan.len(), 2);
/// assert_eq!(scan.rev().next(), Some((b"b".to_vec(), b"2".to_vec())));
/// # Ok::<(), lsm_db::Error>(())
/// ```
#[derive(Debug)]
pub struct Scan {
    entries: std::vec::IntoIter<(Vec<u8>, Vec<u8>)>,
}

impl Scan {
    pub(crate) fn new(entries: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        Self {
            entries: entries.into_iter(),
        }
    }
}

impl Iterator for Scan {
    type Item = (Vec<u8>, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        self.entries.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for Scan {}

impl DoubleEndedIterator for Scan {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.entries.next_back()
    }
}

impl std::iter::FusedIterator for Scan {}
