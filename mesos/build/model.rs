//! What the generators need to know of the descriptors: messages, fields and enums with their
//! upstream names and their Rust paths. Also the one renaming that happens: upstream's packages
//! become modules of this crate.

use std::collections::BTreeMap;
use std::error::Error;

use heck::{ToSnakeCase, ToUpperCamelCase};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// All messages and enums, by upstream's full name without the leading dot.
pub(crate) struct Model {
    pub(crate) messages: BTreeMap<String, Message>,
    pub(crate) enums: BTreeMap<String, Enum>,
}

pub(crate) struct Message {
    pub(crate) full_name: String,
    /// For instance `crate::v1::task_info::Foo`.
    pub(crate) rust: String,
    /// A message of its own in a file, as opposed to one nested in another.
    pub(crate) top_level: bool,
    /// In the order of declaration, which is the order of the JSON.
    pub(crate) fields: Vec<Field>,
}

pub(crate) struct Enum {
    pub(crate) full_name: String,
    pub(crate) rust: String,
    pub(crate) values: Vec<(String, i32)>,
}

pub(crate) struct Field {
    pub(crate) name: String,
    /// The name of prost's struct member.
    pub(crate) rust: String,
    pub(crate) number: i32,
    pub(crate) presence: Presence,
    pub(crate) kind: Kind,
    /// The explicit default, as the descriptor spells it.
    pub(crate) default: Option<String>,
    /// Written to JSON even when unset (upstream: stout's `json(ObjectWriter*, const Protobuf&)`).
    pub(crate) write_default: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Presence {
    Required,
    Optional,
    Repeated,
    /// A map with string keys; the field's kind is that of its values.
    Map,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Double,
    String,
    Bytes,
    Enum(String),
    Message(String),
}

impl Model {
    /// Reads compiled files, or says which construct is not provided for.
    pub(crate) fn read(set: &FileDescriptorSet) -> Result<Self, Box<dyn Error>> {
        let mut model = Self { messages: BTreeMap::new(), enums: BTreeMap::new() };
        let mut maps = BTreeMap::new();
        for file in &set.file {
            let package = file.package();
            for message in &file.message_type {
                collect_maps(package, message, &mut maps);
            }
        }
        for file in &set.file {
            let package = file.package();
            let module = format!("crate::{}", crate_package(package).replace('.', "::"));
            for descriptor in &file.enum_type {
                model.add_enum(package, &module, descriptor);
            }
            for message in &file.message_type {
                model.add_message(package, &module, true, message, &maps)?;
            }
        }
        Ok(model)
    }

    fn add_enum(&mut self, scope: &str, module: &str, descriptor: &EnumDescriptorProto) {
        let full_name = format!("{scope}.{}", descriptor.name());
        let values = descriptor.value.iter().map(|value| (value.name().to_owned(), value.number()));
        self.enums.insert(
            full_name.clone(),
            Enum {
                full_name,
                rust: format!("{module}::{}", descriptor.name().to_upper_camel_case()),
                values: values.collect(),
            },
        );
    }

    fn add_message(
        &mut self,
        scope: &str,
        module: &str,
        top_level: bool,
        descriptor: &DescriptorProto,
        maps: &BTreeMap<String, Kind>,
    ) -> Result<(), Box<dyn Error>> {
        let full_name = format!("{scope}.{}", descriptor.name());
        let nested = format!("{module}::{}", descriptor.name().to_snake_case());
        for inner in &descriptor.enum_type {
            self.add_enum(&full_name, &nested, inner);
        }
        for inner in &descriptor.nested_type {
            if !is_map_entry(inner) {
                self.add_message(&full_name, &nested, false, inner, maps)?;
            }
        }
        let fields =
            descriptor.field.iter().map(|field| Field::read(field, maps)).collect::<Result<Vec<_>, _>>()?;
        self.messages.insert(
            full_name.clone(),
            Message {
                full_name,
                rust: format!("{module}::{}", descriptor.name().to_upper_camel_case()),
                top_level,
                fields,
            },
        );
        Ok(())
    }
}

impl Field {
    fn read(field: &FieldDescriptorProto, maps: &BTreeMap<String, Kind>) -> Result<Self, Box<dyn Error>> {
        let map_value = maps.get(field.type_name().trim_start_matches('.'));
        let (presence, kind) = match (map_value, field.label()) {
            (Some(value), _) => (Presence::Map, value.clone()),
            (None, Label::Required) => (Presence::Required, kind(field)?),
            (None, Label::Optional) => (Presence::Optional, kind(field)?),
            (None, Label::Repeated) => (Presence::Repeated, kind(field)?),
        };
        if matches!(kind, Kind::Bytes | Kind::Double)
            && matches!(presence, Presence::Repeated | Presence::Map)
        {
            return Err(
                format!("field {}: lists of bytes or doubles have no JSON codec", field.name()).into()
            );
        }
        let deprecated = field.options.as_ref().is_some_and(|options| options.deprecated());
        Ok(Self {
            name: field.name().to_owned(),
            rust: member_name(field.name()),
            number: field.number(),
            presence,
            kind,
            default: field.default_value.clone(),
            write_default: presence == Presence::Optional && field.default_value.is_some() && !deprecated,
        })
    }
}

fn kind(field: &FieldDescriptorProto) -> Result<Kind, Box<dyn Error>> {
    let type_name = || field.type_name().trim_start_matches('.').to_owned();
    Ok(match field.r#type() {
        Type::Bool => Kind::Bool,
        Type::Int32 => Kind::Int32,
        Type::Int64 => Kind::Int64,
        Type::Uint32 => Kind::Uint32,
        Type::Uint64 => Kind::Uint64,
        Type::Double => Kind::Double,
        Type::String => Kind::String,
        Type::Bytes => Kind::Bytes,
        Type::Enum => Kind::Enum(type_name()),
        Type::Message => Kind::Message(type_name()),
        other => return Err(format!("field {}: type {other:?} has no codec", field.name()).into()),
    })
}

/// prost's name for a struct member.
fn member_name(name: &str) -> String {
    let snake = name.to_snake_case();
    match snake.as_str() {
        "type" | "ref" | "use" | "mod" | "match" | "move" | "in" | "enum" | "struct" => {
            format!("r#{snake}")
        }
        _ => snake,
    }
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|options| options.map_entry())
}

/// The synthetic entry messages of maps, with the kind of their values.
fn collect_maps(scope: &str, message: &DescriptorProto, maps: &mut BTreeMap<String, Kind>) {
    let full_name = format!("{scope}.{}", message.name());
    for inner in &message.nested_type {
        if is_map_entry(inner) {
            if let Some(Ok(value)) = inner.field.get(1).map(kind) {
                maps.insert(format!("{full_name}.{}", inner.name()), value);
            }
        } else {
            collect_maps(&full_name, inner, maps);
        }
    }
}

/// Upstream's package as a module of this crate: `mesos` itself holds only v0's leftovers and
/// exceptions and is called `v0` here; below it the prefix is dropped.
pub(crate) fn crate_package(package: &str) -> String {
    match package {
        "mesos" => "v0".to_owned(),
        "mesos.quota" | "mesos.scheduler" | "mesos.master" => package.replacen("mesos", "v0", 1),
        _ => package.strip_prefix("mesos.").unwrap_or(package).to_owned(),
    }
}

/// `.mesos.v1.TaskInfo` as `.v1.TaskInfo`.
fn crate_type(type_name: &str) -> String {
    let name = type_name.trim_start_matches('.');
    let package_end = name
        .split('.')
        .take_while(|part| !part.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|part| part.len() + 1)
        .sum::<usize>();
    let (package, rest) = name.split_at(package_end);
    format!(".{}.{rest}", crate_package(package.trim_end_matches('.')))
}

/// The descriptors as prost shall see them: in this crate's packages, and without two things that
/// would only get in the way. Members of a `oneof` become plain options (the wire is the same,
/// JSON treats them alike, and one struct stays one struct), and fields are not marked deprecated
/// (a server must read what old clients send).
pub(crate) fn into_crate_packages(mut set: FileDescriptorSet) -> FileDescriptorSet {
    for file in &mut set.file {
        file.package = Some(crate_package(file.package()));
        // The indices of comments must go on pointing at messages and fields: nothing is removed
        // but `oneof` declarations, which carry no comments of ours.
        for message in &mut file.message_type {
            rewrite(message);
        }
    }
    set
}

fn rewrite(message: &mut DescriptorProto) {
    message.oneof_decl.clear();
    for field in &mut message.field {
        field.oneof_index = None;
        if let Some(type_name) = &field.type_name {
            field.type_name = Some(crate_type(type_name));
        }
        if let Some(options) = &mut field.options {
            options.deprecated = None;
        }
    }
    for inner in &mut message.nested_type {
        rewrite(inner);
    }
}
