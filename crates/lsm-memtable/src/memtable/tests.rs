//! Point reads, counters, lifetime, and readers beside a writer.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread;

use super::*;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put(memtable: &Memtable, seqno: u64, key: &str, value: &str) {
    memtable.insert(seqno, bytes(key), Some(bytes(value)));
}

fn value_at(memtable: &Memtable, key: &str, seqno: u64) -> Option<(u64, Option<String>)> {
    let found = memtable.get(key.as_bytes(), seqno)?;
    let text = |value: Bytes| String::from_utf8(value.to_vec()).unwrap();
    Some((found.seqno, found.value.map(text)))
}

#[test]
fn get_finds_the_newest_version_at_or_below_the_seqno() {
    let memtable = Memtable::new();
    put(&memtable, 3, "k", "three");
    put(&memtable, 7, "k", "seven");
    assert_eq!(value_at(&memtable, "k", 2), None);
    assert_eq!(value_at(&memtable, "k", 3), Some((3, Some("three".into()))));
    assert_eq!(value_at(&memtable, "k", 6), Some((3, Some("three".into()))));
    assert_eq!(value_at(&memtable, "k", 7), Some((7, Some("seven".into()))));
    assert_eq!(
        value_at(&memtable, "k", u64::MAX),
        Some((7, Some("seven".into())))
    );
}

#[test]
fn get_does_not_mistake_a_neighbour_for_the_key() {
    let memtable = Memtable::new();
    put(&memtable, 1, "abcdefgh", "shorter");
    put(&memtable, 1, "abcdefghij", "longer");
    for absent in ["", "a", "abcdefg", "abcdefghi", "abcdefghijk", "b"] {
        assert_eq!(value_at(&memtable, absent, 9), None, "{absent}");
    }
}

#[test]
fn a_tombstone_is_found_and_hides_older_versions() {
    let memtable = Memtable::new();
    put(&memtable, 1, "k", "v");
    memtable.insert(2, bytes("k"), None);
    assert_eq!(value_at(&memtable, "k", 2), Some((2, None)));
    assert_eq!(value_at(&memtable, "k", 1), Some((1, Some("v".into()))));
}

#[test]
fn the_extremes_of_keys_and_seqnos_are_ordinary() {
    let memtable = Arc::new(Memtable::new());
    put(&memtable, 0, "", "first");
    put(&memtable, u64::MAX, "", "last");
    assert_eq!(value_at(&memtable, "", 0), Some((0, Some("first".into()))));
    assert_eq!(
        value_at(&memtable, "", u64::MAX),
        Some((u64::MAX, Some("last".into())))
    );
    assert_eq!(memtable.seqno_range(), Some((0, u64::MAX)));

    put(&memtable, 0, "k", "v");
    let mut cursor = memtable.cursor(u64::MAX);
    cursor.seek_first();
    assert_eq!((cursor.key(), cursor.seqno()), (Some(&b""[..]), u64::MAX));
    cursor.next();
    assert_eq!((cursor.key(), cursor.seqno()), (Some(&b"k"[..]), 0));
    cursor.prev();
    assert_eq!((cursor.key(), cursor.seqno()), (Some(&b""[..]), u64::MAX));
}

#[test]
fn the_later_operation_of_a_batch_on_a_key_wins() {
    let memtable = Memtable::new();
    memtable.insert_batch(
        5,
        [
            (bytes("k"), Some(bytes("first"))),
            (bytes("other"), Some(bytes("x"))),
            (bytes("k"), None),
            (bytes("k"), Some(bytes("third"))),
        ],
    );
    assert_eq!(value_at(&memtable, "k", 5), Some((5, Some("third".into()))));
    assert_eq!(memtable.entry_count(), 2);
    let held = (1 + 5) + (5 + 1) + 1 + (1 + 5);
    assert_eq!(
        memtable.bytes(),
        held + 4 * ENTRY_OVERHEAD_BYTES,
        "replaced versions count too"
    );
}

#[test]
fn a_replaced_value_of_one_batch_leaves_older_versions_alone() {
    let memtable = Memtable::new();
    put(&memtable, 1, "k", "old");
    put(&memtable, 2, "k", "new");
    put(&memtable, 2, "k", "newer");
    assert_eq!(value_at(&memtable, "k", 1), Some((1, Some("old".into()))));
    assert_eq!(value_at(&memtable, "k", 2), Some((2, Some("newer".into()))));
}

#[test]
fn counters_follow_the_inserts() {
    let memtable = Memtable::new();
    assert!(memtable.is_empty());
    assert_eq!((memtable.bytes(), memtable.entry_count()), (0, 0));
    assert_eq!(memtable.seqno_range(), None);

    memtable.insert_batch(8, []);
    assert!(memtable.is_empty(), "an empty batch is no insert");
    assert_eq!(memtable.seqno_range(), None);

    put(&memtable, 4, "abc", "12345");
    memtable.insert(9, bytes("abc"), None);
    assert!(!memtable.is_empty());
    assert_eq!(memtable.entry_count(), 2);
    assert_eq!(memtable.bytes(), 3 + 5 + 3 + 2 * ENTRY_OVERHEAD_BYTES);
    assert_eq!(memtable.seqno_range(), Some((4, 9)));
}

#[cfg(target_pointer_width = "64")]
#[test]
fn the_overhead_estimate_is_made_of_what_a_node_holds() {
    let payload = size_of::<crate::key::EntryKey>() + size_of::<Option<Bytes>>();
    let (references, tower, allocator, landmarks) = (8, 2 * 8, 12, 4);
    assert_eq!(
        (payload + references + tower + allocator + landmarks) as u64,
        ENTRY_OVERHEAD_BYTES
    );
}

#[test]
fn values_share_the_buffer_they_came_in() {
    let buffer = bytes("key+value");
    let memtable = Arc::new(Memtable::new());
    memtable.insert(1, buffer.slice(..3), Some(buffer.slice(4..)));
    let found = memtable.get(b"key", 1).unwrap();
    assert_eq!(found.value.unwrap().as_ptr(), buffer[4..].as_ptr());
    let mut cursor = memtable.cursor(1);
    cursor.seek_first();
    assert_eq!(cursor.key_bytes().as_ptr(), buffer.as_ptr());
    assert_eq!(cursor.value_bytes().unwrap().as_ptr(), buffer[4..].as_ptr());
}

fn flatten_front(memtable: &Memtable) {
    let mut writer = memtable.shared.lock_writer();
    memtable.seal_front(&mut writer);
    memtable.flatten_sealed(&mut writer, 0);
}

#[test]
fn an_array_answers_as_its_front_did_takes_less_and_lets_small_buffers_go() {
    let buffer = Bytes::from(vec![7; 64]);
    let memtable = Memtable::new();
    for seqno in 0..100_u64 {
        let key = Bytes::copy_from_slice(&(seqno % 40).to_be_bytes());
        memtable.insert(seqno, key, Some(buffer.clone()));
    }
    memtable.add_slack(1_000);
    let payload_bytes = 100 * (8 + 64);
    assert_eq!(
        memtable.bytes(),
        payload_bytes + 1_000 + 100 * ENTRY_OVERHEAD_BYTES
    );
    let answer = |seqno: u64| memtable.get(&(seqno % 40).to_be_bytes(), seqno);
    let before: Vec<_> = (0..100).map(answer).collect();

    flatten_front(&memtable);
    assert_eq!((0..100).map(answer).collect::<Vec<_>>(), before);
    assert_eq!(memtable.entry_count(), 100);
    assert_eq!(
        memtable.bytes(),
        payload_bytes + 100 * 32,
        "no slack is kept"
    );
    drop((before, memtable));
    assert!(buffer.is_unique());
}

#[test]
fn slack_is_counted_as_long_as_a_handle_may_keep_it_alive() {
    let large = Bytes::from(vec![7; 5_000]);
    let memtable = Memtable::new();
    memtable.insert(1, bytes("k"), Some(large.clone()));
    memtable.add_slack(1_000);
    flatten_front(&memtable);
    assert_eq!(memtable.bytes(), 5_001 + 32 + 1_000);
    let no_handle = |_: &[u8]| panic!("a small entry is copied");
    memtable.insert_large_batch(2, [(&b"k"[..], Some(&b"small"[..]))], no_handle);
    memtable.add_slack(500);
    assert_eq!(memtable.bytes(), 5_001 + 6 + 2 * 32 + 1_000, "all copies");
    let large_entry = [(&b"k"[..], Some(&large[..]))];
    memtable.insert_large_batch(3, large_entry, Bytes::copy_from_slice);
    memtable.add_slack(500);
    assert_eq!(memtable.bytes(), 2 * 5_001 + 6 + 3 * 32 + 1_500);
}

#[test]
fn what_cursors_keep_alive_of_earlier_parts_is_counted_until_they_go() {
    let memtable = Memtable::new();
    let mut cursors = Vec::new();
    for seqno in 0..4 {
        put(&memtable, seqno, "k", "value");
        cursors.push(memtable.cursor(seqno));
        flatten_front(&memtable);
    }
    // Four fronts became arrays, and four arrays one.
    assert_eq!(memtable.shared.parts().arrays.len(), 1);
    let (front, array) = (6 + ENTRY_OVERHEAD_BYTES, 6 + 32);
    assert_eq!(memtable.superseded_bytes(), 4 * front + 3 * array);
    cursors.remove(0).seek_first();
    assert_eq!(memtable.superseded_bytes(), 3 * front + 3 * array);
    cursors.clear();
    assert_eq!(memtable.superseded_bytes(), 0);
    assert_eq!(memtable.bytes(), 4 * array);
}

/// What a panic left of its batch must not stand in the front unnoticed: a large batch would go before
/// it, and then be hidden by what is older.
#[test]
fn a_panic_in_the_middle_of_a_batch_leaves_the_parts_in_order() {
    let memtable = Memtable::new();
    let entries = ["k", "l"].into_iter().map(|key| match key {
        "l" => panic!("no second entry"),
        key => (bytes(key), Some(bytes("half a batch"))),
    });
    let insert = std::panic::AssertUnwindSafe(|| memtable.insert_batch(1, entries));
    assert!(std::panic::catch_unwind(insert).is_err());
    let whole = [(&b"k"[..], Some(&b"whole"[..]))];
    memtable.insert_large_batch(2, whole, Bytes::copy_from_slice);
    assert_eq!(value_at(&memtable, "k", 2), Some((2, Some("whole".into()))));
}

#[test]
fn room_is_not_reserved_for_what_stays_a_handle() {
    let large = Bytes::from(vec![7; 64 << 20]);
    let keys: Vec<_> = (0..600_u32).map(u32::to_be_bytes).collect();
    let entries = keys.iter().map(|key| (&key[..], Some(&large[..])));
    let memtable = Memtable::new();
    // With room for each value it would ask for 37 GiB.
    memtable.insert_large_batch(1, entries, |part| {
        large.slice_ref(part.get(..0).unwrap_or(part))
    });
    assert_eq!(memtable.entry_count(), 600);
}

#[test]
fn a_front_that_is_full_becomes_an_array_between_two_seqnos() {
    let memtable = Memtable::new().with_front_bytes_max(1);
    let arrays = || memtable.shared.parts().arrays.len();
    put(&memtable, 1, "a", "1");
    assert_eq!(arrays(), 0);
    put(&memtable, 2, "a", "2");
    assert_eq!(arrays(), 1);
    put(&memtable, 2, "b", "2");
    put(&memtable, 2, "a", "two");
    assert_eq!(arrays(), 1, "one batch lies in one part");
    assert_eq!(value_at(&memtable, "a", 1), Some((1, Some("1".into()))));
    assert_eq!(value_at(&memtable, "a", 2), Some((2, Some("two".into()))));
}

#[test]
fn a_large_batch_is_the_same_as_its_entries_one_by_one() {
    let (one_by_one, sorted) = (Memtable::new(), Memtable::new());
    for memtable in [&one_by_one, &sorted] {
        put(memtable, 1, "a", "old");
        put(memtable, 1, "z", "old");
    }
    let entries = || {
        let keys = ["m", "a", "c", "a", "m", "b"];
        let entries = keys.into_iter().zip(0..);
        entries.map(|(key, at)| (bytes(key), (at != 4).then(|| bytes(&format!("value {at}")))))
    };
    one_by_one.insert_batch(2, entries());
    let owned: Vec<_> = entries().collect();
    let borrowed = owned
        .iter()
        .map(|(key, value)| (&key[..], value.as_deref()));
    sorted.insert_large_batch(2, borrowed, Bytes::copy_from_slice);
    assert_eq!(sorted.entry_count(), one_by_one.entry_count());
    assert_eq!(sorted.seqno_range(), Some((1, 2)));
    for seqno in [1, 2] {
        for key in ["a", "b", "c", "m", "z"] {
            assert_eq!(
                value_at(&sorted, key, seqno),
                value_at(&one_by_one, key, seqno),
                "{key}"
            );
        }
    }
    let again = [(&b"a"[..], Some(&b"again"[..]))];
    sorted.insert_large_batch(2, again, Bytes::copy_from_slice);
    assert_eq!(value_at(&sorted, "a", 2), Some((2, Some("again".into()))));
    sorted.insert_large_batch(3, [], Bytes::copy_from_slice);
    assert_eq!(sorted.seqno_range(), Some((1, 2)));
}

#[test]
fn a_large_memtable_drops_on_a_small_stack_and_lets_its_buffers_go() {
    let buffer = Bytes::from(vec![7; 64]);
    let memtable = Memtable::new();
    for seqno in 0..200_000_u64 {
        let key = Bytes::copy_from_slice(&seqno.to_be_bytes());
        memtable.insert(seqno, key, Some(buffer.clone()));
    }
    assert!(!buffer.is_unique());
    thread::Builder::new()
        .stack_size(64 * 1024)
        .spawn(move || drop(memtable))
        .unwrap()
        .join()
        .unwrap();
    assert!(
        buffer.is_unique(),
        "every node is freed by the drop, none later"
    );
}

#[test]
fn a_memtable_is_shared_and_a_cursor_moves_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<Memtable>();
    sent::<MemtableCursor>();
}

/// Batch `seqno` writes `seqno` under each of these, and overwrites half of the batch before.
const KEYS_PER_BATCH: u64 = 40;
const BATCHES: u64 = 400;

fn batch(seqno: u64) -> Vec<(Bytes, Option<Bytes>)> {
    let value = Bytes::copy_from_slice(&seqno.to_be_bytes());
    (0..KEYS_PER_BATCH)
        .map(|key| {
            let scattered = (key + seqno * KEYS_PER_BATCH / 2).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (
                Bytes::copy_from_slice(&scattered.to_be_bytes()),
                Some(value.clone()),
            )
        })
        .collect()
}

/// How many keys a reader at `seqno` must see.
fn keys_at(seqno: u64) -> u64 {
    if seqno == 0 {
        0
    } else {
        KEYS_PER_BATCH + (seqno - 1) * (KEYS_PER_BATCH / 2)
    }
}

/// Walks the whole snapshot and checks strict order, whole batches and seqnos.
fn check_snapshot(memtable: &Arc<Memtable>, seqno: u64, backward: bool) {
    let mut cursor = memtable.cursor(seqno);
    let mut keys = 0;
    let mut newest = 0;
    let mut last: Option<Vec<u8>> = None;
    if backward {
        cursor.seek_last()
    } else {
        cursor.seek_first()
    }
    while let Some(key) = cursor.key() {
        if let Some(last) = &last {
            assert!(
                if backward {
                    key < &last[..]
                } else {
                    key > &last[..]
                },
                "order at {seqno}"
            );
        }
        assert!(cursor.seqno() <= seqno);
        assert_eq!(cursor.value(), Some(&cursor.seqno().to_be_bytes()[..]));
        newest += u64::from(cursor.seqno() == seqno);
        keys += 1;
        last = Some(key.to_vec());
        if backward {
            cursor.prev()
        } else {
            cursor.next()
        }
    }
    assert_eq!(keys, keys_at(seqno), "keys at {seqno}");
    assert_eq!(
        newest,
        if seqno == 0 { 0 } else { KEYS_PER_BATCH },
        "a whole batch at {seqno}"
    );
    for (key, _) in batch(seqno).iter().filter(|_| seqno > 0) {
        assert_eq!(
            memtable.get(key, seqno).map(|found| found.seqno),
            Some(seqno)
        );
    }
}

#[test]
fn readers_beside_a_writer_see_whole_batches_in_strict_order() {
    check_readers_beside_a_writer(Memtable::new());
}

#[test]
fn readers_see_whole_batches_while_fronts_become_arrays_and_arrays_are_merged() {
    check_readers_beside_a_writer(Memtable::new().with_front_bytes_max(9_000));
}

#[test]
fn readers_see_whole_batches_while_maintenance_runs_beside_them() {
    let (asked, asks) = mpsc::channel::<Maintenance>();
    let maintainer = thread::spawn(move || {
        let asks = asks.into_iter();
        let useful = asks.filter(|maintenance| maintenance.memory_bytes() > 0);
        useful.map(Maintenance::run).count()
    });
    let memtable = Memtable::new()
        .with_front_bytes_max(9_000)
        // It fails only if the thread panicked, which the join tells.
        .with_maintenance(move |maintenance| drop(asked.send(maintenance)));
    check_readers_beside_a_writer(memtable);
    assert!(
        maintainer.join().unwrap() > 0,
        "steps that had something to do"
    );
}

fn check_readers_beside_a_writer(memtable: Memtable) {
    let memtable = Arc::new(memtable);
    let published = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|reader| {
            let (memtable, published, done) = (
                Arc::clone(&memtable),
                Arc::clone(&published),
                Arc::clone(&done),
            );
            thread::spawn(move || {
                let mut rounds = 0_u64;
                while !done.load(Ordering::Acquire) {
                    let seqno = published.load(Ordering::Acquire);
                    check_snapshot(&memtable, seqno, reader == 1);
                    rounds += 1;
                }
                rounds
            })
        })
        .collect();
    for seqno in 1..=BATCHES {
        if seqno % 7 == 0 {
            let batch = batch(seqno);
            let entries = batch.iter();
            let entries = entries.map(|(key, value)| (&key[..], value.as_deref()));
            memtable.insert_large_batch(seqno, entries, Bytes::copy_from_slice);
            published.store(seqno, Ordering::Release);
            continue;
        }
        // Some keys twice under one seqno, so that replacements run beside the readers.
        memtable.insert_batch(
            seqno,
            batch(seqno).into_iter().take(3).map(|(key, _)| (key, None)),
        );
        memtable.insert_batch(seqno, batch(seqno));
        published.store(seqno, Ordering::Release);
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        reader.join().unwrap();
    }
    check_snapshot(&memtable, BATCHES, false);
    check_snapshot(&memtable, BATCHES, true);
    check_snapshot(&memtable, BATCHES / 2, true);
}
