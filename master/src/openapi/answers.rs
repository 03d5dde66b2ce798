//! What the endpoints answer that are older than the protocol's messages: the table `answers.txt`, read.
//!
//! A document of such an endpoint is made field by field (`http`, `mesos::views`), and no type says what is in it. The
//! table does, and the tests hold it against what is answered, in both directions: see `check`.

use mesos::json::schema::{self, Schemas};
use serde_json::{Map, Value, json};

const TABLE: &str = include_str!("answers.txt");

/// A line of the table: what stands before the colon, behind it, and what is said of it. A line without a colon is a type
/// with nothing behind it.
struct Line<'a> {
    is_property: bool,
    name: &'a str,
    is: &'a str,
    description: &'a str,
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Option<Line<'a>> {
        let (said, description) = line.split_once('#').unwrap_or((line, ""));
        let (name, is) = said.split_once(':').unwrap_or((said, ""));
        let is_property = said.starts_with(' ');
        let [name, is, description] = [name, is, description].map(str::trim);
        (!name.is_empty()).then_some(Line { is_property, name, is, description })
    }
}

/// Lines that go on in the next one are one.
fn whole() -> String {
    TABLE.replace("\n        ", " ")
}

/// What a path answers (200) when it is read: the `content` of an OpenAPI response. `None`: the table does not have it.
pub(super) fn content(path: &str, prefix: &str, schemas: &mut Schemas) -> Option<Map<String, Value>> {
    let table = whole();
    let line = table.lines().filter_map(Line::of).find(|line| !line.is_property && line.name == path)?;
    let answers = line.is.split(',').map(str::trim).filter(|answer| !answer.is_empty());
    let answers = answers.map(|answer| match answer {
        "application/octet-stream" => (answer, super::binary()),
        text if text.contains('/') => (text, json!({ "type": "string" })),
        document => ("application/json", of_type(document, prefix, schemas)),
    });
    Some(answers.map(|(media, schema)| (media.to_owned(), json!({ "schema": schema }))).collect())
}

/// All paths of the table.
#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = String> {
    let table = whole();
    let paths = table.lines().filter_map(Line::of).filter(|line| line.name.starts_with('/'));
    paths.map(|line| line.name.to_owned()).collect::<Vec<_>>().into_iter()
}

/// Adds the schemas of all types of the table.
pub(super) fn add_types(prefix: &str, schemas: &mut Schemas) {
    let table = whole();
    let mut latest = String::new();
    for line in table.lines().filter_map(Line::of).filter(|line| !line.name.starts_with('/')) {
        if line.is_property {
            let is = of_type(line.is, prefix, schemas);
            let of_latest = schemas.get_mut(&latest).and_then(Value::as_object_mut);
            of_latest.into_iter().for_each(|schema| add_properties(schema, &line, &is));
        } else {
            latest = line.name.to_owned();
            let schema = derived(&line, schemas);
            schemas.insert(latest.clone(), schema);
        }
    }
}

/// An object with the properties of others, and so far no more.
fn derived(line: &Line<'_>, schemas: &Schemas) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for of_other in line.is.split_whitespace().filter_map(|other| schemas.get(other)) {
        properties.extend(of_other["properties"].as_object().cloned().unwrap_or_default());
        required.extend(of_other["required"].as_array().cloned().unwrap_or_default());
    }
    let schema = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false
    });
    with_description(schema, line.description)
}

fn add_properties(schema: &mut Map<String, Value>, line: &Line<'_>, is: &Value) {
    for name in line.name.split_whitespace() {
        let (name, may_lack) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
        if name == "*" {
            schema.insert("additionalProperties".into(), is.clone());
            continue;
        }
        schema["properties"][name] = with_description(is.clone(), line.description);
        if !may_lack && let Some(required) = schema["required"].as_array_mut() {
            required.push(name.into());
        }
    }
}

fn with_description(mut schema: Value, description: &str) -> Value {
    if !description.is_empty() {
        schema["description"] = description.into();
    }
    schema
}

/// The schema of a type, as the table writes it.
fn of_type(text: &str, prefix: &str, schemas: &mut Schemas) -> Value {
    let text = text.trim();
    let inside = |open, close| text.strip_prefix(open).and_then(|text| text.strip_suffix(close));
    if let Some(items) = inside('[', ']') {
        return json!({ "type": "array", "items": of_type(items, prefix, schemas) });
    }
    if let Some(values) = inside('{', '}') {
        return json!({ "type": "object", "additionalProperties": of_type(values, prefix, schemas) });
    }
    if text.contains('|') {
        let choices: Vec<Value> = text.split('|').map(|choice| of_type(choice, prefix, schemas)).collect();
        return json!({ "anyOf": choices });
    }
    if text.contains(' ') {
        return json!({ "type": "string", "enum": text.split_whitespace().collect::<Vec<_>>() });
    }
    match text {
        "string" | "number" | "integer" | "boolean" | "null" | "object" => json!({ "type": text }),
        "double" => schema::double(prefix, schemas),
        "seconds" => json!({ "type": "number", "description": "Seconds since 1970." }),
        full_name if full_name.contains('.') => {
            let of_protocol = schema::by_name(full_name, prefix, schemas);
            of_protocol.unwrap_or_else(|| json!({ "$ref": format!("{prefix}{full_name}") }))
        }
        name => json!({ "$ref": format!("{prefix}{name}") }),
    }
}
