//! The checks that every block passes before any of it is believed.
//!
//! Called by [`Block`](crate::Block), by the in-memory reader and by `verify`, each with its own
//! visitor, so that there is one list of checks. It never allocates.

use crate::checksum::crc32c;
use crate::entry::{Entry, parse_entry};
use crate::error::{Error, Result};
use crate::index::BlockHandle;

/// What the index says of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockBounds<'a> {
    pub(crate) block: u64,
    pub(crate) handle: BlockHandle,
    /// The last key of the block before it: its first key must be greater.
    pub(crate) previous_last_key: Option<&'a [u8]>,
    pub(crate) last_key: &'a [u8],
}

impl BlockBounds<'_> {
    /// Damage `at` bytes into the block.
    pub(crate) fn flaw(&self, at: usize, reason: &'static str) -> Error {
        Error::Block {
            block: self.block,
            offset: self.handle.offset.saturating_add(at as u64),
            reason,
        }
    }

    /// Checks length and checksum.
    pub(crate) fn check_bytes(&self, bytes: &[u8]) -> Result<()> {
        if bytes.len() != self.handle.len as usize {
            return Err(self.flaw(0, "length is not the index's"));
        }
        let found = crc32c(bytes);
        if found != self.handle.crc {
            return Err(Error::BlockChecksum {
                block: self.block,
                offset: self.handle.offset,
                expected: self.handle.crc,
                found,
            });
        }
        Ok(())
    }

    /// Checks the entries, showing each to `visit` with the byte at which it starts.
    ///
    /// Only after `Ok` may the caller use what it saw: a later entry may still be damaged.
    #[inline]
    pub(crate) fn check_entries<'b>(
        &self,
        bytes: &'b [u8],
        mut visit: impl FnMut(usize, &'b [u8], Entry<'b>),
    ) -> Result<()> {
        let mut at = 0;
        let mut previous: Option<&[u8]> = None;
        while at < bytes.len() {
            let (key, entry, next) =
                parse_entry(bytes, at).map_err(|flaw| self.flaw(flaw.at, flaw.reason))?;
            match previous {
                Some(previous) if key <= previous => {
                    return Err(self.flaw(at, "keys do not ascend"));
                }
                None if self.previous_last_key.is_some_and(|before| key <= before) => {
                    return Err(self.flaw(at, "first key does not follow the block before"));
                }
                _ => {}
            }
            visit(at, key, entry);
            previous = Some(key);
            at = next;
        }
        if previous != Some(self.last_key) {
            return Err(self.flaw(at, "last key is not the index's"));
        }
        Ok(())
    }
}
