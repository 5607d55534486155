//! Runs the picker on trees drawn as text: `testdata/*.txt`.
//!
//! A case is a command with its lines, `----`, and the answer, up to an empty line:
//!
//! ```text
//! version trigger=2 run=10 base=20 fanout=10 levels=4
//! L0 3:c-f=10 2:a-d=10          newest first; id:smallest-largest=bytes,entries,tombstones
//! L3 1:a-z=50
//! ----
//! L0 20, L3 50                  bytes by level
//!
//! pick aside=7 claim=0-3:a-c    also: range=a..c, readers
//! ----
//! merge L0 3 2, L3 1 -> L3 [a, z]
//! ```
//!
//! Other commands: `targets`, `scores`, `debt aside=…`, and `settle range=…`, which picks, pretends
//! that the outputs are as large as the inputs, and goes on until there is nothing to do. With a
//! range, what is picked is owed; `check` lists runs that are only to be read, and a run set aside
//! that stands in the way ends it.
//! `LSM_BLESS=1 cargo test -p lsm-compact --test picker_cases` writes the answers found.

#![expect(
    clippy::disallowed_methods,
    reason = "reads and writes its own files, not a store's"
)]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use lsm_compact::{
    Claims, Job, JobKind, Owed, OwedStep, PickerOptions, Targets, debt_bytes, edit_for,
    l0_backlog_runs, move_edit, pick, pick_for_readers, pick_owed, scores,
};
use lsm_version::{RunId, RunMeta, Version, VersionEdit};

#[derive(Default)]
struct Tree {
    version: Version,
    options: PickerOptions,
    next_id: RunId,
}

/// The arguments of a command.
#[derive(Default)]
struct Arguments {
    aside: HashSet<RunId>,
    claims: Claims,
    readers: bool,
    range: Option<[Bound<Vec<u8>>; 2]>,
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("not a number: {text:?}"))
}

fn run(text: &str) -> RunMeta {
    let (id, rest) = text
        .split_once(':')
        .unwrap_or_else(|| panic!("a run without id: {text:?}"));
    let (keys, sizes) = rest.split_once('=').unwrap_or((rest, "10"));
    let (smallest, largest) = keys.split_once('-').unwrap_or((keys, keys));
    let sizes: Vec<u64> = sizes.split(',').map(number).collect();
    RunMeta {
        id: number(id),
        file_len: sizes[0],
        entry_count: sizes.get(1).copied().unwrap_or(sizes[0]),
        tombstone_count: sizes.get(2).copied().unwrap_or(0),
        index_len: 0,
        index_crc: 0,
        smallest_key: smallest.to_owned().into(),
        largest_key: largest.to_owned().into(),
    }
}

fn bound(text: &str) -> Bound<Vec<u8>> {
    if text.is_empty() {
        Bound::Unbounded
    } else {
        Bound::Included(text.as_bytes().to_vec())
    }
}

fn arguments(words: &[&str]) -> Arguments {
    let mut arguments = Arguments::default();
    for word in words {
        match word.split_once('=') {
            Some(("aside", ids)) => arguments.aside = ids.split(',').map(number).collect(),
            Some(("claim", claim)) => {
                let (levels, keys) = claim.split_once(':').expect("claim=first-last:keys");
                let (first, last) = levels.split_once('-').unwrap_or((levels, levels));
                let claimed = Arc::new(run(&format!("0:{keys}")));
                let _held = arguments.claims.claim(&Job {
                    smallest_key: claimed.smallest_key.clone(),
                    largest_key: claimed.largest_key.clone(),
                    inputs: vec![(number(first), claimed)],
                    output_level: number(last),
                    kind: JobKind::Merge,
                });
            }
            Some(("range", range)) => {
                let (lower, upper) = range.split_once("..").expect("range=lower..upper");
                arguments.range = Some([bound(lower), bound(upper)]);
            }
            None if *word == "readers" => arguments.readers = true,
            _ => panic!("unknown argument {word:?}"),
        }
    }
    arguments
}

fn job_text(job: &Job) -> String {
    let mut text = match job.kind {
        JobKind::Merge => "merge".to_owned(),
        JobKind::Move => "move".to_owned(),
    };
    let mut level = None;
    for (at, run) in &job.inputs {
        if level != Some(*at) {
            let comma = if level.is_some() { "," } else { "" };
            write!(text, "{comma} L{at}").unwrap();
            level = Some(*at);
        }
        write!(text, " {}", run.id).unwrap();
    }
    let keys =
        [&job.smallest_key, &job.largest_key].map(|key| String::from_utf8_lossy(key).into_owned());
    write!(text, " -> L{} [{}, {}]", job.output_level, keys[0], keys[1]).unwrap();
    text
}

fn step_text(step: &OwedStep) -> String {
    match step {
        OwedStep::Job(job) => job_text(job),
        OwedStep::Check(job) => {
            let ids: Vec<_> = job
                .inputs
                .iter()
                .map(|(_, run)| run.id.to_string())
                .collect();
            format!("check L{} {}", job.output_level, ids.join(" "))
        }
        OwedStep::Blocked(id) => format!("blocked by {id}"),
        OwedStep::Waiting => "waiting".to_owned(),
        OwedStep::Done => "done".to_owned(),
        other => panic!("an unknown step: {other:?}"),
    }
}

impl Tree {
    fn define(&mut self, words: &[&str], lines: &[&str]) -> String {
        let mut options = PickerOptions {
            l0_trigger: 2,
            run_bytes_target: 10,
            level_base_bytes: 20,
            fanout: 10,
            level_count: 4,
        };
        for word in words {
            match word.split_once('=') {
                Some(("trigger", "never")) => options.l0_trigger = usize::MAX,
                Some(("trigger", value)) => options.l0_trigger = number(value),
                Some(("run", value)) => options.run_bytes_target = number(value),
                Some(("base", value)) => options.level_base_bytes = number(value),
                Some(("fanout", value)) => options.fanout = number(value),
                Some(("levels", value)) => options.level_count = number(value),
                _ => panic!("unknown option {word:?}"),
            }
        }
        let mut added = Vec::new();
        for line in lines {
            let mut words = line.split_whitespace();
            let level = words
                .next()
                .and_then(|level| level.strip_prefix('L'))
                .expect("L<n> runs");
            let level: u8 = number(level);
            let mut runs: Vec<_> = words.map(|text| (level, Arc::new(run(text)))).collect();
            runs.reverse();
            added.append(&mut runs);
        }
        self.next_id = added.iter().map(|(_, run)| run.id).max().unwrap_or(0) + 1;
        let edit = VersionEdit {
            added,
            ..VersionEdit::default()
        };
        self.version = Version::empty().apply(&edit).expect("a version in order");
        self.options = options;
        self.levels_text()
    }

    fn levels_text(&self) -> String {
        let levels = self.version.levels().iter().enumerate();
        let used = levels.filter(|(_, level)| !level.is_empty());
        let texts: Vec<_> = used
            .map(|(at, level)| format!("L{at} {}", level.bytes()))
            .collect();
        if texts.is_empty() {
            "empty".to_owned()
        } else {
            texts.join(", ")
        }
    }

    fn pick(&self, arguments: &Arguments) -> Option<Job> {
        let set_aside = |id| arguments.aside.contains(&id);
        let (version, options, claims) = (&self.version, &self.options, &arguments.claims);
        match arguments.readers {
            true => pick_for_readers(version, options, claims, &set_aside),
            false => pick(version, options, claims, &set_aside),
        }
    }

    fn owed(&self, range: &[Bound<Vec<u8>>; 2]) -> Owed {
        let [lower, upper] = range
            .each_ref()
            .map(|bound| bound.as_ref().map(Vec::as_slice));
        Owed::new(&self.version, lower, upper)
    }

    fn pick_owed(&self, arguments: &Arguments, owed: &mut Owed) -> OwedStep {
        let set_aside = |id| arguments.aside.contains(&id);
        pick_owed(
            &self.version,
            &self.options,
            &arguments.claims,
            &set_aside,
            owed,
        )
    }

    fn settle(&mut self, arguments: &Arguments) -> String {
        let mut text = String::new();
        let mut owed = arguments.range.as_ref().map(|range| self.owed(range));
        loop {
            assert!(text.len() < 10_000, "never settles:\n{text}");
            let (job, is_check) = match &mut owed {
                None => match self.pick(arguments) {
                    Some(job) => (job, false),
                    None => break,
                },
                Some(owed) => match self.pick_owed(arguments, owed) {
                    OwedStep::Job(job) => (job, false),
                    OwedStep::Check(job) => (job, true),
                    OwedStep::Done => break,
                    ended => {
                        writeln!(text, "{}", step_text(&ended)).unwrap();
                        break;
                    }
                },
            };
            if is_check {
                writeln!(text, "{}", step_text(&OwedStep::Check(job.clone()))).unwrap();
            } else {
                writeln!(text, "{}", job_text(&job)).unwrap();
                self.install(&job);
            }
            if let Some(owed) = &mut owed {
                assert!(owed.follow(&job, &self.version), "nothing came of {job:?}");
            }
        }
        text + &self.levels_text()
    }

    /// One output as large as all inputs, without tombstones if it lies at the bottom.
    fn install(&mut self, job: &Job) {
        let edit = match job.kind {
            JobKind::Move => move_edit(job),
            JobKind::Merge => {
                let sum = |of: fn(&RunMeta) -> u64| job.inputs.iter().map(|(_, run)| of(run)).sum();
                let is_bottom = usize::from(job.output_level) + 1 >= self.options.level_count;
                let tombstone_count = if is_bottom {
                    0
                } else {
                    sum(|run| run.tombstone_count)
                };
                let (file_len, entry_count) = (sum(|run| run.file_len), sum(|run| run.entry_count));
                let output = RunMeta {
                    id: self.next_id,
                    file_len,
                    entry_count,
                    tombstone_count,
                    index_len: 0,
                    index_crc: 0,
                    smallest_key: job.smallest_key.clone(),
                    largest_key: job.largest_key.clone(),
                };
                self.next_id += 1;
                edit_for(job, vec![Arc::new(output)])
            }
        };
        self.version = self.version.apply(&edit).expect("the edit fits");
    }

    fn answer(&mut self, command: &str, lines: &[&str]) -> String {
        let mut words = command.split_whitespace();
        let name = words.next().expect("a command");
        let words: Vec<_> = words.collect();
        if name == "version" {
            return self.define(&words, lines);
        }
        let arguments = arguments(&words);
        let set_aside = |id| arguments.aside.contains(&id);
        match name {
            "pick" => match &arguments.range {
                Some(range) => {
                    let mut owed = self.owed(range);
                    step_text(&self.pick_owed(&arguments, &mut owed))
                }
                None => self
                    .pick(&arguments)
                    .map_or_else(|| "none".to_owned(), |job| job_text(&job)),
            },
            "settle" => self.settle(&arguments),
            "targets" => {
                let targets = Targets::of(&self.version, &self.options);
                format!(
                    "L0 to L{}, bytes {:?}",
                    targets.l0_output_level, targets.bytes
                )
            }
            "scores" => {
                let scores = scores(&self.version, &self.options);
                scores
                    .iter()
                    .map(|score| format!("{score:.2}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            }
            "debt" => {
                let bytes = debt_bytes(&self.version, &self.options, &set_aside);
                let backlog = l0_backlog_runs(&self.version, &self.options, &set_aside);
                format!("{bytes} bytes, L0 runs {backlog:?}")
            }
            _ => panic!("unknown command {name:?}"),
        }
    }
}

/// Answers every case of `text`; comments and empty lines stay as they are.
fn answered(text: &str) -> String {
    let mut tree = Tree::default();
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            writeln!(out, "{line}").unwrap();
            continue;
        }
        let mut input = vec![line];
        input.extend(lines.by_ref().take_while(|line| *line != "----"));
        while lines.next_if(|line| !line.is_empty()).is_some() {}
        writeln!(
            out,
            "{}\n----\n{}",
            input.join("\n"),
            tree.answer(input[0], &input[1..])
        )
        .unwrap();
    }
    out
}

fn check(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(name);
    let text = std::fs::read_to_string(&path).expect("the case file");
    let found = answered(&text);
    if std::env::var_os("LSM_BLESS").is_some() {
        std::fs::write(&path, found).expect("the case file");
        return;
    }
    for (at, (expected, found)) in text.lines().zip(found.lines()).enumerate() {
        assert_eq!(found, expected, "{name}:{}", at + 1);
    }
    assert_eq!(found, text, "{name}");
}

#[test]
fn automatic_picks_are_as_drawn() {
    check("pick.txt");
}

#[test]
fn joins_of_neighbours_are_as_drawn() {
    check("join.txt");
}

#[test]
fn picks_on_demand_are_as_drawn() {
    check("pick_owed.txt");
}

#[test]
fn picks_for_readers_are_as_drawn() {
    check("pick_for_readers.txt");
}
