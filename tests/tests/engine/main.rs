//! How the store behaves, section by section: what a user may rely on.
//!
//! Most tests run on a simulated disk with a stepped scheduler, so that they are repeatable; those
//! that are about threads or real directories say so.

#![allow(
    clippy::disallowed_methods,
    reason = "tests arrange and inspect real directories"
)]

#[cfg(test)]
mod background_panics;
#[cfg(test)]
mod compaction;
#[cfg(test)]
mod conditions;
#[cfg(test)]
mod config;
#[cfg(test)]
mod counted_reads;
#[cfg(test)]
mod cursors;
#[cfg(test)]
mod directories;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod fault_sweep;
#[cfg(test)]
mod first_open;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod gaps;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod idle_deletes;
#[cfg(test)]
mod ids;
#[cfg(test)]
mod iterators;
#[cfg(test)]
mod last_drop;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod lock_holders;
#[cfg(test)]
mod log_off;
#[cfg(test)]
mod met_damage;
#[cfg(test)]
mod on_demand;
#[cfg(test)]
mod parked;
#[cfg(test)]
mod power_cut;
#[cfg(test)]
mod pressure;
#[cfg(test)]
mod proportion;
#[cfg(test)]
mod read_triggered;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod rot;
#[cfg(test)]
mod sealed_fronts;
#[cfg(all(test, feature = "bloom"))]
mod sidecars;
#[cfg(test)]
mod sizes;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod surface;
#[cfg(test)]
mod visibility;
#[cfg(test)]
mod waits;
#[cfg(test)]
mod warming;
