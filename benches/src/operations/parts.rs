//! The parts that reads, writes and merges are made of, each alone.

use std::hint::black_box;

use lsm_bloom::{Filter, FilterBuilder, FingerprintBits, KeyHasher};
use lsm_cache::{PagePool, Pages};
use lsm_compact::{Cursor, MergeCursor, SliceCursor};
use lsm_format::{Block, Entry};
use lsm_wal::{FrameBuffer, FrameKey, KIND_DATA, Position};

use super::{Operation, STORE_LEN, TIMES};
use crate::BenchResult;
use crate::data::{Pair, VALUE_BYTES, other_keys, pairs, sorted_pairs};
use crate::meter::Meter;
use crate::runs::{DecodedRun, run_of};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "filter-hit",
        what: "hash of a key, and query of a run's filter that has it",
        run: filter_hit,
    },
    Operation {
        name: "filter-miss",
        what: "hash of a key, and query of a run's filter that lacks it",
        run: filter_miss,
    },
    Operation {
        name: "filter-build",
        what: "key of a run's filter that is built",
        run: filter_build,
    },
    Operation {
        name: "index-find",
        what: "search for a key's block in an index of about 900",
        run: index_find,
    },
    Operation {
        name: "block-get",
        what: "search for a key in a block",
        run: block_get,
    },
    Operation {
        name: "block-decode",
        what: "check and decode of a block, its checksum included",
        run: block_decode,
    },
    Operation {
        name: "cache-hit",
        what: "lookup of a block that is cached",
        run: cache_hit,
    },
    Operation {
        name: "merge-step-2",
        what: "step of a merge of two sources that alternate at random",
        run: merge_step_2,
    },
    Operation {
        name: "merge-step-8",
        what: "step of a merge of eight sources that alternate at random",
        run: merge_step_8,
    },
    Operation {
        name: "run-encode",
        what: "entry that is added to a run",
        run: run_encode,
    },
    Operation {
        name: "frame-encode",
        what: "record of one entry that is framed for the log",
        run: frame_encode,
    },
];

const HASHER: KeyHasher = KeyHasher::new(7);

/// The filter of the keys, as the deepest level has it.
fn filter_of(pairs: &[Pair]) -> BenchResult<Filter> {
    let mut builder = FilterBuilder::new(u64::MAX);
    for (key, _) in pairs {
        builder.push(HASHER.hash(key));
    }
    Ok(builder.finish(FingerprintBits::Eight)?)
}

fn filter_hit(meter: &mut Meter) -> BenchResult {
    let pairs = pairs(1, STORE_LEN);
    let filter = filter_of(&pairs)?;
    let mut keys = pairs.iter().map(|(key, _)| key);
    meter.count(TIMES, |_| {
        let key = keys.next();
        Ok(key.is_some_and(|key| filter.may_contain(HASHER.hash(key))))
    })
}

fn filter_miss(meter: &mut Meter) -> BenchResult {
    let filter = filter_of(&pairs(1, STORE_LEN))?;
    // Those that the filter errs on would be hits.
    let mut absent = other_keys(2, STORE_LEN);
    absent.retain(|key| !filter.may_contain(HASHER.hash(key)));
    let mut keys = absent.iter();
    meter.count(TIMES, |_| {
        let key = keys.next();
        Ok(key.is_some_and(|key| !filter.may_contain(HASHER.hash(key))))
    })
}

fn filter_build(meter: &mut Meter) -> BenchResult {
    let pairs = pairs(1, STORE_LEN);
    meter.count_as(STORE_LEN as u64, || {
        let filter = filter_of(&pairs)?;
        Ok(filter.len() == STORE_LEN as u64)
    })
}

fn index_find(meter: &mut Meter) -> BenchResult {
    let run = DecodedRun::new(1, STORE_LEN)?;
    let pairs = pairs(1, STORE_LEN);
    let mut keys = pairs.iter().map(|(key, _)| key);
    meter.count(TIMES, |_| {
        let at = keys.next().map(|key| run.index().find(key));
        Ok(black_box(at) < Some(run.blocks().len()))
    })
}

fn block_get(meter: &mut Meter) -> BenchResult {
    let run = DecodedRun::new(1, STORE_LEN)?;
    let pairs = pairs(1, STORE_LEN);
    let keys = pairs.iter().map(|(key, _)| key);
    let asked: Vec<_> = keys
        .filter_map(|key| Some((key, run.block_of(key)?)))
        .collect();
    let mut asked = asked.iter();
    meter.count(TIMES, |_| {
        let found = asked.next().and_then(|(key, block)| block.get(key));
        let value = found.and_then(Entry::value);
        Ok(value.is_some_and(|value| value.len() == VALUE_BYTES))
    })
}

fn block_decode(meter: &mut Meter) -> BenchResult {
    let run = DecodedRun::new(1, STORE_LEN)?;
    let mut blocks = run.encoded_blocks().enumerate();
    meter.count(run.blocks().len() as u64 / 2, |_| {
        let Some((number, bytes)) = blocks.next() else {
            return Ok(false);
        };
        let block = Block::decode(bytes.clone(), run.index(), number)?;
        Ok(!black_box(block).is_empty())
    })
}

fn cache_hit(meter: &mut Meter) -> BenchResult {
    let run = DecodedRun::new(1, STORE_LEN)?;
    let count = run.blocks().len();
    let pages = Pages::new(&PagePool::new(64 << 20), count);
    for (number, block) in run.blocks().enumerate() {
        pages.insert(number, block, block.memory_bytes() as u64);
    }
    let mut number = 0;
    meter.count(TIMES, |_| {
        // So that neighbours don't follow each other.
        number = (number + 331) % count;
        Ok(black_box(pages.get(number)).is_some())
    })
}

fn merge_step_2(meter: &mut Meter) -> BenchResult {
    count_merge_steps(meter, 2)
}

fn merge_step_8(meter: &mut Meter) -> BenchResult {
    count_merge_steps(meter, 8)
}

/// Random keys dealt out to the sources in turn: of neighbours in the merge, any two sources may
/// have one each.
fn count_merge_steps(meter: &mut Meter, source_count: usize) -> BenchResult {
    type Source = Vec<(Vec<u8>, Option<Vec<u8>>)>;
    let mut sources: Vec<Source> = vec![Vec::new(); source_count];
    for (number, (key, value)) in pairs(1, STORE_LEN).into_iter().enumerate() {
        if let Some(source) = sources.get_mut(number % source_count) {
            source.push((key, Some(value)));
        }
    }
    sources.iter_mut().for_each(|source| source.sort_unstable());
    let cursors = sources.iter().map(|source| SliceCursor::new(source));
    let mut merge = MergeCursor::new(cursors.collect());
    merge.seek_first()?;
    meter.count(STORE_LEN as u64 / 2, |_| {
        merge.next()?;
        Ok(merge.key().is_some() && black_box(merge.value()).is_some())
    })
}

fn run_encode(meter: &mut Meter) -> BenchResult {
    let sorted = sorted_pairs(1, STORE_LEN);
    meter.count_as(STORE_LEN as u64, || {
        Ok(!black_box(run_of(&sorted)?).is_empty())
    })
}

fn frame_encode(meter: &mut Meter) -> BenchResult {
    let payload: Vec<u8> = pairs(1, 1)
        .into_iter()
        .flat_map(|(key, value)| [key, value].concat())
        .collect();
    let key = FrameKey::new([7; 16], 1);
    let mut buffer = FrameBuffer::new();
    meter.count(TIMES, |number| {
        buffer.clear();
        buffer.push(KIND_DATA, 0, number + 1, |bytes| {
            bytes.extend_from_slice(&payload);
        });
        buffer.seal(&key, 80, Position::default());
        Ok(black_box(buffer.as_bytes()).len() > payload.len())
    })
}
