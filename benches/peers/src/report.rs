//! Makes `docs/PERFORMANCE.md`'s tables and its plots from the results. It measures nothing, and
//! leaves out nothing that was measured for the commit it reports.
//!
//! What processes wrote is gathered into tables, which are kept in the repository. A suite that was not
//! measured here is reported as its table was kept, so that a fresh clone makes the same page.

mod date;
mod kind;
mod plots;
mod row;
mod svg;
mod table;
mod targets;

use std::fmt::Write;
use std::fs;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::cli::ReportArgs;
use crate::results;
use row::Spread;
use table::Table;
use targets::Limit;

/// The suites, in the order of the page, and what each is about.
const SUITES: [(&str, &str); 10] = [
    (
        "core",
        "The shape of redb's published benchmark: 24-byte random keys, 150-byte values, all within the cache.",
    ),
    (
        "misses",
        "Gets of keys that are absent, though they lie between keys that are there.",
    ),
    (
        "queue",
        "A store used as a queue: the first key is taken and deleted while a writer appends; scans over what was deleted.",
    ),
    ("scan", "Everything, forward and in reverse."),
    (
        "durable",
        "Writes that are on stable storage when they are acknowledged; what becomes of the log after a kill.",
    ),
    (
        "mixed",
        "Reads beside background work, beside a held snapshot, and with nothing in any cache.",
    ),
    (
        "ycsb",
        "The core workloads of the Yahoo Cloud Serving Benchmark: 24-byte keys, 1,000-byte values, zipfian 0.99, two threads.",
    ),
    ("scale", "The same at 1, 4 and 16 million keys."),
    (
        "tail",
        "What each engine can sustain, and an open loop at half of what the slowest can.",
    ),
    (
        "1x",
        "The workload of the `lsm-db` 1.x documents, without a log.",
    ),
];

/// Where the tables stand on the page.
const BEGIN: &str = "<!-- bench -->";
const END: &str = "<!-- /bench -->";

/// Replaces the tables on the page and writes the plots.
pub fn report(args: &ReportArgs) -> Result<()> {
    let tables = tables(args)?;
    if tables.is_empty() {
        return Err("there are no results to report".into());
    }
    fs::create_dir_all(&args.plots)?;
    let mut text = String::new();
    let limits = limits(args)?;
    writeln!(text, "{}", limits_markdown(&limits))?;
    writeln!(text, "{}", targets::markdown(&tables, &limits.rows))?;
    writeln!(text, "{}", lost(&tables))?;
    for table in &tables {
        let plot = args.plots.join(format!("{}.svg", table.suite));
        plots::draw(table, &plot)?;
        let about = SUITES.iter().find(|(suite, _)| *suite == table.suite);
        let about = about.map_or("", |(_, about)| about);
        writeln!(text, "{}", table.markdown(about))?;
        if table.suite == "scale" {
            plots::draw_growth(table, &args.plots.join("growth.svg"))?;
            writeln!(
                text,
                "![how each engine slows down with the number of keys](plots/growth.svg)\n"
            )?;
        }
    }
    let page = fs::read_to_string(&args.page)?;
    fs::write(&args.page, replaced(&page, &text)?)?;
    println!(
        "{} suites reported in {}",
        tables.len(),
        args.page.display()
    );
    Ok(())
}

/// Every suite: gathered and kept if it was measured here, else as it was kept.
fn tables(args: &ReportArgs) -> Result<Vec<Table>> {
    let commit = args.commit.as_deref();
    fs::create_dir_all(&args.reported)?;
    let mut tables = Vec::new();
    for (suite, _) in SUITES {
        let file = format!("{suite}.jsonl");
        let kept = args.reported.join(&file);
        let lines = results::read(&args.results.join(&file))?;
        if let Some(table) = Table::gather(suite, lines, commit)? {
            table.save(&kept)?;
            tables.push(table);
        } else if let Some(table) = Table::load(&kept)?
            && commit.is_none_or(|commit| commit == table.commit)
        {
            tables.push(table);
        }
    }
    Ok(tables)
}

/// The page with other text between its marks.
fn replaced(page: &str, text: &str) -> Result<String> {
    let marks = page.split_once(BEGIN);
    let (before, rest) = marks.ok_or_else(|| format!("the page lacks {BEGIN}"))?;
    let (_, after) = rest
        .split_once(END)
        .ok_or_else(|| format!("the page lacks {END}"))?;
    Ok(format!(
        "{before}{BEGIN}\n{}\n{END}{after}",
        text.trim_end()
    ))
}

/// What a machine can do at best.
#[derive(Default, Serialize, Deserialize)]
struct Limits {
    machine: String,
    rows: Vec<Limit>,
}

/// The limits of the newest machine, as they were measured before the suites: the medians of all
/// times. Kept like the tables, and as they were kept if none were measured here.
fn limits(args: &ReportArgs) -> Result<Limits> {
    let kept = args.reported.join("limits.json");
    let lines = results::read(&args.results.join("limits.jsonl"))?;
    let Some(last) = lines.last() else {
        return match fs::read_to_string(&kept) {
            Ok(text) => Ok(serde_json::from_str(&text)?),
            Err(_) => Ok(Limits::default()),
        };
    };
    let machine = last.machine.clone();
    let mut found: Vec<(String, String, Vec<f64>)> = Vec::new();
    for line in lines.into_iter().filter(|line| line.machine == machine) {
        for row in line
            .outcome
            .map_or_else(|_| Vec::new(), |outcome| outcome.rows)
        {
            match found.iter_mut().find(|(name, ..)| *name == row.name) {
                Some((.., values)) => values.push(row.value),
                None => found.push((row.name, row.unit, vec![row.value])),
            }
        }
    }
    let rows = found.into_iter().map(|(name, unit, values)| Limit {
        name,
        unit,
        spread: Spread::of(&values),
    });
    let limits = Limits {
        machine,
        rows: rows.collect(),
    };
    fs::write(&kept, serde_json::to_string_pretty(&limits)? + "\n")?;
    Ok(limits)
}

fn limits_markdown(limits: &Limits) -> String {
    let mut text = format!(
        "### The machine and its limits\n\n{}.\n\n\
         | limit | median (least–most) | |\n| --- | ---: | --- |\n",
        limits.machine
    );
    for Limit { name, unit, spread } in &limits.rows {
        text += &format!("| {name} | {} | {unit} |\n", spread.text());
    }
    text
}

/// Every row in which a peer is better, the worst first.
fn lost(tables: &[Table]) -> String {
    let rows = tables.iter().flat_map(|table| {
        let rows = table.rows.iter();
        rows.filter_map(move |row| Some((table.suite.as_str(), row, row.best.as_ref()?)))
    });
    let mut lost: Vec<_> = rows
        .filter(|(.., advantage)| advantage.spread.median < 1.0)
        .collect();
    lost.sort_by(|(.., a), (.., b)| a.spread.median.total_cmp(&b.spread.median));
    let mut text = "### What we lose\n\n".to_owned();
    if lost.is_empty() {
        return text + "Nothing that was measured.\n";
    }
    text += "| suite | what | ours ÷ the best peer | who |\n| --- | --- | ---: | --- |\n";
    for (suite, row, advantage) in lost {
        text += &format!(
            "| `{suite}` | {} | {} | {} |\n",
            row.name,
            advantage.spread.text(),
            advantage.best_peer
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() -> Result<()> {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let expected = format!("before\n{BEGIN}\nnew\n{END}\nafter\n");
        assert_eq!(replaced(&page, "new\n")?, expected);
        assert!(replaced("no marks", "new").is_err());
        Ok(())
    }
}
