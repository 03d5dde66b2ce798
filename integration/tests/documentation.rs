//! What the documents say is what the code does, as far as a program can tell.
//!
//! `docs/flags.md` is made from the declared settings of master and agent, and from what they say of
//! upstream's other flags, the table in `docs/tls.md` from libprocess's;
//! `UPDATE_DOCS=1 cargo test -p integration --test processes documentation` writes them anew.
//! Links lead somewhere, source files that are named exist, every actor is in the table of actors, and every
//! source file says at its top what it is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use libprocess::tls::variables::{VARIABLES, Variable};
use mesos::settings::{Declared, Outcome, Policy, Setting, SettingsError, Sources, Unsupported, load};

/// Upstream's flags by daemon.
const UPSTREAM: &str = include_str!("data/upstream-flags.txt");
/// Those that are not settings of one daemon: every one prints its version with it.
const OF_EVERY_DAEMON: &str = "version";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

// ---- flags

/// A flag of upstream's.
struct Flag {
    name: &'static str,
    /// What it was called earlier.
    older: Vec<&'static str>,
}

/// The flags of a daemon, its own first, then those of its log.
fn upstream(daemon: &str) -> Vec<Flag> {
    let mut section = "";
    let mut flags = Vec::new();
    for line in UPSTREAM.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        } else if section == daemon || section == "logging" {
            let mut names = line.split_whitespace();
            flags.push(Flag { name: names.next().unwrap(), older: names.collect() });
        }
    }
    flags
}

/// What a daemon does about flags.
struct Daemon {
    name: &'static str,
    settings: Vec<Setting>,
    /// The settings that somebody must give, each with a value that is allowed.
    required: BTreeMap<String, &'static str>,
    unsupported: &'static [Unsupported],
    load: fn(Vec<String>) -> Result<(), SettingsError>,
}

impl Daemon {
    fn of<S: Declared>(
        name: &'static str,
        unsupported: &'static [Unsupported],
        load: fn(Vec<String>) -> Result<(), SettingsError>,
    ) -> Self {
        let mut daemon =
            Self { name, settings: S::declarations(), required: BTreeMap::new(), unsupported, load };
        while let Err(error) = daemon.refusal(None) {
            let SettingsError::Missing { name, .. } = error else { panic!("{name}: {error}") };
            let value = if name == "master" { "127.0.0.1:5050" } else { "/tmp/x" };
            assert!(daemon.required.insert(name, value).is_none(), "a required setting has no value here");
        }
        daemon
    }

    fn master() -> Self {
        Self::of::<master::Settings>("master", master::UNSUPPORTED, try_load::<master::Settings>)
    }

    fn agent() -> Self {
        Self::of::<agent::Settings>("agent", agent::UNSUPPORTED, try_load::<agent::Settings>)
    }

    /// Loads a config file.
    fn read(&self, file: &Path) -> Result<(), SettingsError> {
        (self.load)(vec![format!("--config={}", file.display())])
    }

    /// Loads with the required settings and one more flag.
    fn refusal(&self, flag: Option<&str>) -> Result<(), SettingsError> {
        let required = self.required.iter().map(|(name, value)| format!("--{name}={value}"));
        (self.load)(required.chain(flag.map(str::to_owned)).collect())
    }

    fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.is_called(name))
    }

    fn answer(&self, name: &str) -> Option<&'static Unsupported> {
        self.unsupported.iter().find(|other| other.name == name || other.aliases.contains(&name))
    }

    /// The row of one of upstream's flags.
    fn row(&self, flag: &Flag) -> String {
        let (what, more) = match (self.setting(flag.name), self.answer(flag.name).map(|other| other.policy)) {
            (Some(setting), _) => ("supported", self.default_of(setting)),
            (None, Some(Policy::Refuse(reason))) => ("refused", sentence(reason)),
            (None, Some(Policy::RefuseOn(reason))) => ("refused when on", sentence(reason)),
            (None, Some(Policy::Only(values, reason))) => {
                ("only as by default", format!("{} Allowed: {}.", sentence(reason), values.join(", ")))
            }
            (None, Some(Policy::Ignore(reason))) => ("accepted with a warning", sentence(reason)),
            (None, None) if flag.name == OF_EVERY_DAEMON => {
                ("supported", "Prints the version and ends.".to_owned())
            }
            (None, None) => ("**unknown**", String::new()),
        };
        let older: Vec<String> = flag.older.iter().map(|name| format!("`{name}`")).collect();
        let older = if older.is_empty() { String::new() } else { format!(" ({})", older.join(", ")) };
        format!("| `{}`{older} | {what} | {more} |\n", flag.name)
    }

    fn default_of(&self, setting: &Setting) -> String {
        match &setting.default {
            Some(default) if default.is_empty() => "Default: empty.".to_owned(),
            Some(default) => format!("Default: `{}`.", default.replace('|', "\\|")),
            None if self.required.contains_key(setting.name) => "Required.".to_owned(),
            None => "Unset by default.".to_owned(),
        }
    }

    /// Settings that upstream does not have.
    fn own(&self) -> Vec<&Setting> {
        let flags = upstream(self.name);
        let known = |name: &str| flags.iter().any(|flag| flag.name == name);
        self.settings.iter().filter(|setting| !known(setting.name)).collect()
    }
}

fn try_load<S: Declared>(arguments: Vec<String>) -> Result<(), SettingsError> {
    let unsupported = if S::PROGRAM == "mesos-master" { master::UNSUPPORTED } else { agent::UNSUPPORTED };
    match load::<S>(Sources::new(arguments, BTreeMap::new()), unsupported)? {
        Outcome::Run(_) => Ok(()),
        Outcome::Help(_) | Outcome::Version => panic!("the daemon would only print something"),
    }
}

/// A reason as a sentence of its own.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().replace('|', "\\|"))
}

/// The documentation comment of a setting as one line.
fn help(setting: &Setting) -> String {
    let words = setting.help.iter().flat_map(|line| line.split_whitespace());
    words.collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// Values that upstream allows and we refuse; the text is what the daemon says.
const NARROWER: &[(&str, &str)] = &[
    ("master", "--registry=replicated_log"),
    ("agent", "--containerizers=docker"),
    ("agent", "--isolation=cgroups/cpu"),
    ("agent", "--launcher=linux"),
];

const BEGINNING: &str = "\
# Flags

What the daemons do with each flag of Apache Mesos 1.11. This file is made from the code, and a test compares
the two: `UPDATE_DOCS=1 cargo test -p integration --test processes documentation` writes it anew. The sources are
`master/src/settings/mod.rs`, `agent/src/settings/mod.rs`, and of what is not there `master/src/settings/unsupported.rs` and
`agent/src/settings/unsupported.rs`.

- *Supported*: it does what upstream's does. `mesos master --help` and `mesos agent --help` explain each. Four
  defaults differ: `registry` is what elects with `--zk` (`zookeeper` or `etcd`), `local` for a single master with a
  `--work_dir`, and `in_memory` otherwise; without `webui_dir` the pages are those of the program; `launcher` is `posix`;
  and `domain_socket_location` is `agent.sock` in the work directory.
- *Refused*: the daemon does not start, and says why in one line. *Refused when on*: `--flag` and `--flag=true`
  are refused; `--no-flag` and `--flag=false` are what we do anyway.
- *Accepted with a warning*: ignoring it is safe. The daemon starts and logs a warning.

A flag can be given in four places. The later wins: built-in default, config file (`--config FILE` or
`MESOS_CONFIG`, TOML, `name = value`), environment (`MESOS_NAME`), command line (`--name=value`). Older names mean
the same. A value `file:///path`, and where JSON is wanted also `/path`, stands for the content of that file; where a path
is wanted, for the path. A name that nobody knows stops the start; in the environment it gives a warning, since it may be
another program's.

Upstream's variables `LIBPROCESS_*` are read by all commands of `mesos` but `demo` and `fetcher`: those of TLS as
`docs/tls.md` says, the others as `docs/nodes.md` says. `--ip`, `--port`, `--advertise_ip` and `--advertise_port` go before them.
";

fn render() -> String {
    let mut out = BEGINNING.to_owned();
    for daemon in [Daemon::master(), Daemon::agent()] {
        let flags = upstream(daemon.name);
        let _ = write!(
            out,
            "\n## Upstream's flags of the {}\n\n| flag | what we do | more |\n|---|---|---|\n",
            daemon.name
        );
        out.extend(flags.iter().map(|flag| daemon.row(flag)));
        let narrower: Vec<&str> =
            NARROWER.iter().filter(|(name, _)| *name == daemon.name).map(|(_, flag)| *flag).collect();
        let _ = write!(
            out,
            "\nValues of supported flags that are refused, with what the {} says:\n\n",
            daemon.name
        );
        for flag in narrower {
            let error = daemon.refusal(Some(flag)).expect_err("the value is refused");
            let _ = writeln!(out, "- `{flag}`: {error}");
        }
        let _ = write!(
            out,
            "\n## Our own settings of the {}\n\n| setting | meaning | more |\n|---|---|---|\n",
            daemon.name
        );
        let _ = writeln!(out, "| `config` | Read settings from this TOML file. | Unset by default. |");
        let _ = writeln!(out, "| `help` | Explain all settings and end. | |");
        for setting in daemon.own() {
            let _ =
                writeln!(out, "| `{}` | {} | {} |", setting.name, help(setting), daemon.default_of(setting));
        }
    }
    out
}

#[test]
fn the_table_of_flags_is_what_the_code_does() {
    is_up_to_date("docs/flags.md", |_| render());
}

#[test]
fn the_table_of_tls_variables_is_what_the_code_does() {
    is_up_to_date("docs/tls.md", |written| {
        let head = "| variable | default | what it does |\n|---|---|---|\n";
        let before = written.split(head).next().unwrap();
        let rows = VARIABLES.iter().map(|Variable { name, default, meaning }| {
            let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
            format!("| `{name}` | {default} | {meaning} |\n")
        });
        format!("{before}{head}{}", rows.collect::<String>())
    });
}

/// A document is what is rendered of it, or is made so.
fn is_up_to_date(document: &str, render: impl FnOnce(&str) -> String) {
    let path = workspace().join(document);
    let rendered = render(&std::fs::read_to_string(&path).unwrap_or_default());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &rendered).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(rendered.lines()).find(|(written, rendered)| written != rendered);
    assert!(
        written == rendered,
        "{document} is out of date; UPDATE_DOCS=1 writes it anew. First difference: {differs:?}"
    );
}

#[test]
fn every_flag_of_upstream_is_answered_once() {
    for daemon in [Daemon::master(), Daemon::agent()] {
        let mut wrong = Vec::new();
        for flag in upstream(daemon.name).iter().filter(|flag| flag.name != OF_EVERY_DAEMON) {
            let name = flag.name;
            match (daemon.setting(name), daemon.answer(name)) {
                (None, None) => wrong.push(format!("{name} is unknown")),
                (Some(_), Some(_)) => wrong.push(format!("{name} is both supported and not")),
                (Some(setting), None) => wrong.extend(unnamed(flag, setting.name, setting.aliases)),
                (None, Some(other)) => wrong.extend(unnamed(flag, other.name, other.aliases)),
            }
        }
        assert!(wrong.is_empty(), "{}: {}", daemon.name, wrong.join("; "));
    }
}

/// Names of a flag that its declaration lacks.
fn unnamed(flag: &Flag, name: &str, aliases: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    if name != flag.name {
        wrong.push(format!("{} is called {name}", flag.name));
    }
    let lacking = flag.older.iter().filter(|older| !aliases.contains(older));
    wrong.extend(lacking.map(|older| format!("{} lacks its older name {older}", flag.name)));
    wrong
}

#[test]
fn the_example_config_files_are_understood() {
    let mut read = 0;
    for entry in std::fs::read_dir(workspace().join("config")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            let daemon = if name.starts_with("master") { Daemon::master() } else { Daemon::agent() };
            daemon.read(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
            read += 1;
        }
    }
    assert_eq!(read, 6);
    // What its README shows of tables.
    let text = std::fs::read_to_string(workspace().join("config/README.md")).unwrap();
    let table = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), table).unwrap();
    Daemon::master().read(file.path()).unwrap();
}

#[test]
fn what_is_refused_or_ignored_is_upstreams() {
    for daemon in [Daemon::master(), Daemon::agent()] {
        let flags = upstream(daemon.name);
        let mut seen = BTreeSet::new();
        for other in daemon.unsupported {
            assert!(flags.iter().any(|flag| flag.name == other.name), "{}: {}", daemon.name, other.name);
            assert!(seen.insert(other.name), "{}: {} stands there twice", daemon.name, other.name);
        }
    }
}

#[test]
fn upstream_has_as_many_flags_as_were_counted() {
    let logging = upstream("logging").len();
    let counts = [upstream("master").len() - logging, upstream("agent").len() - logging, logging];
    assert_eq!(counts, [71, 160, 6]);
}

// ---- links and paths

/// The documents, relative to the workspace.
fn documents() -> Vec<PathBuf> {
    let mut documents = vec![PathBuf::from("README.md")];
    let entries = std::fs::read_dir(workspace().join("docs")).unwrap();
    let names = entries.map(|entry| Path::new("docs").join(entry.unwrap().file_name()));
    documents.extend(names.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    documents.sort();
    documents
}

fn text_of(document: &Path) -> String {
    std::fs::read_to_string(workspace().join(document))
        .unwrap_or_else(|error| panic!("{document:?}: {error}"))
}

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).collect()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| {
            let kept = heading.to_lowercase().replace(' ', "-");
            kept.chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect()
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut dead = Vec::new();
    let of_libprocess = PathBuf::from("libprocess/README.md");
    for document in documents().into_iter().chain([of_libprocess]) {
        let text = text_of(&document);
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                document.clone()
            } else {
                document.parent().unwrap_or(Path::new("")).join(path)
            };
            let exists = workspace().join(&target).exists();
            let anchored = anchor.is_empty() || (exists && anchors(&text_of(&target)).contains(anchor));
            if !exists || !anchored {
                dead.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

/// What may be a path in a text: runs of letters, digits and `_.-/`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let separates = |letter: char| !(letter.is_ascii_alphanumeric() || "_.-/".contains(letter));
    text.split(separates).map(|word| word.trim_end_matches('.')).filter(|word| !word.is_empty())
}

/// Whether a word of a document names a file or folder of the sources.
fn names_a_source(word: &str, folders: &BTreeSet<String>) -> bool {
    let extension = Path::new(word).extension().and_then(|extension| extension.to_str());
    if extension == Some("rs") {
        return true;
    }
    let Some((first, rest)) = word.split_once('/') else { return false };
    let is_file =
        extension.is_some_and(|extension| ["toml", "md", "proto", "py", "sh", "txt"].contains(&extension));
    folders.contains(first) && (is_file || rest.trim_end_matches('/').split('/').any(|part| part == "src"))
}

/// The folders at the top of the workspace.
fn folders() -> BTreeSet<String> {
    let entries = std::fs::read_dir(workspace()).unwrap().map(Result::unwrap);
    entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn source_files_that_documents_name_exist() {
    let folders = folders();
    let mut missing = Vec::new();
    for document in documents() {
        let text = text_of(&document);
        // The targets of links are relative to the document, and looked at above.
        let targets: BTreeSet<&str> = links(&text).into_iter().collect();
        let named = words(&text).filter(|word| names_a_source(word, &folders) && !targets.contains(word));
        missing.extend(
            named
                .filter(|word| !workspace().join(word).exists())
                .map(|word| format!("{}: {word}", document.display())),
        );
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn a_word_is_taken_for_a_source_only_if_it_looks_like_one() {
    let folders = BTreeSet::from(["master".to_owned(), "config".to_owned()]);
    for word in ["master/src/calls", "master/src/master.rs", "startup.rs", "config/master.toml"] {
        assert!(names_a_source(word, &folders), "{word}");
    }
    for word in ["master/slaves_active", "meta/slaves", "etc/x.toml", "master", "and/or"] {
        assert!(!names_a_source(word, &folders), "{word}");
    }
    let found: Vec<&str> = words("see `master/src/a.rs`, and b.rs.").collect();
    assert_eq!(found, ["see", "master/src/a.rs", "and", "b.rs"]);
}

// ---- sources

/// All Rust files of the workspace, but not what was built.
fn rust_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut waiting = vec![workspace()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[test]
fn every_source_file_says_at_its_top_what_it_is() {
    let files = rust_files();
    assert!(files.len() > 100, "the sources were not found: {} files", files.len());
    let silent: Vec<String> = files
        .iter()
        .filter(|path| path.file_name().is_some_and(|name| name != "build.rs"))
        .filter(|path| !std::fs::read_to_string(path).unwrap().starts_with("//!"))
        .map(|path| path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "these do not open with `//!`:\n{}", silent.join("\n"));
}

/// The names of the actors that a source file defines, tests left out.
fn actors(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or(source);
    let definitions = source.split("Process for ").skip(1);
    definitions
        .filter_map(|definition| {
            let (_, rest) = definition.split_once("const NAME: &'static str = \"")?;
            rest.split_once('"').map(|(name, _)| name.to_owned())
        })
        .collect()
}

#[test]
fn every_actor_is_in_the_table_of_actors() {
    let architecture = text_of(Path::new("docs/architecture.md"));
    let sources = rust_files();
    let is_part = |path: &Path, name: &str| path.components().any(|part| part.as_os_str() == name);
    // The actors of tests are nobody's business.
    let in_src = sources.iter().filter(|path| is_part(path, "src") && !is_part(path, "tests"));
    let names: BTreeSet<String> =
        in_src.flat_map(|path| actors(&std::fs::read_to_string(path).unwrap())).collect();
    assert!(names.contains("master") && names.contains("slave") && names.len() > 15, "{names:?}");
    let listed = |name: &str| {
        architecture.contains(&format!("`{name}`")) || architecture.contains(&format!("`{name}("))
    };
    let missing: Vec<&String> = names.iter().filter(|name| !listed(name)).collect();
    assert!(missing.is_empty(), "not in docs/architecture.md: {missing:?}");
}
