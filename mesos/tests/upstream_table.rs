//! Checks `UPSTREAM_TESTS.md`: every case of upstream's is there, and every test it names exists. How,
//! `harness::upstream` says.

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

harness::upstream_table!(CASES, whole_files: false);
