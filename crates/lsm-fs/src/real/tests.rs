use std::io::ErrorKind;

use super::file::RealFile;
use super::*;
use crate::{ByPath, Directory, File, FileName};

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_are_readable_by_their_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        RealFs.create_new(&dir.path().join("a")).unwrap();
        drop(RealFs.lock(&dir.path().join("LOCK")).unwrap());
        assert_eq!(mode(&dir.path().join("a")), 0o600);
        assert_eq!(mode(&dir.path().join("LOCK")), 0o600);
    }

    #[test]
    fn a_symbolic_link_is_refused_and_its_target_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        fs::write(&target, b"precious").unwrap();
        symlink(&target, &link).unwrap();
        assert!(RealFs.open(&link).is_err());
        assert!(RealFs.lock(&link).is_err());
        assert!(RealFs.file_len(&link).is_err());
        assert_eq!(
            RealFs.create_new(&link).unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        assert_eq!(RealFs.kind(&link).unwrap(), Some(EntryKind::Other));
        assert_eq!(fs::read(&target).unwrap(), b"precious");
    }

    #[test]
    fn a_dangling_symbolic_link_creates_nothing_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        symlink(&target, &link).unwrap();
        assert!(RealFs.create_new(&link).is_err());
        assert!(RealFs.lock(&link).is_err());
        assert!(!target.exists());
    }

    #[test]
    fn a_pipe_is_refused_and_does_not_hang_the_open() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(
            RealFs.open(&pipe).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        assert_eq!(RealFs.kind(&pipe).unwrap(), Some(EntryKind::Other));
    }

    #[test]
    fn preallocated_bytes_have_blocks() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        RealFs
            .create_new(&path)
            .unwrap()
            .preallocate(1 << 20)
            .unwrap();
        assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 1 << 20);
    }
}

#[test]
fn zero_filling_fills_what_fallocate_would() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::File::create_new(dir.path().join("a")).unwrap();
    let file = RealFile::for_appending(file, true);
    file.append_all(b"abc").unwrap();
    file.fill_with_zeros(3, 200_000).unwrap();
    assert_eq!(file.len().unwrap(), 200_000);
    let mut bytes = vec![1; 200_000];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes[..3], b"abc");
    assert!(bytes[3..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_preallocation_that_cannot_be_leaves_the_length() {
    let dir = tempfile::tempdir().unwrap();
    let file = RealFs.create_new(&dir.path().join("a")).unwrap();
    file.append_all(b"abc").unwrap();
    assert!(file.preallocate(u64::MAX).is_err());
    assert_eq!(file.len().unwrap(), 3);
    file.append_all(b"def").unwrap();
    assert_eq!(file.len().unwrap(), 6);
}

#[test]
fn a_lock_file_may_be_opened_by_others_and_still_excludes_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("LOCK");
    let held = RealFs.lock(&path).unwrap();
    drop(RealFs.open(&path).unwrap());
    assert_eq!(
        RealFs.lock(&path).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    drop(held);
    assert!(RealFs.lock(&path).is_ok());
}

/// A process that is being started holds copies of all handles until it executes its program.
#[test]
fn a_copy_of_the_handle_does_not_keep_a_lock_that_was_released() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = RealDirectory::open_dir(scratch.path()).unwrap();
    let inherited = dir.handle_copy();
    drop(dir.lock_self().unwrap());
    let other = RealDirectory::open_dir(scratch.path()).unwrap();
    drop(other.lock_self().unwrap());

    let name = FileName::constant("LOCK");
    let lock = dir.lock_file(&name).unwrap();
    let copy = lock.handle_copy();
    drop(lock);
    drop(other.lock(&name).unwrap());
    drop((inherited, copy));
}
