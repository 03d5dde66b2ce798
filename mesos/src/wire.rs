//! Messages on the wire: protobuf with the check for required fields, and libprocess's seam.
//!
//! [`encode`] and [`decode`] are what HTTP bodies, files and stores use. The implementations of
//! `libprocess::WireMessage` let an actor send the messages of `mesos.internal` (and the few others
//! that upstream sends between processes) to a [`libprocess::Pid`], in either encoding.

use libprocess::{DecodeError, Encoding, WireMessage};

use crate::proto::Message;
use crate::{bincode_codec, claim, required, v0, v1};

mod zeroes;

/// No message is larger than this, in any encoding.
pub use libprocess::MAX_MESSAGE_BYTES;

/// Why bytes are no message.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// Larger than [`MAX_MESSAGE_BYTES`].
    #[error("{0} bytes are more than the {MAX_MESSAGE_BYTES} that a message may have")]
    TooLarge(usize),
    /// Malformed, or without some required field, or it claims too much memory.
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
/// If the bytes are too many, malformed, or lack a required field at some depth, or if what they list takes too much memory.
pub fn decode<T: Message>(bytes: &[u8]) -> Result<T, Error> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(Error::TooLarge(bytes.len()));
    }
    let refused = |source| Error::Refused { message: T::FULL_NAME, source };
    claim::check(T::descriptor(), bytes).map_err(refused)?;
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
        Encoding::Protobuf => with_checkpoint(T::FULL_NAME, encode(message)),
        Encoding::Bincode => bincode_codec::encode(message),
    }
}

/// An agent that (re-)registers says that it checkpoints: upstream's master refuses what is reserved on a new one that does
/// not. `SlaveInfo.checkpoint` has no place in `AgentInfo`; protobuf merges the parts of a message that comes in two.
fn with_checkpoint(name: &str, mut bytes: Vec<u8>) -> Vec<u8> {
    let slave: u8 = match name {
        "mesos.internal.RegisterSlaveMessage" => 1,
        "mesos.internal.ReregisterSlaveMessage" => 2,
        _ => return bytes,
    };
    // The field of the agent, of two bytes: its field 7 is true.
    bytes.extend([(slave << 3) | 2, 2, 7 << 3, 1]);
    bytes
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

    /// Upstream: `validation::master::message::registerSlave` in `master/validation.cpp`.
    #[test]
    fn an_agent_that_registers_says_that_it_checkpoints() {
        let slave = v1::AgentInfo { hostname: "host".to_owned(), port: Some(7), ..Default::default() };
        let register = internal::RegisterSlaveMessage { slave: slave.clone(), ..Default::default() };
        let reregister = internal::ReregisterSlaveMessage { slave: slave.clone(), ..Default::default() };
        let bytes = WireMessage::encode(&register, Encoding::Protobuf);
        assert_eq!(bytes, [encode(&register), vec![0x0a, 2, 0x38, 1]].concat());
        let back = <internal::RegisterSlaveMessage as WireMessage>::decode(Encoding::Protobuf, &bytes);
        assert_eq!(back, Ok(register));
        let bytes = WireMessage::encode(&reregister, Encoding::Protobuf);
        assert_eq!(bytes, [encode(&reregister), vec![0x12, 2, 0x38, 1]].concat());
        let back = <internal::ReregisterSlaveMessage as WireMessage>::decode(Encoding::Protobuf, &bytes);
        assert_eq!(back, Ok(reregister));
        // What upstream reads of the two parts of the field.
        let merged: v0::SlaveInfo = decode(&[encode(&slave), vec![0x38, 1]].concat()).unwrap();
        assert_eq!(merged, v0::SlaveInfo::from(slave));
        assert_eq!(merged.checkpoint, Some(true));
    }

    #[test]
    fn a_message_without_a_required_field_is_refused_by_name() {
        let error = decode::<internal::PingSlaveMessage>(&[]).unwrap_err();
        let text = "not a mesos.internal.PingSlaveMessage: missing required fields: connected";
        assert_eq!(error.to_string(), text);
    }
}
