//! [`Maintenance`]: what makes a memtable's parts fewer, by a thread that has time.
//!
//! It carries out a step that [`Shared`] names, and asks for more if there is more to do: sealed fronts
//! become arrays, arrays of one size become one, and all do if readers have paid for that. It decides
//! nothing.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::parts::{Parts, merged};
use crate::shared::{Shared, Step};

/// Work on a memtable that saves time: fronts that filled up become arrays, and arrays are merged.
///
/// [`Memtable::with_maintenance`](crate::Memtable::with_maintenance) has it handed out, once at a time. It
/// may be dropped instead of run, and does nothing if the memtable and its cursors are gone. No read returns
/// anything else for it.
pub struct Maintenance {
    shared: Weak<Shared>,
    has_stepped: bool,
}

impl Maintenance {
    pub(crate) fn of(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::downgrade(shared),
            has_stepped: false,
        }
    }

    /// The bytes of memory that [`run`](Self::run) will take at most if it is called now, beside what the
    /// memtable has: those of what it makes an array of. Values behind handles are counted, and not
    /// copied.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let shared = self.shared.upgrade();
        shared.map_or(0, |shared| shared.next_step_bytes())
    }

    /// Does what is to be done first: makes an array of one front, or of some arrays, which takes some
    /// hundred nanoseconds for each entry. Reads and inserts go on meanwhile. If there is more to do then,
    /// more is asked for, so that what waits behind this has its turn.
    pub fn run(mut self) {
        if let Some(shared) = self.shared.upgrade()
            && let Some((before, step)) = shared.begin_step()
        {
            carry_out(&shared, &before, step);
            self.has_stepped = true;
        }
        self.finish();
    }

    /// Lets go of it, then asks again if there is more to do: whoever found something meanwhile did not ask,
    /// because this was asked for.
    pub(crate) fn finish(self) {
        let shared = self.shared.upgrade();
        drop(self);
        if let Some(shared) = shared {
            shared.maintain();
        }
    }
}

fn carry_out(shared: &Shared, before: &Parts, step: Step) {
    match step {
        Step::Flatten(sealed) => {
            let array = sealed.flatten();
            shared.end_flatten(&mut shared.lock_writer(), &sealed, array);
        }
        Step::Merge(range) => {
            let _under_way = UnderWay(shared);
            let arrays = before.arrays.get(range.clone()).unwrap_or_default();
            shared.end_merge(before, range, merged(arrays));
        }
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.note_maintained(self.has_stepped);
        }
    }
}

/// A merge has begun. However it ends, the writer may merge all arrays again.
pub(crate) struct UnderWay<'s>(pub(crate) &'s Shared);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock_writer().being_merged = 0;
    }
}

impl fmt::Debug for Maintenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maintenance").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
