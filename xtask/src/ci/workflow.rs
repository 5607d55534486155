//! Holds the hosted workflow against this program: it can only be run where it is hosted, so what can
//! be checked without that is checked here. Tests only.

use clap::Parser;

use crate::{Cli, workspace};

const WORKFLOW: &str = ".github/workflows/ci.yml";

fn text() -> String {
    std::fs::read_to_string(workspace::root().join(WORKFLOW)).unwrap_or_default()
}

/// What stands behind `key:` in each line that has it, without the dash of a list.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let prefix = format!("{key}: ");
    let lines = text.lines().map(|line| line.trim_start_matches([' ', '-']));
    lines
        .filter_map(|line| line.strip_prefix(&prefix))
        .map(str::trim)
        .collect()
}

/// Whether it is a name and three numbers, as a release has them: `actions/checkout@v4.2.2`.
fn is_release(action: &str) -> bool {
    let Some((_, version)) = action.split_once("@v") else {
        return false;
    };
    let parts: Vec<&str> = version.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    parts.len() == 3 && parts.iter().all(is_number)
}

#[test]
fn actions_are_pinned_by_release() {
    assert!(is_release("actions/checkout@v4.2.2"));
    assert!(!is_release("actions/checkout@v4"));
    assert!(!is_release("actions/checkout@main"));
    let text = text();
    let actions = values(&text, "uses");
    assert!(!actions.is_empty());
    for action in actions {
        assert!(is_release(action), "{action}");
    }
}

#[test]
fn the_workflow_runs_the_gate_as_it_is_run_by_hand() {
    assert!(values(&text(), "run").contains(&"bash .ci/run"));
}

#[test]
fn every_long_suite_is_in_the_workflow_and_each_command_is_one_of_ours() {
    let text = text();
    let lines: Vec<&str> = ["run", "command"]
        .iter()
        .flat_map(|key| values(&text, key))
        .filter_map(|line| line.strip_prefix("cargo xtask "))
        .collect();
    for suite in [
        "soak",
        "crash",
        "differential",
        "processes",
        "mutants",
        "bench",
    ] {
        let is_run = lines.iter().any(|line| line.starts_with(suite));
        assert!(is_run, "{suite} is in no job");
    }
    for line in lines {
        let parsed = Cli::try_parse_from(format!("xtask {line}").split_whitespace());
        assert!(parsed.is_ok(), "cargo xtask {line}");
    }
}
