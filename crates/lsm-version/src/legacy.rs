//! The text manifest of `lsm-db` 1.x, which a database may still have when it is first opened.
//!
//! Called when [`Manifest::load`](crate::Manifest::load) answers
//! [`LoadError::Legacy`](crate::LoadError::Legacy), before [`Manifest::adopt`](crate::Manifest::adopt).
//! Reads only; run names are taken apart into integers and never used as paths.

use std::collections::HashSet;
use std::ffi::OsStr;

use crate::{RUN_ID_MAX, RunId, parse_run_file_name};

const FIRST_LINE: &str = "LSMDB-MANIFEST v1";
const NEXT_ID_FIELD: &str = "next_seq=";

/// What a text manifest of `lsm-db` 1.x says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyManifest {
    /// The next run id to be given out; above every id in `runs`.
    pub next_run_id: RunId,
    /// The runs, newest first.
    pub runs: Vec<RunId>,
}

/// Why bytes are no text manifest of `lsm-db` 1.x. The file has no checksum: restore it from a copy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the text manifest {reason}")]
pub struct LegacyManifestError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl LegacyManifest {
    /// How many bytes [`is_start_of_one`](Self::is_start_of_one) needs.
    pub(crate) const START_LEN: usize = FIRST_LINE.len() + 1;

    /// Whether a file that starts with `bytes` claims to be of this format.
    pub(crate) fn is_start_of_one(bytes: &[u8]) -> bool {
        let rest = bytes.strip_prefix(FIRST_LINE.as_bytes());
        rest.is_some_and(|rest| matches!(rest.first(), Some(b'\n' | b'\r')))
    }

    /// Parses the whole file.
    ///
    /// # Errors
    /// A [`LegacyManifestError`] for anything that `lsm-db` 1.x does not write: another first line, a
    /// next id that is missing, past ten digits or not above every run, a name that is not
    /// `run-<10 digits>.sst`, a run that is listed twice, a last line that does not end.
    ///
    /// ```
    /// use lsm_version::LegacyManifest;
    /// let text = b"LSMDB-MANIFEST v1\nnext_seq=3\nrun-0000000002.sst\nrun-0000000001.sst\n";
    /// assert_eq!(LegacyManifest::parse(text)?.runs, [2, 1]);
    /// assert!(LegacyManifest::parse(b"LSMDB-MANIFEST v1\nnext_seq=3\n../../x\n").is_err());
    /// # Ok::<(), lsm_version::LegacyManifestError>(())
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Self, LegacyManifestError> {
        let fail = |line, reason| LegacyManifestError { line, reason };
        let text = std::str::from_utf8(bytes).map_err(|_| fail(1, "is not text"))?;
        let mut lines = (1..).zip(text.lines());
        match lines.next() {
            Some((_, FIRST_LINE)) => {}
            _ => return Err(fail(1, "does not name the format")),
        }
        let next = lines
            .next()
            .and_then(|(_, line)| line.strip_prefix(NEXT_ID_FIELD));
        let digits = next.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let next_run_id: RunId = digits
            .and_then(|digits| digits.parse().ok())
            .filter(|&id| id <= RUN_ID_MAX)
            .ok_or(fail(2, "does not give the next run id"))?;
        let mut runs = Vec::new();
        let mut seen = HashSet::new();
        for (line, name) in lines {
            let id = parse_run_file_name(OsStr::new(name));
            let id = id.ok_or(fail(line, "is not the name of a run"))?;
            if id >= next_run_id {
                return Err(fail(line, "names a run that was not given out"));
            }
            if !seen.insert(id) {
                return Err(fail(line, "names a run again"));
            }
            runs.push(id);
        }
        if !text.ends_with('\n') {
            // Each line that 1.x writes ends, so something is missing, if only that.
            return Err(fail(text.lines().count(), "is cut short"));
        }
        Ok(Self { next_run_id, runs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = match LegacyManifest::parse(text.as_bytes()) {
            Ok(LegacyManifest { next_run_id, runs }) => format!("{next_run_id}: {runs:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn a_manifest_as_lsm_db_writes_it() {
        check("LSMDB-MANIFEST v1\nnext_seq=0\n", "0: []");
        check(
            "LSMDB-MANIFEST v1\nnext_seq=12\nrun-0000000011.sst\nrun-0000000000.sst\n",
            "12: [11, 0]",
        );
    }

    #[test]
    fn a_hostile_manifest_names_no_file_outside() {
        for name in [
            "../../x",
            "/etc/x",
            "",
            "run-1.sst",
            "wal.log",
            " run-0000000001.sst",
        ] {
            check(
                &format!("LSMDB-MANIFEST v1\nnext_seq=12\n{name}\n"),
                "line 3 of the text manifest is not the name of a run",
            );
        }
    }

    #[test]
    fn a_next_id_that_would_overwrite_a_run_is_refused() {
        check(
            "LSMDB-MANIFEST v1\nnext_seq=11\nrun-0000000011.sst\n",
            "line 3 of the text manifest names a run that was not given out",
        );
        for next in [
            "",
            "-1",
            "+1",
            "x",
            "10000000000",
            "18446744073709551615",
            "99999999999999999999",
        ] {
            check(
                &format!("LSMDB-MANIFEST v1\nnext_seq={next}\n"),
                "line 2 of the text manifest does not give the next run id",
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        check("", "line 1 of the text manifest does not name the format");
        check(
            "LSMDB-MANIFEST v2\n",
            "line 1 of the text manifest does not name the format",
        );
        check(
            "LSMDB-MANIFEST v1",
            "line 2 of the text manifest does not give the next run id",
        );
        check(
            "LSMDB-MANIFEST v1\nnext_seq=3\nrun-0000000001.sst\nrun-0000000001.sst\n",
            "line 4 of the text manifest names a run again",
        );
        for cut in ["next_seq=3", "next_seq=3\nrun-0000000001.sst"] {
            let line = 1 + cut.lines().count();
            check(
                &format!("LSMDB-MANIFEST v1\n{cut}"),
                &format!("line {line} of the text manifest is cut short"),
            );
        }
        assert!(LegacyManifest::parse(b"LSMDB-MANIFEST v1\nnext_seq=3\n\xff").is_err());
    }
}
