//! The commands that run the engine itself.
//!
//! Their figures mean something in a release build only, and the rest of this program should build
//! without the engine. So without the feature `engine` each command builds this program again,
//! optimised and with that feature, and hands over its arguments.

#[cfg(not(feature = "engine"))]
mod again;
#[cfg(feature = "engine")]
mod crash;
#[cfg(feature = "engine")]
mod extremes;
#[cfg(feature = "engine")]
mod load;
#[cfg(feature = "engine")]
mod scratch;
#[cfg(feature = "engine")]
mod soak;

#[cfg(not(feature = "engine"))]
pub(crate) use again::{crash, extremes, load, soak, soak_child};
#[cfg(feature = "engine")]
pub(crate) use {
    crash::crash,
    extremes::extremes,
    load::load,
    soak::{soak, soak_child},
};
