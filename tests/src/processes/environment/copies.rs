//! Directories that come from elsewhere: written by `lsm-db` 1.x, or copied.

use lsm_db::{Error, Lsm};

use super::{Promised, Scene, Seen, copy};
use crate::model::contents;
use crate::vectors;
use crate::{describe, directory};

/// Copies of a store that is being written to.
const LIVE_COPIES: u32 = 6;

/// A directory of `lsm-db` 1.1.0 is taken over by a process that is killed on the way, or not.
pub(super) fn old(scene: &mut Scene) -> Result<Seen, String> {
    for name in vectors::ALL {
        let failed = |error: std::io::Error| format!("{name}: {error}");
        let at = scene.folder(name)?;
        for (file, bytes) in vectors::files(name).map_err(failed)? {
            std::fs::write(at.join(file), bytes).map_err(failed)?;
        }
        let held = vectors::model(name).map_err(failed)?;
        let mut told = Promised {
            sure: held,
            ..Promised::default()
        };
        let is_killed = scene.random.one_in(2);
        let mut puppet = scene.start()?;
        puppet.open(&at)?;
        if is_killed {
            scene.count("kills", 1);
        } else {
            let count = scene.some();
            scene.puts(&mut puppet, &mut told, count)?;
            puppet.must("flush")?;
            puppet.must("close")?;
        }
        drop(puppet);
        scene.check(&at, &told)?;
        scene.count("old directories", 1);
    }
    Ok(scene.seen.clone())
}

/// A copy of a closed store is a store of its own. A copy of one that is being written to opens or is
/// refused as damaged; it lacks nothing that was there before it was opened.
pub(super) fn copied(scene: &mut Scene) -> Result<Seen, String> {
    let (at, beside) = (scene.dir.join("db"), scene.dir.join("copy"));
    let closed = scene.closed_store(&at)?;
    copy(&at, &beside)?;
    let mut puppet = scene.start()?;
    puppet.open(&at)?;
    scene.check(&beside, &closed)?;
    let mut told = closed.clone();
    for number in 0..LIVE_COPIES {
        let live = scene.dir.join(format!("live-{number}"));
        std::thread::scope(|scope| {
            let copied = scope.spawn(|| copy(&at, &live));
            let count = scene.some();
            scene.puts(&mut puppet, &mut told, count)?;
            copied.join().map_err(|_| "the copy panicked".to_owned())?
        })?;
        live_copy(scene, &live, &closed, &told)?;
    }
    puppet.must("close")?;
    drop(puppet);
    scene.check(&at, &told)?;
    Ok(scene.seen.clone())
}

/// `told`: all that was ever written to the store that was copied.
fn live_copy(
    scene: &mut Scene,
    dir: &std::path::Path,
    closed: &Promised,
    told: &Promised,
) -> Result<(), String> {
    let in_dir = |text: String| format!("a copy of a live store: {text}");
    let before = directory::read(&lsm_fs::RealFs::new(), dir);
    let found = Lsm::open(dir).and_then(|db| {
        let found = contents(&db)?;
        db.close().map(|()| found)
    });
    match found {
        Ok(found) => {
            scene.count("live copies opened", 1);
            let allowed = Promised {
                sure: closed.sure.clone(),
                maybe: told.sure.clone(),
            };
            allowed.check(&found).map_err(in_dir)
        }
        Err(Error::Corruption { .. }) => {
            scene.count("live copies refused", 1);
            let after = directory::read(&lsm_fs::RealFs::new(), dir);
            let is_whole = |(before, after): (directory::Files, directory::Files)| {
                before
                    .iter()
                    .all(|(name, bytes)| after.get(name) == Some(bytes))
            };
            match before.ok().zip(after.ok()).is_some_and(is_whole) {
                true => Ok(()),
                false => Err(in_dir("refused, and changed".to_owned())),
            }
        }
        Err(error) => Err(in_dir(describe(&error))),
    }
}
