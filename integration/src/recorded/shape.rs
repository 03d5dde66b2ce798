//! Which keys of which types a JSON value has, whatever their values are.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Which flags there are is told, and tested, in `docs/flags.md`.
const FLAGS: &str = "flags";

/// The shape of a value, or of all elements of an array together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// `object`, `array`, `string`, `boolean`, `integer`, `number` (with a decimal point), `null`.
    types: BTreeSet<&'static str>,
    keys: BTreeMap<String, Shape>,
    /// `None` if no array had an element.
    elements: Option<Box<Shape>>,
}

impl Shape {
    /// The shape of a value.
    pub fn of(value: &Value) -> Self {
        Self::of_all([value])
    }

    /// The shape of all values together.
    pub fn of_all<'a>(values: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut shape = Self::default();
        values.into_iter().for_each(|value| shape.add(value));
        shape
    }

    fn add(&mut self, value: &Value) {
        self.types.insert(type_of(value));
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    self.keys.entry(key.clone()).or_default().add(value);
                }
            }
            Value::Array(values) => {
                for value in values {
                    self.elements.get_or_insert_default().add(value);
                }
            }
            _ => {}
        }
    }

    /// The keys at the top.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// What `ours` lacks of this, has more than this, or has otherwise.
    pub fn differences(&self, ours: &Shape) -> ShapeDifferences {
        let mut found = ShapeDifferences::default();
        self.compare(ours, "", &mut found);
        found
    }

    fn compare(&self, ours: &Shape, path: &str, found: &mut ShapeDifferences) {
        if self.types != ours.types {
            let list = |types: &BTreeSet<&str>| types.iter().copied().collect::<Vec<_>>().join(" or ");
            let path = if path.is_empty() { "the body" } else { path };
            found.otherwise.push(format!("{path} is {}, not {}", list(&ours.types), list(&self.types)));
        }
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        if path == FLAGS || path.ends_with(&format!(".{FLAGS}")) {
            return;
        }
        for (key, theirs) in &self.keys {
            match ours.keys.get(key) {
                Some(ours) => theirs.compare(ours, &below(key), found),
                None => found.lacking.push(below(key)),
            }
        }
        found.more.extend(ours.keys.keys().filter(|key| !self.keys.contains_key(*key)).map(|key| below(key)));
        let element = format!("{path}[]");
        match (&self.elements, &ours.elements) {
            (Some(theirs), Some(ours)) => theirs.compare(ours, &element, found),
            (Some(_), None) if ours.types.contains("array") => found.lacking.push(element),
            (None, Some(_)) if self.types.contains("array") => found.more.push(element),
            _ => {}
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// How two shapes differ. `a.b[].c` is the key `c` in the elements of the array `b` in `a`; a path that ends with
/// `[]` stands for the elements of an array that is empty on the other side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShapeDifferences {
    /// Keys of upstream that we lack.
    pub lacking: Vec<String>,
    /// Keys of ours that upstream lacks.
    pub more: Vec<String>,
    /// Types that differ.
    pub otherwise: Vec<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn between(theirs: &Value, ours: &Value) -> [Vec<String>; 3] {
        let found = Shape::of(theirs).differences(&Shape::of(ours));
        [found.lacking, found.more, found.otherwise]
    }

    #[test]
    fn values_do_not_matter() {
        let theirs = json!({ "a": 1, "b": [{ "c": "x" }, { "d": true }] });
        let ours = json!({ "a": 7, "b": [{ "c": "", "d": false }] });
        assert_eq!(between(&theirs, &ours), [vec![], vec![], Vec::<String>::new()]);
    }

    #[test]
    fn keys_that_lack_are_named_by_their_path() {
        let theirs = json!({ "a": { "b": [{ "c": 1 }] }, "e": [1], "g": [] });
        let ours = json!({ "a": { "b": [{ "d": 1 }] }, "e": [], "g": ["x"] });
        assert_eq!(between(&theirs, &ours), [vec!["a.b[].c", "e[]"], vec!["a.b[].d", "g[]"], vec![]]);
    }

    #[test]
    fn which_flags_there_are_does_not_matter() {
        let [lacking, more, otherwise] =
            between(&json!({ "flags": { "ip": "", "a": "" } }), &json!({ "flags": { "ip": "", "b": "" } }));
        assert!(lacking.is_empty() && more.is_empty() && otherwise.is_empty());
    }

    #[test]
    fn a_number_without_a_decimal_point_is_another_type() {
        let [_, _, otherwise] = between(&json!({ "a": 1.0 }), &json!({ "a": 1 }));
        assert_eq!(otherwise, ["a is integer, not number"]);
    }
}
