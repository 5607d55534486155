//! Input and files that nobody should give a store: it says what is wrong, and breaks nothing.

#![allow(
    clippy::disallowed_methods,
    reason = "tests arrange and inspect real directories"
)]

#[cfg(test)]
mod directories;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod legacy;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod strays;
