//! What `quick_cache` asks of us: what an entry weighs, and what becomes of those that go.
//!
//! Called by it under the lock of a shard, so nothing here frees memory or waits.

use std::sync::Arc;

use quick_cache::{Lifecycle, Weighter};

use crate::counters::{Counters, Event};

/// Weighs entries with their overhead; those above the limit too heavy for any cache.
pub(crate) struct Scales<K, V> {
    pub(crate) weigh: fn(&K, &V) -> u64,
    pub(crate) overhead_bytes: u64,
    pub(crate) entry_bytes_max: u64,
}

impl<K, V> Scales<K, V> {
    /// `None`: not to be let in.
    pub(crate) fn entry_bytes(&self, key: &K, value: &V) -> Option<u64> {
        let bytes = (self.weigh)(key, value).saturating_add(self.overhead_bytes);
        (bytes <= self.entry_bytes_max).then_some(bytes)
    }
}

impl<K, V> Weighter<K, V> for Scales<K, V> {
    fn weight(&self, key: &K, value: &V) -> u64 {
        // More than a shard holds: `quick_cache` refuses it and evicts nothing for it.
        self.entry_bytes(key, value).unwrap_or(u64::MAX)
    }
}

impl<K, V> Clone for Scales<K, V> {
    fn clone(&self) -> Self {
        Self {
            weigh: self.weigh,
            overhead_bytes: self.overhead_bytes,
            entry_bytes_max: self.entry_bytes_max,
        }
    }
}

/// Counts what goes, and hands it out from under the lock.
pub(crate) struct Exit<K, V> {
    pub(crate) scales: Scales<K, V>,
    pub(crate) counters: Arc<Counters>,
}

/// What one call pushed out; dropped when the call no longer holds a lock. Mostly one entry, so the
/// first needs no allocation.
pub(crate) struct Leaving<K, V> {
    first: Option<(K, V)>,
    others: Vec<(K, V)>,
}

impl<K, V> Default for Leaving<K, V> {
    fn default() -> Self {
        Self {
            first: None,
            others: Vec::new(),
        }
    }
}

impl<K, V> Lifecycle<K, V> for Exit<K, V> {
    type RequestState = Leaving<K, V>;

    fn on_evict(&self, leaving: &mut Leaving<K, V>, key: K, value: V) {
        let admitted = self.scales.entry_bytes(&key, &value).is_some();
        self.counters.count(if admitted {
            Event::Evicted
        } else {
            Event::Rejected
        });
        if leaving.first.is_none() {
            leaving.first = Some((key, value));
        } else {
            leaving.others.push((key, value));
        }
    }
}

impl<K, V> Clone for Exit<K, V> {
    fn clone(&self) -> Self {
        Self {
            scales: self.scales.clone(),
            counters: Arc::clone(&self.counters),
        }
    }
}
