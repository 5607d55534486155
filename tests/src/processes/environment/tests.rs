use super::*;
use crate::processes::puppet;

/// Not a test of its own, but what the tests below start this very program again for.
#[test]
fn the_puppet() {
    if puppet::is_asked() {
        puppet::run().unwrap();
    }
}

fn play_once(name: &str) -> Seen {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["processes::environment::tests::the_puppet", "--exact"];
    let options = Options {
        program: Program::this(&arguments).unwrap(),
        dir: dir.path().to_owned(),
        seed: 1,
        rounds: 1,
    };
    play(name, &options).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn a_forked_child_is_told_so_writes_nothing_and_takes_nothing_from_its_parent() {
    let seen = play_once("fork");
    assert_eq!(seen.counts.get("closes beside a child"), Some(&1));
    assert!(seen.counts.get("answers to children") > Some(&500));
}

#[test]
fn processes_being_started_keep_no_store_locked() {
    let seen = play_once("spawn");
    assert_eq!(seen.counts.get("opens beside them"), Some(&203));
    assert!(seen.counts.get("processes started") > Some(&0));
}

#[test]
fn a_store_stays_in_the_directory_that_it_opened() {
    for name in ["chdir", "rename", "replace"] {
        assert!(play_once(name).left_out.is_none());
    }
}

#[test]
fn nothing_is_promised_in_a_removed_directory() {
    assert!(play_once("remove").counts.get("refusals") > Some(&0));
}

#[test]
fn a_removed_lock_lets_no_second_process_in() {
    assert!(play_once("lock-removed").counts.get("refusals") > Some(&0));
}

#[test]
fn few_open_files_and_short_files_lose_nothing_acknowledged() {
    assert!(play_once("open-files").counts.get("writes") > Some(&800));
    assert!(play_once("file-size").counts.get("refusals") > Some(&0));
}

#[test]
fn a_store_on_a_read_only_mount_is_refused_as_it_is() {
    let seen = play_once("read-only");
    assert!(seen.left_out.is_some() || seen.counts.get("refusals") == Some(&2));
}

#[test]
fn old_and_copied_directories_lack_nothing() {
    assert_eq!(play_once("old").counts.get("old directories"), Some(&3));
    let seen = play_once("copied");
    let live = ["live copies opened", "live copies refused"];
    let live = live.iter().filter_map(|name| seen.counts.get(name));
    assert_eq!(live.sum::<u64>(), 6);
}

#[test]
fn what_is_lost_wrong_or_invented_is_found() {
    let entry = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    let told = Promised {
        sure: Model::from([entry("a", "1")]),
        maybe: Model::from([entry("b", "2")]),
    };
    let check = |found: &[(&str, &str)]| {
        let found = found.iter().map(|(key, value)| entry(key, value));
        told.check(&found.collect())
    };
    assert!(check(&[("a", "1")]).is_ok() && check(&[("a", "1"), ("b", "2")]).is_ok());
    for wrong in [
        &[][..],
        &[("a", "2")],
        &[("a", "1"), ("b", "1")],
        &[("a", "1"), ("c", "1")],
    ] {
        assert!(check(wrong).is_err(), "{wrong:?}");
    }
}
