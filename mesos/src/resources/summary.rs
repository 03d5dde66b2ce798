//! The short JSON of resources in `/state` and its like: an object from name to amount (upstream:
//! `model(const Resources&)` in `src/common/http.cpp`).

use serde_json::{Map, Value};

use super::Resources;

/// `{"cpus":4.0,"disk":0.0,"gpus":0.0,"mem":1024.0,"ports":"[31000-32000]"}`: the four known
/// scalars always, other names when they occur, ranges and sets as text; revocable resources under
/// `<name>_revocable`. Reservations and disks are added up.
#[must_use]
pub fn summary(resources: &Resources) -> Map<String, Value> {
    let mut object = Map::new();
    for name in ["cpus", "disk", "gpus", "mem"] {
        object.insert(name.to_owned(), Value::from(0.0));
    }
    for (part, suffix) in [(resources.non_revocable(), ""), (resources.revocable(), "_revocable")] {
        for name in part.names() {
            if let Some(amount) = amount(&part, &name) {
                object.insert(format!("{name}{suffix}"), amount);
            }
        }
    }
    object
}

fn amount(resources: &Resources, name: &str) -> Option<Value> {
    let scalar = || resources.get_scalar(name).map(|scalar| Value::from(scalar.to_f64()));
    let ranges = || resources.ranges(name).map(|ranges| Value::from(ranges.to_string()));
    let set = || resources.set(name).map(|set| Value::from(set.to_string()));
    scalar().or_else(ranges).or_else(set)
}
