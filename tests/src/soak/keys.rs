//! Which keys there are, and what their values are: both follow from a few numbers, so that a model
//! of millions of keys is small, and whoever reads an entry knows whether it was ever written.
//!
//! The writers' keys interleave over the whole key space, so that every flush and compaction holds
//! some of each. A value starts with the name of its key and the number that it stands for (a
//! version, a count), and all its bytes follow from the two.

use std::io::Write;

use super::profile::Shape;

/// Keys of each writer that are only ever written all together, in one batch, with one version.
pub(super) const MARKERS: usize = 16;
/// Counters that all writers raise.
pub(super) const COUNTERS: usize = 3;
/// Where the keys of histories are, which are judged by [`histories`](crate::histories) alone.
pub(super) const HISTORIES: &[u8] = b"~history/";
/// Where the items of the queue are.
pub(super) const QUEUE: &[u8] = b"~queue/";

const MULTIPLIER: u32 = 0x9E37_79B1;
const INVERSE: u32 = inverse(MULTIPLIER);
const LONG_KEY_BYTES: u64 = 64 << 10;
/// `place/writer` of a single key, which its value starts with.
const NAME_BYTES: usize = 11;

/// Newton's iteration doubles the bits that are right.
const fn inverse(odd: u32) -> u32 {
    let mut found = odd;
    let mut round = 0;
    while round < 5 {
        found = found.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(found)));
        round += 1;
    }
    found
}

/// Where a writer's n-th key is in the key space: far from the one before.
pub(super) fn place_of(number: u32) -> u32 {
    number.wrapping_mul(MULTIPLIER)
}

/// The inverse of [`place_of`].
pub(super) fn number_of(place: u32) -> u32 {
    place.wrapping_mul(INVERSE)
}

/// The bound before all keys of a place.
pub(super) fn bound(place: u32) -> Vec<u8> {
    format!("{place:08x}").into_bytes()
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A key of one writer, written alone or in batches.
    Single { writer: usize, place: u32 },
    /// One of the keys that carry the newest marker of their writer.
    Marker { writer: usize, index: usize },
    /// Raised by all writers, by comparing and setting.
    Counter(usize),
    /// Put by the first writer that finds it absent.
    Claim(u64),
    /// The n-th item of a producer, until it is taken.
    Item { number: u64, producer: usize },
    /// The number of the producer's item that was taken last.
    Taken(usize),
    /// One whose values are judged elsewhere.
    OfHistory,
}

impl Key {
    pub(super) fn bytes(self, shape: &Shape) -> Vec<u8> {
        match self {
            Self::Single { writer, place } => {
                let mut key = format!("{place:08x}/{writer:02}").into_bytes();
                let seed = mixed(u64::from(place) << 8 | writer as u64);
                let filler = match seed % 16 {
                    _ if !shape.long_keys => 0,
                    0 => (seed >> 8) % LONG_KEY_BYTES,
                    1..=4 => (seed >> 8) % 1024,
                    _ => 0,
                };
                fill(&mut key, seed, usize::try_from(filler).unwrap_or(0));
                key
            }
            Self::Marker { writer, index } => {
                let place = index * (1 << 28);
                format!("{place:08x}/{writer:02}/marker").into_bytes()
            }
            Self::Counter(number) => format!("~counter/{number:02}").into_bytes(),
            Self::Claim(number) => format!("~claim/{number:012}").into_bytes(),
            Self::Item { number, producer } => {
                format!("~queue/{number:012}/{producer:02}").into_bytes()
            }
            Self::Taken(producer) => format!("~taken/{producer:02}").into_bytes(),
            Self::OfHistory => HISTORIES.to_vec(),
        }
    }

    /// Reads a key; `None` if no key of ours is just that.
    pub(super) fn parse(bytes: &[u8], shape: &Shape) -> Option<Self> {
        if bytes.starts_with(HISTORIES) {
            return Some(Self::OfHistory);
        }
        let head = bytes.get(..bytes.len().min(24))?;
        let mut parts = head.split(|byte| *byte == b'/');
        let (first, second, third) = (parts.next()?, parts.next()?, parts.next());
        let key = match (first, third) {
            (b"~counter", None) => Self::Counter(number(second)?.try_into().ok()?),
            (b"~claim", None) => Self::Claim(number(second)?),
            (b"~queue", Some(producer)) => Self::Item {
                number: number(second)?,
                producer: number(producer)?.try_into().ok()?,
            },
            (b"~taken", None) => Self::Taken(number(second)?.try_into().ok()?),
            (place, Some(b"marker")) => Self::Marker {
                writer: number(second)?.try_into().ok()?,
                index: (hex(place)? >> 28).try_into().ok()?,
            },
            (place, _) => Self::Single {
                writer: number(bytes.get(9..NAME_BYTES)?)?.try_into().ok()?,
                place: hex(place)?.try_into().ok()?,
            },
        };
        (key.bytes(shape) == bytes).then_some(key)
    }

    /// What the key has when it stands for `number`.
    pub(super) fn value(self, number: u64, shape: &Shape) -> Vec<u8> {
        let mut value = Vec::new();
        self.value_into(number, shape, &mut value);
        value
    }

    /// As [`value`](Self::value), in a buffer that is used again.
    pub(super) fn value_into(self, number: u64, shape: &Shape, value: &mut Vec<u8>) {
        value.clear();
        let mut filler = (0, 0);
        match self {
            Self::Single { writer, place } => {
                let _ = write!(value, "{place:08x}/{writer:02}");
                let seed = mixed(number ^ mixed(u64::from(place) << 8 | writer as u64));
                let bytes_max = match (seed >> 40) % shape.large_value_one_in {
                    0 => shape.large_value_bytes,
                    _ => shape.value_bytes,
                };
                filler = (seed, (seed >> 8) % bytes_max.max(1) as u64);
            }
            _ => value.extend(self.bytes(shape)),
        }
        let _ = write!(value, "={number:016x}=");
        fill(value, filler.0, usize::try_from(filler.1).unwrap_or(0));
    }

    /// The number that a value says it stands for; `None` if it is another key's.
    fn number_in(self, value: &[u8], shape: &Shape) -> Option<u64> {
        let name_bytes = match self {
            Self::Single { .. } => NAME_BYTES,
            _ => self.bytes(shape).len(),
        };
        hex(value.get(name_bytes + 1..name_bytes + 17)?)
    }

    /// The number that a value stands for, and that it is that value to the byte.
    pub(super) fn check(
        self,
        value: &[u8],
        shape: &Shape,
        scratch: &mut Vec<u8>,
    ) -> Result<u64, String> {
        let number = self.number_in(value, shape).filter(|number| {
            self.value_into(*number, shape, scratch);
            scratch == value
        });
        number.ok_or_else(|| {
            let head = value.get(..value.len().min(48)).unwrap_or_default();
            format!(
                "{self:?} has a value that was never written to it: \"{}\", {} bytes",
                head.escape_ascii(),
                value.len()
            )
        })
    }
}

/// Of digits alone: `parse` takes a sign.
fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn hex(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// A number without a pattern, of one with any.
pub(super) fn mixed(number: u64) -> u64 {
    crate::random::Random::new(number).draw()
}

/// Adds bytes that follow from a seed. Few keys are as long as that, but values are, and they are
/// made for every check.
fn fill(bytes: &mut Vec<u8>, seed: u64, count: usize) {
    let end = bytes.len() + count;
    let mut random = crate::random::Random::new(seed);
    bytes.reserve(count + 8);
    while bytes.len() < end {
        bytes.extend_from_slice(&random.draw().to_le_bytes());
    }
    bytes.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::super::profile::Profile;
    use super::*;

    const KEYS: [Key; 8] = [
        Key::Single {
            writer: 3,
            place: 0xFFFF_0001,
        },
        Key::Single {
            writer: 31,
            place: 0,
        },
        Key::Marker {
            writer: 2,
            index: 15,
        },
        Key::Marker {
            writer: 0,
            index: 0,
        },
        Key::Counter(1),
        Key::Claim(77),
        Key::Item {
            number: 1_000_000,
            producer: 6,
        },
        Key::Taken(30),
    ];

    #[test]
    fn keys_and_values_are_read_back() -> Result<(), String> {
        for profile in [Profile::Mixed, Profile::BigValues] {
            let shape = profile.shape();
            let long = (0..200).map(|number| Key::Single {
                writer: 7,
                place: place_of(number),
            });
            for key in KEYS.into_iter().chain(long) {
                assert_eq!(Key::parse(&key.bytes(&shape), &shape), Some(key));
                for number in [0, 1, 0xFFFF_FFFF_FFFF] {
                    let value = key.value(number, &shape);
                    assert_eq!(key.check(&value, &shape, &mut Vec::new())?, number);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_value_of_another_key_or_cut_or_changed_is_found() {
        let shape = Profile::Mixed.shape();
        let check = |value: &[u8]| KEYS[0].check(value, &shape, &mut Vec::new());
        let value = KEYS[0].value(5, &shape);
        assert!(check(&value).is_ok());
        assert!(check(&KEYS[1].value(5, &shape)).is_err());
        assert!(check(&value[..value.len() - 1]).is_err());
        for at in 0..value.len() {
            let mut changed = value.clone();
            changed[at] ^= 1;
            assert!(check(&changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn foreign_keys_are_not_ours() {
        let shape = Profile::Mixed.shape();
        for key in [
            &b"foreign"[..],
            b"",
            b"00000000/1",
            b"0000000g/01",
            b"+0000000/01",
            b"00000000/01x",
            b"10000001/01/marker",
        ] {
            assert_eq!(Key::parse(key, &shape), None, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn every_number_has_a_place_of_its_own() {
        for number in [0, 1, 2, 77, 1 << 20, u32::MAX] {
            assert_eq!(number_of(place_of(number)), number);
        }
    }
}
