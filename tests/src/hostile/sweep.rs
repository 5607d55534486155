//! Trying cases: the small stores of one seed, and every change of a file of theirs by number.
//!
//! Flips, cuts and junk are counted over the files of a kind, one after the other in the images'
//! order; a forgery's number only seeds it.

use std::collections::BTreeMap;
use std::error::Error;

use bytes::Bytes;
use lsm_version::parse_run_file_name;

use super::image::Image;
use super::trial::{Outcome, Trial};
use super::{Case, FileKind, Way, codecs, logs, manifests, runs};
use crate::crash::Violation;
use crate::random::Random;

/// Tails of junk that each file gets.
const TAILS: [&[u8]; 6] = [
    &[0],
    &[0; 8],
    &[0; 4096],
    &[0xff; 64],
    b"LSMTBL01",
    b"some text that is no record at all, but longer than the header of one",
];

/// The small stores of one seed.
#[derive(Debug)]
pub struct Sweep {
    seed: u64,
    images: Vec<Image>,
}

/// How many cases were tried, and how they went.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// By kind and way: tried, refused, opened with reads that failed.
    pub by_kind: BTreeMap<(FileKind, Way), [u64; 3]>,
}

impl Tally {
    /// How many cases were tried.
    pub fn cases(&self) -> u64 {
        self.by_kind.values().map(|[tried, ..]| tried).sum()
    }

    fn note(&mut self, case: Case, outcome: Outcome) {
        let [tried, refused, failed] = self.by_kind.entry((case.kind, case.way)).or_default();
        *tried += 1;
        *refused += u64::from(outcome == Outcome::Refused);
        *failed += u64::from(outcome == Outcome::ReadsFailed);
    }
}

/// A file, changed.
struct Changed<'a> {
    image: &'a Image,
    name: &'a str,
    bytes: Vec<u8>,
    what: String,
}

impl Sweep {
    /// Makes the stores.
    ///
    /// # Errors
    /// The store's, if they cannot be made.
    pub fn new(seed: u64) -> Result<Self, Box<dyn Error>> {
        let images = Image::all(seed)?;
        Ok(Self { seed, images })
    }

    /// The stores, undamaged.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// How many cases of this kind and way there are; a forgery's number has no end.
    pub fn count(&self, kind: FileKind, way: Way) -> u64 {
        let files = self.files(kind);
        files
            .map(|(.., bytes)| way.count(bytes))
            .fold(0, u64::saturating_add)
    }

    /// Every file of a kind in every image.
    fn files(&self, kind: FileKind) -> impl Iterator<Item = (&Image, &str, &[u8])> {
        self.images.iter().flat_map(move |image| {
            let names = image.names(kind);
            names.filter_map(move |name| {
                Some((image, name.as_str(), image.files.get(name)?.as_slice()))
            })
        })
    }

    /// Tries one case: the codecs, then the whole store.
    ///
    /// # Errors
    /// What does not hold, or that there is no such case.
    pub fn try_case(&self, case: Case, tally: &mut Tally) -> Result<Outcome, Violation> {
        let violation = |message| Violation {
            case: case.to_string(),
            seed: self.seed,
            message,
        };
        let changed = crate::crash::caught(|| {
            let no_case = || "there is no such case".to_owned();
            self.changed(case).ok_or_else(no_case)
        });
        let changed = changed.map_err(violation)?;
        let place = |message| {
            let (image, name) = (changed.image.name, changed.name);
            violation(format!("{image}, {name}, {}: {message}", changed.what))
        };
        let outcome = crate::crash::caught(|| self.check(case, &changed)).map_err(place)?;
        tally.note(case, outcome);
        Ok(outcome)
    }

    fn check(&self, case: Case, changed: &Changed<'_>) -> Result<Outcome, String> {
        let image = changed.image;
        let mut files = vec![(changed.name.to_owned(), changed.bytes.clone())];
        let disk = image.disk_with(&files).map_err(|error| error.to_string())?;
        match case.kind {
            FileKind::Run => {
                codecs::read_run(&Bytes::from(changed.bytes.clone()), image.keys.iter())?;
            }
            FileKind::Log | FileKind::Manifest => {
                if let Some((database_id, bounds)) = codecs::load_manifest(&disk) {
                    codecs::recover_log(&disk.reopen_after_kill(), database_id, &bounds);
                    codecs::recover_log(&disk, database_id, &Default::default());
                }
            }
        }
        // Every other forged run is also recorded as it is, or the manifest would give it away.
        if case.kind == FileKind::Run && case.way == Way::Forge && case.number.is_multiple_of(2) {
            files.extend(recorded(changed));
        }
        let disk = image.disk_with(&files).map_err(|error| error.to_string())?;
        let mut trial = Trial::new(image, disk, case.kind, case.way != Way::Forge);
        trial.may_be_older |= case.kind == FileKind::Manifest && case.way == Way::Cut;
        trial.run()
    }

    fn changed(&self, case: Case) -> Option<Changed<'_>> {
        if case.way == Way::Forge {
            return self.forged(case);
        }
        let mut number = case.number;
        for (image, name, sound) in self.files(case.kind) {
            let count = case.way.count(sound);
            if number < count {
                let (bytes, what) = case.way.change(sound, usize::try_from(number).ok()?);
                return Some(Changed {
                    image,
                    name,
                    bytes,
                    what,
                });
            }
            number -= count;
        }
        None
    }

    fn forged(&self, case: Case) -> Option<Changed<'_>> {
        let mut random = Random::new(self.seed.rotate_left(32) ^ case.number);
        let mut random = Random::new(random.draw());
        let files = self.files(case.kind).count();
        let (image, name, sound) = self.files(case.kind).nth(random.below(files.max(1)))?;
        let forge = match case.kind {
            FileKind::Run => runs::forge,
            FileKind::Log => logs::forge,
            FileKind::Manifest => manifests::forge,
        };
        let (bytes, what) = forge(sound, &mut random)?;
        Some(Changed {
            image,
            name,
            bytes,
            what,
        })
    }
}

/// The manifest of a changed run, which states the length and index that the run has now.
fn recorded(changed: &Changed<'_>) -> Option<(String, Vec<u8>)> {
    let manifest = "MANIFEST".to_owned();
    let sound = changed.image.files.get(&manifest)?;
    let id = parse_run_file_name(changed.name.as_ref())?;
    let bytes = manifests::with_run_recorded(sound, id, runs::recorded(&changed.bytes)?)?;
    Some((manifest, bytes))
}

impl Way {
    /// How many changes of this way a file of these bytes has.
    fn count(self, bytes: &[u8]) -> u64 {
        match self {
            Self::Flip => bytes.len() as u64 * 8,
            Self::Cut => bytes.len() as u64,
            Self::Junk => TAILS.len() as u64,
            Self::Forge => u64::MAX,
        }
    }

    fn change(self, sound: &[u8], number: usize) -> (Vec<u8>, String) {
        let mut bytes = sound.to_vec();
        let what = match self {
            Self::Flip => {
                if let Some(byte) = bytes.get_mut(number / 8) {
                    *byte ^= 1 << (number % 8);
                }
                format!("bit {} of byte {} flipped", number % 8, number / 8)
            }
            Self::Cut => {
                bytes.truncate(number);
                format!("cut to {number} of {} bytes", sound.len())
            }
            _ => {
                let tail = TAILS.get(number).copied().unwrap_or_default();
                bytes.extend_from_slice(tail);
                format!("{} bytes behind the end", tail.len())
            }
        };
        (bytes, what)
    }
}
