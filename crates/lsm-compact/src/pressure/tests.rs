use quickcheck::quickcheck;

use super::*;

/// What a write waits that comes alone.
fn delay(
    debt_bytes: u64,
    l0_runs: Option<usize>,
    unflushed_bytes: u64,
    write_bytes: u64,
    options: &PressureOptions,
) -> Duration {
    let pressure = pressure(debt_bytes, l0_runs, unflushed_bytes, options);
    assert!((0.0..=1.0).contains(&pressure));
    share(
        write_bytes,
        pressure,
        options.assumed_bytes_per_second as f64,
        options,
    )
}

fn options() -> PressureOptions {
    PressureOptions {
        debt_bytes_soft: 1000,
        debt_bytes_hard: 2000,
        l0_runs_soft: 10,
        l0_runs_hard: 30,
        unflushed_bytes_soft: 100,
        unflushed_bytes_hard: 200,
        assumed_bytes_per_second: 1_000_000,
        delay_max: Duration::from_millis(50),
    }
}

#[test]
fn delays_follow_the_curve() {
    // 1,000 bytes take 1 ms at the sustained rate.
    for (debt, l0, unflushed, micros) in [
        (0, Some(0), 0, 0),
        (1000, Some(10), 100, 0),
        (1100, Some(0), 0, 111),
        (1500, Some(0), 0, 1000),
        (1900, Some(0), 0, 9000),
        (2000, Some(0), 0, 50_000),
        (u64::MAX, Some(0), 0, 50_000),
        (0, Some(20), 0, 1000),
        (0, Some(30), 0, 50_000),
        (0, None, 0, 0),
        (0, Some(0), 150, 1000),
        (0, None, 150, 1000),
        // The worst measure counts, not their sum.
        (1500, Some(20), 150, 1000),
        (1500, Some(0), 190, 9000),
    ] {
        let found = delay(debt, l0, unflushed, 1000, &options());
        assert_eq!(found.as_micros(), micros, "{debt} {l0:?} {unflushed}");
    }
}

#[test]
fn delays_are_proportional_to_the_bytes_until_the_longest() {
    let millis = |bytes| delay(1500, None, 0, bytes, &options()).as_micros();
    assert_eq!(
        (millis(0), millis(10), millis(1000), millis(2000)),
        (0, 10, 1000, 2000)
    );
    assert_eq!((millis(60_000), millis(u64::MAX)), (50_000, 50_000));
}

#[test]
fn an_l0_that_nothing_shrinks_slows_nobody() {
    assert_eq!(delay(0, None, 0, u64::MAX, &options()), Duration::ZERO);
    assert!(delay(0, Some(usize::MAX), 0, 1, &options()) > Duration::ZERO);
}

#[test]
fn options_that_make_no_sense_turn_a_measure_off_and_never_panic() {
    let none = PressureOptions {
        debt_bytes_hard: 0,
        l0_runs_hard: 10,
        unflushed_bytes_hard: 1,
        assumed_bytes_per_second: 0,
        ..options()
    };
    assert_eq!(
        delay(u64::MAX, Some(usize::MAX), u64::MAX, u64::MAX, &none),
        Duration::ZERO
    );
    let slow = PressureOptions {
        assumed_bytes_per_second: 0,
        delay_max: Duration::MAX,
        ..options()
    };
    assert!(delay(1999, None, 0, u64::MAX, &slow) > Duration::from_secs(1_000_000));
}

#[test]
fn the_curve_has_no_steps() {
    // From one byte of debt to the next, the delay of a small write moves by a sliver of the
    // longest one.
    let options = PressureOptions {
        debt_bytes_soft: 0,
        debt_bytes_hard: 1 << 30,
        ..options()
    };
    let mut last = Duration::ZERO;
    for step in 0..=1 << 16 {
        let now = delay(step << 14, None, 0, 16, &options);
        assert!(now >= last);
        // Close to the hard value the curve is steep: 16 KiB of 1 GiB are one 65,536th of it.
        if step < (1 << 16) - 64 {
            assert!(
                now - last < options.delay_max / 100,
                "a step of {:?}",
                now - last
            );
        }
        last = now;
    }
    assert_eq!(last, options.delay_max);
}

quickcheck! {
    fn the_curve_is_monotone_in_each_argument_and_capped(at: (u16, u8, u8, u16), more: (u16, u8, u8, u16)) -> bool {
        let options = options();
        let of = |debt: u64, l0: usize, unflushed: u64, bytes: u64| {
            delay(debt, Some(l0), unflushed, bytes, &options)
        };
        let (debt, l0, unflushed, bytes) =
            (u64::from(at.0) % 3000, usize::from(at.1), u64::from(at.2), u64::from(at.3));
        let base = of(debt, l0, unflushed, bytes);
        base <= options.delay_max
            && base <= of(debt + u64::from(more.0), l0, unflushed, bytes)
            && base <= of(debt, l0 + usize::from(more.1), unflushed, bytes)
            && base <= of(debt, l0, unflushed + u64::from(more.2), bytes)
            && base <= of(debt, l0, unflushed, bytes + u64::from(more.3))
            && delay(debt, None, unflushed, bytes, &options) <= base
    }
}
