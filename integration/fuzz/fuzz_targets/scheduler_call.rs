//! See [`master::fuzzing::scheduler_call`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| master::fuzzing::scheduler_call(data));
