//! Spell checking with a filter instead of the words: some nine bits a word where words are many.
//!
//! ```text
//! cargo run -p lsm-bloom --example word_list -- their thier
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use lsm_bloom::{FilterBuilder, FingerprintBits, KeyHasher};

const WORDS: &str = "a about all and are as at be but by can do for from get go has have he her his \
                     i if in is it its know like make me my no not of on one or our out people say \
                     see she so some take than that the their them then there they think this time \
                     to up use want was way we well what when which who will with work would you your";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hasher = KeyHasher::new(2026);
    let mut builder = FilterBuilder::new(1 << 20);
    for word in WORDS.split_whitespace() {
        builder.push(hasher.hash(word.as_bytes()));
    }
    let filter = builder.finish(FingerprintBits::Eight)?;
    println!("{} words in {} bytes", filter.len(), filter.memory_bytes());

    let mut asked: Vec<String> = std::env::args().skip(1).collect();
    if asked.is_empty() {
        asked = ["their", "thier", "people", "poeple"]
            .map(str::to_owned)
            .to_vec();
    }
    for word in asked {
        let verdict = if filter.may_contain(hasher.hash(word.as_bytes())) {
            "known, or one unknown word in 256"
        } else {
            "unknown"
        };
        println!("{word}: {verdict}");
    }
    Ok(())
}
