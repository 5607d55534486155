//! The hot operations whose instructions are counted.
//!
//! Each sets itself up, warms up what is loaded or detected once, and hands its repetitions to the
//! meter. All of it is one thread on a simulated disk with stepped background work, and everything
//! random comes from a seed: the same program executes the same instructions every time.

mod cursors;
mod parts;
mod reads;
mod writes;

use crate::BenchResult;
use crate::meter::Meter;

/// An operation that can be counted.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// What it is called, on the command line and where its count is recorded.
    pub name: &'static str,
    /// What one of it is.
    pub what: &'static str,
    run: fn(&mut Meter) -> BenchResult,
}

impl Operation {
    /// Sets up and counts. Returns how many operations were counted.
    ///
    /// # Errors
    /// The store's; and if an operation does not do what it says.
    pub fn run(&self) -> BenchResult<u64> {
        let mut meter = Meter::default();
        (self.run)(&mut meter)?;
        Ok(meter.times())
    }
}

/// All operations, in the order in which they are shown.
pub fn all() -> impl Iterator<Item = &'static Operation> {
    let groups = [
        reads::OPERATIONS,
        cursors::OPERATIONS,
        writes::OPERATIONS,
        parts::OPERATIONS,
    ];
    groups.into_iter().flatten()
}

/// Entries of a store that is read.
const STORE_LEN: usize = 20_000;
/// Entries of each layer above the deepest, where there are layers.
const LAYER_LEN: usize = 2_000;
/// Runs of level 0, where there are layers.
const LAYERS: u64 = 4;
/// Repetitions of what takes some hundred instructions or more.
const TIMES: u64 = 4_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_does_what_it_says() -> BenchResult {
        for operation in all() {
            let times = operation
                .run()
                .map_err(|error| format!("{}: {error}", operation.name))?;
            assert!(times > 0, "{}", operation.name);
        }
        Ok(())
    }

    #[test]
    fn names_are_unique_and_can_be_keys_of_the_record() {
        let mut names: Vec<&str> = all().map(|operation| operation.name).collect();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(names.iter().all(|name| name.chars().all(is_plain)));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
