//! What the system does not give: more open files, longer files, a file system to write to.

use std::path::Path;

use super::{Promised, Scene, Seen, files, is_untouched};
use crate::processes::full_disk;
use crate::processes::puppet::Puppet;

/// Files that a process may have open. A store needs about ten besides its runs.
const OPEN_FILES: u32 = 32;
/// How long a file may be, in units of `ulimit -f`: 512 or 1,024 bytes each. Less than the log of one
/// of a puppet's memtables.
const FILE_UNITS: u32 = 16;
/// Writes that go beyond that length in any case.
const WRITES_MAX: u32 = 2_000;
/// Refusals after which a process is believed to live on.
const REFUSALS: u64 = 5;

/// With few files open, all is read and written.
pub(super) fn open_files(scene: &mut Scene) -> Result<Seen, String> {
    let at = scene.dir.join("db");
    let mut told = scene.closed_store(&at)?;
    let limit = shell(&format!("ulimit -n {OPEN_FILES}"));
    let mut puppet = Puppet::start(&scene.program, &limit)?;
    puppet.open(&at)?;
    scene.puts(&mut puppet, &mut told, 800)?;
    puppet.must("flush")?;
    told.check(&puppet.holds()?)?;
    puppet.must("compact")?;
    told.check(&puppet.holds()?)?;
    puppet.must("close")?;
    drop(puppet);
    scene.check(&at, &told)?;
    Ok(scene.seen.clone())
}

/// Where no file may be long, writes are refused, or the system kills: what was acknowledged is there.
pub(super) fn file_size(scene: &mut Scene) -> Result<Seen, String> {
    for (name, how) in [
        ("refused", format!("trap '' XFSZ && ulimit -f {FILE_UNITS}")),
        ("killed", format!("ulimit -c 0 && ulimit -f {FILE_UNITS}")),
    ] {
        let at = scene.dir.join(name);
        let mut told = scene.closed_store(&at)?;
        let mut puppet = Puppet::start(&scene.program, &shell(&how))?;
        let stopped = fill(scene, &mut puppet, &at, &mut told)?;
        if stopped.is_some() != (name == "killed") {
            let stopped = stopped.unwrap_or_else(|| "it lived on".to_owned());
            return Err(format!("the process that was to be {name}: {stopped}"));
        }
        drop(puppet);
        scene.check(&at, &told)?;
    }
    Ok(scene.seen.clone())
}

/// Writes until writes are refused. Returns how the puppet died, if it did.
fn fill(
    scene: &mut Scene,
    puppet: &mut Puppet,
    at: &Path,
    told: &mut Promised,
) -> Result<Option<String>, String> {
    let mut refused = match puppet.ask(&format!("open {}", at.display())) {
        Ok(opened) => u64::from(opened.is_err()),
        Err(died) => return Ok(Some(died)),
    };
    for _ in 0..WRITES_MAX {
        match scene.put(puppet, told) {
            Ok(answer) => refused += u64::from(answer.is_err()),
            Err(died) => return Ok(Some(died)),
        }
        if refused >= REFUSALS {
            scene.count("refusals", refused);
            return Ok(None);
        }
    }
    Err("no file has become too long".to_owned())
}

/// In a mount of its own that may not be written to, a store is refused as it is.
pub(super) fn read_only(scene: &mut Scene) -> Result<Seen, String> {
    let mount = scene.folder("mount")?;
    let mut wrapper = match full_disk::available(&mount) {
        Ok(wrapper) => wrapper,
        Err(why) => {
            scene.seen.left_out = Some(why);
            return Ok(scene.seen.clone());
        }
    };
    let at = mount.join("db");
    let told = scene.closed_store(&at)?;
    let before = files(&at)?;
    let shown = mount.display();
    wrapper.extend(shell(&format!(
        "mount --bind '{shown}' '{shown}' && mount -o remount,bind,ro '{shown}'"
    )));
    let mut puppet = Puppet::start(&scene.program, &wrapper)?;
    for dir in [at.clone(), mount.join("new")] {
        match puppet.ask(&format!("open {}", dir.display()))? {
            Err(refused) if refused.kind == "Io" => scene.count("refusals", 1),
            Err(refused) => return Err(format!("read-only: {}", refused.text)),
            Ok(_) => return Err("read-only: opened for writing".to_owned()),
        }
    }
    drop(puppet);
    is_untouched(&at, &before)?;
    scene.check(&at, &told)?;
    Ok(scene.seen.clone())
}

/// What starts a program after a shell has done something.
fn shell(first: &str) -> Vec<String> {
    let script = format!("{first} && exec \"$@\"");
    ["sh", "-c", &script, "sh"].map(str::to_owned).into()
}
