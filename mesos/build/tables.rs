//! Writes the static tables of all messages, fields and enums (`crate::descriptor`).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::model::{Field, Kind, Message, Model, Presence};

/// The tables, the `Message` implementations that lead to them, and the schema's fingerprint.
pub(crate) fn render(model: &Model, fingerprint: u64) -> String {
    let mut out = String::new();
    let checked =
        closure(model, |message| message.fields.iter().any(|field| field.presence == Presence::Required));
    let quotas = closure(model, |message| message.full_name == "mesos.v1.quota.QuotaConfig");
    let _ = writeln!(out, "/// See [`crate::schema_fingerprint`].");
    let _ = writeln!(out, "pub(crate) const FINGERPRINT: u64 = {fingerprint:#x};");
    for descriptor in model.enums.values() {
        let _ = writeln!(
            out,
            "static {}: EnumDescriptor = EnumDescriptor {{ full_name: {:?}, values: &{:?} }};",
            identifier(&descriptor.full_name),
            descriptor.full_name,
            descriptor.values,
        );
        let _ = writeln!(
            out,
            "impl crate::proto::Enum for {rust} {{\n\
             fn name(self) -> &'static str {{ self.as_str_name() }}\n\
             fn from_name(name: &str) -> Option<Self> {{ Self::from_str_name(name) }}\n\
             fn descriptor() -> &'static EnumDescriptor {{ &{id} }} }}",
            rust = descriptor.rust,
            id = identifier(&descriptor.full_name),
        );
    }
    for message in model.messages.values() {
        let name = message.full_name.as_str();
        write_message(&mut out, message, checked.contains(name), quotas.contains(name));
    }
    let _ = writeln!(out, "/// Every message of the protocol, by full name.");
    let _ = writeln!(out, "pub static MESSAGES: &[&MessageDescriptor] = &[");
    for name in model.messages.keys() {
        let _ = writeln!(out, "&{},", identifier(name));
    }
    let _ = writeln!(out, "];");
    let _ = writeln!(out, "/// Every enum of the protocol, by full name.");
    let _ = writeln!(out, "pub static ENUMS: &[&EnumDescriptor] = &[");
    for name in model.enums.keys() {
        let _ = writeln!(out, "&{},", identifier(name));
    }
    let _ = writeln!(out, "];");
    out.push_str(
        "#[doc(hidden)]\n#[macro_export]\nmacro_rules! for_each_message {\n($callback:ident) => {\n",
    );
    for message in model.messages.values() {
        let path = message.rust.trim_start_matches("crate::");
        let _ = writeln!(out, "$callback!($crate::{path});");
    }
    out.push_str("};\n}\n");
    out
}

/// A line for each message that actors of different nodes send each other: all that stand by
/// themselves in the package `mesos.internal`.
pub(crate) fn render_wire_messages(model: &Model) -> String {
    let mut out = String::new();
    for message in model.messages.values().filter(|message| message.top_level) {
        let package = message.full_name.rsplit_once('.').map(|(package, _)| package);
        if package == Some("mesos.internal") {
            let _ = writeln!(out, "wire_message!({}, {:?});", message.rust, message.full_name);
        }
    }
    out
}

fn write_message(out: &mut String, message: &Message, checked: bool, quotas: bool) {
    assert!(message.fields.len() <= 256, "{}: the required check has 256 bits", message.full_name);
    let id = identifier(&message.full_name);
    let _ = writeln!(
        out,
        "static {id}: MessageDescriptor = MessageDescriptor {{ full_name: {:?}, size: size_of::<{}>(), checked: {checked}, quotas: {quotas}, fields: &[",
        message.full_name, message.rust,
    );
    for field in &message.fields {
        let _ = writeln!(
            out,
            "FieldDescriptor {{ name: {:?}, number: {}, presence: Presence::{:?}, kind: {}, is_boxed: {}, default: {:?}, write_default: {} }},",
            field.name,
            field.number,
            field.presence,
            kind(field),
            is_boxed(message, field),
            field.default,
            field.write_default,
        );
    }
    let _ = writeln!(out, "] }};");
    let name = message.full_name.rsplit('.').next().unwrap_or_default();
    let _ = writeln!(
        out,
        "impl crate::proto::Message for {} {{\n\
         const FULL_NAME: &'static str = {:?};\n\
         const NAME: &'static str = {name:?};\n\
         fn descriptor() -> &'static MessageDescriptor {{ &{id} }}\n\
         #[inline(never)] fn write_json(&self) -> Vec<u8> {{ crate::json::to_vec(self) }}\n\
         #[inline(never)] fn read_protobuf(bytes: &[u8]) -> Result<Self, prost::DecodeError> {{ prost::Message::decode(bytes) }}\n\
         #[inline(never)] fn write_protobuf(&self) -> Vec<u8> {{ prost::Message::encode_to_vec(self) }}\n}}",
        message.rust, message.full_name,
    );
}

/// Whether prost keeps the field in a box: because it is told to, or because a message that holds itself has no size.
fn is_boxed(message: &Message, field: &Field) -> bool {
    let name = message.full_name.strip_prefix("mesos").unwrap_or(&message.full_name);
    let is_told = crate::BOXED.contains(&format!("{name}.{}", field.name).as_str());
    is_told || matches!(&field.kind, Kind::Message(inner) if *inner == message.full_name)
}

fn kind(field: &Field) -> String {
    match &field.kind {
        Kind::Enum(name) => format!("Kind::Enum(&{})", identifier(name)),
        Kind::Message(name) => format!("Kind::Message(&{})", identifier(name)),
        scalar => format!("Kind::{scalar:?}"),
    }
}

/// The name of a static: unique, since full names are.
fn identifier(full_name: &str) -> String {
    // A dot becomes two underscores, so that `a_b.C` and `a.b_C` stay apart; case is kept.
    format!("D_{}", full_name.replace('.', "__"))
}

/// The messages for which `holds`, and all that contain one of them at some depth.
fn closure(model: &Model, holds: impl Fn(&Message) -> bool) -> BTreeSet<&str> {
    let direct = model.messages.values().filter(|message| holds(message));
    let mut found: BTreeSet<&str> = direct.map(|message| message.full_name.as_str()).collect();
    loop {
        let before = found.len();
        for message in model.messages.values() {
            let contains = message
                .fields
                .iter()
                .any(|field| matches!(&field.kind, Kind::Message(name) if found.contains(name.as_str())));
            if contains {
                found.insert(&message.full_name);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}
