//! Runs one hot operation many times, for callgrind to count its instructions.
//!
//! `cargo xtask bench --check` calls it: without an argument it names the operations, one a line,
//! each with what it is after a tab; with a name it runs that operation and prints how often, and on
//! a second line the extensions of the processor that it finds. It reads no clock and no environment,
//! and counts nothing itself.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    reason = "a command-line program: printing is its output"
)]

use lsm_benches::{BenchResult, operations};

fn main() -> BenchResult {
    let Some(wanted) = std::env::args().nth(1) else {
        for operation in operations::all() {
            println!("{}\t{}", operation.name, operation.what);
        }
        return Ok(());
    };
    let operation = operations::all()
        .find(|operation| operation.name == wanted)
        .ok_or_else(|| format!("no operation `{wanted}`"))?;
    println!("{}\n{}", operation.run()?, extensions());
    Ok(())
}

/// Those that checksums, copies and hashes choose their code by.
#[cfg(target_arch = "x86_64")]
fn extensions() -> String {
    let found = [
        (std::is_x86_feature_detected!("sse4.2"), "sse4.2"),
        (std::is_x86_feature_detected!("pclmulqdq"), "pclmulqdq"),
        (std::is_x86_feature_detected!("avx2"), "avx2"),
        (std::is_x86_feature_detected!("avx512f"), "avx512f"),
    ];
    let names: Vec<&str> = found
        .into_iter()
        .filter_map(|(is_there, name)| is_there.then_some(name))
        .collect();
    names.join(" ")
}

#[cfg(not(target_arch = "x86_64"))]
fn extensions() -> String {
    String::new()
}
