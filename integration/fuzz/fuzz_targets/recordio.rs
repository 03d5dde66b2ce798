//! See [`mesos::fuzzing::recordio`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mesos::fuzzing::recordio(data));
