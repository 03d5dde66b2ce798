//! What to run, and how.
//!
//! A builder over tokio's: it adds a session of its own, and that nothing of what was started is left behind unless that
//! is what is wanted. The defaults: the environment and the directory are ours, the streams lead nowhere. Of open files it
//! has its streams and no others.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Resource, setrlimit};
use tokio::process::Command;

use super::child::{Child, Ending, Output};
use crate::limits;

/// Where a standard stream leads.
#[derive(Debug)]
pub enum Stream {
    /// Nowhere.
    Null,
    /// To us: [`Child`] has the other end.
    Pipe,
    /// To or from a file that is open already.
    File(File),
}

impl From<Stream> for Stdio {
    fn from(stream: Stream) -> Stdio {
        match stream {
            Stream::Null => Stdio::null(),
            Stream::Pipe => Stdio::piped(),
            Stream::File(file) => Stdio::from(file),
        }
    }
}

/// A program to run.
pub struct Subprocess {
    command: Command,
    leads_session: bool,
    outlives: bool,
}

impl Subprocess {
    /// A program by its path, or by a name that is looked for in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Subprocess {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Subprocess { command, leads_session: false, outlives: false }
    }

    /// What the program is called: its `argv[0]`. Without it, as in [`Subprocess::new`].
    #[must_use]
    pub fn called(mut self, name: impl AsRef<OsStr>) -> Subprocess {
        self.command.arg0(name);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Subprocess {
        self.command.args(arguments);
        self
    }

    /// The whole environment: nothing of ours is left. Of two values for a name, the later counts.
    #[must_use]
    pub fn environment(
        mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Subprocess {
        self.command.env_clear().envs(variables);
        self
    }

    /// Where it works.
    #[must_use]
    pub fn directory(mut self, path: impl AsRef<Path>) -> Subprocess {
        self.command.current_dir(path);
        self
    }

    /// Where its input comes from.
    #[must_use]
    pub fn stdin(mut self, stream: Stream) -> Subprocess {
        self.command.stdin(stream);
        self
    }

    /// Where its output goes.
    #[must_use]
    pub fn stdout(mut self, stream: Stream) -> Subprocess {
        self.command.stdout(stream);
        self
    }

    /// Where its errors go.
    #[must_use]
    pub fn stderr(mut self, stream: Stream) -> Subprocess {
        self.command.stderr(stream);
        self
    }

    /// It leads a session of its own: no terminal reaches it, and what it starts can be found and ended with it.
    #[must_use]
    #[allow(unsafe_code, reason = "only the child itself can enter a session")]
    pub fn session(mut self) -> Subprocess {
        self.leads_session = true;
        // SAFETY: between fork and exec only async-signal-safe calls may be made; this is one system call.
        unsafe {
            self.command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?));
        }
        self
    }

    /// It may live on when its [`Child`] is dropped. Otherwise it is killed, and its whole session if it leads one.
    #[must_use]
    pub fn outlives(mut self) -> Subprocess {
        self.outlives = true;
        self
    }

    /// Has the forked child do something before it becomes the program, in its directory. Several steps, and
    /// [`Subprocess::session`] among them, are taken in the order in which they were asked for. An error ends the child, and
    /// [`Subprocess::start`] returns it.
    ///
    /// # Safety
    /// Other threads were in the middle of things when the child was forked, and are not there to finish them: `step` may
    /// call only what is safe in a signal handler. It must neither allocate nor lock.
    #[must_use]
    #[allow(unsafe_code, reason = "the caller promises it")]
    pub unsafe fn before_exec(
        mut self,
        step: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
    ) -> Subprocess {
        // SAFETY: the caller's promise.
        unsafe { self.command.pre_exec(step) };
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// The program or the directory is not there or may not be used; no process can be made; a step before the program
    /// failed.
    #[allow(unsafe_code, reason = "only the child itself can have another limit than we, and other files")]
    pub fn start(mut self) -> io::Result<Child> {
        // What we open is closed when the program begins; what whoever started us has left open for us is not (upstream:
        // `handleWhitelistFds` in libprocess's `posix/subprocess.hpp`). Linux before 5.11 refuses, and it stays open.
        let (first, last): (libc::c_uint, libc::c_uint) = (3, libc::c_uint::MAX);
        // SAFETY: one system call, which allocates nothing and locks nothing, and only marks descriptors.
        unsafe {
            self.command.pre_exec(move || {
                libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC);
                Ok(())
            });
        }
        if let Some(limit) = limits::file_limit_at_first() {
            // SAFETY: one system call, which allocates nothing and locks nothing.
            unsafe { self.command.pre_exec(move || Ok(setrlimit(Resource::Nofile, limit)?)) };
        }
        // The kernel's zombies are tokio's to reap, if nobody waits for this child.
        self.command.kill_on_drop(!self.outlives);
        let ending = match (self.outlives, self.leads_session) {
            (true, _) => Ending::None,
            (false, false) => Ending::Process,
            (false, true) => Ending::Session,
        };
        Child::new(self.command.spawn()?, ending)
    }

    /// Runs it to its end, and keeps the first `limit` bytes of each stream that is a [`Stream::Pipe`]; what is beyond
    /// is read and dropped. If it leads a session, that is ended when its first process has ended; else this waits for
    /// all that hold the streams. Dropping the future kills it.
    ///
    /// # Errors
    /// As [`Subprocess::start`]; its output cannot be read.
    pub async fn output(mut self, limit: u64) -> io::Result<Output> {
        self.outlives = false;
        self.start()?.output(limit).await
    }
}

impl fmt::Debug for Subprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.command.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::process::ExitStatusExt;
    use std::time::Duration;

    use rustix::process::Signal;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::{process_table, session_lives};
    use super::*;

    fn shell(script: &str) -> Subprocess {
        Subprocess::new("/bin/sh").arguments(["-c", script])
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    async fn until(is_so: impl Fn() -> bool) {
        let waiting = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it comes within a minute");
    }

    #[tokio::test]
    async fn a_program_gets_its_name_arguments_environment_and_directory() {
        let folder = tempfile::tempdir().unwrap();
        let program = Subprocess::new("/bin/sh")
            .called("a-shell")
            .arguments(["-c", "echo $0 $WORD; pwd; env"])
            .environment([("WORD", "one"), ("WORD", "two")])
            .directory(folder.path())
            .stdout(Stream::Pipe);
        let output = program.output(10_000).await.unwrap();
        let mut lines = text(&output.stdout).lines();
        assert_eq!(lines.next(), Some("a-shell two"));
        assert_eq!(lines.next(), folder.path().canonicalize().unwrap().to_str());
        assert!(
            lines
                .all(|line| ["WORD=", "PWD=", "_=", "OLDPWD=", "SHLVL="].iter().any(|n| line.starts_with(n)))
        );
    }

    #[tokio::test]
    async fn streams_lead_where_they_were_told_to() {
        let mut child =
            shell("cat; echo oops >&2; exit 3").stdin(Stream::Pipe).stdout(Stream::Pipe).start().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"hello").await.unwrap();
        let mut output = child.stdout.take().unwrap();
        // Waiting closes the input, so that cat ends.
        assert_eq!(child.wait().await.unwrap().code(), Some(3));
        let mut read = String::new();
        output.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "hello");
        assert!(child.stderr.is_none());

        let mut file = tempfile::tempfile().unwrap();
        let writer = Stream::File(file.try_clone().unwrap());
        assert!(shell("echo kept >&2").stderr(writer).output(0).await.unwrap().status.success());
        std::io::Seek::rewind(&mut file).unwrap();
        let mut kept = String::new();
        file.read_to_string(&mut kept).unwrap();
        assert_eq!(kept, "kept\n");
    }

    #[tokio::test]
    async fn what_others_have_left_open_for_us_is_closed() {
        use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
        use std::os::fd::AsRawFd;

        let inherited = fcntl_dupfd_cloexec(tempfile::tempfile().unwrap(), 500).unwrap();
        fcntl_setfd(&inherited, FdFlags::empty()).unwrap();
        let script = format!("test ! -e /proc/self/fd/{}", inherited.as_raw_fd());
        assert!(shell(&script).output(0).await.unwrap().status.success());
    }

    #[tokio::test]
    async fn of_long_output_the_beginning_is_kept_and_the_program_runs_to_its_end() {
        let program = shell("head -c 1000000 /dev/zero; echo oops >&2; exit 7");
        let output = program.stdout(Stream::Pipe).stderr(Stream::Pipe).output(100).await.unwrap();
        assert_eq!((output.stdout.len(), text(&output.stderr)), (100, "oops\n"));
        assert_eq!(output.status.code(), Some(7));
    }

    #[tokio::test]
    async fn a_signal_ends_it_and_is_its_status() {
        let mut child = shell("exec sleep 1000").start().unwrap();
        assert!(child.signal(Signal::TERM));
        assert_eq!(child.wait().await.unwrap().signal(), Some(15));
        assert!(!child.signal(Signal::TERM), "its pid may be another's");
        assert_eq!(child.wait().await.unwrap().signal(), Some(15), "the status is kept");
    }

    #[tokio::test]
    async fn what_is_dropped_is_killed_with_its_session() {
        let program = shell("sleep 1000 & setsid sleep 1001 & echo ready; wait");
        let mut child = program.session().stdout(Stream::Pipe).start().unwrap();
        let pid = child.pid();
        let mut ready = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).await.unwrap();
        assert!(session_lives(pid));
        drop(child);
        until(|| !session_lives(pid)).await;
    }

    #[tokio::test]
    async fn what_a_session_leaves_behind_does_not_hold_up_its_output() {
        let output =
            shell("sleep 1000 & echo done").session().stdout(Stream::Pipe).output(100).await.unwrap();
        assert_eq!(text(&output.stdout), "done\n");
    }

    #[tokio::test]
    async fn what_outlives_its_child_runs_on() {
        let child = shell("exec sleep 1000").session().outlives().start().unwrap();
        let pid = child.pid();
        drop(child);
        let runs = || process_table().iter().any(|entry| entry.pid == pid && !entry.zombie);
        assert!(runs());
        assert!(super::super::send_signal(pid, Signal::KILL));
        until(|| !runs()).await;
    }

    #[tokio::test]
    async fn steps_before_the_program_are_taken_in_order_and_may_fail() {
        // SAFETY: system calls only.
        #[allow(unsafe_code, reason = "what is tested")]
        let program = unsafe {
            shell("true").session().before_exec(|| {
                let own = std::process::id() as i32;
                if super::super::session_of(own) == Some(own) {
                    Err(io::Error::from_raw_os_error(95))
                } else {
                    Ok(())
                }
            })
        };
        assert_eq!(program.start().unwrap_err().raw_os_error(), Some(95), "it led its session already");
        let error = Subprocess::new("/no/such/program").start().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
