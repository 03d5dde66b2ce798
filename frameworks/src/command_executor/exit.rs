//! How a process ended, in upstream's words (stout's `WSTRINGIFY`). Pure.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

/// `exited with status 1`, `terminated with signal Killed`.
pub(super) fn describe(exit: ExitStatus) -> String {
    match (exit.code(), exit.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => {
            let core = if exit.core_dumped() { " (core dumped)" } else { "" };
            format!("terminated with signal {}{core}", name(signal))
        }
        (None, None) => format!("wait status {}", exit.into_raw()),
    }
}

/// As the C library's `strsignal` says it on Linux.
fn name(signal: i32) -> String {
    let known = match signal {
        1 => "Hangup",
        2 => "Interrupt",
        3 => "Quit",
        4 => "Illegal instruction",
        5 => "Trace/breakpoint trap",
        6 => "Aborted",
        7 => "Bus error",
        8 => "Floating point exception",
        9 => "Killed",
        10 => "User defined signal 1",
        11 => "Segmentation fault",
        12 => "User defined signal 2",
        13 => "Broken pipe",
        14 => "Alarm clock",
        15 => "Terminated",
        16 => "Stack fault",
        24 => "CPU time limit exceeded",
        25 => "File size limit exceeded",
        26 => "Virtual timer expired",
        27 => "Profiling timer expired",
        29 => "I/O possible",
        30 => "Power failure",
        31 => "Bad system call",
        34..=64 => return format!("Real-time signal {}", signal - 34),
        other => return format!("Unknown signal {other}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_and_signals_are_told_as_upstream_does() {
        let described = |raw| describe(ExitStatus::from_raw(raw));
        assert_eq!(described(0), "exited with status 0");
        assert_eq!(described(3 << 8), "exited with status 3");
        assert_eq!(described(15), "terminated with signal Terminated");
        assert_eq!(described(9), "terminated with signal Killed");
        assert_eq!(described(29), "terminated with signal I/O possible");
        assert_eq!(described(11 | 0x80), "terminated with signal Segmentation fault (core dumped)");
    }
}
