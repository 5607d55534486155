//! RocksDB, an LSM tree in C++.
//!
//! With the block cache and the filters that its documentation recommends, which are not its
//! defaults: a HyperClockCache, and ten bits a key.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DBRawIterator, ReadOptions,
    WaitForCompactOptions, WriteBatch, WriteOptions,
};

use crate::Result;
use crate::engine::{Engine, From, Operation, Options, Reader};

pub struct RocksDb {
    database: DB,
    write_options: WriteOptions,
}

const FILTER_BITS: f64 = 10.0;

fn wait_options(flush: bool) -> WaitForCompactOptions {
    let mut options = WaitForCompactOptions::default();
    options.set_flush(flush);
    options
}

impl Engine for RocksDb {
    type Reader<'a> = RocksDbReader<'a>;

    fn open(dir: &Path, options: &Options) -> Result<Self> {
        let mut config = rocksdb::Options::default();
        config.create_if_missing(true);
        config.set_disable_auto_compactions(options.hold_compaction);
        if !options.defaults {
            let mut table = BlockBasedOptions::default();
            table.set_block_cache(&Cache::new_hyper_clock_cache(options.cache_bytes, 0));
            table.set_bloom_filter(FILTER_BITS, false);
            config.set_block_based_table_factory(&table);
            config.set_write_buffer_size(options.memtable_bytes);
            config.set_max_background_jobs(i32::try_from(options.threads)?);
            config.set_compression_type(DBCompressionType::None);
        }
        let mut write_options = WriteOptions::default();
        write_options.set_sync(options.durable);
        Ok(Self {
            database: DB::open(&config, dir)?,
            write_options,
        })
    }

    fn describe(options: &Options) -> Vec<(&'static str, String)> {
        let durability = if options.durable {
            "WriteOptions::sync"
        } else {
            "default: handed to the operating system"
        };
        let mut described = vec![
            ("version", "11.8, by rocksdb 0.25".to_owned()),
            ("durability", durability.to_owned()),
        ];
        if options.defaults {
            let otherwise = "defaults: no filters; built without compression libraries";
            described.push(("otherwise", otherwise.to_owned()));
        } else {
            described.extend([
                (
                    "cache bytes",
                    format!("{}, HyperClockCache", options.cache_bytes),
                ),
                ("memtable bytes", options.memtable_bytes.to_string()),
                ("filter bits", FILTER_BITS.to_string()),
                (
                    "threads",
                    format!("max_background_jobs {}", options.threads),
                ),
                ("compression", "none".to_owned()),
            ]);
        }
        described
    }

    fn write(&self, operations: &[Operation<'_>]) -> Result<()> {
        let mut batch = WriteBatch::default();
        for operation in operations {
            match operation {
                Operation::Put(key, value) => batch.put(key, value),
                Operation::Remove(key) => batch.delete(key),
            }
        }
        Ok(self.database.write_opt(batch, &self.write_options)?)
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.database.put_opt(key, value, &self.write_options)?)
    }

    fn remove(&self, key: &[u8]) -> Result<()> {
        Ok(self.database.delete_opt(key, &self.write_options)?)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.database.flush_wal(true)?)
    }

    fn reader(&self) -> Result<RocksDbReader<'_>> {
        Ok(RocksDbReader {
            database: &self.database,
            read_options: ReadOptions::default(),
            iterator: None,
        })
    }

    fn pop_first(&self) -> Result<bool> {
        let mut iterator = self.database.raw_iterator();
        iterator.seek_to_first();
        let Some(key) = iterator.key() else {
            iterator.status()?;
            return Ok(false);
        };
        self.remove(key)?;
        Ok(true)
    }

    fn wait_idle(&self) -> Result<()> {
        Ok(self.database.wait_for_compact(&wait_options(false))?)
    }

    fn settle(&self) -> Result<()> {
        Ok(self.database.wait_for_compact(&wait_options(true))?)
    }

    fn compact(&mut self) -> Result<bool> {
        self.database.flush()?;
        self.database.compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(true)
    }

    fn is_log(name: &str) -> bool {
        // Of the write-ahead log; `LOG` is what it tells about itself.
        name.ends_with(".log")
    }

    fn close(self) -> Result<()> {
        self.database.flush_wal(true)?;
        self.database.cancel_all_background_work(true);
        Ok(())
    }
}

pub struct RocksDbReader<'a> {
    database: &'a DB,
    read_options: ReadOptions,
    /// Made at the first scan and sought again for the next ones, as its documentation advises.
    iterator: Option<DBRawIterator<'a>>,
}

impl Reader for RocksDbReader<'_> {
    fn get(&mut self, key: &[u8], mut see: impl FnMut(&[u8])) -> Result<bool> {
        let value = self.database.get_pinned_opt(key, &self.read_options)?;
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
        let database = self.database;
        let iterator = self.iterator.get_or_insert_with(|| database.raw_iterator());
        match from {
            From::First => iterator.seek_to_first(),
            From::Last => iterator.seek_to_last(),
            From::Key(key) => iterator.seek(key),
        }
        show(iterator, matches!(from, From::Last), limit, see)
    }

    fn range(&mut self, from: &[u8], to: &[u8], see: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to);
        let mut iterator = self.database.raw_iterator_opt(options);
        iterator.seek(from);
        show(&mut iterator, false, usize::MAX, see)
    }
}

fn show(
    iterator: &mut DBRawIterator<'_>,
    backward: bool,
    limit: usize,
    mut see: impl FnMut(&[u8], &[u8]),
) -> Result<usize> {
    let mut count = 0;
    while let Some((key, value)) = iterator.item() {
        see(key, value);
        count += 1;
        if count == limit {
            return Ok(count);
        }
        if backward {
            iterator.prev();
        } else {
            iterator.next();
        }
    }
    iterator.status()?;
    Ok(count)
}
