//! Keys and values, drawn from a seed before any clock starts: the same for every engine.
//!
//! Cells draw from it. It never looks at the clock or at the system.

/// SplitMix64.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which must not be zero.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.draw() % limit as u64) as usize
    }

    /// Evenly from 0 (included) to 1 (excluded).
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.draw().to_le_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Bytes that values are cut from.
const POOL_BYTES: usize = 1 << 20;

/// So many keys of one length in one piece of memory, and a value for each.
///
/// Values are random bytes cut out of a pool of a mebibyte, so that sixteen million of them do not
/// take gibibytes, and so that none has to be made while a clock runs.
pub struct Data {
    key_bytes: usize,
    value_bytes: usize,
    keys: Vec<u8>,
    pool: Vec<u8>,
}

impl Data {
    /// Random keys in random order. With 24 bytes there are no duplicates to speak of.
    pub fn random(count: usize, key_bytes: usize, value_bytes: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut keys = vec![0; count * key_bytes];
        random.fill(&mut keys);
        Self::with_keys(keys, key_bytes, value_bytes, random)
    }

    /// Ascending keys: the number in eight bytes, the first byte most significant, before random bytes.
    pub fn ascending(count: usize, key_bytes: usize, value_bytes: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut keys = vec![0; count * key_bytes];
        for (number, key) in keys.chunks_mut(key_bytes).enumerate() {
            let (head, tail) = key.split_at_mut(8);
            head.copy_from_slice(&(number as u64).to_be_bytes());
            random.fill(tail);
        }
        Self::with_keys(keys, key_bytes, value_bytes, random)
    }

    fn with_keys(keys: Vec<u8>, key_bytes: usize, value_bytes: usize, mut random: Random) -> Self {
        let mut pool = vec![0; POOL_BYTES + value_bytes];
        random.fill(&mut pool);
        Self {
            key_bytes,
            value_bytes,
            keys,
            pool,
        }
    }

    pub fn len(&self) -> usize {
        self.keys.len() / self.key_bytes
    }

    pub fn key(&self, index: usize) -> &[u8] {
        let start = index * self.key_bytes;
        &self.keys[start..start + self.key_bytes]
    }

    pub fn value(&self, index: usize) -> &[u8] {
        let start = index.wrapping_mul(0x9E37_79B9_7F4A_7C15) % POOL_BYTES;
        &self.pool[start..start + self.value_bytes]
    }

    /// Bytes of one key with its value.
    pub fn entry_bytes(&self) -> usize {
        self.key_bytes + self.value_bytes
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> u64 {
        (self.len() * self.entry_bytes()) as u64
    }

    /// `count` numbers of entries, evenly drawn.
    pub fn picks(&self, count: usize, seed: u64) -> Vec<u32> {
        let mut random = Random::new(seed);
        (0..count)
            .map(|_| random.below(self.len()) as u32)
            .collect()
    }

    /// All numbers of entries, in random order.
    pub fn shuffled(&self, seed: u64) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        Random::new(seed).shuffle(&mut order);
        order
    }
}

/// Takes in every byte that an engine returns, so that none can skip producing it.
///
/// The sum does not depend on order, so that all engines that gave the same bytes have the same.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Consumed {
    pub entries: u64,
    pub bytes: u64,
    pub sum: u64,
}

impl Consumed {
    pub fn value(&mut self, bytes: &[u8]) {
        self.entries += 1;
        self.take(bytes);
    }

    pub fn entry(&mut self, key: &[u8], value: &[u8]) {
        self.entries += 1;
        self.take(key);
        self.take(value);
    }

    pub fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let word = word.try_into().map_or(0, u64::from_le_bytes);
            self.sum = self.sum.wrapping_add(word);
        }
        for byte in words.remainder() {
            self.sum = self.sum.wrapping_add(u64::from(*byte));
        }
        self.bytes += bytes.len() as u64;
    }
}

/// Draws numbers below a limit with the popularity of the YCSB core workloads: zipfian with 0.99,
/// the popular ones scattered over the whole range.
pub struct Zipfian {
    items: f64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

/// The exponent of the YCSB core workloads.
const THETA: f64 = 0.99;

impl Zipfian {
    pub fn new(items: usize) -> Self {
        let zeta = |count: usize| {
            (1..=count)
                .map(|rank| (rank as f64).powf(-THETA))
                .sum::<f64>()
        };
        let all = zeta(items);
        let items = items as f64;
        Self {
            items,
            zeta: all,
            alpha: 1.0 / (1.0 - THETA),
            eta: (1.0 - (2.0 / items).powf(1.0 - THETA)) / (1.0 - zeta(2) / all),
        }
    }

    /// The rank, 0 being the most popular (Gray et al., "Quickly generating billion-record
    /// synthetic databases", SIGMOD 1994).
    pub fn rank(&self, random: &mut Random) -> usize {
        let u = random.unit();
        let scaled = u * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(THETA) {
            return 1;
        }
        let rank = self.items * (self.eta * u - self.eta + 1.0).powf(self.alpha);
        (rank as usize).min(self.items as usize - 1)
    }

    /// The number of an entry: the rank, hashed, so that popular entries are not neighbours.
    pub fn pick(&self, random: &mut Random) -> usize {
        let mut hash = Random::new(self.rank(random) as u64);
        hash.below(self.items as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_data_and_another_gives_another() {
        let first = Data::random(100, 24, 150, 1);
        let again = Data::random(100, 24, 150, 1);
        assert_eq!(first.key(99), again.key(99));
        assert_eq!(first.value(99), again.value(99));
        assert_eq!(first.value(99).len(), 150);
        assert_ne!(first.key(99), Data::random(100, 24, 150, 2).key(99));
    }

    #[test]
    fn ascending_keys_ascend() {
        let data = Data::ascending(1_000, 24, 8, 1);
        assert!((1..1_000).all(|index| data.key(index - 1) < data.key(index)));
    }

    #[test]
    fn what_was_consumed_depends_on_every_byte_and_not_on_the_order() {
        let sum = |values: &[&[u8]]| {
            let mut consumed = Consumed::default();
            values.iter().for_each(|value| consumed.value(value));
            consumed.sum
        };
        assert_eq!(
            sum(&[b"one", b"another value"]),
            sum(&[b"another value", b"one"])
        );
        assert_ne!(sum(&[b"another value"]), sum(&[b"another valuf"]));
        assert_ne!(sum(&[b"another value"]), sum(&[b"bnother value"]));
    }

    #[test]
    fn a_popular_rank_is_drawn_about_as_often_as_its_law_says() {
        let zipfian = Zipfian::new(1_000);
        let mut random = Random::new(1);
        let mut counts = vec![0_u32; 1_000];
        for _ in 0..100_000 {
            counts[zipfian.rank(&mut random)] += 1;
        }
        let first = f64::from(counts[0]) / 100_000.0;
        assert!((first - 1.0 / zipfian.zeta).abs() < 0.01, "{first}");
        assert!(counts[0] > counts[9] && counts[9] > counts[99]);
    }
}
