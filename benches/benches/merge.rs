//! What does a step of a merge cost, by the number of its sources?
//!
//! Sorted slices in memory, 150-byte values, so that nothing but the merge is measured: keys dealt out
//! at random, where the winner changes all the time, and in long stretches, as compactions of sorted
//! inserts have them. The limits: one comparison of heads for each game, log₂ of the sources at
//! random and none in a stretch, and the cache line of the next key; the entry's bytes are not read.

#![forbid(unsafe_code)]

use divan::{Bencher, black_box, counter::ItemsCount};
use lsm_benches::data::{Pair, pairs, sorted_pairs};
use lsm_compact::{Cursor, MergeCursor, SliceCursor};

fn main() {
    divan::main();
}

const ENTRIES: usize = 100_000;
const SOURCES: [usize; 4] = [1, 2, 4, 8];

type Source = Vec<(Vec<u8>, Option<Vec<u8>>)>;

#[divan::bench(args = SOURCES, sample_count = 20, sample_size = 1)]
fn at_random(bencher: Bencher<'_, '_>, source_count: usize) {
    let mut sources = vec![Source::new(); source_count];
    for (number, (key, value)) in pairs(1, ENTRIES).into_iter().enumerate() {
        sources[number % source_count].push((key, Some(value)));
    }
    sources.iter_mut().for_each(|source| source.sort_unstable());
    walk(bencher, &sources);
}

#[divan::bench(args = SOURCES, sample_count = 20, sample_size = 1)]
fn in_stretches(bencher: Bencher<'_, '_>, source_count: usize) {
    let mut sources = vec![Source::new(); source_count];
    for (number, stretch) in sorted_pairs(1, ENTRIES).chunks(1_000).enumerate() {
        let entries = stretch.iter().cloned();
        sources[number % source_count].extend(entries.map(|(key, value): Pair| (key, Some(value))));
    }
    walk(bencher, &sources);
}

fn walk(bencher: Bencher<'_, '_>, sources: &[Source]) {
    bencher.counter(ItemsCount::new(ENTRIES)).bench_local(|| {
        let cursors = sources.iter().map(|source| SliceCursor::new(source));
        let mut merge = MergeCursor::new(cursors.collect());
        let mut count = 0;
        let Ok(()) = merge.seek_first();
        while black_box(merge.key()).is_some() {
            count += 1;
            let Ok(()) = merge.next();
        }
        count
    });
}
