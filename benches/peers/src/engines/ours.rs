//! `lsm-db`, this project.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use lsm_db::{Batch, Cursor, Durability, Lsm, LsmConfig};

use crate::Result;
use crate::engine::{Engine, From, Operation, Options, Reader};

pub struct Ours(Lsm);

fn config(options: &Options) -> LsmConfig {
    let mut config = LsmConfig::new().durability(if options.durable {
        Durability::Sync
    } else {
        Durability::Buffered
    });
    if options.no_log {
        config = config.wal(false);
    }
    if options.hold_compaction {
        config = config.compaction_trigger(usize::MAX);
    }
    if options.defaults {
        return config;
    }
    config
        .block_cache_capacity(options.cache_bytes)
        .memtable_capacity(options.memtable_bytes)
}

impl Engine for Ours {
    type Reader<'a> = OurReader<'a>;

    fn open(dir: &Path, options: &Options) -> Result<Self> {
        Ok(Self(Lsm::open_with(dir, config(options))?))
    }

    fn describe(options: &Options) -> Vec<(&'static str, String)> {
        let config = config(options);
        let durability = match config.default_durability() {
            _ if options.no_log => "no log",
            Durability::Sync => "Sync",
            Durability::Buffered => "Buffered",
        };
        vec![
            ("version", "this commit".to_owned()),
            ("durability", durability.to_owned()),
            (
                "cache bytes",
                config.block_cache_capacity_bytes().to_string(),
            ),
            (
                "memtable bytes",
                config.memtable_capacity_bytes().to_string(),
            ),
            ("filter bits", config.filter_bits_per_key().to_string()),
            ("threads", "one flushes, one compacts".to_owned()),
            ("compression", "none".to_owned()),
        ]
    }

    fn write(&self, operations: &[Operation<'_>]) -> Result<()> {
        let mut batch = Batch::new();
        for operation in operations {
            match operation {
                Operation::Put(key, value) => batch.put(key, value),
                Operation::Remove(key) => batch.delete(key),
            };
        }
        Ok(self.0.write(batch)?)
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.0.put(key, value)?)
    }

    fn remove(&self, key: &[u8]) -> Result<()> {
        Ok(self.0.delete(key)?)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.0.sync()?)
    }

    fn reader(&self) -> Result<OurReader<'_>> {
        Ok(OurReader {
            db: &self.0,
            cursor: None,
        })
    }

    fn pop_first(&self) -> Result<bool> {
        let Some((key, _)) = self.0.first()? else {
            return Ok(false);
        };
        self.0.delete(key)?;
        Ok(true)
    }

    fn wait_idle(&self) -> Result<()> {
        loop {
            let stats = self.0.stats();
            if stats.sealed_memtables == 0 && !stats.compaction_pending {
                return Ok(());
            }
            if let Some(error) = stats.background_error {
                return Err(error.into());
            }
            sleep(Duration::from_millis(1));
        }
    }

    fn settle(&self) -> Result<()> {
        self.0.flush()?;
        self.wait_idle()
    }

    fn compact(&mut self) -> Result<bool> {
        self.0.compact_range::<&[u8], _>(..)?;
        Ok(true)
    }

    fn log_syncs(&self) -> Option<u64> {
        Some(self.0.stats().log_syncs)
    }

    fn memory_told(&self) -> Option<u64> {
        Some(self.0.stats().memory_bytes())
    }

    fn blocks_read(&self) -> Option<u64> {
        Some(self.0.stats().blocks_read)
    }

    fn is_log(name: &str) -> bool {
        name.starts_with("wal-")
    }

    fn close(self) -> Result<()> {
        Ok(self.0.close()?)
    }
}

pub struct OurReader<'a> {
    db: &'a Lsm,
    /// Made at the first scan: a `get` needs none.
    cursor: Option<Cursor>,
}

impl Reader for OurReader<'_> {
    fn get(&mut self, key: &[u8], mut see: impl FnMut(&[u8])) -> Result<bool> {
        let value = self.db.get_bytes(key)?;
        if let Some(value) = &value {
            see(value);
        }
        Ok(value.is_some())
    }

    fn scan(
        &mut self,
        from: From<'_>,
        limit: usize,
        mut see: impl FnMut(&[u8], &[u8]),
    ) -> Result<usize> {
        let cursor = self.cursor.get_or_insert_with(|| self.db.cursor());
        let mut is_valid = match from {
            From::First => cursor.seek_first()?,
            From::Last => cursor.seek_last()?,
            From::Key(key) => cursor.seek(key)?,
        };
        let mut count = 0;
        while is_valid {
            let Some((key, value)) = cursor.entry() else {
                break;
            };
            see(key, value);
            count += 1;
            // Not one step more than asked for: it might read a block.
            if count == limit {
                break;
            }
            is_valid = match from {
                From::Last => cursor.prev()?,
                From::First | From::Key(_) => cursor.next()?,
            };
        }
        Ok(count)
    }

    fn scan_owned(
        &mut self,
        from: From<'_>,
        limit: usize,
        mut see: impl FnMut(&[u8], &[u8]),
    ) -> Result<usize> {
        let mut iterator = match from {
            From::First | From::Last => self.db.iter(),
            From::Key(key) => self.db.range(key..),
        };
        let mut count = 0;
        while count < limit {
            let entry = match from {
                From::Last => iterator.next_back(),
                From::First | From::Key(_) => iterator.next(),
            };
            let Some(entry) = entry else {
                break;
            };
            let (key, value) = entry?;
            see(&key, &value);
            count += 1;
        }
        Ok(count)
    }

    fn range(
        &mut self,
        from: &[u8],
        to: &[u8],
        mut see: impl FnMut(&[u8], &[u8]),
    ) -> Result<usize> {
        let mut count = 0;
        for entry in self.db.range(from..to) {
            let (key, value) = entry?;
            see(&key, &value);
            count += 1;
        }
        Ok(count)
    }
}
