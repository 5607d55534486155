use quickcheck::quickcheck;

use super::*;

const LONGEST: Duration = Duration::from_millis(50);

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Writers that each write again as soon as they may, played on a clock that is never late.
struct Writers {
    clock: Duration,
    /// When each may go on.
    free_at: Vec<Duration>,
}

impl Writers {
    fn new(count: usize, start: Duration) -> Self {
        Self {
            clock: Duration::ZERO,
            free_at: vec![start; count],
        }
    }

    /// How many writes begin before `end` if each takes `share`, and the longest wait of one.
    fn run_until(&mut self, end: Duration, share: Duration) -> (u32, Duration) {
        let (mut writes, mut waited) = (0, Duration::ZERO);
        while let Some(free_at) = self.free_at.iter_mut().min().filter(|at| **at < end) {
            let turn = Turn::after(self.clock, *free_at, share, LONGEST);
            self.clock = turn.clock;
            waited = waited.max(turn.wait);
            *free_at += turn.wait;
            writes += u32::from(*free_at < end);
        }
        (writes, waited)
    }
}

#[test]
fn many_writers_are_let_through_at_the_rate_of_one() {
    // A second's worth, and what one may be ahead or behind at either end.
    let (second, start) = (millis(1000), millis(7));
    for share in [micros(30), micros(700), millis(2), millis(6)] {
        let at_rate = second.as_micros() / share.as_micros();
        let ahead = (TURN_SLACK * 2).as_micros() / share.as_micros() + 1;
        for count in [1, 2, 7, 8] {
            let mut writers = Writers::new(count, start);
            let (writes, waited) = writers.run_until(start + second, share);
            let off = u128::from(writes).abs_diff(at_rate);
            assert!(off <= ahead, "{count} × {share:?}: {writes} for {at_rate}");
            assert!(
                waited <= share * 8 + TURN_SLACK,
                "{count} × {share:?}: {waited:?}"
            );
        }
    }
}

/// Sixteen times 6 ms are more than the longest wait: nobody waits for all of it.
#[test]
fn more_writers_than_the_longest_wait_has_room_for_wait_that_long_and_no_longer() {
    let mut writers = Writers::new(16, millis(7));
    let (writes, waited) = writers.run_until(millis(1007), millis(6));
    assert_eq!(waited, LONGEST);
    assert!((16 * 19..=16 * 20).contains(&writes), "{writes}");
}

#[test]
fn a_pause_of_any_length_saves_up_the_slack_and_no_more() {
    let mut writers = Writers::new(1, millis(7));
    let share = micros(100);
    writers.run_until(millis(107), share);
    for pause in [0, 1, 10, 1_000_000] {
        let start = writers.free_at[0].max(writers.clock) + millis(pause);
        writers.free_at[0] = start;
        let (writes, _) = writers.run_until(start + millis(10), share);
        // 100 at the rate, 10 for the slack behind, 10 for the slack ahead.
        assert!((99..=121).contains(&writes), "after {pause} ms: {writes}");
    }
}

#[test]
fn a_turn_is_the_share_after_the_one_before() {
    let turn = |clock, now, share| {
        let turn = Turn::after(millis(clock), millis(now), millis(share), LONGEST);
        (turn.clock.as_millis(), turn.wait.as_millis())
    };
    // Never used, or long not: the slack is left, and all but that is waited for.
    assert_eq!(turn(0, 1000, 5), (1004, 4));
    assert_eq!(turn(900, 1000, 5), (1004, 4));
    assert_eq!(turn(1000, 1000, 5), (1005, 5));
    // Behind another.
    assert_eq!(turn(1020, 1000, 5), (1025, 25));
    // No longer than the longest, and then the clock does not run away.
    assert_eq!(turn(1048, 1000, 5), (1050, 50));
    assert_eq!(turn(1000, 1000, 5000), (1050, 50));
    // A clock that another has set by a later reading of the time is never set back.
    assert_eq!(turn(1052, 1000, 5), (1052, 50));
    // What takes no time waits for those before it, but takes none.
    assert_eq!(turn(1020, 1000, 0), (1020, 20));
}

#[test]
fn less_than_the_slack_is_owed_and_not_slept() {
    let now = millis(1000);
    let mut clock = now;
    let mut waits = Vec::new();
    for _ in 0..10 {
        let turn = Turn::after(clock, now, micros(150), LONGEST);
        clock = turn.clock;
        waits.push(turn.wait.as_micros());
    }
    assert_eq!(waits, [0, 0, 0, 0, 0, 0, 1050, 1200, 1350, 1500]);
}

#[test]
fn the_ends_of_time_are_no_panic() {
    for (clock, now, share, longest) in [
        (Duration::MAX, Duration::MAX, Duration::MAX, Duration::MAX),
        (Duration::ZERO, Duration::ZERO, Duration::MAX, Duration::MAX),
        (Duration::MAX, Duration::ZERO, Duration::ZERO, LONGEST),
        (
            Duration::ZERO,
            Duration::MAX,
            Duration::ZERO,
            Duration::ZERO,
        ),
    ] {
        let turn = Turn::after(clock, now, share, longest);
        assert!(turn.wait <= longest && turn.clock >= clock);
    }
}

quickcheck! {
    fn a_wait_grows_with_the_share_and_with_the_clock_and_is_bounded(
        clock: u16, now: u16, share: u16, more: u16
    ) -> bool {
        let turn = |clock: u32, share: u32| {
            let (clock, share) = (micros(clock.into()), micros(share.into()));
            Turn::after(clock, micros(now.into()), share, millis(20))
        };
        let (clock, share, more) = (u32::from(clock), u32::from(share), u32::from(more));
        let base = turn(clock, share);
        base.wait <= millis(20)
            && (base.wait.is_zero() || base.wait >= TURN_SLACK)
            && base.clock >= micros(clock.into())
            && base.wait <= turn(clock + more, share).wait
            && base.wait <= turn(clock, share + more).wait
            && base.clock <= turn(clock, share + more).clock
    }
}
