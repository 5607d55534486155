//! The bytes of a simulated file: sparse pages, shared between the states that have them in common.
//!
//! Called by file nodes and by the builder of crash images. A clone is cheap: it copies a page only
//! when one of the two writes to it. Never grows by what was not written, so that a length from a
//! hostile file costs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

const PAGE_BYTES: usize = 4096;

/// Bytes up to `len`; a page that is absent reads as zeros.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    len: u64,
    /// By page number. Shared twice over: a crash image of an unchanged file clones one pointer.
    pages: Arc<BTreeMap<u64, Arc<[u8; PAGE_BYTES]>>>,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Reads what there is at `offset`, up to `buf.len()` bytes.
    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> usize {
        let left = self.len.saturating_sub(offset);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let mut rest = buf.get_mut(..wanted).unwrap_or_default();
        let mut position = offset;
        while !rest.is_empty() {
            let (page, within, count) = span(position, rest.len());
            let (part, after) = rest.split_at_mut(count);
            match self
                .pages
                .get(&page)
                .and_then(|page| page.get(within..within + count))
            {
                Some(bytes) => part.copy_from_slice(bytes),
                None => part.fill(0),
            }
            rest = after;
            position += count as u64;
        }
        wanted
    }

    /// Puts `bytes` at `offset`, past the length or not; the length does not move.
    pub(super) fn put(&mut self, bytes: &[u8], offset: u64) {
        let pages = Arc::make_mut(&mut self.pages);
        let (mut rest, mut position) = (bytes, offset);
        while !rest.is_empty() {
            let (page, within, count) = span(position, rest.len());
            let (part, after) = rest.split_at(count);
            let page = pages
                .entry(page)
                .or_insert_with(|| Arc::new([0; PAGE_BYTES]));
            if let Some(target) = Arc::make_mut(page).get_mut(within..within + count) {
                target.copy_from_slice(part);
            }
            rest = after;
            position += count as u64;
        }
    }

    /// Moves the length to `len`. Bytes that were put past it come to light or stay in the dark.
    pub(super) fn set_len(&mut self, len: u64) {
        self.len = len;
    }

    /// Moves the length to `len` and clears everything from there on.
    pub(super) fn cut(&mut self, len: u64) {
        self.len = len;
        self.clear_from(len);
    }

    /// Clears everything past the length, so that growing again reads zeros.
    pub(super) fn clear_past_len(&mut self) {
        self.clear_from(self.len);
    }

    fn clear_from(&mut self, offset: u64) {
        let (first, within, _) = span(offset, 0);
        if self.pages.range(first..).next().is_none() {
            return;
        }
        let pages = Arc::make_mut(&mut self.pages);
        let mut tail = pages.split_off(&first);
        if let Some(mut page) = tail.remove(&first).filter(|_| within > 0) {
            if let Some(dead) = Arc::make_mut(&mut page).get_mut(within..) {
                dead.fill(0);
            }
            pages.insert(first, page);
        }
    }
}

/// The page that `position` lies in, where in it, and how many of `count` bytes it takes.
fn span(position: u64, count: usize) -> (u64, usize, usize) {
    let page_bytes = PAGE_BYTES as u64;
    let within = usize::try_from(position % page_bytes).unwrap_or_default();
    (
        position / page_bytes,
        within,
        count.min(PAGE_BYTES - within),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(content: &Content) -> Vec<u8> {
        let mut bytes = vec![7; usize::try_from(content.len()).unwrap()];
        assert_eq!(content.read_at(&mut bytes, 0), bytes.len());
        bytes
    }

    #[test]
    fn what_was_put_across_pages_is_read_back_and_gaps_are_zero() {
        let mut content = Content::default();
        let bytes: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8 + 1).collect();
        content.put(&bytes, 4000);
        content.set_len(14_100);
        let read = read_all(&content);
        assert!(read[..4000].iter().all(|&byte| byte == 0));
        assert_eq!(read[4000..14_000], bytes);
        assert!(read[14_000..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_cut_clears_what_was_behind_it() {
        let mut content = Content::default();
        content.put(&[1; 9000], 0);
        content.cut(100);
        content.set_len(9000);
        let read = read_all(&content);
        assert_eq!(read[..100], [1; 100]);
        assert!(read[100..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_clone_does_not_see_later_writes() {
        let mut content = Content::default();
        content.put(b"old", 0);
        content.set_len(3);
        let before = content.clone();
        content.put(b"new", 0);
        assert_eq!(read_all(&before), b"old");
        assert_eq!(read_all(&content), b"new");
    }

    #[test]
    fn a_length_alone_costs_nothing() {
        let mut content = Content::default();
        content.set_len(u64::MAX);
        let mut buf = [1; 8];
        assert_eq!(content.read_at(&mut buf, u64::MAX - 4), 4);
        assert_eq!(buf, [0, 0, 0, 0, 1, 1, 1, 1]);
    }
}
