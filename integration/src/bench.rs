//! What the benchmarks of clusters share: the report of all benchmarks ([`harness::bench`]), and the books of a process.
//!
//! They measure whole processes from outside; nothing here knows what those do.

use std::time::{Duration, SystemTime};

pub use harness::bench::{Report, Target, median, now, quantile};

use crate::wait;

/// Clock ticks in a second of `/proc/<pid>/stat` (`USER_HZ`, which is 100 on every Linux of ours).
const TICKS: f64 = 100.0;

/// The wall clock as the protocol writes it: seconds since 1970.
#[allow(clippy::disallowed_methods, reason = "it is compared with the time in status updates")]
pub fn wall_clock() -> f64 {
    mesos::tasks::seconds(SystemTime::now())
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
