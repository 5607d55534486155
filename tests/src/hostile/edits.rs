//! A second codec for the edits of a manifest, written from the format's description: decodes sound
//! ones, and encodes anything, in integers of any width.
//!
//! Used by the forger of manifests. Never judges what an edit says.

/// A manifest's edit, field by field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// Level and run id of runs that leave.
    pub removed: Vec<(u8, u64)>,
    /// Runs that enter.
    pub added: Vec<Run>,
    /// What the log still holds.
    pub log: Option<Log>,
    /// The last seqno that is in a run.
    pub flushed_seqno: Option<u64>,
    /// Ceilings of run ids, segment ids and seqnos.
    pub ceilings: Option<[u64; 3]>,
    /// Where a log of 1.x ended.
    pub legacy_log_end: Option<u64>,
    /// Runs of 1.x that nothing names.
    pub unnamed: Vec<u64>,
}

/// A run as an edit names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// Its level.
    pub level: u8,
    /// Id, length of the file, entries, tombstones, length of the index, checksum of the index.
    pub numbers: [u64; 6],
    /// Smallest and largest key.
    pub keys: Option<(Vec<u8>, Vec<u8>)>,
}

/// Log bounds as an edit names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// Segments below hold nothing.
    pub retired_below: u64,
    /// This one must exist.
    pub floor: Option<u64>,
    /// The log was durable up to this segment and offset.
    pub end: Option<(u64, u64)>,
    /// Later segments up to this one hold nothing.
    pub discarded_through: u64,
}

/// How integers and counts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// As short as they go: what a writer must do.
    Shortest,
    /// All with this first byte: 251 to 254, for 2 to 16 bytes; larger ones with their own.
    AtLeast(u8),
}

impl Edit {
    /// Decodes a sound payload.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut from = Reader(payload);
        let mut edit = Self::default();
        for _ in 0..from.number()? {
            edit.removed.push((from.byte()?, from.number()?));
        }
        for _ in 0..from.number()? {
            edit.added.push(from.run()?);
        }
        edit.log = from.option(Reader::log)?;
        edit.flushed_seqno = from.option(Reader::number)?;
        edit.ceilings =
            from.option(|from| Some([from.number()?, from.number()?, from.number()?]))?;
        edit.legacy_log_end = from.option(Reader::number)?;
        for _ in 0..from.number()? {
            edit.unnamed.push(from.number()?);
        }
        from.0.is_empty().then_some(edit)
    }

    /// Encodes it, with integers of this width.
    pub fn encode(&self, width: Width) -> Vec<u8> {
        let mut to = Writer {
            bytes: Vec::new(),
            width,
        };
        to.number(self.removed.len() as u64);
        for (level, id) in &self.removed {
            to.bytes.push(*level);
            to.number(*id);
        }
        to.number(self.added.len() as u64);
        for run in &self.added {
            to.run(run);
        }
        to.option(self.log.as_ref(), |to, log| {
            to.number(log.retired_below);
            to.option(log.floor, Writer::number);
            to.option(log.end, |to, (segment, offset)| {
                to.number(segment);
                to.number(offset);
            });
            to.number(log.discarded_through);
        });
        to.option(self.flushed_seqno, Writer::number);
        to.option(self.ceilings, |to, ceilings| {
            ceilings.into_iter().for_each(|number| to.number(number));
        });
        to.option(self.legacy_log_end, Writer::number);
        to.number(self.unnamed.len() as u64);
        self.unnamed.iter().for_each(|id| to.number(*id));
        to.bytes
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let len = match self.byte()? {
            251 => 2,
            252 => 4,
            253 => 8,
            small => return (small < 251).then_some(u64::from(small)),
        };
        (0..len).try_fold(0, |number, place| {
            Some(number | u64::from(self.byte()?) << (8 * place))
        })
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            _ => read(self).map(Some),
        }
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let len = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes.to_vec())
    }

    fn run(&mut self) -> Option<Run> {
        let level = self.byte()?;
        let mut numbers = [0; 6];
        for number in &mut numbers {
            *number = self.number()?;
        }
        let keys = self.option(|from| Some((from.bytes()?, from.bytes()?)))?;
        Some(Run {
            level,
            numbers,
            keys,
        })
    }

    fn log(&mut self) -> Option<Log> {
        Some(Log {
            retired_below: self.number()?,
            floor: self.option(Self::number)?,
            end: self.option(|from| Some((from.number()?, from.number()?)))?,
            discarded_through: self.number()?,
        })
    }
}

struct Writer {
    bytes: Vec<u8>,
    width: Width,
}

impl Writer {
    fn number(&mut self, number: u64) {
        let shortest = match number {
            0..251 => 0,
            251..0x1_0000 => 251,
            0x1_0000..0x1_0000_0000 => 252,
            _ => 253,
        };
        let first = match self.width {
            Width::Shortest => shortest,
            Width::AtLeast(first) => first.max(shortest),
        };
        let len = match first {
            0 => 1,
            first => {
                self.bytes.push(first);
                2 << (first - 251)
            }
        };
        let bytes = u128::from(number).to_le_bytes();
        self.bytes.extend(bytes.iter().take(len));
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bytes.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn run(&mut self, run: &Run) {
        self.bytes.push(run.level);
        run.numbers.iter().for_each(|number| self.number(*number));
        self.option(run.keys.as_ref(), |to, (smallest, largest)| {
            for key in [smallest, largest] {
                to.number(key.len() as u64);
                to.bytes.extend_from_slice(key);
            }
        });
    }
}
