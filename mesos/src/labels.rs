//! Labels: pairs of texts that people and tools hang on tasks, reservations and much else. Mesos passes them on and
//! hardly ever looks into them.
//!
//! [`Labels`] is the message `mesos.v1.Labels`, the one that prost does not generate (`build.rs`). A cluster has more labels
//! than anything else, and ten of them as a list of structs with two strings each would take more memory than the rest of
//! their task. So they are kept as they travel: one piece of memory, which is copied when a message is written, and walked
//! through when somebody wants to see a label.

use std::fmt;

use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, encode_varint, encoded_len_varint, message, skip_field};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::v1::Label;

/// The key of the field `labels` of `Labels`, on the wire; of `key` of `Label`; and of its `value`.
const LABEL: u8 = 0x0a;
const KEY: u8 = 0x0a;
const VALUE: u8 = 0x12;

/// A list of labels. Equal if the labels are, in the same order.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels {
    /// The message in protobuf: of each label its key, then its value if it has one, and nothing else; no length with
    /// more bytes than it takes. So every list has one form, and what is here can be read.
    encoded: Vec<u8>,
}

/// One of [`Labels`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize)]
pub struct LabelRef<'a> {
    /// What it is called. Not unique.
    pub key: &'a str,
    /// What it says, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<&'a str>,
}

impl Labels {
    /// The labels, in order.
    pub fn iter(&self) -> impl Iterator<Item = LabelRef<'_>> {
        let mut rest = &self.encoded[..];
        std::iter::from_fn(move || {
            let (_, label) = rest.split_first()?;
            let (label, after) = read(label)?;
            rest = after;
            Some(label)
        })
    }

    /// What the first label with this key says.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.iter().find(|label| label.key == key)?.value
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    fn push(&mut self, label: LabelRef<'_>) {
        let text = |text: &str| 1 + encoded_len_varint(text.len() as u64) + text.len();
        let length = text(label.key) + label.value.map_or(0, text);
        let out = &mut self.encoded;
        out.push(LABEL);
        encode_varint(length as u64, out);
        for (field, text) in [(KEY, Some(label.key)), (VALUE, label.value)] {
            if let Some(text) = text {
                out.push(field);
                encode_varint(text.len() as u64, out);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// The list alone, without the message around it, as JSON.
    #[must_use]
    pub fn list(&self) -> impl Serialize {
        List(self)
    }

    /// Bytes that were allocated when the list grew, and hold nothing. A clone has none.
    #[must_use]
    pub fn unused(&self) -> usize {
        self.encoded.capacity() - self.encoded.len()
    }

    /// The message in protobuf.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Takes over what [`Labels::encoded`] gave. `None` if these bytes are something else.
    pub(crate) fn from_encoded(encoded: Vec<u8>) -> Option<Self> {
        let mut rest = &encoded[..];
        while let [first, label @ ..] = rest {
            (_, rest) = read(label).filter(|_| *first == LABEL)?;
        }
        Some(Self { encoded })
    }
}

/// Reads a label that stands at the beginning of `bytes`, with its length: it, and what follows. `None` for what is no
/// label, or one in another form than ours.
fn read(bytes: &[u8]) -> Option<(LabelRef<'_>, &[u8])> {
    let (label, rest) = delimited(bytes)?;
    let (key, label) = delimited(label.strip_prefix(&[KEY])?)?;
    let value = match label {
        [] => None,
        [VALUE, value @ ..] => Some(delimited(value).filter(|(_, rest)| rest.is_empty())?.0),
        _ => return None,
    };
    let value = value.map(str::from_utf8).transpose().ok()?;
    Some((LabelRef { key: str::from_utf8(key).ok()?, value }, rest))
}

/// Splits off as many bytes as the length says that stands before them.
fn delimited(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_u64;
    // No message has a length of more than five bytes (`MAX_MESSAGE_BYTES`).
    for (place, byte) in bytes.iter().take(5).enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * place);
        if *byte < 0x80 {
            let shortest = *byte != 0 || place == 0;
            let length = usize::try_from(length).ok().filter(|_| shortest)?;
            return bytes[place + 1..].split_at_checked(length);
        }
    }
    None
}

impl Extend<Label> for Labels {
    fn extend<I: IntoIterator<Item = Label>>(&mut self, labels: I) {
        for label in labels {
            self.push(LabelRef { key: &label.key, value: label.value.as_deref() });
        }
    }
}

impl FromIterator<Label> for Labels {
    fn from_iter<I: IntoIterator<Item = Label>>(labels: I) -> Self {
        let mut list = Self::default();
        list.extend(labels);
        list
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl prost::Message for Labels {
    fn encode_raw(&self, out: &mut impl BufMut) {
        out.put_slice(&self.encoded);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        bytes: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        if tag != 1 {
            return skip_field(wire_type, tag, bytes, context);
        }
        let here = bytes.chunk();
        if let (WireType::LengthDelimited, Some((_, rest))) = (wire_type, read(here)) {
            let length = here.len() - rest.len();
            self.encoded.push(LABEL);
            self.encoded.extend_from_slice(&here[..length]);
            bytes.advance(length);
            return Ok(());
        }
        // Not in our form, or not in one piece, or no label: prost knows.
        let mut label = Label::default();
        message::merge(wire_type, &mut label, bytes, context)?;
        self.extend([label]);
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.encoded.len()
    }

    fn clear(&mut self) {
        self.encoded.clear();
    }
}

struct List<'a>(&'a Labels);

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter())
    }
}

/// As those of generated messages.
impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.is_empty() {
            map.serialize_entry("labels", &self.list())?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::{bincode_codec, json, wire};

    /// The message as prost would have generated it.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Generated {
        #[prost(message, repeated, tag = "1")]
        labels: Vec<Label>,
    }

    fn label(key: &str, value: Option<&str>) -> Label {
        Label { key: key.into(), value: value.map(Into::into) }
    }

    fn some() -> Generated {
        let long = "x".repeat(300);
        let labels = [("key", Some("value")), ("", None), ("key", Some("")), (&*long, Some(&*long))];
        Generated { labels: labels.map(|(key, value)| label(key, value)).into() }
    }

    fn list(labels: &Labels) -> Vec<Label> {
        labels.iter().map(|each| label(each.key, each.value)).collect()
    }

    #[test]
    fn labels_are_the_same_protobuf_as_the_generated_message() {
        let generated = some();
        let labels: Labels = generated.labels.iter().cloned().collect();
        assert_eq!(labels.encode_to_vec(), generated.encode_to_vec());
        let read = wire::decode::<Labels>(&generated.encode_to_vec()).unwrap();
        assert_eq!(read, labels);
        assert_eq!(list(&read), generated.labels);
        assert_eq!(list(&Labels::default()), []);
    }

    #[test]
    fn labels_written_in_another_form_are_brought_into_ours() {
        for bytes in [
            // The value before the key; a field that nobody knows; a key given twice; lengths with a byte too many.
            &[LABEL, 6, VALUE, 1, b'v', KEY, 1, b'k'][..],
            &[LABEL, 8, KEY, 1, b'k', VALUE, 1, b'v', 0x18, 7],
            &[LABEL, 9, KEY, 1, b'j', KEY, 1, b'k', VALUE, 1, b'v'],
            &[LABEL, 0x87, 0, KEY, 0x81, 0, b'k', VALUE, 1, b'v'],
            &[0x12, 1, 0, LABEL, 6, KEY, 1, b'k', VALUE, 1, b'v'],
        ] {
            let labels = wire::decode::<Labels>(bytes).unwrap();
            assert_eq!(labels, Labels::from_iter([label("k", Some("v"))]), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_label_is_refused_in_every_encoding() {
        // A key that is no text; a length beyond the end; a label without its key.
        for bytes in [&[LABEL, 3, KEY, 1, 0xff][..], &[LABEL, 9, KEY, 1, b'k'], &[LABEL, 0], &[LABEL]] {
            assert!(wire::decode::<Labels>(bytes).is_err(), "{bytes:?}");
            let encoded = bincode_codec::encode(&Labels { encoded: bytes.to_vec() });
            assert!(bincode_codec::decode::<Labels>(&encoded).is_err(), "{bytes:?}");
        }
        assert!(json::from_slice::<Labels>(br#"{"labels":[{"value":"v"}]}"#).is_err());
    }

    #[test]
    fn the_json_of_labels_is_that_of_any_message() {
        let text = r#"{"labels":[{"key":"k","value":"v"},{"key":"k"}]}"#;
        let labels = Labels::from_iter([label("k", Some("v")), label("k", None)]);
        assert_eq!(json::to_string(&labels), text);
        assert_eq!(json::from_slice(text.as_bytes()), Ok(labels.clone()));
        assert_eq!(json::to_string(&labels.list()), text[10..text.len() - 1]);
        assert_eq!(json::to_string(&Labels::default()), "{}");
        assert_eq!(json::from_slice(br#"{"labels":[null],"other":1}"#), Ok(Labels::default()));
    }

    #[test]
    fn of_labels_with_one_key_the_first_counts() {
        let labels = Labels::from_iter([label("a", None), label("b", Some("1")), label("b", Some("2"))]);
        assert_eq!(["a", "b", "c"].map(|key| labels.value(key)), [None, Some("1"), None]);
    }

    #[test]
    fn ten_labels_are_one_piece_of_memory_as_large_as_their_protobuf() {
        let labels: Labels = (0..10).map(|number| label(&format!("key{number}"), Some("value"))).collect();
        assert_eq!(labels.clone().unused(), 0);
        assert_eq!(labels.encoded.len(), 10 * 15);
    }
}
