//! Checks `UPSTREAM_TESTS.md`: no case of upstream's has got lost, and every test that it names exists. How,
//! `harness::upstream` says.

/// How many rows each of upstream's files has. Of all but `slave_tests.cpp` every case has one: the lines that begin with
/// `TEST`, `TEST_F`, `TEST_P` or `TYPED_TEST` (`TEST_F_TEMP_DISABLED_ON_WINDOWS` among them, `TYPED_TEST_CASE` not) in
/// `apache/mesos/src/tests` at upstream's last commit. A disabled one counts. Of that file some are here, and none is to get
/// lost.
const CASES: &[(&str, usize)] = &[
    ("partition_tests.cpp", 20),
    ("reconciliation_tests.cpp", 14),
    ("fault_tolerance_tests.cpp", 24),
    ("master_tests.cpp", 109),
    ("slave_tests.cpp", 18),
    ("slave_recovery_tests.cpp", 46),
    ("scheduler_tests.cpp", 23),
    ("scheduler_driver_tests.cpp", 10),
    ("scheduler_http_api_tests.cpp", 19),
    ("registrar_tests.cpp", 27),
    ("master_draining_tests.cpp", 10),
    ("master_maintenance_tests.cpp", 12),
    ("api_tests.cpp", 89),
    ("teardown_tests.cpp", 7),
    ("master_load_tests.cpp", 3),
    ("reservation_tests.cpp", 20),
    ("persistent_volume_tests.cpp", 24),
    ("operation_reconciliation_tests.cpp", 13),
    ("reservation_endpoints_tests.cpp", 21),
    ("persistent_volume_endpoints_tests.cpp", 21),
    ("master_validation_tests.cpp", 117),
    ("update_framework_tests.cpp", 19),
    ("dynamic_weights_tests.cpp", 14),
    ("master_slave_reconciliation_tests.cpp", 11),
    ("http_fault_tolerance_tests.cpp", 7),
    ("scheduler_event_call_tests.cpp", 10),
    ("resource_offers_tests.cpp", 5),
    ("agent_operation_feedback_tests.cpp", 5),
    ("upgrade_tests.cpp", 6),
    ("files_tests.cpp", 9),
    ("role_tests.cpp", 18),
    ("master_allocator_tests.cpp", 17),
    ("exception_tests.cpp", 3),
    ("logging_tests.cpp", 3),
    ("registrar_zookeeper_tests.cpp", 1),
    ("state_tests.cpp", 30),
];

harness::upstream_table!(CASES, whole_files: false);
