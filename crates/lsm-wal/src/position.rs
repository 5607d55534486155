//! Where something is in the log, and what a caller remembers about the log as a whole.
//!
//! Used by every other module and by whoever keeps the log's bounds in a manifest. Never touches
//! a file.

use std::fmt;

/// A place in the log: a segment and a byte offset in its file.
///
/// Ordered as the log is: by segment, then by offset. The default, `(0, 0)`, is before every
/// record, so as a durability claim it claims nothing.
///
/// ```
/// use lsm_wal::Position;
/// assert!(Position::new(3, 900) < Position::new(4, 80));
/// assert_eq!(Position::new(3, 900).to_string(), "3:900");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The segment's id.
    pub segment: u64,
    /// The offset in bytes from the start of the segment's file.
    pub offset: u64,
}

impl Position {
    /// The place `offset` bytes into `segment`.
    #[must_use]
    pub const fn new(segment: u64, offset: u64) -> Self {
        Self { segment, offset }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.segment, self.offset)
    }
}

/// What the caller knows durably about a log before it is read: the bounds of what may be there.
///
/// A caller with a manifest stores this with every change; the default says that nothing is
/// known, and then a log is judged by its own segments alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LogBounds {
    /// Segments with a smaller id hold nothing any more.
    pub retired_below: u64,
    /// This segment must exist and belong to the chain; `None` if no segment must.
    pub floor: Option<u64>,
    /// Everything before this place was made durable (a recovery or a clean close recorded it), so
    /// a bad record before it is damage, never a torn tail.
    pub end: Option<Position>,
    /// Segments after `end`'s with an id up to this one are a discarded tail and hold nothing. With
    /// `end` being `None`, all segments up to this one.
    pub discarded_through: u64,
}

impl LogBounds {
    /// Whether a segment of this id is known to hold nothing, whatever its file says.
    ///
    /// ```
    /// use lsm_wal::{LogBounds, Position};
    /// let bounds = LogBounds {
    ///     retired_below: 3,
    ///     end: Some(Position::new(4, 800)),
    ///     discarded_through: 6,
    ///     ..LogBounds::default()
    /// };
    /// let empty: Vec<u64> = (1..=7).filter(|&id| bounds.holds_nothing(id)).collect();
    /// assert_eq!(empty, [1, 2, 5, 6]);
    /// ```
    #[must_use]
    pub fn holds_nothing(&self, segment: u64) -> bool {
        segment < self.retired_below
            || (segment <= self.discarded_through
                && self.end.is_none_or(|end| end.segment < segment)
                && self.discarded_through > 0)
    }
}
