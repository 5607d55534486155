//! The frame of a run: the magic at both ends, and the footer that says where the index is.
//!
//! Called by the encoder and by whatever opens a run. It never reads the index itself.

use crate::error::{Error, Result};
use crate::{FOOTER_LEN, HEADER_LEN, MAGIC};

/// The last 36 bytes of a run: how many entries it has, and where its index is.
///
/// Decoding checks that the index lies between the header and the footer and fills the space up
/// to the footer, so `index_len` is safe to read by once it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Footer {
    /// Values and tombstones in the run, as its writer counted them.
    ///
    /// No checksum covers this number. Never size anything by it.
    pub entry_count: u64,
    /// Where the index starts, in bytes from the start of the file: also the end of the blocks.
    pub index_offset: u64,
    /// The length of the index in bytes.
    pub index_len: u64,
    /// CRC-32C of the index.
    pub index_crc: u32,
}

impl Footer {
    /// Decodes the last [`FOOTER_LEN`] bytes of a file of `file_len` bytes.
    ///
    /// # Errors
    /// [`Error::Frame`] if the file is too short, the magic is not there, or the index does not
    /// lie between header and footer. Refuse the file.
    pub fn decode(bytes: &[u8; FOOTER_LEN], file_len: u64) -> Result<Self> {
        let end = footer_offset(file_len)?;
        let frame = |at: u64, reason| Error::Frame {
            offset: end + at,
            reason,
        };
        let [
            e0,
            e1,
            e2,
            e3,
            e4,
            e5,
            e6,
            e7,
            o0,
            o1,
            o2,
            o3,
            o4,
            o5,
            o6,
            o7,
            rest @ ..,
        ] = *bytes;
        let [l0, l1, l2, l3, l4, l5, l6, l7, c0, c1, c2, c3, magic @ ..] = rest;
        if magic != MAGIC {
            return Err(frame(28, "footer magic missing"));
        }
        let footer = Self {
            entry_count: u64::from_le_bytes([e0, e1, e2, e3, e4, e5, e6, e7]),
            index_offset: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
            index_len: u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]),
            index_crc: u32::from_le_bytes([c0, c1, c2, c3]),
        };
        if footer.index_offset < HEADER_LEN as u64 {
            return Err(frame(8, "index starts inside the header"));
        }
        if footer.index_offset.checked_add(footer.index_len) != Some(end) {
            return Err(frame(8, "index does not end at the footer"));
        }
        Ok(footer)
    }

    /// Encodes the footer, magic included.
    #[must_use]
    pub fn encode(&self) -> [u8; FOOTER_LEN] {
        let mut bytes = [0; FOOTER_LEN];
        bytes[..8].copy_from_slice(&self.entry_count.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.index_offset.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.index_len.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.index_crc.to_le_bytes());
        bytes[28..].copy_from_slice(&MAGIC);
        bytes
    }
}

/// Returns where the footer starts, if the file is long enough to have header and footer.
pub(crate) fn footer_offset(file_len: u64) -> Result<u64> {
    match file_len.checked_sub(FOOTER_LEN as u64) {
        Some(offset) if offset >= HEADER_LEN as u64 => Ok(offset),
        _ => Err(Error::Frame {
            offset: file_len,
            reason: "file too short for a run",
        }),
    }
}

/// Checks the magic that opens the file.
pub(crate) fn check_header(bytes: [u8; HEADER_LEN]) -> Result<()> {
    if bytes == MAGIC {
        Ok(())
    } else {
        Err(Error::Frame {
            offset: 0,
            reason: "header magic missing",
        })
    }
}

/// Splits a whole run into its footer and the bytes of its index; checks the frame.
pub(crate) fn split_run(bytes: &[u8]) -> Result<(Footer, &[u8])> {
    let file_len = bytes.len() as u64;
    let short = Error::Frame {
        offset: file_len,
        reason: "file too short for a run",
    };
    footer_offset(file_len)?;
    let (header, _) = bytes.split_first_chunk().ok_or(short.clone())?;
    check_header(*header)?;
    let (rest, footer) = bytes.split_last_chunk().ok_or(short.clone())?;
    let footer = Footer::decode(footer, file_len)?;
    // The decoded footer says that offset and length end at the footer, so both fit a `usize`.
    let index = usize::try_from(footer.index_offset)
        .ok()
        .and_then(|start| rest.get(start..))
        .ok_or(short)?;
    Ok((footer, index))
}
