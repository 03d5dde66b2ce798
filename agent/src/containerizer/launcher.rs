//! Starts a process of its own session for a container, and knows one that an earlier agent started.
//!
//! Nothing here knows what a container is for: a command, an environment, a directory, a user, and a place to
//! note the pid. (Upstream: `launcher.cpp`'s `SubprocessLauncher`, without its helper binary: what upstream's
//! `mesos-containerizer launch` does between fork and exec is done by the forked child itself.)

use std::ffi::{CStr, CString, OsStr};
use std::io::ErrorKind;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use libprocess::disk::{Disk as _, HostDisk};
use libprocess::subprocess::{Child, Subprocess, session_of};
use mesos::v1::CommandInfo;
use mesos::v1::environment::{Variable, variable};
use rustix::fs::{Mode, OFlags};

use super::ContainerConfig;
use crate::users::{Identity, UserError};

/// Where programs are looked for when nobody said.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const STDOUT: RawFd = 1;
const STDERR: RawFd = 2;

/// Why a process was not started.
#[derive(Debug, thiserror::Error)]
pub(super) enum LauncherError {
    #[error("the executor's command has no value: a shell command or the path of a program is needed")]
    NoCommand,
    #[error(
        "the value of the variable '{0}' is a reference to a secret, and this agent knows nobody who resolves it"
    )]
    SecretReference(String),
    #[error("the variable '{0}' is a secret without a value")]
    NoSecret(String),
    #[error(transparent)]
    User(#[from] UserError),
    #[error("'{}' cannot be used: {source}", path.display())]
    Path { path: PathBuf, source: std::io::Error },
    #[error("'{program}' cannot be executed: {source}")]
    Execute { program: String, source: std::io::Error },
}

/// What `execve` gets.
#[derive(Debug, PartialEq, Eq)]
struct Invocation {
    program: String,
    /// The arguments with the name that the program sees of itself in front.
    arguments: Vec<String>,
}

/// `sh -c value` for a shell command, the program with its arguments otherwise. As upstream has it,
/// `arguments[0]` is what the program is called, not its first argument.
fn invocation(command: &CommandInfo) -> Result<Invocation, LauncherError> {
    let value = command.value.clone().filter(|value| !value.is_empty()).ok_or(LauncherError::NoCommand)?;
    if command.shell.unwrap_or(true) {
        let arguments = vec!["sh".to_owned(), "-c".to_owned(), value];
        return Ok(Invocation { program: "/bin/sh".to_owned(), arguments });
    }
    let mut arguments = command.arguments.clone();
    if arguments.is_empty() {
        arguments.push(value.clone());
    }
    Ok(Invocation { program: value, arguments })
}

/// The variables that a command brings.
fn own_environment(command: &CommandInfo) -> Result<Vec<(&OsStr, &OsStr)>, LauncherError> {
    let variables = command.environment.iter().flat_map(|environment| &environment.variables);
    variables.map(|variable| value_of(variable).map(|value| (OsStr::new(&variable.name), value))).collect()
}

/// The value of a variable. A secret that brings its value is resolved by that; one that has only a name needs a resolver,
/// which would be a module (upstream: `isolators/environment_secret.cpp`, `secret/resolver.cpp`).
fn value_of(variable: &Variable) -> Result<&OsStr, LauncherError> {
    if variable.r#type() != variable::Type::Secret {
        return Ok(OsStr::new(variable.value.as_deref().unwrap_or_default()));
    }
    let secret = variable.secret.as_ref();
    if secret.is_some_and(|secret| secret.reference.is_some()) {
        return Err(LauncherError::SecretReference(variable.name.clone()));
    }
    let value = secret.and_then(|secret| secret.value.as_ref());
    let value = value.ok_or_else(|| LauncherError::NoSecret(variable.name.clone()))?;
    Ok(OsStr::from_bytes(&value.data))
}

/// Starts the command of `config` as the leader of a new session, in its sandbox, with output to the files
/// `stdout` and `stderr` there. When this returns, the program runs and its pid stands in `forked_pid_path`.
pub(super) fn launch(config: &ContainerConfig) -> Result<Child, LauncherError> {
    let invocation = invocation(&config.command)?;
    let identity = config.user.as_deref().map(Identity::of).transpose()?.flatten();
    let pid_file = config.forked_pid_path.as_deref().map(PidFile::new).transpose()?;

    let output = |name, stream| Output::new(&config.directory, name, stream);
    let outputs = [output(c"stdout", STDOUT)?, output(c"stderr", STDERR)?];
    let path = (OsStr::new("PATH"), OsStr::new(DEFAULT_PATH));
    let given = config.environment.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value)));
    let own = own_environment(&config.command)?;
    let program = Subprocess::new(&invocation.program)
        .called(&invocation.arguments[0])
        .arguments(&invocation.arguments[1..])
        .environment([path].into_iter().chain(given).chain(own))
        .directory(&config.directory)
        .session()
        // Executors of checkpointing frameworks outlive the agent.
        .outlives();
    // SAFETY: `become_container` makes system calls on what was prepared above, and allocates nothing.
    #[allow(unsafe_code, reason = "a user can only be changed by the child itself")]
    let program = unsafe {
        program.before_exec(move || become_container(pid_file.as_ref(), identity.as_ref(), &outputs))
    };
    program.start().map_err(|source| match source.kind() {
        // To execute something writes nothing: it was the pid, or a file for what is printed.
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem => {
            LauncherError::Path { path: config.directory.clone(), source }
        }
        _ => LauncherError::Execute { program: invocation.program, source },
    })
}

/// Runs in the child, between fork and exec.
fn become_container(
    pid_file: Option<&PidFile>,
    identity: Option<&Identity>,
    outputs: &[Output],
) -> std::io::Result<()> {
    // While the child is still root: the checkpoint is not the user's.
    if let Some(pid_file) = pid_file {
        pid_file.write(rustix::process::getpid().as_raw_nonzero().get())?;
    }
    if let Some(identity) = identity {
        identity.assume()?;
    }
    outputs.iter().try_for_each(Output::open)
}

/// The file of the sandbox that one standard stream is appended to. Named relative to the sandbox, which the child
/// works in: its user need not be able to reach it from the root.
struct Output {
    name: &'static CStr,
    stream: RawFd,
}

impl Output {
    /// What is there already must be a plain file: links and pipes that a download put there are refused, with
    /// a better text than the child could give.
    fn new(directory: &Path, name: &'static CStr, stream: RawFd) -> Result<Self, LauncherError> {
        let path = directory.join(OsStr::from_bytes(name.to_bytes()));
        let failed = |source| LauncherError::Path { path: path.clone(), source };
        match std::fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => {
                return Err(failed(std::io::Error::other("it is not a plain file")));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                std::fs::metadata(directory).map_err(failed)?;
            }
            Ok(_) => {}
            Err(error) => return Err(failed(error)),
        }
        Ok(Self { name, stream })
    }

    /// Runs in the child once it is its user: the kernel decides what that user may write to. Whatever the
    /// sandbox holds, no file of another user is opened on the way.
    fn open(&self) -> std::io::Result<()> {
        let flags = OFlags::CREATE | OFlags::APPEND | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(self.name, flags, Mode::from_raw_mode(0o644))?;
        match self.stream {
            STDOUT => rustix::stdio::dup2_stdout(file)?,
            _ => rustix::stdio::dup2_stderr(file)?,
        }
        Ok(())
    }
}

/// Paths prepared for a child that may not allocate.
struct PidFile {
    temporary: CString,
    path: CString,
}

impl PidFile {
    fn new(path: &Path) -> Result<Self, LauncherError> {
        let failed = |source| LauncherError::Path { path: path.to_owned(), source };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        let terminated = |bytes: &[u8]| CString::new(bytes).map_err(|error| failed(error.into()));
        let mut temporary = path.as_os_str().as_bytes().to_owned();
        let path = terminated(&temporary)?;
        temporary.extend_from_slice(b".tmp");
        Ok(Self { temporary: terminated(&temporary)?, path })
    }

    /// Writes the pid in decimal, whole or not at all.
    fn write(&self, pid: i32) -> std::io::Result<()> {
        let mut digits = [0_u8; 12];
        let mut first = digits.len();
        let mut rest = pid.unsigned_abs();
        loop {
            first -= 1;
            digits[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::open(&*self.temporary, flags, Mode::from_raw_mode(0o644))?;
        if rustix::io::write(&file, &digits[first..])? < digits.len() - first {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        rustix::fs::rename(&*self.temporary, &*self.path)?;
        Ok(())
    }
}

/// Waits for a child of this process. `None` if the kernel would not say how it ended.
pub(super) async fn reap(mut child: Child) -> Option<i32> {
    child.wait().await.ok().map(ExitStatusExt::into_raw)
}

/// Whether `pid` is the first process of the container whose sandbox is `directory`: pids are used again, but no two
/// containers have one sandbox. One that has overwritten its environment (`setproctitle`, `env -i`) is known by its session
/// and by where it works, or where what it prints goes.
pub(super) fn is_container(pid: i32, directory: &Path) -> bool {
    let leads = session_of(pid) == Some(pid);
    stems_from(pid, |sandbox| sandbox == directory) || (leads && is_at(pid, directory))
}

/// Whether `pid` works in a directory, or what it prints goes there.
pub(super) fn is_at(pid: i32, directory: &Path) -> bool {
    let leads_into = |name: &&str| {
        std::fs::read_link(format!("/proc/{pid}/{name}")).is_ok_and(|target| target.starts_with(directory))
    };
    ["cwd", "fd/1", "fd/2"].iter().any(leads_into)
}

/// Whether `pid` has the same directory as this process under a path: with another mount namespace it may be another agent's.
pub(super) fn sees(pid: i32, directory: &Path) -> bool {
    let its = Path::new("/proc").join(pid.to_string()).join("root");
    let its = its.join(directory.strip_prefix("/").unwrap_or(directory));
    let of = |path: &Path| std::fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    of(directory).is_some_and(|ours| of(&its) == Some(ours))
}

/// Whether `pid` is a process that was started in a container with such a sandbox, or descends from one, as its environment
/// says.
pub(super) fn stems_from(pid: i32, is_such: impl Fn(&Path) -> bool) -> bool {
    sandboxes_of(pid).iter().any(|sandbox| is_such(sandbox))
}

/// The sandboxes that the environment of `pid` names: one, or none.
pub(super) fn sandboxes_of(pid: i32) -> Vec<PathBuf> {
    let environment = HostDisk.read(Path::new(&format!("/proc/{pid}/environ"))).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .filter_map(|variable| variable.strip_prefix(b"MESOS_DIRECTORY=" as &[u8]))
        .map(|value| PathBuf::from(OsStr::from_bytes(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(value: &str) -> ContainerConfig {
        let command = CommandInfo { value: Some(value.to_owned()), ..CommandInfo::default() };
        ContainerConfig { command, ..ContainerConfig::default() }
    }

    #[test]
    fn a_shell_command_goes_to_sh_and_a_program_gets_its_arguments() {
        let of = |shell, value: &str, arguments: &[&str]| {
            invocation(&CommandInfo {
                shell,
                value: Some(value.to_owned()),
                arguments: arguments.iter().map(ToString::to_string).collect(),
                ..CommandInfo::default()
            })
            .map(|invocation| (invocation.program, invocation.arguments.join(" ")))
        };
        assert_eq!(of(None, "a b", &[]).unwrap(), ("/bin/sh".into(), "sh -c a b".into()));
        assert_eq!(of(Some(false), "/bin/ls", &["ls", "-l"]).unwrap(), ("/bin/ls".into(), "ls -l".into()));
        assert_eq!(of(Some(false), "/bin/ls", &[]).unwrap(), ("/bin/ls".into(), "/bin/ls".into()));
        assert!(matches!(of(None, "", &[]), Err(LauncherError::NoCommand)));
    }

    #[tokio::test]
    async fn output_goes_to_the_sandbox_and_the_pid_is_noted_before_the_program_runs() {
        let sandbox = tempfile::tempdir().unwrap();
        let pid_file = sandbox.path().join("meta/forked.pid");
        let config = ContainerConfig {
            directory: sandbox.path().to_owned(),
            forked_pid_path: Some(pid_file.clone()),
            environment: [("WORD".to_owned(), "hello".to_owned())].into(),
            ..shell("echo $WORD $(cat meta/forked.pid) $$; echo oops >&2; exit 3")
        };
        let child = launch(&config).unwrap();
        let pid = child.pid();
        assert_eq!(reap(child).await, Some(3 << 8));
        let printed = std::fs::read_to_string(sandbox.path().join("stdout")).unwrap();
        assert_eq!(printed, format!("hello {pid} {pid}\n"));
        assert_eq!(std::fs::read_to_string(sandbox.path().join("stderr")).unwrap(), "oops\n");
        assert_eq!(std::fs::read_to_string(pid_file).unwrap(), pid.to_string());
    }

    /// Upstream: `EnvironmentSecretIsolatorTest.ResolveSecret`.
    #[tokio::test]
    async fn a_secret_that_brings_its_value_is_a_variable_and_a_reference_is_refused() {
        use mesos::v1::{Environment, Secret, secret};

        let sandbox = tempfile::tempdir().unwrap();
        let with = |secret: Secret| {
            let name = "WORD".to_owned();
            let kind = Some(variable::Type::Secret.into());
            let variable = Variable { name, r#type: kind, secret: Some(secret), ..Variable::default() };
            let mut config = ContainerConfig { directory: sandbox.path().to_owned(), ..shell("echo $WORD") };
            config.command.environment = Some(Environment { variables: vec![variable] });
            config
        };
        let value = Some(secret::Value { data: b"hush".to_vec() });
        let child = launch(&with(Secret { value, ..Secret::default() })).unwrap();
        assert_eq!(reap(child).await, Some(0));
        assert_eq!(std::fs::read_to_string(sandbox.path().join("stdout")).unwrap(), "hush\n");

        let reference = Some(secret::Reference { name: "elsewhere".into(), key: None });
        let error = launch(&with(Secret { reference, ..Secret::default() })).unwrap_err().to_string();
        assert!(error.contains("'WORD' is a reference to a secret"), "{error}");
    }

    #[tokio::test]
    async fn what_cannot_run_is_named() {
        let sandbox = tempfile::tempdir().unwrap();
        let mut config =
            ContainerConfig { directory: sandbox.path().to_owned(), ..shell("/no/such/program") };
        config.command.shell = Some(false);
        let error = launch(&config).unwrap_err().to_string();
        assert!(error.contains("/no/such/program"), "{error}");
        config.user = Some("nobody-of-that-name".to_owned());
        let error = launch(&config).unwrap_err().to_string();
        assert!(error.contains("nobody-of-that-name"), "{error}");
    }

    /// Not that its program cannot be executed.
    #[tokio::test]
    async fn where_there_is_no_room_for_a_pid_is_named() {
        let sandbox = tempfile::tempdir().unwrap();
        let pid_file = sandbox.path().join("forked.pid");
        std::os::unix::fs::symlink("/dev/full", sandbox.path().join("forked.pid.tmp")).unwrap();
        let config = ContainerConfig {
            directory: sandbox.path().to_owned(),
            forked_pid_path: Some(pid_file.clone()),
            ..shell("echo hello")
        };
        let error = launch(&config).unwrap_err().to_string();
        let expected = format!("'{}' cannot be used: No space left on device", sandbox.path().display());
        assert!(error.starts_with(&expected), "{error}");
        assert!(!pid_file.exists() && !sandbox.path().join("stdout").exists());
    }

    #[tokio::test]
    async fn as_root_a_container_runs_as_its_user() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can run a task as another user");
            return;
        }
        let sandbox = tempfile::tempdir().unwrap();
        let config = ContainerConfig {
            directory: sandbox.path().to_owned(),
            user: Some("nobody".to_owned()),
            ..shell("id -un; id -Gn")
        };
        std::os::unix::fs::chown(sandbox.path(), Some(65534), Some(65534)).unwrap();
        assert_eq!(reap(launch(&config).unwrap()).await, Some(0));
        let printed = std::fs::read_to_string(sandbox.path().join("stdout")).unwrap();
        assert_eq!(printed, "nobody\nnogroup\n");
    }

    /// As of two agents in containers of one pid namespace.
    #[tokio::test]
    async fn a_directory_of_the_same_name_in_another_mount_namespace_is_another() {
        let directory = tempfile::tempdir().unwrap();
        assert!(sees(std::process::id() as i32, directory.path()));
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can mount something");
            return;
        }
        let path = directory.path().display();
        let script = format!("mount -t tmpfs none {path} && cd {path} && exec sleep 1000");
        let mut child =
            std::process::Command::new("unshare").args(["-m", "sh", "-c", &script]).spawn().unwrap();
        let pid = child.id() as i32;
        while !is_at(pid, directory.path()) {
            assert!(child.try_wait().unwrap().is_none(), "it could not be mounted");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(!sees(pid, directory.path()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn output_does_not_follow_what_was_put_into_its_way() {
        let sandbox = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), sandbox.path().join("stdout")).unwrap();
        let config = ContainerConfig { directory: sandbox.path().to_owned(), ..shell("echo hello") };
        let error = launch(&config).unwrap_err().to_string();
        assert!(error.contains("stdout' cannot be used: it is not a plain file"), "{error}");
        assert_eq!(std::fs::read_to_string(elsewhere.path()).unwrap(), "");
    }
}
