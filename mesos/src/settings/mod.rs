//! Settings of a daemon, declared once and read from four places: built-in default, config file
//! (TOML), environment (`MESOS_<NAME>`), command line; the later wins. Names are upstream's flags.
//!
//! ```
//! use std::{collections::BTreeMap, time::Duration};
//! use mesos::settings::{self, Outcome, Policy, Sources, Unsupported};
//!
//! mesos::settings! {
//!     /// Settings of a small daemon.
//!     pub struct Settings for "mesos-small" {
//!         "Network" {
//!             /// Port to listen on.
//!             port: u16 = 5050,
//!             /// How long to wait for an answer to a ping.
//!             agent_ping_timeout | slave_ping_timeout: Duration = Duration::from_secs(15)
//!                 => |timeout| settings::within(timeout, Duration::from_secs(1)..=Duration::from_secs(900)),
//!             /// Where ZooKeeper is; without it there is one master only.
//!             zk: Option<String>,
//!         }
//!     }
//! }
//!
//! const UNSUPPORTED: &[Unsupported] =
//!     &[Unsupported { name: "quorum", aliases: &[], policy: Policy::Refuse("there is no replicated log; use --zk") }];
//!
//! let sources = Sources::new(["--port=80".to_owned()], BTreeMap::new());
//! let Outcome::Run(loaded) = settings::load::<Settings>(sources, UNSUPPORTED).unwrap() else { unreachable!() };
//! assert_eq!(loaded.settings.port, 80);
//! assert_eq!(loaded.flags["agent_ping_timeout"], "15secs");
//! ```
//!
//! A field is `name | alias: Type = default => check`. Without default it is an `Option` (unset), or
//! required. The documentation comment is the help text. Reads no environment and no arguments by
//! itself: it is handed both; it opens the config file and files named by `file://` values.

mod args;
mod declare;
mod error;
mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod help;
mod load;
mod value;

pub use declare::{Declared, Setting, is_required, printed_default};
pub use error::{Origin, SettingsError};
pub use load::{Check, Loaded, Outcome, Policy, Sources, Unsupported, Values, load};
pub use value::{DisabledEndpoints, LogFormat, ProtoJson, SettingValue, within};

#[cfg(test)]
mod tests;
