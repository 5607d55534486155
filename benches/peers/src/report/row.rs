//! A row of a table: what every engine reached, and what that says of ours.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::results::Better;

/// The median of some values, with the least and the greatest. Kept as an array of the three.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 3]", into = "[f64; 3]")]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl From<[f64; 3]> for Spread {
    fn from([median, min, max]: [f64; 3]) -> Self {
        Self { median, min, max }
    }
}

impl From<Spread> for [f64; 3] {
    fn from(spread: Spread) -> Self {
        [spread.median, spread.min, spread.max]
    }
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match (sorted.get(middle), sorted.get(middle.wrapping_sub(1))) {
            (Some(upper), Some(lower)) if sorted.len().is_multiple_of(2) => (upper + lower) / 2.0,
            (Some(upper), _) => *upper,
            _ => f64::NAN,
        };
        Self {
            median,
            min: sorted.first().copied().unwrap_or(f64::NAN),
            max: sorted.last().copied().unwrap_or(f64::NAN),
        }
    }

    /// `median (min–max)`, or the value alone if the others look the same.
    pub fn text(&self) -> String {
        let [median, min, max] = <[f64; 3]>::from(*self).map(short);
        if min == median && median == max {
            return median;
        }
        format!("{median} ({min}–{max})")
    }
}

/// A number in three digits or so.
pub fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.2}M", value / 1e6),
        value if value >= 1e5 => format!("{:.0}K", value / 1e3),
        value if value >= 1e4 => format!("{:.1}K", value / 1e3),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 0.1 || value == 0.0 => format!("{value:.2}"),
        value => format!("{value:.4}"),
    }
}

/// A figure for every engine and round, as they were measured.
#[derive(Default)]
pub struct Values(BTreeMap<String, BTreeMap<usize, f64>>);

impl Values {
    pub fn insert(&mut self, engine: &str, round: usize, value: f64) {
        let rounds = self.0.entry(engine.to_owned()).or_default();
        rounds.insert(round, value);
    }

    /// The spread of each engine over its rounds.
    pub fn spreads(&self) -> BTreeMap<String, Spread> {
        let spreads = self.0.iter().map(|(engine, rounds)| {
            let values: Vec<f64> = rounds.values().copied().collect();
            (engine.clone(), Spread::of(&values))
        });
        spreads.collect()
    }

    /// Ours against the best peer.
    pub fn advantage(&self, better: Better) -> Option<Advantage> {
        let peers = || self.0.iter().filter(|(engine, _)| *engine != "ours");
        let of_round = |(round, ours): (&usize, &f64)| {
            let of_peers = peers().filter_map(|(_, rounds)| rounds.get(round));
            let advantages = of_peers.map(|peer| times_better(better, *ours, *peer));
            // A quotient of nothing and nothing says nothing.
            advantages
                .reduce(f64::min)
                .filter(|times| times.is_finite())
        };
        let by_round: Vec<f64> = self.0.get("ours")?.iter().filter_map(of_round).collect();
        if by_round.is_empty() {
            return None;
        }
        let spreads = self.spreads();
        let ours = spreads.get("ours")?.median;
        let medians = peers().filter_map(|(peer, _)| {
            let median = spreads.get(peer)?.median;
            Some((peer, times_better(better, ours, median)))
        });
        let (best_peer, _) = medians.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        Some(Advantage {
            spread: Spread::of(&by_round),
            best_peer: best_peer.clone(),
        })
    }
}

/// How many times better ours is. Above 1 ours is better, whichever way the figure goes.
fn times_better(better: Better, ours: f64, peer: f64) -> f64 {
    match better {
        Better::More => ours / peer,
        Better::Less => peer / ours,
    }
}

/// How many times better ours is than the best peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Advantage {
    /// Over the rounds: in each, ours against the best peer of that round.
    #[serde(rename = "times")]
    pub spread: Spread,
    /// The best by its median.
    #[serde(rename = "peer")]
    pub best_peer: String,
}

/// A line of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableRow {
    pub name: String,
    pub unit: String,
    pub better: Better,
    /// What each engine reached.
    pub values: BTreeMap<String, Spread>,
    /// Ours against the best peer of each round; none without a peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Advantage>,
    /// The same by processor time, which depends less on what else the machine did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<Spread>,
}

impl TableRow {
    pub fn spread(&self, engine: &str) -> Option<Spread> {
        self.values.get(engine).copied()
    }

    /// How many times better ours is than one peer: of the medians, and the least and the most that
    /// any round of the one and any round of the other give.
    pub fn times(&self, peer: &str) -> Option<Spread> {
        let (ours, peer) = (self.spread("ours")?, self.spread(peer)?);
        let times = |ours, peer| times_better(self.better, ours, peer);
        let corners = [times(ours.min, peer.max), times(ours.max, peer.min)];
        let spread = Spread {
            median: times(ours.median, peer.median),
            min: corners[0].min(corners[1]),
            max: corners[0].max(corners[1]),
        };
        let is_some = spread.median.is_finite() && spread.median > 0.0;
        is_some.then_some(spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[(&str, [f64; 2])]) -> Values {
        let mut all = Values::default();
        for (engine, rounds) in values {
            for (round, value) in rounds.iter().enumerate() {
                all.insert(engine, round, *value);
            }
        }
        all
    }

    #[test]
    fn an_advantage_is_over_the_best_peer_of_each_round() {
        let values = values(&[
            ("ours", [10.0, 30.0]),
            ("a", [5.0, 10.0]),
            ("b", [4.0, 20.0]),
        ]);
        let spread = values.advantage(Better::More).map(|best| best.spread);
        assert_eq!(spread, Some([1.75, 1.5, 2.0].into()));
    }

    #[test]
    fn where_less_is_better_half_as_much_is_twice_as_good() {
        let values = values(&[
            ("ours", [10.0, 10.0]),
            ("a", [20.0, 20.0]),
            ("b", [40.0, 40.0]),
        ]);
        let best = values.advantage(Better::Less);
        let found = best.map(|best| (best.spread.median, best.best_peer));
        assert_eq!(found, Some((2.0, "a".to_owned())));
    }

    #[test]
    fn without_a_peer_there_is_no_advantage() {
        let alone = values(&[("ours", [1.0, 1.0])]);
        assert_eq!(alone.advantage(Better::More), None);
    }

    #[test]
    fn a_bar_spans_what_any_two_rounds_give() {
        let measured = [("ours", [10.0, 20.0]), ("a", [2.0, 5.0])];
        let row = |better| TableRow {
            name: String::new(),
            unit: String::new(),
            better,
            values: values(&measured).spreads(),
            best: None,
            processor: None,
        };
        let more = row(Better::More).times("a");
        assert_eq!(more, Some([15.0 / 3.5, 2.0, 10.0].into()));
        let less = row(Better::Less).times("a");
        assert_eq!(less, Some([3.5 / 15.0, 0.1, 0.5].into()));
        assert_eq!(row(Better::More).times("b"), None);
    }

    #[test]
    fn a_spread_that_cannot_be_seen_is_not_shown() {
        assert_eq!(Spread::from([1.07, 1.0699, 1.0701]).text(), "1.07");
        assert_eq!(Spread::from([1.5, 1.0, 2.0]).text(), "1.50 (1.00–2.00)");
    }

    #[test]
    fn numbers_are_short() {
        let shown = [
            1_234_567.0,
            123_456.0,
            12_345.0,
            1_234.0,
            12.34,
            1.234,
            0.01234,
        ]
        .map(short);
        assert_eq!(
            shown,
            ["1.23M", "123K", "12.3K", "1234", "12.3", "1.23", "0.0123"]
        );
    }
}
