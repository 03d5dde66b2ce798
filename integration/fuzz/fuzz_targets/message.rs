//! See [`libprocess::fuzzing::message`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| libprocess::fuzzing::message(data));
