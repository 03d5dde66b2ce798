//! The slow way to read a message from JSON: over a parsed value, led by the descriptor's table.
//!
//! It does what upstream's parser does, field by field in upstream's order (keys sorted), and so
//! finds upstream's error, or a value in the regular form that `reader` reads. It is
//! taken only when `reader` has refused the text.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::Error;
use super::numeric::Numeric;
use crate::proto::{FieldDescriptor, Kind, Message, MessageDescriptor, Presence};

/// Reads a message from a JSON value.
///
/// # Errors
/// As upstream's `protobuf::parse`: the first field that does not fit, else all that are missing.
pub fn from_value<T: Message>(value: &Value) -> Result<T, Error> {
    let Value::Object(object) = value else {
        return Err(Error::Mismatch("Expecting a JSON object".to_owned()));
    };
    let regular = regular_message(T::descriptor(), object)?;
    let missing = missing_in(T::descriptor(), &regular);
    if !missing.is_empty() {
        return Err(Error::Missing(missing));
    }
    super::read_regular(Value::Object(regular).to_string().as_bytes())
}

/// The object with only known fields, each in the form that `reader` reads.
fn regular_message(
    descriptor: &'static MessageDescriptor,
    object: &Map<String, Value>,
) -> Result<Map<String, Value>, Error> {
    let mut regular = Map::new();
    // Upstream's objects are sorted by key, which decides what error comes first.
    let mut entries: Vec<(&String, &Value)> = object.iter().collect();
    entries.sort_by_key(|(name, _)| *name);
    for (name, value) in entries {
        let Some(index) = descriptor.index_of(name) else { continue };
        let field = &descriptor.fields[index];
        if let Some(value) = regular_field(field, value)? {
            regular.insert(name.clone(), value);
        }
    }
    Ok(regular)
}

/// The field's value, or nothing if that means "unset".
fn regular_field(field: &'static FieldDescriptor, value: &Value) -> Result<Option<Value>, Error> {
    match (field.presence, value) {
        (_, Value::Null) => Ok(None),
        (Presence::Required | Presence::Optional, Value::Array(_)) => Err(unexpected("array", field)),
        (Presence::Required | Presence::Optional, _) => regular_value(field, value),
        (Presence::Repeated, Value::Array(items)) => {
            let mut regular = Vec::with_capacity(items.len());
            flatten(field, items, &mut regular)?;
            Ok(Some(Value::Array(regular)))
        }
        // A single value counts as a list of one.
        (Presence::Repeated, _) => Ok(regular_value(field, value)?.map(|value| Value::Array(vec![value]))),
        (Presence::Map, _) => {
            let mut regular = Map::new();
            collect_entries(field, value, &mut regular)?;
            Ok(Some(Value::Object(regular)))
        }
    }
}

/// Adds a map's entries. It may come as a list of maps, and so as an empty list, which is what some languages make of an
/// empty map: to upstream's parser a map is a repeated field. The depth is bounded by the JSON parser's.
fn collect_entries(
    field: &'static FieldDescriptor,
    value: &Value,
    regular: &mut Map<String, Value>,
) -> Result<(), Error> {
    match value {
        Value::Null => {}
        Value::Array(items) => {
            for item in items {
                collect_entries(field, item, regular)?;
            }
        }
        Value::Object(entries) => {
            for (key, value) in entries {
                if let Some(value) = regular_value(field, value)? {
                    regular.insert(key.clone(), value);
                }
            }
        }
        other => return Err(unexpected(type_of(other), field)),
    }
    Ok(())
}

/// Appends a list's values. Lists in lists become one list, as upstream's parser has it; the depth
/// is bounded by the JSON parser's.
fn flatten(field: &'static FieldDescriptor, items: &[Value], regular: &mut Vec<Value>) -> Result<(), Error> {
    for item in items {
        match item {
            Value::Array(inner) => flatten(field, inner, regular)?,
            item => regular.extend(regular_value(field, item)?),
        }
    }
    Ok(())
}

fn regular_value(field: &'static FieldDescriptor, value: &Value) -> Result<Option<Value>, Error> {
    let regular = match (field.kind, value) {
        (_, Value::Null) => return Ok(None),
        (Kind::Message(descriptor), Value::Object(object)) => {
            Value::Object(regular_message(descriptor, object)?)
        }
        (Kind::Message(_), other) => return Err(unexpected(type_of(other), field)),
        (Kind::String, Value::String(_)) => value.clone(),
        (Kind::Bytes, Value::String(text)) => base64(field, text)?,
        (Kind::Enum(names), Value::String(name)) => match names.number(name) {
            Some(_) => value.clone(),
            None if field.presence == Presence::Required => {
                return Err(Error::Mismatch(format!("Failed to find enum for '{name}'")));
            }
            None => return Ok(None),
        },
        (Kind::Bool, Value::Bool(_)) => value.clone(),
        (Kind::Bool, Value::String(text)) => match text.trim() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => return Err(unparsable(text, "boolean", field)),
        },
        (Kind::Int32, _) => number::<i32>(field, value)?,
        (Kind::Int64, _) => number::<i64>(field, value)?,
        (Kind::Uint32, _) => number::<u32>(field, value)?,
        (Kind::Uint64, _) => number::<u64>(field, value)?,
        (Kind::Double, _) => number::<f64>(field, value)?,
        (_, other) => return Err(unexpected(type_of(other), field)),
    };
    Ok(Some(regular))
}

fn number<T: Numeric + serde::Serialize>(
    field: &'static FieldDescriptor,
    value: &Value,
) -> Result<Value, Error> {
    let number = match value {
        Value::Number(number) => {
            let exact = number.as_u64().map(T::from_unsigned);
            let exact = exact.or_else(|| number.as_i64().map(T::from_signed));
            let number = exact.or_else(|| number.as_f64().map(T::from_double)).flatten();
            number.ok_or_else(|| out_of_range::<T>(&value.to_string(), field))?
        }
        Value::String(text) => T::from_text(text).ok_or_else(|| match f64::from_text(text) {
            Some(_) => out_of_range::<T>(text, field),
            None => unparsable(text, "number", field),
        })?,
        other => return Err(unexpected(type_of(other), field)),
    };
    // JSON has no infinity; the quoted form stands for itself.
    match serde_json::to_value(number) {
        Ok(Value::Null) | Err(_) => Ok(value.clone()),
        Ok(regular) => Ok(regular),
    }
}

/// Regular base64 of what upstream's decoder makes of the text: it skips whitespace, stops at the
/// first `=`, and asks for no padding (upstream: `3rdparty/stout/include/stout/base64.hpp`).
fn base64(field: &'static FieldDescriptor, text: &str) -> Result<Value, Error> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::RequireNone)
            .with_decode_allow_trailing_bits(true),
    );
    let symbols = text.chars().take_while(|c| *c != '=').filter(|c| !c.is_ascii_whitespace());
    let mut symbols: String = symbols.collect();
    if let Some(bad) = symbols.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '+' && *c != '/') {
        let name = field.name;
        let cause = format!("Invalid character '{bad}'");
        return Err(Error::Mismatch(format!("Failed to base64 decode bytes field '{name}': {cause}")));
    }
    if symbols.len() % 4 == 1 {
        // Six bits alone make no byte.
        symbols.pop();
    }
    let bytes = LENIENT.decode(symbols).unwrap_or_default();
    Ok(Value::String(STANDARD.encode(bytes)))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn unexpected(found: &str, field: &FieldDescriptor) -> Error {
    Error::Mismatch(format!("Not expecting a JSON {found} for field '{}'", field.name))
}

/// Upstream casts such a number to some other one; a task with a wrong number in it is worse than an error.
fn out_of_range<T: Numeric>(text: &str, field: &FieldDescriptor) -> Error {
    let (name, (least, most)) = (field.name, T::BOUNDS);
    Error::Mismatch(format!("'{text}' is out of range for field '{name}': allowed are {least} to {most}"))
}

fn unparsable(text: &str, wanted: &str, field: &FieldDescriptor) -> Error {
    let name = field.name;
    let cause = format!("syntax error at line 1 near: {text}");
    Error::Mismatch(format!("Failed to parse '{text}' as a JSON {wanted} for field '{name}': {cause}"))
}

/// The paths of all required fields that a regular object lacks, in protobuf's order: a message's
/// own first, then those of its sub-messages by field number (`accept.operations[0].type`).
pub fn missing_in(descriptor: &'static MessageDescriptor, object: &Map<String, Value>) -> Vec<String> {
    let mut missing = Vec::new();
    collect_missing(descriptor, object, "", &mut missing);
    missing
}

fn collect_missing(
    descriptor: &'static MessageDescriptor,
    object: &Map<String, Value>,
    prefix: &str,
    missing: &mut Vec<String>,
) {
    if !descriptor.checked {
        return;
    }
    for field in descriptor.fields {
        if field.presence == Presence::Required && !object.contains_key(field.name) {
            missing.push(format!("{prefix}{}", field.name));
        }
    }
    let mut fields: Vec<&FieldDescriptor> = descriptor.fields.iter().collect();
    fields.sort_by_key(|field| field.number);
    for field in fields {
        let Kind::Message(inner) = field.kind else { continue };
        match object.get(field.name) {
            Some(Value::Object(entries)) if field.presence == Presence::Map => {
                for (index, value) in entries.values().enumerate() {
                    if let Value::Object(value) = value {
                        let path = format!("{prefix}{}[{index}].value.", field.name);
                        collect_missing(inner, value, &path, missing);
                    }
                }
            }
            Some(Value::Object(value)) => {
                collect_missing(inner, value, &format!("{prefix}{}.", field.name), missing);
            }
            Some(Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    if let Value::Object(item) = item {
                        let path = format!("{prefix}{}[{index}].", field.name);
                        collect_missing(inner, item, &path, missing);
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::v1;

    #[test]
    fn a_map_may_come_as_a_list_of_maps() {
        let read = |limits: &str| -> Result<Vec<(String, f64)>, String> {
            let text = format!(r#"{{"role":"r","limits":{limits}}}"#);
            let config = crate::json::from_slice::<v1::quota::QuotaConfig>(text.as_bytes());
            let config = config.map_err(|error| error.to_string())?;
            Ok(config.limits.into_iter().map(|(name, limit)| (name, limit.value)).collect())
        };
        assert_eq!(read("[]"), Ok(vec![]));
        let two = vec![("cpus".to_owned(), 1.0), ("mem".to_owned(), 2.0)];
        assert_eq!(read(r#"[{"cpus":{"value":1}},null,[{"mem":{"value":2}}]]"#), Ok(two));
        for wrong in ["7", "[7]"] {
            assert_eq!(read(wrong).unwrap_err(), "Not expecting a JSON number for field 'limits'");
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_named_with_what_does() {
        for (number, allowed) in [("-1", "0 to 18446744073709551615"), ("1e30", "0 to 18446744073709551615")]
        {
            let text = format!(r#"{{"begin":{number},"end":2}}"#);
            let error = crate::json::from_slice::<v1::value::Range>(text.as_bytes()).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "'{}' is out of range for field 'begin': allowed are {allowed}",
                    number.replace("1e30", "1e+30")
                )
            );
        }
        let quoted = crate::json::from_slice::<v1::value::Range>(br#"{"begin":"x","end":2}"#).unwrap_err();
        assert_eq!(
            quoted.to_string(),
            "Failed to parse 'x' as a JSON number for field 'begin': syntax error at line 1 near: x"
        );
    }
}
