//! The marks of a clean close, on stores whose flushes are not waited for.

use std::path::Path;

use lsm_fs::SimFs;

use super::*;
use crate::commit::Request;
use crate::{Batch, Durability, LsmConfig, Scheduler, recovery};

fn open(with_log: bool) -> Arc<Engine> {
    let config = LsmConfig::new()
        .wal(with_log)
        .file_system(Arc::new(SimFs::new()))
        .scheduler(Scheduler::stepped(1));
    recovery::open(Path::new("/store"), config).unwrap()
}

fn put(engine: &Arc<Engine>) {
    let mut batch = Batch::new();
    batch.put("k", "v");
    let request = Request::Write(batch, Durability::Buffered);
    engine.commit(request).unwrap();
}

fn is_clean(engine: &Engine) -> bool {
    locked(&engine.manifest).state().is_clean()
}

#[test]
fn no_clean_mark_is_written_without_a_log_while_a_memtable_holds_writes() {
    for is_sealed in [false, true] {
        let engine = open(false);
        put(&engine);
        engine.flush().unwrap();
        put(&engine);
        if is_sealed {
            engine.commit(Request::Seal).unwrap();
        }
        let refused = engine.mark_clean();
        assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
        assert!(!is_clean(&engine), "sealed: {is_sealed}");
        engine.flush().unwrap();
        engine.mark_clean().unwrap();
        assert!(is_clean(&engine), "sealed: {is_sealed}");
    }
}

#[test]
fn with_a_log_the_mark_covers_what_is_in_memory() {
    let engine = open(true);
    put(&engine);
    engine.flush().unwrap();
    put(&engine);
    engine.mark_clean().unwrap();
    assert!(is_clean(&engine));
}
