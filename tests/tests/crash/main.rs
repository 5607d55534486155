//! A fast cut of what `cargo xtask crash` does for minutes: crashes and faults at operations of
//! every scenario, and random scripts of both. A violation names its scenario, operation, image and
//! seed, and the command that shows it again.

#[cfg(test)]
mod groups;
#[cfg(test)]
mod threads;

#[cfg(test)]
mod tests {
    use lsm_tests::TestResult;
    use lsm_tests::crash::cuts::{self, Tally};
    use lsm_tests::crash::{faults, ordeals, scenarios};

    const SEED: u64 = 1;

    /// Three images at every operation, so that each image meets operations of every scenario.
    #[test]
    fn a_crash_at_every_operation_of_every_scenario_breaks_no_promise() -> TestResult {
        let mut tally = Tally::default();
        for scenario in scenarios::all() {
            let extent = cuts::Extent {
                images: 3,
                recovery_stride: 97,
                ..cuts::Extent::FULL
            };
            let reached = cuts::sweep(&scenario, SEED, extent, &mut tally)?;
            let reached = reached.ok_or("the time is never up")?;
            let name = scenario.name;
            assert!((scenario.reaches)(&reached), "{name} got to {reached:?}");
            let checked = tally.by_scenario.get(name).copied().unwrap_or(0);
            assert!(checked >= 10, "{name}: {checked} crashes");
        }
        assert!(tally.triples() > 2000, "{} crashes", tally.triples());
        assert!(tally.recovery_crashes > 100, "{}", tally.recovery_crashes);
        Ok(())
    }

    #[test]
    fn a_fault_at_operations_of_every_scenario_breaks_no_promise() -> TestResult {
        let mut tally = Tally::default();
        for scenario in scenarios::all() {
            let extent = faults::Extent {
                stride: 31,
                ..faults::Extent::FULL
            };
            faults::sweep(&scenario, SEED, extent, &mut tally)?;
        }
        assert!(tally.faults > 300, "{} faults", tally.faults);
        Ok(())
    }

    #[test]
    fn random_scripts_with_crashes_and_faults_break_no_promise() -> TestResult {
        ordeals::run(60, 50, SEED)?;
        Ok(())
    }
}
