//! What does a read cost that finds nothing to look into?
//!
//! A get on an empty store: the view, the visible seqno, the hash of the key, and one question to an
//! empty memtable's filter. It isolates what every read pays before it reads anything, on one thread
//! and on two. The limit: two loads of lines that nobody writes, and the hash; some ten nanoseconds,
//! and no more with a second thread.

#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    reason = "without its set-up there is nothing to measure"
)]

use divan::{Bencher, black_box, counter::ItemsCount};
use lsm_benches::stores::{Bench, config};

fn main() {
    divan::main();
}

#[divan::bench(threads = [1, 2], sample_size = 1_000)]
fn get_on_an_empty_store(bencher: Bencher<'_, '_>) {
    let bench = Bench::open(config()).expect("an empty store opens");
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench(|| bench.store.get(black_box("a key of twenty-four bytes")));
}
