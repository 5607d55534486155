//! The order of entries, as stored and as searched for.

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::*;

/// Keys that collide: few bytes, zeros among them, lengths around that of a head.
#[derive(Clone, Debug)]
struct CloseKey(Vec<u8>);

impl Arbitrary for CloseKey {
    fn arbitrary(g: &mut Gen) -> Self {
        let length = usize::arbitrary(g) % 12;
        let byte = |g: &mut Gen| *g.choose(&[0, 0, 0, 1, 0xFF]).unwrap();
        Self((0..length).map(|_| byte(g)).collect())
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Self))
    }
}

fn entry(key: &CloseKey, seqno: u8) -> EntryKey {
    EntryKey::new(Bytes::from(key.0.clone()), seqno.into())
}

#[test]
fn entries_are_ordered_by_key_then_by_seqno_descending() {
    fn property(a: (CloseKey, u8), b: (CloseKey, u8)) -> bool {
        let expected = a.0.0.cmp(&b.0.0).then(b.1.cmp(&a.1));
        let (left, right) = (entry(&a.0, a.1), entry(&b.0, b.1));
        let probe = Probe::new(&a.0.0, a.1.into());
        let (left_view, probe_view): (&dyn KeyView, &dyn KeyView) = (&left, &probe);
        left.cmp(&right) == expected
            && left_view.cmp(right.borrow()) == expected
            && probe_view.cmp(right.borrow()) == expected
            && probe.cmp_user_key(&right) == a.0.0.cmp(&b.0.0)
            && left.same_user_key(&right) == (a.0.0 == b.0.0)
    }
    QuickCheck::new()
        .tests(5_000)
        .max_tests(5_000)
        .quickcheck(property as fn((CloseKey, u8), (CloseKey, u8)) -> bool);
}

#[test]
fn a_head_is_the_first_eight_bytes_padded_with_zeros() {
    assert_eq!(key_head(b""), 0);
    assert_eq!(key_head(b"\x01"), 0x0100_0000_0000_0000);
    assert_eq!(
        key_head(b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        0x0102_0304_0506_0708
    );
    assert_eq!(
        key_head(b"\x01\x02\x03\x04\x05\x06\x07\x08\x09"),
        0x0102_0304_0506_0708
    );
}

#[test]
fn a_key_that_ends_in_zeros_comes_after_the_key_without_them() {
    let heads_equal: [&[u8]; 5] = [
        b"a",
        b"a\0",
        b"a\0\0\0\0\0\0\0",
        b"a\0\0\0\0\0\0\0\0",
        b"a\0\0\0\0\0\0\0\x01",
    ];
    assert!(
        heads_equal
            .map(|key| EntryKey::new(Bytes::from_static(key), 1))
            .is_sorted_by(|a, b| a < b)
    );
}
