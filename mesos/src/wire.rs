//! Messages on the wire: protobuf with the check for required fields, and libprocess's seam.
//!
//! [`encode`] and [`decode`] are what HTTP bodies, files and stores use. The implementations of
//! `libprocess::WireMessage` let an actor send the messages of `mesos.internal` (and the few others
//! that upstream sends between processes) to a [`libprocess::Pid`], in either encoding.

use libprocess::{DecodeError, Encoding, WireMessage};

use crate::proto::Message;
use crate::{bincode_codec, required, v0, v1};

mod zeroes;

/// No message is larger than this, in any encoding.
pub use libprocess::MAX_MESSAGE_BYTES;

/// Why bytes are no message.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// Larger than [`MAX_MESSAGE_BYTES`].
    #[error("{0} bytes are more than the {MAX_MESSAGE_BYTES} that a message may have")]
    TooLarge(usize),
    /// Malformed, or without some required field.
    #[error("not a {message}: {source}")]
    Refused {
        /// The message's full name.
        message: &'static str,
        /// The cause.
        source: required::Error,
    },
}

/// The message in protobuf.
pub fn encode<T: Message>(message: &T) -> Vec<u8> {
    let bytes = message.write_protobuf();
    if T::descriptor().quotas { zeroes::complete(T::descriptor(), bytes) } else { bytes }
}

/// Reads a message from protobuf.
///
/// # Errors
/// If the bytes are too many, malformed, or lack a required field at some depth.
pub fn decode<T: Message>(bytes: &[u8]) -> Result<T, Error> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(Error::TooLarge(bytes.len()));
    }
    let refused = |source| Error::Refused { message: T::FULL_NAME, source };
    required::check(T::descriptor(), bytes).map_err(refused)?;
    T::read_protobuf(bytes).map_err(|error| refused(required::Error::Malformed(error.to_string())))
}

/// Lets actors send a message to other nodes, under the name that upstream's processes know.
macro_rules! wire_message {
    ($message:ty, $name:literal) => {
        impl libprocess::Message for $message {
            type Answer = ();
        }

        impl WireMessage for $message {
            const NAME: &'static str = $name;

            fn encode(&self, encoding: Encoding) -> Vec<u8> {
                encode_as(self, encoding)
            }

            fn decode(encoding: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
                decode_as(encoding, bytes)
            }
        }
    };
}

fn encode_as<T: Message>(message: &T, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Protobuf => encode(message),
        Encoding::Bincode => bincode_codec::encode(message),
    }
}

fn decode_as<T: Message>(encoding: Encoding, bytes: &[u8]) -> Result<T, DecodeError> {
    match encoding {
        Encoding::Protobuf => decode(bytes).map_err(|error| DecodeError::new(error.to_string())),
        Encoding::Bincode => {
            bincode_codec::decode(bytes).map_err(|error| DecodeError::new(error.to_string()))
        }
    }
}

// Generated: every message of the package `mesos.internal`.
include!(concat!(env!("OUT_DIR"), "/wire_messages.rs"));

// What drivers of the first API send between processes beside those. Its `Call` is a type of its
// own, because the numbers of `Subscribe` differ; the others are the same in both APIs.
wire_message!(v0::scheduler::Call, "mesos.scheduler.Call");
wire_message!(v1::scheduler::Event, "mesos.scheduler.Event");
wire_message!(v1::executor::Call, "mesos.executor.Call");
wire_message!(v1::executor::Event, "mesos.executor.Event");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::internal;

    #[test]
    fn a_message_goes_to_another_node_in_either_encoding() {
        let message = internal::PingSlaveMessage { connected: true };
        for encoding in [Encoding::Protobuf, Encoding::Bincode] {
            let bytes = WireMessage::encode(&message, encoding);
            let back = <internal::PingSlaveMessage as WireMessage>::decode(encoding, &bytes);
            assert_eq!(back, Ok(message));
        }
        assert_eq!(<internal::PingSlaveMessage as WireMessage>::NAME, "mesos.internal.PingSlaveMessage");
    }

    #[test]
    fn a_message_without_a_required_field_is_refused_by_name() {
        let error = decode::<internal::PingSlaveMessage>(&[]).unwrap_err();
        let text = "not a mesos.internal.PingSlaveMessage: missing required fields: connected";
        assert_eq!(error.to_string(), text);
    }
}
