//! Processes that come of the one that has the store open: forked children, and programs it starts.

use std::path::Path;
use std::time::Duration;

use super::{Promised, Scene, Seen, files};
use crate::directory::Files;
use crate::processes::puppet::Puppet;

/// Opens beside threads that start processes.
const OPENS: u32 = 203;
/// Those threads.
const SPAWNERS: u32 = 4;
/// Processes that are killed beside such a thread.
const KILLS: u32 = 10;
/// Children forked off while threads read and write.
const BUSY_FORKS: u32 = 25;
/// Times that a directory may have changed beside children, before it was they.
const TRACES_MAX: u32 = 5;
/// A pause after which a directory that is the same is believed to be at rest.
const REST: Duration = Duration::from_millis(50);
/// Such pauses, of which one must be restful.
const RESTS_MAX: u32 = 2_000;

/// Children that were forked off are told so, write nothing and take nothing from their parent.
pub(super) fn fork(scene: &mut Scene) -> Result<Seen, String> {
    let at = scene.dir.join("db");
    let mut told = scene.closed_store(&at)?;
    let mut puppet = scene.start()?;
    // Nothing of it is loaded yet.
    puppet.open(&at)?;
    puppet.must("flush")?;
    leaves_no_trace(scene, &mut puppet, &at)?;
    let some = scene.some();
    scene.puts(&mut puppet, &mut told, some)?;
    told.check(&puppet.holds()?)?;
    // Now what is in memory and what is loaded can be read by a child.
    let tried = puppet.must("fork idle 1")?;
    count(scene, "answers to children", &tried)?;
    puppet.must(&format!("close-beside-child {}", at.display()))?;
    scene.count("closes beside a child", 1);
    told.check(&puppet.holds()?)?;
    puppet.must("close")?;
    drop(puppet);
    scene.check(&at, &told)?;
    busy(scene)
}

/// Forks children that may change nothing in the directory. What the parent still does in the background
/// may; but not each time.
fn leaves_no_trace(scene: &mut Scene, puppet: &mut Puppet, at: &Path) -> Result<(), String> {
    for _ in 0..TRACES_MAX {
        let before = settled(at)?;
        let tried = puppet.must("fork idle 2")?;
        count(scene, "answers to children", &tried)?;
        if files(at)? == before {
            return Ok(());
        }
    }
    Err("forked children change the directory".to_owned())
}

/// The files, once the background seems to leave them alone.
fn settled(at: &Path) -> Result<Files, String> {
    // A file may go while it is read.
    let mut before = files(at);
    for _ in 0..RESTS_MAX {
        std::thread::sleep(REST);
        let now = files(at);
        if now.is_ok() && now == before {
            return now;
        }
        before = now;
    }
    Err("the directory of an idle store changes for ever".to_owned())
}

/// Forks while other threads hold what locks they may.
fn busy(scene: &mut Scene) -> Result<Seen, String> {
    let at = scene.dir.join("busy");
    let mut puppet = scene.start()?;
    puppet.open(&at)?;
    let tried = puppet.must(&format!("fork busy {BUSY_FORKS}"))?;
    count(scene, "answers to children", &tried)?;
    scene.count("forks beside busy threads", u64::from(BUSY_FORKS));
    let held = puppet.holds()?;
    if let Some(key) = held.keys().find(|key| !key.starts_with(b"busy-")) {
        return Err(format!("a child wrote {}", String::from_utf8_lossy(key)));
    }
    puppet.must("close")?;
    drop(puppet);
    let told = Promised {
        sure: held,
        ..Promised::default()
    };
    scene.check(&at, &told)?;
    Ok(scene.seen.clone())
}

fn count(scene: &mut Scene, name: &'static str, said: &str) -> Result<(), String> {
    let more = said.parse().map_err(|_| format!("not a count: {said}"))?;
    scene.count(name, more);
    Ok(())
}

/// A process that is being started has copies of its parent's files, and of the lock: that keeps no
/// store locked that was closed, nor one whose process was killed.
pub(super) fn spawn(scene: &mut Scene) -> Result<Seen, String> {
    let at = scene.dir.join("db");
    let mut told = Promised::default();
    let mut puppet = scene.start()?;
    puppet.must(&format!("spawn {SPAWNERS}"))?;
    for _ in 0..OPENS {
        // At once: an explicit unlock needs no patience.
        puppet.must(&format!("open-at-once {}", at.display()))?;
        scene.puts(&mut puppet, &mut told, 1)?;
        puppet.must("close")?;
    }
    let spawned = puppet.must("spawned")?;
    count(scene, "processes started", &spawned)?;
    scene.count("opens beside them", u64::from(OPENS));
    drop(puppet);
    for _ in 0..KILLS {
        let mut puppet = scene.start()?;
        puppet.open(&at)?;
        puppet.must("spawn 1")?;
        scene.puts(&mut puppet, &mut told, 3)?;
        drop(puppet);
        // What it was starting when it was killed may not have come to run its own program yet.
        scene.check(&at, &told)?;
    }
    scene.count("opens after a kill", u64::from(KILLS));
    Ok(scene.seen.clone())
}
