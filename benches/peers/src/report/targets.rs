//! What the project wants to reach, and whether the results say that it did. Missed ones stay.

use serde::{Deserialize, Serialize};

use super::row::{Spread, short};
use super::table::Table;

/// How a row is judged.
enum Bound {
    /// Ours at least so many times better than each of these peers.
    Times(&'static [&'static str], f64),
    /// Ours at least so many times another row of ours, of the same suite.
    TimesOurs(&'static str, f64),
    /// Ours at least this part of the best limit of the machine whose name begins so.
    OfLimit(&'static str, f64),
    AtLeast(f64),
    AtMost(f64),
}

struct Target {
    suite: &'static str,
    row: &'static str,
    bound: Bound,
}

const fn target(suite: &'static str, row: &'static str, bound: Bound) -> Target {
    Target { suite, row, bound }
}

const LSM_TREES: &[&str] = &["fjall", "rocksdb"];

const TARGETS: &[Target] = &[
    target("core", "random gets", Bound::Times(LSM_TREES, 4.0)),
    target("core", "random gets", Bound::Times(&["redb"], 1.2)),
    target("core", "random gets", Bound::Times(&["lmdb"], 1.0)),
    target(
        "core",
        "random gets, 2 threads",
        Bound::TimesOurs("random gets", 1.8),
    ),
    target(
        "misses",
        "gets of absent keys, settled",
        Bound::Times(LSM_TREES, 5.0),
    ),
    target(
        "misses",
        "gets of absent keys, settled",
        Bound::Times(&["redb"], 2.0),
    ),
    target(
        "mixed",
        "cold gets, blocks read for each",
        Bound::AtMost(1.02),
    ),
    target("core", "seek + 10", Bound::Times(LSM_TREES, 4.0)),
    target("core", "seek + 10", Bound::Times(&["redb"], 1.0)),
    target(
        "scan",
        "forward, settled",
        Bound::Times(&["redb", "lmdb"], 1.0),
    ),
    target(
        "scan",
        "forward, owned, settled",
        Bound::Times(&["redb", "lmdb"], 1.0),
    ),
    target(
        "scan",
        "forward, four sources more",
        Bound::Times(&["fjall"], 3.0),
    ),
    target(
        "core",
        "bulk load, until idle",
        Bound::Times(&["fjall"], 2.0),
    ),
    target(
        "core",
        "bulk load, until idle",
        Bound::Times(&["lmdb"], 1.0),
    ),
    target("core", "sorted inserts", Bound::Times(&["fjall"], 2.0)),
    target("core", "sorted inserts", Bound::Times(&["lmdb"], 0.5)),
    target(
        "core",
        "durable batches of 1,000",
        Bound::Times(&["fjall"], 1.5),
    ),
    target(
        "core",
        "durable single writes",
        Bound::OfLimit("fdatasync", 0.95),
    ),
    target(
        "core",
        "durable single writes",
        Bound::Times(&["fjall"], 1.0),
    ),
    target(
        "durable",
        "durable puts, batches of 1, 16 threads",
        Bound::OfLimit("fdatasync", 9.6),
    ),
    target(
        "durable",
        "durable puts, batches of 1, 16 threads",
        Bound::Times(&["fjall"], 5.0),
    ),
    target(
        "core",
        "relaxed single writes",
        Bound::Times(&["fjall"], 2.0),
    ),
    target("core", "removals", Bound::Times(&["fjall"], 1.5)),
    target(
        "queue",
        "take the first and delete it",
        Bound::Times(LSM_TREES, 100.0),
    ),
    target(
        "scale",
        "16M keys: bytes written",
        Bound::Times(LSM_TREES, 1.0),
    ),
    target("core", "bulk load, space", Bound::AtMost(1.25)),
    target("tail", "offered puts, p99.9", Bound::Times(&["fjall"], 5.0)),
    target("tail", "offered puts, maximum", Bound::AtMost(100_000.0)),
    target(
        "mixed",
        "gets beside compaction, p99 ÷ alone",
        Bound::AtMost(3.0),
    ),
    target(
        "durable",
        "replay of the user's bytes",
        Bound::AtLeast(100.0),
    ),
    target("core", "reopen and one get", Bound::AtMost(20.0)),
    target(
        "scale",
        "16M keys: random gets",
        Bound::TimesOurs("1M keys: random gets", 1.0 / 1.6),
    ),
    target(
        "scale",
        "16M keys: seek + 10",
        Bound::TimesOurs("1M keys: seek + 10", 1.0 / 1.6),
    ),
    target("1x", "put", Bound::Times(&["1x"], 1.0)),
    target("1x", "get, hit, flushed", Bound::Times(&["1x"], 1.5)),
    target("1x", "get, miss, sixteen runs", Bound::Times(&["1x"], 2.0)),
    target("1x", "full scan, flushed", Bound::Times(&["1x"], 5.0)),
    target(
        "1x",
        "seek + 10, a million keys",
        Bound::Times(&["1x"], 10_000.0),
    ),
];

/// A limit of the machine.
#[derive(Serialize, Deserialize)]
pub struct Limit {
    pub name: String,
    pub unit: String,
    pub spread: Spread,
}

/// A table of all targets whose suites were measured.
pub fn markdown(tables: &[Table], limits: &[Limit]) -> String {
    let mut text = "### Targets\n\n| suite | what | wanted | measured | |\n\
                    | --- | --- | --- | ---: | --- |\n"
        .to_owned();
    for target in TARGETS {
        let Some(table) = tables.iter().find(|table| table.suite == target.suite) else {
            continue;
        };
        for judged in judge(table, target, limits) {
            text += &format!(
                "| `{}` | {} | {} | {} | {} |\n",
                target.suite,
                target.row,
                judged.wanted,
                judged.measured,
                if judged.is_met { "met" } else { "**missed**" }
            );
        }
    }
    text
}

struct Judged {
    wanted: String,
    measured: String,
    is_met: bool,
}

/// One judgement for each peer; none if what it takes was not measured.
fn judge(table: &Table, target: &Target, limits: &[Limit]) -> Vec<Judged> {
    let find = |name: &str| table.rows.iter().find(|row| row.name == name);
    let Some(row) = find(target.row) else {
        return Vec::new();
    };
    let ours = row.spread("ours");
    let times = |what: &str, least: f64, factor: f64| Judged {
        wanted: format!("≥ {} × {what}", short(least)),
        measured: format!("{} ×", short(factor)),
        is_met: factor >= least,
    };
    let judged = match target.bound {
        Bound::Times(peers, least) => {
            let advantages = peers.iter().filter_map(|peer| {
                let spread = row.times(peer)?;
                Some(Judged {
                    measured: format!("{} ×", spread.text()),
                    ..times(peer, least, spread.median)
                })
            });
            return advantages.collect();
        }
        Bound::TimesOurs(name, least) => find(name)
            .and_then(|other| other.spread("ours"))
            .zip(ours)
            .map(|(other, ours)| times(&format!("“{name}”"), least, ours.median / other.median)),
        Bound::OfLimit(prefix, least) => {
            let named = limits.iter().filter(|limit| limit.name.starts_with(prefix));
            let best = named.map(|limit| limit.spread.median).reduce(f64::max);
            best.zip(ours)
                .map(|(best, ours)| times(&format!("the best {prefix}"), least, ours.median / best))
        }
        Bound::AtLeast(least) => ours.map(|ours| Judged {
            wanted: format!("≥ {} {}", short(least), row.unit),
            measured: ours.text(),
            is_met: ours.median >= least,
        }),
        Bound::AtMost(most) => ours.map(|ours| Judged {
            wanted: format!("≤ {} {}", short(most), row.unit),
            measured: ours.text(),
            is_met: ours.median <= most,
        }),
    };
    judged.into_iter().collect()
}
