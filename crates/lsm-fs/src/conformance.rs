//! What every file system behind the seam must do: one suite, run against all of them.
//!
//! Everything that an engine relies on is asked here, so that the simulated disk allows what the real
//! one allows and refuses what it refuses. Each case gets an empty directory. What only one of them can show (modes, crashes, faults) is
//! tested beside it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{ByPath, EntryKind, FaultFs, File, FileSystem, RealFs, ReliefFs, SimFs};

mod directories;

/// The kind of error that a call ends with.
fn kind_of<T>(result: io::Result<T>) -> ErrorKind {
    result.map(|_| ()).unwrap_err().kind()
}

fn create(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> Arc<dyn File> {
    let file = fs.create_new(path).unwrap();
    file.append_all(bytes).unwrap();
    file
}

fn content(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn names(fs: &dyn FileSystem, dir: &Path) -> Vec<String> {
    let entries = fs.list(dir).unwrap().into_iter();
    entries
        .map(|entry| entry.name.into_string().unwrap())
        .collect()
}

fn what_is_appended_is_read_back_at_any_offset(fs: &dyn FileSystem, dir: &Path) {
    let file = create(fs, &dir.join("a"), b"hello ");
    file.append_all(b"world").unwrap();
    for reader in [file, fs.open(&dir.join("a")).unwrap()] {
        assert_eq!(content(&*reader), b"hello world");
        let mut buf = [0; 5];
        reader.read_exact_at(&mut buf, 6).unwrap();
        assert_eq!(&buf, b"world");
        assert_eq!(reader.read_at(&mut buf, 9).unwrap(), 2);
        assert_eq!(reader.read_at(&mut buf, 11).unwrap(), 0);
        assert_eq!(reader.read_at(&mut buf, 1 << 40).unwrap(), 0);
        assert_eq!(
            kind_of(reader.read_exact_at(&mut buf, 8)),
            ErrorKind::UnexpectedEof
        );
    }
}

fn an_empty_file_and_an_empty_append_are_fine(fs: &dyn FileSystem, dir: &Path) {
    let file = create(fs, &dir.join("a"), b"");
    assert!(file.is_empty().unwrap());
    assert_eq!(file.append(b"").unwrap(), 0);
    file.append_all(b"").unwrap();
    file.sync().unwrap();
    assert_eq!(fs.file_len(&dir.join("a")).unwrap(), 0);
}

fn a_large_append_spans_pages(fs: &dyn FileSystem, dir: &Path) {
    let bytes: Vec<u8> = (0..100_003_u32).map(|i| (i % 251) as u8).collect();
    let file = create(fs, &dir.join("a"), b"xyz");
    file.append_all(&bytes).unwrap();
    assert_eq!(content(&*file)[3..], bytes);
}

fn create_new_refuses_a_name_that_is_taken(fs: &dyn FileSystem, dir: &Path) {
    create(fs, &dir.join("a"), b"kept");
    fs.create_dir(&dir.join("d")).unwrap();
    assert_eq!(
        kind_of(fs.create_new(&dir.join("a"))),
        ErrorKind::AlreadyExists
    );
    assert_eq!(
        kind_of(fs.create_new(&dir.join("d"))),
        ErrorKind::AlreadyExists
    );
    assert_eq!(
        kind_of(fs.create_dir(&dir.join("a"))),
        ErrorKind::AlreadyExists
    );
    assert_eq!(
        kind_of(fs.create_dir(&dir.join("d"))),
        ErrorKind::AlreadyExists
    );
    assert_eq!(content(&*fs.open(&dir.join("a")).unwrap()), b"kept");
}

fn what_is_missing_is_not_found(fs: &dyn FileSystem, dir: &Path) {
    let (none, below) = (dir.join("none"), dir.join("none/below"));
    assert_eq!(kind_of(fs.open(&none)), ErrorKind::NotFound);
    assert_eq!(kind_of(fs.create_new(&below)), ErrorKind::NotFound);
    assert_eq!(kind_of(fs.create_dir(&below)), ErrorKind::NotFound);
    assert_eq!(kind_of(fs.remove_file(&none)), ErrorKind::NotFound);
    assert_eq!(
        kind_of(fs.rename(&none, &dir.join("b"))),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind_of(fs.hard_link(&none, &dir.join("b"))),
        ErrorKind::NotFound
    );
    assert_eq!(kind_of(fs.list(&none)), ErrorKind::NotFound);
    assert_eq!(kind_of(fs.sync_dir(&none)), ErrorKind::NotFound);
    assert_eq!(kind_of(fs.file_len(&none)), ErrorKind::NotFound);
    assert_eq!(kind_of(fs.lock(&below)), ErrorKind::NotFound);
    assert_eq!(fs.kind(&none).unwrap(), None);
    assert_eq!(fs.kind(&below).unwrap(), None);
}

fn a_file_is_no_directory_and_a_directory_no_file(fs: &dyn FileSystem, dir: &Path) {
    create(fs, &dir.join("a"), b"");
    fs.create_dir(&dir.join("d")).unwrap();
    assert_eq!(fs.kind(&dir.join("a")).unwrap(), Some(EntryKind::File));
    assert_eq!(fs.kind(&dir.join("d")).unwrap(), Some(EntryKind::Directory));
    assert_eq!(kind_of(fs.list(&dir.join("a"))), ErrorKind::NotADirectory);
    assert_eq!(
        kind_of(fs.sync_dir(&dir.join("a"))),
        ErrorKind::NotADirectory
    );
    assert_eq!(
        kind_of(fs.create_new(&dir.join("a/b"))),
        ErrorKind::NotADirectory
    );
    assert_eq!(kind_of(fs.open(&dir.join("d"))), ErrorKind::IsADirectory);
    assert_eq!(
        kind_of(fs.file_len(&dir.join("d"))),
        ErrorKind::IsADirectory
    );
    assert_eq!(kind_of(fs.lock(&dir.join("d"))), ErrorKind::IsADirectory);
    assert!(fs.remove_file(&dir.join("d")).is_err());
    assert!(fs.rename(&dir.join("a"), &dir.join("d")).is_err());
    assert_eq!(names(fs, dir), ["a", "d"]);
}

fn a_listing_is_sorted_and_of_one_directory(fs: &dyn FileSystem, dir: &Path) {
    for name in ["b", "a", "c10", "c9"] {
        create(fs, &dir.join(name), b"");
    }
    fs.create_dir(&dir.join("d")).unwrap();
    create(fs, &dir.join("d/inner"), b"");
    assert_eq!(names(fs, dir), ["a", "b", "c10", "c9", "d"]);
    assert_eq!(names(fs, &dir.join("d")), ["inner"]);
}

fn a_rename_replaces_and_open_handles_keep_their_file(fs: &dyn FileSystem, dir: &Path) {
    let (a, b) = (dir.join("a"), dir.join("b"));
    let new = create(fs, &a, b"new");
    let old = create(fs, &b, b"old");
    fs.rename(&a, &b).unwrap();
    fs.sync_dir(dir).unwrap();
    assert_eq!(names(fs, dir), ["b"]);
    assert_eq!(content(&*old), b"old");
    assert_eq!(content(&*fs.open(&b).unwrap()), b"new");
    new.append_all(b"er").unwrap();
    assert_eq!(content(&*fs.open(&b).unwrap()), b"newer");
}

fn a_hard_link_is_a_second_name_of_the_same_file(fs: &dyn FileSystem, dir: &Path) {
    let (a, b) = (dir.join("a"), dir.join("b"));
    let file = create(fs, &a, b"one");
    fs.hard_link(&a, &b).unwrap();
    assert_eq!(kind_of(fs.hard_link(&a, &b)), ErrorKind::AlreadyExists);
    file.append_all(b" two").unwrap();
    fs.rename(&a, &b).unwrap();
    assert_eq!(
        names(fs, dir),
        ["a", "b"],
        "renaming onto itself changes nothing"
    );
    fs.remove_file(&a).unwrap();
    assert_eq!(content(&*fs.open(&b).unwrap()), b"one two");
}

fn a_removed_file_goes_on_in_its_handles(fs: &dyn FileSystem, dir: &Path) {
    let file = create(fs, &dir.join("a"), b"still ");
    fs.remove_file(&dir.join("a")).unwrap();
    fs.sync_dir(dir).unwrap();
    file.append_all(b"here").unwrap();
    file.sync().unwrap();
    assert_eq!(content(&*file), b"still here");
    assert_eq!(kind_of(fs.open(&dir.join("a"))), ErrorKind::NotFound);
    create(fs, &dir.join("a"), b"another");
    assert_eq!(content(&*file), b"still here");
}

fn preallocation_moves_the_length_and_not_the_logical_end(fs: &dyn FileSystem, dir: &Path) {
    let file = create(fs, &dir.join("a"), b"ab");
    file.preallocate(10_000).unwrap();
    file.preallocate(5).unwrap();
    assert_eq!(file.len().unwrap(), 10_000, "it never shrinks a file");
    file.append_all(b"cd").unwrap();
    let bytes = content(&*file);
    assert_eq!(&bytes[..4], b"abcd");
    assert!(bytes[4..].iter().all(|&byte| byte == 0));
    assert_eq!(bytes.len(), 10_000);
}

fn truncation_moves_the_logical_end_back_and_never_forward(fs: &dyn FileSystem, dir: &Path) {
    let file = create(fs, &dir.join("a"), b"abcdef");
    file.preallocate(100).unwrap();
    file.truncate(50).unwrap();
    file.append_all(b"g").unwrap();
    assert_eq!(&content(&*file)[..8], b"abcdefg\0");
    file.truncate(3).unwrap();
    assert_eq!(content(&*file), b"abc");
    file.truncate(1000).unwrap();
    assert_eq!(file.len().unwrap(), 3, "it never grows a file");
    file.append_all(b"x").unwrap();
    file.preallocate(6).unwrap();
    assert_eq!(
        content(&*file),
        b"abcx\0\0",
        "what was cut off does not come back"
    );
}

fn a_handle_opened_for_reading_changes_nothing(fs: &dyn FileSystem, dir: &Path) {
    create(fs, &dir.join("a"), b"abc");
    let reader = fs.open(&dir.join("a")).unwrap();
    assert_eq!(kind_of(reader.append(b"x")), ErrorKind::PermissionDenied);
    assert_eq!(kind_of(reader.preallocate(10)), ErrorKind::PermissionDenied);
    assert_eq!(kind_of(reader.truncate(1)), ErrorKind::PermissionDenied);
    assert_eq!(content(&*reader), b"abc");
}

fn a_lock_excludes_a_second_one_in_the_same_process(fs: &dyn FileSystem, dir: &Path) {
    let path = dir.join("LOCK");
    let held = fs.lock(&path).unwrap();
    assert_eq!(kind_of(fs.lock(&path)), ErrorKind::WouldBlock);
    assert_eq!(
        kind_of(fs.lock(&path)),
        ErrorKind::WouldBlock,
        "a failed try releases nothing"
    );
    drop(held);
    assert_eq!(names(fs, dir), ["LOCK"], "the file stays");
    let again = fs.lock(&path).unwrap();
    assert!(fs.lock(&dir.join("OTHER")).is_ok());
    drop(again);
}

fn a_lock_leaves_the_content_of_its_file_alone(fs: &dyn FileSystem, dir: &Path) {
    create(fs, &dir.join("LOCK"), b"pid 1");
    drop(fs.lock(&dir.join("LOCK")).unwrap());
    assert_eq!(content(&*fs.open(&dir.join("LOCK")).unwrap()), b"pid 1");
}

fn dots_in_a_path_are_understood(fs: &dyn FileSystem, dir: &Path) {
    fs.create_dir(&dir.join("d")).unwrap();
    create(fs, &dir.join("d/../a"), b"up");
    assert_eq!(content(&*fs.open(&dir.join("./d/./../a")).unwrap()), b"up");
    assert_eq!(names(fs, &dir.join("d/..")), ["a", "d"]);
    fs.sync_dir(&dir.join("d/..")).unwrap();
}

/// A file system, an empty directory in it, and what only a user does to directories.
struct World {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    remove_dir_all: Box<Removal>,
}

/// Runs each case against each file system, as tests of their own.
macro_rules! on_every_file_system {
    ($($case:ident),* $(,)?) => {
        mod real {
            $(#[test] fn $case() { super::on_real(super::$case, |real| Arc::new(real)); })*
            use super::*;
        }
        mod sim {
            $(#[test] fn $case() { super::on_sim(super::$case, |sim| Arc::new(sim)); })*
            use super::*;
        }
        mod fault_over_real {
            $(#[test] fn $case() {
                super::on_real(super::$case, |real| Arc::new(FaultFs::new(Arc::new(real))));
            })*
            use super::*;
        }
        mod fault_over_sim {
            $(#[test] fn $case() {
                super::on_sim(super::$case, |sim| Arc::new(FaultFs::over_sim(sim)));
            })*
            use super::*;
        }
    };
}

type Case = fn(&dyn FileSystem, &Path);
type DirectoryCase = fn(&World);
type Wrap = fn(Arc<dyn FileSystem>) -> Arc<dyn FileSystem>;
type Removal = dyn Fn(&Path) -> io::Result<()>;

fn on_real(case: Case, wrap: fn(RealFs) -> Arc<dyn FileSystem>) {
    let dir = tempfile::tempdir().unwrap();
    case(&*wrap(RealFs::new()), dir.path());
}

#[expect(
    clippy::disallowed_methods,
    reason = "a user removes the directory, and not the engine"
)]
fn worlds() -> Vec<(World, Option<tempfile::TempDir>)> {
    let mut worlds: Vec<(World, Option<tempfile::TempDir>)> = Vec::new();
    let wraps: [Wrap; 3] = [
        |fs| fs,
        |fs| Arc::new(FaultFs::new(fs)),
        |fs| Arc::new(ReliefFs::new(fs, || false)),
    ];
    for wrap in wraps {
        let scratch = tempfile::tempdir().unwrap();
        let real = World {
            fs: wrap(Arc::new(RealFs::new())),
            dir: scratch.path().to_path_buf(),
            remove_dir_all: Box::new(|path| std::fs::remove_dir_all(path)),
        };
        worlds.push((real, Some(scratch)));
        let sim = SimFs::new();
        let fs = wrap(Arc::new(sim.clone()));
        worlds.push((sim_world(sim, fs), None));
    }
    let sim = SimFs::new();
    let fs = Arc::new(FaultFs::over_sim(sim.clone()));
    worlds.push((sim_world(sim, fs), None));
    worlds
}

fn sim_world(sim: SimFs, fs: Arc<dyn FileSystem>) -> World {
    sim.create_dir(Path::new("/db")).unwrap();
    World {
        fs,
        dir: PathBuf::from("/db"),
        remove_dir_all: Box::new(move |path| sim.remove_dir_all(path)),
    }
}

/// Runs a case about directories against every file system, wrapped in every way.
fn on_every_world(case: DirectoryCase) {
    for (world, _scratch) in worlds() {
        case(&world);
    }
}

fn on_sim(case: Case, wrap: fn(SimFs) -> Arc<dyn FileSystem>) {
    let fs = wrap(SimFs::new());
    fs.create_dir(Path::new("/db")).unwrap();
    case(&*fs, Path::new("/db"));
}

on_every_file_system! {
    what_is_appended_is_read_back_at_any_offset,
    an_empty_file_and_an_empty_append_are_fine,
    a_large_append_spans_pages,
    create_new_refuses_a_name_that_is_taken,
    what_is_missing_is_not_found,
    a_file_is_no_directory_and_a_directory_no_file,
    a_listing_is_sorted_and_of_one_directory,
    a_rename_replaces_and_open_handles_keep_their_file,
    a_hard_link_is_a_second_name_of_the_same_file,
    a_removed_file_goes_on_in_its_handles,
    preallocation_moves_the_length_and_not_the_logical_end,
    truncation_moves_the_logical_end_back_and_never_forward,
    a_handle_opened_for_reading_changes_nothing,
    a_lock_excludes_a_second_one_in_the_same_process,
    a_lock_leaves_the_content_of_its_file_alone,
    dots_in_a_path_are_understood,
}
