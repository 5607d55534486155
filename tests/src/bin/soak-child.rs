//! The child of the soak that `cargo test` runs. `cargo xtask soak` starts itself instead.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    // Unlike its lock, what `stdin` gives may be read by another thread than this.
    match lsm_tests::soak::serve(std::io::stdin(), std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
