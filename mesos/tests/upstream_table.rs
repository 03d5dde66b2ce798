//! Checks `UPSTREAM_TESTS.md`: every case of upstream's is there, and every test it names exists. How,
//! `harness::upstream` says.

use harness::upstream::Table;

/// How many cases there are in each of upstream's files: lines that begin with `TEST`, `TEST_F` or `TEST_P` in
/// `apache/mesos/src/tests` at upstream's last commit. A parameterised case counts once, a disabled one counts.
const CASES: &[(&str, usize)] = &[
    ("resources_tests.cpp", 123),
    ("values_tests.cpp", 11),
    ("attributes_tests.cpp", 2),
    ("protobuf_utils_tests.cpp", 7),
    ("common_validation_tests.cpp", 2),
    ("common/http_tests.cpp", 5),
    ("common/recordio_tests.cpp", 6),
];

fn table() -> Table {
    Table { directory: env!("CARGO_MANIFEST_DIR").into(), cases: CASES, whole_files: false }
}

#[test]
fn every_case_of_upstreams_has_one_row() {
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
