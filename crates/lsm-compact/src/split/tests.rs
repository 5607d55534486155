use super::*;
use crate::testing::run_meta;

/// Writes one entry of `entry_bytes` per letter; a bar stands before each split.
fn split(letters: &str, entry_bytes: u64, target: u64, below: &[Arc<RunMeta>]) -> String {
    let options = PickerOptions {
        run_bytes_target: target,
        ..PickerOptions::default()
    };
    let mut splitter = Splitter::new(&options, below);
    let mut text = String::new();
    let mut output_bytes = 0;
    for letter in letters.chars() {
        if splitter.should_split_before(letter.to_string().as_bytes(), output_bytes) {
            text.push('|');
            output_bytes = 0;
        }
        text.push(letter);
        output_bytes += entry_bytes;
    }
    text
}

#[test]
fn runs_end_at_the_target_size() {
    assert_eq!(split("abcdefgh", 10, 30, &[]), "abc|def|gh");
    assert_eq!(split("abcdefgh", 10, 31, &[]), "abcd|efgh");
    assert_eq!(split("abc", 10, 1, &[]), "a|b|c");
    assert_eq!(split("abc", 10, 0, &[]), "a|b|c");
    assert_eq!(split("", 10, 1, &[]), "");
}

#[test]
fn from_three_quarters_of_the_target_on_a_run_ends_where_one_below_does() {
    let below = [
        run_meta(1, "a", "b", 1),
        run_meta(2, "c", "d", 1),
        run_meta(3, "f", "g", 1),
    ];
    assert_eq!(split("abcdefgh", 10, 40, &below), "abcd|efg|h");
    assert_eq!(split("abcdefgh", 10, 50, &below), "abcd|efgh");
    assert_eq!(split("abcdefgh", 10, 1000, &below), "abcdefgh");
}

#[test]
fn a_run_never_spans_much_more_than_ten_targets_of_the_level_below() {
    let below: Vec<_> = ["a", "b", "c", "d", "e", "f"]
        .map(|key| run_meta(u64::from(key.as_bytes()[0]), key, key, 500))
        .into();
    // 2 × 500 is the limit of 10 × 100, 3 × 500 is over it.
    assert_eq!(split("abcdefg", 1, 100, &below), "abc|def|g");
}

#[test]
fn what_lies_before_the_first_key_is_not_spanned() {
    let below = [run_meta(1, "a", "b", 5000), run_meta(2, "c", "d", 5000)];
    assert_eq!(split("efgh", 1, 100, &below), "efgh");
}

#[test]
fn an_entry_that_fills_a_run_gets_one_to_itself() {
    let options = PickerOptions {
        run_bytes_target: 100,
        ..PickerOptions::default()
    };
    let mut splitter = Splitter::new(&options, &[]);
    assert!(
        !splitter.should_split_before_entry(b"a", 100, 0),
        "nothing is open yet"
    );
    assert!(splitter.should_split_before_entry(b"b", 1, 100));
    assert!(!splitter.should_split_before_entry(b"c", 99, 1));
    assert!(splitter.should_split_before_entry(b"d", 100, 99));
}

/// Cut where the runs below end, a join would come out as the neighbours that went in.
#[test]
fn a_join_is_not_ended_where_a_run_below_ends() {
    use crate::job::{Job, JobKind};
    use crate::testing::version;

    let options = PickerOptions {
        run_bytes_target: 100,
        ..PickerOptions::default()
    };
    let (left, right) = (run_meta(1, "a", "m", 75), run_meta(2, "n", "z", 20));
    let below = run_meta(3, "a", "m", 10);
    let version = version(&[(1, &left), (1, &right), (2, &below)]);
    let ends = |inputs: Vec<_>, output_level| {
        let job = Job::new(JobKind::Merge, inputs, output_level).unwrap();
        let mut splitter = Splitter::for_job(&version, &job, &options);
        assert!(!splitter.should_split_before(b"a", 0));
        splitter.should_split_before(b"n", 75)
    };
    assert!(!ends(vec![(1, left.clone()), (1, right.clone())], 1));
    assert!(
        ends(vec![(0, run_meta(4, "a", "z", 95))], 1),
        "as another job is"
    );
}
