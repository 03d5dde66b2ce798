//! The one place that knows bincode: the fast encoding between nodes of the same build.
//!
//! It is only read when the peer has announced the same [`crate::schema_fingerprint`]; the bytes
//! come from another machine all the same, so that size and depth are bounded. The crate `bincode`
//! is used at version 2.0.1 and nowhere else (`deny.toml` says why).

use bincode::de::{Decode, Decoder};
use bincode::enc::{Encode, Encoder};
use bincode::error::{DecodeError, EncodeError};

use crate::proto::Message;
use crate::v1::{ContainerId, Labels};
use crate::wire::MAX_MESSAGE_BYTES;

/// How many containers can be nested in each other. It is protobuf's bound on nested messages.
const MAX_CONTAINER_DEPTH: usize = 100;

/// What a message of [`MAX_MESSAGE_BYTES`] may claim in memory: lists count with the size of their items there, which
/// are some times larger than on the wire.
const MAX_CLAIM: usize = 8 * MAX_MESSAGE_BYTES;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<MAX_CLAIM>,
> = bincode::config::standard().with_limit::<MAX_CLAIM>();

/// Why bytes are no message.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// bincode's own words.
    #[error("not a {message} in bincode: {source}")]
    Malformed {
        /// The message's full name.
        message: &'static str,
        /// The cause.
        source: DecodeError,
    },
    /// The message ended before the bytes did.
    #[error("{rest} bytes follow the {message} in bincode")]
    Trailing {
        /// The message's full name.
        message: &'static str,
        /// How many.
        rest: usize,
    },
}

/// The message's bytes.
pub fn encode<T: Message>(message: &T) -> Vec<u8> {
    // Writing to a Vec cannot fail, and no type of ours refuses to be written.
    bincode::encode_to_vec(message, CONFIG).unwrap_or_default()
}

/// Reads a message that fills the bytes to the end.
///
/// # Errors
/// If it does not, or claims more than [`MAX_MESSAGE_BYTES`].
pub fn decode<T: Message>(bytes: &[u8]) -> Result<T, Error> {
    let read = bincode::decode_from_slice(bytes, CONFIG);
    let (message, length) = read.map_err(|source| Error::Malformed { message: T::FULL_NAME, source })?;
    match bytes.len() - length {
        0 => Ok(message),
        rest => Err(Error::Trailing { message: T::FULL_NAME, rest }),
    }
}

// The one recursive message: as a list, from the innermost container to the outermost, so that
// hostile bytes cannot drive the reader down the stack.

impl Encode for ContainerId {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let mut values = Vec::new();
        let mut next = Some(self);
        while let Some(id) = next {
            values.push(&id.value);
            next = id.parent.as_deref();
        }
        values.encode(encoder)
    }
}

impl<C> Decode<C> for ContainerId {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let values = Vec::<String>::decode(decoder)?;
        if values.len() > MAX_CONTAINER_DEPTH {
            return Err(DecodeError::Other("containers are nested too deeply"));
        }
        let parents = values.into_iter().rev();
        let innermost =
            parents.fold(None, |parent: Option<Box<Self>>, value| Some(Box::new(Self { value, parent })));
        innermost.map(|id| *id).ok_or(DecodeError::Other("a container id without a value"))
    }
}
bincode::impl_borrow_decode!(ContainerId);

/// Generated: the implementations for all other messages.
mod generated {
    use super::{Decode, DecodeError, Decoder, Encode, EncodeError, Encoder};
    include!(concat!(env!("OUT_DIR"), "/binary.rs"));
}

// Labels are kept as protobuf, and stay so.

impl Encode for Labels {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.encoded().encode(encoder)
    }
}

impl<C> Decode<C> for Labels {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::from_encoded(Vec::decode(decoder)?).ok_or(DecodeError::Other("malformed mesos.v1.Labels"))
    }
}

bincode::impl_borrow_decode!(Labels);

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> ContainerId {
        let start = ContainerId { value: "0".to_owned(), parent: None };
        (1..depth)
            .fold(start, |parent, n| ContainerId { value: n.to_string(), parent: Some(Box::new(parent)) })
    }

    #[test]
    fn a_nested_container_comes_back_as_it_went() {
        let id = nested(3);
        assert_eq!(decode::<ContainerId>(&encode(&id)).unwrap(), id);
    }

    #[test]
    fn a_container_nested_too_deeply_is_refused() {
        assert!(decode::<ContainerId>(&encode(&nested(MAX_CONTAINER_DEPTH))).is_ok());
        let error = decode::<ContainerId>(&encode(&nested(MAX_CONTAINER_DEPTH + 1))).unwrap_err();
        assert!(error.to_string().contains("mesos.v1.ContainerID"), "{error}");
    }

    #[test]
    fn bytes_beyond_the_end_are_refused() {
        let mut bytes = encode(&nested(1));
        bytes.push(0);
        assert!(matches!(decode::<ContainerId>(&bytes), Err(Error::Trailing { rest: 1, .. })));
    }

    #[test]
    fn a_claim_of_gigabytes_is_refused_before_memory_is_taken() {
        // A list of 2^62 strings.
        let bytes = [253, 0, 0, 0, 0, 0, 0, 0, 0x40];
        assert!(matches!(decode::<ContainerId>(&bytes), Err(Error::Malformed { .. })));
    }
}
