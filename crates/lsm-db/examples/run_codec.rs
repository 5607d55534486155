//! The run format by itself: sorted entries to bytes, and back, without a store or a file.
//!
//! `cargo run --example run_codec`

use lsm_db::Error;
use lsm_db::format::{Entry, RunReader, RunWriter};

fn main() -> lsm_db::Result<()> {
    let mut writer = RunWriter::new();
    for number in 0..1000_u32 {
        writer.put(number.to_be_bytes(), format!("value {number}"))?;
    }
    writer.delete(1000_u32.to_be_bytes())?;
    // Keys ascend strictly, or nothing is appended.
    let refused = writer.put(5_u32.to_be_bytes(), "too late");
    assert!(matches!(refused, Err(Error::InvalidInput { .. })));
    let mut bytes = writer.finish();

    let reader = RunReader::new(&bytes)?;
    assert_eq!(reader.entry_count(), 1001);
    let found = reader.get(&7_u32.to_be_bytes())?;
    assert_eq!(found, Some(Entry::Value(b"value 7")));
    let deleted = reader.get(&1000_u32.to_be_bytes())?;
    assert!(deleted.is_some_and(|entry| entry.is_tombstone()));
    let mut values = 0;
    for entry in reader.iter() {
        let (_key, entry) = entry?;
        values += usize::from(entry.value().is_some());
    }
    assert_eq!(values, 1000);

    // A flipped bit is found by the checksum of its block.
    bytes[20] ^= 1;
    let damaged = RunReader::new(&bytes)?;
    let read = damaged.get(&0_u32.to_be_bytes());
    assert!(matches!(read, Err(Error::Corruption { .. })));
    Ok(())
}
