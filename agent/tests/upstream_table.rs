//! Checks `UPSTREAM_TESTS.md`: no case of upstream's has got lost, and every test that it names exists. How,
//! `harness::upstream` says.

use harness::upstream::Table;

/// How many rows each of upstream's files has. Of all but `slave_tests.cpp` every case has one: the lines that begin with
/// `TEST`, `TEST_F` or `TEST_P` (`TEST_F_TEMP_DISABLED_ON_WINDOWS` among them) in `apache/mesos/src/tests` at upstream's last
/// commit. A disabled one counts. Of that file's 106, the other 18 are in the master's table.
const CASES: &[(&str, usize)] = &[
    ("slave_tests.cpp", 88),
    ("executor_http_api_tests.cpp", 15),
    ("gc_tests.cpp", 12),
    ("metrics_tests.cpp", 4),
    ("operation_status_update_manager_tests.cpp", 16),
    ("task_status_update_manager_tests.cpp", 8),
    ("slave_compatibility_tests.cpp", 4),
    ("fetcher_tests.cpp", 27),
    ("command_executor_tests.cpp", 8),
    ("slave_validation_tests.cpp", 12),
];

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
