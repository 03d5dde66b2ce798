//! What a framework tells about its progress while it runs: for progress bars and for lines of text.
//!
//! Pure, but that [`TextProgress`] writes to the sink it was given.

use std::{io::Write, time::Duration};

/// Where a framework stands. A snapshot: sinks may compare it with the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The framework's name, for instance `sum`.
    pub name: &'static str,
    /// The framework's id, once there is one.
    pub framework: Option<String>,
    /// Whether a master is there now.
    pub connected: bool,
    /// Offers received so far.
    pub offers: u64,
    /// Tasks by state.
    pub tasks: Tally,
    /// What an offer must have at least, while all of them are too small for a task.
    pub too_small: Option<String>,
}

/// Tasks by state. Together `waiting + staging + running + done` is `total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pieces of work without a task.
    pub waiting: usize,
    /// Launched, and not yet known to run.
    pub staging: usize,
    /// Running.
    pub running: usize,
    /// Finished, with their results.
    pub done: usize,
    /// All pieces of work.
    pub total: usize,
    /// Tasks that failed or were lost, and whose work was given to another one.
    pub retries: usize,
}

/// Who wants to know.
pub trait ProgressSink: Send + 'static {
    /// Called after each change, on the scheduler's thread: be quick.
    fn show(&mut self, progress: &Progress);
}

impl<F: FnMut(&Progress) + Send + 'static> ProgressSink for F {
    fn show(&mut self, progress: &Progress) {
        self(progress);
    }
}

/// Writes a line for each change of the tasks.
pub struct TextProgress<W> {
    out: W,
    last: Option<Progress>,
}

impl<W: Write + Send + 'static> TextProgress<W> {
    /// Lines go to `out`; errors of writing are ignored, since progress is not the result.
    pub fn new(out: W) -> Self {
        TextProgress { out, last: None }
    }
}

impl<W: Write + Send + 'static> ProgressSink for TextProgress<W> {
    fn show(&mut self, progress: &Progress) {
        let last = self.last.replace(progress.clone()).unwrap_or_default();
        if let (false, Some(id)) =
            (last.connected && last.framework == progress.framework, &progress.framework)
            && progress.connected
        {
            let _ = writeln!(self.out, "{}: subscribed as {id}", progress.name);
        }
        if last.connected && !progress.connected {
            let _ = writeln!(self.out, "{}: lost the master, looking for it", progress.name);
        }
        if let Some(needed) = &progress.too_small
            && last.too_small.is_none()
        {
            let _ = writeln!(
                self.out,
                "{}: no offer so far is large enough: a task and its executor need {needed}",
                progress.name
            );
        }
        if last.tasks != progress.tasks {
            let Tally { waiting, staging, running, done, total, retries } = progress.tasks;
            let again = if retries > 0 { format!(", {retries} tried again") } else { String::new() };
            let _ = writeln!(
                self.out,
                "{}: {done} of {total} tasks done, {running} running, {staging} starting, {waiting} waiting{again}",
                progress.name
            );
        }
    }
}

/// For who wants no progress.
pub struct Silent;

impl ProgressSink for Silent {
    fn show(&mut self, _: &Progress) {}
}

/// How long a command waits for a master before it gives up with an error.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_a_line_for_each_change_and_none_for_the_same_again() {
        let mut progress = Progress { name: "sum", ..Progress::default() };
        let mut sink = TextProgress::new(Vec::new());
        sink.show(&progress);
        progress.connected = true;
        progress.framework = Some("id".into());
        progress.tasks = Tally { waiting: 2, total: 2, ..Tally::default() };
        sink.show(&progress);
        sink.show(&progress);
        progress.tasks = Tally { done: 2, total: 2, retries: 1, ..Tally::default() };
        sink.show(&progress);
        progress.too_small = Some("cpus:1.5; mem:64".into());
        sink.show(&progress);
        sink.show(&progress);
        let text = String::from_utf8(sink.out).unwrap();
        assert_eq!(
            text,
            "sum: subscribed as id\n\
             sum: 0 of 2 tasks done, 0 running, 0 starting, 2 waiting\n\
             sum: 2 of 2 tasks done, 0 running, 0 starting, 0 waiting, 1 tried again\n\
             sum: no offer so far is large enough: a task and its executor need cpus:1.5; mem:64\n"
        );
    }
}
