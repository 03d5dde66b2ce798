//! What the demo shows while a program runs: one line with a bar on a terminal, a line for each change elsewhere.

use std::io::{IsTerminal, Write};

/// Width of the bar in characters.
const WIDTH: usize = 30;

/// A line that is drawn over itself on a terminal, and printed when it has changed enough elsewhere.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    terminal: bool,
    last: String,
}

impl ProgressLine {
    /// For standard output, as it is.
    pub(crate) fn new() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), last: String::new() }
    }

    /// Shows `done` of `total` and what is behind it.
    pub(crate) fn show(&mut self, done: usize, total: usize, details: &str) {
        let line = format!("  [{}] {done}/{total}  {details}", bar(done, total));
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

/// `#####.....`: full when `done` reaches `total`.
fn bar(done: usize, total: usize) -> String {
    let filled = (done.min(total) * WIDTH).checked_div(total).unwrap_or(WIDTH);
    format!("{}{}", "#".repeat(filled), ".".repeat(WIDTH - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_empty_at_the_start_and_full_at_the_end() {
        assert_eq!(bar(0, 10), ".".repeat(WIDTH));
        assert_eq!(bar(10, 10), "#".repeat(WIDTH));
        assert_eq!(bar(5, 10), format!("{}{}", "#".repeat(15), ".".repeat(15)));
        assert_eq!(bar(11, 10), "#".repeat(WIDTH));
        assert_eq!(bar(0, 0), "#".repeat(WIDTH));
    }
}
