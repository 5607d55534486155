//! Work that must end: on a thread of its own, which is left behind if it does not.
//!
//! For searches, which rather report a hang than share it. The limit is far beyond what any of their
//! work takes on a busy machine; nothing is said about how long it takes.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// No play or life takes so long: most take milliseconds, and retries of background work give up
/// after some 20 seconds.
const LIMIT: Duration = Duration::from_secs(300);

/// Does the work, and waits for it.
///
/// # Errors
/// That it has not ended, or ended without a result.
pub(crate) fn watched<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name("play".to_owned());
    let spawned = thread.spawn(move || {
        // If nobody waits any more it has been reported as a hang.
        let _ = sender.send(work());
    });
    spawned.map_err(|error| format!("start a thread: {error}"))?;
    receiver.recv_timeout(LIMIT).map_err(|error| match error {
        RecvTimeoutError::Timeout => {
            format!("a hang: it has not ended after {} s", LIMIT.as_secs())
        }
        RecvTimeoutError::Disconnected => "it ended without a result".to_owned(),
    })
}
