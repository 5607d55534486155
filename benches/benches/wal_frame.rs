//! What does a record's frame cost, before anything is written?
//!
//! Copying the payload behind room for its header, its checksum, and the header with a checksum of
//! its own. The limits: CRC-32 at some 15 GB/s and one copy of the payload.

#![forbid(unsafe_code)]

use divan::{Bencher, black_box, counter::BytesCount};
use lsm_wal::{FrameBuffer, FrameKey, KIND_DATA, Position};

fn main() {
    divan::main();
}

#[divan::bench(args = [183, 18_300, 183_000], sample_size = 1_000)]
fn frame(bencher: Bencher<'_, '_>, payload_len: usize) {
    let payload = vec![7; payload_len];
    let key = FrameKey::new([7; 16], 1);
    let mut buffer = FrameBuffer::new();
    bencher
        .counter(BytesCount::new(payload_len))
        .bench_local(|| {
            buffer.clear();
            buffer.push(KIND_DATA, 0, 1, |bytes| {
                bytes.extend_from_slice(black_box(&payload));
            });
            buffer.seal(&key, 80, Position::default());
            black_box(buffer.as_bytes()).len()
        });
}
