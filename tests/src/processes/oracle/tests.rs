use super::*;
use crate::model::apply;
use crate::processes::job::{Ending, Shape};
use crate::processes::workload::Taste;

fn job(logged: bool) -> Job {
    Job {
        dir: "/db".into(),
        taste: Taste {
            seed: 3,
            long_keys: false,
            large_values: false,
            by_hand: false,
        },
        shape: Shape {
            logged,
            memtable_bytes: 4096,
            trigger: 2,
            run_bytes: 4096,
        },
        lanes: 1,
        steps: 50,
        sessions: 1,
        ending: Ending::Close,
        tolerant: false,
        deadly: None,
    }
}

/// Plays the life of one lane up to action `last`, which is still under way. Returns the state
/// after each action that was acknowledged, the empty one first.
fn live(oracle: &mut Oracle, job: &Job, last: u32) -> Result<Vec<Model>, String> {
    oracle.begin_life(job);
    let mut states = vec![Model::new()];
    for number in 0..=last {
        oracle.take(&Record::Begin { lane: 0, number })?;
        if number == last {
            break;
        }
        let mut state = states.last().cloned().unwrap_or_default();
        let deed = draw(job.taste, 0, number);
        let outcome = match deed.is_met(&state) {
            true => Outcome::Done,
            false => Outcome::Unmet,
        };
        if outcome == Outcome::Done {
            apply(&mut state, deed.writes());
        }
        oracle.take(&Record::End {
            lane: 0,
            number,
            outcome,
        })?;
        states.push(state);
    }
    Ok(states)
}

#[test]
fn with_a_log_only_the_last_acknowledged_state_and_the_one_in_flight_are_explained()
-> Result<(), String> {
    let job = job(true);
    for last in 1..50 {
        let mut oracle = Oracle::new();
        let states = live(&mut oracle, &job, last)?;
        let acknowledged = states.last().ok_or("no state")?;
        oracle.explain(acknowledged)?;
        let deed = draw(job.taste, 0, last);
        if deed.is_met(acknowledged) {
            let mut in_flight = acknowledged.clone();
            apply(&mut in_flight, deed.writes());
            oracle.explain(&in_flight)?;
            if deed.writes().len() > 1 {
                let mut half = acknowledged.clone();
                apply(&mut half, &deed.writes()[..1]);
                let is_whole = half == in_flight || half == *acknowledged;
                assert_eq!(oracle.explain(&half).is_ok(), is_whole, "{last}");
            }
        }
        let lost = &states[states.len() - 2];
        assert_eq!(oracle.explain(lost).is_ok(), lost == acknowledged, "{last}");
    }
    Ok(())
}

#[test]
fn without_a_log_every_state_since_the_last_sync_is_explained_and_none_before() -> Result<(), String>
{
    let job = job(false);
    let mut oracle = Oracle::new();
    let states = live(&mut oracle, &job, 49)?;
    let synced = (0..49)
        .rev()
        .find(|number| draw(job.taste, 0, *number) == Deed::Sync);
    let synced = synced.ok_or("no sync is drawn")? as usize;
    for state in &states[synced + 1..] {
        oracle.explain(state)?;
    }
    let newer = &states[synced + 1..];
    for state in states[..synced]
        .iter()
        .filter(|state| !newer.contains(state))
    {
        assert!(oracle.explain(state).is_err());
    }
    Ok(())
}

#[test]
fn a_key_of_nobody_and_an_answer_that_cannot_be_are_refused() -> Result<(), String> {
    let job = job(true);
    let mut oracle = Oracle::new();
    let states = live(&mut oracle, &job, 5)?;
    let mut found = states.last().cloned().ok_or("no state")?;
    found.insert(b"001/007".to_vec(), b"v".to_vec());
    assert!(oracle.explain(&found).is_err());
    let visible = oracle.visible();
    let wrong = draw(job.taste, 0, 5).is_met(&visible);
    let outcome = match wrong {
        true => Outcome::Unmet,
        false => Outcome::Done,
    };
    let end = Record::End {
        lane: 0,
        number: 5,
        outcome,
    };
    assert!(oracle.take(&end).is_err());
    let held = Record::Holds {
        entries: u32::try_from(visible.len()).unwrap_or(0),
        digest: digest(&visible) ^ 1,
    };
    assert!(oracle.take(&held).is_err());
    Ok(())
}
