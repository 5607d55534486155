//! What a judge of traces has to be told: what acknowledgements promise, and what manifests name.
//!
//! Answered by [`system_calls`](crate::processes::system_calls) for real stores, and in plain text by
//! the tests of the judge. Never looks at a trace.

use std::collections::BTreeSet;

use crate::processes::record::Record;

/// What was promised by a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promise {
    /// Nothing.
    Nothing,
    /// That what holds these bytes, which stand in no other write, is durable.
    Durable(Vec<u8>),
    /// That all is durable that was written to the log before this lane's record began.
    AllBefore,
}

/// What a manifest names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Runs.
    pub runs: BTreeSet<u64>,
    /// Of the segments that were asked for, those that may hold something.
    pub segments: BTreeSet<u64>,
}

/// What only the workload and the format can say.
pub trait Meaning {
    /// What a record promises.
    fn promise(&self, record: &Record) -> Promise;

    /// What a manifest with this content names, of these segments.
    ///
    /// # Errors
    /// If it is no manifest.
    fn named(&self, manifest: &[u8], segments: &BTreeSet<u64>) -> Result<Named, String>;
}
