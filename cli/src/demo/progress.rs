//! What the demo shows while a program runs: one line with a bar on a terminal, a line for each change elsewhere.

use std::io::Write;

use crate::output::is_capable;

/// Width of the bar in characters, where there is room.
const WIDTH: usize = 30;
/// A bar is not made shorter than this.
const MIN_WIDTH: usize = 8;

/// A line that is drawn over itself on a terminal, and printed when it has changed enough elsewhere.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    terminal: bool,
    last: String,
}

impl ProgressLine {
    /// For standard output, as it is.
    pub(crate) fn new() -> Self {
        Self { terminal: is_capable(&std::io::stdout()), last: String::new() }
    }

    /// Shows `done` of `total` and what is behind it.
    pub(crate) fn show(&mut self, done: usize, total: usize, details: &str) {
        let columns = if self.terminal { columns() } else { usize::MAX };
        let line = line(done, total, details, columns);
        if line == self.last {
            return;
        }
        let mut out = std::io::stdout().lock();
        // A closed standard output is no reason to leave a cluster behind: what can't be shown is not shown.
        let _ = if self.terminal { write!(out, "\r\x1b[K{line}") } else { writeln!(out, "{line}") };
        let _ = out.flush();
        self.last = line;
    }

    /// Leaves the line as it is and goes to the next.
    pub(crate) fn finish(&mut self) {
        if self.terminal && !self.last.is_empty() {
            let _ = writeln!(std::io::stdout());
        }
        self.last.clear();
    }
}

/// Columns of the terminal now; it may be resized at any time.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80)
}

/// The line in fewer than `columns` characters, since one that wraps cannot be drawn over: the bar is made shorter,
/// and then the end is cut.
fn line(done: usize, total: usize, details: &str, columns: usize) -> String {
    let count = format!("{done}/{total}  {details}");
    let around = "  [] ".len() + count.chars().count();
    let room = columns.saturating_sub(1);
    let width = room.saturating_sub(around).clamp(MIN_WIDTH, WIDTH);
    format!("  [{}] {count}", bar(done, total, width)).chars().take(room).collect()
}

/// `#####.....`: full when `done` reaches `total`.
fn bar(done: usize, total: usize, width: usize) -> String {
    let filled = (done.min(total) * width).checked_div(total).unwrap_or(width);
    format!("{}{}", "#".repeat(filled), ".".repeat(width - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_empty_at_the_start_and_full_at_the_end() {
        assert_eq!(bar(0, 10, 30), ".".repeat(30));
        assert_eq!(bar(10, 10, 30), "#".repeat(30));
        assert_eq!(bar(5, 10, 30), format!("{}{}", "#".repeat(15), ".".repeat(15)));
        assert_eq!(bar(11, 10, 30), "#".repeat(30));
        assert_eq!(bar(0, 0, 30), "#".repeat(30));
    }

    #[test]
    fn a_line_never_reaches_the_end_of_the_terminal() {
        let details = "tasks done; 10 offers, 0 running, 0 staging, 0 waiting";
        let at = |columns| line(10, 10, details, columns);
        assert_eq!(at(usize::MAX).len(), at(200).len());
        for columns in [100, 94, 80, 70, 40, 10, 1] {
            assert!(at(columns).chars().count() < columns, "{columns}");
        }
        assert!(at(80).ends_with("0 waiting") && at(80).contains("########]"), "{}", at(80));
        assert!(at(40).contains("10/10  tasks"), "{}", at(40));
    }
}
