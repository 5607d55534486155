//! One case for each thing that a reader must reject.

use crate::craft::{
    FOOTER_AT, INDEX_AT, INDEX_AT_USIZE, INDEX_ENTRY_LEN, IndexEntry, block_at, sound,
};
use crate::readers::{Expected, check};

/// A name, what is changed, and what every reader must say.
type Case<T> = (&'static str, fn(&mut T), Expected);

/// A name, what is changed, the reason that every reader must give, and where.
type Placed<T> = (&'static str, fn(&mut T), &'static str, u64);

#[test]
fn frame() {
    let run = sound().build();
    check("nothing", &[], ("file too short for a run", Some(0), None));
    check(
        "a header",
        &run[..8],
        ("file too short for a run", Some(8), None),
    );
    check(
        "43 bytes",
        &run[..43],
        ("file too short for a run", Some(43), None),
    );
    check(
        "cut by one",
        &run[..run.len() - 1],
        ("footer magic missing", Some(FOOTER_AT + 27), None),
    );

    let cases: [Case<Vec<u8>>; 5] = [
        (
            "header magic",
            |run| run[3] ^= 1,
            ("header magic missing", Some(0), None),
        ),
        (
            "footer magic",
            |run| *run.last_mut().unwrap() ^= 1,
            ("footer magic missing", Some(FOOTER_AT + 28), None),
        ),
        (
            "index bit",
            |run| run[INDEX_AT_USIZE + 5] ^= 1,
            ("index checksum mismatch", Some(INDEX_AT), None),
        ),
        (
            "first block bit",
            |run| run[13] ^= 1,
            ("block checksum mismatch", Some(8), Some(0)),
        ),
        (
            "last block bit",
            |run| run[INDEX_AT_USIZE - 1] ^= 1,
            ("block checksum mismatch", Some(block_at(2)), Some(2)),
        ),
    ];
    for (name, tamper, expected) in cases {
        let mut run = run.clone();
        tamper(&mut run);
        check(name, &run, expected);
    }
}

#[test]
fn footer() {
    let not_at_end = (
        "index does not end at the footer",
        Some(FOOTER_AT + 8),
        None,
    );
    check(
        "index offset 7",
        &sound()
            .footer(|f| (f.index_offset, f.index_len) = (7, FOOTER_AT - 7))
            .build(),
        ("index starts inside the header", Some(FOOTER_AT + 8), None),
    );
    check(
        "index offset off by one",
        &sound().footer(|f| f.index_offset += 1).build(),
        not_at_end,
    );
    check(
        "index length off by one",
        &sound().footer(|f| f.index_len -= 1).build(),
        not_at_end,
    );
    check(
        "index length overflows",
        &sound().footer(|f| f.index_len = u64::MAX).build(),
        not_at_end,
    );
    check(
        "index offset overflows",
        &sound().footer(|f| f.index_offset = u64::MAX).build(),
        not_at_end,
    );
    check(
        "both wrap to the right sum",
        &sound()
            .footer(|f| {
                f.index_offset = u64::MAX - 9;
                f.index_len = FOOTER_AT + 10;
            })
            .build(),
        not_at_end,
    );
    check(
        "index checksum",
        &sound().footer(|f| f.index_crc ^= 1).build(),
        ("index checksum mismatch", Some(INDEX_AT), None),
    );
}

#[test]
fn index_bytes() {
    let second = INDEX_AT + INDEX_ENTRY_LEN;
    let third = second + INDEX_ENTRY_LEN;
    let cases: [Case<Vec<u8>>; 6] = [
        (
            "handle cut off",
            |index| index.truncate(62),
            ("entry cut off after its key", Some(third), Some(2)),
        ),
        (
            "bytes after it",
            |index| index.extend([0; 3]),
            ("entry cut off in its key length", Some(FOOTER_AT), Some(3)),
        ),
        (
            "cut in a key",
            |index| index.truncate(46),
            ("key runs past the end", Some(third), Some(2)),
        ),
        (
            "cut before a handle",
            |index| index.truncate(47),
            ("entry cut off after its key", Some(third), Some(2)),
        ),
        (
            "key past the end",
            |index| index[21..25].copy_from_slice(&60u32.to_le_bytes()),
            ("key runs past the end", Some(second), Some(1)),
        ),
        (
            "key over the limit",
            |index| index[21..25].copy_from_slice(&((1u32 << 30) + 1).to_le_bytes()),
            ("key length over the limit", Some(second), Some(1)),
        ),
    ];
    for (name, tamper, expected) in cases {
        let run = sound().index_bytes(tamper).build();
        check(name, &run, expected);
    }
}

#[test]
fn index_entries() {
    let at = |block: u64| (Some(INDEX_AT + block * INDEX_ENTRY_LEN), Some(block));
    let gap = "block does not start where the one before it ends";
    let cases: [Placed<Vec<IndexEntry>>; 12] = [
        (
            "same last key twice",
            |e| e[1].last_key = b"d".to_vec(),
            "last keys do not ascend",
            1,
        ),
        (
            "last keys descend",
            |e| e[2].last_key = b"a".to_vec(),
            "last keys do not ascend",
            2,
        ),
        ("first block inside the header", |e| e[0].offset = 7, gap, 0),
        ("gap after the header", |e| e[0].offset = 9, gap, 0),
        ("gap between blocks", |e| e[1].offset += 1, gap, 1),
        ("overlapping blocks", |e| e[1].offset -= 1, gap, 1),
        (
            "one block named twice",
            |e| (e[1].offset, e[1].len) = (e[0].offset, e[0].len),
            gap,
            1,
        ),
        (
            "offset near the end of numbers",
            |e| e[1].offset = u64::MAX,
            gap,
            1,
        ),
        (
            "block of no bytes",
            |e| e[1].len = 0,
            "block too short for its last key",
            1,
        ),
        (
            "block of nine bytes",
            |e| e[1].len = 9,
            "block too short for its last key",
            1,
        ),
        (
            "last block into the index",
            |e| e[2].len += 1,
            "block runs into the index",
            2,
        ),
        (
            "first block of 4 GiB",
            |e| e[0].len = u32::MAX,
            "block runs into the index",
            0,
        ),
    ];
    for (name, tamper, reason, block) in cases {
        let (offset, block) = at(block);
        check(
            name,
            &sound().index(tamper).build(),
            (reason, offset, block),
        );
    }

    let orphans = "bytes before the index belong to no block";
    check(
        "no entry for the last block",
        &sound().index(|e| drop(e.pop())).build(),
        (orphans, Some(INDEX_AT + 2 * INDEX_ENTRY_LEN), Some(2)),
    );
    check(
        "no entry at all",
        &sound().index(Vec::clear).build(),
        (orphans, Some(INDEX_AT), Some(0)),
    );
    check(
        "last block one short",
        &sound().index(|e| e[2].len -= 1).build(),
        (orphans, Some(FOOTER_AT), Some(3)),
    );
}

#[test]
fn block_entries() {
    // Each takes the second block, `f` and `h`, or one of its neighbours, and keeps the index.
    let second = block_at(1) + 11;
    let cases: [Placed<Vec<Vec<u8>>>; 15] = [
        (
            "key length cut off",
            |b| b[1].extend([0; 3]),
            "entry cut off in its key length",
            second + 11,
        ),
        (
            "key past the end",
            |b| b[1][11] = 8,
            "key runs past the end",
            second,
        ),
        (
            "tag missing",
            |b| b[1][11] = 7,
            "entry cut off before its tag",
            second,
        ),
        (
            "value length cut off",
            |b| b[1][11] = 5,
            "entry cut off in its value length",
            second,
        ),
        (
            "value past the end",
            |b| b[1][17] = 2,
            "value runs past the end",
            second,
        ),
        (
            "value short of the end",
            |b| b[1][17] = 0,
            "entry cut off in its key length",
            second + 10,
        ),
        (
            "key over the limit",
            |b| b[1][11..15].copy_from_slice(&((1u32 << 30) + 1).to_le_bytes()),
            "key length over the limit",
            second,
        ),
        (
            "value over the limit",
            |b| b[1][17..21].copy_from_slice(&((1u32 << 30) + 1).to_le_bytes()),
            "value length over the limit",
            second,
        ),
        (
            "all lengths set",
            |b| b[1][11..15].fill(0xff),
            "key length over the limit",
            second,
        ),
        ("unknown tag", |b| b[1][16] = 2, "unknown tag", second),
        (
            "tombstone with a value",
            |b| b[1][16] = 1,
            "tombstone with a value",
            second,
        ),
        (
            "same key twice",
            |b| b[1][4] = b'h',
            "keys do not ascend",
            second,
        ),
        (
            "keys descend",
            |b| b[1][4] = b'i',
            "keys do not ascend",
            second,
        ),
        (
            "first key in the block before",
            |b| b[1][4] = b'd',
            "first key does not follow the block before",
            block_at(1),
        ),
        (
            "last key not the index's",
            |b| b[1][15] = b'i',
            "last key is not the index's",
            block_at(2),
        ),
    ];
    for (name, tamper, reason, offset) in cases {
        check(
            name,
            &sound().blocks(tamper).build(),
            (reason, Some(offset), Some(1)),
        );
    }
}
