//! A failed sync of a directory: final for the handle, in every thread.

use super::*;
use crate::FileName;

/// The kernel reports a failed sync once for each open file, so of two threads one was told Ok for
/// names that the other one's failure had taken.
#[test]
fn a_failed_sync_of_a_directory_is_final_for_the_handle() {
    let any_wrap: [fn(SimFs) -> FaultFs; 2] =
        [FaultFs::over_sim, |sim| FaultFs::new(Arc::new(sim))];
    for wrap in any_wrap {
        let fs = wrap(SimFs::new());
        let dir = fs.open_dir(path("/")).unwrap();
        dir.sync().unwrap();
        fs.fail_nth(0, no_room());
        assert_eq!(dir.sync().unwrap_err().kind(), io::ErrorKind::StorageFull);
        fs.clear_faults();
        for _ in 0..2 {
            assert_eq!(dir.sync().unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
        fs.open_dir(path("/")).unwrap().sync().unwrap();
    }
}

/// A thread that comes while another one's sync hangs waits for it, and fails with it.
#[test]
fn a_sync_that_waited_for_a_failed_one_fails_too() {
    let (sim, fs) = over_sim();
    let dir = fs.open_dir(path("/")).unwrap();
    dir.create_new(&FileName::constant("a")).unwrap();
    let parked = fs.park(Operation::SyncDir, any);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| dir.sync());
        parked.wait_for_arrival();
        let second = scope.spawn(|| dir.sync());
        fs.fail_when(Operation::SyncDir, any, no_room());
        parked.release();
        assert!(first.join().unwrap().is_err());
        assert!(second.join().unwrap().is_err());
    });
    let after = sim.crash(&CrashImage::NothingUnsynced);
    assert_eq!(after.kind(path("/a")).unwrap(), None);
}
