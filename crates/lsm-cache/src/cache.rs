//! The cache: a fixed number of bytes shared by whatever the caller puts in.
//!
//! Called by readers on any thread, and by a reaper that purges what is dead. Never looks into a
//! value, starts no thread, does no I/O of its own.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::OptionsBuilder;
use quick_cache::sync::GuardResult;

use crate::counters::{CacheStats, Counters, Event};
use crate::hash::SeededHash;
use crate::policy::{Exit, Scales};

/// A cache is split into shards of at least this many bytes, up to 64 of them, each with a lock of
/// its own. Below twice this there is one.
pub const SHARD_BYTES_MIN: u64 = 16 << 20;

const SHARDS_MAX: u64 = 64;

/// What entries are expected to take on average. Half as many keys as then fit are remembered after
/// they were evicted, so that those that come back are known to be wanted.
const ENTRY_BYTES_TYPICAL: u64 = 4096;

type Shards<K, V, S> = quick_cache::sync::Cache<K, V, Scales<K, V>, S, Exit<K, V>>;

/// A concurrent cache with a capacity in bytes.
///
/// `V` is cloned by every hit, so let it be a cheap handle: an `Arc`, a `Bytes`. Reads of keys that
/// are there take a shared lock for some nanoseconds, and no lock is held while a value is loaded or
/// freed. Who holds a clone keeps its value alive whatever the cache does.
///
/// The policy is Clock-PRO as `quick_cache` has it, close to S3-FIFO (SOSP 2023): a key that is asked
/// for once passes through a small part of the cache and cannot push out those that are asked for
/// again and again.
///
/// ```
/// use std::sync::Arc;
///
/// use lsm_cache::Cache;
///
/// // Blocks of runs, by run id and number of the block; the weight is what a block owns.
/// let cache: Cache<(u64, u32), Arc<[u8]>> = Cache::new(1 << 20, |_key, block| block.len() as u64);
///
/// let block = cache.get_or_insert_with(&(12, 0), || Ok::<_, std::io::Error>(Arc::from([7; 4096])))?;
/// assert_eq!(block.len(), 4096);
/// assert!(cache.get(&(12, 0)).is_some());
/// assert!(cache.used_bytes() > 4096);
///
/// // Run 12 is gone; it had 300 blocks.
/// cache.purge((0..300).map(|block| (12, block)), |key| key.0 == 12);
/// assert!(cache.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Cache<K, V, S = SeededHash> {
    /// `None` if the cache is off.
    shards: Option<Shards<K, V, S>>,
    capacity_bytes: AtomicU64,
    shard_count: u64,
    scales: Scales<K, V>,
    counters: Arc<Counters>,
}

impl<K, V, S> Cache<K, V, S> {
    /// What each entry is charged besides its weight: the key and the value themselves, and their
    /// share of the tables and of the keys remembered after their eviction. Measured at the table
    /// sizes where it is largest, just after a table has doubled.
    pub const ENTRY_OVERHEAD_BYTES: u64 = 2 * size_of::<(K, V)>() as u64 + 64;
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// An empty cache of `capacity_bytes` bytes; 0 turns it off: nothing is ever found, nothing kept.
    ///
    /// `weigh` says how many bytes an entry owns outside of `K` and `V` themselves. It is called
    /// often and under a lock, so it must be cheap, and it must say the same every time.
    ///
    /// Keys are hashed under a seed that everybody knows: see [`with_hasher`](Self::with_hasher) for
    /// keys that strangers choose.
    #[must_use]
    pub fn new(capacity_bytes: u64, weigh: fn(&K, &V) -> u64) -> Self {
        Self::with_hasher(capacity_bytes, weigh, SeededHash::default())
    }
}

impl<K: Eq + Hash, V: Clone, S: BuildHasher + Clone> Cache<K, V, S> {
    /// The same as [`new`](Cache::new) with another hash of the keys, or another seed.
    #[must_use]
    pub fn with_hasher(capacity_bytes: u64, weigh: fn(&K, &V) -> u64, hasher: S) -> Self {
        let shards = shard_count(capacity_bytes);
        // An exact share for each, or the shares would add up to more.
        let in_shards = capacity_bytes - capacity_bytes % shards;
        let scales = Scales {
            weigh,
            overhead_bytes: Self::ENTRY_OVERHEAD_BYTES,
            entry_bytes_max: in_shards / shards / 2,
        };
        let counters = Arc::new(Counters::default());
        let exit = Exit {
            scales: scales.clone(),
            counters: Arc::clone(&counters),
        };
        let items = (in_shards / ENTRY_BYTES_TYPICAL).max(shards * 32);
        let options = OptionsBuilder::new()
            .shards(usize::try_from(shards).unwrap_or(1))
            .estimated_items_capacity(usize::try_from(items).unwrap_or(usize::MAX))
            .weight_capacity(in_shards)
            .build();
        Self {
            shards: options
                .ok()
                .filter(|_| capacity_bytes > 0)
                .map(|options| Shards::with_options(options, scales.clone(), hasher, exit)),
            capacity_bytes: AtomicU64::new(capacity_bytes),
            shard_count: shards,
            scales,
            counters,
        }
    }

    /// The value of `key`, if it is there; asking makes it stay longer.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        let found = self.shards.as_ref().and_then(|shards| shards.get(key));
        self.counters.count(match found {
            Some(_) => Event::Hit,
            None => Event::Miss,
        });
        found
    }

    /// Keeps `value` under `key`, in place of what was there, at the cost of entries that were asked
    /// for less. An entry larger than [`entry_bytes_max`](Self::entry_bytes_max) is not kept, and
    /// costs nobody else their place; what was under its key is gone all the same.
    pub fn insert(&self, key: K, value: V) {
        let Some(shards) = &self.shards else { return };
        if self.scales.entry_bytes(&key, &value).is_some() {
            self.counters.count(Event::Inserted);
        }
        // One that is too large comes out again at once, and is counted there.
        shards.insert(key, value);
    }

    /// The value of `key`: from the cache, or from `load`, which is kept as by
    /// [`insert`](Self::insert).
    ///
    /// Threads that miss the same key at the same time load it once: the others wait for the first,
    /// and get its value even if it is too large to keep. If its load fails or panics, the next one
    /// loads for itself. `load` runs without a lock held; it must not ask this cache for the same
    /// key. If the key is inserted or removed while it is being loaded, the loaded value is returned
    /// and not kept.
    ///
    /// With the cache off, each call loads.
    ///
    /// # Errors
    ///
    /// What `load` returned, to the caller whose `load` it was. Nothing is kept.
    pub fn get_or_insert_with<E>(
        &self,
        key: &K,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, E>
    where
        K: Clone,
    {
        let guard = match &self.shards {
            Some(shards) => match shards.get_value_or_guard(key, None) {
                GuardResult::Value(value) => {
                    self.counters.count(Event::Hit);
                    return Ok(value);
                }
                GuardResult::Guard(guard) => Some(guard),
                GuardResult::Timeout => None,
            },
            None => None,
        };
        self.counters.count(Event::Miss);
        let value = load()?;
        if let Some(guard) = guard {
            let admitted = self.scales.entry_bytes(key, &value).is_some();
            // One whose place was taken meanwhile is handed back.
            if guard.insert(value.clone()).is_ok() && admitted {
                self.counters.count(Event::Inserted);
            }
        }
        Ok(value)
    }

    /// Takes `key` out, and returns what was there. A load of it that is under way will not be kept.
    pub fn remove(&self, key: &K) -> Option<V> {
        let (_, value) = self.shards.as_ref()?.remove(key)?;
        self.counters.count(Event::Removed);
        Some(value)
    }

    /// Takes out every entry for which `keep` is false, and returns how many those were.
    ///
    /// Looks at every entry, one shard at a time, and holds back that shard's readers meanwhile (some
    /// 20 ns an entry): for rare occasions, off the path of readers. What is inserted meanwhile may
    /// stay.
    pub fn retain(&self, keep: impl Fn(&K, &V) -> bool) -> u64 {
        let Some(shards) = &self.shards else { return 0 };
        let removed = AtomicU64::new(0);
        shards.retain(|key, value| {
            let keep = keep(key, value);
            removed.fetch_add(u64::from(!keep), Ordering::Relaxed);
            keep
        });
        let removed = removed.into_inner();
        self.counters.add(Event::Removed, removed);
        removed
    }

    /// Takes out the entries of one owner, and returns how many those were.
    ///
    /// `keys` are all that the owner may have here; `dead` says the same of one key. With at most as
    /// many keys as there are entries in the cache (going by the upper bound of `keys.size_hint()`),
    /// each is removed by itself, and a shard is held for one removal at a time; otherwise this is a
    /// [`retain`](Self::retain). So it costs no more than the smaller of both.
    ///
    /// A load that is under way may still be kept afterwards: it ages out like any entry that nobody
    /// asks for. Use keys that are never given to another owner.
    pub fn purge(&self, keys: impl IntoIterator<Item = K>, dead: impl Fn(&K) -> bool) -> u64 {
        let keys = keys.into_iter();
        match keys.size_hint().1 {
            Some(count) if count <= self.len() => {
                keys.map(|key| u64::from(self.remove(&key).is_some())).sum()
            }
            _ => self.retain(|key, _| !dead(key)),
        }
    }

    /// How many bytes the entries take: their weights and overheads. Never above
    /// [`capacity_bytes`](Self::capacity_bytes).
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.shards.as_ref().map_or(0, Shards::weight)
    }

    /// What the cache was made with, or last given.
    #[must_use]
    pub fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes.load(Ordering::Relaxed)
    }

    /// Gives the cache more bytes or fewer from now on; with fewer, entries are evicted at once.
    ///
    /// Shards, and the largest entry that is kept, stay what the first capacity made them, and a
    /// cache that is off stays off. Of two threads that do this at the same time, either may win.
    pub fn set_capacity(&self, capacity_bytes: u64) {
        self.capacity_bytes.store(capacity_bytes, Ordering::Relaxed);
        if let Some(shards) = &self.shards {
            shards.set_capacity(capacity_bytes - capacity_bytes % self.shard_count);
        }
    }

    /// The largest entry that is kept, its overhead included: half of a shard.
    #[must_use]
    pub fn entry_bytes_max(&self) -> u64 {
        self.scales.entry_bytes_max
    }

    /// The bytes that tables and lists really take, keys and values themselves included and what
    /// those own outside excluded. The overhead of the entries is meant to cover it.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        let bytes = |shards: &Shards<K, V, S>| shards.memory_used().total();
        let bytes = self.shards.as_ref().map_or(0, bytes);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.as_ref().map_or(0, Shards::len)
    }

    /// Whether nothing is in the cache.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.counters.stats()
    }
}

impl<K, V, S> std::fmt::Debug for Cache<K, V, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field(
                "capacity_bytes",
                &self.capacity_bytes.load(Ordering::Relaxed),
            )
            .field("stats", &self.counters.stats())
            .finish_non_exhaustive()
    }
}

/// A power of two, from the capacity alone: the number of processors must not decide what is evicted.
fn shard_count(capacity_bytes: u64) -> u64 {
    let fit = (capacity_bytes / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
    1 << fit.ilog2()
}
