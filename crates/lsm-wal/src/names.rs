//! The names of segment files: made from integers, and parsed back so strictly that no foreign
//! file is ever taken for one of ours.

use std::ffi::OsStr;

use lsm_fs::FileName;

const PREFIX: &str = "wal-";
const SUFFIX: &str = ".log";
const TEMPORARY_SUFFIX: &str = ".log.tmp";
const DIGITS_MIN: usize = 10;

/// The file name of segment `id`: `wal-`, the id in at least ten digits, `.log`.
///
/// ```
/// assert_eq!(lsm_wal::segment_file_name(7), "wal-0000000007.log");
/// ```
#[must_use]
pub fn segment_file_name(id: u64) -> FileName {
    const SUFFIX_NAME: FileName = FileName::constant(SUFFIX);
    numbered(id).then(&SUFFIX_NAME)
}

/// The name under which segment `id` is written before it is renamed into place.
#[must_use]
pub fn segment_temporary_file_name(id: u64) -> FileName {
    const SUFFIX_NAME: FileName = FileName::constant(TEMPORARY_SUFFIX);
    numbered(id).then(&SUFFIX_NAME)
}

fn numbered(id: u64) -> FileName {
    const PREFIX_NAME: FileName = FileName::constant(PREFIX);
    PREFIX_NAME.then_number(id, DIGITS_MIN)
}

/// The id of the segment that a file of this name is, or `None` if it isn't one.
///
/// Strict: only the exact name that [`segment_file_name`] would make is accepted.
///
/// ```
/// use std::ffi::OsStr;
/// let parse = |name: &str| lsm_wal::parse_segment_file_name(OsStr::new(name));
/// assert_eq!(parse("wal-0000000007.log"), Some(7));
/// assert_eq!(parse("wal-7.log"), None);
/// assert_eq!(parse("wal.log"), None);
/// ```
#[must_use]
pub fn parse_segment_file_name(name: &OsStr) -> Option<u64> {
    parse(name, SUFFIX)
}

/// The id of the segment that a temporary file of this name was meant to become, or `None` if it
/// isn't one. As strict as [`parse_segment_file_name`].
#[must_use]
pub fn parse_segment_temporary_file_name(name: &OsStr) -> Option<u64> {
    parse(name, TEMPORARY_SUFFIX)
}

fn parse(name: &OsStr, suffix: &str) -> Option<u64> {
    let digits = name.to_str()?.strip_prefix(PREFIX)?.strip_suffix(suffix)?;
    if digits.len() < DIGITS_MIN || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.len() > DIGITS_MIN && digits.starts_with('0') {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_nothing_else_parses() {
        for id in [0, 1, 9_999_999_999, 10_000_000_000, u64::MAX] {
            let name = segment_file_name(id);
            assert_eq!(parse_segment_file_name(name.as_os_str()), Some(id));
            assert_eq!(parse_segment_temporary_file_name(name.as_os_str()), None);
            let temporary = segment_temporary_file_name(id);
            assert_eq!(
                parse_segment_temporary_file_name(temporary.as_os_str()),
                Some(id)
            );
            assert_eq!(parse_segment_file_name(temporary.as_os_str()), None);
        }
        for foreign in [
            "wal-1.log",
            "wal-00000000001.log",
            "wal-+000000001.log",
            "wal-000000000a.log",
            "wal-0000000001.log ",
            "wal-0000000001.LOG",
            "wal-99999999999999999999999.log",
            "wal-.log",
            "wal.log",
            "run-0000000001.sst",
            "",
        ] {
            assert_eq!(
                parse_segment_file_name(OsStr::new(foreign)),
                None,
                "{foreign}"
            );
        }
    }
}
