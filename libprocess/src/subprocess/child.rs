//! A program that was started: its pid, its streams, its end.
//!
//! It belongs to whoever holds the [`Child`]: dropped, it is killed, unless it was started to outlive that.

use std::io;
use std::process::ExitStatus;

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use super::tree::{kill_tree, send_signal, session_lives};

/// What a program printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Of its output, what was kept.
    pub stdout: Vec<u8>,
    /// Of its errors, what was kept.
    pub stderr: Vec<u8>,
}

/// What ends when a [`Child`] is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    None,
    Process,
    Session,
}

/// A running program. Dropping it kills the program, unless that [outlives](super::Subprocess::outlives) it.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    child: tokio::process::Child,
    ending: Ending,
    /// The other end of its input, if that is a pipe. [`Child::wait`] closes it.
    pub stdin: Option<ChildStdin>,
    /// The other end of its output, if that is a pipe.
    pub stdout: Option<ChildStdout>,
    /// The other end of its errors, if that is a pipe.
    pub stderr: Option<ChildStderr>,
}

impl Child {
    pub(super) fn new(mut child: tokio::process::Child, ending: Ending) -> io::Result<Child> {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| io::Error::other("the system gave it no pid"))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        Ok(Child { pid, child, ending, stdin, stdout, stderr })
    }

    /// Its pid. It stays its own until somebody has waited for it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends it a signal; false when it has ended and was waited for.
    pub fn signal(&self, signal: Signal) -> bool {
        self.child.id().is_some() && send_signal(self.pid, signal)
    }

    /// Closes its input and waits for its end. Dropping the future loses nothing: another may wait.
    ///
    /// # Errors
    /// Somebody else has waited for it, and took the status.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.stdin = None;
        self.child.wait().await
    }

    pub(super) async fn output(mut self, limit: u64) -> io::Result<Output> {
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let end = async {
            let status = self.wait().await?;
            // What it left behind may hold the streams.
            self.end_session();
            self.ending = Ending::None;
            Ok(status)
        };
        let (status, stdout, stderr) = tokio::try_join!(end, first(stdout, limit), first(stderr, limit))?;
        Ok(Output { status, stdout, stderr })
    }

    fn end_session(&self) {
        if self.ending == Ending::Session && session_lives(self.pid) {
            kill_tree(self.pid, Signal::KILL);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A process alone is tokio's to kill.
        self.end_session();
    }
}

/// Reads a stream to its end, and keeps the first `limit` bytes.
async fn first(stream: Option<impl AsyncRead + Unpin>, limit: u64) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream {
        (&mut stream).take(limit).read_to_end(&mut kept).await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}
