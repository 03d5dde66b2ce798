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

    fn refusal(json: &str) -> String {
        let check: v1::HealthCheck = mesos::json::from_slice(json.as_bytes()).unwrap();
        validate_health_check(&check).unwrap_err().0
    }

    #[test]
    fn a_health_check_is_refused_with_what_it_lacks() {
        assert_eq!(refusal("{}"), "HealthCheck must specify 'type'");
        assert_eq!(
            refusal(r#"{"type":"COMMAND","command":{}}"#),
            "Command health check must contain 'shell command'"
        );
        assert_eq!(
            refusal(r#"{"type":"HTTP","http":{"port":1,"path":"x"}}"#),
            "The path 'x' of HTTP health check must start with '/'"
        );
        assert_eq!(
            refusal(r#"{"type":"TCP","tcp":{"port":1},"delay_seconds":-1}"#),
            "Expecting 'delay_seconds' to be non-negative"
        );
    }

    #[test]
    fn a_check_is_refused_with_what_it_lacks() {
        let check: v1::CheckInfo =
            mesos::json::from_slice(br#"{"type":"COMMAND","command":{"command":{"shell":false}}}"#).unwrap();
        assert_eq!(validate_check(&check).unwrap_err().0, "Command check must contain 'executable path'");
    }
}
