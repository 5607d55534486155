use std::collections::BTreeSet;

use super::*;
use crate::{ByPath, File, FileName, write_file_atomically};

mod histories;
mod room;

/// A file with synced bytes and name, and a handle that appends to it.
fn synced_file(fs: &SimFs, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = fs.create_new(Path::new(path)).unwrap();
    file.append_all(bytes).unwrap();
    file.sync().unwrap();
    fs.sync_dir(Path::new(path).parent().unwrap()).unwrap();
    file
}

fn read(fs: &SimFs, path: &str) -> Vec<u8> {
    fs.read_to_vec(Path::new(path), 1 << 30).unwrap()
}

fn names(fs: &SimFs, dir: &str) -> Vec<String> {
    let entries = fs.list(Path::new(dir)).unwrap().into_iter();
    entries
        .map(|entry| entry.name.into_string().unwrap())
        .collect()
}

/// What of `len` ones, appended and not synced, is found in random images.
fn found(len: usize, image: fn(u64) -> CrashImage) -> BTreeSet<Vec<u8>> {
    let fs = SimFs::new();
    let file = synced_file(&fs, "/a", b"");
    file.append_all(&vec![1; len]).unwrap();
    (0..200)
        .map(|seed| read(&fs.crash(&image(seed)), "/a"))
        .collect()
}

#[test]
fn nothing_unsynced_keeps_what_was_synced_and_nothing_else() {
    let fs = SimFs::new();
    let file = synced_file(&fs, "/a", b"synced");
    file.append_all(b" and not").unwrap();
    fs.create_new(Path::new("/b")).unwrap().sync().unwrap();
    fs.remove_file(Path::new("/a")).unwrap();
    let after = fs.crash(&CrashImage::NothingUnsynced);
    assert_eq!(names(&after, "/"), ["a"]);
    assert_eq!(read(&after, "/a"), b"synced");
    assert_eq!(fs.durable_len(Path::new("/b")).unwrap(), 0);
}

#[test]
fn everything_unsynced_is_the_live_state() {
    let fs = SimFs::new();
    let file = synced_file(&fs, "/a", b"synced");
    file.append_all(b" and not").unwrap();
    file.preallocate(20).unwrap();
    fs.rename(Path::new("/a"), Path::new("/b")).unwrap();
    let after = fs.crash(&CrashImage::EverythingUnsynced);
    assert_eq!(names(&after, "/"), ["b"]);
    assert_eq!(read(&after, "/b"), b"synced and not\0\0\0\0\0\0");
}

#[test]
fn a_prefix_image_is_a_state_that_the_disk_was_in_or_a_torn_one() {
    let fs = SimFs::new();
    for n in 0..5 {
        let path = format!("/{n}");
        fs.create_new(Path::new(&path))
            .unwrap()
            .append_all(&[b'x'; 600])
            .unwrap();
    }
    let mut torn = false;
    let states: BTreeSet<usize> = (0..200)
        .map(|seed| {
            let after = fs.crash(&CrashImage::Prefix { seed });
            let names = names(&after, "/");
            for (n, name) in names.iter().enumerate() {
                assert_eq!(
                    *name,
                    n.to_string(),
                    "names come in the order they were created"
                );
                let len = read(&after, &format!("/{n}")).len();
                assert!([0, 512, 600].contains(&len), "{len}");
                assert!(
                    len == 600 || n + 1 == names.len(),
                    "only the last one is not whole"
                );
                torn |= len == 512;
            }
            names.len()
        })
        .collect();
    assert_eq!(states, (0..=5).collect());
    assert!(torn);
}

#[test]
fn sectors_are_kept_and_lost_out_of_order() {
    let found = found(4 * 512, |seed| CrashImage::Sectors512 { seed });
    assert!(found.len() > 10, "{}", found.len());
    for bytes in &found {
        assert_eq!(bytes.len() % 512, 0, "the length stops between sectors");
        assert!(
            bytes
                .chunks(512)
                .all(|sector| sector == [0; 512] || sector == [1; 512])
        );
    }
    let is_hole = |bytes: &Vec<u8>| bytes.first() == Some(&0) && bytes.last() == Some(&1);
    assert!(
        found.iter().any(is_hole),
        "a later sector without an earlier one"
    );
    assert!(found.contains(&Vec::new()));
    assert!(found.contains(&vec![1; 4 * 512]));
}

#[test]
fn pages_are_kept_and_lost_whole() {
    let found = found(3 * 4096 + 100, |seed| CrashImage::Sectors4096 { seed });
    assert!(found.len() > 5, "{}", found.len());
    for bytes in &found {
        for page in bytes.chunks(4096) {
            assert!(page.iter().all(|byte| Some(byte) == page.first()));
        }
    }
}

#[test]
fn a_sector_is_found_in_one_of_the_states_it_had() {
    let fs = SimFs::new();
    let file = synced_file(&fs, "/a", b"0");
    file.preallocate(512).unwrap();
    file.sync().unwrap();
    for digit in *b"123456789" {
        file.append_all(&[digit]).unwrap();
    }
    let found: BTreeSet<Vec<u8>> = (0..300)
        .map(|seed| {
            let mut bytes = read(&fs.crash(&CrashImage::Sectors512 { seed }), "/a");
            assert_eq!(bytes.len(), 512);
            bytes.retain(|&byte| byte != 0);
            bytes
        })
        .collect();
    assert!(
        found.iter().all(|bytes| b"0123456789".starts_with(bytes)),
        "{found:?}"
    );
    assert!(found.len() > 5);
}

#[test]
fn a_length_without_its_data_reads_as_zeros() {
    let fs = SimFs::new();
    let file = synced_file(&fs, "/a", b"ab");
    file.append_all(b"cd").unwrap();
    assert_eq!(
        read(&fs.crash(&CrashImage::LengthsWithoutData), "/a"),
        b"ab\0\0"
    );
}

#[test]
fn a_length_without_its_data_may_read_as_garbage_but_never_over_what_was_synced() {
    let fs = SimFs::new();
    let file = synced_file(&fs, "/a", &[1; 700]);
    file.append_all(&[1; 5000]).unwrap();
    let images = (0..50).map(|seed| fs.crash(&CrashImage::LengthsWithGarbage { seed }));
    let found: Vec<_> = images.map(|after| read(&after, "/a")).collect();
    assert!(
        found
            .iter()
            .all(|bytes| bytes.len() == 5700 && bytes[..700] == [1; 700])
    );
    assert!(found.iter().any(|bytes| bytes.iter().any(|&byte| byte > 1)));
}

#[test]
fn preallocated_room_never_reads_as_garbage() {
    let fs = SimFs::new();
    let file = synced_file(&fs, "/a", b"");
    file.preallocate(5000).unwrap();
    file.append_all(&[1; 2000]).unwrap();
    for seed in 0..50 {
        let bytes = read(&fs.crash(&CrashImage::LengthsWithGarbage { seed }), "/a");
        assert!(bytes.iter().all(|&byte| byte <= 1));
    }
}

#[test]
fn names_without_data_are_empty_files() {
    let fs = SimFs::new();
    let file = fs.create_new(Path::new("/a")).unwrap();
    file.append_all(b"gone").unwrap();
    assert_eq!(read(&fs.crash(&CrashImage::NamesWithoutData), "/a"), b"");
}

#[test]
fn data_without_names_leaves_the_old_names() {
    let fs = SimFs::new();
    let file = synced_file(&fs, "/a", b"old");
    file.append_all(b"er").unwrap();
    fs.rename(Path::new("/a"), Path::new("/b")).unwrap();
    fs.create_new(Path::new("/c")).unwrap();
    let after = fs.crash(&CrashImage::DataWithoutNames);
    assert_eq!(names(&after, "/"), ["a"]);
    assert_eq!(read(&after, "/a"), b"older");
}

#[test]
fn removals_come_back_or_go_alone() {
    let fs = SimFs::new();
    synced_file(&fs, "/old", b"old");
    fs.create_new(Path::new("/new")).unwrap();
    fs.remove_file(Path::new("/old")).unwrap();
    assert_eq!(
        names(&fs.crash(&CrashImage::RemovalsUndone), "/"),
        ["new", "old"]
    );
    assert_eq!(read(&fs.crash(&CrashImage::RemovalsUndone), "/old"), b"old");
    assert_eq!(names(&fs.crash(&CrashImage::RemovalsOnly), "/"), [""; 0]);
}

#[test]
fn names_survive_as_a_prefix_or_as_any_subset() {
    let fs = SimFs::new();
    for name in ["/0", "/1", "/2"] {
        fs.create_new(Path::new(name)).unwrap();
    }
    let find = |image: fn(u64) -> CrashImage| -> BTreeSet<String> {
        (0..200)
            .map(|seed| names(&fs.crash(&image(seed)), "/").concat())
            .collect()
    };
    let prefixes = find(|seed| CrashImage::NamesPrefix { seed });
    assert_eq!(prefixes, ["", "0", "01", "012"].map(String::from).into());
    let subsets = find(|seed| CrashImage::NamesSubset { seed });
    let all = ["", "0", "01", "012", "02", "1", "12", "2"];
    assert_eq!(subsets, all.map(String::from).into());
}

#[test]
fn a_rename_within_a_directory_is_never_half_done() {
    let fs = SimFs::new();
    synced_file(&fs, "/a", b"old");
    synced_file(&fs, "/b", b"new");
    fs.rename(Path::new("/b"), Path::new("/a")).unwrap();
    for seed in 0..50 {
        for image in CrashImage::standard(seed) {
            let after = fs.crash(&image);
            match names(&after, "/").as_slice() {
                [a] if a == "a" => assert_eq!(read(&after, "/a"), b"new"),
                [a, b] if a == "a" && b == "b" => assert_eq!(read(&after, "/a"), b"old"),
                names => panic!("{image:?}: {names:?}"),
            }
        }
    }
}

#[test]
fn a_directory_that_its_parent_does_not_name_durably_vanishes_with_all_in_it() {
    let fs = SimFs::new();
    fs.create_dir(Path::new("/d")).unwrap();
    synced_file(&fs, "/d/a", b"synced");
    assert_eq!(names(&fs.crash(&CrashImage::NothingUnsynced), "/"), [""; 0]);
    fs.sync_dir(Path::new("/")).unwrap();
    assert_eq!(
        read(&fs.crash(&CrashImage::NothingUnsynced), "/d/a"),
        b"synced"
    );
}

#[test]
fn a_cut_may_be_undone_and_what_was_cut_off_may_be_back() {
    let fs = SimFs::new();
    let file = synced_file(&fs, "/a", b"abcdef");
    file.truncate(2).unwrap();
    assert_eq!(
        read(&fs.crash(&CrashImage::NothingUnsynced), "/a"),
        b"abcdef"
    );
    assert_eq!(
        read(&fs.crash(&CrashImage::EverythingUnsynced), "/a"),
        b"ab"
    );
    file.sync().unwrap();
    file.preallocate(4).unwrap();
    assert_eq!(
        read(&fs.crash(&CrashImage::EverythingUnsynced), "/a"),
        b"ab\0\0"
    );
}

#[test]
fn images_depend_on_their_seed_alone_and_there_are_many() {
    let fs = SimFs::new();
    for n in 0..20 {
        let path = format!("/{n}");
        fs.create_new(Path::new(&path))
            .unwrap()
            .append_all(&[n; 3000])
            .unwrap();
    }
    let state = |fs: &SimFs| -> Vec<_> {
        names(fs, "/")
            .into_iter()
            .map(|name| (read(fs, &format!("/{name}")), name))
            .collect()
    };
    let images = CrashImage::standard(7);
    assert_eq!(images, CrashImage::standard(7));
    let states: Vec<_> = images.iter().map(|image| state(&fs.crash(image))).collect();
    let again: Vec<_> = images.iter().map(|image| state(&fs.crash(image))).collect();
    assert_eq!(states, again);
    assert!(states.into_iter().collect::<BTreeSet<_>>().len() >= 8);
    assert_ne!(images, CrashImage::standard(8));
}

#[test]
fn an_image_is_independent_of_the_disk_it_was_taken_of() {
    let fs = SimFs::new();
    let file = synced_file(&fs, "/a", b"one");
    let after = fs.crash(&CrashImage::EverythingUnsynced);
    file.append_all(b" two").unwrap();
    fs.remove_file(Path::new("/a")).unwrap();
    assert_eq!(read(&after, "/a"), b"one");
    after.remove_file(Path::new("/a")).unwrap();
    after.sync_dir(Path::new("/")).unwrap();
    let mut buf = [0; 7];
    file.read_exact_at(&mut buf, 0).unwrap();
    assert_eq!(&buf, b"one two");
}

#[test]
fn a_second_crash_loses_nothing_that_the_first_image_held() {
    let fs = SimFs::new();
    fs.create_new(Path::new("/a"))
        .unwrap()
        .append_all(&[1; 5000])
        .unwrap();
    for image in CrashImage::standard(3) {
        let once = fs.crash(&image);
        let twice = once.crash(&CrashImage::NothingUnsynced);
        assert_eq!(names(&once, "/"), names(&twice, "/"));
        for name in names(&once, "/") {
            let path = format!("/{name}");
            assert_eq!(read(&once, &path), read(&twice, &path));
        }
    }
}

#[test]
fn a_kept_removal_of_a_new_file_does_not_take_the_old_one_of_that_name() {
    let fs = SimFs::new();
    synced_file(&fs, "/a", b"old");
    synced_file(&fs, "/t", b"new");
    fs.rename(Path::new("/t"), Path::new("/a")).unwrap();
    fs.remove_file(Path::new("/a")).unwrap();
    let found: BTreeSet<_> = (0..100)
        .map(|seed| names(&fs.crash(&CrashImage::NamesSubset { seed }), "/").concat())
        .collect();
    assert_eq!(found, ["", "a", "at"].map(String::from).into());
}

#[test]
fn a_kill_keeps_the_page_cache_and_a_power_cut_after_it_does_not() {
    let fs = SimFs::new();
    let file = synced_file(&fs, "/a", b"synced");
    file.append_all(b" or not").unwrap();
    let _lock = fs.lock(Path::new("/LOCK")).unwrap();
    let next = fs.reopen_after_kill();
    file.append_all(b", by a dead process").unwrap();
    assert_eq!(read(&next, "/a"), b"synced or not");
    assert!(next.lock(Path::new("/LOCK")).is_ok());
    assert_eq!(
        read(&next.crash(&CrashImage::NothingUnsynced), "/a"),
        b"synced"
    );
    // Whoever finds the bytes may make them durable.
    next.open(Path::new("/a")).unwrap().sync().unwrap();
    assert_eq!(
        read(&next.crash(&CrashImage::NothingUnsynced), "/a"),
        b"synced or not"
    );
}

#[test]
fn a_failed_sync_leaves_pages_clean_so_that_a_retry_saves_nothing() {
    let fs = SimFs::new();
    let file = synced_file(&fs, "/a", b"ab");
    file.append_all(b"lost").unwrap();
    fs.fail_sync(Path::new("/a")).unwrap();
    assert_eq!(read(&fs, "/a"), b"ablost", "readers still see it");
    assert_eq!(
        read(&fs.crash(&CrashImage::EverythingUnsynced), "/a"),
        b"ablost"
    );
    assert_eq!(read(&fs.crash(&CrashImage::NothingUnsynced), "/a"), b"ab");

    file.append_all(b"new").unwrap();
    file.sync().unwrap();
    assert_eq!(read(&fs, "/a"), b"ablostnew");
    for image in CrashImage::standard(0) {
        assert_eq!(read(&fs.crash(&image), "/a"), b"ab\0\0\0\0new", "{image:?}");
    }
    let next = fs.reopen_after_kill();
    next.open(Path::new("/a")).unwrap().sync().unwrap();
    assert_eq!(
        read(&next.crash(&CrashImage::NothingUnsynced), "/a"),
        b"ab\0\0\0\0new"
    );
}

#[test]
fn what_was_cut_off_stays_off_after_a_failed_sync_of_the_cut_and_a_later_good_one() {
    let fs = SimFs::new();
    let file = synced_file(&fs, "/a", b"abcdef");
    file.truncate(2).unwrap();
    fs.fail_sync(Path::new("/a")).unwrap();
    assert_eq!(
        read(&fs.crash(&CrashImage::NothingUnsynced), "/a"),
        b"abcdef"
    );
    file.sync().unwrap();
    file.preallocate(6).unwrap();
    file.sync().unwrap();
    assert_eq!(
        read(&fs.crash(&CrashImage::NothingUnsynced), "/a"),
        b"ab\0\0\0\0"
    );
}

#[test]
fn a_failed_sync_of_a_directory_loses_its_names_for_later_syncs() {
    let fs = SimFs::new();
    fs.create_new(Path::new("/a")).unwrap();
    fs.fail_sync(Path::new("/")).unwrap();
    fs.create_new(Path::new("/b")).unwrap();
    assert_eq!(
        names(&fs.crash(&CrashImage::EverythingUnsynced), "/"),
        ["a", "b"]
    );
    fs.sync_dir(Path::new("/")).unwrap();
    assert_eq!(names(&fs, "/"), ["a", "b"]);
    assert_eq!(
        names(&fs.crash(&CrashImage::EverythingUnsynced), "/"),
        ["b"]
    );
}

#[test]
fn clones_share_one_disk() {
    let fs = SimFs::new();
    let other = fs.clone();
    synced_file(&fs, "/a", b"shared");
    assert_eq!(read(&other, "/a"), b"shared");
    assert!(
        format!("{fs:?}").len() < 100,
        "a disk's content is not part of a message"
    );
}
