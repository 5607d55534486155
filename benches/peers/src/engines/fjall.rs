//! `fjall`, an LSM tree.
//!
//! A durable write is a batch with `PersistMode::SyncData`, so that it locks the journal once; a
//! relaxed one of a single key is `insert`, which hands it to the operating system.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use fjall::config::CompressionPolicy;
use fjall::{
    CompressionType, Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode, Readable,
    Snapshot,
};

use crate::Result;
use crate::engine::{Engine, From, Operation, Options, Reader};

pub struct Fjall {
    database: Database,
    keyspace: Keyspace,
    durable: bool,
}

/// How long nothing may be heard of background work before it counts as done: a worker takes its
/// next task from a queue that cannot be looked into.
const QUIET: Duration = Duration::from_millis(50);

impl Fjall {
    fn is_busy(&self) -> bool {
        self.database.outstanding_flushes() > 0
            || self.keyspace.sealed_memtable_count() > 0
            || self.database.active_compactions() > 0
    }
}

impl Engine for Fjall {
    type Reader<'a> = FjallReader<'a>;

    fn open(dir: &Path, options: &Options) -> Result<Self> {
        let mut builder = Database::builder(dir);
        if !options.defaults {
            builder = builder
                .cache_size(options.cache_bytes as u64)
                .worker_threads(options.threads)
                .journal_compression(CompressionType::None);
        }
        let database = builder.open()?;
        let keyspace = database.keyspace("bench", || {
            if options.defaults {
                return KeyspaceCreateOptions::default();
            }
            KeyspaceCreateOptions::default()
                .max_memtable_size(options.memtable_bytes as u64)
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
        })?;
        Ok(Self {
            database,
            keyspace,
            durable: options.durable,
        })
    }

    fn describe(options: &Options) -> Vec<(&'static str, String)> {
        let durability = if options.durable {
            "a batch with PersistMode::SyncData"
        } else {
            "PersistMode::Buffer"
        };
        let mut described = vec![
            ("version", "3.1".to_owned()),
            ("durability", durability.to_owned()),
        ];
        if options.defaults {
            described.push(("otherwise", "defaults, lz4 in the deeper levels".to_owned()));
        } else {
            described.extend([
                ("cache bytes", options.cache_bytes.to_string()),
                ("memtable bytes", options.memtable_bytes.to_string()),
                ("filters", "default: 0.01 % above, 10 bits below".to_owned()),
                ("threads", options.threads.to_string()),
                ("compression", "none".to_owned()),
            ]);
        }
        described
    }

    fn write(&self, operations: &[Operation<'_>]) -> Result<()> {
        let mode = if self.durable {
            PersistMode::SyncData
        } else {
            PersistMode::Buffer
        };
        let batch = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), operations.len());
        let mut batch = batch.durability(Some(mode));
        for operation in operations {
            match operation {
                Operation::Put(key, value) => batch.insert(&self.keyspace, *key, *value),
                Operation::Remove(key) => batch.remove(&self.keyspace, *key),
            }
        }
        Ok(batch.commit()?)
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        if self.durable {
            return self.write(&[Operation::Put(key, value)]);
        }
        Ok(self.keyspace.insert(key, value)?)
    }

    fn remove(&self, key: &[u8]) -> Result<()> {
        if self.durable {
            return self.write(&[Operation::Remove(key)]);
        }
        Ok(self.keyspace.remove(key)?)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    fn reader(&self) -> Result<FjallReader<'_>> {
        Ok(FjallReader {
            engine: self,
            snapshot: None,
        })
    }

    fn pop_first(&self) -> Result<bool> {
        let Some(first) = self.keyspace.first_key_value() else {
            return Ok(false);
        };
        self.remove(&first.key()?)?;
        Ok(true)
    }

    fn wait_idle(&self) -> Result<()> {
        loop {
            let completed = self.database.compactions_completed();
            let mut is_quiet = true;
            for _ in 0..QUIET.as_millis() {
                is_quiet &= !self.is_busy();
                sleep(Duration::from_millis(1));
            }
            if is_quiet && self.database.compactions_completed() == completed {
                return Ok(());
            }
        }
    }

    fn settle(&self) -> Result<()> {
        self.keyspace.rotate_memtable_and_wait()?;
        self.wait_idle()
    }

    fn compact(&mut self) -> Result<bool> {
        self.keyspace.rotate_memtable_and_wait()?;
        self.keyspace.major_compact()?;
        Ok(true)
    }

    fn is_log(name: &str) -> bool {
        name.ends_with(".jnl")
    }

    fn close(self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncData)?)
    }
}

pub struct FjallReader<'a> {
    engine: &'a Fjall,
    /// Made at the first scan: a `get` needs none.
    snapshot: Option<Snapshot>,
}

impl FjallReader<'_> {
    fn snapshot(&mut self) -> &Snapshot {
        self.snapshot
            .get_or_insert_with(|| self.engine.database.snapshot())
    }
}

fn show(
    entries: impl Iterator<Item = Guard>,
    limit: usize,
    mut see: impl FnMut(&[u8], &[u8]),
) -> Result<usize> {
    let mut count = 0;
    for entry in entries.take(limit) {
        let (key, value) = entry.into_inner()?;
        see(&key, &value);
        count += 1;
    }
    Ok(count)
}

impl Reader for FjallReader<'_> {
    fn get(&mut self, key: &[u8], mut see: impl FnMut(&[u8])) -> Result<bool> {
        let value = self.engine.keyspace.get(key)?;
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
        let keyspace = &self.engine.keyspace;
        let snapshot = self.snapshot();
        match from {
            From::First => show(snapshot.iter(keyspace), limit, see),
            From::Last => show(snapshot.iter(keyspace).rev(), limit, see),
            From::Key(key) => show(snapshot.range(keyspace, key..), limit, see),
        }
    }

    fn range(&mut self, from: &[u8], to: &[u8], see: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let keyspace = &self.engine.keyspace;
        show(self.snapshot().range(keyspace, from..to), usize::MAX, see)
    }
}
