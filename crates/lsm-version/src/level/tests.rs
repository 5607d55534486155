use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::testing::run;

fn sorted(spans: &[(&str, &str)]) -> Level {
    let runs = spans
        .iter()
        .zip(1..)
        .map(|((smallest, largest), id)| run(id, smallest, largest));
    Level::sorted_runs(runs.collect())
}

/// What the searches answer, by looking at every run.
struct Model<'a>(&'a Level);

impl Model<'_> {
    fn seek(&self, key: &[u8]) -> usize {
        let runs = self.0.runs();
        let found = runs.iter().position(|run| run.largest_key.as_ref() >= key);
        found.unwrap_or(runs.len())
    }

    fn seek_for_prev(&self, key: &[u8]) -> Option<usize> {
        let runs = self.0.runs();
        runs.iter()
            .rposition(|run| run.smallest_key.as_ref() <= key)
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        self.0.runs().iter().position(|run| run.covers(key))
    }

    fn overlapping(&self, smallest: &[u8], largest: &[u8]) -> Vec<usize> {
        let runs = self.0.runs().iter().enumerate();
        let hits = runs.filter(|(_, run)| run.overlaps_span(smallest, largest));
        hits.map(|(place, _)| place).collect()
    }
}

#[track_caller]
fn check_key(level: &Level, key: &[u8]) {
    let model = Model(level);
    assert_eq!(level.seek(key), model.seek(key), "seek {key:?}");
    assert_eq!(
        level.seek_for_prev(key),
        model.seek_for_prev(key),
        "seek_for_prev {key:?}"
    );
    assert_eq!(level.find(key), model.find(key), "find {key:?}");
}

#[track_caller]
fn check_span(level: &Level, smallest: &[u8], largest: &[u8]) {
    let expected = Model(level).overlapping(smallest, largest);
    let found: Vec<usize> = level.overlapping(smallest, largest).collect();
    assert_eq!(found, expected, "overlapping {smallest:?}..={largest:?}");
}

#[test]
fn an_empty_level_finds_nothing() {
    let level = Level::EMPTY;
    assert_eq!(
        (
            level.seek(b"a"),
            level.seek_for_prev(b"a"),
            level.find(b"a")
        ),
        (0, None, None)
    );
    assert!(level.overlapping(b"", b"z").is_empty());
    assert!(level.is_empty());
    assert_eq!((level.len(), level.bytes(), level.entry_count()), (0, 0, 0));
}

#[test]
fn a_level_adds_up_its_runs_and_saturates() {
    let level = sorted(&[("a", "b"), ("c", "d")]);
    assert_eq!((level.len(), level.bytes()), (2, 1001 + 1002));
    assert_eq!((level.entry_count(), level.tombstone_count()), (20, 1 + 2));
    let mut huge = RunMeta::clone(&run(3, "e", "f"));
    huge.file_len = u64::MAX;
    huge.entry_count = u64::MAX;
    let level = Level::overlapping_runs(vec![run(1, "a", "b"), Arc::new(huge)]);
    assert_eq!((level.bytes(), level.entry_count()), (u64::MAX, u64::MAX));
}

#[test]
fn searches_agree_with_a_walk_when_all_keys_share_a_long_prefix() {
    let spans = ["user0000001", "user0000003", "user0000003x", "user0000009"];
    let level = sorted(&[(spans[0], spans[1]), (spans[2], spans[3])]);
    for key in [
        "",
        "u",
        "user000",
        "user0000000",
        "user0000001",
        "user0000002",
        "user0000003",
    ] {
        check_key(&level, key.as_bytes());
    }
    for key in [
        "user0000003a",
        "user0000003x",
        "user0000009",
        "user00000090",
        "user1",
        "v",
    ] {
        check_key(&level, key.as_bytes());
    }
}

#[test]
fn searches_agree_with_a_walk_when_many_heads_tie() {
    // The first run spoils the shared prefix, so every other head is "AAAAAAAA".
    let mut spans = vec![("A".to_owned(), "AA".to_owned())];
    for number in 0..40 {
        let stem = format!("AAAAAAAAAAAA{number:02}");
        spans.push((format!("{stem}c"), format!("{stem}m")));
    }
    let runs = spans
        .iter()
        .zip(1..)
        .map(|((smallest, largest), id)| run(id, smallest, largest));
    let level = Level::sorted_runs(runs.collect());
    for number in 0..40 {
        for tail in ["", "b", "c", "d", "m", "n"] {
            check_key(&level, format!("AAAAAAAAAAAA{number:02}{tail}").as_bytes());
        }
    }
}

#[test]
fn zero_bytes_that_pad_a_head_are_told_from_zero_bytes_of_a_key() {
    let level = sorted(&[
        ("a", "a"),
        ("a\0", "a\0"),
        ("a\0\0", "a\0\0"),
        ("a\0\0b", "b"),
    ]);
    for key in [
        "", "a", "a\0", "a\0\0", "a\0\0\0", "a\0\0a", "a\0\0b", "b", "b\0",
    ] {
        check_key(&level, key.as_bytes());
    }
}

#[test]
fn an_inverted_span_overlaps_no_run() {
    let level = sorted(&[("a", "c"), ("e", "g")]);
    check_span(&level, b"f", b"b");
    check_span(&level, b"z", b"a");
}

quickcheck::quickcheck! {
    fn searches_agree_with_a_walk(keys: Vec<Vec<u8>>, probes: Vec<Vec<u8>>, width: u8) -> bool {
        // Few distinct bytes, so that prefixes and heads collide.
        let narrow = |key: &Vec<u8>| -> Vec<u8> {
            key.iter().take(12).map(|byte| byte % (width % 4 + 1)).collect()
        };
        let mut keys: Vec<Vec<u8>> = keys.iter().map(narrow).collect();
        keys.sort();
        keys.dedup();
        let runs = keys.chunks_exact(2).zip(1..).map(|(pair, id)| {
            let mut meta = RunMeta::clone(&run(id, "", ""));
            meta.smallest_key = Bytes::copy_from_slice(&pair[0]);
            meta.largest_key = Bytes::copy_from_slice(&pair[1]);
            Arc::new(meta)
        });
        let level = Level::sorted_runs(runs.collect());
        let probes: Vec<Vec<u8>> = probes.iter().map(narrow).chain(keys).collect();
        for key in &probes {
            check_key(&level, key);
        }
        for (smallest, largest) in probes.iter().zip(probes.iter().rev()) {
            check_span(&level, smallest, largest);
        }
        true
    }
}
