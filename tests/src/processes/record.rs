//! What a child says to its parent, in records of a length byte and a few more.
//!
//! Written by the child with one system call each, so that a kill cuts at most the last one short;
//! read by the parent until the end, and by the judge of a trace. Never a value of the store.

use super::deadly_fs::Point;

/// Why a store refused an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no room.
    NoRoom,
    /// Another error of the operating system.
    Io,
    /// Writing has ended.
    Poisoned,
    /// Anything else: no child should ever be told that.
    Other,
}

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was acknowledged.
    Done,
    /// Its condition was not met.
    Unmet,
    /// It was refused, and whether writing had ended by then.
    Refused(Refusal, bool),
}

/// One thing that a child says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The store is open, after so many operations of the file system.
    Opened(u32),
    /// A lane is about to do an action.
    Begin {
        /// The lane.
        lane: u8,
        /// The action's number.
        number: u32,
    },
    /// What became of it.
    End {
        /// The lane.
        lane: u8,
        /// The action's number.
        number: u32,
        /// What the store said.
        outcome: Outcome,
    },
    /// All that the store holds: the number of entries, and a checksum of them.
    Holds {
        /// Entries.
        entries: u32,
        /// As [`digest`](super::oracle::digest) makes it.
        digest: u32,
    },
    /// The child kills itself at this point.
    Killing(Point),
    /// The store was closed, and said that all is well.
    Closed,
    /// The child got to its end; so many operations of the chosen phase there were.
    Survived(u32),
    /// Something that must never happen.
    Failed(String),
}

const TEXT_BYTES_MAX: usize = 240;

impl Record {
    /// The record as it goes through the pipe.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0];
        match self {
            Self::Opened(operations) => tagged(&mut bytes, b'O', &operations.to_le_bytes()),
            Self::Begin { lane, number } => {
                tagged(&mut bytes, b'B', &[*lane]);
                bytes.extend(number.to_le_bytes());
            }
            Self::End {
                lane,
                number,
                outcome,
            } => {
                tagged(&mut bytes, b'E', &[*lane]);
                bytes.extend(number.to_le_bytes());
                bytes.extend(outcome.encode());
            }
            Self::Holds { entries, digest } => {
                tagged(&mut bytes, b'H', &entries.to_le_bytes());
                bytes.extend(digest.to_le_bytes());
            }
            Self::Killing(point) => tagged(&mut bytes, b'K', point.to_string().as_bytes()),
            Self::Closed => tagged(&mut bytes, b'C', &[]),
            Self::Survived(operations) => tagged(&mut bytes, b'S', &operations.to_le_bytes()),
            Self::Failed(text) => {
                let text = text.as_bytes();
                tagged(&mut bytes, b'F', text.get(..TEXT_BYTES_MAX).unwrap_or(text));
            }
        }
        let len = u8::try_from(bytes.len() - 1).unwrap_or(u8::MAX);
        if let Some(first) = bytes.first_mut() {
            *first = len;
        }
        bytes
    }

    /// Takes the first whole record off `bytes`; `None` if there is none yet.
    ///
    /// # Errors
    /// If the bytes are no record.
    pub fn take(bytes: &mut Vec<u8>) -> Result<Option<Self>, String> {
        let Some(len) = bytes.first().map(|len| usize::from(*len)) else {
            return Ok(None);
        };
        if bytes.len() <= len {
            return Ok(None);
        }
        let rest = bytes.split_off(len + 1);
        let record = std::mem::replace(bytes, rest);
        let body = record.get(1..).unwrap_or_default();
        Self::decode(body)
            .map(Some)
            .ok_or_else(|| format!("not a record: {}", body.escape_ascii()))
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let (tag, body) = body.split_first()?;
        let number = |at: usize| {
            let bytes = body.get(at..)?.first_chunk()?;
            Some(u32::from_le_bytes(*bytes))
        };
        let text = || String::from_utf8_lossy(body).into_owned();
        Some(match tag {
            b'O' => Self::Opened(number(0)?),
            b'B' => Self::Begin {
                lane: *body.first()?,
                number: number(1)?,
            },
            b'E' => Self::End {
                lane: *body.first()?,
                number: number(1)?,
                outcome: Outcome::decode(body.get(5..)?)?,
            },
            b'H' => Self::Holds {
                entries: number(0)?,
                digest: number(4)?,
            },
            b'K' => Self::Killing(text().parse().ok()?),
            b'C' => Self::Closed,
            b'S' => Self::Survived(number(0)?),
            b'F' => Self::Failed(text()),
            _ => return None,
        })
    }
}

fn tagged(bytes: &mut Vec<u8>, tag: u8, body: &[u8]) {
    bytes.push(tag);
    bytes.extend(body);
}

impl Outcome {
    fn encode(self) -> [u8; 2] {
        match self {
            Self::Done => [b'd', 0],
            Self::Unmet => [b'u', 0],
            Self::Refused(refusal, poisoned) => {
                let why = match refusal {
                    Refusal::NoRoom => b'n',
                    Refusal::Io => b'i',
                    Refusal::Poisoned => b'p',
                    Refusal::Other => b'o',
                };
                [why, u8::from(poisoned)]
            }
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let [what, poisoned] = bytes else {
            return None;
        };
        let refused = |refusal| Self::Refused(refusal, *poisoned != 0);
        Some(match what {
            b'd' => Self::Done,
            b'u' => Self::Unmet,
            b'n' => refused(Refusal::NoRoom),
            b'i' => refused(Refusal::Io),
            b'p' => refused(Refusal::Poisoned),
            b'o' => refused(Refusal::Other),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_as_they_went_in_and_one_cut_short_is_none() -> Result<(), String> {
        let refused = Outcome::Refused(Refusal::NoRoom, true);
        let records = [
            Record::Opened(70_000),
            Record::Begin {
                lane: 3,
                number: 1_000_000,
            },
            Record::End {
                lane: 3,
                number: 1_000_000,
                outcome: refused,
            },
            Record::Holds {
                entries: 9,
                digest: u32::MAX,
            },
            Record::Killing("before append run 17".parse()?),
            Record::Closed,
            Record::Survived(1),
            Record::Failed("why".to_owned()),
        ];
        let mut bytes: Vec<u8> = records.iter().flat_map(Record::encode).collect();
        let cut = bytes.pop();
        assert_eq!(cut, Some(b'y'));
        for record in &records[..7] {
            assert_eq!(Record::take(&mut bytes)?.as_ref(), Some(record));
        }
        assert_eq!(Record::take(&mut bytes)?, None);
        bytes.push(b'y');
        assert_eq!(Record::take(&mut bytes)?.as_ref(), records.last());
        assert!(Record::take(&mut vec![1, b'?']).is_err());
        Ok(())
    }
}
