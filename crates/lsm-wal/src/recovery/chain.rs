//! Which segment files there are, and which of them form the log.
//!
//! Called by recovery only. Reads headers; looks at records only to tell a half-created segment
//! from a damaged one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use lsm_fs::{EntryKind, File};

use crate::error::Error;
use crate::frame::{FrameKey, find_header};
use crate::names::{
    parse_segment_file_name, parse_segment_temporary_file_name, segment_file_name,
    segment_temporary_file_name,
};
use crate::position::LogBounds;
use crate::segment::{self, LogOptions, SEGMENT_HEADER_LEN, SegmentHeader};

/// The segment files of a directory.
pub(crate) struct Files {
    pub(crate) segments: BTreeSet<u64>,
    pub(crate) temporaries: Vec<u64>,
}

impl Files {
    pub(crate) fn largest_id(&self) -> Option<u64> {
        let named = self.segments.last().copied();
        named.max(self.temporaries.iter().max().copied())
    }
}

/// A segment of the chain. Its file is opened when it is read, so a long chain needs few handles.
pub(super) struct Member {
    pub(super) id: u64,
    pub(super) path: PathBuf,
    pub(super) header: SegmentHeader,
}

/// Lists the segment files, after making their names durable: a name that the next power cut takes
/// back must not be concluded from, nor one that it brings back.
pub(crate) fn survey(options: &LogOptions) -> Result<Files, Error> {
    segment::sync_dir(options)?;
    let failed = |operation, path: PathBuf| {
        move |source| Error::Io {
            operation,
            path,
            source,
        }
    };
    let mut files = Files {
        segments: BTreeSet::new(),
        temporaries: Vec::new(),
    };
    let dir = &*options.dir;
    let entries = dir.list().map_err(failed("list", dir.path().to_owned()))?;
    for entry in entries {
        let segment = parse_segment_file_name(&entry.name);
        let temporary = parse_segment_temporary_file_name(&entry.name);
        let named = segment.map(segment_file_name);
        let Some(name) = named.or_else(|| temporary.map(segment_temporary_file_name)) else {
            continue;
        };
        let kind = dir.kind(&name);
        let kind = kind.map_err(failed("look at", dir.path_of(&name)))?;
        if kind == Some(EntryKind::File) {
            files.segments.extend(segment);
            files.temporaries.extend(temporary);
        }
    }
    Ok(files)
}

pub(crate) fn open(options: &LogOptions, id: u64) -> Result<Arc<dyn File>, Error> {
    let name = segment_file_name(id);
    options.dir.open(&name).map_err(|source| Error::Io {
        operation: "open",
        path: options.dir.path_of(&name),
        source,
    })
}

/// The chain, oldest segment first: from the newest segment with a valid header backwards.
pub(super) fn find(
    options: &LogOptions,
    bounds: &LogBounds,
    files: &Files,
) -> Result<Vec<Member>, Error> {
    let mut chain = Vec::new();
    let mut next = find_head(options, bounds, files)?;
    while let Some(member) = next {
        let predecessor = member.header.predecessor;
        let named_by = member.id;
        chain.push(member);
        next = match predecessor {
            Some(end) if end.segment >= bounds.retired_below => {
                Some(named_member(options, bounds, files, end.segment, named_by)?)
            }
            _ => None,
        };
    }
    chain.reverse();
    check_required(options, bounds, files, &chain)?;
    Ok(chain)
}

fn find_head(
    options: &LogOptions,
    bounds: &LogBounds,
    files: &Files,
) -> Result<Option<Member>, Error> {
    for &id in files.segments.iter().rev() {
        if bounds.holds_nothing(id) {
            continue;
        }
        let path = options.segment_path(id);
        let file = open(options, id)?;
        if let Some(header) = segment::read_header(options, id, &path, &*file)? {
            return Ok(Some(Member { id, path, header }));
        }
        let key = FrameKey::new(options.database_id, id);
        let record = find_header(&*file, &path, &key, SEGMENT_HEADER_LEN, |_| true)?;
        if let Some((offset, _)) = record {
            return Err(Error::Damaged {
                segment: id,
                offset: 0,
                path,
                reason: format!(
                    "the segment's header is bad, yet there is a record at {offset}, and records \
                     are written only once the header is durable"
                ),
            });
        }
    }
    Ok(None)
}

/// The segment that the header of `named_by` names as its predecessor: it was durable then, so
/// anything wrong with it is damage.
fn named_member(
    options: &LogOptions,
    bounds: &LogBounds,
    files: &Files,
    id: u64,
    named_by: u64,
) -> Result<Member, Error> {
    let path = options.segment_path(id);
    if !files.segments.contains(&id) {
        return Err(Error::MissingSegment { segment: id, path });
    }
    let damaged = |path, reason| Error::Damaged {
        segment: id,
        offset: 0,
        path,
        reason,
    };
    if bounds.holds_nothing(id) {
        let reason = format!("segment {named_by} continues it, though it was discarded");
        return Err(damaged(path, reason));
    }
    let file = open(options, id)?;
    match segment::read_header(options, id, &path, &*file)? {
        Some(header) => Ok(Member { id, path, header }),
        None => {
            let reason = format!("its header is bad, yet segment {named_by} continues it");
            Err(damaged(path, reason))
        }
    }
}

/// Checks that the chain holds the segments that the caller knows to be durable.
fn check_required(
    options: &LogOptions,
    bounds: &LogBounds,
    files: &Files,
    chain: &[Member],
) -> Result<(), Error> {
    let end = bounds.end.map(|end| end.segment);
    let end = end.filter(|&id| id >= bounds.retired_below);
    for id in bounds.floor.into_iter().chain(end) {
        if chain.iter().any(|member| member.id == id) {
            continue;
        }
        let path = options.segment_path(id);
        if !files.segments.contains(&id) {
            return Err(Error::MissingSegment { segment: id, path });
        }
        return Err(Error::Damaged {
            segment: id,
            offset: 0,
            path,
            reason: "the log must contain this segment, but its chain does not reach it".to_owned(),
        });
    }
    Ok(())
}

/// The database id in the newest valid header of the log in `options.dir`, whatever the options
/// say; `None` if there is no log yet.
///
/// Without any valid header nothing tells whose records there might be, so then a segment that has
/// more than zeros behind its header's place is damage.
pub(crate) fn stored_database_id(options: &LogOptions) -> Result<Option<[u8; 16]>, Error> {
    let files = survey(options)?;
    for &id in files.segments.iter().rev() {
        if let Some(database_id) =
            segment::read_database_id(&options.segment_path(id), &*open(options, id)?)?
        {
            return Ok(Some(database_id));
        }
    }
    for &id in &files.segments {
        let path = options.segment_path(id);
        if let Some(offset) = segment::find_non_zero(&path, &*open(options, id)?)? {
            return Err(Error::Damaged {
                segment: id,
                offset: 0,
                path,
                reason: format!(
                    "no segment has a valid header, yet there is data at {offset}, and that is \
                     written only once the header is durable"
                ),
            });
        }
    }
    Ok(None)
}
