//! A JSON object or a protobuf message that is put together of fields, some of which are rendered already.
//!
//! Both encodings allow it: an object is its fields with commas between them, a message is its fields one behind the
//! other, each with its number and, if it is a message, its length.

use mesos::{MediaType, json, wire};

use super::Pieces;

/// A field by its name and its number.
pub(crate) type Field = (&'static str, u32);

/// Protobuf's kinds of fields (wire types), of those that are needed.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Document {
    media: MediaType,
    body: Pieces,
}

impl Document {
    /// Without fields.
    pub(crate) fn new(media: MediaType) -> Self {
        let mut body = Pieces::new();
        if media == MediaType::Json {
            body.text("{");
        }
        Self { media, body }
    }

    /// Begins with the fields of another one, complete: an object with its braces, or a message.
    pub(crate) fn beginning_with(media: MediaType, whole: &[u8]) -> Self {
        let mut body = Pieces::new();
        body.text(match media {
            MediaType::Json => whole.strip_suffix(b"}").unwrap_or(whole),
            MediaType::Protobuf => whole,
        });
        Self { media, body }
    }

    /// An enum's value: its name in JSON, its number in protobuf.
    pub(crate) fn value(&mut self, field: Field, name: &str, number: i32) {
        self.key(field, Kind::Varint);
        match self.media {
            MediaType::Json => self.body.text(json::to_vec(name)),
            MediaType::Protobuf => self.body.text(varint(i64::from(number).cast_unsigned())),
        }
    }

    /// A number.
    pub(crate) fn double(&mut self, field: Field, value: f64) {
        self.key(field, Kind::Fixed64);
        match self.media {
            MediaType::Json => self.body.text(json::to_vec(&value)),
            MediaType::Protobuf => self.body.text(value.to_le_bytes()),
        }
    }

    /// A message within this one.
    pub(crate) fn message(&mut self, field: Field, message: Document) {
        self.key(field, Kind::Bytes);
        let body = message.complete();
        if self.media == MediaType::Protobuf {
            self.body.text(varint(body.len() as u64));
        }
        self.body.append(&body);
    }

    /// A list of several parts, each of elements as [`element`] writes them. It is there also without elements, as in
    /// the JSON that upstream writes for what may be large.
    pub(crate) fn list(&mut self, field: Field, parts: impl IntoIterator<Item = Pieces>) {
        let separator = match self.media {
            MediaType::Json => {
                self.key(field, Kind::Bytes);
                self.body.text("[");
                ","
            }
            MediaType::Protobuf => "",
        };
        for (place, part) in parts.into_iter().filter(|part| !part.is_empty()).enumerate() {
            if place > 0 {
                self.body.text(separator);
            }
            self.body.append(&part);
        }
        if self.media == MediaType::Json {
            self.body.text("]");
        }
    }

    /// All of it as the element of the list that is this field, as [`element`] writes a message.
    pub(crate) fn element(self, (_, number): Field) -> Pieces {
        let media = self.media;
        let body = self.complete();
        match media {
            MediaType::Json => body,
            MediaType::Protobuf => {
                let mut element = Pieces::new();
                element.text(tag(number, Kind::Bytes));
                element.text(varint(body.len() as u64));
                element.append(&body);
                element
            }
        }
    }

    /// All of it.
    pub(crate) fn complete(mut self) -> Pieces {
        if self.media == MediaType::Json {
            self.body.text("}");
        }
        self.body
    }

    fn key(&mut self, (name, number): Field, kind: Kind) {
        match self.media {
            MediaType::Json => {
                if self.body.len() > 1 {
                    self.body.text(",");
                }
                self.body.text(json::to_vec(name));
                self.body.text(":");
            }
            MediaType::Protobuf => self.body.text(tag(number, kind)),
        }
    }
}

/// What stands between the elements of a list.
pub(crate) const fn separator(media: MediaType) -> &'static [u8] {
    match media {
        MediaType::Json => b",",
        MediaType::Protobuf => b"",
    }
}

/// Writes a message as an element of the list with this number.
pub(crate) fn element<T: mesos::Message>(media: MediaType, number: u32, message: &T, out: &mut Vec<u8>) {
    match media {
        MediaType::Json => json::write(message, out),
        MediaType::Protobuf => {
            let bytes = wire::encode(message);
            out.extend_from_slice(&tag(number, Kind::Bytes));
            out.extend_from_slice(&varint(bytes.len() as u64));
            out.extend_from_slice(&bytes);
        }
    }
}

fn tag(number: u32, kind: Kind) -> Vec<u8> {
    varint(u64::from(number) << 3 | kind as u64)
}

/// A number as protobuf writes it: seven bits a byte, the lowest first.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(10);
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use mesos::v1::{self, master::response};

    use super::*;

    #[test]
    fn a_document_is_what_the_whole_message_would_be() {
        let mut agents = response::GetAgents::default();
        for number in 0..200 {
            let id = Some(v1::AgentId { value: format!("agent-{number}") });
            agents.recovered_agents.push(v1::AgentInfo {
                id,
                hostname: "h".repeat(number),
                ..Default::default()
            });
        }
        let whole = v1::master::Response {
            r#type: Some(response::Type::GetAgents.into()),
            get_agents: Some(agents.clone()),
            ..Default::default()
        };
        for media in [MediaType::Json, MediaType::Protobuf] {
            let parts = agents.recovered_agents.chunks(3).map(|chunk| {
                let mut part = Vec::new();
                for (place, info) in chunk.iter().enumerate() {
                    if place > 0 {
                        part.extend_from_slice(separator(media));
                    }
                    element(media, 2, info, &mut part);
                }
                Pieces::from(part)
            });
            let mut list = Document::new(media);
            list.list(("agents", 1), []);
            list.list(("recovered_agents", 2), parts);
            let mut document = Document::new(media);
            document.value(("type", 1), "GET_AGENTS", response::Type::GetAgents.into());
            document.message(("get_agents", 10), list);
            let expected = mesos::codec::encode(media, &whole);
            assert_eq!(document.complete().into_pieces().concat(), expected, "{media}");
        }
        let mut empty = Document::beginning_with(MediaType::Json, br#"{"a":1}"#);
        empty.list(("b", 0), []);
        empty.double(("c", 0), 1.0);
        assert_eq!(empty.complete().into_pieces().concat(), br#"{"a":1,"b":[],"c":1.0}"#);
    }
}
