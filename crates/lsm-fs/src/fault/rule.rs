//! Faults, and the rules that say which operation they strike.
//!
//! Called by the control for every operation, under its lock.

use std::fmt;
use std::io;
use std::path::Path;

use super::event::{Event, HandleId, Operation};

/// Which paths are meant.
pub(super) type PathFilter = Box<dyn Fn(&Path) -> bool + Send + Sync>;

/// What goes wrong: an error, once, before the operation did anything, unless said otherwise.
///
/// ```
/// use std::io;
/// use lsm_fs::Fault;
///
/// let no_room_once = Fault::new(io::ErrorKind::StorageFull);
/// let dead_disk = Fault::from_raw_os_error(5).for_good(); // EIO
/// let torn = Fault::new(io::ErrorKind::StorageFull).short_write(100);
/// let unknown_fate = Fault::from_raw_os_error(5).after_the_effect();
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    cause: Cause,
    for_good: bool,
    short_write: Option<usize>,
    takes_effect: bool,
}

#[derive(Debug, Clone, Copy)]
enum Cause {
    Kind(io::ErrorKind),
    Os(i32),
}

impl Fault {
    /// An error of this kind, such as `StorageFull`.
    pub const fn new(kind: io::ErrorKind) -> Self {
        Self::of(Cause::Kind(kind))
    }

    /// The operating system's error of this number, such as 5 (`EIO`) on Unix.
    pub const fn from_raw_os_error(code: i32) -> Self {
        Self::of(Cause::Os(code))
    }

    const fn of(cause: Cause) -> Self {
        Self {
            cause,
            for_good: false,
            short_write: None,
            takes_effect: false,
        }
    }

    /// Strikes every operation that the rule matches from then on, not only the first one.
    #[must_use]
    pub const fn for_good(self) -> Self {
        Self {
            for_good: true,
            ..self
        }
    }

    /// If an append is struck, it writes its first `bytes` bytes and reports that many, as a kernel
    /// does; the error is what the *next* append to that file gets. 0 is a write of zero bytes.
    ///
    /// Other operations get the error at once.
    #[must_use]
    pub const fn short_write(self, bytes: usize) -> Self {
        Self {
            short_write: Some(bytes),
            ..self
        }
    }

    /// The operation happens, and then its caller is told that it failed: as when the disk's answer
    /// is lost. Takes precedence over [`short_write`](Self::short_write).
    ///
    /// An append must not move the logical end when it fails: over a simulated file system it leaves
    /// its bytes past that end, over another one nothing.
    #[must_use]
    pub const fn after_the_effect(self) -> Self {
        Self {
            takes_effect: true,
            ..self
        }
    }

    pub(super) fn error(&self) -> io::Error {
        match self.cause {
            Cause::Kind(kind) => io::Error::new(kind, Injected),
            Cause::Os(code) => io::Error::from_raw_os_error(code),
        }
    }

    pub(super) fn takes_effect(&self) -> bool {
        self.takes_effect
    }
}

/// Tells an injected error from a real one in a test's output.
#[derive(Debug, thiserror::Error)]
#[error("injected fault")]
struct Injected;

/// What becomes of an operation.
#[derive(Debug)]
pub(super) enum Verdict {
    Proceed,
    Fail(Fault),
    /// Only of an append: write so many bytes and report that.
    ShortWrite {
        bytes: usize,
    },
}

/// A fault, armed.
pub(super) struct Rule {
    target: Target,
    fault: Fault,
    struck: bool,
}

enum Target {
    FromMutation(u64),
    FromOperation(u64),
    When {
        operation: Operation,
        filter: PathFilter,
    },
    /// The next append through this handle: what a short write leaves behind.
    AppendTo(HandleId),
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

impl Rule {
    pub(super) fn from_mutation(first: u64, fault: Fault) -> Self {
        Self {
            target: Target::FromMutation(first),
            fault,
            struck: false,
        }
    }

    pub(super) fn from_operation(first: u64, fault: Fault) -> Self {
        Self {
            target: Target::FromOperation(first),
            fault,
            struck: false,
        }
    }

    pub(super) fn when(operation: Operation, filter: PathFilter, fault: Fault) -> Self {
        Self {
            target: Target::When { operation, filter },
            fault,
            struck: false,
        }
    }

    /// Whether it will never strike again.
    pub(super) fn is_spent(&self) -> bool {
        self.struck && !self.fault.for_good
    }

    /// What this rule wants to become of an operation.
    pub(super) fn judge(&mut self, event: &Event<'_>) -> Verdict {
        if !self.matches(event) {
            return Verdict::Proceed;
        }
        let is_first = !self.struck;
        self.struck = true;
        let fault = self.fault.clone();
        let Some(bytes) = fault
            .short_write
            .filter(|_| is_first && !fault.takes_effect)
        else {
            return Verdict::Fail(fault);
        };
        let Some(handle) = event.appends_to() else {
            return Verdict::Fail(fault);
        };
        if !fault.for_good {
            // The error itself is still to come.
            *self = Self {
                target: Target::AppendTo(handle),
                fault: Fault {
                    short_write: None,
                    ..fault
                },
                struck: false,
            };
        }
        Verdict::ShortWrite { bytes }
    }

    fn matches(&self, event: &Event<'_>) -> bool {
        // A numbered fault that strikes once strikes that number or none: an operation that was
        // held meanwhile must not take it over.
        let reaches =
            |index: u64, first: u64| index == first || (self.fault.for_good && index > first);
        match &self.target {
            Target::FromMutation(first) => event
                .mutation_index
                .is_some_and(|index| reaches(index, *first)),
            Target::FromOperation(first) => reaches(event.index, *first),
            Target::When { operation, filter } => event.is(*operation, filter),
            Target::AppendTo(handle) => event.appends_to() == Some(*handle),
        }
    }
}
