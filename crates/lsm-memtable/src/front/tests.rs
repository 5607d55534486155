//! Walking backwards where landmarks are missing, rare or plenty.

use super::*;

fn key(number: u32) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn numbers(window: &[Slot]) -> Vec<u32> {
    let number = |slot: &Slot| u32::from_be_bytes(slot.key[..].try_into().unwrap());
    window.iter().map(number).collect()
}

/// A front with keys `0..count` at seqno 1 and no landmark.
fn without_landmarks(count: u32) -> Front {
    let front = Front::new();
    let guard = epoch::pin();
    for number in 0..count {
        assert!(front.insert(EntryKey::new(key(number), 1), None, &guard));
    }
    front
}

#[test]
fn a_backward_window_without_landmarks_ends_at_its_bound_and_is_bounded() {
    let front = without_landmarks(5_000);
    let mut window = Vec::new();
    front.window_before(Bound::Excluded(&key(4_321)), 1, 2, &mut window);
    assert!((BACKWARD_KEPT_MAX / 2..=BACKWARD_KEPT_MAX).contains(&window.len()));
    let first = 4_321 - u32::try_from(window.len()).unwrap();
    assert_eq!(numbers(&window), (first..4_321).collect::<Vec<_>>());
}

#[test]
fn a_backward_window_starts_at_the_landmark_before_its_bound() {
    let front = without_landmarks(1_000);
    let guard = epoch::pin();
    for number in [400, 500, 600, 900] {
        let landmark = EntryKey::new(key(number), 1).landmark();
        front.landmarks.insert(landmark, (), &guard).release(&guard);
    }
    let window_before = |to: Bound<&[u8]>| {
        let mut window = Vec::new();
        front.window_before(to, 1, 2, &mut window);
        numbers(&window)
    };
    assert_eq!(
        window_before(Bound::Excluded(&key(550))),
        (500..550).collect::<Vec<_>>()
    );
    assert_eq!(
        window_before(Bound::Included(&key(550))),
        (500..551).collect::<Vec<_>>()
    );
    assert_eq!(
        window_before(Bound::Excluded(&key(500))),
        (400..500).collect::<Vec<_>>()
    );
    assert_eq!(window_before(Bound::Included(&key(500))), [500]);
    assert_eq!(
        window_before(Bound::Unbounded),
        (900..1_000).collect::<Vec<_>>()
    );
}

#[test]
fn a_backward_window_passes_landmarks_until_something_is_visible() {
    let front = Front::new();
    front.insert_all(1, [(key(0), None), (key(9_999), None)].into_iter());
    front.insert_all(2, (1..9_999).map(|number| (key(number), None)));
    assert!(front.landmarks.len() > 100, "the newer keys hold landmarks");
    for count_max in [1, 2] {
        let mut window = Vec::new();
        front.window_before(Bound::Excluded(&key(9_999)), 1, count_max, &mut window);
        assert_eq!(numbers(&window), [0]);
    }
}

#[test]
fn landmarks_are_drawn_at_about_their_rate_and_once_a_key() {
    let front = Front::new();
    front.insert_all(1, (0..32_000).map(|number| (key(number), None)));
    let expected = 32_000 / usize::try_from(LANDMARK_EVERY).unwrap();
    let drawn = front.landmarks.len();
    assert!(
        (expected * 4 / 5..expected * 6 / 5).contains(&drawn),
        "{drawn}"
    );
    for seqno in 2..2_000 {
        front.insert_all(seqno, std::iter::once((key(40_000), None)));
    }
    assert_eq!(front.landmarks.len(), drawn + 1);
}

#[test]
fn older_versions_of_a_key_are_passed_by_search() {
    let front = Front::new();
    for seqno in 1..=50_000 {
        front.insert_all(seqno, std::iter::once((key(1), None)));
    }
    front.insert_all(1, std::iter::once((key(2), None)));
    let guard = &epoch::pin();
    for (seqno, expected) in [(50_000, 2), (25_000, 2), (1, 2)] {
        let mut visited = Vec::new();
        front.walk(Bound::Unbounded, seqno, guard, |node, visible| {
            visited.push((node.key().seqno(), visible));
            ControlFlow::Continue(())
        });
        let visible = visited.iter().filter(|(_, visible)| *visible).count();
        assert_eq!(visible, expected);
        assert!(visited.len() <= 3, "{visited:?}");
    }
}

#[test]
fn the_smallest_and_the_largest_seqno_belong_to_their_key() {
    let front = Front::new();
    for seqno in (0..20).chain([u64::MAX]) {
        for number in [1, 2, 3] {
            front.insert_all(seqno, std::iter::once((key(number), None)));
        }
    }
    for seqno in [0, 10, u64::MAX] {
        let mut window = Vec::new();
        front.window_after(Bound::Unbounded, seqno, 9, &mut window);
        assert_eq!(numbers(&window), [1, 2, 3], "after, at {seqno}");
        for count_max in [1, 2] {
            for to in [Bound::Included(key(2)), Bound::Excluded(key(3))] {
                let mut window = Vec::new();
                let to = to.as_ref().map(|key| &key[..]);
                front.window_before(to, seqno, count_max, &mut window);
                let last = window.last().map(|slot| (&slot.key[..], slot.seqno));
                assert_eq!(
                    last,
                    Some((&key(2)[..], seqno)),
                    "before {to:?}, at {seqno}"
                );
            }
        }
    }
    // Only one version each, at the extremes, so that no other one can stand in for it.
    for seqno in [0, u64::MAX] {
        let front = Front::new();
        front.insert_all(seqno, [(key(1), None), (key(2), None)].into_iter());
        for (to, expected) in [(Bound::Included(key(2)), 2), (Bound::Excluded(key(2)), 1)] {
            let mut window = Vec::new();
            front.window_before(to.as_ref().map(|key| &key[..]), seqno, 2, &mut window);
            assert_eq!(
                numbers(&window).last(),
                Some(&expected),
                "{to:?}, at {seqno}"
            );
        }
    }
}

#[test]
fn a_replaced_value_is_freed_although_its_writer_goes_idle() {
    let front = Front::new();
    let buffer = Bytes::from(vec![7; 64]);
    front.insert_all(1, std::iter::once((key(1), Some(buffer.clone()))));
    front.insert_all(1, std::iter::once((key(1), None)));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            (0..1_000_000).any(|_| {
                front.get(&key(1), 1);
                std::thread::yield_now();
                buffer.is_unique()
            })
        });
        assert!(reader.join().unwrap(), "the buffer is still held");
    });
}
