//! The `mesos` binary.

fn main() {}
