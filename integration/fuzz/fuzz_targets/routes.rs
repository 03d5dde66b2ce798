//! See [`libprocess::fuzzing::routes`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| libprocess::fuzzing::routes(data));
