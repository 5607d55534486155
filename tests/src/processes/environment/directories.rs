//! The directory of an open store comes to be something else: another path, another store's, nothing.

use std::path::Path;

use super::{Promised, Scene, Seen, copy, files, is_untouched};
use crate::processes::puppet::Puppet;

/// The working directory changes under a store that was opened by a relative path, to one where the
/// same path is another store: that stays as it is, and ours goes on where it was.
pub(super) fn chdir(scene: &mut Scene) -> Result<Seen, String> {
    let (ours, theirs) = (scene.folder("ours")?, scene.folder("theirs")?);
    let other = scene.closed_store(&theirs.join("db"))?;
    let before = files(&theirs.join("db"))?;
    let mut told = Promised::default();
    let mut puppet = scene.start()?;
    puppet.must(&format!("chdir {}", ours.display()))?;
    puppet.open(Path::new("db"))?;
    let count = scene.some();
    scene.puts(&mut puppet, &mut told, count)?;
    puppet.must(&format!("chdir {}", theirs.display()))?;
    let count = scene.some();
    scene.puts(&mut puppet, &mut told, count)?;
    work(scene, &mut puppet)?;
    told.check(&puppet.holds()?)?;
    puppet.must("close")?;
    drop(puppet);
    is_untouched(&theirs.join("db"), &before)?;
    scene.check(&ours.join("db"), &told)?;
    scene.check(&theirs.join("db"), &other)?;
    Ok(scene.seen.clone())
}

/// The directory gets another name: the store goes on in it, and all of it is there.
pub(super) fn rename(scene: &mut Scene) -> Result<Seen, String> {
    let (at, moved) = (scene.dir.join("db"), scene.dir.join("moved"));
    let (mut puppet, mut told) = opened(scene, &at)?;
    renamed(&at, &moved)?;
    let count = scene.some();
    scene.puts(&mut puppet, &mut told, count)?;
    work(scene, &mut puppet)?;
    told.check(&puppet.holds()?)?;
    puppet.must("close")?;
    if at.exists() {
        return Err(format!("{} is back", at.display()));
    }
    scene.check(&moved, &told)?;
    Ok(scene.seen.clone())
}

/// The directory gets another name, and its old one is given to another store.
pub(super) fn replace(scene: &mut Scene) -> Result<Seen, String> {
    let (at, moved, spare) = (
        scene.dir.join("db"),
        scene.dir.join("moved"),
        scene.dir.join("spare"),
    );
    let other = scene.closed_store(&spare)?;
    let (mut puppet, mut told) = opened(scene, &at)?;
    renamed(&at, &moved)?;
    copy(&spare, &at)?;
    let before = files(&at)?;
    let count = scene.some();
    scene.puts(&mut puppet, &mut told, count)?;
    work(scene, &mut puppet)?;
    told.check(&puppet.holds()?)?;
    puppet.must("close")?;
    drop(puppet);
    is_untouched(&at, &before)?;
    scene.check(&moved, &told)?;
    scene.check(&at, &other)?;
    Ok(scene.seen.clone())
}

/// The directory is removed, and in every other round there is a new store in its place: no durable
/// write, flush or close is said to be done.
pub(super) fn remove(scene: &mut Scene) -> Result<Seen, String> {
    for first in ["put", "flush", "sync", "close"] {
        let at = scene.dir.join(format!("db-{first}"));
        let (mut puppet, _) = opened(scene, &at)?;
        // Something for a flush to do.
        puppet.must("put unflushed 1")?;
        let removed = std::fs::remove_dir_all(&at);
        removed.map_err(|error| format!("{}: {error}", at.display()))?;
        let other = match scene.random.one_in(2) {
            true => Some((scene.closed_store(&at)?, files(&at)?)),
            false => None,
        };
        let asked = match first {
            "put" => "put k 1",
            other => other,
        };
        for command in [asked, "put k 2", "flush", "close"] {
            match puppet.ask(command)? {
                Ok(_) => return Err(format!("{command}: Ok, in a directory that was removed")),
                Err(_) => scene.count("refusals", 1),
            }
            if command == "close" {
                break;
            }
        }
        drop(puppet);
        match other {
            Some((other, before)) => {
                is_untouched(&at, &before)?;
                scene.check(&at, &other)?;
            }
            None if at.exists() => return Err(format!("{} is back", at.display())),
            None => {}
        }
    }
    Ok(scene.seen.clone())
}

/// A user removes the file `LOCK` of a store that is open: that opens no second door.
pub(super) fn lock_removed(scene: &mut Scene) -> Result<Seen, String> {
    let at = scene.dir.join("db");
    let (mut puppet, mut told) = opened(scene, &at)?;
    let lock = at.join("LOCK");
    let removed = std::fs::remove_file(&lock);
    removed.map_err(|error| format!("{}: {error}", lock.display()))?;
    for command in ["open", "open-at-once"] {
        let mut second = scene.start()?;
        match second.ask(&format!("{command} {}", at.display()))? {
            Err(refused) if refused.kind == "Locked" => scene.count("refusals", 1),
            Err(refused) => return Err(format!("a second open: {}", refused.text)),
            Ok(_) => return Err("a second open is let in".to_owned()),
        }
    }
    let count = scene.some();
    scene.puts(&mut puppet, &mut told, count)?;
    puppet.must("close")?;
    scene.check(&at, &told)?;
    Ok(scene.seen.clone())
}

/// A store that is open and has something in it.
fn opened(scene: &mut Scene, at: &Path) -> Result<(Puppet, Promised), String> {
    let mut told = Promised::default();
    let mut puppet = scene.start()?;
    puppet.open(at)?;
    let count = scene.some();
    scene.puts(&mut puppet, &mut told, count)?;
    Ok((puppet, told))
}

/// What makes, renames and unlinks files.
fn work(scene: &mut Scene, puppet: &mut Puppet) -> Result<(), String> {
    puppet.must("flush")?;
    if scene.random.one_in(2) {
        puppet.must("compact")?;
    }
    Ok(())
}

fn renamed(from: &Path, to: &Path) -> Result<(), String> {
    std::fs::rename(from, to).map_err(|error| format!("{}: {error}", from.display()))
}
