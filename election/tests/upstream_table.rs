//! Checks `UPSTREAM_TESTS.md`: no case of upstream's has got lost, and every test that it names exists. How,
//! `harness::upstream` says.

use harness::upstream::Table;

/// How many cases there are in each of upstream's files: lines that begin with `TEST` or `TEST_F` in
/// `apache/mesos/src/tests` at upstream's last commit.
const CASES: &[(&str, usize)] =
    &[("group_tests.cpp", 12), ("zookeeper_url_tests.cpp", 1), ("master_contender_detector_tests.cpp", 14)];

fn table() -> Table {
    Table { directory: env!("CARGO_MANIFEST_DIR").into(), cases: CASES, whole_files: false }
}

#[test]
fn no_case_of_upstreams_is_lost_or_there_twice() {
    table().check_cases();
}

#[test]
fn every_row_names_tests_that_exist_or_gives_a_reason() {
    table().check_tests();
}

/// From upstream's name to ours there is the table; from ours to upstream's a comment at the test.
#[test]
fn every_test_of_the_table_says_which_of_upstreams_it_is() {
    table().check_comments();
}
