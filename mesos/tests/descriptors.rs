//! Our `.proto` files against the tables of upstream's: `data/fields.tsv` and `data/enums.tsv` list
//! every message, field and enum value of Mesos 1.11. One set of types serves both API versions, so
//! that a v0 type is compared with its v1 twin; the five exceptions are listed here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop where it fails")]

use std::collections::{BTreeMap, BTreeSet};

use mesos::proto::{ENUMS, EnumDescriptor, Kind, MESSAGES, MessageDescriptor, Presence};

const FIELDS: &str = include_str!("data/fields.tsv");
const ENUM_VALUES: &str = include_str!("data/enums.tsv");

/// v0 messages that are types of their own, because their numbers or defaults are not v1's.
const EXCEPTIONS: [&str; 4] =
    ["mesos.SlaveInfo", "mesos.quota.QuotaRequest", "mesos.scheduler.Call", "mesos.master.Call"];

/// Nested in an exception, and different as well.
const INNER_EXCEPTIONS: [&str; 2] = ["mesos.scheduler.Call.Subscribe", "mesos.master.Call.DrainAgent"];

/// Packages of v0 that have a v1 twin.
const TWINS: [&str; 9] = [
    "mesos.",
    "mesos.agent.",
    "mesos.allocator.",
    "mesos.executor.",
    "mesos.maintenance.",
    "mesos.master.",
    "mesos.quota.",
    "mesos.resource_provider.",
    "mesos.scheduler.",
];

struct Row<'a> {
    message: &'a str,
    field: &'a str,
    number: &'a str,
    label: &'a str,
    kind: &'a str,
    default: &'a str,
    notes: &'a str,
}

fn rows() -> Vec<Row<'static>> {
    let lines = FIELDS.lines().skip(1);
    let rows = lines.map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [_, message, field, number, label, kind, default, notes] = cells[..] else {
            panic!("not eight cells: {line}")
        };
        Row { message, field, number, label, kind, default, notes }
    });
    rows.collect()
}

fn message(full_name: &str) -> Option<&'static MessageDescriptor> {
    MessageDescriptor::find(full_name)
}

fn enumeration(full_name: &str) -> Option<&'static EnumDescriptor> {
    ENUMS.iter().find(|known| known.full_name == full_name).copied()
}

/// v1's word for a slave.
fn renamed(name: &str) -> String {
    name.replace("Slave", "Agent").replace("slave", "agent").replace("SLAVE", "AGENT")
}

/// The v1 twin of a v0 name, if the name is in a package that has one.
fn twin(full_name: &str) -> Option<String> {
    let package_length = full_name.find(|c: char| c.is_ascii_uppercase())?;
    if !TWINS.contains(&&full_name[..package_length]) {
        return None;
    }
    Some(format!("mesos.v1.{}", renamed(full_name.strip_prefix("mesos.")?)))
}

/// Our type for a type of the tables, seen from a message of ours.
fn ours(full_name: &str, within: &str) -> String {
    let exception = INNER_EXCEPTIONS.contains(&full_name) && !within.starts_with("mesos.v1.");
    let exists = |name: &str| message(name).is_some() || enumeration(name).is_some();
    match twin(full_name) {
        Some(twin) if exists(&twin) && !exception => twin,
        _ => full_name.to_owned(),
    }
}

/// Whether a message of the tables is the synthetic entry of a map.
fn is_map_entry(name: &str, entries: &BTreeMap<&str, Vec<&str>>) -> bool {
    name.ends_with("Entry") && entries.get(name).is_some_and(|fields| *fields == ["key", "value"])
}

fn fields_by_message<'a>(rows: &[Row<'a>]) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in rows {
        fields.entry(row.message).or_default().push(row.field);
    }
    fields
}

/// The name under which we have a message of the tables: its own, or that of its v1 twin.
fn our_message(name: &str) -> String {
    if EXCEPTIONS.contains(&name) || INNER_EXCEPTIONS.contains(&name) {
        name.to_owned()
    } else {
        ours(name, name)
    }
}

#[test]
fn every_message_and_field_of_upstream_is_there_with_its_number_label_type_and_default() {
    let rows = rows();
    let by_message = fields_by_message(&rows);
    let mut compared = 0;
    for row in &rows {
        if is_map_entry(row.message, &by_message) {
            continue;
        }
        let name = our_message(row.message);
        let Some(descriptor) = message(&name) else { panic!("{name} is missing") };
        let in_v1 = name.starts_with("mesos.v1.");
        if row.field == "-" {
            assert!(descriptor.fields.is_empty(), "{name} has fields");
            continue;
        }
        let field_name = if in_v1 { renamed(row.field) } else { row.field.to_owned() };
        let context = format!("{name}.{field_name} ({})", row.message);
        let Some(index) = descriptor.index_of(&field_name) else { panic!("no {context}") };
        let field = &descriptor.fields[index];
        assert_eq!(field.number.to_string(), row.number, "{context}");
        assert_eq!(field.default.unwrap_or_default(), row.default, "{context}");
        let written = field.presence == Presence::Optional
            && !row.default.is_empty()
            && !row.notes.contains("deprecated");
        assert_eq!(field.write_default, written, "{context}");
        compare_type(row, field.presence, field.kind, &name, &rows, &by_message, &context);
        compared += 1;
    }
    assert!(compared > 3_000, "only {compared} fields were compared");
}

fn compare_type(
    row: &Row<'_>,
    presence: Presence,
    kind: Kind,
    within: &str,
    rows: &[Row<'_>],
    by_message: &BTreeMap<&str, Vec<&str>>,
    context: &str,
) {
    if is_map_entry(row.kind, by_message) {
        assert_eq!(presence, Presence::Map, "{context}");
        // A map's kind is that of its values; keys are strings in every map of ours.
        let part = |name: &str| rows.iter().find(|other| other.message == row.kind && other.field == name);
        let (Some(key), Some(value)) = (part("key"), part("value")) else { panic!("{context}: no entry") };
        assert_eq!(key.kind, "string", "{context}");
        compare_kind(value, kind, within, context);
        return;
    }
    let label = match presence {
        Presence::Required => "required",
        Presence::Optional => "optional",
        Presence::Repeated => "repeated",
        Presence::Map => "map",
    };
    assert_eq!(label, row.label, "{context}");
    compare_kind(row, kind, within, context);
}

fn compare_kind(row: &Row<'_>, kind: Kind, within: &str, context: &str) {
    let (actual, expected) = match kind {
        Kind::Message(inner) => (inner.full_name, ours(row.kind, within)),
        Kind::Enum(inner) => (inner.full_name, ours(row.kind, within)),
        Kind::Bool => ("bool", row.kind.to_owned()),
        Kind::Int32 => ("int32", row.kind.to_owned()),
        Kind::Int64 => ("int64", row.kind.to_owned()),
        Kind::Uint32 => ("uint32", row.kind.to_owned()),
        Kind::Uint64 => ("uint64", row.kind.to_owned()),
        Kind::Double => ("double", row.kind.to_owned()),
        Kind::String => ("string", row.kind.to_owned()),
        Kind::Bytes => ("bytes", row.kind.to_owned()),
    };
    assert_eq!(actual, expected, "{context}");
}

#[test]
fn a_message_has_no_fields_beside_upstreams_and_they_stand_in_its_order() {
    let rows = rows();
    let by_message = fields_by_message(&rows);
    let tables: BTreeMap<String, &Vec<&str>> = by_message
        .iter()
        .filter(|(name, _)| our_message(name) == **name)
        .map(|(name, fields)| ((*name).to_owned(), fields))
        .collect();
    for descriptor in MESSAGES {
        if descriptor.full_name == "google.protobuf.Duration" {
            continue;
        }
        let Some(table) = tables.get(descriptor.full_name) else {
            panic!("upstream has no {}", descriptor.full_name)
        };
        let names: Vec<&str> = descriptor.fields.iter().map(|field| field.name).collect();
        let expected: Vec<&str> = table.iter().copied().filter(|name| *name != "-").collect();
        assert_eq!(names, expected, "{}", descriptor.full_name);
    }
}

#[test]
fn every_enum_value_of_upstream_is_there_and_no_other() {
    let mut expected: BTreeMap<String, BTreeSet<(String, i32)>> = BTreeMap::new();
    for line in ENUM_VALUES.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let [_, name, value, number] = cells[..] else { panic!("not four cells: {line}") };
        let name = ours(name, name);
        let value = if name.starts_with("mesos.v1.") { renamed(value) } else { value.to_owned() };
        expected.entry(name).or_default().insert((value, number.parse().unwrap()));
    }
    let actual: BTreeMap<String, BTreeSet<(String, i32)>> = ENUMS
        .iter()
        .map(|names| {
            let values = names.values.iter().map(|(name, number)| ((*name).to_owned(), *number));
            (names.full_name.to_owned(), values.collect())
        })
        .collect();
    assert_eq!(actual, expected);
}

/// The five differences between the API versions, said one by one.
#[test]
fn the_five_exceptions_are_types_of_their_own() {
    let number = |name: &str, field: &str| {
        let descriptor = message(name).unwrap();
        descriptor.index_of(field).map(|index| descriptor.fields[index].number)
    };
    assert_eq!(number("mesos.SlaveInfo", "checkpoint"), Some(7));
    assert_eq!(number("mesos.v1.AgentInfo", "checkpoint"), None);
    for (field, v0, v1) in [
        ("force", Some(2), None),
        ("suppressed_roles", Some(3), Some(2)),
        ("offer_constraints", Some(4), Some(3)),
    ] {
        assert_eq!(number("mesos.scheduler.Call.Subscribe", field), v0);
        assert_eq!(number("mesos.v1.scheduler.Call.Subscribe", field), v1);
    }
    let kind = |name: &str, field: &str| {
        let descriptor = message(name).unwrap();
        match descriptor.fields[descriptor.index_of(field).unwrap()].kind {
            Kind::Message(inner) => inner.full_name,
            other => panic!("{other:?}"),
        }
    };
    let v0 = "mesos.master.Call.DrainAgent";
    assert_eq!(kind(v0, "max_grace_period"), "mesos.v1.DurationInfo");
    let v1 = "mesos.v1.master.Call.DrainAgent";
    assert_eq!(kind(v1, "max_grace_period"), "google.protobuf.Duration");
    let default = |name: &str| {
        let descriptor = message(name).unwrap();
        descriptor.fields[descriptor.index_of("force").unwrap()].default
    };
    assert_eq!(default("mesos.quota.QuotaRequest"), Some("false"));
    assert_eq!(default("mesos.v1.quota.QuotaRequest"), None);
    assert!(message("mesos.v1.scheduler.APIResult").is_some());
    assert!(message("mesos.scheduler.APIResult").is_none());
}
