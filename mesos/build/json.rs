//! Writes `Serialize` of every message, in Mesos's JSON dialect: a line for each field.
//!
//! serde's own derive is not used because six hundred macro expansions cost seconds in every build, and because upstream
//! writes enums by name, bytes in base64, and some defaults. (Reading needs no code of its own for each message: see
//! `crate::json`.)

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
        (Kind::Double, Presence::Required) => {
            format!("map.serialize_entry({name}, &Double({member}))?;")
        }
        (_, Presence::Required) => format!("map.serialize_entry({name}, &{member})?;"),
        (kind, Presence::Optional) => {
            let default = if field.write_default {
                format!("else {{ map.serialize_entry({name}, &{})?; }}", default_literal(field))
            } else {
                String::new()
            };
            let value = if *kind == Kind::Double { "&Double(*value)" } else { "value" };
            format!("if let Some(value) = &{member} {{ map.serialize_entry({name}, {value})?; }} {default}")
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
