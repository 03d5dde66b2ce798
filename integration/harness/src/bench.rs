//! What benchmarks share: the clock, turns, and a report with a verdict.
//!
//! A benchmark is a program of its own (`harness = false`): it prints a line for each figure, and ends
//! with a status other than 0 when a figure that has a target misses it. The comparator runs in the same
//! process, in turns with what is measured ([`in_turn`]): the machines are noisy, a ratio holds, a time does not.

use std::fmt;
use std::process::ExitCode;
use std::time::Instant;

/// The monotonic clock.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time, outside of any node")]
pub fn now() -> Instant {
    Instant::now()
}

/// What a figure has to reach.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// Nothing: it is shown beside the others.
    None,
    /// As much or more.
    AtLeast(f64),
    /// As much or less.
    AtMost(f64),
}

impl Target {
    fn met(self, value: f64) -> bool {
        match self {
            Target::None => true,
            // Not a number meets nothing.
            Target::AtLeast(bound) => value >= bound,
            Target::AtMost(bound) => value <= bound,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::None => Ok(()),
            Target::AtLeast(bound) => write!(out, "target: at least {bound}"),
            Target::AtMost(bound) => write!(out, "target: at most {bound}"),
        }
    }
}

/// The figures of one benchmark.
#[derive(Debug)]
pub struct Report {
    missed: u32,
}

impl Report {
    /// Begins with the name of the benchmark and what it measures.
    pub fn new(name: &str, what: &str) -> Self {
        println!("== {name}: {what}");
        Self { missed: 0 }
    }

    /// A line of explanation.
    pub fn note(&self, text: impl fmt::Display) {
        println!("   {text}");
    }

    /// One figure, with the verdict.
    pub fn figure(&mut self, name: &str, value: f64, unit: &str, target: Target) {
        let met = target.met(value);
        self.missed += u32::from(!met);
        let verdict = match (target, met) {
            (Target::None, _) => "",
            (_, true) => " - reached",
            (_, false) => " - MISSED",
        };
        println!("{name:<58} {value:>10.2} {unit:<6} {target}{verdict}");
    }

    /// 0 when every target was reached.
    pub fn verdict(self) -> ExitCode {
        if self.missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The value below which this part (0 to 1) of the values lies. Not a number when there are none.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// What is measured in turns: a figure for each, the same unit.
pub type Measure<'a> = &'a mut dyn FnMut() -> f64;

/// Measures in turns, `rounds` times, after one round that does not count: what disturbs the machine for a
/// while disturbs all of them alike.
pub fn in_turn<const N: usize>(rounds: usize, mut measures: [Measure<'_>; N]) -> Turns<N> {
    for measure in &mut measures {
        measure();
    }
    Turns((0..rounds).map(|_| measures.each_mut().map(|measure| measure())).collect())
}

/// The figures of each round.
#[derive(Debug)]
pub struct Turns<const N: usize>(Vec<[f64; N]>);

impl<const N: usize> Turns<N> {
    /// The median of the figures of one.
    pub fn median(&self, of: usize) -> f64 {
        median(&self.0.iter().map(|round| round[of]).collect::<Vec<_>>())
    }

    /// The median of the rounds' ratios of two.
    pub fn ratio(&self, of: usize, to: usize) -> f64 {
        median(&self.0.iter().map(|round| round[of] / round[to]).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values = [5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!((median(&values), quantile(&values, 0.0), quantile(&values, 1.0)), (3.0, 1.0, 5.0));
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn nothing_measured_reaches_no_target() {
        assert!(!Target::AtLeast(1.0).met(f64::NAN) && !Target::AtMost(1.0).met(f64::NAN));
        assert!(Target::AtLeast(1.0).met(1.0) && !Target::AtLeast(1.0).met(0.9));
    }

    #[test]
    fn turns_alternate_and_the_first_of_each_does_not_count() {
        let order = std::cell::RefCell::new(String::new());
        let turn = |name: char| {
            order.borrow_mut().push(name);
            order.borrow().len() as f64
        };
        let turns = in_turn(3, [&mut || turn('a'), &mut || turn('b')]);
        assert_eq!(order.borrow().as_str(), "abababab");
        assert_eq!((turns.median(0), turns.median(1)), (5.0, 6.0));
        assert_eq!(turns.ratio(0, 1), 5.0 / 6.0);
    }
}
