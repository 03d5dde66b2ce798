//! Checks that every daemon makes of what comes from outside (upstream:
//! `src/common/validation.cpp`), with upstream's texts. Pure.

use crate::v1;

/// The longest id: ids become file names (`NAME_MAX`).
pub const MAX_ID_BYTES: usize = 255;

/// Why a text cannot be an id; upstream's texts.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IdError {
    /// `""`.
    #[error("ID must not be empty")]
    Empty,
    /// Longer than a file name.
    #[error("ID must not be greater than {MAX_ID_BYTES} characters")]
    TooLong,
    /// `.` or `..`.
    #[error("'{0}' is disallowed")]
    Reserved(String),
    /// A control character or a slash of either kind.
    #[error("'{0}' contains invalid characters")]
    Characters(String),
}

/// Checks an id that a framework chose: 1 to 255 bytes, no control characters, no `/` and `\`, not
/// `.` and `..`, since ids become directories.
///
/// # Errors
/// [`IdError`].
pub fn validate_id(id: &str) -> Result<(), IdError> {
    if id.is_empty() {
        return Err(IdError::Empty);
    }
    if id.len() > MAX_ID_BYTES {
        return Err(IdError::TooLong);
    }
    if matches!(id, "." | "..") {
        return Err(IdError::Reserved(id.to_owned()));
    }
    if id.bytes().any(|byte| byte.is_ascii_control() || matches!(byte, b'/' | b'\\')) {
        return Err(IdError::Characters(id.to_owned()));
    }
    Ok(())
}

/// A message is not acceptable; the text is upstream's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

fn invalid<T>(text: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(text.into()))
}

/// Checks that a secret is what its type says.
///
/// # Errors
/// [`Invalid`].
pub fn validate_secret(secret: &v1::Secret) -> Result<(), Invalid> {
    use v1::secret::Type;
    match (secret.r#type(), &secret.reference, &secret.value) {
        (Type::Reference, None, _) => invalid("Secret of type REFERENCE must have the 'reference' field set"),
        (Type::Reference, Some(reference), Some(_)) => invalid(format!(
            "Secret '{}' of type REFERENCE must not have the 'value' field set",
            reference.name
        )),
        (Type::Value, _, None) => invalid("Secret of type VALUE must have the 'value' field set"),
        (Type::Value, Some(_), Some(_)) => {
            invalid("Secret of type VALUE must not have the 'reference' field set")
        }
        _ => Ok(()),
    }
}

/// Checks that each variable has the value that its type says.
///
/// # Errors
/// [`Invalid`] for the first that has not.
pub fn validate_environment(environment: &v1::Environment) -> Result<(), Invalid> {
    environment.variables.iter().try_for_each(validate_variable)
}

fn validate_variable(variable: &v1::environment::Variable) -> Result<(), Invalid> {
    use v1::environment::variable::Type;
    let of = |kind: &str| format!("Environment variable '{}' of type '{kind}'", variable.name);
    match (variable.r#type(), &variable.value, &variable.secret) {
        (Type::Secret, _, None) => invalid(format!("{} must have a secret set", of("SECRET"))),
        (Type::Secret, Some(_), _) => invalid(format!("{} must not have a value set", of("SECRET"))),
        (Type::Secret, None, Some(secret)) => validate_variable_secret(&variable.name, secret),
        (Type::Value, None, _) => invalid(format!("{} must have a value set", of("VALUE"))),
        (Type::Value, _, Some(_)) => invalid(format!("{} must not have a secret set", of("VALUE"))),
        (Type::Value, Some(_), None) => Ok(()),
        (Type::Unknown, ..) => invalid("Environment variable of type 'UNKNOWN' is not allowed"),
    }
}

fn validate_variable_secret(name: &str, secret: &v1::Secret) -> Result<(), Invalid> {
    if let Err(error) = validate_secret(secret) {
        return invalid(format!("Environment variable '{name}' specifies an invalid secret: {error}"));
    }
    if secret.value.as_ref().is_some_and(|value| value.data.contains(&0)) {
        return invalid(format!(
            "Environment variable '{name}' specifies a secret containing null bytes, which is not allowed in the \
             environment"
        ));
    }
    Ok(())
}

/// Checks a command; so far its environment, as upstream.
///
/// # Errors
/// [`Invalid`].
pub fn validate_command(command: &v1::CommandInfo) -> Result<(), Invalid> {
    command.environment.as_ref().map_or(Ok(()), validate_environment)
}

/// Checks that gpus are whole.
///
/// # Errors
/// [`Invalid`].
pub fn validate_gpus(resources: &crate::Resources) -> Result<(), Invalid> {
    if resources.gpus().is_some_and(|gpus| gpus.millis() % 1000 != 0) {
        return invalid("The 'gpus' resource must be an unsigned integer");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_ids_are_accepted() {
        for id in ["foo", "hello world", "redis-1.2_3", "ünïcode", "...", "a:b", &"x".repeat(255)] {
            assert_eq!(validate_id(id), Ok(()), "{id}");
        }
    }

    #[test]
    fn ids_that_cannot_be_directories_are_refused() {
        assert_eq!(validate_id("").unwrap_err().to_string(), "ID must not be empty");
        assert_eq!(
            validate_id(&"x".repeat(256)).unwrap_err().to_string(),
            "ID must not be greater than 255 characters"
        );
        for id in [".", ".."] {
            assert_eq!(validate_id(id).unwrap_err().to_string(), format!("'{id}' is disallowed"));
        }
        for id in ["a/b", "a\\b", "a\tb", "a\u{7f}"] {
            assert_eq!(
                validate_id(id).unwrap_err().to_string(),
                format!("'{id}' contains invalid characters")
            );
        }
    }

    const REFERENCE: &str = r#""reference":{"name":"n"}"#;
    /// An `x`.
    const DATA: &str = r#""value":{"data":"eA=="}"#;

    /// Upstream: `AgentValidationTest.Secret`.
    #[test]
    fn a_secret_has_what_its_type_says_and_nothing_else() {
        let check = |json: &str| {
            let secret = crate::json::from_slice(json.as_bytes()).unwrap();
            validate_secret(&secret).map_err(|error| error.0)
        };
        for fine in [
            format!(r#"{{"type":"REFERENCE",{REFERENCE}}}"#),
            format!(r#"{{"type":"VALUE",{DATA}}}"#),
            // Of a type that is not known nothing is asked.
            format!(r#"{{"type":"UNKNOWN",{REFERENCE},{DATA}}}"#),
            "{}".to_owned(),
        ] {
            assert_eq!(check(&fine), Ok(()), "{fine}");
        }
        for (json, text) in [
            (
                format!(r#"{{"type":"REFERENCE",{DATA}}}"#),
                "Secret of type REFERENCE must have the 'reference' field set",
            ),
            (
                format!(r#"{{"type":"REFERENCE",{REFERENCE},{DATA}}}"#),
                "Secret 'n' of type REFERENCE must not have the 'value' field set",
            ),
            (
                format!(r#"{{"type":"VALUE",{REFERENCE}}}"#),
                "Secret of type VALUE must have the 'value' field set",
            ),
            (
                format!(r#"{{"type":"VALUE",{REFERENCE},{DATA}}}"#),
                "Secret of type VALUE must not have the 'reference' field set",
            ),
        ] {
            assert_eq!(check(&json), Err(text.to_owned()), "{json}");
        }
    }

    /// Upstream: `AgentValidationTest.Environment`.
    #[test]
    fn a_variable_has_the_value_of_its_type_and_nothing_else() {
        let check = |rest: &str| {
            let json = format!(r#"{{"variables":[{{"name":"X"{rest}}}]}}"#);
            validate_environment(&crate::json::from_slice(json.as_bytes()).unwrap()).map_err(|error| error.0)
        };
        let secret = format!(r#","secret":{{"type":"VALUE",{DATA}}}"#);
        for fine in [
            r#","value":"1""#.to_owned(),
            r#","type":"VALUE","value":"""#.to_owned(),
            format!(r#","type":"SECRET"{secret}"#),
        ] {
            assert_eq!(check(&fine), Ok(()), "{fine}");
        }
        let with_nul = r#","type":"SECRET","secret":{"type":"VALUE","value":{"data":"eAB4"}}"#;
        for (rest, text) in [
            (String::new(), "Environment variable 'X' of type 'VALUE' must have a value set"),
            (
                format!(r#","value":"1"{secret}"#),
                "Environment variable 'X' of type 'VALUE' must not have a secret set",
            ),
            (
                r#","type":"SECRET","value":"1""#.to_owned(),
                "Environment variable 'X' of type 'SECRET' must have a secret set",
            ),
            (
                format!(r#","type":"SECRET","value":"1"{secret}"#),
                "Environment variable 'X' of type 'SECRET' must not have a value set",
            ),
            (
                r#","type":"SECRET","secret":{"type":"VALUE"}"#.to_owned(),
                "Environment variable 'X' specifies an invalid secret: Secret of type VALUE must have the 'value' \
                 field set",
            ),
            (
                with_nul.to_owned(),
                "Environment variable 'X' specifies a secret containing null bytes, which is not allowed in the \
                 environment",
            ),
            (
                r#","type":"UNKNOWN","value":"1""#.to_owned(),
                "Environment variable of type 'UNKNOWN' is not allowed",
            ),
        ] {
            assert_eq!(check(&rest), Err(text.to_owned()), "{rest}");
        }
    }
}
