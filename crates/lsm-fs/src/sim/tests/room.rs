//! Room on the simulated disk: what is counted, what does not fit, and what is forgotten when.

use super::*;

#[test]
fn a_full_disk_takes_what_fits_and_then_nothing() {
    let fs = SimFs::new();
    fs.set_capacity_bytes(Some(10));
    let file = fs.create_new(Path::new("/a")).unwrap();
    assert_eq!(file.append(b"0123456789ab").unwrap(), 10);
    assert_eq!(
        file.append(b"ab").unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    assert_eq!(file.append(b"").unwrap(), 0);
    assert_eq!(read(&fs, "/a"), b"0123456789");
    file.truncate(4).unwrap();
    file.append_all(b"xy").unwrap();
    assert_eq!(fs.used_bytes(), 6);
    fs.set_capacity_bytes(None);
    file.append_all(&[0; 100]).unwrap();
}

#[test]
fn preallocated_room_is_used_and_not_paid_for_twice() {
    let fs = SimFs::new();
    fs.set_capacity_bytes(Some(100));
    let file = fs.create_new(Path::new("/a")).unwrap();
    assert_eq!(
        file.preallocate(101).unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    assert!(file.is_empty().unwrap());
    file.preallocate(100).unwrap();
    let other = fs.create_new(Path::new("/b")).unwrap();
    assert_eq!(
        other.append(b"x").unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    file.append_all(&[1; 100]).unwrap();
    assert_eq!(
        file.append(b"x").unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    file.truncate(50).unwrap();
    other.append_all(&[1; 50]).unwrap();
}

#[test]
fn room_comes_back_with_the_last_name_and_handle() {
    let fs = SimFs::new();
    fs.set_capacity_bytes(Some(10));
    let file = fs.create_new(Path::new("/a")).unwrap();
    file.append_all(&[1; 10]).unwrap();
    fs.hard_link(Path::new("/a"), Path::new("/b")).unwrap();
    fs.remove_file(Path::new("/a")).unwrap();
    assert_eq!(fs.used_bytes(), 10, "it has another name");
    fs.remove_file(Path::new("/b")).unwrap();
    assert_eq!(fs.used_bytes(), 10, "it has a handle");
    drop(file);
    assert_eq!(fs.used_bytes(), 0);
    fs.create_new(Path::new("/c"))
        .unwrap()
        .append_all(&[2; 10])
        .unwrap();
}

#[test]
fn a_replaced_file_is_forgotten_only_when_no_crash_can_bring_it_back() {
    let fs = SimFs::new();
    let inodes = |fs: &SimFs| fs.disk.lock().inodes().count();
    for n in 0..10_u8 {
        let root = fs.open_dir(Path::new("/")).unwrap();
        let (temp, target) = (FileName::constant("t"), FileName::constant("a"));
        write_file_atomically(&*root, &temp, &target, &[n]).unwrap();
        assert_eq!(inodes(&fs), 2, "the root and one file");
    }
    fs.remove_file(Path::new("/a")).unwrap();
    assert_eq!(inodes(&fs), 2);
    assert_eq!(read(&fs.crash(&CrashImage::NothingUnsynced), "/a"), [9]);
    fs.sync_dir(Path::new("/")).unwrap();
    assert_eq!(inodes(&fs), 1);
}

#[test]
fn an_unlinked_file_is_forgotten_with_its_last_handle() {
    let fs = SimFs::new();
    let file = synced_file(&fs, "/a", b"x");
    fs.remove_file(Path::new("/a")).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    assert_eq!(fs.disk.lock().inodes().count(), 2);
    drop(file);
    assert_eq!(fs.disk.lock().inodes().count(), 1, "the root");
}
