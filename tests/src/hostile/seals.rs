//! Checksums made to fit whatever bytes are there, so that nothing but the parser stands between
//! them and the engine.
//!
//! Called by the fuzz targets: a fuzzer changes bytes of a file as it likes, and cannot guess a
//! checksum. Written from the formats' descriptions. Follows the lengths that the bytes state as far
//! as they lead somewhere, and changes nothing but checksums.

use lsm_format::crc32c;

const RUN_FOOTER_LEN: usize = 36;
const FRAME_HEADER_LEN: usize = 48;
const SIDECAR_HEADER_LEN: usize = 80;

/// Those of a run: each block's, in the index, and the index's, in the footer.
pub fn run(bytes: &mut [u8]) {
    let Some(footer) = bytes.len().checked_sub(RUN_FOOTER_LEN) else {
        return;
    };
    let (Some(start), Some(len)) = (number(bytes, footer + 8), number(bytes, footer + 16)) else {
        return;
    };
    let Some(end) = start.checked_add(len).filter(|&end| end <= bytes.len()) else {
        return;
    };
    let mut at = start;
    while let Some(key_len) = short_number(bytes, at) {
        let handle = at + 4 + key_len;
        if handle + 16 > end {
            break;
        }
        let (offset, len) = (number(bytes, handle), short_number(bytes, handle + 8));
        let block = offset
            .zip(len)
            .and_then(|(offset, len)| bytes.get(offset..offset.checked_add(len)?));
        let crc = block.map(crc32c);
        put(bytes, handle + 12, crc);
        at = handle + 16;
    }
    let crc = bytes.get(start..end).map(crc32c);
    put(bytes, footer + 24, crc);
}

/// Those of a filter sidecar: the fingerprints', and the header's.
pub fn sidecar(bytes: &mut [u8]) {
    let crc = bytes.get(SIDECAR_HEADER_LEN..).map(crc32fast::hash);
    put(bytes, 72, crc);
    let crc = bytes.get(..76).map(crc32fast::hash);
    put(bytes, 76, crc);
}

/// Those of a log segment.
pub fn segment(bytes: &mut [u8]) {
    framed(bytes, 80, 16, 32);
}

/// Those of a manifest.
pub fn manifest(bytes: &mut [u8]) {
    framed(bytes, 64, 24, 16);
}

/// The file header's, then both of each record, one behind the other.
fn framed(bytes: &mut [u8], header_len: usize, database_id_at: usize, file_id_at: usize) {
    let crc = bytes.get(..header_len - 4).map(crc32fast::hash);
    put(bytes, header_len - 4, crc);
    let id_of = |bytes: &[u8], at: usize, len: usize| bytes.get(at..at + len).map(<[u8]>::to_vec);
    let (Some(database_id), Some(file_id)) = (
        id_of(bytes, database_id_at, 16),
        id_of(bytes, file_id_at, 8),
    ) else {
        return;
    };
    let mut at = header_len;
    while let (Some(kind), Some(len)) = (
        bytes.get(at + 44..at + FRAME_HEADER_LEN),
        number(bytes, at + 8),
    ) {
        if kind.iter().all(|&byte| byte == 0) {
            // Zeros that follow the records.
            return;
        }
        let start = at + FRAME_HEADER_LEN;
        let end = start.checked_add(len);
        let payload = end.and_then(|end| bytes.get(start..end));
        let crc = payload.map(crc32fast::hash);
        put(bytes, at + 4, crc);
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&database_id);
        hasher.update(&file_id);
        hasher.update(&(at as u64).to_le_bytes());
        hasher.update(bytes.get(at + 4..start).unwrap_or_default());
        put(bytes, at, Some(hasher.finalize()));
        let Some(next) = crc.and(end).and_then(|end| end.checked_next_multiple_of(8)) else {
            return;
        };
        at = next;
    }
}

fn put(bytes: &mut [u8], at: usize, crc: Option<u32>) {
    if let (Some(slot), Some(crc)) = (bytes.get_mut(at..at + 4), crc) {
        slot.copy_from_slice(&crc.to_le_bytes());
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u64::from_le_bytes(*bytes)).ok()
}

fn short_number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile::FileKind;
    use crate::hostile::image::Image;

    /// A sound file keeps its bytes, and one whose checksums were overwritten gets them back.
    #[test]
    fn what_is_sealed_are_the_checksums_that_the_engine_writes() -> crate::TestResult {
        for image in Image::all(1)? {
            for (kind, seal) in [
                (FileKind::Run, run as fn(&mut [u8])),
                (FileKind::Log, segment),
                (FileKind::Manifest, manifest),
            ] {
                for name in image.names(kind) {
                    let mut bytes = image.files[name].clone();
                    let (header_len, at) = match kind {
                        FileKind::Run => (bytes.len(), bytes.len() - 12),
                        FileKind::Log => (80, 76),
                        FileKind::Manifest => (64, 60),
                    };
                    put(&mut bytes, at, Some(7));
                    // And of the first record.
                    put(&mut bytes, header_len, Some(7));
                    put(&mut bytes, header_len + 4, Some(7));
                    seal(&mut bytes);
                    assert!(bytes == image.files[name], "{}, {name}", image.name);
                }
            }
        }
        Ok(())
    }
}
