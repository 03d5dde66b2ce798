//! Writes bincode's `Encode` and `Decode` of every message: its fields, one after the other.
//!
//! bincode's derive would do, but six hundred macro expansions cost seconds in every build, and a
//! recursive message needs a bound on its depth, which the derive cannot give.

use std::error::Error;
use std::fmt::Write as _;

use crate::model::{Kind, Message, Model};

/// Messages whose bincode form is written by hand, in `src/bincode_codec.rs`.
const BY_HAND: &[&str] = &["mesos.v1.ContainerID", crate::LABELS];

/// The implementations, or the recursive message that nobody has provided for.
pub(crate) fn render(model: &Model) -> Result<String, Box<dyn Error>> {
    let mut out = String::new();
    for message in model.messages.values() {
        if BY_HAND.contains(&message.full_name.as_str()) {
            continue;
        }
        if reaches(model, message, &message.full_name, 0) {
            return Err(format!("{} is recursive: write its bincode by hand", message.full_name).into());
        }
        write_message(&mut out, message);
    }
    Ok(out)
}

/// Whether values of `message` can hold values of the message `target`.
fn reaches(model: &Model, message: &Message, target: &str, depth: usize) -> bool {
    message.fields.iter().any(|field| match &field.kind {
        Kind::Message(name) if name == target => true,
        Kind::Message(name) if BY_HAND.contains(&name.as_str()) => false,
        // Deeper than any message of the protocol: a cycle that does not pass `target`.
        Kind::Message(name) => depth < 24 && reaches(model, &model.messages[name], target, depth + 1),
        _ => false,
    })
}

fn write_message(out: &mut String, message: &Message) {
    let rust = &message.rust;
    let _ = writeln!(
        out,
        "impl Encode for {rust} {{\n\
         #[allow(unused_variables, reason = \"a message may have no fields\")]\n\
         fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {{"
    );
    for field in &message.fields {
        let _ = writeln!(out, "Encode::encode(&self.{}, encoder)?;", field.rust);
    }
    let _ = writeln!(
        out,
        "Ok(())\n}}\n}}\n\
         impl<C> Decode<C> for {rust} {{\n\
         #[allow(unused_variables, reason = \"a message may have no fields\")]\n\
         fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {{\n\
         Ok(Self {{"
    );
    for field in &message.fields {
        let _ = writeln!(out, "{}: Decode::decode(decoder)?,", field.rust);
    }
    let _ = writeln!(out, "}})\n}}\n}}\nbincode::impl_borrow_decode!({rust});");
}
