//! Sets of keys, as disjoint spans in key order.
//!
//! The picker keeps the keys of what may not move in one, and a compaction on demand the keys that
//! it still owes. A span has no list of keys: it runs from one edge to another, and keys between
//! any two keys belong to it too. Every operation is logarithmic in the number of spans, and linear
//! in the number of spans that it makes go away.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use lsm_version::RunMeta;

/// A place between keys: just before a key, just after it, or after all keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Edge {
    // The order of the variants is the order of the places.
    At(Bytes, Side),
    End,
}

/// On which side of its key an [`Edge`] lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Before,
    After,
}

impl Edge {
    pub(crate) fn before(key: Bytes) -> Self {
        Self::At(key, Side::Before)
    }

    pub(crate) fn after(key: Bytes) -> Self {
        Self::At(key, Side::After)
    }

    /// Where a range with this lower bound starts.
    pub(crate) fn of_lower(lower: Bound<&[u8]>) -> Self {
        match lower {
            Bound::Unbounded => Self::before(Bytes::new()),
            Bound::Included(key) => Self::before(Bytes::copy_from_slice(key)),
            Bound::Excluded(key) => Self::after(Bytes::copy_from_slice(key)),
        }
    }

    /// Where a range with this upper bound ends.
    pub(crate) fn of_upper(upper: Bound<&[u8]>) -> Self {
        match upper {
            Bound::Unbounded => Self::End,
            Bound::Included(key) => Self::after(Bytes::copy_from_slice(key)),
            Bound::Excluded(key) => Self::before(Bytes::copy_from_slice(key)),
        }
    }

    /// Whether `key` comes after the edge.
    pub(crate) fn lies_before(&self, key: &[u8]) -> bool {
        match self {
            Self::At(at, Side::Before) => at <= key,
            Self::At(at, Side::After) => at < key,
            Self::End => false,
        }
    }
}

/// The keys from an edge to a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: Edge,
    pub(crate) end: Edge,
}

impl Span {
    /// The keys that `run` spans.
    pub(crate) fn of(run: &RunMeta) -> Self {
        Self {
            start: Edge::before(run.smallest_key.clone()),
            end: Edge::after(run.largest_key.clone()),
        }
    }
}

/// A set of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spans {
    /// Each span's end, by its start. Disjoint, none empty.
    ends: BTreeMap<Edge, Edge>,
}

impl Spans {
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The span of the smallest keys.
    pub(crate) fn first(&self) -> Option<Span> {
        let (start, end) = self.ends.first_key_value()?;
        Some(Span {
            start: start.clone(),
            end: end.clone(),
        })
    }

    /// Whether a part of `span` is in the set.
    pub(crate) fn overlaps(&self, span: &Span) -> bool {
        let before = self.ends.range(..&span.end).next_back();
        before.is_some_and(|(_, end)| *end > span.start) && span.start < span.end
    }

    /// Puts a span in.
    pub(crate) fn insert(&mut self, span: Span) {
        if span.start >= span.end {
            return;
        }
        let Span { mut start, mut end } = span;
        // One that ends where this starts is joined too: a chain of neighbours stays one span.
        while let Some((other, other_end)) = self.ends.range(..=&end).next_back()
            && *other_end >= start
        {
            let other = other.clone();
            let Some(other_end) = self.ends.remove(&other) else {
                break;
            };
            start = start.min(other);
            end = end.max(other_end);
        }
        self.ends.insert(start, end);
    }

    /// Takes a span out. Returns whether any of it was in.
    pub(crate) fn remove(&mut self, span: &Span) -> bool {
        if span.start >= span.end {
            return false;
        }
        let mut removed = false;
        while let Some((start, end)) = self.ends.range(..&span.end).next_back()
            && *end > span.start
        {
            let start = start.clone();
            let Some(end) = self.ends.remove(&start) else {
                break;
            };
            removed = true;
            if end > span.end {
                self.ends.insert(span.end.clone(), end);
            }
            if start < span.start {
                self.ends.insert(start, span.start.clone());
            }
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::QuickCheck;

    use super::*;

    fn span(start: u8, end: u8) -> Span {
        let edge = |at: u8| {
            let key = Bytes::from(vec![at / 2]);
            match at % 2 {
                0 => Edge::before(key),
                _ => Edge::after(key),
            }
        };
        Span {
            start: edge(start),
            end: edge(end),
        }
    }

    #[test]
    fn edges_stand_in_the_order_of_the_keys_between_them() {
        let key = |text: &'static str| Bytes::from(text);
        let edges = [
            Edge::of_lower(Bound::Unbounded),
            Edge::after(Bytes::new()),
            Edge::of_lower(Bound::Included(b"a")),
            Edge::of_lower(Bound::Excluded(b"a")),
            Edge::before(key("ab")),
            Edge::of_upper(Bound::Excluded(b"b")),
            Edge::of_upper(Bound::Included(b"b")),
            Edge::of_upper(Bound::Unbounded),
        ];
        assert!(edges.is_sorted_by(|a, b| a < b), "{edges:?}");
    }

    #[test]
    fn a_set_of_spans_holds_what_a_set_of_places_holds() {
        fn holds(steps: Vec<(bool, u8, u8)>) {
            let mut spans = Spans::default();
            let mut places = [false; 256];
            for (is_insert, start, end) in steps {
                let within = usize::from(start)..usize::from(end.max(start));
                let reached = places[within.clone()].contains(&true);
                assert_eq!(spans.overlaps(&span(start, end)), reached);
                if is_insert {
                    spans.insert(span(start, end));
                } else {
                    assert_eq!(spans.remove(&span(start, end)), reached);
                }
                places[within].fill(is_insert);
                for at in 0..255 {
                    let here = spans.overlaps(&span(at, at + 1));
                    assert_eq!(here, places[usize::from(at)], "{at} in {spans:?}");
                }
                let first = places.iter().position(|is_in| *is_in);
                let start = first.map(|at| span(u8::try_from(at).unwrap_or(0), 255).start);
                assert_eq!(spans.first().map(|first| first.start), start);
                let ends: Vec<_> = spans.ends.iter().collect();
                assert!(
                    ends.windows(2).all(|pair| pair[0].1 <= pair[1].0),
                    "{spans:?}"
                );
            }
        }
        QuickCheck::new().quickcheck(holds as fn(Vec<(bool, u8, u8)>));
    }
}
