//! What the supervisor and its child say to each other: frames of a length, a tag and a body.
//!
//! Acknowledgements, of which there are thousands a second, are a few bytes; the rest is JSON, or
//! pairs of numbers where there are many. A frame that was cut by a kill counts as never sent.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::lives::Choices;
use super::meter::Tick;
use super::profile::Profile;
use super::world::{Findings, World};
use super::writes::{Op, Outcome, Places};

/// What a child is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) dir: PathBuf,
    pub(super) profile: Profile,
    pub(super) seed: u64,
    pub(super) life: u64,
    pub(super) choices: Choices,
    /// Compare the whole store with the world before anything else, in this direction.
    pub(super) verify: Option<Direction>,
    /// No snapshot is held longer.
    pub(super) hold_seconds_max: u64,
}

/// Which way a pass goes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// How a child is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stop {
    Close,
    Drop,
    /// Flush, then wait for the kill: what a life without a log does.
    Flush,
}

/// From the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    Plan(Box<Plan>),
    /// What was acknowledged, and of each writer the operation under way when a child was killed.
    World(Box<World>, Vec<Option<Op>>),
    Stop(Stop),
}

/// From the child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// The open begins.
    Opening,
    /// The open is done.
    Opened {
        nanos: u64,
    },
    /// The store was compared with the world; so many entries.
    Verified {
        findings: Findings,
        entries: u64,
    },
    /// The threads begin.
    Running,
    #[serde(skip)]
    Acknowledged {
        writer: usize,
        version: u64,
        outcome: Outcome,
    },
    Tick(Box<Tick>),
    Violation(String),
    /// All threads have stopped and the store is as asked.
    Done,
}

/// A program that is no child of ours may say anything.
const FRAME_BYTES_MAX: usize = 1 << 28;
const TAG_JSON: u8 = 0;
const TAG_ACKNOWLEDGED: u8 = 1;
const TAG_NUMBERS: u8 = 2;

/// Sends a frame with one write.
fn send(output: &mut impl Write, tag: u8, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(body.len() + 5);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.push(tag);
    frame.extend_from_slice(body);
    output.write_all(&frame)?;
    output.flush()
}

/// The next frame's tag, with its body in `body`; `None` at the end, be it in the middle of a frame.
fn receive(input: &mut impl Read, body: &mut Vec<u8>) -> io::Result<Option<u8>> {
    let mut head = [0; 5];
    let outcome = input.read_exact(&mut head).and_then(|()| {
        let [a, b, c, d, tag] = head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::other("no frame is as long as that"));
        }
        body.clear();
        body.resize(length, 0);
        input.read_exact(body).map(|()| tag)
    });
    match outcome {
        Ok(tag) => Ok(Some(tag)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn send_json(output: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    send(output, TAG_JSON, &serde_json::to_vec(value)?)
}

fn send_numbers(output: &mut impl Write, numbers: impl Iterator<Item = u64>) -> io::Result<()> {
    let body: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
    send(output, TAG_NUMBERS, &body)
}

fn receive_numbers(input: &mut impl Read, body: &mut Vec<u8>) -> io::Result<Vec<u64>> {
    match receive(input, body)? {
        Some(TAG_NUMBERS) => {}
        _ => return Err(io::ErrorKind::UnexpectedEof.into()),
    }
    let numbers = body.chunks_exact(8).map(|bytes| {
        let mut number = [0; 8];
        number.copy_from_slice(bytes);
        u64::from_le_bytes(number)
    });
    Ok(numbers.collect())
}

impl Order {
    pub(super) fn send(&self, output: &mut impl Write) -> io::Result<()> {
        send_json(output, self)?;
        if let Self::World(world, _) = self {
            send_numbers(output, world.claims.iter().copied())?;
            for state in &world.states {
                let pairs = state.places.iter();
                let pairs = pairs.flat_map(|(place, version)| [u64::from(*place), *version]);
                send_numbers(output, pairs)?;
            }
        }
        Ok(())
    }

    /// The next order; `None` when the supervisor is gone.
    pub(super) fn receive(input: &mut impl Read) -> io::Result<Option<Self>> {
        let mut body = Vec::new();
        let Some(TAG_JSON) = receive(input, &mut body)? else {
            return Ok(None);
        };
        let mut order = serde_json::from_slice(&body)?;
        if let Self::World(world, _) = &mut order {
            world.claims = receive_numbers(input, &mut body)?;
            for state in &mut world.states {
                let numbers = receive_numbers(input, &mut body)?;
                let pairs = numbers.as_chunks().0.iter();
                state.places = pairs
                    .map(|[place, version]| (u32::try_from(*place).unwrap_or(0), *version))
                    .collect::<Places>();
            }
        }
        Ok(Some(order))
    }
}

impl Word {
    pub(super) fn send(&self, output: &mut impl Write) -> io::Result<()> {
        let Self::Acknowledged {
            writer,
            version,
            outcome,
        } = self
        else {
            return send_json(output, self);
        };
        let (kind, a, b) = match outcome {
            Outcome::Done => (0, 0, 0),
            Outcome::Skipped => (1, 0, 0),
            Outcome::Claimed { claim, won } => (2, *claim, u64::from(*won)),
            Outcome::Took { producer, number } => (3, *producer as u64, *number),
        };
        let numbers = [*writer as u64, *version, kind, a, b];
        let body: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
        send(output, TAG_ACKNOWLEDGED, &body)
    }

    /// The next word; `None` when the child is gone.
    pub(super) fn receive(input: &mut impl Read, body: &mut Vec<u8>) -> io::Result<Option<Self>> {
        match receive(input, body)? {
            None => Ok(None),
            Some(TAG_ACKNOWLEDGED) => Self::acknowledged(body)
                .map(Some)
                .ok_or_else(|| io::Error::other("an acknowledgement that nobody sends")),
            Some(_) => Ok(Some(serde_json::from_slice(body)?)),
        }
    }

    fn acknowledged(body: &[u8]) -> Option<Self> {
        let mut numbers = body
            .as_chunks()
            .0
            .iter()
            .map(|bytes| u64::from_le_bytes(*bytes));
        let mut next = || numbers.next();
        let (writer, version, kind, a, b) = (next()?, next()?, next()?, next()?, next()?);
        let outcome = match kind {
            0 => Outcome::Done,
            1 => Outcome::Skipped,
            2 => Outcome::Claimed {
                claim: a,
                won: b == 1,
            },
            3 => Outcome::Took {
                producer: usize::try_from(a).ok()?,
                number: b,
            },
            _ => return None,
        };
        Some(Self::Acknowledged {
            writer: usize::try_from(writer).ok()?,
            version,
            outcome,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TestResult;

    #[test]
    fn a_world_arrives_whole() -> TestResult {
        let mut world = World::new(&Profile::Mixed.shape());
        world.states[3].places.extend([(7, 8), (u32::MAX, 9)]);
        world.claims = vec![0, 5, u64::MAX];
        let mut pipe = Vec::new();
        Order::World(Box::new(world.clone()), vec![None]).send(&mut pipe)?;
        Order::Stop(Stop::Drop).send(&mut pipe)?;
        let mut pipe = pipe.as_slice();
        let Some(Order::World(found, _)) = Order::receive(&mut pipe)? else {
            return Err("no world".into());
        };
        assert_eq!(*found, world);
        let next = Order::receive(&mut pipe)?;
        assert!(matches!(next, Some(Order::Stop(Stop::Drop))));
        assert!(Order::receive(&mut pipe)?.is_none());
        Ok(())
    }

    #[test]
    fn acknowledgements_arrive_and_a_cut_one_was_never_sent() -> TestResult {
        let outcomes = [
            Outcome::Done,
            Outcome::Skipped,
            Outcome::Claimed {
                claim: 4,
                won: true,
            },
            Outcome::Took {
                producer: 2,
                number: 1 << 40,
            },
        ];
        for expected in outcomes {
            let mut pipe = Vec::new();
            let word = Word::Acknowledged {
                writer: 5,
                version: 77,
                outcome: expected,
            };
            word.send(&mut pipe)?;
            let mut body = Vec::new();
            for cut in 0..pipe.len() {
                assert!(Word::receive(&mut &pipe[..cut], &mut body)?.is_none());
            }
            let Some(Word::Acknowledged {
                writer,
                version,
                outcome,
            }) = Word::receive(&mut pipe.as_slice(), &mut body)?
            else {
                return Err("no acknowledgement".into());
            };
            assert_eq!((writer, version, outcome), (5, 77, expected));
        }
        Ok(())
    }
}
