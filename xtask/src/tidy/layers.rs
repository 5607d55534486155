//! Which crate of the workspace may depend on which.
//!
//! The table below is the law; `docs/ARCHITECTURE.md` shows the same table to readers, with or
//! without the tools that stand above all layers. It is compared with what cargo reads from the
//! manifests. Development dependencies are exempt from the
//! table, but not from the ban on cycles: a crate's own tests would link two copies of it.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata};

use super::Violation;
use crate::workspace::SourceFile;

/// The page that shows the table to readers.
const PAGE: &str = "docs/ARCHITECTURE.md";
/// Stands on a line of its own before the table on the page, and again after it.
const MARKER: &str = "crate-table -->";

#[derive(Debug, PartialEq, Eq)]
enum Allowed {
    Only(BTreeSet<String>),
    Anything,
}

type Table = BTreeMap<String, Allowed>;

/// The law. A crate that stands on none of these lines is a violation itself.
fn table() -> Table {
    let only = |names: &[&str]| Allowed::Only(names.iter().map(|&name| name.to_owned()).collect());
    [
        ("lsm-format", only(&[])),
        ("lsm-fs", only(&[])),
        ("lsm-scheduler", only(&[])),
        ("lsm-bloom", only(&[])),
        ("lsm-cache", only(&[])),
        ("lsm-memtable", only(&[])),
        ("lsm-wal", only(&["lsm-fs"])),
        ("lsm-version", only(&["lsm-fs", "lsm-wal"])),
        ("lsm-compact", only(&["lsm-format", "lsm-version"])),
        (
            "lsm-db",
            only(&[
                "lsm-bloom",
                "lsm-cache",
                "lsm-compact",
                "lsm-format",
                "lsm-fs",
                "lsm-memtable",
                "lsm-scheduler",
                "lsm-version",
                "lsm-wal",
            ]),
        ),
        ("lsm-benches", Allowed::Anything),
        ("lsm-tests", Allowed::Anything),
        ("xtask", Allowed::Anything),
    ]
    .into_iter()
    .map(|(name, allowed)| (name.to_owned(), allowed))
    .collect()
}

/// A dependency of one workspace crate on another.
struct Edge {
    from: String,
    to: String,
    /// Needed by the crate's tests or examples only.
    development: bool,
}

pub(super) fn check(metadata: &Metadata, files: &[SourceFile]) -> Vec<Violation> {
    let names: BTreeSet<String> = metadata
        .packages
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let edges = edges(metadata, &names);
    let table = table();

    let mut violations = check_edges(&table, &names, &edges);
    violations.extend(check_cycles(&names, &edges));
    match files.iter().find(|file| file.path == PAGE) {
        Some(page) => violations.extend(check_page(&table, &page.text)),
        None => violations.push(Violation::of_file(PAGE, "is missing")),
    }
    violations
}

fn edges(metadata: &Metadata, names: &BTreeSet<String>) -> Vec<Edge> {
    let mut edges = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            if names.contains(&dependency.name) {
                edges.push(Edge {
                    from: package.name.to_string(),
                    to: dependency.name.clone(),
                    development: dependency.kind == DependencyKind::Development,
                });
            }
        }
    }
    edges
}

fn check_edges(table: &Table, names: &BTreeSet<String>, edges: &[Edge]) -> Vec<Violation> {
    let unlisted = names
        .iter()
        .filter(|name| !table.contains_key(*name))
        .map(|name| Violation::of_file(name, "is not in the dependency table of xtask"));
    let absent = table
        .keys()
        .filter(|name| !names.contains(*name))
        .map(|name| Violation::of_file(name, "is in the dependency table but not a member"));
    let forbidden = edges
        .iter()
        .filter(|edge| !edge.development)
        .filter_map(|edge| match table.get(&edge.from) {
            Some(Allowed::Only(allowed)) if !allowed.contains(&edge.to) => {
                let message = format!("may not depend on `{}`", edge.to);
                Some(Violation::of_file(&edge.from, message))
            }
            _ => None,
        });
    unlisted.chain(absent).chain(forbidden).collect()
}

/// Removes crates without dependencies until none is left; what cannot be removed is in a cycle
/// or stands above one.
fn check_cycles(names: &BTreeSet<String>, edges: &[Edge]) -> Vec<Violation> {
    let mut remaining: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    loop {
        let blocked: BTreeSet<&str> = edges
            .iter()
            .filter(|edge| edge.from != edge.to)
            .filter(|edge| remaining.contains(edge.to.as_str()))
            .map(|edge| edge.from.as_str())
            .filter(|from| remaining.contains(from))
            .collect();
        if blocked == remaining {
            break;
        }
        remaining = blocked;
    }
    remaining
        .into_iter()
        .map(|name| {
            Violation::of_file(name, "is in a cycle of workspace crates, or depends on one")
        })
        .collect()
}

fn check_page(table: &Table, page: &str) -> Vec<Violation> {
    let shown = match parse_page(page) {
        Ok(shown) => shown,
        Err(violation) => return vec![violation],
    };
    let mut violations = Vec::new();
    for (name, line, allowed) in &shown {
        match table.get(name) {
            None => violations.push(Violation::new(
                PAGE,
                *line,
                format!("`{name}` is not in the dependency table of xtask"),
            )),
            Some(expected) if expected != allowed => violations.push(Violation::new(
                PAGE,
                *line,
                format!("`{name}`: xtask's table says {expected:?}"),
            )),
            Some(_) => {}
        }
    }
    for (name, allowed) in table {
        let is_a_layer = *allowed != Allowed::Anything;
        if is_a_layer && !shown.iter().any(|(shown, ..)| shown == name) {
            let message = format!("the crate table lacks `{name}`");
            violations.push(Violation::of_file(PAGE, message));
        }
    }
    violations
}

/// The rows between the markers: crate, line, and what its last cell allows.
///
/// That cell holds crate names in backquotes, or "all of the above", "anything", or a dash.
fn parse_page(page: &str) -> Result<Vec<(String, usize, Allowed)>, Violation> {
    let mut rows: Vec<(String, usize, Allowed)> = Vec::new();
    let mut markers = 0;
    for (index, line) in page.lines().enumerate() {
        if line.trim_end().ends_with(MARKER) {
            markers += 1;
        }
        if markers != 1 || !line.starts_with("| `") {
            continue;
        }
        let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").collect();
        let name = quoted(line).first().copied().unwrap_or_default().to_owned();
        let last = cells.last().copied().unwrap_or_default();
        let allowed = if last.contains("anything") {
            Allowed::Anything
        } else if last.contains("all of the above") {
            Allowed::Only(rows.iter().map(|(name, ..)| name.clone()).collect())
        } else {
            Allowed::Only(quoted(last).into_iter().map(str::to_owned).collect())
        };
        rows.push((name, index + 1, allowed));
    }
    if markers == 2 {
        Ok(rows)
    } else {
        let message = format!("expected two lines that end with `{MARKER}`, found {markers}");
        Err(Violation::of_file(PAGE, message))
    }
}

/// What stands in backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests;
