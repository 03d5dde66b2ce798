//! A hasher without a random seed, so that iteration order repeats itself from run to run.

use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;

/// For `IndexMap`, `DashMap` and `HashMap`: the standard hasher with fixed keys.
pub type FixedState = BuildHasherDefault<DefaultHasher>;
