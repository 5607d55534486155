//! The places where entries can be when they are read: what a read answers must not depend on it.

use lsm_db::{Lsm, LsmConfig};

use crate::machine::Machine;
use crate::model::{Model, Write, apply, contents};

/// Where the entries of a store are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// All in the active memtable.
    Memtable,
    /// All in one run.
    OneRun,
    /// A run for each tenth of the writes, all in level 0.
    ManyRuns,
    /// Merged into the deepest level.
    DeepLevel,
    /// Half in the deepest level, a quarter in level 0, the rest in the memtable.
    Spread,
    /// In memtables that replay has filled, after a close.
    Replayed,
    /// On disk, by a memtable that is full at every write, with compactions in between.
    FlushedAtEveryWrite,
}

impl Placement {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Memtable,
        Self::OneRun,
        Self::ManyRuns,
        Self::DeepLevel,
        Self::Spread,
        Self::Replayed,
        Self::FlushedAtEveryWrite,
    ];

    fn config(self) -> LsmConfig {
        let config = LsmConfig::new().run_bytes_target(4096);
        match self {
            Self::FlushedAtEveryWrite => config.memtable_capacity(0).compaction_trigger(2),
            _ => config.compaction_trigger(usize::MAX),
        }
    }

    /// Makes the writes and brings them where they belong.
    fn arrange(self, machine: &Machine, writes: &[Write]) -> lsm_db::Result<Lsm> {
        let db = machine.open()?;
        let tenth = writes.len().div_ceil(10).max(1);
        for (number, (key, value)) in (1..).zip(writes) {
            match value {
                Some(value) => db.put(key, value)?,
                None => db.delete(key)?,
            }
            let half = number == writes.len() / 2;
            let three_quarters = number == writes.len() * 3 / 4;
            match self {
                Self::ManyRuns if number % tenth == 0 => db.flush()?,
                Self::Spread if half => {
                    db.flush()?;
                    db.compact_range::<&[u8], _>(..)?;
                }
                Self::Spread if three_quarters => db.flush()?,
                _ => {}
            }
        }
        match self {
            Self::OneRun => db.flush()?,
            Self::DeepLevel => {
                db.flush()?;
                db.compact_range::<&[u8], _>(..)?;
            }
            Self::Replayed => {
                drop(db);
                return machine.open();
            }
            _ => {}
        }
        Ok(db)
    }
}

/// Makes the writes, once for each placement, and runs `check` on the store and what it holds.
///
/// # Errors
/// Those of the store and of `check`, with the placement.
pub fn everywhere(
    writes: &[Write],
    mut check: impl FnMut(&Lsm, &Model) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut model = Model::new();
    apply(&mut model, writes);
    for placement in Placement::ALL {
        let machine = Machine::new(placement.config(), 7);
        let db = placement.arrange(&machine, writes)?;
        check(&db, &model).map_err(|error| format!("{placement:?}: {error}"))?;
        machine.settle();
        check(&db, &model).map_err(|error| format!("{placement:?}, settled: {error}"))?;
        if contents(&db)? != model {
            return Err(format!("{placement:?}: the check changed the store").into());
        }
    }
    Ok(())
}
