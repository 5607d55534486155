//! The results of one suite for one commit, as rows of values of each engine.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::row::{Advantage, TableRow};
use crate::Result;
use crate::results::{Better, Identity, Line};

/// A suite.
pub struct Table {
    pub suite: String,
    about: String,
    pub engines: Vec<String>,
    pub rows: Vec<TableRow>,
    /// What every line has in common.
    identity: Identity,
    rounds: usize,
    /// What each engine was told, in its own words.
    described: BTreeMap<String, Vec<(String, String)>>,
    /// Cells that failed, and why.
    failures: Vec<String>,
}

/// The order of the columns.
const ENGINES: [&str; 7] = ["ours", "fjall", "redb", "lmdb", "rocksdb", "1x", "sled"];

impl Table {
    /// Of the lines of the named commit, or of the newest; none if there are no lines.
    ///
    /// Fails if engines that did the same returned different bytes.
    pub fn new(
        suite: &str,
        about: &str,
        lines: Vec<Line>,
        commit: Option<&str>,
    ) -> Result<Option<Self>> {
        let is_wanted = |line: &&Line| commit.is_none_or(|commit| line.identity.commit == commit);
        let Some(newest) = lines.iter().rfind(is_wanted) else {
            return Ok(None);
        };
        let identity = newest.identity.clone();
        let is_same = |line: &Line| {
            let Identity {
                scale,
                seed,
                cache_mib,
                memtable_mib,
                ..
            } = line.identity;
            line.identity.commit == identity.commit
                && (scale, seed, cache_mib, memtable_mib)
                    == (
                        identity.scale,
                        identity.seed,
                        identity.cache_mib,
                        identity.memtable_mib,
                    )
        };
        let mut table = Self {
            suite: suite.to_owned(),
            about: about.to_owned(),
            engines: Vec::new(),
            rows: Vec::new(),
            identity: identity.clone(),
            rounds: 0,
            described: BTreeMap::new(),
            failures: Vec::new(),
        };
        let mut sums = BTreeMap::new();
        for line in lines.into_iter().filter(is_same) {
            table.take(line, &mut sums)?;
        }
        let rank = |engine: &String| ENGINES.iter().position(|known| known == engine);
        table.engines.sort_by_key(rank);
        Ok(Some(table))
    }

    /// Takes in a line; `sums` are what was consumed, by row and number of operations.
    fn take(
        &mut self,
        line: Line,
        sums: &mut BTreeMap<(String, Option<usize>), (u64, String)>,
    ) -> Result<()> {
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
            if let Some(sum) = row.consumed {
                let key = (row.name.clone(), row.operations);
                let (expected, first) = sums.entry(key).or_insert((sum, engine.clone()));
                if *expected != sum {
                    let (name, first) = (&row.name, &*first);
                    return Err(
                        format!("{name}: {engine} returned other bytes than {first}").into(),
                    );
                }
            }
            let known = self.rows.iter().position(|known| known.name == row.name);
            let index = known.unwrap_or_else(|| {
                self.rows
                    .push(TableRow::new(row.name, row.unit, row.better));
                self.rows.len() - 1
            });
            let known = &mut self.rows[index];
            known.values.insert(&engine, round, row.value);
            if let Some(micros) = row.processor_micros {
                known.processor.insert(&engine, round, micros);
            }
        }
        Ok(())
    }

    /// A heading, the table, each engine's options, and how to measure it again.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Self { suite, about, .. } = self;
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
            let ratio = |advantage: Option<Advantage>| {
                let text = advantage.map(|advantage| advantage.spread.text());
                text.unwrap_or_else(|| "–".to_owned())
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
                ratio(row.advantage()),
                ratio(row.processor_advantage()),
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
        let scale = self.identity.scale;
        let scaled = if scale == 1.0 {
            String::new()
        } else {
            format!(" --scale {scale}")
        };
        writeln!(
            text,
            "\n`cargo xtask bench {suite} --rounds {}{scaled}`, at commit {}.",
            self.rounds, self.identity.commit
        )
    }
}
