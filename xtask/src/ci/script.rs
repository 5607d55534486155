//! Plays `.ci/run` to each kind of user, with stand-ins for what it calls: what does it install, and
//! which steps does it ask for? Tests only.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::workspace;

/// A machine as the script sees it.
struct Machine {
    has_valgrind: bool,
    user_id: u32,
    is_ci: bool,
    sudo_works: bool,
}

const USER: Machine = Machine {
    has_valgrind: false,
    user_id: 1000,
    is_ci: false,
    sudo_works: false,
};

/// What the script called, in order: `cargo` and `apt-get` with their arguments.
fn calls(machine: &Machine) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("calls");
    let noted = format!("echo \"$(basename $0) $*\" >> {}", log.display());
    let exit = |works| if works { "exit 0" } else { "exit 1" };
    for (name, body) in [
        ("cargo", noted.as_str()),
        ("apt-get", &noted),
        ("valgrind", exit(machine.has_valgrind)),
        ("id", &format!("echo {}", machine.user_id)),
        // Without a password, or not at all; then it does what it was given.
        (
            "sudo",
            &format!(
                "{}\nshift\n\"$@\"",
                if machine.sudo_works { ":" } else { "exit 1" }
            ),
        ),
    ] {
        stand_in(dir.path(), name, body)?;
    }
    let mut command = Command::new("bash");
    command.arg(workspace::root().join(".ci/run"));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", dir.path().display()));
    command.env_remove("CI");
    if machine.is_ci {
        command.env("CI", "true");
    }
    let output = command.output()?;
    assert!(output.status.success(), "{output:?}");
    let calls = fs::read_to_string(&log)?;
    Ok(calls.lines().map(str::to_owned).collect())
}

fn stand_in(dir: &Path, name: &str, body: &str) -> std::io::Result<()> {
    let path = dir.join(name);
    fs::write(&path, format!("#!/usr/bin/env bash\n{body}\n"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
}

/// Whether valgrind was installed, and the gate as it was called.
fn played(machine: &Machine) -> Result<(bool, String), Box<dyn std::error::Error>> {
    let calls = calls(machine)?;
    let is_installed = calls
        .iter()
        .any(|call| call.contains("install --quiet=2 --yes valgrind"));
    let gate = calls.last().and_then(|call| call.split_once(" -- "));
    let gate = gate.map(|(_, gate)| gate.to_owned());
    Ok((is_installed, gate.ok_or("the gate was not called")?))
}

type TestResult = Result<(), Box<dyn std::error::Error>>;

#[test]
fn with_everything_there_every_step_is_run_and_nothing_installed() -> TestResult {
    let machine = Machine {
        has_valgrind: true,
        ..USER
    };
    assert_eq!(played(&machine)?, (false, "ci".to_owned()));
    Ok(())
}

#[test]
fn a_user_without_root_skips_what_cannot_be_installed() -> TestResult {
    let skipped = (false, "ci --skip instructions".to_owned());
    assert_eq!(played(&USER)?, skipped);
    // Not on a developer's machine behind the developer's back.
    let machine = Machine {
        sudo_works: true,
        ..USER
    };
    assert_eq!(played(&machine)?, skipped);
    let machine = Machine {
        is_ci: true,
        ..USER
    };
    assert_eq!(played(&machine)?, skipped);
    Ok(())
}

#[test]
fn root_and_a_hosted_runner_install_what_is_missing() -> TestResult {
    let root = Machine { user_id: 0, ..USER };
    let hosted = Machine {
        is_ci: true,
        sudo_works: true,
        ..USER
    };
    for machine in [root, hosted] {
        assert_eq!(played(&machine)?, (true, "ci".to_owned()));
    }
    Ok(())
}
