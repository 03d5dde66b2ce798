//! JSON Schema of messages, out of their descriptors: what `json` reads and writes, for descriptions of an API.

use libprocess::breath::{self, RENDERED};
use serde_json::{Map, Value, json};

use crate::proto::{ENUMS, EnumDescriptor, FieldDescriptor, Kind, Message, MessageDescriptor, Presence};

/// Schemas of messages by their full names.
pub type Schemas = Map<String, Value>;

/// A reference to the schema of a message. It and those of all messages within it are added to `schemas`, which stand
/// at `prefix` (`#/components/schemas/`).
pub fn reference<T: Message>(prefix: &str, schemas: &mut Schemas) -> Value {
    refer(T::descriptor(), prefix, schemas)
}

/// The schema of the message (a reference, as [`reference()`]'s) or of the enum of that full name; `None` if there is none.
pub fn by_name(full_name: &str, prefix: &str, schemas: &mut Schemas) -> Option<Value> {
    if let Some(message) = MessageDescriptor::find(full_name) {
        return Some(refer(message, prefix, schemas));
    }
    ENUMS.iter().find(|values| values.full_name == full_name).map(|values| of_enum(values))
}

fn refer(message: &'static MessageDescriptor, prefix: &str, schemas: &mut Schemas) -> Value {
    if !schemas.contains_key(message.full_name) {
        // Entered first: a message may be within itself.
        schemas.insert(message.full_name.to_owned(), Value::Null);
        let properties: Map<String, Value> = message
            .fields
            .iter()
            .map(|field| (field.name.to_owned(), of_field(field, prefix, schemas)))
            .collect();
        let schema = json!({ "type": "object", "properties": properties, "required": required(message) });
        schemas.insert(message.full_name.to_owned(), schema);
    }
    json!({ "$ref": format!("{prefix}{}", message.full_name) })
}

fn required(message: &'static MessageDescriptor) -> Vec<&'static str> {
    let fields = message.fields.iter().filter(|field| field.presence == Presence::Required);
    fields.map(|field| field.name).collect()
}

fn of_field(field: &'static FieldDescriptor, prefix: &str, schemas: &mut Schemas) -> Value {
    breath::spend(RENDERED);
    let one = match field.kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Int32 => json!({ "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX }),
        Kind::Int64 => json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
        Kind::Uint32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        Kind::Uint64 => json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
        Kind::Double => double(prefix, schemas),
        Kind::String => json!({ "type": "string" }),
        Kind::Bytes => json!({ "type": "string", "format": "byte" }),
        Kind::Enum(values) => of_enum(values),
        Kind::Message(message) => refer(message, prefix, schemas),
    };
    match field.presence {
        Presence::Required | Presence::Optional => one,
        Presence::Repeated => json!({ "type": "array", "items": one }),
        Presence::Map => json!({ "type": "object", "additionalProperties": one }),
    }
}

/// A reference to the schema of doubles, which is added to `schemas`.
pub fn double(prefix: &str, schemas: &mut Schemas) -> Value {
    const NAME: &str = "double";
    schemas.entry(NAME).or_insert_with(|| {
        json!({
            "description": "An infinite one is a word, and null stands for one that is no number.",
            "anyOf": [
                { "type": "number" }, { "type": "string", "enum": ["Infinity", "-Infinity"] }, { "type": "null" }
            ],
        })
    });
    json!({ "$ref": format!("{prefix}{NAME}") })
}

fn of_enum(values: &'static EnumDescriptor) -> Value {
    let names: Vec<&str> = values.values.iter().map(|(name, _)| *name).collect();
    json!({ "type": "string", "enum": names })
}

/// A message whose `type` says which of its parts counts (a call, a response, an event), as one schema for each type:
/// the part of type `GET_STATE` is the field `get_state`, and is needed; a type without such a field has none.
pub fn by_type<T: Message>(prefix: &str, schemas: &mut Schemas) -> Value {
    let message = T::descriptor();
    let all = refer(message, prefix, schemas);
    let types = message.fields.iter().find_map(|field| match (field.name, field.kind) {
        ("type", Kind::Enum(types)) => Some(types),
        _ => None,
    });
    let Some(types) = types else { return all };
    // What each type carries beside its part: `framework_id` of a scheduler's calls.
    let names: Vec<String> = types.values.iter().map(|(name, _)| name.to_lowercase()).collect();
    let common = message.fields.iter().filter(|field| !names.iter().any(|name| name == field.name));
    let common: Vec<&'static FieldDescriptor> = common.filter(|field| field.name != "type").collect();
    let choices = types.values.iter().filter(|(name, _)| *name != "UNKNOWN").map(|(name, _)| {
        let mut properties = Map::from_iter([("type".to_owned(), json!({ "const": name }))]);
        for field in &common {
            properties.insert(field.name.to_owned(), of_field(field, prefix, schemas));
        }
        let mut needed = vec!["type".to_owned()];
        let part = message.fields.iter().find(|field| field.name == name.to_lowercase());
        if let Some(part) = part {
            properties.insert(part.name.to_owned(), of_field(part, prefix, schemas));
            needed.push(part.name.to_owned());
        }
        needed.extend(
            common.iter().filter(|field| field.presence == Presence::Required).map(|f| f.name.to_owned()),
        );
        json!({ "title": name, "type": "object", "properties": properties, "required": needed })
    });
    let choices: Vec<Value> = choices.collect();
    json!({ "anyOf": choices })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;

    /// All references in a value.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn a_message_is_described_with_all_that_is_in_it() {
        let mut schemas = Schemas::new();
        let before = breath::spent();
        let task = reference::<v1::TaskInfo>("#/s/", &mut schemas);
        assert!(breath::spent() - before >= 50 * RENDERED, "there are more fields than that");
        assert_eq!(task, json!({ "$ref": "#/s/mesos.v1.TaskInfo" }));
        let of_task = &schemas["mesos.v1.TaskInfo"];
        assert_eq!(of_task["required"], json!(["name", "task_id", "agent_id"]));
        assert_eq!(of_task["properties"]["data"], json!({ "type": "string", "format": "byte" }));
        assert_eq!(of_task["properties"]["resources"]["items"], json!({ "$ref": "#/s/mesos.v1.Resource" }));
        let kinds = &schemas["mesos.v1.Resource"]["properties"]["type"]["enum"];
        assert_eq!(*kinds, json!(["SCALAR", "RANGES", "SET", "TEXT"]));
        let mut found = Vec::new();
        schemas.values().for_each(|schema| references(schema, &mut found));
        assert!(found.len() > 50);
        assert!(found.iter().all(|reference| schemas.contains_key(&reference["#/s/".len()..])));
    }

    #[test]
    fn doubles_are_described_as_they_are_written() {
        let mut schemas = Schemas::new();
        reference::<v1::Filters>("#/s/", &mut schemas);
        let of_filters = &schemas["mesos.v1.Filters"]["properties"];
        assert_eq!(of_filters["refuse_seconds"], json!({ "$ref": "#/s/double" }));
        let of_doubles = schemas["double"]["anyOf"].as_array().unwrap();
        for (value, kind) in
            [(0.5, "number"), (f64::INFINITY, "string"), (f64::NEG_INFINITY, "string"), (f64::NAN, "null")]
        {
            let written = crate::json::to_vec(&v1::value::Scalar { value });
            let written: Value = serde_json::from_slice(&written).unwrap();
            let described = of_doubles.iter().find(|choice| choice["type"] == kind).unwrap();
            let words = described.get("enum").and_then(Value::as_array);
            let is_of_kind = match kind {
                "number" => written["value"].is_number(),
                "null" => written["value"].is_null(),
                _ => words.is_some_and(|words| words.contains(&written["value"])),
            };
            assert!(is_of_kind, "{written} as {described}");
        }
    }

    #[test]
    fn a_call_is_described_type_by_type() {
        let mut schemas = Schemas::new();
        let call = by_type::<v1::scheduler::Call>("#/s/", &mut schemas);
        let choices = call["anyOf"].as_array().unwrap();
        let kill = choices.iter().find(|choice| choice["title"] == "KILL").unwrap();
        assert_eq!(kill["required"], json!(["type", "kill"]));
        assert_eq!(kill["properties"]["kill"], json!({ "$ref": "#/s/mesos.v1.scheduler.Call.Kill" }));
        assert_eq!(kill["properties"]["framework_id"], json!({ "$ref": "#/s/mesos.v1.FrameworkID" }));
        assert!(kill["properties"].get("accept").is_none());
        let suppress = choices.iter().find(|choice| choice["title"] == "TEARDOWN").unwrap();
        assert_eq!(suppress["required"], json!(["type"]));
    }
}
