//! The record of instruction counts: `benches/instructions.toml`, read and written, and held
//! against what was counted now.
//!
//! Of TOML it uses one table of names and numbers and one of names and strings, and nothing else, so
//! that it needs no parser. It never runs anything.

use std::fmt::Write as _;

/// A count may be this much above the record, as a part of it.
pub(super) const TOLERANCE: f64 = 0.05;

const OPENING: &str = "\
# Instructions of one operation each, counted under callgrind. Written by `cargo xtask bench --bless`
# and compared by `cargo xtask bench --check`. What they mean, and what they depend on besides the
# code, is in docs/PERFORMANCE.md.
";

/// What was recorded.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Record {
    /// What the counts depend on besides the code: names and values.
    pub(super) environment: Vec<(String, String)>,
    /// Operations and their instructions, in the order in which they are shown.
    pub(super) counts: Vec<(String, f64)>,
}

impl Record {
    /// Reads what [`to_text`](Self::to_text) wrote.
    ///
    /// # Errors
    ///
    /// The first line that is none of it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut record = Self::default();
        let mut table = "";
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.starts_with('[') {
                table = line;
                continue;
            }
            let unreadable = || format!("line {number}: not a line of the record: {line}");
            let (name, value) = line.split_once(" = ").ok_or_else(unreadable)?;
            match table {
                "[environment]" => {
                    let value = value.trim_matches('"').to_owned();
                    record.environment.push((name.to_owned(), value));
                }
                "[instructions]" => {
                    let count = value.parse().map_err(|_| unreadable())?;
                    record.counts.push((name.to_owned(), count));
                }
                _ => return Err(unreadable()),
            }
        }
        Ok(record)
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::from(OPENING);
        text.push_str("\n[environment]\n");
        for (name, value) in &self.environment {
            let _ = writeln!(text, "{name} = \"{value}\"");
        }
        text.push_str("\n[instructions]\n");
        for (name, count) in &self.counts {
            let _ = writeln!(text, "{name} = {count:.1}");
        }
        text
    }

    pub(super) fn count(&self, name: &str) -> Option<f64> {
        let found = self.counts.iter().find(|(recorded, _)| recorded == name);
        found.map(|(_, count)| *count)
    }

    /// What differs between the environment of the record and this one, as sentences.
    pub(super) fn environment_notes(&self, now: &[(String, String)]) -> Vec<String> {
        let other =
            |(name, value): &&(String, String)| now.iter().any(|(n, v)| n == name && v != value);
        let differing = self.environment.iter().filter(other);
        differing
            .map(|(name, value)| {
                let here = now.iter().find(|(n, _)| n == name);
                let here = here.map_or("", |(_, value)| value);
                format!("{name}: recorded with {value}, here it is {here}")
            })
            .collect()
    }
}

/// How a count compares with its record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    /// Within the tolerance.
    Same,
    /// Over the tolerance above the record.
    Worse,
    /// As much below it: to be recorded, or the gain can be lost again unnoticed.
    Better,
    /// Not recorded yet.
    New,
}

impl Verdict {
    pub(super) fn of(recorded: Option<f64>, now: f64) -> Self {
        match recorded {
            None => Self::New,
            Some(recorded) if now > recorded * (1.0 + TOLERANCE) => Self::Worse,
            Some(recorded) if now < recorded * (1.0 - TOLERANCE) => Self::Better,
            Some(_) => Self::Same,
        }
    }

    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Worse | Self::New)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::Worse => "WORSE",
            Self::Better => "better: record it",
            Self::New => "NOT RECORDED",
        }
    }
}

/// One line of the table that is shown.
pub(super) fn line(name: &str, recorded: Option<f64>, now: f64, what: &str) -> String {
    let verdict = Verdict::of(recorded, now).word();
    let (recorded, change) = match recorded {
        Some(recorded) => {
            let change = (now / recorded - 1.0) * 100.0;
            // No minus before a zero.
            let change = if change.abs() < 0.05 { 0.0 } else { change };
            (format!("{recorded:.1}"), format!("{change:+.1} %"))
        }
        None => ("-".to_owned(), "-".to_owned()),
    };
    format!("{name:<22}{recorded:>12}{now:>12.1}{change:>10}  {verdict:<18}{what}")
}

/// The table's first line.
pub(super) fn heading() -> String {
    format!(
        "{:<22}{:>12}{:>12}{:>10}  {:<18}one operation is",
        "operation", "recorded", "now", "change", ""
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_record_reads_back() {
        let record = Record {
            environment: owned(&[("architecture", "x86_64"), ("rustc", "rustc 1.95.0 (a b)")]),
            counts: vec![("get".to_owned(), 812.5), ("put".to_owned(), 3004.0)],
        };
        assert_eq!(Record::parse(&record.to_text()), Ok(record));
    }

    #[test]
    fn what_is_no_line_of_a_record_is_refused_with_its_number() {
        let refused = |text| Record::parse(text).is_err_and(|error| error.contains("line 2"));
        assert!(refused("[instructions]\nget = many"));
        assert!(refused("[instructions]\nget"));
        assert!(refused("# In no table:\nget = 4.0"));
    }

    #[test]
    fn only_more_than_the_tolerance_is_worse_or_better() {
        let recorded = Some(1000.0);
        assert_eq!(Verdict::of(recorded, 1049.0), Verdict::Same);
        assert_eq!(Verdict::of(recorded, 1051.0), Verdict::Worse);
        assert_eq!(Verdict::of(recorded, 951.0), Verdict::Same);
        assert_eq!(Verdict::of(recorded, 949.0), Verdict::Better);
        assert_eq!(Verdict::of(None, 1.0), Verdict::New);
        assert!(Verdict::Worse.is_failure() && Verdict::New.is_failure());
        assert!(!Verdict::Better.is_failure() && !Verdict::Same.is_failure());
    }

    #[test]
    fn a_line_shows_both_counts_and_the_change() {
        let line = line("get", Some(1000.0), 1200.0, "a get");
        let columns: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(
            columns,
            ["get", "1000.0", "1200.0", "+20.0", "%", "WORSE", "a", "get"]
        );
    }

    #[test]
    fn another_environment_is_told_by_what_differs() {
        let record = Record {
            environment: owned(&[("libc", "glibc 2.36"), ("rustc", "1.95.0")]),
            counts: Vec::new(),
        };
        let here = owned(&[("libc", "glibc 2.39"), ("rustc", "1.95.0")]);
        let notes = record.environment_notes(&here);
        assert_eq!(
            notes,
            ["libc: recorded with glibc 2.36, here it is glibc 2.39"]
        );
    }
}
