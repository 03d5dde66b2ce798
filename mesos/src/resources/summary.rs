//! The short JSON of resources in `/state` and its like: an object from name to amount (upstream:
//! `model(const Resources&)` in `src/common/http.cpp`).
//!
//! It is written for each task of a cluster at a time: nothing is made but the amounts.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{ResourceValue, Resources};

/// `{"cpus":4.0,"disk":0.0,"gpus":0.0,"mem":1024.0,"ports":"[31000-32000]"}`: the four known
/// scalars always, other names when they occur, ranges and sets as text; revocable resources under
/// `<name>_revocable`. Reservations and disks are added up.
#[derive(Debug, Clone, Copy)]
pub struct Summary<'a>(pub &'a Resources);

impl Serialize for Summary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut amounts: BTreeMap<(&str, bool), Option<ResourceValue>> =
            ["cpus", "disk", "gpus", "mem"].map(|name| ((name, false), None)).into();
        for resource in self.0.iter() {
            let amount = amounts.entry((resource.name(), resource.is_revocable())).or_default();
            add(amount, resource.value());
        }
        let mut map = serializer.serialize_map(Some(amounts.len()))?;
        for ((name, revocable), amount) in amounts {
            if revocable {
                map.serialize_key(&format_args!("{name}_revocable"))?;
            } else {
                map.serialize_key(name)?;
            }
            match amount {
                None => map.serialize_value(&0.0)?,
                Some(ResourceValue::Scalar(scalar)) => map.serialize_value(&scalar.to_f64())?,
                Some(ResourceValue::Ranges(ranges)) => map.serialize_value(&format_args!("{ranges}"))?,
                Some(ResourceValue::Set(set)) => map.serialize_value(&format_args!("{set}"))?,
            }
        }
        map.end()
    }
}

/// Adds to what there is of a name. Resources of one name are of one kind.
fn add(sum: &mut Option<ResourceValue>, value: &ResourceValue) {
    match (sum, value) {
        (Some(ResourceValue::Scalar(sum)), ResourceValue::Scalar(scalar)) => *sum += *scalar,
        (Some(ResourceValue::Ranges(sum)), ResourceValue::Ranges(ranges)) => *sum = &*sum + ranges,
        (Some(ResourceValue::Set(sum)), ResourceValue::Set(set)) => *sum += set,
        (sum, value) => *sum = Some(value.clone()),
    }
}
