//! Counting the instructions of one operation, by running it under callgrind.
//!
//! Callgrind collects only inside the function that runs the repetitions, which it is told by name:
//! set-up and warm-up are not in the count, and no client request, which would take unsafe code, is
//! needed. The processor that valgrind shows to the program is not the machine's, and neither the
//! environment nor the place of the program reaches it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The function inside which instructions count: `counted` in `benches/src/meter.rs`.
const COUNTED: &str = "lsm_benches::meter::counted*";

/// How glibc copies and allocates while it is counted.
///
/// - It copies and fills with vector instructions also what is large. Else it uses one that repeats
///   itself, which callgrind counts once for each byte, and so thirty times for what it is.
/// - Its heap only grows, and holds what is large too. Else an operation that allocates at the heap's
///   end may have it cut back and grown each time, or not, as the bytes before it fall: 5 % of a new
///   cursor and its first steps.
const TUNABLES: &str = "glibc.cpu.hwcaps=-ERMS,-FSRM:\
     glibc.malloc.trim_threshold=4294967296:glibc.malloc.mmap_threshold=33554432";

/// Where the program is, and where what callgrind writes is left.
pub(super) struct Counter {
    program: PathBuf,
    outputs: PathBuf,
}

/// What was counted of one operation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Counted {
    /// Instructions of one operation.
    pub(super) instructions: f64,
    /// The extensions of the processor that the program saw.
    pub(super) extensions: String,
}

/// Valgrind's version, as it says it.
///
/// # Errors
///
/// If it is not installed, with what to do about it.
pub(super) fn version() -> Result<String, String> {
    let output = Command::new("valgrind").arg("--version").output();
    match output {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        _ => Err(
            "valgrind is not installed, and without it no instruction is counted; \
             on Debian and Ubuntu `apt-get install valgrind` installs it, with `libc6-dbg`; \
             where it cannot be had, `cargo xtask ci --skip instructions` runs the rest of the gate"
                .to_owned(),
        ),
    }
}

impl Counter {
    /// Runs `program`, and leaves what callgrind writes in `outputs`, for `callgrind_annotate`.
    ///
    /// # Errors
    ///
    /// If that folder can't be made.
    pub(super) fn new(program: PathBuf, outputs: PathBuf) -> Result<Self, String> {
        std::fs::create_dir_all(&outputs)
            .map_err(|error| format!("{}: {error}", outputs.display()))?;
        Ok(Self { program, outputs })
    }

    /// The operations that the program knows, each with what it is.
    ///
    /// # Errors
    ///
    /// If the program fails.
    pub(super) fn operations(&self) -> Result<Vec<(String, String)>, String> {
        let output = run(&mut Command::new(&self.program))?;
        let lines = String::from_utf8_lossy(&output.stdout);
        let lines = lines.lines().filter_map(|line| line.split_once('\t'));
        Ok(lines
            .map(|(name, what)| (name.to_owned(), what.to_owned()))
            .collect())
    }

    /// Counts one operation.
    ///
    /// # Errors
    ///
    /// If the program fails, or nothing was counted.
    pub(super) fn count(&self, name: &str) -> Result<Counted, String> {
        let folder = self.program.parent().unwrap_or(Path::new("."));
        let file = self.program.file_name().unwrap_or_default();
        let written = self.outputs.join(format!("{name}.out"));
        let mut command = Command::new("valgrind");
        command
            .args(["--tool=callgrind", "--quiet", "--log-file=/dev/null"])
            .arg(format!("--toggle-collect={COUNTED}"))
            .arg(format!("--callgrind-out-file={}", written.display()))
            // The stack begins with arguments and environment, and how it is aligned decides which
            // way copies from and to it go. So they are the same everywhere.
            .arg(Path::new(".").join(file))
            .arg(name)
            .current_dir(folder)
            .env_clear()
            .env("GLIBC_TUNABLES", TUNABLES);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        let output = run(&mut command)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let profile = std::fs::read_to_string(&written)
            .map_err(|error| format!("{}: {error}", written.display()))?;
        per_operation(&said, &profile).map_err(|error| format!("{name}: {error}"))
    }
}

/// Runs a command that must succeed.
fn run(command: &mut Command) -> Result<Output, String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(output)
    } else {
        let message = String::from_utf8_lossy(&output.stderr);
        Err(format!("{command:?}: {}\n{message}", output.status))
    }
}

/// Divides what callgrind collected by the repetitions that the program says it made.
fn per_operation(said: &str, profile: &str) -> Result<Counted, String> {
    let mut said = said.lines();
    let times: f64 = said
        .next()
        .and_then(|line| line.parse().ok())
        .filter(|times| *times > 0.0)
        .ok_or("the program did not say how often it ran the operation")?;
    let collected: f64 = profile
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))
        .and_then(|count| count.trim().parse().ok())
        .ok_or("callgrind wrote no total")?;
    if collected == 0.0 {
        return Err(format!(
            "nothing was counted: is there no `{COUNTED}` any more?"
        ));
    }
    Ok(Counted {
        instructions: collected / times,
        extensions: said.next().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_divided_by_the_repetitions() {
        let counted = per_operation("4000\nsse4.2 avx2\n", "events: Ir\ntotals: 10000\n");
        let expected = Counted {
            instructions: 2.5,
            extensions: "sse4.2 avx2".to_owned(),
        };
        assert_eq!(counted, Ok(expected));
    }

    #[test]
    fn a_count_of_nothing_is_an_error() {
        assert!(per_operation("4000\n", "totals: 0\n").is_err());
        assert!(per_operation("0\n", "totals: 10\n").is_err());
        assert!(per_operation("", "totals: 10\n").is_err());
        assert!(per_operation("4000\n", "events: Ir\n").is_err());
    }
}
