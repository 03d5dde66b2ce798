//! Checks `UPSTREAM_TESTS.md`: every case of upstream's is there, and every test it names exists. How,
//! `harness::upstream` says.

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

harness::upstream_table!(CASES, whole_files: true);
