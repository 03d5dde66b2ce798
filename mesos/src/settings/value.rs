//! The types that a setting can have: how each is read, printed and described.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use crate::{bytes, duration, text};

/// A type of settings.
pub trait SettingValue: Sized {
    /// What stands for the value in the help.
    const PLACEHOLDER: &'static str;
    /// What values are allowed, as it reads behind "expected".
    const ALLOWED: &'static str;
    /// Whether `--name` and `--no-name` are enough.
    const IS_SWITCH: bool = false;
    /// Whether `file:///path` stands for the content of that file.
    const FROM_FILE: bool = true;
    /// Whether it is JSON. That never begins with a slash, so `/path` stands for the content of that file, too (upstream:
    /// stout's `flags/parse.hpp`).
    const IS_JSON: bool = false;

    /// Reads the text; the error says what is wrong, when there is more to say than what is allowed.
    ///
    /// # Errors
    /// The reason, perhaps empty.
    fn read(text: &str) -> Result<Self, String>;

    /// The text form; `None` when unset.
    fn print(&self) -> Option<String>;

    /// What it is when nobody sets it and no default is declared; `None`: it is required.
    #[must_use]
    fn when_unset() -> Option<Self> {
        None
    }
}

/// May be unset.
impl<T: SettingValue> SettingValue for Option<T> {
    const PLACEHOLDER: &'static str = T::PLACEHOLDER;
    const ALLOWED: &'static str = T::ALLOWED;
    const IS_SWITCH: bool = T::IS_SWITCH;
    const FROM_FILE: bool = T::FROM_FILE;
    const IS_JSON: bool = T::IS_JSON;

    fn read(text: &str) -> Result<Self, String> {
        T::read(text).map(Some)
    }

    fn print(&self) -> Option<String> {
        self.as_ref().and_then(T::print)
    }

    fn when_unset() -> Option<Self> {
        Some(None)
    }
}

impl SettingValue for bool {
    const PLACEHOLDER: &'static str = "BOOL";
    const ALLOWED: &'static str = "true or false";
    const IS_SWITCH: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(String::new()),
        }
    }

    fn print(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl SettingValue for String {
    const PLACEHOLDER: &'static str = "TEXT";
    const ALLOWED: &'static str = "a text";

    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn print(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl SettingValue for PathBuf {
    const PLACEHOLDER: &'static str = "PATH";
    const ALLOWED: &'static str = "a path";
    const FROM_FILE: bool = false;

    fn read(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("file://").unwrap_or(text);
        if path.is_empty() { Err("the path is empty".into()) } else { Ok(path.into()) }
    }

    fn print(&self) -> Option<String> {
        Some(self.display().to_string())
    }
}

impl SettingValue for Duration {
    const PLACEHOLDER: &'static str = "DURATION";
    const ALLOWED: &'static str =
        "a number and ns, us, ms, secs, mins, hrs, days or weeks, like 15secs or 1.5mins";

    fn read(text: &str) -> Result<Self, String> {
        duration::parse(text).map_err(|error| error.to_string())
    }

    fn print(&self) -> Option<String> {
        Some(duration::format(*self))
    }
}

impl SettingValue for bytes::Size {
    const PLACEHOLDER: &'static str = "SIZE";
    const ALLOWED: &'static str = "a whole number and B, KB, MB, GB or TB, like 32MB";

    fn read(text: &str) -> Result<Self, String> {
        bytes::parse(text).map(Self).map_err(|error| error.to_string())
    }

    fn print(&self) -> Option<String> {
        Some(bytes::format(self.0))
    }
}

impl SettingValue for f64 {
    const PLACEHOLDER: &'static str = "NUMBER";
    const ALLOWED: &'static str = "a number";

    fn read(text: &str) -> Result<Self, String> {
        text::parse_f64(text).filter(|number| number.is_finite()).ok_or_else(String::new)
    }

    fn print(&self) -> Option<String> {
        Some(text::general(*self, 15))
    }
}

macro_rules! from_str {
    ($($type:ty, $placeholder:literal, $allowed:literal;)*) => {$(
        impl SettingValue for $type {
            const PLACEHOLDER: &'static str = $placeholder;
            const ALLOWED: &'static str = $allowed;

            fn read(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| String::new())
            }

            fn print(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}

from_str! {
    u16, "NUMBER", "a whole number from 0 to 65535";
    u32, "NUMBER", "a whole number from 0 to 4294967295";
    u64, "NUMBER", "a whole number, not negative";
    usize, "NUMBER", "a whole number, not negative";
    i64, "NUMBER", "a whole number";
    IpAddr, "ADDRESS", "an IP address";
    SocketAddr, "ADDRESS:PORT", "an IP address and a port";
}

/// Any JSON.
impl SettingValue for serde_json::Value {
    const PLACEHOLDER: &'static str = "JSON";
    const ALLOWED: &'static str = "JSON, or /path or file:///path of a file with it";
    const IS_JSON: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    fn print(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// A message of the protocol, given as JSON (`domain` ...).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ProtoJson<M>(pub M);

impl<M: crate::Message + serde::Serialize> SettingValue for ProtoJson<M> {
    const PLACEHOLDER: &'static str = "JSON";
    const ALLOWED: &'static str = "JSON of the message, or /path or file:///path of a file with it";
    const IS_JSON: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        crate::json::from_slice(text.as_bytes()).map(Self).map_err(|error| error.to_string())
    }

    fn print(&self) -> Option<String> {
        Some(crate::json::to_string(&self.0))
    }
}

/// Paths that are answered with 403 (`--firewall_rules`; upstream: the message `Firewall`). What is written otherwise stops
/// the start: who closes a path must know that it is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DisabledEndpoints(pub Vec<String>);

impl SettingValue for DisabledEndpoints {
    const PLACEHOLDER: &'static str = "JSON";
    const ALLOWED: &'static str =
        "{\"disabled_endpoints\": {\"paths\": [...]}}, or /path or file:///path of a file with it";
    const IS_JSON: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let paths = value.pointer("/disabled_endpoints/paths").and_then(serde_json::Value::as_array);
        let paths = paths.ok_or_else(String::new)?;
        let texts = paths.iter().map(|path| path.as_str().map(str::to_owned));
        texts.collect::<Option<Vec<_>>>().map(DisabledEndpoints).ok_or_else(String::new)
    }

    fn print(&self) -> Option<String> {
        Some(serde_json::json!({ "disabled_endpoints": { "paths": self.0 } }).to_string())
    }
}

/// How a log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// For people: a line with time, level, target and text.
    #[default]
    Text,
    /// For programs: a JSON object a line.
    Json,
}

impl SettingValue for LogFormat {
    const PLACEHOLDER: &'static str = "FORMAT";
    const ALLOWED: &'static str = "text or json";

    fn read(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(String::new()),
        }
    }

    fn print(&self) -> Option<String> {
        let name = match self {
            Self::Text => "text",
            Self::Json => "json",
        };
        Some(name.to_owned())
    }
}

/// Checks that a value lies within limits, for a setting's check.
///
/// # Errors
/// The limits, as text.
pub fn within<T: SettingValue + PartialOrd>(value: &T, allowed: RangeInclusive<T>) -> Result<(), String> {
    if allowed.contains(value) {
        return Ok(());
    }
    let print = |value: &T| value.print().unwrap_or_default();
    Err(format!("expected {} to {}", print(allowed.start()), print(allowed.end())))
}

impl fmt::Display for bytes::Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bytes::format(self.0))
    }
}
