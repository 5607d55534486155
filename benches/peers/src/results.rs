//! What is measured, as lines of JSON: one line for each process, in `benches/results/<suite>.jsonl`.
//!
//! Processes print them, the driver adds what it knows and appends them, the report reads them.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::engine::Options;
use crate::measure::Latency;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    More,
    Less,
}

/// One figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    pub value: f64,
    pub unit: String,
    pub better: Better,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// What was done for it, where the engines may have done different amounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<usize>,
    /// Microseconds of processor time for each of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor_micros: Option<f64>,
    /// The sum over all bytes that were returned: the same for every engine that did as much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumed: Option<u64>,
}

/// What one process found: one engine in one cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// None for the limits, which belong to no engine.
    #[serde(default)]
    pub options: Option<Options>,
    /// The options in the engine's own words.
    pub described: Vec<(String, String)>,
    pub rows: Vec<Row>,
}

/// Names a measurement: what has the same identity need not be measured again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    pub suite: String,
    pub cell: String,
    pub engine: String,
    pub round: usize,
    pub scale: f64,
    pub seed: u64,
    /// Set where it is not what the suite gives.
    pub cache_mib: Option<usize>,
    pub memtable_mib: Option<usize>,
    /// The commit of this project, with `+` behind it if files differed from it.
    pub commit: String,
}

/// A line of a results file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    #[serde(flatten)]
    pub identity: Identity,
    /// Seconds since 1970.
    pub time: u64,
    pub machine: String,
    pub seconds: f64,
    /// What the process found, or why it did not.
    pub outcome: std::result::Result<Outcome, String>,
}

/// Reads all lines of a file; none if there is no such file.
///
/// A last line that was cut off by a kill is left out; any other that cannot be read is an error.
pub fn read(path: &Path) -> Result<Vec<Line>> {
    let Ok(text) = fs::read_to_string(path) else {
        return Ok(Vec::new());
    };
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        match serde_json::from_str(line) {
            Ok(line) => lines.push(line),
            Err(_) if !text.ends_with('\n') && number + 1 == text.lines().count() => {}
            Err(error) => return Err(format!("{}:{}: {error}", path.display(), number + 1).into()),
        }
    }
    Ok(lines)
}

/// Appends a line to a file, which is made if it is not there.
pub fn append(path: &Path, line: &Line) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    Ok(file.write_all(text.as_bytes())?)
}
