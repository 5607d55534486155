//! Reproducible traces of requests, and a plain LRU to compare with. Shared by the example that
//! prints hit rates and the tests that hold them.

use std::collections::{BTreeMap, HashMap};

/// Draws keys of which the n-th is asked for 1/n^0.99 times as often as the first.
pub(crate) struct Zipfian {
    cumulative: Vec<f64>,
    state: u64,
}

impl Zipfian {
    /// Over the keys `0..keys`, from a seed.
    pub(crate) fn new(keys: u64, seed: u64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=keys).map(|n| {
            sum += (n as f64).powf(-0.99);
            sum
        });
        Self {
            cumulative: weights.collect(),
            state: seed,
        }
    }

    /// The next key.
    pub(crate) fn draw(&mut self) -> u64 {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let at = (z >> 11) as f64 / (1_u64 << 53) as f64 * total;
        self.cumulative.partition_point(|&sum| sum <= at) as u64
    }
}

/// A cache of so many keys that forgets the one not asked for the longest.
pub(crate) struct Lru {
    keys_max: usize,
    clock: u64,
    used_at: HashMap<u64, u64>,
    by_use: BTreeMap<u64, u64>,
}

impl Lru {
    /// Empty.
    pub(crate) fn new(keys_max: usize) -> Self {
        Self {
            keys_max,
            clock: 0,
            used_at: HashMap::new(),
            by_use: BTreeMap::new(),
        }
    }

    /// Asks for a key, keeps it, and says whether it was there.
    pub(crate) fn request(&mut self, key: u64) -> bool {
        self.clock += 1;
        let last = self.used_at.insert(key, self.clock);
        if let Some(last) = last {
            self.by_use.remove(&last);
        }
        self.by_use.insert(self.clock, key);
        if self.used_at.len() > self.keys_max
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.used_at.remove(&oldest);
        }
        last.is_some()
    }
}

/// The share of `requests` zipfian requests that `request` answers with true, in percent.
pub(crate) fn hit_rate(
    zipfian: &mut Zipfian,
    requests: u32,
    mut request: impl FnMut(u64) -> bool,
) -> f64 {
    let hits = (0..requests).filter(|_| request(zipfian.draw())).count();
    hits as f64 * 100.0 / f64::from(requests)
}
