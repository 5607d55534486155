//! A store of settings that remembers every revision.
//!
//! Several settings can change in one revision; readers look at the settings as of any revision,
//! ask what a setting was, list a section backward and forward, and never wait for the writer.
//!
//! Run it with `cargo run -p lsm-memtable --example settings_history`.

#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use lsm_memtable::Memtable;

/// Settings by name, with all their past.
struct Settings {
    history: Arc<Memtable>,
    /// The newest revision that is complete.
    revision: AtomicU64,
}

impl Settings {
    fn new() -> Self {
        Self {
            history: Arc::new(Memtable::new()),
            revision: AtomicU64::new(0),
        }
    }

    /// Changes settings together; `None` unsets one. Returns the new revision.
    ///
    /// `&mut self`, because a memtable has one writer at a time.
    fn change(&mut self, changes: &[(&'static str, Option<&'static str>)]) -> u64 {
        let revision = self.revision.load(Ordering::Relaxed) + 1;
        let entries = changes
            .iter()
            .map(|(name, value)| (Bytes::from(*name), value.map(Bytes::from)));
        self.history.insert_batch(revision, entries);
        // Only now can a reader name this revision, so it sees all of it or nothing.
        self.revision.store(revision, Ordering::Release);
        revision
    }

    /// What `name` was set to as of `revision`, and since which revision.
    fn get(&self, name: &str, revision: u64) -> Option<(String, u64)> {
        let found = self.history.get(name.as_bytes(), revision)?;
        let value = found.value?;
        Some((String::from_utf8_lossy(&value).into_owned(), found.seqno))
    }

    /// All that was set under `section` as of `revision`, by name.
    fn section(&self, section: &str, revision: u64) -> Vec<String> {
        let mut cursor = self.history.cursor(revision);
        let mut lines = Vec::new();
        cursor.seek(section.as_bytes());
        while let Some(name) = cursor
            .key()
            .filter(|name| name.starts_with(section.as_bytes()))
        {
            // A cursor shows tombstones too: here they are settings that were unset.
            if let Some(value) = cursor.value() {
                lines.push(format!(
                    "{} = {}",
                    String::from_utf8_lossy(name),
                    String::from_utf8_lossy(value)
                ));
            }
            cursor.next();
        }
        lines
    }
}

fn main() {
    let mut settings = Settings::new();
    let first = settings.change(&[
        ("net.host", Some("localhost")),
        ("net.port", Some("8080")),
        ("ui.theme", Some("light")),
    ]);
    let second = settings.change(&[("net.port", Some("443")), ("net.tls", Some("on"))]);
    let third = settings.change(&[("net.tls", None), ("ui.theme", Some("dark"))]);

    for revision in [first, second, third] {
        println!("revision {revision}");
        for line in settings.section("net.", revision) {
            println!("  {line}");
        }
        match settings.get("ui.theme", revision) {
            Some((theme, since)) => println!("  the theme is {theme}, since revision {since}"),
            None => println!("  no theme"),
        }
    }
    println!(
        "{} versions in {} bytes",
        settings.history.entry_count(),
        settings.history.bytes()
    );
}
