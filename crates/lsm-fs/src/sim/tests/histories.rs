//! Random histories: the simulated file system against the real one, and crash images against what
//! the history made durable.

use std::collections::BTreeMap;

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::*;
use crate::RealFs;

const NAMES: [&str; 3] = ["a", "b", "d/c"];

/// One step; numbers choose among names and open handles.
#[derive(Debug, Clone)]
enum Step {
    Create(u8),
    Append(u8, u16),
    Preallocate(u8, u16),
    Truncate(u8, u16),
    Sync(u8),
    Close(u8),
    Rename(u8, u8),
    HardLink(u8, u8),
    Remove(u8),
    SyncDirs,
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        let (a, b) = (u8::arbitrary(g), u8::arbitrary(g));
        let len = u16::arbitrary(g) % 3000;
        match u8::arbitrary(g) % 16 {
            0..=3 => Self::Create(a),
            4..=6 => Self::Append(a, len),
            7 => Self::Preallocate(a, len),
            8 => Self::Truncate(a, len),
            9..=10 => Self::Sync(a),
            11 => Self::Close(a),
            12 => Self::Rename(a, b),
            13 => Self::HardLink(a, b),
            14 => Self::Remove(a),
            _ => Self::SyncDirs,
        }
    }
}

/// A file system with a directory of its own and the handles that a history has open.
struct Player<'a> {
    fs: &'a dyn FileSystem,
    dir: &'a Path,
    handles: Vec<Arc<dyn File>>,
}

impl<'a> Player<'a> {
    fn new(fs: &'a dyn FileSystem, dir: &'a Path) -> Self {
        fs.create_dir(&dir.join("d")).unwrap();
        Self {
            fs,
            dir,
            handles: Vec::new(),
        }
    }

    fn path(&self, number: u8) -> std::path::PathBuf {
        self.dir.join(NAMES[usize::from(number) % NAMES.len()])
    }

    fn with(&self, number: u8, act: impl Fn(&dyn File) -> io::Result<()>) -> io::Result<()> {
        match self.handles.len() {
            0 => Ok(()),
            len => act(&*self.handles[usize::from(number) % len]),
        }
    }

    fn play(&mut self, step: &Step) -> io::Result<()> {
        match *step {
            Step::Create(a) => self.handles.push(self.fs.create_new(&self.path(a))?),
            Step::Append(a, len) => {
                self.with(a, |file| file.append_all(&vec![a | 1; usize::from(len)]))?;
            }
            Step::Preallocate(a, len) => self.with(a, |file| file.preallocate(len.into()))?,
            Step::Truncate(a, len) => self.with(a, |file| file.truncate(len.into()))?,
            Step::Sync(a) => self.with(a, |file| file.sync())?,
            Step::Close(a) => {
                if !self.handles.is_empty() {
                    self.handles.remove(usize::from(a) % self.handles.len());
                }
            }
            Step::Rename(a, b) => self.fs.rename(&self.path(a), &self.path(b))?,
            Step::HardLink(a, b) => self.fs.hard_link(&self.path(a), &self.path(b))?,
            Step::Remove(a) => self.fs.remove_file(&self.path(a))?,
            Step::SyncDirs => {
                self.fs.sync_dir(self.dir)?;
                self.fs.sync_dir(&self.dir.join("d"))?;
            }
        }
        Ok(())
    }
}

/// Everything below a player's directory.
fn tree(fs: &dyn FileSystem, dir: &Path) -> BTreeMap<&'static str, Vec<u8>> {
    let names = NAMES
        .iter()
        .filter(|name| fs.kind(&dir.join(name)).unwrap().is_some());
    names
        .map(|&name| (name, fs.read_to_vec(&dir.join(name), 1 << 30).unwrap()))
        .collect()
}

#[test]
fn the_simulated_file_system_answers_as_the_real_one_does() {
    fn holds(steps: Vec<Step>) -> bool {
        let real_dir = tempfile::tempdir().unwrap();
        let sim = SimFs::new();
        let mut real_player = Player::new(&RealFs, real_dir.path());
        let mut sim_player = Player::new(&sim, Path::new("/"));
        for step in &steps {
            let real_answer = real_player.play(step).map_err(|error| error.kind());
            let sim_answer = sim_player.play(step).map_err(|error| error.kind());
            assert_eq!(real_answer, sim_answer, "{step:?}");
        }
        for (real_file, sim_file) in real_player.handles.iter().zip(&sim_player.handles) {
            assert_eq!(real_file.len().unwrap(), sim_file.len().unwrap());
        }
        assert_eq!(tree(&RealFs, real_dir.path()), tree(&sim, Path::new("/")));
        true
    }
    QuickCheck::new()
        .tests(50)
        .quickcheck(holds as fn(Vec<Step>) -> bool);
}

#[test]
fn what_was_synced_is_found_in_every_image() {
    /// Plays a history, syncs everything, plays on; only names and files that the second part
    /// leaves alone are bound to be found as they were.
    fn holds(before: Vec<Step>, after: Vec<Step>, seed: u64) -> bool {
        let sim = SimFs::new();
        let mut player = Player::new(&sim, Path::new("/"));
        for step in &before {
            let _ = player.play(step);
        }
        player.handles.iter().for_each(|file| file.sync().unwrap());
        for name in NAMES
            .iter()
            .filter_map(|name| sim.open(&Path::new("/").join(name)).ok())
        {
            name.sync().unwrap();
        }
        player.play(&Step::SyncDirs).unwrap();
        let synced = tree(&sim, Path::new("/"));
        for image in CrashImage::standard(seed) {
            assert_eq!(
                tree(&sim.crash(&image), Path::new("/")),
                synced,
                "{image:?}"
            );
        }

        // From here on, only appends: they never harm what was there.
        let lens: BTreeMap<_, _> = synced
            .iter()
            .map(|(name, bytes)| (*name, bytes.len()))
            .collect();
        let fresh = sim.create_new(Path::new("/fresh")).unwrap();
        for step in after
            .iter()
            .filter(|step| matches!(step, Step::Append(..) | Step::Sync(_)))
        {
            player.play(step).unwrap();
            fresh.append_all(&[1; 700]).unwrap();
        }
        let live = tree(&sim, Path::new("/"));
        for image in CrashImage::standard(seed) {
            let found = tree(&sim.crash(&image), Path::new("/"));
            for (name, len) in &lens {
                assert!(
                    found[name].len() >= *len,
                    "{image:?}: {name} is shorter than when synced"
                );
                // An append may write over room that was preallocated before the sync.
                for ((found, live), synced) in
                    found[name].iter().zip(&live[name]).zip(&synced[name])
                {
                    assert!(found == live || found == synced, "{image:?}: {name}");
                }
            }
        }
        true
    }
    QuickCheck::new()
        .tests(100)
        .quickcheck(holds as fn(Vec<Step>, Vec<Step>, u64) -> bool);
}

#[test]
fn an_image_never_shows_a_byte_that_was_never_written() {
    fn holds(steps: Vec<Step>, seed: u64) -> bool {
        let sim = SimFs::new();
        let mut player = Player::new(&sim, Path::new("/"));
        for step in &steps {
            let _ = player.play(step);
        }
        // Every byte that a history writes is odd; the one image with garbage is exempt.
        for image in CrashImage::standard(seed) {
            if matches!(image, CrashImage::LengthsWithGarbage { .. }) {
                continue;
            }
            let found = tree(&sim.crash(&image), Path::new("/"));
            for bytes in found.values() {
                assert!(
                    bytes.iter().all(|byte| *byte == 0 || byte % 2 == 1),
                    "{image:?}"
                );
            }
        }
        true
    }
    QuickCheck::new()
        .tests(100)
        .quickcheck(holds as fn(Vec<Step>, u64) -> bool);
}
