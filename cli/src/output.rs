//! What commands print for people to read, and to keep.

use std::ffi::OsStr;
use std::io::{ErrorKind, IsTerminal, Result, Write};

/// Prints a line that somebody may keep in a file: that it could not be written is an error. That its reader has gone
/// is none.
pub(crate) fn print(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Whether colours and the like may be written here: to a terminal that says that it knows them (`TERM` is not `dumb`, as
/// in Emacs' shell and in logs of some build servers).
pub(crate) fn is_capable(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && knows_colours(std::env::var_os("TERM").as_deref())
}

fn knows_colours(term: Option<&OsStr>) -> bool {
    term.is_none_or(|term| term != "dumb")
}

/// Prints a line on standard output. A reader that has gone (`mesos demo | head`) is no reason to fail, let alone
/// to leave a cluster behind: what cannot be shown is not shown.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// Prints a line on standard error. `eprintln!` panics where that cannot be written: on a full disk, or to a pipe whose
/// reader has gone.
macro_rules! complain {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dumb_terminal_gets_plain_text() {
        assert!(!knows_colours(Some(OsStr::new("dumb"))));
        assert!(knows_colours(Some(OsStr::new("xterm"))) && knows_colours(None));
    }
}
