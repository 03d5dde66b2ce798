//! What the benchmarks and tests of several crates share.
//!
//! [`mod@bench`]: the clock, taking turns with a comparator, and a report with a verdict for each figure. [`mod@fuzz`]: a seeded
//! mutator that feeds a function with variations of real inputs. [`mod@upstream`]: the tables of upstream's tests.
//! [`mod@example`]: examples as programs. It knows none of our crates, so that all of them can use it in their tests and
//! benchmarks; no daemon does.

pub mod bench;
pub mod example;
pub mod fuzz;
pub mod upstream;
