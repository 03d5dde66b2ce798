//! How a command learns what it shall do: its words, the environment, and what is wrong with them in one line.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mesos::settings::{Declared, Loaded, Outcome, Sources, Unsupported};
use mesos::text::printable;

/// The call of a command. The one place that reads the command line and the environment.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The name that the program was called by, without its directory.
    pub(crate) program: String,
    /// The words after that.
    pub(crate) words: Vec<String>,
    /// The environment.
    pub(crate) environment: BTreeMap<String, String>,
}

/// What a command that failed says, in one line; names in it that somebody else has chosen cannot make it two.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// `mesos master: <what was wrong>`
    pub(crate) fn of(command: &str, error: impl Display) -> Self {
        Self(format!("mesos {command}: {error}"))
    }

    /// The same, and how the command is called.
    pub(crate) fn hint(self, usage: &str) -> Self {
        Self(format!("{} ({usage})", self.0.trim_end()))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&printable(self.0.trim_end()))
    }
}

impl Call {
    /// The call of this process. Words that are no UTF-8 are taken with replacements: no setting has such a name,
    /// so that they are refused by name.
    pub(crate) fn of_process() -> Self {
        let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        let program = words.next().unwrap_or_default();
        let program = Path::new(&program)
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let environment = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect();
        Self { program, words: words.collect(), environment }
    }

    /// Splits off the next word, which names a command.
    pub(crate) fn next_word(mut self) -> (Option<String>, Self) {
        let word = if self.words.is_empty() { None } else { Some(self.words.remove(0)) };
        (word, self)
    }

    /// Reads the settings of a command; prints help or version instead, if that was asked for.
    pub(crate) fn load<S: Declared>(
        &self,
        command: &str,
        unsupported: &[Unsupported],
    ) -> Result<Result<Loaded<S>, ExitCode>, Failure> {
        let sources = Sources::new(self.words.iter().cloned(), self.environment.clone());
        self.load_from(sources, command, unsupported)
    }

    /// The same for a command whose flags are all ours, and which listens to no `MESOS_*` variables.
    pub(crate) fn load_tool<S: Declared>(
        &self,
        command: &str,
        unsupported: &[Unsupported],
    ) -> Result<Result<Loaded<S>, ExitCode>, Failure> {
        self.load_from(Sources::arguments(self.words.iter().cloned()), command, unsupported)
    }

    fn load_from<S: Declared>(
        &self,
        sources: Sources,
        command: &str,
        unsupported: &[Unsupported],
    ) -> Result<Result<Loaded<S>, ExitCode>, Failure> {
        match mesos::settings::load::<S>(sources, unsupported).map_err(|error| Failure::of(command, error))? {
            Outcome::Run(loaded) => Ok(Ok(loaded)),
            Outcome::Help(text) => {
                say!("{text}");
                Ok(Err(ExitCode::SUCCESS))
            }
            Outcome::Version => {
                say!("mesos {}", mesos::version());
                Ok(Err(ExitCode::SUCCESS))
            }
        }
    }
}

/// This program's own path, which agents start executors with.
pub(crate) fn own_binary() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::new(format!("mesos: its own path cannot be found: {error}")))
}

/// The name of the user that runs this program, which tasks run as.
pub(crate) fn own_user() -> Result<String, Failure> {
    let id = nix::unistd::Uid::effective();
    match nix::unistd::User::from_uid(id) {
        Ok(Some(user)) => Ok(user.name),
        Ok(None) => Err(Failure::new(format!("mesos: user {id} has no name on this host"))),
        Err(error) => Err(Failure::new(format!("mesos: user {id} cannot be looked up: {error}"))),
    }
}
