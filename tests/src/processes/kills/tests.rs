use super::*;
use crate::processes::child;

/// Not a test of its own, but what the tests below start this very program again for.
#[test]
fn the_child() {
    if child::is_asked() {
        child::run().unwrap();
    }
}

fn options(dir: &tempfile::TempDir, kills: u64) -> Options {
    let arguments = ["processes::kills::tests::the_child", "--exact"];
    Options {
        program: Program::this(&arguments).unwrap(),
        dir: dir.path().to_owned(),
        kills,
        seed: 1,
        steps: 60,
    }
}

#[test]
fn a_handful_of_kills_at_random_moments_lose_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let tally = run(None, &options(&dir, 4), &|_| {}).unwrap();
    assert_eq!(tally.kills, 4);
    assert!(tally.answers > 0);
}

#[test]
fn a_kill_in_each_phase_loses_nothing_acknowledged() {
    for phase in Phase::ALL {
        let dir = tempfile::tempdir().unwrap();
        let tally = run(Some(phase), &options(&dir, 1), &|_| {}).unwrap();
        assert_eq!(tally.points.len(), 1, "{phase:?}");
    }
}
