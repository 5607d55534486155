//! What must hold of the entries of any view, whoever looks, in either direction.
//!
//! Keys strictly in order, so none twice; each value one that was written to its key, to the byte;
//! of each writer's marker keys all or none, all of one batch; of each producer's items no gap, and
//! the first the one after the last that was taken.

use super::keys::{COUNTERS, Key, MARKERS};
use super::profile::Shape;

/// A pass over the entries of one view.
pub(super) struct Audit<'a> {
    shape: &'a Shape,
    is_backward: bool,
    previous: Option<Vec<u8>>,
    scratch: Vec<u8>,
    pub(super) entries: u64,
    /// Of each writer: how many marker keys, and their version.
    pub(super) markers: Vec<(usize, u64)>,
    /// Of each producer: its items from the lowest to the highest, and how many.
    items: Vec<Option<(u64, u64, u64)>>,
    /// Of each producer: the items that were taken.
    pub(super) taken: Vec<u64>,
    pub(super) counters: [u64; COUNTERS],
}

impl<'a> Audit<'a> {
    pub(super) fn new(shape: &'a Shape, is_backward: bool) -> Self {
        Self {
            shape,
            is_backward,
            previous: None,
            scratch: Vec::new(),
            entries: 0,
            markers: vec![(0, 0); shape.writers],
            items: vec![None; shape.writers],
            taken: vec![0; shape.writers],
            counters: [0; COUNTERS],
        }
    }

    /// The next entry, checked: what it is, and the number that its value stands for.
    pub(super) fn see(&mut self, key: &[u8], value: &[u8]) -> Result<(Key, u64), String> {
        let shown = || shown(key);
        let in_order = match &self.previous {
            None => true,
            Some(previous) if self.is_backward => key < previous.as_slice(),
            Some(previous) => key > previous.as_slice(),
        };
        if !in_order {
            return Err(format!("{} is out of order, or there twice", shown()));
        }
        let previous = self.previous.get_or_insert_default();
        previous.clear();
        previous.extend_from_slice(key);
        self.entries += 1;

        let Some(known) = Key::parse(key, self.shape) else {
            return Err(format!("{} is no key that was ever written", shown()));
        };
        if known == Key::OfHistory {
            return Ok((known, 0));
        }
        let number = known.check(value, self.shape, &mut self.scratch)?;
        let is_known = match known {
            Key::Single { writer, .. } => writer < self.shape.writers,
            Key::Marker { writer, .. } => self.see_marker(writer, number)?,
            Key::Item { number, producer } => self.see_item(producer, number)?,
            Key::Counter(counter) => set(self.counters.get_mut(counter), number),
            Key::Taken(producer) => set(self.taken.get_mut(producer), number + 1),
            Key::Claim(_) | Key::OfHistory => true,
        };
        match is_known {
            true => Ok((known, number)),
            false => Err(format!("{} belongs to nobody", shown())),
        }
    }

    fn see_marker(&mut self, writer: usize, version: u64) -> Result<bool, String> {
        let Some((count, first)) = self.markers.get_mut(writer) else {
            return Ok(false);
        };
        if *count > 0 && *first != version {
            return Err(format!(
                "part of a batch: markers of writer {writer} with version {first} and {version} in one view"
            ));
        }
        *count += 1;
        *first = version;
        Ok(true)
    }

    fn see_item(&mut self, producer: usize, number: u64) -> Result<bool, String> {
        let Some(items) = self.items.get_mut(producer) else {
            return Ok(false);
        };
        let (low, high, count) = items.unwrap_or((number, number, 0));
        *items = Some((low.min(number), high.max(number), count + 1));
        Ok(true)
    }

    /// After all entries of a view: whether batches are whole, and queues without gaps.
    pub(super) fn whole(&self) -> Result<(), String> {
        for (writer, (count, _)) in self.markers.iter().enumerate() {
            if *count != 0 && *count != MARKERS {
                return Err(format!(
                    "part of a batch: {count} of {MARKERS} markers of writer {writer}"
                ));
            }
        }
        for (producer, (items, taken)) in self.items.iter().zip(&self.taken).enumerate() {
            if let Some((low, high, count)) = items
                && (low != taken || high - low + 1 != *count)
            {
                return Err(format!(
                    "queue: {count} items of producer {producer} from {low} to {high} after {taken} were taken"
                ));
            }
        }
        Ok(())
    }

    /// How many items each producer has appended, taken ones too.
    pub(super) fn appended(&self, producer: usize) -> u64 {
        let taken = self.taken.get(producer).copied().unwrap_or(0);
        match self.items.get(producer) {
            Some(Some((_, high, _))) => high + 1,
            _ => taken,
        }
    }
}

fn set(slot: Option<&mut u64>, number: u64) -> bool {
    slot.map(|slot| *slot = number).is_some()
}

/// A key as a message has it.
pub(super) fn shown(key: &[u8]) -> String {
    let head = key.get(..key.len().min(32)).unwrap_or(key);
    format!("\"{}\" ({} bytes)", head.escape_ascii(), key.len())
}

#[cfg(test)]
mod tests {
    use super::super::profile::Profile;
    use super::*;

    fn seen(is_backward: bool, entries: &[(Key, u64)]) -> Result<(), String> {
        let shape = Profile::Mixed.shape();
        let mut audit = Audit::new(&shape, is_backward);
        for (key, number) in entries {
            audit.see(&key.bytes(&shape), &key.value(*number, &shape))?;
        }
        audit.whole()
    }

    fn markers(version: impl Fn(usize) -> Option<u64>) -> Vec<(Key, u64)> {
        let keys = (0..MARKERS).map(|index| (Key::Marker { writer: 1, index }, version(index)));
        keys.filter_map(|(key, version)| Some((key, version?)))
            .collect()
    }

    fn items(numbers: &[u64], taken: Option<u64>) -> Vec<(Key, u64)> {
        let items = numbers.iter().map(|number| Key::Item {
            number: *number,
            producer: 2,
        });
        let items = items.zip(numbers.iter().copied());
        items
            .chain(taken.map(|last| (Key::Taken(2), last)))
            .collect()
    }

    #[test]
    fn batches_are_whole_or_absent() {
        assert_eq!(seen(false, &markers(|_| Some(7))), Ok(()));
        assert_eq!(seen(false, &[]), Ok(()));
        assert!(seen(false, &markers(|index| (index != 3).then_some(7))).is_err());
        assert!(seen(false, &markers(|index| Some(index as u64 / 8))).is_err());
    }

    #[test]
    fn queues_have_no_gap_and_begin_after_what_was_taken() {
        assert_eq!(seen(false, &items(&[0, 1], None)), Ok(()));
        assert_eq!(seen(false, &items(&[4, 5, 6], Some(3))), Ok(()));
        assert_eq!(seen(false, &items(&[], Some(3))), Ok(()));
        assert!(seen(false, &items(&[4, 6], Some(3))).is_err());
        assert!(seen(false, &items(&[4, 5], Some(2))).is_err());
        assert!(seen(false, &items(&[3, 4], Some(3))).is_err());
        assert!(seen(false, &items(&[1], None)).is_err());
    }

    #[test]
    fn disorder_and_duplicates_are_found_in_both_directions() {
        let (low, high) = ((Key::Claim(1), 1), (Key::Claim(2), 2));
        for (is_backward, first, then) in [(false, low, high), (true, high, low)] {
            assert_eq!(seen(is_backward, &[first, then]), Ok(()));
            assert!(seen(is_backward, &[first, then, then]).is_err());
            assert!(seen(is_backward, &[then, first]).is_err());
        }
    }

    #[test]
    fn keys_of_nobody_are_found() {
        assert!(seen(false, &[(Key::Counter(COUNTERS), 1)]).is_err());
        let stranger = Key::Single {
            writer: 50,
            place: 0,
        };
        assert!(seen(false, &[(stranger, 1)]).is_err());
    }
}
