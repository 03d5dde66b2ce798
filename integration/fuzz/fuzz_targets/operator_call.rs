//! See [`master::fuzzing::operator_call`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| master::fuzzing::operator_call(data));
