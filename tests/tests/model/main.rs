//! The store against a sorted map: random lives, every answer exact.
//!
//! A failing life is shrunk and printed. On the simulated machine it is all there is to know: put
//! it into a test of its own, and it fails again.

use lsm_tests::differential;
use lsm_tests::life::{Life, RealDirectory, Setup, run};
use lsm_tests::machine::Machine;
use quickcheck::{Gen, QuickCheck};

/// Runs so many lives of up to `deeds_max` deeds, drawn from the seed.
fn lives(count: u64, deeds_max: usize, seed: u64, property: fn(Life) -> Result<(), String>) {
    QuickCheck::new()
        .tests(count)
        .min_tests_passed(count)
        .rng(Gen::from_size_and_seed(deeds_max, seed))
        .quickcheck(property);
}

fn machine(setup: &Setup) -> Machine {
    Machine::new(setup.config(), setup.seed)
}

#[test]
fn short_lives_on_a_simulated_machine_match_the_model() {
    lives(600, 30, 1, |life| run(machine(&life.setup), &life));
}

#[test]
fn long_lives_on_a_simulated_machine_match_the_model() {
    lives(120, 600, 2, |life| run(machine(&life.setup), &life));
}

#[test]
fn lives_with_background_threads_match_the_model() {
    lives(60, 300, 3, |life| {
        run(Machine::on_threads(life.setup.config()), &life)
    });
}

#[test]
fn lives_in_a_real_directory_match_the_model() {
    lives(12, 150, 4, |life| {
        let world = RealDirectory::new(life.setup.config()).map_err(|error| error.to_string())?;
        run(world, &life)
    });
}

/// The first seeds of `cargo xtask differential`, each stepped and on threads.
#[test]
fn lives_of_any_configuration_match_the_model() -> lsm_tests::TestResult {
    let mut tally = differential::Tally::default();
    differential::run(1, 24, None, &mut tally)?;
    assert_eq!(tally.seeds, 24);
    assert!(tally.deeds > 24 * 20, "{tally:?}");
    Ok(())
}

/// The seed is all there is: the same life twice makes the same operations and leaves the same
/// files. (Their bytes differ: each database has an id of its own.)
#[test]
fn the_same_life_leaves_the_same_disk_twice() -> lsm_tests::TestResult {
    use lsm_db::Batch;
    use lsm_tests::model::{key, value};

    let live = || -> Result<_, Box<dyn std::error::Error>> {
        let config = lsm_db::LsmConfig::new()
            .memtable_capacity(700)
            .compaction_trigger(2);
        let machine = Machine::new(config, 42);
        let db = machine.open()?;
        for age in 0..200 {
            let mut batch = Batch::new();
            batch.put(key(age % 17), value(age, age));
            batch.delete(key(age % 13));
            db.write(batch)?;
            machine.scheduler.step();
        }
        machine.settle();
        let names = lsm_tests::directory::read(&machine.disk, machine.dir())?;
        let sizes: Vec<_> = names
            .into_iter()
            .map(|(name, bytes)| (name, bytes.len()))
            .collect();
        Ok((sizes, machine.faults.operation_count()))
    };
    assert_eq!(live()?, live()?);
    Ok(())
}
