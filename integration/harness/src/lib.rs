//! What the benchmarks of several crates share.
//!
//! [`bench`]: the clock, taking turns with a comparator, and a report with a verdict for each figure. It knows none of
//! our crates, so that all of them can use it in their benchmarks; no daemon does.

pub mod bench;
