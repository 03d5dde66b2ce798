//! Writes `Serialize` and `Deserialize` of every message, in Mesos's JSON dialect.
//!
//! The impls are thin: a line for each field that calls the codec of its kind in `crate::json`.
//! serde's own derive is not used because it takes an array for a struct, refuses a repeated key,
//! and has no way to say "unset" for `null`; upstream does otherwise in all three.

use std::fmt::Write as _;

use crate::model::{Field, Kind, Message, Model, Presence};

/// Lists that upstream writes even when they are empty: its read-only handlers write these answers
/// by hand, list by list (upstream: `src/master/readonly_handler.cpp`, `src/slave/http.cpp`).
const LISTED_WHEN_EMPTY: &[(&str, &[&str])] = &[
    ("mesos.v1.master.Response.GetAgents", &["agents", "recovered_agents"]),
    ("mesos.v1.master.Response.GetExecutors", &["executors"]),
    ("mesos.v1.master.Response.GetFrameworks", &["frameworks", "completed_frameworks"]),
    ("mesos.v1.master.Response.GetTasks", &["tasks", "unreachable_tasks", "completed_tasks"]),
    ("mesos.v1.agent.Response.GetExecutors", &["executors", "completed_executors"]),
    ("mesos.v1.agent.Response.GetFrameworks", &["frameworks", "completed_frameworks"]),
    (
        "mesos.v1.agent.Response.GetTasks",
        &["pending_tasks", "queued_tasks", "launched_tasks", "terminated_tasks", "completed_tasks"],
    ),
];

pub(crate) fn render(model: &Model) -> String {
    let mut out = String::new();
    for message in model.messages.values().filter(|message| message.full_name != crate::LABELS) {
        write_serialize(&mut out, message, model);
        write_deserialize(&mut out, message, model);
    }
    out
}

fn write_serialize(out: &mut String, message: &Message, model: &Model) {
    let _ = writeln!(
        out,
        "impl Serialize for {} {{\n\
         fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {{\n\
         #[allow(unused_mut, reason = \"a message may have no fields\")]\n\
         let mut map = serializer.serialize_map(None)?;",
        message.rust
    );
    let listed = LISTED_WHEN_EMPTY.iter().find(|(name, _)| *name == message.full_name);
    for field in &message.fields {
        if listed.is_some_and(|(_, fields)| fields.contains(&field.name.as_str())) {
            let _ = writeln!(out, "map.serialize_entry({:?}, &self.{})?;", field.name, field.rust);
        } else {
            let _ = writeln!(out, "{}", writer(field, model));
        }
    }
    out.push_str("map.end()\n}\n}\n");
}

/// The statement that writes one field.
fn writer(field: &Field, model: &Model) -> String {
    let (name, member) = (format!("{:?}", field.name), format!("self.{}", field.rust));
    let rust = |full_name: &str| model.enums[full_name].rust.clone();
    match (&field.kind, field.presence) {
        (Kind::Enum(e), Presence::Required) => {
            format!("map.serialize_entry({name}, &EnumName::<{}>::new({member}))?;", rust(e))
        }
        (Kind::Enum(e), Presence::Optional) => {
            let default = match (&field.default, field.write_default) {
                (Some(default), true) => {
                    format!("else {{ map.serialize_entry({name}, {default:?})?; }}")
                }
                _ => String::new(),
            };
            format!(
                "if let Some(value) = EnumName::<{}>::known({member}) {{ map.serialize_entry({name}, &value)?; }} {default}",
                rust(e)
            )
        }
        (Kind::Enum(e), Presence::Repeated) => format!(
            "if !{member}.is_empty() {{ map.serialize_entry({name}, &EnumNames::<{}>::new(&{member}))?; }}",
            rust(e)
        ),
        (Kind::Bytes, Presence::Required) => {
            format!("map.serialize_entry({name}, &Base64(&{member}))?;")
        }
        (Kind::Bytes, Presence::Optional) => {
            format!("if let Some(value) = &{member} {{ map.serialize_entry({name}, &Base64(value))?; }}")
        }
        (_, Presence::Required) => format!("map.serialize_entry({name}, &{member})?;"),
        (_, Presence::Optional) => {
            let default = if field.write_default {
                format!("else {{ map.serialize_entry({name}, &{})?; }}", default_literal(field))
            } else {
                String::new()
            };
            format!("if let Some(value) = &{member} {{ map.serialize_entry({name}, value)?; }} {default}")
        }
        (_, Presence::Repeated | Presence::Map) => {
            format!("if !{member}.is_empty() {{ map.serialize_entry({name}, &{member})?; }}")
        }
    }
}

fn default_literal(field: &Field) -> String {
    let default = field.default.as_deref().unwrap_or_default();
    match field.kind {
        Kind::Double => format!("{default}f64"),
        Kind::Int32 => format!("{default}i32"),
        Kind::Int64 => format!("{default}i64"),
        Kind::Uint32 => format!("{default}u32"),
        Kind::Uint64 => format!("{default}u64"),
        Kind::Bool => default.to_owned(),
        _ => format!("{default:?}"),
    }
}

fn write_deserialize(out: &mut String, message: &Message, model: &Model) {
    let required: Vec<&Field> =
        message.fields.iter().filter(|field| field.presence == Presence::Required).collect();
    assert!(required.len() <= 64, "{}: `missing` has 64 bits", message.full_name);
    let all = if required.is_empty() { 0 } else { u64::MAX >> (64 - required.len()) };
    let _ = writeln!(
        out,
        "impl FromJson for {rust} {{\n\
         const REQUIRED: u64 = {all:#x};\n\
         fn read_field<'de, A: MapAccess<'de>>(&mut self, field: usize, missing: &mut u64, map: &mut A) -> Result<(), A::Error> {{\n\
         let _ = &missing;\n\
         match field {{",
        rust = message.rust
    );
    let mut bit = 0;
    for (index, field) in message.fields.iter().enumerate() {
        let statement = reader(field, model, 1u64 << (bit % 64));
        if field.presence == Presence::Required {
            bit += 1;
        }
        let _ = writeln!(out, "{index} => {statement}");
    }
    let _ = writeln!(
        out,
        "_ => skip(map)?,\n}}\nOk(())\n}}\n}}\n\
         impl<'de> Deserialize<'de> for {rust} {{\n\
         fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {{\n\
         read_message(deserializer)\n}}\n}}",
        rust = message.rust
    );
}

/// The match arm's expression that reads one field.
fn reader(field: &Field, model: &Model, bit: u64) -> String {
    let member = format!("self.{}", field.rust);
    let codec = match &field.kind {
        Kind::Bool => "LenientBool".to_owned(),
        Kind::Int32 => "Number<i32>".to_owned(),
        Kind::Int64 => "Number<i64>".to_owned(),
        Kind::Uint32 => "Number<u32>".to_owned(),
        Kind::Uint64 => "Number<u64>".to_owned(),
        Kind::Double => "Number<f64>".to_owned(),
        Kind::String => "Plain<String>".to_owned(),
        Kind::Bytes => "FromBase64".to_owned(),
        Kind::Enum(name) if field.presence == Presence::Required => {
            format!("FromEnumName<{}, true>", model.enums[name].rust)
        }
        Kind::Enum(name) => format!("FromEnumName<{}, false>", model.enums[name].rust),
        Kind::Message(_) => "Plain<_>".to_owned(),
    };
    match field.presence {
        Presence::Required => {
            format!("required::<_, {codec}, A>(map, &mut {member}, missing, {bit:#x})?,")
        }
        Presence::Optional => format!("optional::<_, {codec}, A>(map, &mut {member})?,"),
        Presence::Repeated => format!("repeated::<_, {codec}, A>(map, &mut {member})?,"),
        Presence::Map => format!("string_map::<_, {codec}, A>(map, &mut {member})?,"),
    }
}
