//! Collects the settings' texts from the four places and builds the typed struct.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    Declared, Origin, Setting, SettingValue, SettingsError,
    args::{self, Given, Kind},
    file, help,
};
use crate::text;

/// Variables of the environment that count begin with this.
const PREFIX: &str = "MESOS_";

/// Values longer than this are shortened in messages.
const SHOWN_VALUE: usize = 200;

/// Where settings are read from.
#[derive(Clone, Default, Debug)]
pub struct Sources {
    /// The command line, without the program and its subcommand.
    pub args: Vec<String>,
    /// The environment; only `MESOS_*` is looked at. `None`: a program that listens to no environment.
    pub env: Option<BTreeMap<String, String>>,
}

impl Sources {
    /// From both.
    #[must_use]
    pub fn new(args: impl IntoIterator<Item = String>, env: BTreeMap<String, String>) -> Self {
        Self { args: args.into_iter().collect(), env: Some(env) }
    }

    /// From the command line (and the file that it names) alone.
    #[must_use]
    pub fn arguments(args: impl IntoIterator<Item = String>) -> Self {
        Self { args: args.into_iter().collect(), env: None }
    }
}

/// What is done about a setting of upstream's that we do not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// It would change what the daemon does: the start is refused with this reason, which says what
    /// to use instead.
    Refuse(&'static str),
    /// A switch that would change what the daemon does when on: on is refused with this reason, off
    /// is what we do anyway.
    RefuseOn(&'static str),
    /// One of these values asks for what is done anyway; any other is refused with this reason.
    Only(&'static [&'static str], &'static str),
    /// Ignoring it is safe: accepted with this warning.
    Ignore(&'static str),
}

/// A setting of upstream's that we do not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsupported {
    /// Upstream's flag.
    pub name: &'static str,
    /// Upstream's older names of it.
    pub aliases: &'static [&'static str],
    /// What is done about it.
    pub policy: Policy,
}

impl Unsupported {
    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub enum Outcome<S> {
    /// To run with these settings.
    Run(Loaded<S>),
    /// To print this text (`--help`) and end.
    Help(String),
    /// To print the version and end.
    Version,
}

/// Settings, ready to run with.
#[derive(Clone, Debug)]
pub struct Loaded<S> {
    /// The typed settings.
    pub settings: S,
    /// What should be logged as a warning, once there is a log.
    pub warnings: Vec<String>,
    /// What is set, as text by name, for `/flags`.
    pub flags: BTreeMap<String, String>,
    /// Where what is not a default came from.
    pub origins: BTreeMap<String, Origin>,
}

/// Reads a daemon's settings.
///
/// # Errors
/// The first thing that is wrong; see [`SettingsError`].
pub fn load<S: Declared>(sources: Sources, unsupported: &[Unsupported]) -> Result<Outcome<S>, SettingsError> {
    load_with(sources, unsupported, file::read)
}

/// As [`load`], with another way to read the config file.
pub(super) fn load_with<S: Declared>(
    sources: Sources,
    unsupported: &[Unsupported],
    read: impl Fn(&Path) -> Result<Vec<file::Entry>, SettingsError>,
) -> Result<Outcome<S>, SettingsError> {
    let declared = S::declarations();
    let given = args::split(&sources.args, |name| kind_of(&declared, unsupported, name))?;
    if asks(&given, "help")? {
        return Ok(Outcome::Help(help::text(S::PROGRAM, &declared, sources.env.is_some())));
    }
    if asks(&given, "version")? {
        return Ok(Outcome::Version);
    }
    let env = sources.env.unwrap_or_default();
    let mut collector = Collector::new(&declared, unsupported);
    if let Some(path) = config_path(&given, &env)? {
        collector.file(&path, read(&path)?)?;
    }
    collector.environment(&env)?;
    collector.flags(given)?;
    let settings = S::build(&collector.values)?;
    let origins = collector.values.origins();
    Ok(Outcome::Run(Loaded { flags: settings.effective(), warnings: collector.warnings, origins, settings }))
}

fn kind_of(declared: &[Setting], unsupported: &[Unsupported], name: &str) -> Kind {
    let valued = |valued: bool| if valued { Kind::Valued } else { Kind::Switch };
    if let Some(setting) = declared.iter().find(|setting| setting.is_called(name)) {
        return valued(!setting.is_switch);
    }
    match name {
        "help" | "version" => Kind::Switch,
        "config" => Kind::Valued,
        _ => match unsupported.iter().find(|other| other.is_called(name)) {
            Some(other) => valued(!matches!(other.policy, Policy::RefuseOn(_))),
            None => Kind::Unknown,
        },
    }
}

/// Whether the command line asks for `--help` or `--version`, which are switches like others.
fn asks(given: &[Given], name: &str) -> Result<bool, SettingsError> {
    let Some(flag) = given.iter().rev().find(|flag| flag.name == name) else { return Ok(false) };
    match flag.value.as_deref() {
        None => Ok(!flag.negated),
        Some(value) => bool::read(value).map_err(|_| SettingsError::Value {
            name: name.to_owned(),
            value: shown(value),
            origin: Origin::Flag(flag.flag.clone()),
            reason: format!("expected {}", bool::ALLOWED),
        }),
    }
}

fn config_path(given: &[Given], env: &BTreeMap<String, String>) -> Result<Option<PathBuf>, SettingsError> {
    let missing =
        || SettingsError::NoValue { flag: "--config".into(), allowed: "the path of a TOML file".into() };
    match given.iter().rev().find(|g| g.name == "config") {
        Some(flag) => {
            flag.value.as_deref().filter(|v| !v.is_empty()).map(PathBuf::from).ok_or_else(missing).map(Some)
        }
        None => Ok(env.get("MESOS_CONFIG").map(PathBuf::from)),
    }
}

/// Says why a value that could be read is nevertheless not allowed.
pub type Check<T> = fn(&T) -> Result<(), String>;

/// The texts by setting, from everywhere but the defaults.
#[derive(Clone, Default, Debug)]
pub struct Values {
    texts: BTreeMap<&'static str, (String, Origin)>,
}

impl Values {
    /// The typed value of one setting: what was given, else the default.
    ///
    /// # Errors
    /// When it is missing or not allowed.
    pub fn take<T: SettingValue>(
        &self,
        name: &'static str,
        default: Option<fn() -> T>,
        check: Option<Check<T>>,
    ) -> Result<T, SettingsError> {
        let Some((text, origin)) = self.texts.get(name) else {
            let value = default.map(|default| default()).or_else(T::when_unset);
            return value.ok_or_else(|| SettingsError::Missing {
                name: name.to_owned(),
                allowed: T::ALLOWED.to_owned(),
            });
        };
        let wrong = |reason: String| SettingsError::Value {
            name: name.to_owned(),
            value: shown(text),
            origin: origin.clone(),
            reason,
        };
        let content = content_of::<T>(text).map_err(wrong)?;
        let expected = |reason: String| {
            let detail = if reason.is_empty() { reason } else { format!(" ({reason})") };
            wrong(format!("expected {}{detail}", T::ALLOWED))
        };
        let value = T::read(&content).map_err(expected)?;
        if let Some(check) = check {
            check(&value).map_err(wrong)?;
        }
        Ok(value)
    }

    fn origins(&self) -> BTreeMap<String, Origin> {
        self.texts.iter().map(|(name, (_, origin))| ((*name).to_owned(), origin.clone())).collect()
    }
}

/// The text itself, or the content of the file that it names.
fn content_of<T: SettingValue>(text: &str) -> Result<String, String> {
    let path = match text.strip_prefix("file://") {
        Some(path) if T::FROM_FILE => path,
        None if T::IS_JSON && text.starts_with('/') => text,
        _ => return Ok(text.to_owned()),
    };
    let content = std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    Ok(content.trim_end().to_owned())
}

/// A value as a message shows it: not too long, and without a password.
fn shown(text: &str) -> String {
    let text = text::without_password(text);
    match text.char_indices().nth(SHOWN_VALUE) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

struct Collector<'a> {
    declared: &'a [Setting],
    unsupported: &'a [Unsupported],
    values: Values,
    warnings: Vec<String>,
}

impl<'a> Collector<'a> {
    fn new(declared: &'a [Setting], unsupported: &'a [Unsupported]) -> Self {
        Self { declared, unsupported, values: Values::default(), warnings: Vec::new() }
    }

    fn setting(&self, name: &str) -> Option<&'a Setting> {
        self.declared.iter().find(|setting| setting.is_called(name))
    }

    fn file(&mut self, path: &Path, entries: Vec<file::Entry>) -> Result<(), SettingsError> {
        for entry in entries {
            let origin = Origin::File { path: path.to_owned(), line: entry.line };
            match self.setting(&entry.name) {
                Some(setting) => {
                    // The same setting by its name and by an alias.
                    self.refuse_repetition(setting.name, &origin)?;
                    self.values.texts.insert(setting.name, (entry.value, origin));
                }
                None => self.not_ours(&entry.name, Some(&entry.value), origin)?,
            }
        }
        Ok(())
    }

    /// Variables that are nobody's may belong to another program: they only give a warning.
    fn environment(&mut self, env: &BTreeMap<String, String>) -> Result<(), SettingsError> {
        for (variable, value) in env {
            let Some(name) = variable.strip_prefix(PREFIX).map(str::to_lowercase) else { continue };
            let origin = Origin::Environment(variable.clone());
            match self.setting(&name) {
                Some(setting) => {
                    self.refuse_repetition(setting.name, &origin)?;
                    self.values.texts.insert(setting.name, (value.clone(), origin));
                }
                None if name == "config" => {}
                None => match self.not_ours(&name, Some(value), origin) {
                    Err(SettingsError::Unknown { suggestions, .. }) => {
                        let near =
                            suggestions.first().map(|near| format!(" (near MESOS_{})", near.to_uppercase()));
                        let near = near.unwrap_or_default();
                        self.warnings.push(format!("environment {variable} is no setting and ignored{near}"));
                    }
                    other => other?,
                },
            }
        }
        Ok(())
    }

    fn flags(&mut self, given: Vec<Given>) -> Result<(), SettingsError> {
        for flag in given {
            let origin = Origin::Flag(flag.flag.clone());
            if matches!(flag.name.as_str(), "config" | "help" | "version") {
                continue;
            }
            let Some(setting) = self.setting(&flag.name) else {
                let value = if flag.negated { Some("false") } else { flag.value.as_deref() };
                self.not_ours(&flag.name, value, origin)?;
                continue;
            };
            self.refuse_repetition(setting.name, &origin)?;
            let text = flag_text(setting, flag)?;
            self.values.texts.insert(setting.name, (text, origin));
        }
        Ok(())
    }

    /// Twice in one place is a mistake; in two places the later wins.
    fn refuse_repetition(&self, name: &str, second: &Origin) -> Result<(), SettingsError> {
        match self.values.texts.get(name) {
            Some((_, first)) if std::mem::discriminant(first) == std::mem::discriminant(second) => {
                Err(SettingsError::Twice {
                    name: name.to_owned(),
                    first: first.clone(),
                    second: second.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    fn not_ours(&mut self, name: &str, value: Option<&str>, origin: Origin) -> Result<(), SettingsError> {
        let Some(other) = self.unsupported.iter().find(|other| other.is_called(name)) else {
            return Err(SettingsError::Unknown {
                name: name.to_owned(),
                origin,
                suggestions: self.near(name),
            });
        };
        let off = matches!(value, Some("false" | "0"));
        match other.policy {
            Policy::Ignore(warning) => {
                self.warnings.push(format!("setting '{name}' ({origin}) is ignored: {warning}"));
                Ok(())
            }
            Policy::RefuseOn(_) if off => Ok(()),
            Policy::Only(values, _) if value.is_some_and(|value| values.contains(&value)) => Ok(()),
            Policy::Refuse(reason) | Policy::RefuseOn(reason) | Policy::Only(_, reason) => {
                Err(SettingsError::Unsupported { name: name.to_owned(), origin, reason: reason.to_owned() })
            }
        }
    }

    /// At most three names that the given one could have meant, the nearest first.
    fn near(&self, name: &str) -> Vec<String> {
        let wanted = name.replace('-', "_").to_lowercase();
        let tolerated = (wanted.len() / 3).clamp(1, 4);
        let names =
            self.declared.iter().flat_map(|s| std::iter::once(s.name).chain(s.aliases.iter().copied()));
        let mut near: Vec<(usize, &str)> = names
            .chain(["config", "help", "version"])
            // The same word: it is one that has no place where it stands.
            .filter(|candidate| *candidate != name)
            .map(|candidate| (text::edit_distance(&wanted, candidate), candidate))
            .filter(|(distance, _)| *distance <= tolerated)
            .collect();
        near.sort_unstable();
        let best = near.first().map_or(0, |(distance, _)| *distance);
        near.into_iter()
            .take_while(|(d, _)| *d <= best + 1)
            .take(3)
            .map(|(_, name)| name.to_owned())
            .collect()
    }
}

fn flag_text(setting: &Setting, flag: Given) -> Result<String, SettingsError> {
    let Given { flag, name, value, negated } = flag;
    if negated && (!setting.is_switch || value.is_some()) {
        return Err(SettingsError::NotASwitch { flag, name, allowed: setting.allowed.to_owned() });
    }
    match value {
        Some(value) => Ok(value),
        None if setting.is_switch => Ok((!negated).to_string()),
        None => Err(SettingsError::NoValue { flag, allowed: setting.allowed.to_owned() }),
    }
}
