//! A program without `std` that writes a run and reads it back: proof that `lsm-format` links.
//!
//! It defines the panic handler and the allocator that `std` would define, so it links only if
//! nothing in the dependency tree brings `std` in. Its exit status is 0 if the run reads as it
//! was written.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use core::panic::PanicInfo;
use lsm_format::{BlockSource, Entry, Result, RunBytes, RunCursor, RunReader, RunWriter};

#[global_allocator]
static ALLOCATOR: emballoc::Allocator<65_536> = emballoc::Allocator::new();

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// What the start-up code of the C library calls.
// The linker looks for this very name, and giving a function one counts as unsafe.
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    match round_trip() {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(_) => 2,
    }
}

fn round_trip() -> Result<bool> {
    let mut writer = RunWriter::new();
    writer.put("apple", "red")?;
    writer.delete("banana")?;
    writer.put("cherry", vec![7; 5_000])?;
    writer.put("date", "brown")?;
    let bytes = writer.finish();

    let reader = RunReader::new(&bytes)?;
    let mut sound = reader.get(b"banana")? == Some(Entry::Tombstone) && reader.iter().count() == 4;

    let run = RunBytes::new(bytes)?;
    sound &= run.index()?.block_count() == 2;
    let mut cursor = RunCursor::new(run);
    cursor.seek_for_prev(b"zebra")?;
    sound &= cursor.entry() == Some(Entry::Value(b"brown"));
    cursor.prev()?;
    sound &= cursor.key() == Some(b"cherry");
    Ok(sound)
}
