//! Merges sorted logs of several machines, and a list of corrections, into files of limited size.
//!
//! Nothing here is a database: the logs are lines of `timestamp machine message`, the newest source
//! is a list of retractions, and the "runs" written are printed. Run it with
//! `cargo run -p lsm-compact --example merge_logs`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::convert::Infallible;

use lsm_compact::{Elision, PickerOptions, Sink, SliceCursor, Splitter, run};

/// A line's key is its timestamp and machine; a line without a message retracts that key.
fn parse(log: &str) -> Vec<(&str, Option<&str>)> {
    let lines = log.lines().map(str::trim);
    lines
        .map(|line| line.split_at_checked(13).unwrap_or((line, "")))
        .map(|(key, message)| {
            let message = message.trim();
            (key, Some(message).filter(|message| !message.is_empty()))
        })
        .collect()
}

/// Prints entries; each output is a page.
#[derive(Default)]
struct Pages {
    bytes: u64,
    number: u32,
}

impl Sink for Pages {
    type Output = u32;
    type Error = Infallible;

    fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Infallible> {
        let message = value.map_or_else(|| "(retracted)".into(), String::from_utf8_lossy);
        println!("  {} {message}", String::from_utf8_lossy(key));
        self.bytes += (key.len() + message.len()) as u64;
        Ok(())
    }

    fn output_bytes(&self) -> u64 {
        self.bytes
    }

    fn finish_output(&mut self) -> Result<Option<u32>, Infallible> {
        if self.bytes == 0 {
            return Ok(None);
        }
        self.bytes = 0;
        self.number += 1;
        println!("  -- end of page {}", self.number);
        Ok(Some(self.number))
    }
}

fn main() {
    let retractions = parse("10:00:02 alfa\n10:00:07 brav");
    let alfa =
        parse("10:00:01 alfa started\n10:00:02 alfa oops, ignore this\n10:00:09 alfa 3 requests");
    let bravo = parse("10:00:03 brav started\n10:00:07 brav test message\n10:00:08 brav 1 request");

    // Newest first: what comes earlier in this list wins where keys are equal.
    let logs = [&retractions, &alfa, &bravo];
    let sources = logs.map(|log| SliceCursor::new(log)).into();
    let options = PickerOptions {
        run_bytes_target: 40,
        ..PickerOptions::default()
    };
    let splitter = Splitter::new(&options, &[]);
    let mut pages = Pages::default();
    match run(
        sources,
        Elision::over_nothing(),
        splitter,
        &mut pages,
        &|| false,
    ) {
        Ok(done) => println!(
            "{} lines in, {} out, {} retractions carried out, pages {:?}",
            done.entries_in, done.entries_out, done.tombstones_dropped, done.outputs
        ),
        Err(error) => println!("failed: {error}"),
    }
}
