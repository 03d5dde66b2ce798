//! Holds what the tests of this crate are answered against the table of answers: a key that the table does not have, one
//! that it has and that is lacking, and a value of another type are found wherever a test reads such an endpoint.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use mesos::json::schema::Schemas;
use serde_json::{Map, Value};

use super::{SCHEMAS, answers};

/// The schemas of all types.
pub(super) static TYPES: LazyLock<Schemas> = LazyLock::new(|| {
    let mut schemas = Schemas::new();
    answers::add_types(SCHEMAS, &mut schemas);
    schemas
});

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What is not as it is described, and where.
    pub(crate) wrong: Vec<String>,
    /// Properties that were there: `Task.name`.
    pub(crate) seen: BTreeSet<String>,
}

/// All properties of the types of the table, as they are seen.
pub(crate) fn properties() -> impl Iterator<Item = String> {
    let types = TYPES.iter().filter(|(name, _)| !name.contains('.'));
    types.flat_map(|(of, schema)| {
        let properties = schema["properties"].as_object().into_iter().flat_map(Map::keys);
        properties.map(move |name| format!("{of}.{name}"))
    })
}

/// Panics if the JSON that is answered (200) at this path is not what the table says of it.
pub(crate) fn holds(path: &str, answer: &Value) {
    let mut found = Found::default();
    found.look_at(path, answer);
    assert!(found.wrong.is_empty(), "{path}: not as answers.txt has it: {:#?}", found.wrong);
}

impl Found {
    /// Looks at the JSON that is answered at a path, which may name the actor of the master and have a query. False: the
    /// table has no JSON for it.
    pub(crate) fn look_at(&mut self, path: &str, answer: &Value) -> bool {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let path = path.strip_prefix("/master").filter(|rest| rest.starts_with('/')).unwrap_or(path);
        let mut schemas = TYPES.clone();
        let content = answers::content(path, SCHEMAS, &mut schemas).unwrap_or_default();
        let Some(schema) = content.get("application/json").map(|json| &json["schema"]) else { return false };
        let mut walk = Walk { schemas: &schemas, seen: &mut self.seen };
        self.wrong.extend(walk.look(answer, schema, "", ""));
        true
    }
}

struct Walk<'a> {
    schemas: &'a Schemas,
    seen: &'a mut BTreeSet<String>,
}

impl Walk<'_> {
    /// What is wrong with a value; `at` is where it stands, `of` the type whose schema this is.
    fn look(&mut self, value: &Value, schema: &Value, at: &str, of: &str) -> Vec<String> {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let name = &name[SCHEMAS.len()..];
            let schemas = self.schemas;
            let Some(schema) = schemas.get(name) else {
                return vec![format!("{at}: there is no type {name}")];
            };
            return self.look(value, schema, at, name);
        }
        if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
            let wrong: Vec<_> = choices.iter().map(|choice| self.look(value, choice, at, of)).collect();
            let fits = wrong.iter().any(Vec::is_empty);
            return if fits { Vec::new() } else { wrong.into_iter().flatten().collect() };
        }
        let kind = schema["type"].as_str().unwrap_or_default();
        let is_of_kind = match kind {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "number" => value.is_number(),
            "integer" => value.is_i64() || value.is_u64(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        };
        if !is_of_kind {
            return vec![format!("{at}: {value} is not of type '{kind}'")];
        }
        if let Some(names) = schema.get("enum").and_then(Value::as_array)
            && !names.contains(value)
        {
            return vec![format!("{at}: {value} is none of {names:?}")];
        }
        match value {
            Value::Array(items) => {
                let items = items.iter().enumerate();
                items
                    .flat_map(|(n, item)| self.look(item, &schema["items"], &format!("{at}/{n}"), of))
                    .collect()
            }
            Value::Object(object) => self.object(object, schema, at, of),
            _ => Vec::new(),
        }
    }

    fn object(&mut self, object: &Map<String, Value>, schema: &Value, at: &str, of: &str) -> Vec<String> {
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let lacking = required.filter_map(Value::as_str).filter(|name| !object.contains_key(*name));
        let mut wrong: Vec<String> = lacking.map(|name| format!("{at}/{name}: {of} lacks it")).collect();
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        for (name, value) in object {
            let at = format!("{at}/{name}");
            match schema.get("properties").map(|properties| properties.get(name)) {
                Some(Some(schema)) => {
                    self.seen.insert(format!("{of}.{name}"));
                    wrong.extend(self.look(value, schema, &at, of));
                }
                // A message of the protocol has no other keys, either, though its schema would let them pass.
                _ if others.is_some() => {
                    wrong.extend(self.look(value, &schema["additionalProperties"], &at, of))
                }
                Some(None) => wrong.push(format!("{at}: {of} has no such property")),
                None => {}
            }
        }
        wrong
    }
}
