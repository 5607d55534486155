use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::{CrashImage, Fault, FaultFs, FileSystem, Operation, SimFs};

const TEMP: FileName = FileName::constant("f.tmp");
const TARGET: FileName = FileName::constant("f");

fn root(fs: &dyn FileSystem) -> Arc<dyn Directory> {
    fs.open_dir(Path::new("/")).unwrap()
}

fn replace(fs: &dyn FileSystem, bytes: &[u8]) -> Result<(), AtomicWriteError> {
    write_file_atomically(&*root(fs), &TEMP, &TARGET, bytes)
}

fn read(fs: &dyn FileSystem) -> Vec<u8> {
    read_to_vec(&*root(fs), &TARGET, 1 << 20).unwrap()
}

#[test]
fn a_file_longer_than_allowed_is_refused_before_it_is_read() {
    let fs = FaultFs::over_sim(SimFs::new());
    let dir = root(&fs);
    let file = dir.create_new(&TARGET).unwrap();
    file.preallocate(1 << 50).unwrap();
    let error = read_to_vec(&*dir, &TARGET, 1 << 20).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(fs.count_of(Operation::ReadAt), 0);
}

#[test]
fn a_missing_file_is_not_found_by_name() {
    let none = FileName::constant("none");
    let error = read_to_vec(&*root(&SimFs::new()), &none, 1).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
    assert_eq!(error.to_string(), "cannot open /none");
}

#[test]
fn a_stale_temporary_file_is_replaced() {
    let fs = SimFs::new();
    let stale = root(&fs).create_new(&TEMP).unwrap();
    stale.append_all(b"half a fi").unwrap();
    replace(&fs, b"whole").unwrap();
    assert_eq!(read(&fs), b"whole");
    assert_eq!(root(&fs).kind(&TEMP).unwrap(), None);
}

/// Fails every step in every way and looks through every image: what the error promises holds.
#[test]
fn an_error_tells_the_truth_about_the_target_after_any_crash() {
    let faults = [
        Fault::new(io::ErrorKind::StorageFull),
        Fault::new(io::ErrorKind::StorageFull).for_good(),
        Fault::new(io::ErrorKind::StorageFull).short_write(2),
        Fault::new(io::ErrorKind::Other).after_the_effect(),
    ];
    for (which, fault) in faults.into_iter().enumerate() {
        let mut outcomes = [0; 3];
        for n in 0.. {
            let sim = SimFs::new();
            replace(&sim, b"old").unwrap();
            let fs = FaultFs::over_sim(sim.clone());
            fs.fail_nth(n, fault.clone());
            let result = replace(&fs, b"new content");
            for image in CrashImage::standard(n) {
                let found = read(&sim.crash(&image));
                let context = format!("fault {which} at {n}, {image:?}, {result:?}: {found:?}");
                match &result {
                    Ok(()) => assert_eq!(found, b"new content", "{context}"),
                    Err(AtomicWriteError::NotWritten { .. }) => {
                        assert_eq!(found, b"old", "{context}");
                    }
                    Err(AtomicWriteError::FateUnknown { .. }) => {
                        assert!(found == b"old" || found == b"new content", "{context}");
                    }
                }
            }
            outcomes[match &result {
                Ok(()) => 0,
                Err(AtomicWriteError::NotWritten { .. }) => 1,
                Err(AtomicWriteError::FateUnknown { .. }) => 2,
            }] += 1;
            if n >= fs.mutation_count() {
                break;
            }
        }
        assert!(
            outcomes.iter().all(|&count| count > 0),
            "fault {which}: {outcomes:?}"
        );
    }
}

#[test]
fn a_full_disk_keeps_the_old_content_and_gives_the_room_back() {
    let fs = SimFs::new();
    replace(&fs, b"old").unwrap();
    fs.set_capacity_bytes(Some(10));
    let error = replace(&fs, b"far too long").unwrap_err();
    assert!(matches!(
        error,
        AtomicWriteError::NotWritten { operation: "write", source, .. }
            if source.kind() == io::ErrorKind::StorageFull
    ));
    assert_eq!(fs.used_bytes(), 3);
    replace(&fs, b"shorter").unwrap();
    assert_eq!(read(&fs), b"shorter");
}
