//! The config file: TOML whose keys are the settings' names. A value that is a table or a list is
//! handed on as JSON, so that `acls` and the like can be written in TOML.

use std::path::Path;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::SettingsError;

/// One key of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) value: String,
    /// Counted from 1.
    pub(super) line: usize,
}

pub(super) fn read(path: &Path) -> Result<Vec<Entry>, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|error| SettingsError::File {
        path: path.display().to_string(),
        reason: error.to_string(),
    })?;
    entries(path, &text)
}

/// The keys of a file with this text.
pub(super) fn entries(path: &Path, text: &str) -> Result<Vec<Entry>, SettingsError> {
    parse(text).map_err(|(line, reason)| SettingsError::Toml {
        path: path.display().to_string(),
        line,
        reason,
    })
}

/// The keys in the order of their lines, or the line and what is wrong there.
fn parse(text: &str) -> Result<Vec<Entry>, (usize, String)> {
    let line_of = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        (line, error.message().lines().collect::<Vec<_>>().join(" "))
    })?;
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        let line = line_of(key.span().start);
        let json = json(value.get_ref()).map_err(|reason| (line, reason))?;
        let value = if let Value::String(text) = json { text } else { json.to_string() };
        entries.push(Entry { name: key.get_ref().to_string(), value, line });
    }
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn json(value: &DeValue<'_>) -> Result<Value, String> {
    let number = |text: String| {
        text.parse::<serde_json::Number>().map(Value::Number).map_err(|_| format!("bad number {text}"))
    };
    Ok(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => {
            let value = i64::from_str_radix(integer.as_str(), integer.radix());
            Value::from(value.map_err(|error| format!("bad number {integer}: {error}"))?)
        }
        DeValue::Float(float) => number(float.as_str().to_owned())?,
        DeValue::Boolean(boolean) => Value::Bool(*boolean),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| json(item.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => Value::Object(
            table
                .iter()
                .map(|(key, value)| Ok((key.get_ref().to_string(), json(value.get_ref())?)))
                .collect::<Result<_, String>>()?,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(String, String, usize)> {
        parse(text).unwrap().into_iter().map(|e| (e.name, e.value, e.line)).collect()
    }

    #[test]
    fn every_kind_of_value_becomes_text() {
        let parsed = values(
            "# c\nport = 5050\nhostname = \"h\"\nquiet = true\nfactor = 0.8\nhex = 0x10\n[acls]\npermissive = false\nlist = [1, \"a\"]\n",
        );
        let expected = [
            ("port", "5050", 2),
            ("hostname", "h", 3),
            ("quiet", "true", 4),
            ("factor", "0.8", 5),
            ("hex", "16", 6),
            ("acls", r#"{"list":[1,"a"],"permissive":false}"#, 7),
        ];
        assert_eq!(parsed.len(), expected.len());
        for ((name, value, line), expected) in parsed.iter().zip(expected) {
            assert_eq!((name.as_str(), value.as_str(), *line), expected);
        }
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        let (line, reason) = parse("port = 5050\nip = \n").unwrap_err();
        assert_eq!(line, 2);
        assert!(!reason.is_empty() && !reason.contains('\n'));
    }
}
