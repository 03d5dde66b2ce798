//! See [`mesos::fuzzing::settings`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mesos::fuzzing::settings(data));
