//! The names of a database's files, in both directions: integer → name, directory name → kind.
//!
//! Called by whoever creates, opens or reclaims a file of the database. Names are built from
//! integers only and parsed strictly, so that no text out of a file or a directory listing ever
//! becomes a path: a name that these functions would not have produced is [`FileKind::Foreign`].
//! Touches no file system; whether a name belongs to a regular file is the caller's to check.

use std::ffi::OsStr;

use lsm_fs::FileName;

/// The file number of a run: never reused, not even across a crash.
pub type RunId = u64;

/// The largest run id that a file name of ten digits can hold.
pub const RUN_ID_MAX: RunId = 9_999_999_999;

/// The name of the durable log of version edits.
pub const MANIFEST_FILE_NAME: FileName = FileName::constant(MANIFEST);

/// The name under which a rewritten manifest is built, before it is renamed into place.
pub const MANIFEST_TEMP_FILE_NAME: FileName = FileName::constant(MANIFEST_TEMP);

/// The name of the file that one handle locks; it is empty and never deleted.
pub const LOCK_FILE_NAME: FileName = FileName::constant(LOCK);

/// The name of the log that `lsm-db` 1.x left behind.
pub const LEGACY_LOG_FILE_NAME: FileName = FileName::constant(LEGACY_LOG);

const MANIFEST: &str = "MANIFEST";
const MANIFEST_TEMP: &str = "MANIFEST.tmp";
const LOCK: &str = "LOCK";
const LEGACY_LOG: &str = "wal.log";
const RUN_PREFIX: &str = "run-";
const RUN_SUFFIX: &str = ".sst";
const SIDECAR_SUFFIX: &str = ".bloom";
const TEMP_SUFFIX: &str = ".tmp";
const RUN_DIGITS: usize = 10;

const TEMP: FileName = FileName::constant(TEMP_SUFFIX);

/// What a name in a database's directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FileKind {
    /// `run-<10 digits>.sst`: an immutable run.
    Run(RunId),
    /// `run-<10 digits>.sst.tmp`: a run that was not finished.
    RunTemp(RunId),
    /// `run-<10 digits>.sst.bloom`: the filter beside a run.
    RunSidecar(RunId),
    /// `run-<10 digits>.sst.bloom.tmp`: a filter that was not finished.
    RunSidecarTemp(RunId),
    /// `wal-<digits>.log`: a segment of the write-ahead log.
    Segment(u64),
    /// `wal-<digits>.log.tmp`: a rewritten segment that was not finished.
    SegmentTemp(u64),
    /// `wal.log`: the log of `lsm-db` 1.x.
    LegacyLog,
    /// `MANIFEST`.
    Manifest,
    /// `MANIFEST.tmp`: a manifest that was not finished.
    ManifestTemp,
    /// `LOCK`.
    Lock,
    /// Somebody else's: never opened, renamed or removed.
    Foreign,
}

impl FileKind {
    /// Tells what `name`, a directory entry without a path, stands for.
    ///
    /// ```
    /// use lsm_version::FileKind;
    /// assert_eq!(FileKind::of("run-0000000007.sst".as_ref()), FileKind::Run(7));
    /// assert_eq!(FileKind::of("run-7.sst".as_ref()), FileKind::Foreign);
    /// ```
    #[must_use]
    pub fn of(name: &OsStr) -> Self {
        let Some(text) = name.to_str() else {
            return Self::Foreign;
        };
        match text {
            MANIFEST => return Self::Manifest,
            MANIFEST_TEMP => return Self::ManifestTemp,
            LOCK => return Self::Lock,
            LEGACY_LOG => return Self::LegacyLog,
            _ => {}
        }
        let (stem, temporary) = match text.strip_suffix(TEMP_SUFFIX) {
            Some(stem) => (stem, true),
            None => (text, false),
        };
        let kind = Self::of_numbered(stem);
        match (kind, temporary) {
            (kind, false) => kind,
            (Self::Run(id), true) => Self::RunTemp(id),
            (Self::RunSidecar(id), true) => Self::RunSidecarTemp(id),
            (Self::Segment(id), true) => Self::SegmentTemp(id),
            (_, true) => Self::Foreign,
        }
    }

    fn of_numbered(name: &str) -> Self {
        if let Some(id) = lsm_wal::parse_segment_file_name(OsStr::new(name)) {
            return Self::Segment(id);
        }
        let (run_name, sidecar) = match name.strip_suffix(SIDECAR_SUFFIX) {
            Some(stem) => (stem, true),
            None => (name, false),
        };
        match (parse_run_name(run_name), sidecar) {
            (Some(id), false) => Self::Run(id),
            (Some(id), true) => Self::RunSidecar(id),
            (None, _) => Self::Foreign,
        }
    }

    /// Whether the file is left over from an unfinished write and may be removed on sight.
    #[must_use]
    pub fn is_temporary(self) -> bool {
        matches!(
            self,
            Self::RunTemp(_) | Self::RunSidecarTemp(_) | Self::SegmentTemp(_) | Self::ManifestTemp
        )
    }
}

/// The name of run `id`: `run-<10 digits>.sst`.
///
/// An id above [`RUN_ID_MAX`] gives a name that is not parsed back; no edit lets such an id in.
#[must_use]
pub fn run_file_name(id: RunId) -> FileName {
    const PREFIX: FileName = FileName::constant(RUN_PREFIX);
    const SUFFIX: FileName = FileName::constant(RUN_SUFFIX);
    PREFIX.then_number(id, RUN_DIGITS).then(&SUFFIX)
}

/// The name under which run `id` is written, before it is renamed into place.
#[must_use]
pub fn run_temp_file_name(id: RunId) -> FileName {
    run_file_name(id).then(&TEMP)
}

/// The name of the filter beside run `id`: `run-<10 digits>.sst.bloom`.
#[must_use]
pub fn run_sidecar_file_name(id: RunId) -> FileName {
    const SIDECAR: FileName = FileName::constant(SIDECAR_SUFFIX);
    run_file_name(id).then(&SIDECAR)
}

/// The name under which the filter beside run `id` is written, before it is renamed into place.
#[must_use]
pub fn run_sidecar_temp_file_name(id: RunId) -> FileName {
    run_sidecar_file_name(id).then(&TEMP)
}

/// The name under which a run of `lsm-db` 1.x that its manifest does not name is kept:
/// [foreign](FileKind::Foreign) from then on. `number` tells names apart where the first, 0, is
/// taken.
///
/// ```
/// use lsm_version::run_unnamed_file_name;
/// assert_eq!(run_unnamed_file_name(7, 0), "run-0000000007.sst.unnamed");
/// assert_eq!(run_unnamed_file_name(7, 2), "run-0000000007.sst.unnamed-2");
/// ```
#[must_use]
pub fn run_unnamed_file_name(id: RunId, number: u32) -> FileName {
    const UNNAMED: FileName = FileName::constant(".unnamed");
    const DASH: FileName = FileName::constant("-");
    let name = run_file_name(id).then(&UNNAMED);
    match number {
        0 => name,
        _ => name.then(&DASH).then_number(number.into(), 1),
    }
}

/// The id in a run's file name, or `None` if `name` is not exactly `run-<10 digits>.sst`.
#[must_use]
pub fn parse_run_file_name(name: &OsStr) -> Option<RunId> {
    parse_run_name(name.to_str()?)
}

fn parse_run_name(name: &str) -> Option<RunId> {
    let digits = name.strip_prefix(RUN_PREFIX)?.strip_suffix(RUN_SUFFIX)?;
    // `u64::from_str` would also take a sign.
    if digits.len() != RUN_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_ours_is_recognised_and_what_is_unnamed_is_none() {
        for (name, kind) in [
            (run_file_name(0), FileKind::Run(0)),
            (run_file_name(RUN_ID_MAX), FileKind::Run(RUN_ID_MAX)),
            (run_temp_file_name(12), FileKind::RunTemp(12)),
            (run_sidecar_file_name(12), FileKind::RunSidecar(12)),
            (run_sidecar_temp_file_name(12), FileKind::RunSidecarTemp(12)),
            (lsm_wal::segment_file_name(3), FileKind::Segment(3)),
            (
                lsm_wal::segment_file_name(123_456_789_012),
                FileKind::Segment(123_456_789_012),
            ),
            (
                lsm_wal::segment_temporary_file_name(3),
                FileKind::SegmentTemp(3),
            ),
            (LEGACY_LOG_FILE_NAME, FileKind::LegacyLog),
            (MANIFEST_FILE_NAME, FileKind::Manifest),
            (MANIFEST_TEMP_FILE_NAME, FileKind::ManifestTemp),
            (LOCK_FILE_NAME, FileKind::Lock),
            (run_unnamed_file_name(12, 0), FileKind::Foreign),
            (run_unnamed_file_name(12, 1), FileKind::Foreign),
        ] {
            assert_eq!(FileKind::of(OsStr::new(&name)), kind, "{name}");
        }
    }

    #[test]
    fn every_other_name_is_foreign() {
        for name in [
            "",
            "x.tmp",
            "LOCK.tmp",
            "lock",
            "manifest",
            "MANIFEST.tmp.tmp",
            "MANIFEST.bloom",
            "wal.log.tmp",
            "wal-.log",
            "wal-+000000003.log",
            "wal-3.log",
            "wal-00000000003.log",
            "wal-0000000003.log.bloom",
            "run-1.sst",
            "run-+000000001.sst",
            "run-00000000011.sst",
            "run-000000000a.sst",
            "run-0000000001.sst.tmp.bloom",
            "run-0000000001.sst.bloom.bloom",
            "run-0000000001.SST",
            "run-0000000001",
            "../run-0000000001.sst",
            "run-٠٠٠٠٠.sst",
        ] {
            assert_eq!(FileKind::of(OsStr::new(name)), FileKind::Foreign, "{name}");
            assert_eq!(parse_run_file_name(OsStr::new(name)), None, "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_utf8_is_foreign() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(
            FileKind::of(OsStr::from_bytes(b"run-\xff.sst")),
            FileKind::Foreign
        );
    }
}
