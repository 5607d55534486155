//! Logs and manifests taken apart into headers and records, and put together again with every
//! checksum right, whatever was changed in between.
//!
//! Written from the formats' descriptions and not from the engine. Used by the forgers of both
//! file kinds. Never judges what a field says.

use crate::random::Random;

const FRAME_HEADER_LEN: usize = 48;
const MANIFEST_HEADER_LEN: usize = 64;
const SEGMENT_HEADER_LEN: usize = 80;

/// The file header of a log segment or a manifest: its bytes without the checksum at the end, and
/// which database and file its records are bound to.
#[derive(Debug, Clone)]
pub struct FileHeader {
    bytes: Vec<u8>,
    /// The random id of the database.
    pub database_id: [u8; 16],
    /// The segment's id, or the manifest's generation.
    pub file_id: u64,
}

/// A record: its fields, none of them checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: u16,
    /// For which keyspace.
    pub keyspace: u32,
    /// Its seqno, or its number in a manifest.
    pub seqno: u64,
    /// What it claims to be durable: segment and offset. `None` claims its own place.
    pub claim: Option<(u64, u64)>,
    /// The payload.
    pub payload: Vec<u8>,
    /// The payload's length as its header has it; `None` is the true one.
    pub stated_len: Option<u64>,
    /// The reserved field.
    pub reserved: u16,
    /// The padding's bytes.
    pub padding: u8,
}

/// A log segment or a manifest.
#[derive(Debug, Clone)]
pub struct Framed {
    /// The header of the file.
    pub header: FileHeader,
    /// The records, one behind the other.
    pub frames: Vec<Frame>,
    /// What follows the last record.
    pub rest: Vec<u8>,
}

impl FileHeader {
    /// The header of a log segment: whose it is, where the log before it ended, and what was durable.
    pub fn of_segment(
        database_id: [u8; 16],
        id: u64,
        predecessor: Option<(u64, u64)>,
        claim: (u64, u64),
    ) -> Self {
        let mut header = Self {
            bytes: vec![0; SEGMENT_HEADER_LEN - 4],
            database_id,
            file_id: id,
        };
        let (segment, offset) = predecessor.unwrap_or((u64::MAX, 0));
        header.set(0, b"LSMWAL01\x01");
        header.set(16, &database_id);
        for (at, number) in [
            (32, id),
            (40, segment),
            (48, offset),
            (56, claim.0),
            (64, claim.1),
        ] {
            header.set_u64(at, number);
        }
        header
    }

    /// Overwrites the eight bytes at `at`; the identity that records are bound to stays.
    pub fn set_u64(&mut self, at: usize, value: u64) {
        self.set(at, &value.to_le_bytes());
    }

    /// The eight bytes at `at`.
    pub fn u64_at(&self, at: usize) -> u64 {
        u64_at(&self.bytes, at).unwrap_or(0)
    }

    /// Overwrites the bytes at `at`.
    pub fn set(&mut self, at: usize, value: &[u8]) {
        if let Some(slot) = self.bytes.get_mut(at..at + value.len()) {
            slot.copy_from_slice(value);
        }
    }

    /// How many bytes the checksum covers.
    pub fn covered_len(&self) -> usize {
        self.bytes.len()
    }

    fn sealed(&self) -> Vec<u8> {
        let crc = crc32fast::hash(&self.bytes);
        [self.bytes.as_slice(), &crc.to_le_bytes()].concat()
    }
}

impl Frame {
    /// A record of this kind that claims its own place.
    pub fn new(kind: u16, seqno: u64, payload: Vec<u8>) -> Self {
        Self {
            kind,
            keyspace: 0,
            seqno,
            claim: None,
            payload,
            stated_len: None,
            reserved: 0,
            padding: 0,
        }
    }

    /// How many bytes it takes in the file.
    pub fn file_bytes(&self) -> u64 {
        (FRAME_HEADER_LEN + self.payload.len().next_multiple_of(8)) as u64
    }

    fn sealed(&self, header: &FileHeader, offset: u64) -> Vec<u8> {
        let claim = self.claim.unwrap_or((header.file_id, offset));
        let len = self.stated_len.unwrap_or(self.payload.len() as u64);
        let mut covered = Vec::new();
        covered.extend_from_slice(&crc32fast::hash(&self.payload).to_le_bytes());
        for number in [len, self.seqno, claim.0, claim.1] {
            covered.extend_from_slice(&number.to_le_bytes());
        }
        covered.extend_from_slice(&self.keyspace.to_le_bytes());
        covered.extend_from_slice(&self.kind.to_le_bytes());
        covered.extend_from_slice(&self.reserved.to_le_bytes());

        let mut crc = crc32fast::Hasher::new();
        crc.update(&header.database_id);
        crc.update(&header.file_id.to_le_bytes());
        crc.update(&offset.to_le_bytes());
        crc.update(&covered);
        let mut bytes = crc.finalize().to_le_bytes().to_vec();
        bytes.extend_from_slice(&covered);
        bytes.extend_from_slice(&self.payload);
        bytes.resize(bytes.len().next_multiple_of(8), self.padding);
        bytes
    }
}

impl Framed {
    /// Takes a sound manifest apart.
    pub fn of_manifest(bytes: &[u8]) -> Option<Self> {
        Self::of(bytes, MANIFEST_HEADER_LEN, 24, 16)
    }

    /// Takes a sound log segment apart.
    pub fn of_segment(bytes: &[u8]) -> Option<Self> {
        Self::of(bytes, SEGMENT_HEADER_LEN, 16, 32)
    }

    fn of(bytes: &[u8], header_len: usize, database_id: usize, file_id: usize) -> Option<Self> {
        let header = FileHeader {
            bytes: bytes.get(..header_len - 4)?.to_vec(),
            database_id: *bytes.get(database_id..)?.first_chunk()?,
            file_id: u64_at(bytes, file_id)?,
        };
        let mut framed = Self {
            header,
            frames: Vec::new(),
            rest: Vec::new(),
        };
        let mut at = header_len;
        while let Some((frame, next)) = framed.frame_at(bytes, at) {
            framed.frames.push(frame);
            at = next;
        }
        framed.rest = bytes.get(at..)?.to_vec();
        Some(framed)
    }

    /// The sound record at `at`, and where the next one starts.
    fn frame_at(&self, bytes: &[u8], at: usize) -> Option<(Frame, usize)> {
        let header = bytes.get(at..at + FRAME_HEADER_LEN)?;
        let kind = u16::from_le_bytes(*header.get(44..)?.first_chunk()?);
        let len = usize::try_from(u64_at(header, 8)?).ok()?;
        let start = at + FRAME_HEADER_LEN;
        let payload = bytes.get(start..start.checked_add(len)?)?.to_vec();
        let next = (start + len).next_multiple_of(8);
        let mut frame = Frame::new(kind, u64_at(header, 16)?, payload);
        frame.claim = Some((u64_at(header, 24)?, u64_at(header, 32)?));
        let sealed = frame.sealed(&self.header, at as u64);
        (kind != 0 && bytes.get(at..next)? == sealed).then_some((frame, next))
    }

    /// The bytes of the file.
    pub fn sealed(&self) -> Vec<u8> {
        let mut bytes = self.header.sealed();
        for frame in &self.frames {
            let offset = bytes.len() as u64;
            bytes.extend(frame.sealed(&self.header, offset));
        }
        bytes.extend_from_slice(&self.rest);
        bytes
    }

    /// Breaks the framing in one way; says how.
    pub fn break_framing(&mut self, random: &mut Random) -> String {
        // Often the last: what it claims is contradicted by nothing behind it.
        let at = match random.below(3) {
            0 => self.frames.len().saturating_sub(1),
            _ => random.below(self.frames.len().max(1)),
        };
        let others = self.frames.clone();
        let before = others.iter().take(at).map(Frame::file_bytes).sum::<u64>();
        let own_place = (
            self.header.file_id,
            self.header.bytes.len() as u64 + 4 + before,
        );
        let Some(frame) = self.frames.get_mut(at) else {
            self.rest = random.bytes(64);
            return "garbage for records".to_owned();
        };
        let what = match random.below(14) {
            0 => {
                frame.kind = [1, 2, 3, 0x8000, 0x8001, 0x8002, 0x8003, 0xffff][random.below(8)];
                format!("kind {:#x}", frame.kind)
            }
            1 => {
                frame.seqno = odd_number(random, frame.seqno);
                format!("seqno {}", frame.seqno)
            }
            2 | 12 | 13 => {
                let (segment, offset) = frame.claim.unwrap_or(own_place);
                let claim = match random.below(3) {
                    0 => (segment, odd_number(random, offset)),
                    1 => (odd_number(random, segment), offset),
                    _ => (odd_number(random, segment), odd_number(random, offset)),
                };
                frame.claim = Some(claim);
                format!("claim {}:{}", claim.0, claim.1)
            }
            3 => {
                let len = odd_number(random, frame.payload.len() as u64);
                frame.stated_len = Some(len);
                format!("stated length {len}")
            }
            4 => {
                frame.keyspace = [1, u32::MAX][random.below(2)];
                format!("keyspace {}", frame.keyspace)
            }
            5 => {
                frame.reserved = 1;
                "reserved field".to_owned()
            }
            6 => {
                frame.padding = 0xa5;
                "padding".to_owned()
            }
            7 => {
                let copied = random.below(others.len());
                self.frames.insert(at, others[copied].clone());
                format!("record {copied} again before")
            }
            8 => {
                self.frames.remove(at);
                "gone".to_owned()
            }
            9 => {
                let other = random.below(others.len());
                self.frames.swap(at, other);
                format!("swapped with {other}")
            }
            10 => {
                let len = random.below(frame.payload.len() + 1);
                frame.payload.truncate(len);
                format!("payload cut to {len}")
            }
            _ => {
                let (len, junk) = (random.below(64), random.below(3));
                match junk {
                    0 => frame.payload.extend(random.bytes(len)),
                    1 => frame.payload.extend(vec![0; len]),
                    _ => frame.payload = random.bytes(len),
                }
                format!("payload with {len} bytes of junk, way {junk}")
            }
        };
        format!("record {at}: {what}")
    }
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A number that code is likely to get wrong, or one near the true one.
pub fn odd_number(random: &mut Random, truth: u64) -> u64 {
    const ODD: [u64; 22] = [
        0,
        1,
        2,
        7,
        8,
        15,
        16,
        63,
        80,
        250,
        251,
        (1 << 16) - 1,
        1 << 16,
        (1 << 31) - 1,
        (1 << 32) - 1,
        1 << 32,
        9_999_999_999,
        10_000_000_000,
        1 << 63,
        u64::MAX - 8,
        u64::MAX - 1,
        u64::MAX,
    ];
    match random.below(8) {
        0 => truth.wrapping_add(1),
        1 => truth.wrapping_sub(1),
        2 => truth.wrapping_add(8),
        3 => truth.wrapping_sub(8),
        4 => truth.wrapping_mul(2),
        5 => random.draw(),
        _ => ODD[random.below(ODD.len())],
    }
}
