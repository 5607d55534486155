//! The keys of a play on threads: each writer's own, those that all write together, and a counter.
//!
//! Values of the last two name the commit that wrote them. Never looks into a store.

use crate::model::Model;

/// Written together, by all writers.
pub(super) const SHARED: [&[u8]; 3] = [b"shared-a", b"shared-m", b"shared-z"];

/// Raised by one, by all writers, under a condition.
pub(super) const COUNTER: &[u8] = b"counter";

/// Before each of a writer's own keys.
pub(super) fn own_prefix(writer: usize) -> Vec<u8> {
    format!("w{writer:02}-").into_bytes()
}

/// Whose key it is.
pub(super) fn own_writer(key: &[u8]) -> Option<usize> {
    let rest = key.strip_prefix(b"w")?;
    let number = std::str::from_utf8(rest.get(..2)?).ok()?;
    let writer = number.parse().ok()?;
    key.starts_with(&own_prefix(writer)).then_some(writer)
}

/// One of a writer's keys.
pub(super) fn own(writer: usize, key: &[u8]) -> Vec<u8> {
    [own_prefix(writer).as_slice(), key].concat()
}

/// Where a writer says which of its commits was the last.
pub(super) fn mark(writer: usize) -> Vec<u8> {
    own(writer, b"mark")
}

/// The number of the writer's last commit, by its mark; 0 before the first.
pub(super) fn named(writer: usize, model: &Model) -> u64 {
    let value = model.get(&mark(writer));
    let text = value.and_then(|value| std::str::from_utf8(value).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A commit's name in a value, with the count that it raised the counter to, or 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub count: u64,
    pub writer: usize,
    pub number: u64,
}

impl Name {
    pub(super) fn value(self) -> Vec<u8> {
        format!("{} {} {}", self.count, self.writer, self.number).into_bytes()
    }
}

/// The name in a value.
pub(super) fn counted(value: &[u8]) -> Option<Name> {
    let mut parts = std::str::from_utf8(value).ok()?.split(' ');
    Some(Name {
        count: parts.next()?.parse().ok()?,
        writer: parts.next()?.parse().ok()?,
        number: parts.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_writer_and_a_value_its_commit() {
        assert_eq!(own_writer(&own(7, b"key")), Some(7));
        assert_eq!(own_writer(&mark(12)), Some(12));
        for other in [COUNTER, SHARED[0], b"w", b"w1-", b"key-001"] {
            assert_eq!(own_writer(other), None);
        }
        let name = Name {
            count: 3,
            writer: 2,
            number: 9,
        };
        assert_eq!(counted(&name.value()), Some(name));
        let model = Model::from([(mark(2), b"41".to_vec())]);
        assert_eq!((named(2, &model), named(3, &model)), (41, 0));
    }
}
