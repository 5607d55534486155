//! How windows grow.

use super::*;
use crate::parts::HeldFront;

#[test]
fn windows_grow_in_one_direction_and_start_small_at_a_turn() {
    let front = HeldFront::new(None);
    let entries = (0..2_000_u32).map(|number| {
        let key = Bytes::copy_from_slice(&number.to_be_bytes());
        (key, Some(Bytes::from_static(b"v")))
    });
    front.insert_all(1, entries);
    let mut cursor = FrontCursor::new(front, 1);
    cursor.seek_first();
    assert_eq!(cursor.window.len(), WINDOW_FIRST);
    for _ in 0..1_000 {
        cursor.next();
    }
    assert_eq!(cursor.window.len(), WINDOW_MAX);
    while cursor.index > 0 {
        cursor.prev();
    }
    cursor.prev();
    assert_eq!(cursor.window.len(), WINDOW_FIRST);
    cursor.next();
    assert_eq!(cursor.window.len(), WINDOW_FIRST);
    cursor.seek(b"");
    assert_eq!(cursor.window.len(), WINDOW_FIRST);
}
