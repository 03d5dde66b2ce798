//! Checks `UPSTREAM_TESTS.md`: no case of upstream's has got lost, and every test that it names exists. How,
//! `harness::upstream` says.

/// How many cases there are in each of upstream's files: lines that begin with `TEST` or `TEST_F` in
/// `apache/mesos/src/tests` at upstream's last commit.
const CASES: &[(&str, usize)] = &[
    ("group_tests.cpp", 12),
    ("zookeeper_tests.cpp", 7),
    ("zookeeper_url_tests.cpp", 1),
    ("master_contender_detector_tests.cpp", 14),
];

harness::upstream_table!(CASES, whole_files: false);
