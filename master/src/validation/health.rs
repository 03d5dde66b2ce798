//! Whether a task's check and health check are described consistently.

use mesos::v1;
use mesos::validation::validate_command;

use super::{Checked, Invalid, refuse_if};

/// Checks a `HealthCheck`.
pub fn validate_health_check(check: &v1::HealthCheck) -> Checked {
    use v1::health_check::Type;
    refuse_if(check.r#type.is_none(), "HealthCheck must specify 'type'")?;
    match check.r#type() {
        Type::Command => {
            let Some(command) = &check.command else {
                return Err("Expecting 'command' to be set for COMMAND health check".into());
            };
            validate_check_command(command, "Command health check", "Health check")?;
        }
        Type::Http => {
            let Some(http) = &check.http else {
                return Err("Expecting 'http' to be set for HTTP health check".into());
            };
            let scheme = http.scheme.as_deref();
            refuse_if(
                !matches!(scheme, None | Some("http" | "https")),
                format!("Unsupported HTTP health check scheme: '{}'", scheme.unwrap_or_default()),
            )?;
            validate_path(http.path.as_deref(), "HTTP health check")?;
        }
        Type::Tcp => {
            refuse_if(check.tcp.is_none(), "Expecting 'tcp' to be set for TCP health check")?;
        }
        Type::Unknown => return Err("'UNKNOWN' is not a valid health check type".into()),
    }
    not_negative("delay_seconds", check.delay_seconds)?;
    not_negative("grace_period_seconds", check.grace_period_seconds)?;
    not_negative("interval_seconds", check.interval_seconds)?;
    not_negative("timeout_seconds", check.timeout_seconds)
}

/// Checks a `CheckInfo`.
pub fn validate_check(check: &v1::CheckInfo) -> Checked {
    use v1::check_info::Type;
    refuse_if(check.r#type.is_none(), "CheckInfo must specify 'type'")?;
    match check.r#type() {
        Type::Command => {
            let Some(command) = &check.command else {
                return Err("Expecting 'command' to be set for COMMAND check".into());
            };
            validate_check_command(&command.command, "Command check", "Check")?;
        }
        Type::Http => {
            let Some(http) = &check.http else {
                return Err("Expecting 'http' to be set for HTTP check".into());
            };
            validate_path(http.path.as_deref(), "HTTP check")?;
        }
        Type::Tcp => refuse_if(check.tcp.is_none(), "Expecting 'tcp' to be set for TCP check")?,
        Type::Unknown => return Err("'UNKNOWN' is not a valid check type".into()),
    }
    not_negative("delay_seconds", check.delay_seconds)?;
    not_negative("interval_seconds", check.interval_seconds)?;
    not_negative("timeout_seconds", check.timeout_seconds)
}

fn validate_check_command(command: &v1::CommandInfo, subject: &str, owner: &str) -> Checked {
    let kind = if command.shell() { "'shell command'" } else { "'executable path'" };
    refuse_if(command.value.is_none(), format!("{subject} must contain {kind}"))?;
    validate_command(command)
        .map_err(|error| Invalid::from(error).within(&format!("{owner}'s `CommandInfo` is invalid")))
}

fn validate_path(path: Option<&str>, subject: &str) -> Checked {
    match path {
        Some(path) if !path.starts_with('/') => {
            Err(format!("The path '{path}' of {subject} must start with '/'").into())
        }
        _ => Ok(()),
    }
}

fn not_negative(field: &str, value: Option<f64>) -> Checked {
    refuse_if(value.is_some_and(|value| value < 0.0), format!("Expecting '{field}' to be non-negative"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a value for its variable.
    const COMMAND: &str = r#"{"value":"x","environment":{"variables":[{"name":"A"}]}}"#;
    const VARIABLE: &str = "Environment variable 'A' of type 'VALUE' must have a value set";

    #[test]
    fn a_health_check_is_refused_with_what_it_lacks() {
        let check = |json: &str| {
            let check = mesos::json::from_slice(json.as_bytes()).unwrap();
            validate_health_check(&check).map_err(|error| error.0)
        };
        for fine in [
            r#"{"type":"COMMAND","command":{"value":"x"}}"#,
            r#"{"type":"HTTP","http":{"port":1}}"#,
            r#"{"type":"HTTP","http":{"port":1,"scheme":"https","path":"/x"}}"#,
            r#"{"type":"TCP","tcp":{"port":1},"delay_seconds":0,"grace_period_seconds":0,"interval_seconds":0,
                "timeout_seconds":0}"#,
        ] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        let invalid = format!("Health check's `CommandInfo` is invalid: {VARIABLE}");
        for (json, text) in [
            ("{}", "HealthCheck must specify 'type'"),
            (r#"{"type":"UNKNOWN"}"#, "'UNKNOWN' is not a valid health check type"),
            (r#"{"type":"COMMAND"}"#, "Expecting 'command' to be set for COMMAND health check"),
            (r#"{"type":"COMMAND","command":{}}"#, "Command health check must contain 'shell command'"),
            (
                r#"{"type":"COMMAND","command":{"shell":false}}"#,
                "Command health check must contain 'executable path'",
            ),
            (&format!(r#"{{"type":"COMMAND","command":{COMMAND}}}"#), &invalid),
            (r#"{"type":"HTTP"}"#, "Expecting 'http' to be set for HTTP health check"),
            (
                r#"{"type":"HTTP","http":{"port":1,"scheme":"ftp"}}"#,
                "Unsupported HTTP health check scheme: 'ftp'",
            ),
            (
                r#"{"type":"HTTP","http":{"port":1,"path":"x"}}"#,
                "The path 'x' of HTTP health check must start with '/'",
            ),
            (r#"{"type":"TCP"}"#, "Expecting 'tcp' to be set for TCP health check"),
        ] {
            assert_eq!(check(json), Err(text.to_owned()), "{json}");
        }
        for time in ["delay_seconds", "grace_period_seconds", "interval_seconds", "timeout_seconds"] {
            let json = format!(r#"{{"type":"TCP","tcp":{{"port":1}},"{time}":-1}}"#);
            assert_eq!(check(&json), Err(format!("Expecting '{time}' to be non-negative")));
        }
    }

    #[test]
    fn a_check_is_refused_with_what_it_lacks() {
        let check = |json: &str| {
            let check = mesos::json::from_slice(json.as_bytes()).unwrap();
            validate_check(&check).map_err(|error| error.0)
        };
        for fine in [
            r#"{"type":"COMMAND","command":{"command":{"value":"x"}}}"#,
            r#"{"type":"HTTP","http":{"port":1,"path":"/x"}}"#,
            r#"{"type":"TCP","tcp":{"port":1},"delay_seconds":0,"interval_seconds":0,"timeout_seconds":0}"#,
        ] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        let invalid = format!("Check's `CommandInfo` is invalid: {VARIABLE}");
        for (json, text) in [
            ("{}", "CheckInfo must specify 'type'"),
            (r#"{"type":"UNKNOWN"}"#, "'UNKNOWN' is not a valid check type"),
            (r#"{"type":"COMMAND"}"#, "Expecting 'command' to be set for COMMAND check"),
            (r#"{"type":"COMMAND","command":{"command":{}}}"#, "Command check must contain 'shell command'"),
            (
                r#"{"type":"COMMAND","command":{"command":{"shell":false}}}"#,
                "Command check must contain 'executable path'",
            ),
            (&format!(r#"{{"type":"COMMAND","command":{{"command":{COMMAND}}}}}"#), &invalid),
            (r#"{"type":"HTTP"}"#, "Expecting 'http' to be set for HTTP check"),
            (
                r#"{"type":"HTTP","http":{"port":1,"path":"x"}}"#,
                "The path 'x' of HTTP check must start with '/'",
            ),
            (r#"{"type":"TCP"}"#, "Expecting 'tcp' to be set for TCP check"),
        ] {
            assert_eq!(check(json), Err(text.to_owned()), "{json}");
        }
        for time in ["delay_seconds", "interval_seconds", "timeout_seconds"] {
            let json = format!(r#"{{"type":"TCP","tcp":{{"port":1}},"{time}":-1}}"#);
            assert_eq!(check(&json), Err(format!("Expecting '{time}' to be non-negative")));
        }
    }
}
