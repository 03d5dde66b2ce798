//! The settings as an operator meets them: order of sources, messages, help.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::*;
use crate::bytes::Size;

crate::settings! {
    /// Settings of the tests.
    struct Settings for "mesos-test" {
        "Network" {
            /// Port to listen on.
            port: u16 = 5050,
            /// How long to wait for an answer to a ping, before
            /// it counts as missing.
            agent_ping_timeout | slave_ping_timeout: Duration = Duration::from_secs(15)
                => |timeout| within(timeout, Duration::from_secs(1)..=Duration::from_secs(900)),
            /// ZooKeeper's address.
            zk: Option<String>,
        }
        "Storage" {
            /// Where everything is kept.
            work_dir: PathBuf,
            /// Room for the cache.
            cache_size: Size = Size(2 << 30),
            /// Looks up the host's name.
            hostname_lookup: bool = true,
            /// Access control.
            acls: Option<serde_json::Value>,
            /// What every path begins with.
            home: String = String::new(),
        }
    }
}

const UNSUPPORTED: &[Unsupported] = &[
    Unsupported {
        name: "quorum",
        aliases: &[],
        policy: Policy::Refuse("there is no replicated log; use --zk"),
    },
    Unsupported { name: "memory_profiling", aliases: &[], policy: Policy::RefuseOn("there is no jemalloc") },
    Unsupported {
        name: "role_sorter",
        aliases: &[],
        policy: Policy::Only(&["drf"], "drf is the only order"),
    },
    Unsupported { name: "logbufsecs", aliases: &[], policy: Policy::Ignore("logs are never buffered") },
];

fn load_from(args: &[&str], env: &[(&str, &str)]) -> Result<Outcome<Settings>, SettingsError> {
    let args = args.iter().map(|&arg| arg.to_owned());
    let env: BTreeMap<_, _> = env.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    load::<Settings>(Sources::new(args, env), UNSUPPORTED)
}

fn run(args: &[&str], env: &[(&str, &str)]) -> Loaded<Settings> {
    match load_from(args, env).unwrap() {
        Outcome::Run(loaded) => loaded,
        other => panic!("{other:?}"),
    }
}

fn message(args: &[&str], env: &[(&str, &str)]) -> String {
    let message = load_from(args, env).unwrap_err().to_string();
    assert!(!message.contains('\n'), "one line: {message}");
    message
}

/// A config file that is removed again.
struct ConfigFile(PathBuf);

impl ConfigFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mesos-settings-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn flag(&self) -> String {
        format!("--config={}", self.0.display())
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let file = ConfigFile::new("order", "port = 1\nzk = \"file\"\nwork_dir = \"/file\"\n");
    let config = file.flag();
    assert_eq!(run(&["--work_dir=/w"], &[]).settings.port, 5050);
    assert_eq!(run(&[&config], &[]).settings.port, 1);
    assert_eq!(run(&[&config], &[("MESOS_PORT", "2")]).settings.port, 2);
    let loaded = run(&[&config, "--port", "3"], &[("MESOS_PORT", "2"), ("MESOS_ZK", "env")]);
    assert_eq!((loaded.settings.port, loaded.settings.zk.as_deref()), (3, Some("env")));
    assert_eq!(loaded.settings.work_dir, PathBuf::from("/file"));
    assert_eq!(loaded.origins["port"], Origin::Flag("--port".into()));
}

#[test]
fn the_config_file_can_be_named_by_the_environment() {
    let file = ConfigFile::new("env", "port = 7\nwork_dir = \"/w\"\n");
    let path = file.0.display().to_string();
    assert_eq!(run(&[], &[("MESOS_CONFIG", &path)]).settings.port, 7);
}

#[test]
fn switches_are_turned_on_and_off_in_three_ways() {
    for (flag, on) in
        [("--hostname_lookup", true), ("--no-hostname_lookup", false), ("--hostname_lookup=false", false)]
    {
        assert_eq!(run(&["--work_dir=/w", flag], &[]).settings.hostname_lookup, on, "{flag}");
    }
    assert_eq!(
        message(&["--no-port"], &[]),
        "--no-port is not possible: 'port' is not a switch; it takes a whole number from 0 to 65535"
    );
}

#[test]
fn an_alias_is_the_same_setting() {
    let loaded = run(&["--work_dir=/w", "--slave_ping_timeout=20secs"], &[]);
    assert_eq!(loaded.settings.agent_ping_timeout, Duration::from_secs(20));
    assert_eq!(
        message(&["--slave_ping_timeout=20secs", "--agent_ping_timeout=1secs"], &[]),
        "setting 'agent_ping_timeout' is given twice (flag --slave_ping_timeout and flag --agent_ping_timeout)"
    );
    let both = [("MESOS_SLAVE_PING_TIMEOUT", "20secs"), ("MESOS_AGENT_PING_TIMEOUT", "1secs")];
    assert_eq!(
        message(&["--work_dir=/w"], &both),
        "setting 'agent_ping_timeout' is given twice (environment MESOS_AGENT_PING_TIMEOUT and environment \
         MESOS_SLAVE_PING_TIMEOUT)"
    );
}

#[test]
fn effective_settings_print_as_upstreams_flags() {
    let loaded = run(&["--work_dir=/w", "--acls={\"a\": 1}"], &[]);
    let flags: Vec<_> = loaded.flags.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(
        flags,
        [
            "acls={\"a\":1}",
            "agent_ping_timeout=15secs",
            "cache_size=2GB",
            "home=",
            "hostname_lookup=true",
            "port=5050",
            "work_dir=/w"
        ]
    );
}

#[test]
fn a_misspelt_flag_is_named_with_its_neighbours() {
    assert_eq!(
        message(&["--wrok_dir=/w"], &[]),
        "unknown setting 'wrok_dir' (flag --wrok_dir); did you mean 'work_dir'?"
    );
    assert_eq!(
        message(&["--work-dir=/w"], &[]),
        "unknown setting 'work-dir' (flag --work-dir); did you mean 'work_dir'?"
    );
    assert_eq!(message(&["--xyzzy"], &[]), "unknown setting 'xyzzy' (flag --xyzzy)");
    assert_eq!(message(&["stray"], &[]), "unexpected argument 'stray': settings are given as --name=value");
}

#[test]
fn a_misspelt_key_is_named_with_its_line() {
    let file = ConfigFile::new("key", "# the master\nport = 1\nwork_dri = \"/w\"\n");
    assert_eq!(
        message(&[&file.flag()], &[]),
        format!("unknown setting 'work_dri' ({} line 3); did you mean 'work_dir'?", file.0.display())
    );
}

#[test]
fn a_bad_value_is_named_with_its_place_and_what_is_allowed() {
    assert_eq!(
        message(&["--port=70000"], &[]),
        "'70000' is not allowed for setting 'port' (flag --port): expected a whole number from 0 to 65535"
    );
    assert_eq!(
        message(&["--work_dir=/w"], &[("MESOS_HOSTNAME_LOOKUP", "yes")]),
        "'yes' is not allowed for setting 'hostname_lookup' (environment MESOS_HOSTNAME_LOOKUP): expected true or false"
    );
    let file = ConfigFile::new("value", "\nagent_ping_timeout = 15\n");
    let text = message(&[&file.flag()], &[]);
    assert!(
        text.contains("line 2") && text.contains("like 15secs") && text.contains("Invalid duration '15'"),
        "{text}"
    );
    assert_eq!(
        message(&["--agent_ping_timeout=1hrs"], &[]),
        "'1hrs' is not allowed for setting 'agent_ping_timeout' (flag --agent_ping_timeout): expected 1secs to 15mins"
    );
    assert_eq!(message(&["--port"], &[]), "--port needs a value: a whole number from 0 to 65535");
}

#[test]
fn a_required_setting_says_how_to_give_it() {
    assert_eq!(
        message(&[], &[]),
        "setting 'work_dir' is required: give --work_dir=VALUE, MESOS_WORK_DIR or 'work_dir' in the config file (a path)"
    );
}

#[test]
fn settings_that_we_do_not_have_are_refused_or_ignored_by_the_table() {
    assert_eq!(
        message(&["--quorum=2"], &[]),
        "setting 'quorum' (flag --quorum) is not supported: there is no replicated log; use --zk"
    );
    assert_eq!(
        message(&["--memory_profiling"], &[]),
        "setting 'memory_profiling' (flag --memory_profiling) is not supported: there is no jemalloc"
    );
    assert!(
        message(&[], &[("MESOS_QUORUM", "2")]).starts_with("setting 'quorum' (environment MESOS_QUORUM)")
    );
    let loaded = run(&["--work_dir=/w", "--logbufsecs", "5", "--no-memory_profiling"], &[]);
    assert_eq!(
        loaded.warnings,
        ["setting 'logbufsecs' (flag --logbufsecs) is ignored: logs are never buffered"]
    );
}

#[test]
fn unknown_variables_only_warn() {
    let loaded = run(&["--work_dir=/w"], &[("MESOS_PROT", "1"), ("PATH", "/bin")]);
    assert_eq!(loaded.warnings, ["environment MESOS_PROT is no setting and ignored (near MESOS_PORT)"]);
}

#[test]
fn a_value_can_stand_in_a_file_of_its_own() {
    let file = ConfigFile::new("json", "{\"permissive\": true}\n");
    let acls = format!("--acls=file://{}", file.0.display());
    let loaded = run(&["--work_dir=file:///w", &acls], &[]);
    assert_eq!(loaded.settings.acls.unwrap()["permissive"], true);
    assert_eq!(loaded.settings.work_dir, PathBuf::from("/w"));
    // JSON may also be named as upstream's help has it: `/path/to/file`.
    let acls = format!("--acls={}", file.0.display());
    assert_eq!(run(&["--work_dir=/w", &acls], &[]).settings.acls.unwrap()["permissive"], true);
    for nowhere in ["--acls=file:///nowhere", "--acls=/nowhere"] {
        let text = message(&["--work_dir=/w", nowhere], &[]);
        assert!(text.contains("cannot read /nowhere"), "{text}");
    }
    // Who writes what is none of these is told of all.
    let text = message(&["--work_dir=/w", "--acls=relative/path"], &[]);
    assert!(text.contains("expected JSON, or /path or file:///path of a file with it"), "{text}");
}

#[test]
fn lists_and_tables_of_the_config_file_are_json() {
    let file = ConfigFile::new("table", "work_dir = \"/w\"\n[acls]\npermissive = false\n");
    assert_eq!(run(&[&file.flag()], &[]).settings.acls.unwrap()["permissive"], false);
}

#[test]
fn a_config_file_that_is_not_there_or_no_toml_is_named() {
    assert!(
        message(&["--config=/nowhere.toml"], &[]).starts_with("cannot read the config file /nowhere.toml: ")
    );
    let file = ConfigFile::new("broken", "port = 1\nip =\n");
    assert!(message(&[&file.flag()], &[]).starts_with(&format!("{} line 2: ", file.0.display())));
}

#[test]
fn help_lists_every_setting_under_its_heading() {
    let Outcome::Help(text) = load_from(&["--help", "--port=nonsense"], &[]).unwrap() else { panic!() };
    for part in [
        "Usage: mesos-test",
        "Network:\n  --port=NUMBER\n      Port to listen on.\n      Default: 5050.",
        "  --agent_ping_timeout=DURATION\n      How long to wait for an answer to a ping, before it counts as missing.",
        "Also called slave_ping_timeout.",
        "Storage:\n  --work_dir=PATH\n      Where everything is kept.\n      Required.\n",
        "  --zk=TEXT\n      ZooKeeper's address.\n      No default.\n",
        "      What every path begins with.\n      Default: empty.\n",
        "  --[no-]hostname_lookup\n",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100));
    assert!(text.contains("(MESOS_NAME=value)"));
    let without = load::<Settings>(Sources::arguments(["--help".to_owned()]), UNSUPPORTED).unwrap();
    assert!(matches!(without, Outcome::Help(text) if !text.contains("MESOS_NAME")));
}

#[test]
fn help_and_version_are_switches_like_others() {
    assert!(matches!(load_from(&["--version"], &[]), Ok(Outcome::Version)));
    assert!(matches!(load_from(&["--version=true"], &[]), Ok(Outcome::Version)));
    assert!(matches!(load_from(&["--help=1", "--version"], &[]), Ok(Outcome::Help(_))));
    for no in ["--no-version", "--version=false", "--no-help"] {
        assert_eq!(run(&["--work_dir=/w", no], &[]).settings.port, 5050);
    }
    assert_eq!(
        message(&["--version=perhaps"], &[]),
        "'perhaps' is not allowed for setting 'version' (flag --version): expected true or false"
    );
    let file = ConfigFile::new("version", "version = true\n");
    assert!(message(&[&file.flag()], &[]).ends_with("line 1)"));
}

#[test]
fn a_setting_that_has_one_possible_value_takes_that_and_refuses_others() {
    let refused = message(&["--work_dir=/w", "--role_sorter=random"], &[]);
    assert!(refused.contains("role_sorter") && refused.contains("drf is the only order"), "{refused}");
    assert!(run(&["--work_dir=/w", "--role_sorter=drf"], &[]).warnings.is_empty());
}
