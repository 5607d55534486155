//! What kind of work a row measures. Plots group their rows by it.

/// In the order of a plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Writes,
    Reads,
    Scans,
    Mixed,
    Latency,
    Opening,
    Memory,
    Disk,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Writes,
        Self::Reads,
        Self::Scans,
        Self::Mixed,
        Self::Latency,
        Self::Opening,
        Self::Memory,
        Self::Disk,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::Writes => "Writes",
            Self::Reads => "Gets",
            Self::Scans => "Scans and seeks",
            Self::Mixed => "Reads and writes together",
            Self::Latency => "Latency",
            Self::Opening => "Opening and recovery",
            Self::Memory => "Memory",
            Self::Disk => "Disk: space and bytes written",
        }
    }

    /// Of a row, by its name and its unit.
    pub fn of(name: &str, unit: &str) -> Self {
        match unit {
            "MiB" => return Self::Memory,
            "× the user's" => return Self::Disk,
            "µs" | "×" => return Self::Latency,
            "ms" => return Self::Opening,
            _ => {}
        }
        // Behind `defaults:`, `16M keys:` or the letter of a workload.
        let work = name.split_once(": ").map_or(name, |(_, work)| work);
        let begins = |words: &[&str]| words.iter().any(|word| work.starts_with(word));
        if begins(&["half ", "95 %"]) {
            Self::Mixed
        } else if begins(&["replay"]) {
            Self::Opening
        } else if begins(&["full scan", "seek", "forward", "reverse", "windows"]) {
            Self::Scans
        } else if begins(&["get", "random gets", "cold gets", "reads"]) {
            Self::Reads
        } else {
            Self::Writes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_grouped_by_what_they_measure() {
        let cases = [
            ("bulk load at once", "keys/s", Kind::Writes),
            ("take the first and delete it", "/s", Kind::Writes),
            (
                "durable puts of four writers beside gets",
                "/s",
                Kind::Writes,
            ),
            ("1M keys: overwrites", "/s", Kind::Writes),
            ("gets beside four durable writers", "/s", Kind::Reads),
            ("get, hit, sixteen runs", "/s", Kind::Reads),
            ("defaults: random gets", "/s", Kind::Reads),
            ("C: reads", "/s", Kind::Reads),
            ("16M keys: seek + 10", "/s", Kind::Scans),
            ("windows all of tombstones", "windows/s", Kind::Scans),
            ("E: 95 % scans of up to 100, 5 % inserts", "/s", Kind::Mixed),
            ("offered puts, p99.9", "µs", Kind::Latency),
            ("gets beside compaction, p99 ÷ alone", "×", Kind::Latency),
            ("replay of the user's bytes", "MB/s", Kind::Opening),
            ("reopen and one get", "ms", Kind::Opening),
            ("load and reads, peak memory", "MiB", Kind::Memory),
            ("bulk load, bytes written", "× the user's", Kind::Disk),
        ];
        for (name, unit, kind) in cases {
            assert_eq!(Kind::of(name, unit), kind, "{name}");
            assert!(Kind::ALL.contains(&kind));
        }
    }
}
