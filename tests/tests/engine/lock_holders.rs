//! What a store that is locked says of what locks it: nearly always something of the same process.

use std::time::Duration;

use lsm_db::{Error, Holder, Lsm, LsmConfig, Scheduler};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;

/// What a second open is told, and the message.
fn refusal(opened: lsm_db::Result<Lsm>) -> TestResult<(Option<Holder>, String)> {
    match opened {
        Err(error @ Error::Locked { .. }) => {
            let text = error.to_string();
            assert_eq!(text.lines().count(), 1, "{text}");
            match error {
                Error::Locked { holder, .. } => Ok((holder, text)),
                _ => Err("no lock".into()),
            }
        }
        other => Err(format!("not refused: {other:?}").into()),
    }
}

/// `Locked`, and what held the lock was a snapshot of the same process (fault 81).
#[test]
fn a_reader_that_outlived_its_handle_is_named_with_its_number_and_age() -> TestResult {
    let clock = Scheduler::stepped(1);
    let machine = Machine::new(LsmConfig::new(), 1);
    let config = || {
        let config = machine.config().scheduler(clock.clone());
        config.lock_timeout(Duration::ZERO)
    };
    let open = || Lsm::open_with(machine.dir(), config());
    let db = open()?;
    db.put("k", "v")?;
    let (holder, text) = refusal(open())?;
    let holder = holder.ok_or("the handle is not seen")?;
    assert_eq!(
        (holder.is_open, holder.readers, holder.oldest_reader),
        (true, 0, None)
    );
    assert!(
        text.ends_with("by a handle that is open in this process"),
        "{text}"
    );

    let snapshot = db.snapshot();
    clock.sleep(Duration::from_secs(3));
    let iterator = db.iter();
    let cursor = db.cursor();
    let (holder, text) = refusal(open())?;
    assert_eq!(
        holder.map(|holder| (holder.is_open, holder.readers)),
        Some((true, 3))
    );
    assert!(
        text.contains("handle that is open in this process, and by 3 snap"),
        "{text}"
    );

    drop(db);
    drop(cursor);
    let (holder, text) = refusal(open())?;
    let holder = holder.ok_or("the readers are not seen")?;
    assert_eq!((holder.is_open, holder.readers), (false, 2));
    assert_eq!(holder.oldest_reader, Some(Duration::from_secs(3)));
    let told = "by 2 snapshots, iterators or cursors that are alive in this process, the oldest for \
                3.0s, though their handle is closed";
    assert!(text.ends_with(told), "{text}");

    drop(iterator);
    let (_, text) = refusal(open())?;
    assert!(
        text.contains("by a snapshot, iterator or cursor that is alive in"),
        "{text}"
    );
    drop(snapshot);
    clock.run_until_idle(1000);
    open()?;
    Ok(())
}

/// The holder is found by what the directory is: its path may have changed, or be another way to it.
#[cfg(unix)]
#[test]
fn a_holder_is_found_under_any_path_to_its_directory_and_not_in_another_one() -> TestResult {
    let parent = tempfile::tempdir()?;
    let at = |name: &str| parent.path().join(name);
    let now = || LsmConfig::new().lock_timeout(Duration::ZERO);
    let db = Lsm::open_with(at("store"), now())?;
    let _other = Lsm::open_with(at("other"), now())?.snapshot();
    let _reader = db.iter();
    std::fs::rename(at("store"), at("moved"))?;
    std::os::unix::fs::symlink(at("moved"), at("link"))?;
    for path in ["moved", "link", "link/../moved"] {
        let (holder, _) = refusal(Lsm::open_with(at(path), now()))?;
        let holder = holder.map(|holder| (holder.is_open, holder.readers));
        assert_eq!(holder, Some((true, 1)), "{path}");
    }
    Ok(())
}

/// A lock without a handle or reader of this process is another process's.
#[test]
fn a_lock_that_this_process_has_no_store_behind_is_anothers() -> TestResult {
    let machine = Machine::new(LsmConfig::new().lock_timeout(Duration::ZERO), 1);
    machine.open()?.close()?;
    machine.settle();
    let lock = lsm_fs::FileName::constant("LOCK");
    let directory = lsm_fs::FileSystem::open_dir(&machine.disk, machine.dir())?;
    let held = lsm_fs::lock_directory(&*directory, &lock)?;
    let (holder, text) = refusal(machine.open())?;
    assert_eq!(holder, None);
    assert!(text.ends_with("is locked, by another process"), "{text}");
    drop(held);
    machine.open()?;
    Ok(())
}
