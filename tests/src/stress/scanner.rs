//! One scanner: reads ranges while others write, and checks what must hold in every view.
//!
//! Keys strictly in order, so none twice; each value under its own key; of each writer's marker
//! keys all or none, all with one marker; and no marker older than this scanner saw before.

use std::ops::Bound;

use lsm_db::{Bytes, Lsm};

use super::keys::{Kind, MARKERS, NUMBERS, parse, parse_marker, payload, single};
use super::{WRITERS, describe};
use crate::random::Random;

/// The widest range of a partial scan, in numbers of [`single`] keys.
const WINDOW: usize = NUMBERS / 8;

pub(super) struct Scanner {
    number: usize,
    random: Random,
    /// The newest marker seen of each writer. Views only move forward, so markers only grow.
    newest: [u64; WRITERS],
}

impl Scanner {
    pub(super) fn new(number: usize, seed: u64) -> Self {
        let stream = Random::new(seed ^ (number as u64 + 1).rotate_right(32)).draw();
        Self {
            number,
            random: Random::new(stream),
            newest: [0; WRITERS],
        }
    }

    /// One scan, of a kind drawn at random.
    pub(super) fn step(&mut self, db: &Lsm) -> Result<(), String> {
        let kind = self.random.below(4);
        let outcome = match kind {
            0 => self.all(db.iter(), Pass::ascending()),
            1 => self.all(db.iter().rev(), Pass::descending()),
            2 => db
                .scan(..)
                .map_err(|error| describe(&error))
                .and_then(|entries| self.all_owned(entries)),
            _ => self.window(db),
        };
        let name = ["iter()", "iter().rev()", "scan(..)", "range(..)"][kind];
        outcome.map_err(|message| format!("scanner {}, {name}: {message}", self.number))
    }

    fn all(
        &mut self,
        entries: impl Iterator<Item = lsm_db::Result<(Bytes, Bytes)>>,
        mut pass: Pass,
    ) -> Result<(), String> {
        for entry in entries {
            let (key, value) = entry.map_err(|error| describe(&error))?;
            pass.see(&key, &value)?;
        }
        pass.finish(&mut self.newest)
    }

    fn all_owned(
        &mut self,
        entries: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), String> {
        let mut pass = Pass::ascending();
        for (key, value) in entries {
            pass.see(&key, &value)?;
        }
        pass.finish(&mut self.newest)
    }

    /// Part of the keys, read from both ends until they meet.
    fn window(&mut self, db: &Lsm) -> Result<(), String> {
        let start = self.random.below(NUMBERS);
        let end = start + self.random.below(WINDOW);
        let lower = single(0, start);
        let upper = single(0, end);
        let bounds = (Bound::Included(&lower), Bound::Excluded(&upper));
        let mut range = db.range::<&Vec<u8>, _>(bounds);

        let mut front = Pass::ascending();
        let mut back = Pass::descending();
        loop {
            let (pass, entry) = if self.random.one_in(2) {
                (&mut front, range.next())
            } else {
                (&mut back, range.next_back())
            };
            let Some(entry) = entry else { break };
            let (key, value) = entry.map_err(|error| describe(&error))?;
            if key < lower.as_slice() || key >= upper.as_slice() {
                return Err(format!("\"{}\" is outside the range", key.escape_ascii()));
            }
            pass.see(&key, &value)?;
        }
        if front.previous.is_some() && back.previous.is_some() && front.previous >= back.previous {
            return Err("the two ends passed each other".to_owned());
        }
        Ok(())
    }
}

/// What one scan has seen.
struct Pass {
    descends: bool,
    previous: Option<Vec<u8>>,
    /// Of each writer: how many marker keys, and their marker.
    markers: [(usize, u64); WRITERS],
}

impl Pass {
    fn ascending() -> Self {
        Self {
            descends: false,
            previous: None,
            markers: [(0, 0); WRITERS],
        }
    }

    fn descending() -> Self {
        Self {
            descends: true,
            ..Self::ascending()
        }
    }

    fn see(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("\"{}\" {what}", key.escape_ascii()));
        let in_order = match &self.previous {
            None => true,
            Some(previous) if self.descends => key < previous.as_slice(),
            Some(previous) => key > previous.as_slice(),
        };
        if !in_order {
            return wrong("is out of order, or there twice");
        }
        let previous = self.previous.get_or_insert_default();
        previous.clear();
        previous.extend_from_slice(key);

        let Some(payload) = payload(key, value) else {
            return wrong("has the value of another key");
        };
        match parse(key) {
            None => wrong("was never written"),
            Some(Kind::Single) => Ok(()),
            Some(Kind::Marker { writer }) => {
                let (Some(marker), Some((count, first))) =
                    (parse_marker(payload), self.markers.get_mut(writer))
                else {
                    return wrong("has a marker that was never written");
                };
                if *count > 0 && *first != marker {
                    return wrong("shows part of a batch: its marker is another batch's");
                }
                *count += 1;
                *first = marker;
                Ok(())
            }
        }
    }

    /// Ends a scan of all keys, and moves the newest markers on.
    fn finish(self, newest: &mut [u64; WRITERS]) -> Result<(), String> {
        for (writer, ((count, marker), newest)) in self.markers.into_iter().zip(newest).enumerate()
        {
            if count != 0 && count != MARKERS {
                return Err(format!(
                    "part of a batch: {count} of {MARKERS} keys of writer {writer}"
                ));
            }
            if count != 0 && marker < *newest {
                return Err(format!(
                    "writer {writer}: marker {marker} after {newest}, a view back in time"
                ));
            }
            *newest = marker.max(*newest);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stress::keys::{marker, marker_value};

    fn see_markers(
        pass: &mut Pass,
        marker_of: impl Fn(usize) -> Option<u64>,
    ) -> Result<(), String> {
        for index in 0..MARKERS {
            if let Some(number) = marker_of(index) {
                let key = marker(0, index);
                pass.see(&key, &marker_value(&key, number))?;
            }
        }
        Ok(())
    }

    #[test]
    fn a_whole_batch_passes_and_is_remembered() -> Result<(), String> {
        let mut newest = [0; WRITERS];
        let mut pass = Pass::ascending();
        see_markers(&mut pass, |_| Some(7))?;
        pass.finish(&mut newest)?;
        assert_eq!(newest[0], 7);
        Pass::ascending().finish(&mut newest)?;
        assert_eq!(newest[0], 7, "a deleted batch takes nothing back");
        Ok(())
    }

    #[test]
    fn part_of_a_batch_is_found() -> Result<(), String> {
        let mut two_batches = Pass::ascending();
        assert!(see_markers(&mut two_batches, |index| Some(7 + index as u64 / 8)).is_err());

        let mut one_missing = Pass::ascending();
        see_markers(&mut one_missing, |index| (index != 3).then_some(7))?;
        assert!(one_missing.finish(&mut [0; WRITERS]).is_err());
        Ok(())
    }

    #[test]
    fn an_older_marker_is_found() -> Result<(), String> {
        let mut pass = Pass::ascending();
        see_markers(&mut pass, |_| Some(7))?;
        assert!(pass.finish(&mut [8; WRITERS]).is_err());
        Ok(())
    }

    #[test]
    fn disorder_and_duplicates_are_found_in_both_directions() -> Result<(), String> {
        let (low, high) = (single(0, 1), single(0, 2));
        let value = |key: &Vec<u8>| [key.as_slice(), b"="].concat();
        for (mut pass, first, then) in [
            (Pass::ascending(), &low, &high),
            (Pass::descending(), &high, &low),
        ] {
            pass.see(first, &value(first))?;
            pass.see(then, &value(then))?;
            assert!(pass.see(then, &value(then)).is_err());
            assert!(pass.see(first, &value(first)).is_err());
        }
        Ok(())
    }

    #[test]
    fn a_value_under_another_key_is_found() {
        let key = single(0, 1);
        assert!(Pass::ascending().see(&key, b"000002/0=x").is_err());
    }
}
