//! An open file of the real file system.
//!
//! Called through the seam. Retries nothing but an interrupted write of zeros.

use std::fs;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{fallocate, platform};
use crate::File;

/// One write while zero-filling: large enough that the system call is not what it costs.
const ZEROS: &[u8] = &[0; 64 * 1024];

#[derive(Debug)]
pub(super) struct RealFile {
    file: fs::File,
    /// Whether the file system says how many names a file has.
    counts_links: bool,
    /// Where the next append goes; `None` in a handle opened for reading. Held while the file's
    /// length is being changed, so that zero-filling never runs over an append.
    logical_end: Option<Mutex<u64>>,
}

impl RealFile {
    pub(super) fn for_reading(file: fs::File, counts_links: bool) -> Self {
        Self {
            file,
            counts_links,
            logical_end: None,
        }
    }

    pub(super) fn for_appending(file: fs::File, counts_links: bool) -> Self {
        Self {
            file,
            counts_links,
            logical_end: Some(Mutex::new(0)),
        }
    }

    fn logical_end(&self) -> io::Result<MutexGuard<'_, u64>> {
        let end = self
            .logical_end
            .as_ref()
            .ok_or(io::ErrorKind::PermissionDenied)?;
        Ok(end.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn fill_with_zeros(&self, mut from: u64, to: u64) -> io::Result<()> {
        while from < to {
            let left = usize::try_from(to - from).unwrap_or(usize::MAX);
            let zeros = ZEROS.get(..left).unwrap_or(ZEROS);
            match platform::write_at(&self.file, zeros, from) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => from += written as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        platform::read_at(&self.file, buf, offset)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut end = self.logical_end()?;
        let written = platform::write_at(&self.file, bytes, *end)?;
        *end += written as u64;
        Ok(written)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let _end = self.logical_end()?;
        let len_before = self.len()?;
        if len <= len_before {
            return Ok(());
        }
        let done = match fallocate::allocate(&self.file, len_before, len) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.fill_with_zeros(len_before, len)
            }
            done => done,
        };
        if done.is_err() {
            // A full disk may have given a part: hand it back, others need it more. If that fails
            // too, the file is merely longer than it must be.
            let _ = self.file.set_len(len_before);
        }
        done
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut end = self.logical_end()?;
        if len < self.len()? {
            self.file.set_len(len)?;
        }
        *end = len.min(*end);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn is_linked(&self) -> io::Result<bool> {
        Ok(!self.counts_links || platform::has_a_name(&self.file)?)
    }
}
