//! `lsm-db` 1.1.0, the engine whose users we take over.
//!
//! Built as its manifest gives it: without its feature `durability` there is no log, and a write that
//! was not flushed is lost with the process. Beside it, we run without our log.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use lsm_db_1x::{Batch, Lsm, LsmConfig};

use crate::Result;
use crate::engine::{Engine, From, Operation, Options, Reader};
use crate::usage;

pub struct OneX(Lsm);

fn config(options: &Options) -> LsmConfig {
    let mut config = LsmConfig::new();
    if options.hold_compaction {
        config = config.compaction_trigger(usize::MAX);
    }
    if options.defaults {
        return config;
    }
    config
        .memtable_capacity(options.memtable_bytes)
        .block_cache_capacity(options.cache_bytes)
}

impl Engine for OneX {
    type Reader<'a> = OneXReader<'a>;

    fn open(dir: &Path, options: &Options) -> Result<Self> {
        if options.durable {
            return Err("lsm-db 1.1.0 without its log has no durable write".into());
        }
        Ok(Self(Lsm::open_with(dir, config(options))?))
    }

    fn describe(options: &Options) -> Vec<(&'static str, String)> {
        let config = config(options);
        vec![
            ("version", "1.1.0".to_owned()),
            ("durability", "no log".to_owned()),
            (
                "cache bytes",
                config.block_cache_capacity_bytes().to_string(),
            ),
            (
                "memtable bytes",
                config.memtable_capacity_bytes().to_string(),
            ),
            ("filters", "none".to_owned()),
            ("compression", "has none".to_owned()),
        ]
    }

    fn write(&self, operations: &[Operation<'_>]) -> Result<()> {
        let mut batch = Batch::new();
        for operation in operations {
            match operation {
                Operation::Put(key, value) => batch.put(key, value),
                Operation::Remove(key) => batch.delete(key),
            }
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
        Ok(self.0.flush()?)
    }

    fn reader(&self) -> Result<OneXReader<'_>> {
        Ok(OneXReader(&self.0))
    }

    /// It tells nobody when it is idle: it is when it has written nothing for a while.
    fn wait_idle(&self) -> Result<()> {
        loop {
            let before = usage::written_bytes()?;
            sleep(Duration::from_millis(200));
            if usage::written_bytes()? == before {
                return Ok(());
            }
        }
    }

    fn settle(&self) -> Result<()> {
        self.0.flush()?;
        self.wait_idle()
    }

    fn compact(&mut self) -> Result<bool> {
        Ok(false)
    }

    fn close(self) -> Result<()> {
        Ok(self.0.flush()?)
    }
}

pub struct OneXReader<'a>(&'a Lsm);

fn show(
    entries: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    limit: usize,
    mut see: impl FnMut(&[u8], &[u8]),
) -> usize {
    let mut count = 0;
    for (key, value) in entries.take(limit) {
        see(&key, &value);
        count += 1;
    }
    count
}

impl Reader for OneXReader<'_> {
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
        Ok(match from {
            From::First => show(self.0.scan(..)?, limit, see),
            From::Last => show(self.0.scan(..)?.rev(), limit, see),
            From::Key(key) => show(self.0.scan(key.to_vec()..)?, limit, see),
        })
    }

    fn range(&mut self, from: &[u8], to: &[u8], see: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let entries = self.0.scan(from.to_vec()..to.to_vec())?;
        Ok(show(entries, usize::MAX, see))
    }
}
