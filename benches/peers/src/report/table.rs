//! The results of one suite for one commit, as rows of what each engine reached.
//!
//! A table is gathered from the lines that processes wrote, and kept in the repository as a file of its
//! own: a line for the suite and one for each row. The page and the plots are made of that file alone.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::date;
use super::row::{Spread, TableRow, Values};
use crate::Result;
use crate::results::{Better, Identity, Line, Row};

/// A suite.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub suite: String,
    pub commit: String,
    /// The day on which it was measured, in UTC.
    pub date: String,
    pub machine: String,
    pub scale: f64,
    pub rounds: usize,
    pub engines: Vec<String>,
    /// What each engine was told, in its own words.
    pub described: BTreeMap<String, Vec<(String, String)>>,
    /// Cells that failed, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// What else there is to know of these figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(skip)]
    pub rows: Vec<TableRow>,
}

/// The order of the columns.
const ENGINES: [&str; 7] = ["ours", "fjall", "redb", "lmdb", "rocksdb", "1x", "sled"];

/// A row while it is gathered.
struct Gathered {
    name: String,
    unit: String,
    better: Better,
    values: Values,
    /// Microseconds of processor time for each operation.
    processor: Values,
}

impl Gathered {
    fn new(row: &Row) -> Self {
        Self {
            name: row.name.clone(),
            unit: row.unit.clone(),
            better: row.better,
            values: Values::default(),
            processor: Values::default(),
        }
    }

    fn finish(self) -> TableRow {
        let processor = self.processor.advantage(Better::Less);
        TableRow {
            values: self.values.spreads(),
            best: self.values.advantage(self.better),
            processor: processor.map(|advantage| advantage.spread),
            name: self.name,
            unit: self.unit,
            better: self.better,
        }
    }
}

/// What was consumed, and by which engine first, by row and number of operations.
type Sums = BTreeMap<(String, Option<usize>), (u64, String)>;

impl Table {
    /// Of the lines of the named commit, or of the newest; none if there are no lines.
    ///
    /// Fails if engines that did the same returned different bytes.
    pub fn gather(suite: &str, lines: Vec<Line>, commit: Option<&str>) -> Result<Option<Self>> {
        let is_wanted = |line: &&Line| commit.is_none_or(|commit| line.identity.commit == commit);
        let Some(newest) = lines.iter().rfind(is_wanted) else {
            return Ok(None);
        };
        let settings = |identity: &Identity| {
            let Identity {
                scale,
                seed,
                cache_mib,
                memtable_mib,
                ..
            } = *identity;
            (scale, seed, cache_mib, memtable_mib)
        };
        let identity = newest.identity.clone();
        let is_same = |line: &Line| {
            line.identity.commit == identity.commit
                && settings(&line.identity) == settings(&identity)
        };
        let mut table = Self {
            suite: suite.to_owned(),
            date: date::of(newest.time),
            machine: newest.machine.clone(),
            commit: identity.commit.clone(),
            scale: identity.scale,
            ..Self::default()
        };
        let (mut rows, mut sums) = (Vec::new(), Sums::new());
        for line in lines.into_iter().filter(is_same) {
            table.take(line, &mut rows, &mut sums)?;
        }
        table.rows = rows.into_iter().map(Gathered::finish).collect();
        let rank = |engine: &String| ENGINES.iter().position(|known| known == engine);
        table.engines.sort_by_key(rank);
        Ok(Some(table))
    }

    /// Takes in a line.
    fn take(&mut self, line: Line, rows: &mut Vec<Gathered>, sums: &mut Sums) -> Result<()> {
        let Identity {
            cell,
            engine,
            round,
            ..
        } = line.identity;
        self.rounds = self.rounds.max(round);
        if !self.engines.contains(&engine) {
            self.engines.push(engine.clone());
        }
        let outcome = match line.outcome {
            Ok(outcome) => outcome,
            Err(message) => {
                let failure = format!("`{cell}`, {engine}, round {round}: {message}");
                self.failures.push(failure);
                return Ok(());
            }
        };
        let described = self.described.entry(engine.clone()).or_default();
        if described.is_empty() {
            *described = outcome.described;
        }
        for row in outcome.rows {
            check_consumed(&row, &engine, sums)?;
            let known = rows.iter().position(|known| known.name == row.name);
            let index = known.unwrap_or_else(|| {
                rows.push(Gathered::new(&row));
                rows.len() - 1
            });
            rows[index].values.insert(&engine, round, row.value);
            if let Some(micros) = row.processor_micros {
                rows[index].processor.insert(&engine, round, micros);
            }
        }
        Ok(())
    }

    /// Reads a table that was kept; none if there is no such file.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        let Ok(text) = fs::read_to_string(path) else {
            return Ok(None);
        };
        Self::parse(&text)
            .map(Some)
            .map_err(|error| format!("{}: {error}", path.display()).into())
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let mut table: Self = serde_json::from_str(lines.next().unwrap_or_default())?;
        for line in lines {
            table.rows.push(serde_json::from_str(line)?);
        }
        Ok(table)
    }

    /// Keeps the table for the repository.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(fs::write(path, self.to_text()?)?)
    }

    fn to_text(&self) -> Result<String> {
        let mut text = serde_json::to_string(self)?;
        for row in &self.rows {
            text.push('\n');
            text.push_str(&serde_json::to_string(row)?);
        }
        text.push('\n');
        Ok(text)
    }

    pub fn peers(&self) -> impl Iterator<Item = &str> {
        let engines = self.engines.iter().map(String::as_str);
        engines.filter(|engine| *engine != "ours")
    }

    /// What was measured when, and how often.
    pub fn provenance(&self) -> String {
        let rounds = match self.rounds {
            1 => "one round".to_owned(),
            rounds => format!("{rounds} rounds"),
        };
        let Self {
            commit,
            date,
            scale,
            machine,
            ..
        } = self;
        format!("commit {commit}, {date}, {rounds}, scale {scale}; {machine}")
    }

    /// A heading, the table, each engine's options, and how to measure it again.
    pub fn markdown(&self, about: &str) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text, about);
        text
    }

    fn write(&self, text: &mut String, about: &str) -> std::fmt::Result {
        let suite = &self.suite;
        writeln!(text, "### `{suite}`\n\n{about}\n")?;
        writeln!(text, "![ours against each peer](plots/{suite}.svg)\n")?;
        writeln!(
            text,
            "| | {} | ours ÷ best peer | by processor time | |\n| --- | {} ---: | ---: | --- |",
            self.engines.join(" | "),
            "---: |".repeat(self.engines.len())
        )?;
        for row in &self.rows {
            let values = self.engines.iter().map(|engine| {
                let spread = row.spread(engine);
                spread.map_or_else(|| "–".to_owned(), |spread| spread.text())
            });
            let ratio = |spread: Option<Spread>| {
                spread.map_or_else(|| "–".to_owned(), |spread| spread.text())
            };
            let less = match row.better {
                Better::More => "",
                Better::Less => ", less is better",
            };
            writeln!(
                text,
                "| {} | {} | {} | {} | {}{less} |",
                row.name,
                values.collect::<Vec<_>>().join(" | "),
                ratio(row.best.as_ref().map(|best| best.spread)),
                ratio(row.processor),
                row.unit
            )?;
        }
        for failure in &self.failures {
            writeln!(text, "\nNot measured: {failure}")?;
        }
        writeln!(text)?;
        for engine in &self.engines {
            let Some(described) = self.described.get(engine) else {
                continue;
            };
            let options: Vec<_> = described
                .iter()
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            writeln!(text, "- {engine}: {}", options.join("; "))?;
        }
        if let Some(note) = &self.note {
            writeln!(text, "\n{note}")?;
        }
        let scale = self.scale;
        let scaled = if scale == 1.0 {
            String::new()
        } else {
            format!(" --scale {scale}")
        };
        writeln!(
            text,
            "\n`cargo xtask bench {suite} --rounds {}{scaled}`, at commit {}, on {}.",
            self.rounds, self.commit, self.date
        )
    }
}

/// Fails if an engine that did the same as another returned other bytes.
fn check_consumed(row: &Row, engine: &str, sums: &mut Sums) -> Result<()> {
    let Some(sum) = row.consumed else {
        return Ok(());
    };
    let key = (row.name.clone(), row.operations);
    let (expected, first) = sums.entry(key).or_insert((sum, engine.to_owned()));
    if *expected == sum {
        return Ok(());
    }
    let name = &row.name;
    Err(format!("{name}: {engine} returned other bytes than {first}").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Outcome;

    fn line(engine: &str, round: usize, value: f64) -> Line {
        let identity = Identity {
            suite: "core".to_owned(),
            cell: "reads".to_owned(),
            engine: engine.to_owned(),
            round,
            scale: 1.0,
            seed: 1,
            cache_mib: None,
            memtable_mib: None,
            commit: "abc".to_owned(),
        };
        let row = Row {
            name: "random gets".to_owned(),
            value,
            unit: "/s".to_owned(),
            better: Better::More,
            latency: None,
            operations: None,
            processor_micros: Some(1.0 / value),
            consumed: None,
        };
        Line {
            identity,
            time: 1_767_312_000,
            machine: "a machine".to_owned(),
            seconds: 1.0,
            outcome: Ok(Outcome {
                options: None,
                described: vec![("version".to_owned(), "1".to_owned())],
                rows: vec![row],
            }),
        }
    }

    #[test]
    fn a_table_is_kept_and_read_back_as_it_was_gathered() -> Result<()> {
        let lines = vec![
            line("fjall", 1, 2.0),
            line("ours", 1, 8.0),
            line("ours", 2, 4.0),
        ];
        let table = Table::gather("core", lines, None)?.ok_or("no table")?;
        assert_eq!(table.engines, ["ours", "fjall"]);
        assert_eq!((table.date.as_str(), table.rounds), ("2026-01-02", 2));
        assert_eq!(table.rows[0].times("fjall"), Some([3.0, 2.0, 4.0].into()));
        let text = table.to_text()?;
        assert_eq!(text.lines().count(), 2);
        assert_eq!(Table::parse(&text)?, table);
        Ok(())
    }

    #[test]
    fn engines_that_returned_other_bytes_are_not_compared() {
        let consumed = |engine, sum| {
            let mut line = line(engine, 1, 1.0);
            if let Ok(outcome) = &mut line.outcome {
                outcome.rows[0].consumed = Some(sum);
            }
            line
        };
        let gathered = |sum| {
            Table::gather(
                "core",
                vec![consumed("ours", 7), consumed("redb", sum)],
                None,
            )
        };
        assert!(gathered(7).is_ok_and(|table| table.is_some()));
        assert!(gathered(8).is_err());
    }
}
