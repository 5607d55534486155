//! What a child is told: which store, how it is opened, what is done to it, and where it dies.
//!
//! Made by the parent, written as one line of words into the child's environment, read by the child.
//! Both hold the same value, so both draw the same actions.

use std::path::PathBuf;

use lsm_db::LsmConfig;

use super::deadly_fs::{Deadly, Phase};
use super::workload::Taste;
use crate::random::Random;

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Whether there is a log.
    pub logged: bool,
    /// Bytes of a memtable.
    pub memtable_bytes: usize,
    /// Runs of level 0 that start a compaction.
    pub trigger: usize,
    /// Bytes of a run.
    pub run_bytes: u64,
}

/// How a life ends, if nobody ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// `close()`.
    Close,
    /// The handle is dropped.
    Drop,
    /// The child kills itself with the store open.
    Die,
}

/// A child's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The store's directory.
    pub dir: PathBuf,
    /// What is drawn.
    pub taste: Taste,
    /// How the store is opened.
    pub shape: Shape,
    /// Threads that write.
    pub lanes: u8,
    /// Actions of each of them, in each session.
    pub steps: u32,
    /// How often the store is opened, one time after another.
    pub sessions: u32,
    /// How the last session ends; those before it end with `close()`.
    pub ending: Ending,
    /// Whether errors are expected, and the life goes on after one.
    pub tolerant: bool,
    /// Where the child kills itself.
    pub deadly: Option<Deadly>,
}

impl Shape {
    /// A small one, so that few writes go through everything.
    pub fn draw(random: &mut Random) -> Self {
        Self {
            logged: !random.one_in(4),
            memtable_bytes: 1 << (11 + random.below(5)),
            trigger: 2 + random.below(3),
            run_bytes: 1 << (11 + random.below(5)),
        }
    }

    /// The store's configuration.
    pub fn config(&self) -> LsmConfig {
        LsmConfig::new()
            .wal(self.logged)
            .memtable_capacity(self.memtable_bytes)
            .compaction_trigger(self.trigger)
            .run_bytes_target(self.run_bytes)
            .level_fanout(2)
    }
}

impl Job {
    /// The job as text.
    pub fn encode(&self) -> String {
        let (taste, shape) = (self.taste, self.shape);
        let (phase, index, after) = match self.deadly {
            None => ("none", 0, false),
            Some(deadly) => (deadly.phase.name(), deadly.index, deadly.after),
        };
        let flag = u8::from;
        let ending = match self.ending {
            Ending::Close => "close",
            Ending::Drop => "drop",
            Ending::Die => "die",
        };
        format!(
            "{} {} {} {} {} {} {} {} {} {} {} {ending} {} {phase} {index} {} {}",
            taste.seed,
            flag(taste.long_keys),
            flag(taste.large_values),
            flag(taste.by_hand),
            flag(shape.logged),
            shape.memtable_bytes,
            shape.trigger,
            shape.run_bytes,
            self.lanes,
            self.steps,
            self.sessions,
            flag(self.tolerant),
            flag(after),
            self.dir.display(),
        )
    }

    /// The job that a text says.
    ///
    /// # Errors
    /// If it says none.
    pub fn decode(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| format!("not a job: {text}"))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(17, ' ');
        let taste = Taste {
            seed: words.next()?.parse().ok()?,
            long_keys: flag(words.next()?)?,
            large_values: flag(words.next()?)?,
            by_hand: flag(words.next()?)?,
        };
        let shape = Shape {
            logged: flag(words.next()?)?,
            memtable_bytes: words.next()?.parse().ok()?,
            trigger: words.next()?.parse().ok()?,
            run_bytes: words.next()?.parse().ok()?,
        };
        let lanes = words.next()?.parse().ok()?;
        let steps = words.next()?.parse().ok()?;
        let sessions = words.next()?.parse().ok()?;
        let ending = match words.next()? {
            "close" => Ending::Close,
            "drop" => Ending::Drop,
            "die" => Ending::Die,
            _ => return None,
        };
        let tolerant = flag(words.next()?)?;
        let phase = words.next()?;
        let index = words.next()?.parse().ok()?;
        let after = flag(words.next()?)?;
        let deadly = match phase {
            "none" => None,
            name => Some(Deadly {
                phase: Phase::of_name(name)?,
                index,
                after,
            }),
        };
        Some(Self {
            dir: PathBuf::from(words.next()?),
            taste,
            shape,
            lanes,
            steps,
            sessions,
            ending,
            tolerant,
            deadly,
        })
    }
}

fn flag(word: &str) -> Option<bool> {
    match word {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_understood_as_it_was_meant() {
        let mut random = Random::new(1);
        for number in 0..20 {
            let job = Job {
                dir: PathBuf::from("/some folder/db"),
                taste: Taste {
                    seed: random.draw(),
                    long_keys: random.one_in(2),
                    large_values: random.one_in(2),
                    by_hand: random.one_in(2),
                },
                shape: Shape::draw(&mut random),
                lanes: 3,
                steps: 1000,
                sessions: 2,
                ending: [Ending::Close, Ending::Drop, Ending::Die][number % 3],
                tolerant: random.one_in(2),
                deadly: Phase::ALL.get(number).map(|phase| Deadly {
                    phase: *phase,
                    index: 17,
                    after: random.one_in(2),
                }),
            };
            assert_eq!(Job::decode(&job.encode()), Ok(job));
        }
        assert!(Job::decode("nonsense").is_err());
    }
}
