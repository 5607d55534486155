//! Searching what lies behind a bad record for headers that prove it was once good.
//!
//! Called by recovery, and by other users of the framing, to tell damage from a torn tail. Reads
//! headers only, at aligned places, so it is linear in the file and no payload can mislead it.

use std::path::Path;

use lsm_fs::File;

use super::{FRAME_ALIGNMENT, FRAME_HEADER_LEN, FrameHeader, FrameKey, decode_header};
use crate::error::Error;
use crate::position::Position;

/// How much is read at once.
const WINDOW_BYTES: usize = 1 << 20;

/// A record header that proves an earlier place to have been durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaterClaim {
    /// Where the claiming header is.
    pub at: Position,
    /// What it claims: everything before this place was durable when it was written.
    pub claim: Position,
}

/// The first valid header at or after `from` that claims durability past the place `past`, or
/// `None` if there is none up to the end of the file.
///
/// A bad record at `past` with such a claim behind it is damage; without one it is where the log
/// was torn. `from` is rounded up to a multiple of 8; `path` is for errors.
///
/// # Errors
/// [`Error::Io`] if reading failed; nothing may be concluded then.
pub fn later_claim(
    file: &dyn File,
    path: &Path,
    key: &FrameKey,
    from: u64,
    past: Position,
) -> Result<Option<LaterClaim>, Error> {
    let found = find_header(file, path, key, from, |header| header.durable > past)?;
    Ok(found.map(|(offset, header)| LaterClaim {
        at: Position::new(key.file_id(), offset),
        claim: header.durable,
    }))
}

/// The first valid header at or after `from` that `wanted` accepts, with its offset.
pub(crate) fn find_header(
    file: &dyn File,
    path: &Path,
    key: &FrameKey,
    from: u64,
    mut wanted: impl FnMut(&FrameHeader) -> bool,
) -> Result<Option<(u64, FrameHeader)>, Error> {
    let failed = |operation| {
        move |source| Error::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    };
    let file_len = file.len().map_err(failed("measure"))?;
    let Some(mut window_start) = from.checked_next_multiple_of(FRAME_ALIGNMENT as u64) else {
        return Ok(None);
    };
    let mut window = Vec::new();
    loop {
        let remaining = file_len.saturating_sub(window_start);
        if remaining < FRAME_HEADER_LEN as u64 {
            return Ok(None);
        }
        let window_len = usize::try_from(remaining)
            .unwrap_or(usize::MAX)
            .min(WINDOW_BYTES);
        window.resize(window_len, 0);
        file.read_exact_at(&mut window, window_start)
            .map_err(failed("read"))?;
        let mut offset = window_start;
        let mut rest = window.as_slice();
        while let Some(bytes) = rest.first_chunk() {
            if let Some(header) = decode_header(key, offset, bytes)
                && wanted(&header)
            {
                return Ok(Some((offset, header)));
            }
            offset += FRAME_ALIGNMENT as u64;
            rest = rest.get(FRAME_ALIGNMENT..).unwrap_or_default();
        }
        // Headers that straddle the window's end are looked at in the next one.
        window_start = offset;
    }
}
