//! `redb`, a copy-on-write B-tree.
//!
//! It has no commit that is handed to the operating system and not synced: `Durability::None` keeps
//! it in the process until the next durable one. That is the nearest it has to a relaxed write, and
//! less than the others promise.

use std::path::Path;

use redb::{
    AccessGuard, Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition,
    WriteTransaction,
};

use crate::Result;
use crate::engine::{Engine, From, Operation, Options, Reader};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("bench");

pub struct Redb {
    database: Database,
    durable: bool,
}

impl Redb {
    fn begin(&self, durable: bool) -> Result<WriteTransaction> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(if durable {
            Durability::Immediate
        } else {
            Durability::None
        })?;
        Ok(transaction)
    }
}

impl Engine for Redb {
    type Reader<'a> = RedbReader;

    fn open(dir: &Path, options: &Options) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut builder = Database::builder();
        if !options.defaults {
            builder.set_cache_size(options.cache_bytes);
        }
        let engine = Self {
            database: builder.create(dir.join("bench.redb"))?,
            durable: options.durable,
        };
        let transaction = engine.begin(true)?;
        transaction.open_table(TABLE)?;
        transaction.commit()?;
        Ok(engine)
    }

    fn describe(options: &Options) -> Vec<(&'static str, String)> {
        let durability = if options.durable {
            "Durability::Immediate"
        } else {
            "Durability::None: not even handed to the operating system"
        };
        let cache = if options.defaults {
            "default: 1 GiB".to_owned()
        } else {
            options.cache_bytes.to_string()
        };
        vec![
            ("version", "4.6".to_owned()),
            ("durability", durability.to_owned()),
            ("cache bytes", cache),
            ("compression", "has none".to_owned()),
        ]
    }

    fn write(&self, operations: &[Operation<'_>]) -> Result<()> {
        let transaction = self.begin(self.durable)?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for operation in operations {
                match operation {
                    Operation::Put(key, value) => drop(table.insert(*key, *value)?),
                    Operation::Remove(key) => drop(table.remove(*key)?),
                }
            }
        }
        Ok(transaction.commit()?)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.begin(true)?.commit()?)
    }

    fn reader(&self) -> Result<RedbReader> {
        let transaction = self.database.begin_read()?;
        Ok(RedbReader(transaction.open_table(TABLE)?))
    }

    fn pop_first(&self) -> Result<bool> {
        let transaction = self.begin(self.durable)?;
        let found = transaction.open_table(TABLE)?.pop_first()?.is_some();
        transaction.commit()?;
        Ok(found)
    }

    fn wait_idle(&self) -> Result<()> {
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.sync()
    }

    fn compact(&mut self) -> Result<bool> {
        self.database.compact()?;
        Ok(true)
    }

    fn close(self) -> Result<()> {
        self.sync()?;
        Ok(self.database.close()?)
    }
}

/// One read transaction, kept for as long as its thread reads.
pub struct RedbReader(ReadOnlyTable<&'static [u8], &'static [u8]>);

type Entry = std::result::Result<
    (
        AccessGuard<'static, &'static [u8]>,
        AccessGuard<'static, &'static [u8]>,
    ),
    redb::StorageError,
>;

fn show(
    entries: impl Iterator<Item = Entry>,
    limit: usize,
    mut see: impl FnMut(&[u8], &[u8]),
) -> Result<usize> {
    let mut count = 0;
    for entry in entries.take(limit) {
        let (key, value) = entry?;
        see(key.value(), value.value());
        count += 1;
    }
    Ok(count)
}

impl Reader for RedbReader {
    fn get(&mut self, key: &[u8], mut see: impl FnMut(&[u8])) -> Result<bool> {
        let value = self.0.get(key)?;
        if let Some(value) = &value {
            see(value.value());
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
            From::First => show(self.0.range::<&[u8]>(..)?, limit, see),
            From::Last => show(self.0.range::<&[u8]>(..)?.rev(), limit, see),
            From::Key(key) => show(self.0.range(key..)?, limit, see),
        }
    }

    fn range(&mut self, from: &[u8], to: &[u8], see: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        show(self.0.range(from..to)?, usize::MAX, see)
    }
}
