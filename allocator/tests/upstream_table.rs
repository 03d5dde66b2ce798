//! Checks `UPSTREAM_TESTS.md`: every case of upstream's is there, and every test it names exists. How,
//! `harness::upstream` says.

use harness::upstream::Table;

/// How many cases there are in each of upstream's files: lines that begin with `TEST`, `TEST_F`, `TEST_P`
/// or `TYPED_TEST` (not `TYPED_TEST_CASE`) in `apache/mesos/src/tests` at upstream's last commit. A
/// parameterised case counts once, a disabled one counts.
const CASES: &[(&str, usize)] = &[
    ("hierarchical_allocator_tests.cpp", 90),
    ("master_quota_tests.cpp", 31),
    ("sorter_tests.cpp", 34),
    ("offer_constraints_filter_tests.cpp", 14),
    ("resource_quantities_tests.cpp", 14),
];

fn table() -> Table {
    Table { directory: env!("CARGO_MANIFEST_DIR").into(), cases: CASES, whole_files: true }
}

#[test]
fn every_case_of_upstreams_has_one_row() {
    table().check_cases();
}

#[test]
fn every_row_names_tests_that_exist_or_gives_a_reason() {
    table().check_tests();
}

/// From upstream's name to ours there is the table; from ours to upstream's a comment: at the test, or, where a
/// file is about one case of upstream's (as the benchmarks are), at its beginning.
#[test]
fn every_test_of_the_table_says_which_of_upstreams_it_is() {
    table().check_comments();
}
