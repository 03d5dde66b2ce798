//! See [`libprocess::fuzzing::pid`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| libprocess::fuzzing::pid(data));
