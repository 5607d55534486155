//! A row of a table: the values of every engine and round, and what they say of ours.

use std::collections::BTreeMap;

use crate::results::Better;

/// The median of some values, with the least and the greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match (sorted.get(middle), sorted.get(middle.wrapping_sub(1))) {
            (Some(upper), Some(lower)) if sorted.len() % 2 == 0 => (upper + lower) / 2.0,
            (Some(upper), _) => *upper,
            _ => f64::NAN,
        };
        Self {
            median,
            min: sorted.first().copied().unwrap_or(f64::NAN),
            max: sorted.last().copied().unwrap_or(f64::NAN),
        }
    }

    /// `median (min–max)`, or the value alone if there is no other.
    pub fn text(&self) -> String {
        if self.min == self.max {
            return short(self.median);
        }
        format!(
            "{} ({}–{})",
            short(self.median),
            short(self.min),
            short(self.max)
        )
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

/// A figure for every engine and round.
#[derive(Default)]
pub struct Values(BTreeMap<String, BTreeMap<usize, f64>>);

impl Values {
    pub fn insert(&mut self, engine: &str, round: usize, value: f64) {
        let rounds = self.0.entry(engine.to_owned()).or_default();
        rounds.insert(round, value);
    }

    fn spread(&self, engine: &str) -> Option<Spread> {
        let values: Vec<f64> = self.0.get(engine)?.values().copied().collect();
        Some(Spread::of(&values))
    }

    fn peers(&self) -> Vec<&str> {
        let peers = self.0.keys().filter(|engine| *engine != "ours");
        peers.map(String::as_str).collect()
    }

    /// Ours against the best of those peers that are named and were measured.
    fn advantage(&self, better: Better, peers: &[&str]) -> Option<Advantage> {
        let advantage = |ours: f64, peer: f64| match better {
            Better::More => ours / peer,
            Better::Less => peer / ours,
        };
        let of_round = |(round, ours): (&usize, &f64)| {
            let of_peers = peers
                .iter()
                .filter_map(|peer| self.0.get(*peer)?.get(round));
            let advantages = of_peers.map(|peer| advantage(*ours, *peer));
            // Nothing is so many times nothing.
            advantages
                .reduce(f64::min)
                .filter(|times| times.is_finite())
        };
        let by_round: Vec<f64> = self.0.get("ours")?.iter().filter_map(of_round).collect();
        if by_round.is_empty() {
            return None;
        }
        let ours = self.spread("ours")?.median;
        let medians = peers.iter().filter_map(|peer| {
            let median = self.spread(peer)?.median;
            Some((*peer, advantage(ours, median)))
        });
        let (best_peer, _) = medians.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        Some(Advantage {
            spread: Spread::of(&by_round),
            best_peer: best_peer.to_owned(),
        })
    }
}

/// How many times better ours is than the best of some peers. Above 1 ours is better, whichever way
/// the figure goes.
pub struct Advantage {
    /// Over the rounds: in each, ours against the best peer of that round.
    pub spread: Spread,
    /// The best by its median.
    pub best_peer: String,
}

/// A line of a table.
pub struct TableRow {
    pub name: String,
    pub unit: String,
    pub better: Better,
    pub values: Values,
    /// Microseconds of processor time for each operation.
    pub processor: Values,
}

impl TableRow {
    pub fn new(name: String, unit: String, better: Better) -> Self {
        Self {
            name,
            unit,
            better,
            values: Values::default(),
            processor: Values::default(),
        }
    }

    pub fn spread(&self, engine: &str) -> Option<Spread> {
        self.values.spread(engine)
    }

    /// Against all peers.
    pub fn advantage(&self) -> Option<Advantage> {
        self.advantage_over(&self.values.peers())
    }

    /// Against the best of those that are named and were measured.
    pub fn advantage_over(&self, peers: &[&str]) -> Option<Advantage> {
        self.values.advantage(self.better, peers)
    }

    /// The same by processor time, which depends less on what else the machine did.
    pub fn processor_advantage(&self) -> Option<Advantage> {
        self.processor
            .advantage(Better::Less, &self.processor.peers())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(better: Better, values: &[(&str, [f64; 2])]) -> TableRow {
        let mut row = TableRow::new("row".to_owned(), "/s".to_owned(), better);
        for (engine, rounds) in values {
            for (round, value) in rounds.iter().enumerate() {
                row.values.insert(engine, round, *value);
            }
        }
        row
    }

    #[test]
    fn an_advantage_is_over_the_best_peer_of_each_round() {
        let values = [
            ("ours", [10.0, 30.0]),
            ("a", [5.0, 10.0]),
            ("b", [4.0, 20.0]),
        ];
        let advantage = row(Better::More, &values).advantage();
        let spread = advantage.map(|advantage| advantage.spread);
        let expected = Spread {
            median: 1.75,
            min: 1.5,
            max: 2.0,
        };
        assert_eq!(spread, Some(expected));
    }

    #[test]
    fn where_less_is_better_half_as_much_is_twice_as_good() {
        let values = [
            ("ours", [10.0, 10.0]),
            ("a", [20.0, 20.0]),
            ("b", [40.0, 40.0]),
        ];
        let advantage = row(Better::Less, &values).advantage();
        let found = advantage.map(|advantage| (advantage.spread.median, advantage.best_peer));
        assert_eq!(found, Some((2.0, "a".to_owned())));
    }

    #[test]
    fn without_a_peer_there_is_no_advantage() {
        assert!(
            row(Better::More, &[("ours", [1.0, 1.0])])
                .advantage()
                .is_none()
        );
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
