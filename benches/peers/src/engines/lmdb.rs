//! LMDB through `heed`: a copy-on-write B-tree in a memory map. It caches in the operating system's
//! pages alone, so it takes no cache size.

use std::path::Path;

use heed::types::Bytes;
use heed::{CompactionOption, Env, EnvFlags, EnvOpenOptions, RoTxn, WithoutTls};

use crate::Result;
use crate::engine::{Engine, From, Operation, Options, Reader};

type Table = heed::Database<Bytes, Bytes>;

pub struct Lmdb {
    env: Env<WithoutTls>,
    table: Table,
    dir: std::path::PathBuf,
}

/// Address space for the map; the file grows only as it is written.
const MAP_BYTES: usize = 64 << 30;
const DATA_FILE: &str = "data.mdb";

#[expect(
    unsafe_code,
    reason = "heed has no other way to open: nobody may change the mapped file meanwhile, and \
              nobody but this process knows its folder; and no other way to set a flag"
)]
fn open_env(dir: &Path, flags: EnvFlags) -> heed::Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(MAP_BYTES);
    unsafe { options.flags(flags).open(dir) }
}

impl Engine for Lmdb {
    type Reader<'a> = LmdbReader<'a>;

    fn open(dir: &Path, options: &Options) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let flags = if options.durable {
            EnvFlags::empty()
        } else {
            EnvFlags::NO_SYNC
        };
        let env = open_env(dir, flags)?;
        let mut transaction = env.write_txn()?;
        let table = env.create_database(&mut transaction, None)?;
        transaction.commit()?;
        Ok(Self {
            env,
            table,
            dir: dir.to_path_buf(),
        })
    }

    fn describe(options: &Options) -> Vec<(&'static str, String)> {
        let durability = if options.durable {
            "default: fdatasync in each commit"
        } else {
            "MDB_NOSYNC"
        };
        vec![
            ("version", "0.9, by heed 0.22".to_owned()),
            ("durability", durability.to_owned()),
            ("cache bytes", "the operating system's".to_owned()),
            ("compression", "has none".to_owned()),
        ]
    }

    fn write(&self, operations: &[Operation<'_>]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        for operation in operations {
            match operation {
                Operation::Put(key, value) => self.table.put(&mut transaction, key, value)?,
                Operation::Remove(key) => drop(self.table.delete(&mut transaction, key)?),
            }
        }
        Ok(transaction.commit()?)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.env.force_sync()?)
    }

    fn reader(&self) -> Result<LmdbReader<'_>> {
        Ok(LmdbReader {
            transaction: self.env.read_txn()?,
            table: self.table,
        })
    }

    fn pop_first(&self) -> Result<bool> {
        let mut transaction = self.env.write_txn()?;
        let mut entries = self.table.iter_mut(&mut transaction)?;
        let found = entries.next().transpose()?.is_some();
        if found {
            delete_current(&mut entries)?;
        }
        drop(entries);
        transaction.commit()?;
        Ok(found)
    }

    fn wait_idle(&self) -> Result<()> {
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.sync()
    }

    /// What LMDB has for that is a copy without holes; it takes the place of the original at the next open.
    fn compact(&mut self) -> Result<bool> {
        let copy = self.dir.join("compacted.mdb");
        self.env.copy_to_path(&copy, CompactionOption::Enabled)?;
        std::fs::rename(copy, self.dir.join(DATA_FILE))?;
        Ok(true)
    }

    fn close(self) -> Result<()> {
        self.sync()?;
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}

#[expect(
    unsafe_code,
    reason = "no key or value that the map lends is held while its page may change"
)]
fn delete_current(entries: &mut heed::RwIter<'_, Bytes, Bytes>) -> heed::Result<bool> {
    unsafe { entries.del_current() }
}

/// One read transaction, kept for as long as its thread reads.
pub struct LmdbReader<'a> {
    transaction: RoTxn<'a, WithoutTls>,
    table: Table,
}

fn show<'a>(
    entries: impl Iterator<Item = heed::Result<(&'a [u8], &'a [u8])>>,
    limit: usize,
    mut see: impl FnMut(&[u8], &[u8]),
) -> Result<usize> {
    let mut count = 0;
    for entry in entries.take(limit) {
        let (key, value) = entry?;
        see(key, value);
        count += 1;
    }
    Ok(count)
}

impl Reader for LmdbReader<'_> {
    fn get(&mut self, key: &[u8], mut see: impl FnMut(&[u8])) -> Result<bool> {
        let value = self.table.get(&self.transaction, key)?;
        if let Some(value) = value {
            see(value);
        }
        Ok(value.is_some())
    }

    fn scan(
        &mut self,
        from: From<'_>,
        limit: usize,
        see: impl FnMut(&[u8], &[u8]),
    ) -> Result<usize> {
        match from {
            From::First => show(self.table.iter(&self.transaction)?, limit, see),
            From::Last => show(self.table.rev_iter(&self.transaction)?, limit, see),
            From::Key(key) => {
                let bounds = (std::ops::Bound::Included(key), std::ops::Bound::Unbounded);
                show(self.table.range(&self.transaction, &bounds)?, limit, see)
            }
        }
    }

    fn range(&mut self, from: &[u8], to: &[u8], see: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let bounds = (
            std::ops::Bound::Included(from),
            std::ops::Bound::Excluded(to),
        );
        show(
            self.table.range(&self.transaction, &bounds)?,
            usize::MAX,
            see,
        )
    }
}
