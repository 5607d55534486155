//! The bounds, each with the file that comes nearest to it.

use bytes::Bytes;
use lsm_db::LsmConfig;
use lsm_db::format::{Entry, RunWriter, crc32c};
use lsm_format::encode_entry;
use lsm_fs::SimFs;
use lsm_tests::TestResult;
use lsm_tests::directory::Files;
use lsm_tests::hostile::image::Image;
use lsm_tests::hostile::{Case, FileKind, Sweep, Way, codecs, logs, manifests};
use lsm_tests::machine::Machine;
use lsm_tests::vectors::plant_all;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const SEED: u64 = 1;
/// What is there whatever the files are: buffers of fixed size, the scheduler, and the like.
const FIXED_BYTES: usize = 1 << 20;

/// The most memory that `work` has in use at a time, beyond what was in use before.
fn peak<T>(work: impl FnOnce() -> T) -> usize {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    drop(work());
    ALLOCATOR.peak_usage().saturating_sub(before)
}

fn check(what: &str, peak: usize, multiple: usize, file_bytes: usize) {
    let limit = multiple * file_bytes + FIXED_BYTES;
    println!(
        "{what}: {peak} bytes for {file_bytes}, {:.1} times",
        peak as f64 / file_bytes as f64
    );
    assert!(peak <= limit, "{what}: {peak} bytes, not {limit} at most");
}

fn image(name: &str) -> Result<Image, Box<dyn std::error::Error>> {
    let images = Image::all(SEED)?;
    let found = images.into_iter().find(|image| image.name == name);
    found.ok_or_else(|| format!("no image {name}").into())
}

fn file(image: &Image, kind: FileKind) -> Result<(&String, &Vec<u8>), String> {
    let name = image.names(kind).last().ok_or("no such file")?;
    Ok((name, image.files.get(name).ok_or("no such file")?))
}

/// Entries that are nearly as small as they can be: nine bytes, and a key of four.
fn tiny_run() -> lsm_db::Result<Bytes> {
    let mut run = RunWriter::new();
    for number in 0..300_000_u32 {
        run.delete(number.to_be_bytes())?;
    }
    Ok(run.finish().into())
}

/// Of all tests the only one here, so that nobody else allocates meanwhile.
#[test]
fn hostile_files_take_memory_by_their_own_length_and_not_by_what_they_say() -> TestResult {
    forged_files_in_codecs_and_store()?;
    a_run_of_tiny_entries_takes_4_times_its_length()?;
    a_manifest_of_tiny_runs_takes_64_times_its_length()?;
    a_log_of_tiny_entries_takes_16_times_its_length()?;
    a_log_of_1x_of_tiny_entries_takes_16_times_its_length()
}

/// Small files: what they state may be anything up to 2^64, and the fixed part covers all.
fn forged_files_in_codecs_and_store() -> TestResult {
    let sweep = Sweep::new(SEED)?;
    let mut worst = 0;
    for number in 0..100 {
        for kind in FileKind::ALL {
            let case = Case {
                kind,
                way: Way::Forge,
                number,
            };
            let mut tried = Ok(lsm_tests::hostile::Outcome::Read);
            worst = worst.max(peak(|| {
                tried = sweep.try_case(case, &mut Default::default());
            }));
            tried?;
        }
    }
    println!("forged: {worst} bytes");
    assert!(worst <= FIXED_BYTES, "a forged file takes {worst} bytes");
    Ok(())
}

fn a_run_of_tiny_entries_takes_4_times_its_length() -> TestResult {
    let run = tiny_run()?;
    let keys = [b"a".to_vec()];
    let taken = peak(|| codecs::read_run(&run, keys.iter()));
    check("run", taken, 4, run.len());
    Ok(())
}

fn a_manifest_of_tiny_runs_takes_64_times_its_length() -> TestResult {
    let image = image("clean")?;
    let (name, sound) = file(&image, FileKind::Manifest)?;
    // Just more than a table of 2^17 takes, so that it is nearly empty, and the old one still there.
    let many = manifests::of_many_runs(sound, 115_000).ok_or("no manifest")?;
    let disk = image.disk_with(&[(name.clone(), many.clone())])?;
    let mut loaded = None;
    let taken = peak(|| loaded = codecs::load_manifest(&disk));
    assert!(loaded.is_some());
    check("manifest", taken, 64, many.len());
    // The store refuses it at the first run that is missing.
    let machine = Machine::with_disk(disk, LsmConfig::new(), SEED);
    let taken = peak(|| assert!(machine.open().is_err()));
    check("manifest, store", taken, 64, many.len());
    Ok(())
}

fn a_log_of_tiny_entries_takes_16_times_its_length() -> TestResult {
    let image = image("killed")?;
    let (name, sound) = file(&image, FileKind::Log)?;
    for (records, entries) in [(40, 10_000), (20_000, 1)] {
        let long = logs::with_tiny_entries(sound, records, entries).ok_or("no segment")?;
        let disk: SimFs = image.disk_with(&[(name.clone(), long.clone())])?;
        let machine = Machine::with_disk(disk, LsmConfig::new(), SEED);
        let mut opened = false;
        let taken = peak(|| {
            let db = machine.open();
            opened = db.is_ok();
            db
        });
        assert!(opened);
        check(&format!("log, {entries} a record"), taken, 16, long.len());
    }
    Ok(())
}

/// With as many entries a record: one in each is what single writes of 1.x leave.
fn log_of_1x(records: u32, entries: u32) -> Vec<u8> {
    let mut log = Vec::new();
    for record in 0..records {
        let mut payload = entries.to_le_bytes().to_vec();
        for entry in 0..entries {
            let key = (record * entries + entry).to_be_bytes();
            encode_entry(&mut payload, &key, Entry::Tombstone);
        }
        let len = u32::try_from(payload.len())
            .unwrap_or_default()
            .to_le_bytes();
        let crc = crc32c(&[&len, payload.as_slice()].concat());
        log.extend([&crc.to_le_bytes(), &len, payload.as_slice()].concat());
    }
    log
}

/// And twice that beside a run that it makes superfluous, which is held against it.
fn a_log_of_1x_of_tiny_entries_takes_16_times_its_length() -> TestResult {
    for (records, entries, with_run, multiple) in [
        (30, 10_000, false, 16),
        (300_000, 1, false, 16),
        (30, 10_000, true, 32),
    ] {
        let log = log_of_1x(records, entries);
        let machine = Machine::with_disk(SimFs::new(), LsmConfig::new(), SEED);
        let mut files: Files = [("wal.log".to_owned(), log.clone())].into();
        if with_run {
            files.insert("run-0000000000.sst".to_owned(), tiny_run()?.into());
        }
        plant_all(&machine.disk, machine.dir(), &files)?;
        let mut handles = Vec::new();
        let mut machine = machine;
        // An open that takes it over, and one that finds it taken over.
        for open in ["taken over", "found again"] {
            let taken = peak(|| handles.push(machine.open()));
            assert!(handles.last().is_some_and(Result::is_ok), "{handles:?}");
            let what = format!("log of 1.x, {entries} a record, a run: {with_run}, {open}");
            check(&what, taken, multiple, log.len());
            machine = machine.after_kill();
        }
    }
    Ok(())
}
