//! What the benchmarks and the fuzz tests of several crates share.
//!
//! [`mod@bench`]: the clock, taking turns with a comparator, and a report with a verdict for each figure. [`mod@fuzz`]: a seeded
//! mutator that feeds a function with variations of real inputs. It knows none of our crates, so that all of them can
//! use it in their tests and benchmarks; no daemon does.

pub mod bench;
pub mod fuzz;
