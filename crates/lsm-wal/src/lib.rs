#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod commit_queue;
mod error;
mod frame;
mod legacy;
mod log;
mod names;
mod pacer;
mod position;
mod recovery;
mod segment;
mod sync;
mod wal;

pub use commit_queue::{Abandoned, CommitQueue, Lead, Ticket};
pub use error::{Error, RecoverError};
pub use frame::{
    FRAME_ALIGNMENT, FRAME_HEADER_LEN, FrameBuffer, FrameHeader, FrameKey, FrameReader, KIND_DATA,
    KIND_END, KIND_MUST_UNDERSTAND, LaterClaim, Step, decode_header, later_claim,
};
pub use legacy::read_legacy_log;
pub use log::Log;
pub use names::{
    parse_segment_file_name, parse_segment_temporary_file_name, segment_file_name,
    segment_temporary_file_name,
};
pub use pacer::GroupPacer;
pub use position::{LogBounds, Position};
pub use recovery::{Record, RecoveredLog, recover};
pub use segment::{LogOptions, SEGMENT_FORMAT_VERSION, SEGMENT_HEADER_LEN, SEGMENT_MAGIC};
pub use sync::{StdSync, SyncShim};
pub use wal::{Appended, Durability, Replay, Wal, WalOptions};
