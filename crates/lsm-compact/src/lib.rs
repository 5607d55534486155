#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod claims;
mod concat;
mod cursor;
mod elide;
mod job;
mod live;
mod merge;
mod options;
mod outflow;
mod owed;
mod picker;
mod placement;
mod pressure;
mod range;
mod range_iter;
mod run;
mod spans;
mod split;
mod targets;
#[cfg(test)]
mod testing;
mod turn;

pub use claims::{ClaimId, Claims};
pub use concat::{ConcatCursor, Parts};
pub use cursor::{Cursor, SliceCursor};
pub use elide::Elision;
pub use job::{Job, JobKind, edit_for, move_edit};
pub use live::{KnownGaps, LiveCursor};
pub use merge::MergeCursor;
pub use options::PickerOptions;
pub use outflow::Outflow;
pub use owed::Owed;
pub use picker::{OwedStep, pick, pick_for_readers, pick_owed};
pub use placement::place_by_age;
pub use pressure::{PressureOptions, pressure, share};
pub use range::{RangeCursor, prefix_bounds};
pub use range_iter::{OpenCursor, RangeIter};
pub use run::{JobError, JobOutput, Sink, run};
pub use split::Splitter;
pub use targets::{Targets, debt_bytes, l0_backlog_runs, scores};
pub use turn::{TURN_SLACK, Turn};
