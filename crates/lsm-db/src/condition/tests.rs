//! The judgement as a pure function of the group and of what is published.

use std::io;

use super::*;
use crate::Durability;

/// A key with the value that is required or written.
type Pair = (&'static str, Option<&'static str>);

fn member(requires: &[Pair], writes: &[Pair]) -> Request {
    let mut batch = Batch::new();
    for (key, expected) in requires {
        batch.require(key, expected.map(str::as_bytes));
    }
    for (key, value) in writes {
        match value {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        }
    }
    Request::Write(batch, Durability::Sync)
}

/// Published: `a` is 1; `rotten` can't be read.
fn published(key: &[u8], expected: Option<&[u8]>) -> Result<bool> {
    match key {
        b"a" => Ok(expected == Some(b"1")),
        b"rotten" => Err(io::Error::from(io::ErrorKind::InvalidData).into()),
        _ => Ok(expected.is_none()),
    }
}

/// What each member hears: the key of its failed condition, "error", or nothing.
fn verdicts(group: &[Request]) -> Vec<Option<String>> {
    let mut rejections = judge(group, published);
    let verdicts = (0..group.len()).map(|at| {
        rejections.remove(&at).map(|error| match error {
            Error::ConditionFailed { key, .. } => String::from_utf8_lossy(&key).into_owned(),
            _ => "error".to_owned(),
        })
    });
    verdicts.collect()
}

fn check(group: &[Request], expected: &[Option<&str>]) {
    let verdicts = verdicts(group);
    let verdicts: Vec<_> = verdicts.iter().map(Option::as_deref).collect();
    assert_eq!(verdicts, expected);
}

#[test]
fn what_is_published_is_seen() {
    check(
        &[
            member(&[("a", Some("1"))], &[]),
            member(&[("a", Some("2"))], &[]),
            member(&[("a", None)], &[]),
            member(&[("b", None)], &[]),
            member(&[("b", Some(""))], &[]),
        ],
        &[None, Some("a"), Some("a"), None, Some("b")],
    );
}

#[test]
fn accepted_members_before_are_seen_and_their_last_operation_on_a_key_wins() {
    check(
        &[
            member(&[], &[("a", Some("2")), ("b", Some("1")), ("b", None)]),
            member(&[("a", Some("2")), ("b", None)], &[("b", Some(""))]),
            member(&[("a", Some("1"))], &[]),
            member(&[("b", None)], &[]),
            member(&[("b", Some(""))], &[("a", None)]),
            member(&[("a", None)], &[]),
        ],
        &[None, None, Some("a"), Some("b"), None, None],
    );
}

#[test]
fn members_turned_away_members_after_and_own_operations_are_not_seen() {
    check(
        &[
            member(&[("b", Some("1"))], &[("b", Some("1"))]),
            member(&[("b", Some("2"))], &[]),
            member(&[("b", None)], &[("b", Some("2"))]),
            member(&[("b", Some("1"))], &[]),
        ],
        &[Some("b"), Some("b"), None, Some("b")],
    );
}

#[test]
fn the_first_unmet_key_is_named_and_all_must_be_met() {
    check(
        &[
            member(&[("a", Some("1")), ("c", Some("")), ("b", Some(""))], &[]),
            member(&[("a", Some("1")), ("a", None)], &[]),
        ],
        &[Some("c"), Some("a")],
    );
}

#[test]
fn a_key_that_cannot_be_read_fails_only_the_member_that_asked() {
    check(
        &[
            member(&[], &[("c", Some("1"))]),
            member(&[("rotten", None)], &[("c", Some("2"))]),
            member(&[("c", Some("1"))], &[("rotten", Some("new"))]),
            // Known without a read.
            member(&[("rotten", Some("new"))], &[]),
        ],
        &[None, Some("error"), None, None],
    );
}

#[test]
fn syncs_and_seals_in_between_change_nothing_and_a_group_without_requirements_reads_nothing() {
    let group = [
        Request::Sync,
        member(&[], &[("b", Some("1"))]),
        Request::Seal,
        member(&[("b", Some("1"))], &[]),
        Request::Sync,
    ];
    check(&group, &[None; 5]);
    let plain = [member(&[], &[("a", Some("2"))]), Request::Sync];
    let judged = judge(&plain, |_, _| panic!("a plain group was read for"));
    assert!(judged.is_empty());
}
