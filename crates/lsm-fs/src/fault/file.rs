//! Open files of the fault-injecting file system.
//!
//! Called through the seam. Never caches: each call is one call on the file underneath, or none.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::control::Control;
use super::event::{Event, HandleId, Operation};
use super::rule::Verdict;
use crate::File;
use crate::sim::SimFile;

/// The file underneath. A simulated one is known as such, because a failed sync does something to
/// it.
pub(super) enum Target {
    Any(Arc<dyn File>),
    Sim(SimFile),
}

impl Target {
    fn file(&self) -> &dyn File {
        match self {
            Self::Any(file) => &**file,
            Self::Sim(file) => file,
        }
    }

    fn fail_sync(&self) {
        match self {
            Self::Any(_) => {}
            Self::Sim(file) => file.fail_sync(),
        }
    }

    /// Leaves `bytes` past the logical end, as a failed write may.
    fn scribble(&self, bytes: &[u8]) {
        match self {
            Self::Any(_) => {}
            Self::Sim(file) => file.scribble(bytes),
        }
    }
}

pub(super) struct FaultFile {
    target: Target,
    path: PathBuf,
    handle: HandleId,
    control: Arc<Control>,
    /// Where the next append goes, for its event.
    logical_end: Mutex<u64>,
}

impl fmt::Debug for FaultFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl FaultFile {
    pub(super) fn new(target: Target, path: &Path, control: Arc<Control>) -> Self {
        let handle = control.with(|state| {
            state.handles += 1;
            HandleId(state.handles)
        });
        Self {
            target,
            path: path.to_path_buf(),
            handle,
            control,
            logical_end: Mutex::new(0),
        }
    }

    fn logical_end(&self) -> MutexGuard<'_, u64> {
        self.logical_end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn event(&self, operation: Operation) -> Event<'_> {
        Event::new(operation, &self.path).through(self.handle)
    }
}

impl File for FaultFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut event = self.event(Operation::ReadAt).at(offset, buf.len() as u64);
        let result = match self.control.admit(&mut event) {
            Verdict::Proceed | Verdict::ShortWrite { .. } => {
                self.target.file().read_at(buf, offset)
            }
            Verdict::Fail(fault) => Err(fault.error()),
        };
        event.len = result.as_ref().map_or(event.len, |&read| read as u64);
        self.control.record(&event, result.is_ok());
        result
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let offset = *self.logical_end();
        let mut event = self.event(Operation::Append).at(offset, bytes.len() as u64);
        let file = self.target.file();
        let result = match self.control.admit(&mut event) {
            Verdict::Proceed => file.append(bytes),
            Verdict::Fail(fault) => {
                if fault.takes_effect() {
                    self.target.scribble(bytes);
                }
                Err(fault.error())
            }
            Verdict::ShortWrite { bytes: count } => match bytes.get(..count).unwrap_or(bytes) {
                [] => Ok(0),
                part => file.append(part),
            },
        };
        if let Ok(written) = result {
            *self.logical_end() += written as u64;
            event.len = written as u64;
        }
        self.control.record(&event, result.is_ok());
        result
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let event = self.event(Operation::Preallocate).at(0, len);
        self.control
            .run(event, || self.target.file().preallocate(len), || {})
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let event = self.event(Operation::Truncate).at(0, len);
        let truncate = || {
            self.target.file().truncate(len)?;
            let mut end = self.logical_end();
            *end = len.min(*end);
            Ok(())
        };
        self.control.run(event, truncate, || {})
    }

    fn len(&self) -> io::Result<u64> {
        self.control.run(
            self.event(Operation::Len),
            || self.target.file().len(),
            || {},
        )
    }

    fn sync(&self) -> io::Result<()> {
        let sync = || self.target.file().sync();
        self.control.run(self.event(Operation::Sync), sync, || {
            self.target.fail_sync()
        })
    }

    fn is_linked(&self) -> io::Result<bool> {
        self.control.run(
            self.event(Operation::IsLinked),
            || self.target.file().is_linked(),
            || {},
        )
    }
}
