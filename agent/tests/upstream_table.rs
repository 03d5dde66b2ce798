//! Checks `UPSTREAM_TESTS.md`: no case of upstream's has got lost, and every test that it names exists. How,
//! `harness::upstream` says.

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
    ("paths_tests.cpp", 11),
];

harness::upstream_table!(CASES, whole_files: false);
