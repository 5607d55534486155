//! Filters: what lets a read skip a memtable or a run that surely lacks its key.
//!
//! Hints only: whatever is missing, evicted, stale or damaged is answered "maybe", and answers are
//! the same without any of it. With the Cargo feature `bloom` off there are none, and the callers
//! don't know.

#[cfg(feature = "bloom")]
#[path = "filter/on.rs"]
mod chosen;
#[cfg(not(feature = "bloom"))]
#[path = "filter/off.rs"]
mod chosen;

pub(crate) use chosen::{Filters, MemtableFilter, OutputFilter, Probe, RunFilter};

/// Filters of at least this many bits a key are made of 8-bit fingerprints.
#[cfg(feature = "bloom")]
const EIGHT_BIT_COST: u32 = 9;
/// And from here on of 16-bit fingerprints.
#[cfg(feature = "bloom")]
const SIXTEEN_BIT_COST: u32 = 18;

/// The size of a run's fingerprints.
#[cfg(feature = "bloom")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    None,
    Eight,
    Sixteen,
}

/// What a budget of so many bits a key buys a run. The deepest level holds nearly all keys, so its
/// filters are what costs; all others together are a tenth of them, and are asked more often.
#[cfg(feature = "bloom")]
fn size_for(budget_bits: u32, is_deepest: bool) -> Size {
    match (budget_bits, is_deepest) {
        (0, _) => Size::None,
        (SIXTEEN_BIT_COST.., _) | (_, false) => Size::Sixteen,
        (EIGHT_BIT_COST.., true) => Size::Eight,
        (_, true) => Size::None,
    }
}

#[cfg(all(test, feature = "bloom"))]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_level_pays_for_the_budget() {
        let sizes = [0, 1, 8, 9, 10, 17, 18, 40].map(|bits| size_for(bits, true));
        let (none, eight, sixteen) = (Size::None, Size::Eight, Size::Sixteen);
        assert_eq!(
            sizes,
            [none, none, none, eight, eight, eight, sixteen, sixteen]
        );
        let others = [0, 1, 10, 18].map(|bits| size_for(bits, false));
        assert_eq!(others, [none, sixteen, sixteen, sixteen]);
    }
}
