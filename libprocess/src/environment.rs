//! Settings of a node from upstream's environment variables, `LIBPROCESS_*` (`3rdparty/libprocess/src/process.cpp`,
//! `Flags`; `metrics/metrics.cpp`; upstream's docs/configuration/libprocess.md explains them).
//!
//! Pure: the program collects the environment, nobody here reads it. [`VARIABLES`] is the table in docs/nodes.md. What is
//! misspelt is an error, or a warning if it is only a name: other programs may have such a variable. Those of TLS are
//! [`crate::tls::variables`]'s.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

use crate::limiter::Rate;
use crate::tls;

/// What the names begin with.
pub const PREFIX: &str = "LIBPROCESS_";

/// One of the variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Without [`PREFIX`].
    pub name: &'static str,
    /// What its value looks like; empty if this node does not heed it.
    pub form: &'static str,
    /// What it does here.
    pub meaning: &'static str,
}

const fn variable(name: &'static str, form: &'static str, meaning: &'static str) -> Variable {
    Variable { name, form, meaning }
}

/// All of upstream's but those of TLS.
pub const VARIABLES: [Variable; 11] = [
    variable(IP, "an address", "Where to listen, if the program does not say. Default: on all addresses."),
    variable(
        PORT,
        "0 to 65535",
        "The port to listen on, if the program does not say. 0, the default, lets the kernel choose.",
    ),
    variable(
        ADVERTISE_IP,
        "an address",
        "The address in the pids of this node: where others reach it. Default: where it listens; if that is everywhere, where its host's name leads.",
    ),
    variable(ADVERTISE_PORT, "1 to 65535", "The port in the pids of this node. It is not listened on."),
    variable(
        REQUIRE_MATCH,
        "true or false",
        "Refuse messages (400) whose sender's pid has another address than their connection comes from. Default: `false`.",
    ),
    variable(
        SNAPSHOT_RATE,
        "`<requests>/<duration>`",
        "How often `/metrics/snapshot` is answered; as often as asked if it is empty. Default: `2/1secs`.",
    ),
    variable("IP6", "", "No node listens on two addresses; give an IPv6 address as `LIBPROCESS_IP`."),
    variable("NUM_WORKER_THREADS", "", "Threads are not in a pool: each place has one (`Place`)."),
    variable("LIBEV_NUM_IO_THREADS", "", "One thread has all connections."),
    variable(
        "ENABLE_PROFILER",
        "",
        "A node has `/profiler/start` if it was built with the cargo feature `profiler`.",
    ),
    variable(
        "MEMORY_PROFILING",
        "",
        "No heap profiles are taken; the cargo feature `allocation-stats` shows totals.",
    ),
];

const IP: &str = "IP";
const PORT: &str = "PORT";
const ADVERTISE_IP: &str = "ADVERTISE_IP";
const ADVERTISE_PORT: &str = "ADVERTISE_PORT";
const REQUIRE_MATCH: &str = "REQUIRE_PEER_ADDRESS_IP_MATCH";
const SNAPSHOT_RATE: &str = "METRICS_SNAPSHOT_ENDPOINT_RATE_LIMIT";

/// What an environment says; see [`crate::NodeBuilder::environment`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Where to listen.
    pub ip: Option<IpAddr>,
    /// The port to listen on.
    pub port: Option<u16>,
    /// The address that others use.
    pub advertise_ip: Option<IpAddr>,
    /// The port that others use.
    pub advertise_port: Option<u16>,
    /// Whether messages must come from where their sender lives.
    pub require_peer_address_ip_match: bool,
    /// How often `/metrics/snapshot` is answered. Outer `None`: not set; inner: no limit.
    pub snapshot_rate: Option<Option<Rate>>,
    /// What an operator should know, a line each.
    pub warnings: Vec<String>,
}

/// A variable whose value is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the environment variable {name}='{value}': expected {expected}")]
pub struct EnvironmentError {
    /// The variable.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What would be right.
    pub expected: String,
}

impl Environment {
    /// Reads the variables; others than `LIBPROCESS_*` are passed over.
    ///
    /// # Errors
    /// [`EnvironmentError`].
    pub fn read(environment: &BTreeMap<String, String>) -> Result<Environment, EnvironmentError> {
        let reader = Reader(environment);
        let advertise_port = reader.parse(ADVERTISE_PORT, "a port from 1 to 65535")?;
        Ok(Environment {
            ip: reader.parse(IP, "an IP address")?,
            port: reader.parse(PORT, "a port from 0 to 65535")?,
            advertise_ip: reader.parse(ADVERTISE_IP, "an IP address")?,
            advertise_port: advertise_port.map(NonZeroU16::get),
            require_peer_address_ip_match: reader.switch(REQUIRE_MATCH)?,
            snapshot_rate: reader.rate()?,
            warnings: reader.warnings(),
        })
    }
}

struct Reader<'a>(&'a BTreeMap<String, String>);

impl<'a> Reader<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(&format!("{PREFIX}{name}")).map(String::as_str)
    }

    fn parse<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, EnvironmentError> {
        let parse = |text: &str| text.trim().parse().map_err(|_| error(name, text, expected));
        self.get(name).map(parse).transpose()
    }

    /// As upstream's flags: present without a value means true.
    fn switch(&self, name: &str) -> Result<bool, EnvironmentError> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(other) => Err(error(name, other, "true or false")),
        }
    }

    fn rate(&self) -> Result<Option<Option<Rate>>, EnvironmentError> {
        match self.get(SNAPSHOT_RATE) {
            None => Ok(None),
            Some("") => Ok(Some(None)),
            Some(text) => match text.parse() {
                Ok(rate) => Ok(Some(Some(rate))),
                Err(cause) => Err(error(SNAPSHOT_RATE, text, &format!("a rate ({cause})"))),
            },
        }
    }

    fn warnings(&self) -> Vec<String> {
        let ours = self.0.keys().filter(|key| !key.starts_with(tls::variables::PREFIX));
        let ours = ours.filter_map(|key| key.strip_prefix(PREFIX));
        let warn = |name| match VARIABLES.iter().find(|variable| variable.name == name) {
            Some(Variable { form: "", meaning, .. }) => {
                Some(format!("{PREFIX}{name} is not heeded: {meaning}"))
            }
            Some(_) => None,
            None => Some(format!("there is no variable {PREFIX}{name}")),
        };
        ours.filter_map(warn).collect()
    }
}

fn error(name: &str, value: &str, expected: &str) -> EnvironmentError {
    EnvironmentError {
        name: format!("{PREFIX}{name}"),
        value: value.to_owned(),
        expected: expected.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Environment::read(&variables.collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_set_is_read() {
        assert_eq!(read(&[("PATH", "/bin"), ("IP", "nonsense")]), Ok(Environment::default()));
        let all = read(&[
            ("LIBPROCESS_IP", "10.0.0.1"),
            ("LIBPROCESS_PORT", "0"),
            ("LIBPROCESS_ADVERTISE_IP", "::1"),
            ("LIBPROCESS_ADVERTISE_PORT", " 77 "),
            ("LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH", "true"),
            ("LIBPROCESS_METRICS_SNAPSHOT_ENDPOINT_RATE_LIMIT", "100/10secs"),
            ("LIBPROCESS_SSL_ENABLED", "whatever"),
        ])
        .unwrap();
        assert_eq!(all.ip, Some([10, 0, 0, 1].into()));
        assert_eq!((all.port, all.advertise_port), (Some(0), Some(77)));
        assert_eq!(all.advertise_ip.map(|ip| ip.is_loopback()), Some(true));
        assert!(all.require_peer_address_ip_match && all.warnings.is_empty());
        assert_eq!(
            all.snapshot_rate.flatten().map(|rate| (rate.permits, rate.per.as_secs())),
            Some((100, 10))
        );
        let unlimited = read(&[("LIBPROCESS_METRICS_SNAPSHOT_ENDPOINT_RATE_LIMIT", "")]).unwrap();
        assert_eq!(unlimited.snapshot_rate, Some(None));
    }

    #[test]
    fn switches_are_read_as_upstreams_flags() {
        for (value, on) in [("", true), ("1", true), ("true", true), ("0", false), ("false", false)] {
            let read = read(&[("LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH", value)]).unwrap();
            assert_eq!(read.require_peer_address_ip_match, on, "{value}");
        }
    }

    #[test]
    fn what_is_misspelt_is_named_with_what_would_be_right() {
        for (name, value, expected) in [
            ("IP", "localhost", "an IP address"),
            ("PORT", "70000", "a port from 0 to 65535"),
            ("ADVERTISE_IP", "", "an IP address"),
            ("ADVERTISE_PORT", "0", "a port from 1 to 65535"),
            ("REQUIRE_PEER_ADDRESS_IP_MATCH", "yes", "true or false"),
            (
                "METRICS_SNAPSHOT_ENDPOINT_RATE_LIMIT",
                "2",
                "a rate (format is <number of requests>/<interval duration>)",
            ),
        ] {
            let error = read(&[(&format!("LIBPROCESS_{name}"), value)]).unwrap_err();
            let whole = format!(
                "cannot read the environment variable LIBPROCESS_{name}='{value}': expected {expected}"
            );
            assert_eq!(error, whole);
        }
    }

    #[test]
    fn what_is_not_heeded_is_said() {
        let read = read(&[("LIBPROCESS_NUM_WORKER_THREADS", "8"), ("LIBPROCESS_PROT", "5050")]).unwrap();
        assert_eq!(
            read.warnings,
            [
                "LIBPROCESS_NUM_WORKER_THREADS is not heeded: Threads are not in a pool: each place has one (`Place`).",
                "there is no variable LIBPROCESS_PROT",
            ]
        );
    }

    #[test]
    fn the_page_of_nodes_has_the_table() {
        let row = |variable: &Variable| {
            let form = if variable.form.is_empty() { "not heeded" } else { variable.form };
            format!("| `{PREFIX}{}` | {form} | {} |\n", variable.name, variable.meaning)
        };
        let table: String = VARIABLES.iter().map(row).collect();
        let page = include_str!("../../docs/nodes.md");
        assert!(page.contains(&table), "docs/nodes.md must have\n{table}");
    }
}
