//! Where a value came from, and what can be wrong with the settings. Each error is one line that
//! names the setting, the value, where it stands and what is allowed.

use std::{fmt, path::PathBuf};

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A line of the config file.
    File {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// The command line, as given (`--port`).
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingsError {
    /// No setting has this name.
    #[error("unknown setting '{name}' ({origin}){}", did_you_mean(.suggestions))]
    Unknown {
        /// The name as given.
        name: String,
        /// Where.
        origin: Origin,
        /// Names that are near.
        suggestions: Vec<String>,
    },
    /// An argument that is no flag.
    #[error("unexpected argument '{0}': settings are given as --name=value")]
    Argument(String),
    /// A flag twice, perhaps once by an alias.
    #[error("setting '{name}' is given twice ({first} and {second})")]
    Twice {
        /// The setting.
        name: String,
        /// Where first.
        first: Origin,
        /// Where again.
        second: Origin,
    },
    /// A flag without its value.
    #[error("{flag} needs a value: {allowed}")]
    NoValue {
        /// As given.
        flag: String,
        /// What is allowed.
        allowed: String,
    },
    /// `--no-x` for something that is not switched on and off.
    #[error("{flag} is not possible: '{name}' is not a switch; it takes {allowed}")]
    NotASwitch {
        /// As given.
        flag: String,
        /// The setting.
        name: String,
        /// What is allowed.
        allowed: String,
    },
    /// A value that is not allowed.
    #[error("'{value}' is not allowed for setting '{name}' ({origin}): {reason}")]
    Value {
        /// The setting.
        name: String,
        /// The value as given, shortened, and without a password.
        value: String,
        /// Where.
        origin: Origin,
        /// What is allowed, or what is wrong.
        reason: String,
    },
    /// A required setting that nobody gave.
    #[error(
        "setting '{name}' is required: give --{name}=VALUE, MESOS_{} or '{name}' in the config file ({allowed})",
        .name.to_uppercase()
    )]
    Missing {
        /// The setting.
        name: String,
        /// What is allowed.
        allowed: String,
    },
    /// A setting of upstream's that would need something that is not there.
    #[error("setting '{name}' ({origin}) is not supported: {reason}")]
    Unsupported {
        /// The setting.
        name: String,
        /// Where.
        origin: Origin,
        /// Why not, and what to use instead.
        reason: String,
    },
    /// The config file cannot be read.
    #[error("cannot read the config file {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The config file is not TOML.
    #[error("{path} line {line}: {reason}")]
    Toml {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

fn did_you_mean(suggestions: &[String]) -> String {
    let quoted: Vec<String> = suggestions.iter().map(|name| format!("'{name}'")).collect();
    if quoted.is_empty() { String::new() } else { format!("; did you mean {}?", quoted.join(" or ")) }
}
