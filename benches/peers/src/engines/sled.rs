//! `sled` 0.34, an older log-structured store; in the suite `1x` only, whose documents compare with it.
//!
//! It hands writes to the operating system when a buffer is full, so it has no relaxed write that
//! survives a kill of the process.

use std::path::Path;

use crate::Result;
use crate::engine::{Engine, From, Operation, Options, Reader};

pub struct Sled {
    database: sled::Db,
    durable: bool,
}

impl Engine for Sled {
    type Reader<'a> = SledReader<'a>;

    fn open(dir: &Path, options: &Options) -> Result<Self> {
        let mut config = sled::Config::new().path(dir);
        if !options.defaults {
            config = config.cache_capacity(options.cache_bytes as u64);
        }
        Ok(Self {
            database: config.open()?,
            durable: options.durable,
        })
    }

    fn describe(options: &Options) -> Vec<(&'static str, String)> {
        let durability = if options.durable {
            "flush after each write"
        } else {
            "none: by a timer, every half second"
        };
        let cache = if options.defaults {
            "default: 1 GiB".to_owned()
        } else {
            options.cache_bytes.to_string()
        };
        vec![
            ("version", "0.34".to_owned()),
            ("durability", durability.to_owned()),
            ("cache bytes", cache),
            ("compression", "none, the default".to_owned()),
        ]
    }

    fn write(&self, operations: &[Operation<'_>]) -> Result<()> {
        let mut batch = sled::Batch::default();
        for operation in operations {
            match operation {
                Operation::Put(key, value) => batch.insert(*key, *value),
                Operation::Remove(key) => batch.remove(*key),
            }
        }
        self.database.apply_batch(batch)?;
        if self.durable {
            self.database.flush()?;
        }
        Ok(())
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.database.insert(key, value)?;
        if self.durable {
            self.database.flush()?;
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.database.flush()?;
        Ok(())
    }

    fn reader(&self) -> Result<SledReader<'_>> {
        Ok(SledReader(&self.database))
    }

    fn pop_first(&self) -> Result<bool> {
        let found = self.database.pop_min()?.is_some();
        if found && self.durable {
            self.database.flush()?;
        }
        Ok(found)
    }

    fn wait_idle(&self) -> Result<()> {
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.sync()
    }

    fn compact(&mut self) -> Result<bool> {
        Ok(false)
    }

    fn close(self) -> Result<()> {
        self.sync()
    }
}

pub struct SledReader<'a>(&'a sled::Db);

fn show(
    entries: impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>,
    limit: usize,
    mut see: impl FnMut(&[u8], &[u8]),
) -> Result<usize> {
    let mut count = 0;
    for entry in entries.take(limit) {
        let (key, value) = entry?;
        see(&key, &value);
        count += 1;
    }
    Ok(count)
}

impl Reader for SledReader<'_> {
    fn get(&mut self, key: &[u8], mut see: impl FnMut(&[u8])) -> Result<bool> {
        let value = self.0.get(key)?;
        if let Some(value) = &value {
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
            From::First => show(self.0.iter(), limit, see),
            From::Last => show(self.0.iter().rev(), limit, see),
            From::Key(key) => show(self.0.range(key..), limit, see),
        }
    }

    fn range(&mut self, from: &[u8], to: &[u8], see: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        show(self.0.range(from..to), usize::MAX, see)
    }
}
