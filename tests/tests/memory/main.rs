//! How much memory hostile files make the codecs and the store take, beside how long the files are.
//!
//! A binary of its own, because its allocator counts every byte of the process; its one test runs
//! alone. The bounds are those that docs/TESTING.md states.

#[cfg(test)]
mod bounds;
