//! The suites and their cells. A cell is what one process does with one engine.

use crate::Result;
use crate::bench::Bench;
use crate::engine::{Engine, Options};
use crate::engines;

mod core;
mod durable;
mod misses;
mod mixed;
mod one_x;
mod queue;
mod scale;
mod scan;
pub mod tail;
mod ycsb;

/// Does a cell with one engine.
type Run = fn(&mut Bench) -> Result<()>;

/// A cell, as it is run with one engine.
pub struct Cell {
    pub suite: &'static str,
    pub name: &'static str,
    pub run: Run,
    /// Bytes of cache that every engine gets.
    pub cache_bytes: usize,
    pub describe: fn(&Options) -> Vec<(&'static str, String)>,
}

/// More than the data of any cell but those of `scale`.
const CACHE_BYTES: usize = 1 << 30;
const SCALE_CACHE_BYTES: usize = 4 << 30;

fn cell<E: Engine>(suite: &'static str, name: &'static str, run: Run) -> Cell {
    Cell {
        suite,
        name,
        run,
        cache_bytes: CACHE_BYTES,
        describe: E::describe,
    }
}

/// Every cell of every suite, in the order in which they are run and reported.
pub fn all<E: Engine>() -> Vec<Cell> {
    let mut cells = of_most_suites::<E>();
    cells.extend(of_one_x::<E>());
    cells
}

/// The cells of every suite but `1x`.
fn of_most_suites<E: Engine>() -> Vec<Cell> {
    let cell = cell::<E>;
    let scaled = |name, run: Run| Cell {
        cache_bytes: SCALE_CACHE_BYTES,
        ..cell("scale", name, run)
    };
    vec![
        cell("core", "load", core::load::<E>),
        cell("core", "load-at-once", core::load_at_once::<E>),
        cell("core", "writes", core::writes::<E>),
        cell("core", "reads", core::reads::<E>),
        cell("core", "removals", core::removals::<E>),
        cell("core", "sorted", core::sorted::<E>),
        cell("core", "defaults", core::defaults::<E>),
        cell("misses", "settled", misses::settled::<E>),
        cell("misses", "unsettled", misses::unsettled::<E>),
        cell("queue", "take", queue::take::<E>),
        cell("queue", "ranges", queue::ranges::<E>),
        cell("scan", "settled", scan::settled::<E>),
        cell("scan", "unsettled", scan::unsettled::<E>),
        cell("durable", "puts", durable::puts_on_threads::<E>),
        cell("durable", "reader", durable::reader_beside_writers::<E>),
        cell("durable", "large-values", durable::large_values::<E>),
        cell("durable", "replay", durable::replay::<E>),
        cell("mixed", "compaction", mixed::compaction::<E>),
        cell("mixed", "snapshot", mixed::snapshot::<E>),
        cell("mixed", "cold", mixed::cold::<E>),
        cell("ycsb", "a", ycsb::a::<E>),
        cell("ycsb", "b", ycsb::b::<E>),
        cell("ycsb", "c", ycsb::c::<E>),
        cell("ycsb", "d", ycsb::d::<E>),
        cell("ycsb", "e", ycsb::e::<E>),
        cell("ycsb", "f", ycsb::f::<E>),
        scaled("1m", scale::one_million::<E>),
        scaled("4m", scale::four_millions::<E>),
        scaled("16m", scale::sixteen_millions::<E>),
        cell("tail", "sustained", tail::sustained::<E>),
        cell("tail", "open-loop", tail::open_loop::<E>),
    ]
}

/// The cells of the suite `1x`.
fn of_one_x<E: Engine>() -> Vec<Cell> {
    let cell = cell::<E>;
    vec![
        cell("1x", "small", one_x::small::<E>),
        cell("1x", "sixteen-runs", one_x::sixteen_runs::<E>),
        cell("1x", "million", one_x::million::<E>),
        cell("1x", "defaults", one_x::small_defaults::<E>),
    ]
}

/// The cells for an engine, by its name; none if this build lacks it.
pub fn of_engine(engine: &str) -> Option<Vec<Cell>> {
    match engine {
        "ours" => Some(all::<engines::ours::Ours>()),
        "fjall" => Some(of_most_suites::<engines::fjall::Fjall>()),
        "redb" => Some(all::<engines::redb::Redb>()),
        #[cfg(feature = "lmdb")]
        "lmdb" => Some(of_most_suites::<engines::lmdb::Lmdb>()),
        #[cfg(feature = "rocksdb")]
        "rocksdb" => Some(of_most_suites::<engines::rocksdb::RocksDb>()),
        "sled" => Some(of_one_x::<engines::sled::Sled>()),
        "1x" => Some(of_one_x::<engines::one_x::OneX>()),
        _ => None,
    }
}
