//! The target `segment`: bytes as the segments of a log, recovered, continued and recovered again.
//!
//! Called through [`Target`](super::Target). What has to hold whatever the files and the bounds say:
//! recovery changes no file and says the same when it is asked again; seqnos and places ascend; and a
//! log that it accepts is accepted with the same records ever after: with its tail written again,
//! under the bounds from before and from after that, without the files that it calls superfluous, and
//! with more appended.

mod plan;

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use lsm_fs::{ByPath, CrashImage, FileSystem, SimFs};
use lsm_wal::{
    Error, FrameBuffer, KIND_DATA, Log, LogBounds, LogOptions, Position, Record, RecoverError,
    RecoveredLog, recover, segment_file_name, segment_temporary_file_name,
};

use super::{Told, ensure, images, split};
use crate::describe;
use crate::directory::{Files, plant, read};
use crate::hostile::image::Image;
use crate::hostile::{FileKind, codecs, logs, seals};
use crate::random::Random;

/// The database that the fuzzer's segments belong to.
const DATABASE_ID: [u8; 16] = *b"sixteen raw byte";

/// Segments as they lie in a directory, and what is known of them from elsewhere.
#[derive(Debug, Clone)]
struct Case {
    database_id: [u8; 16],
    files: Files,
    bounds: LogBounds,
}

/// A database and the bounds of its log.
type Known = ([u8; 16], LogBounds);

/// What a recovery found.
struct Found {
    log: RecoveredLog,
    records: Vec<Record>,
}

pub(super) fn check(input: &[u8], told: &mut Told) -> Result<(), String> {
    let (mode, rest) = split(input);
    let case = match mode % 4 {
        0 => plain(rest, false),
        1 => plain(rest, true),
        2 => forged(rest)?,
        _ => plan::planned(rest),
    };
    holds(&case, told)
}

/// Files as they are: one behind the other, each after its id and its length.
fn plain(input: &[u8], sealed: bool) -> Case {
    let mut case = Case {
        database_id: DATABASE_ID,
        files: Files::new(),
        bounds: LogBounds::default(),
    };
    let mut rest = input;
    while let Some((&[id, low, high], after)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([low, high])).min(after.len());
        let (bytes, after) = after.split_at(len);
        let mut bytes = bytes.to_vec();
        if sealed {
            seals::segment(&mut bytes);
        }
        case.files
            .insert(segment_file_name(id.into()).to_string(), bytes);
        rest = after;
    }
    case
}

/// The log of a small store, fields of its segments changed as the input says.
fn forged(choices: &[u8]) -> Result<Case, String> {
    let mut random = Random::from_bytes(choices);
    let images = images()?;
    let which = random.below(images.len());
    let (image, (database_id, bounds)) = (&images[which], known()?[which]);
    let mut case = Case {
        database_id,
        files: Files::new(),
        bounds,
    };
    if random.below(4) == 1 {
        case.bounds = LogBounds::default();
    }
    for name in image.names(FileKind::Log) {
        let mut bytes = image.files[name].clone();
        if random.below(2) == 1
            && let Some((changed, _)) = logs::forge(&bytes, &mut random)
        {
            bytes = changed;
        }
        case.files.insert(name.clone(), bytes);
    }
    Ok(case)
}

/// What the manifest of each small store says of its log.
fn known() -> Result<&'static [Known], String> {
    static KNOWN: OnceLock<Result<Vec<Known>, String>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let load = |image: &Image| {
            let disk = image.disk_with(&[]).map_err(|error| error.to_string())?;
            codecs::load_manifest(&disk).ok_or_else(|| "a sound manifest is refused".to_owned())
        };
        images()?.iter().map(load).collect()
    });
    known.as_deref().map_err(Clone::clone)
}

impl Case {
    #[expect(clippy::expect_used, reason = "a simulated disk has its root")]
    fn options(&self, disk: &SimFs) -> LogOptions {
        LogOptions {
            dir: disk.open_dir(root()).expect("a root"),
            database_id: self.database_id,
            segment_bytes_max: 1 << 14,
        }
    }

    fn recover(&self, disk: &SimFs, bounds: &LogBounds) -> Result<Found, Error> {
        let mut records = Vec::new();
        let mut visit = |record: Record| {
            records.push(record);
            Ok::<_, Infallible>(())
        };
        match recover(&self.options(disk), bounds, &mut visit) {
            Ok(log) => Ok(Found { log, records }),
            Err(RecoverError::Log(error)) => Err(error),
            Err(RecoverError::Visit(never)) => match never {},
            Err(_) => Err(Error::Abandoned),
        }
    }
}

impl Found {
    /// What must stay the same: the records, wherever they are.
    fn content(&self) -> Vec<(u64, u32, &[u8])> {
        let records = self.records.iter();
        records
            .map(|record| (record.seqno, record.keyspace, record.payload.as_ref()))
            .collect()
    }

    /// In their order: places, seqnos and segments.
    fn is_in_order(&self) -> Result<(), String> {
        let ascend = self.records.is_sorted_by(|a, b| {
            a.seqno < b.seqno && a.position < b.position && b.kind == KIND_DATA
        });
        let last = self.records.last().map(|record| record.seqno);
        ensure(ascend && last <= self.log.last_seqno, || {
            format!("not in order: {:?}", self.records)
        })?;
        let log = &self.log;
        ensure(log.chain.is_sorted_by(|a, b| a < b), || {
            format!("the chain is {:?}", log.chain)
        })?;
        ensure(log.durable <= log.end, || {
            format!("{:?} is durable, and the end is {:?}", log.durable, log.end)
        })
    }
}

fn root() -> &'static Path {
    Path::new("/")
}

fn files(disk: &SimFs) -> Result<Files, String> {
    read(disk, root()).map_err(|error| error.to_string())
}

/// Recovers, goes on, and recovers again, as far as the first recovery lets it.
fn holds(case: &Case, told: &mut Told) -> Result<(), String> {
    let disk = SimFs::new();
    for (name, bytes) in &case.files {
        plant(&disk, &root().join(name), bytes).map_err(|error| error.to_string())?;
    }
    let first = case.recover(&disk, &case.bounds);
    ensure(files(&disk)? == case.files, || {
        "recovery has changed a file".to_owned()
    })?;
    let again = case.recover(&disk, &case.bounds);
    match (first, again) {
        (Err(error), Err(again)) => {
            tell(&error, told);
            ensure(describe(&error) == describe(&again), || {
                format!("first {error}, then {again}")
            })
        }
        (Ok(found), Ok(again)) => {
            ensure(found.records == again.records, || {
                "other records when asked again".to_owned()
            })?;
            found.is_in_order()?;
            told.tell(
                "recovered",
                if found.records.is_empty() {
                    "nothing"
                } else {
                    "records"
                },
            );
            goes_on(case, &disk, &found, told)
        }
        (first, again) => Err(format!(
            "first {:?}, then {:?}",
            first.map(|found| found.log),
            again.map(|found| found.log)
        )),
    }
}

/// Recovers again under these bounds, to the same records and `more`.
fn same(
    what: &str,
    case: &Case,
    disk: &SimFs,
    bounds: &LogBounds,
    found: &Found,
    more: Option<&[(u64, u32, &[u8])]>,
) -> Result<Found, String> {
    let again = case.recover(disk, bounds).map_err(|error| {
        format!(
            "{what}: {}, under {bounds:?}, of {:?}",
            describe(&error),
            found.log
        )
    })?;
    let expected = [found.content().as_slice(), more.unwrap_or_default()].concat();
    ensure(again.content() == expected, || {
        format!(
            "{what}: under {bounds:?} there are {:?}, not {expected:?}",
            again.content()
        )
    })?;
    again
        .is_in_order()
        .map_err(|error| format!("{what}: {error}"))?;
    Ok(again)
}

fn goes_on(case: &Case, disk: &SimFs, found: &Found, told: &mut Told) -> Result<(), String> {
    let log = &found.log;
    let bounds = case.bounds;
    // New ids are above all that were ever given out, as whoever keeps the bounds sees to.
    let used = [
        log.largest_segment_id,
        bounds.floor,
        bounds.end.map(|end| end.segment),
        Some(bounds.discarded_through),
        bounds.retired_below.checked_sub(1),
    ];
    let largest = used.into_iter().flatten().max().unwrap_or(0);
    let Some(new_id) = largest.checked_add(1).filter(|&id| id < u64::MAX - 1) else {
        told.tell("recovered", "no ids are left");
        return Ok(());
    };
    let options = case.options(disk);
    let rewritten = log
        .rewrite_tail(&options, new_id)
        .map_err(|error| format!("the tail: {}", describe(&error)))?;
    if rewritten.is_some() {
        told.tell("recovered", "a tail");
    }
    same(
        "before the bounds are recorded",
        case,
        disk,
        &bounds,
        found,
        None,
    )?;
    let after = log.bounds(&bounds, rewritten);
    let again = same("rewritten", case, disk, &after, found, None)?;
    ensure(!again.log.needs_rewrite(), || {
        "the tail is written again and again".to_owned()
    })?;

    let superfluous = log.obsolete.iter().chain(log.superseded());
    let temporaries = log.obsolete_temporaries.iter();
    let names = superfluous
        .map(|id| segment_file_name(*id))
        .chain(temporaries.map(|id| segment_temporary_file_name(*id)));
    for name in names {
        let removed = disk.remove_file(&root().join(&name));
        removed.map_err(|error| format!("{name}: {error}"))?;
    }
    let again = same(
        "without what is superfluous",
        case,
        disk,
        &after,
        found,
        None,
    )?;
    let cut = disk.crash(&CrashImage::NothingUnsynced);
    same("after a power cut", case, &cut, &after, found, None)?;
    append(case, disk, &after, &again, new_id, told)
}

/// Appends to the log, and finds what was appended.
fn append(
    case: &Case,
    disk: &SimFs,
    bounds: &LogBounds,
    found: &Found,
    used_id: u64,
    told: &mut Told,
) -> Result<(), String> {
    let seqno = found.log.last_seqno.unwrap_or(0);
    let Some(seqno) = seqno.checked_add(1).filter(|&seqno| seqno < u64::MAX) else {
        told.tell("recovered", "no seqnos are left");
        return Ok(());
    };
    let mut next_id = used_id;
    let mut take_id = || {
        next_id = next_id.checked_add(1).ok_or(io::ErrorKind::Other)?;
        Ok(next_id)
    };
    let mut log = Log::new(case.options(disk), bounds.end);
    let mut group = FrameBuffer::new();
    group.push(KIND_DATA, 0, seqno, |payload| payload.extend(b"more"));
    let appended = log
        .append(&mut group, &mut take_id)
        .and_then(|_: Position| log.sync())
        .map_err(|error| format!("takes no records: {}", describe(&error)));
    appended?;
    let more: &[(u64, u32, &[u8])] = &[(seqno, 0, b"more")];
    let cut = disk.crash(&CrashImage::NothingUnsynced);
    same(
        "appended, after a power cut",
        case,
        &cut,
        bounds,
        found,
        Some(more),
    )?;
    log.close()
        .map_err(|error| format!("does not close: {}", describe(&error)))?;
    let closed = same("closed", case, disk, bounds, found, Some(more))?;
    ensure(closed.log.clean, || "a close that shows not".to_owned())
}

fn tell(error: &Error, told: &mut Told) {
    let (variant, reason) = match error {
        Error::WriteFailed { .. } => ("WriteFailed", ""),
        Error::SyncFailed { .. } => ("SyncFailed", ""),
        Error::Poisoned { .. } => ("Poisoned", ""),
        Error::SeqnoOrder { .. } => ("SeqnoOrder", ""),
        Error::Damaged { reason, .. } => ("Damaged", kind_of(reason)),
        Error::LegacyDamaged { .. } => ("LegacyDamaged", ""),
        Error::MissingSegment { .. } => ("MissingSegment", ""),
        Error::UnknownKind { .. } => ("UnknownKind", ""),
        Error::WrongDatabase { .. } => ("WrongDatabase", ""),
        Error::UnsupportedVersion { .. } => ("UnsupportedVersion", ""),
        Error::Io { .. } => ("Io", ""),
        Error::Abandoned => ("Abandoned", ""),
        _ => ("an error without a name here", ""),
    };
    told.tell(variant, reason);
}

/// What damage is told by, without its numbers.
fn kind_of(reason: &str) -> &'static str {
    const KINDS: [&str; 15] = [
        "the header is that of segment",
        "as its predecessor's end",
        "the header claims durability",
        "yet there is a record at",
        "though it was discarded",
        "its header is bad, yet",
        "its chain does not reach it",
        " follows ",
        "the log was recorded as durable",
        "the log is known to go on in",
        "the header of segment",
        "the record at",
        "a segment that the log does not go through",
        "a place where no record starts or ends",
        "a place behind the end of its segment",
    ];
    let known = KINDS.into_iter().find(|kind| reason.contains(kind));
    known.unwrap_or("something else")
}

/// The logs of small stores, and planned ones.
pub(super) fn seeds() -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut seeds = Vec::new();
    for (name, segments) in [("one", 1), ("three", 3)] {
        let case = plan::planned(&plan::sound(segments));
        for (mode, how) in [(0, "plain"), (1, "sealed")] {
            let mut input = vec![mode];
            for (name, bytes) in &case.files {
                let id = lsm_wal::parse_segment_file_name(name.as_ref()).unwrap_or(0);
                let len = u16::try_from(bytes.len()).map_err(|error| error.to_string())?;
                input.push(u8::try_from(id).map_err(|error| error.to_string())?);
                input.extend(len.to_le_bytes());
                input.extend(bytes);
            }
            seeds.push((format!("{how}-{name}"), input));
        }
    }
    for image in 0..3 {
        let name = format!("forged-{image}");
        seeds.push((name, vec![2, image, 0, 1, 0, 0, 1, 1, 1, 1]));
    }
    for segments in 1..5 {
        let input = [&[3], plan::sound(segments).as_slice()].concat();
        seeds.push((format!("planned-{segments}"), input));
    }
    Ok(seeds)
}
