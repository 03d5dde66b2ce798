//! What the benchmarks share: the clock, the books of a process, and a report with a verdict.
//!
//! A benchmark is a program of its own (`harness = false`): it prints a line for each figure, and ends
//! with a status other than 0 when a figure that has a target misses it. It measures whole processes from
//! outside; nothing here knows what they do.

use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use crate::wait;

/// Clock ticks in a second of `/proc/<pid>/stat` (`USER_HZ`, which is 100 on every Linux of ours).
const TICKS: f64 = 100.0;

/// The monotonic clock.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time, outside of any node")]
pub fn now() -> Instant {
    Instant::now()
}

/// The wall clock as the protocol writes it: seconds since 1970.
#[allow(clippy::disallowed_methods, reason = "it is compared with the time in status updates")]
pub fn wall_clock() -> f64 {
    mesos::tasks::seconds(SystemTime::now())
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

/// CPU time that a process has used with all its threads, without its children.
pub fn cpu_time(pid: i32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may hold blanks; from the state on (field 3) the fields are plain. utime and stime are 14 and 15.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().skip(11).take(2);
    Duration::from_secs_f64(fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS)
}

/// A line of `/proc/<pid>/status` that is a size, in MB (10^6 bytes): `VmRSS`, `RssAnon`.
pub fn memory(pid: i32, line: &str) -> Result<f64, String> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let size = status
        .lines()
        .find_map(|text| text.strip_prefix(line)?.strip_prefix(':')?.trim().strip_suffix(" kB"));
    let kilobytes: f64 =
        size.and_then(|size| size.parse().ok()).ok_or_else(|| format!("{path} has no {line}"))?;
    Ok(kilobytes * 1024.0 / 1e6)
}

/// The resident memory of a process once it has been the same for `idle`, in MB.
pub async fn settled_memory(pid: i32, idle: Duration) -> f64 {
    let mut last = (f64::NAN, now());
    wait::until("memory that stays as it is", async || {
        let seen = memory(pid, "VmRSS")?;
        if seen != last.0 {
            last = (seen, now());
        }
        if last.1.elapsed() >= idle { Ok(seen) } else { Err(format!("{seen} MB a moment ago")) }
    })
    .await
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
    fn the_books_of_this_process_can_be_read() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(memory(own, "VmRSS").unwrap() > 0.1);
        let before = cpu_time(own);
        let mut sum = 0_u64;
        while cpu_time(own) == before {
            sum = std::hint::black_box(sum + 1);
        }
    }
}
