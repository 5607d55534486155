//! The manifest as a user sees it: commits, failures, crashes, hostile files, and the bytes.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod commit;
mod crash;
mod failure;
mod format;
mod hostile;
mod model;
mod support;
