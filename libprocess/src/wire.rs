//! What a message must be able to do to leave its node.
//!
//! libprocess knows no protobuf: a crate with messages implements [`WireMessage`] for them, under the
//! name that stands in the URL (`POST /<actor id>/<message name>`). Everything that is sent has a protobuf body, which any
//! libprocess reads; the other encoding is for nodes that have agreed on it. How it looks is docs/wire.md's.

use crate::process::Message;

/// How the body of a remote message is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// What everybody understands.
    Protobuf,
    /// Between two nodes whose schema fingerprints are equal ([`crate::NodeBuilder::schema`]).
    Bincode,
}

/// The `Content-Type` that marks a bincode body. Ours alone: upstream sends no content type.
pub(crate) const BINCODE_CONTENT_TYPE: &str = "application/x-bincode";

/// No message is longer than this on the wire, in any encoding; a longer one is not sent. It is protobuf's traditional
/// bound. A master's largest message lists an agent's tasks: some megabytes.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// A message that can go to an actor on another node.
pub trait WireMessage: Message<Answer = ()> + Sized {
    /// The name on the wire, for example `mesos.internal.RegisterSlaveMessage`.
    const NAME: &'static str;

    /// The body.
    fn encode(&self, encoding: Encoding) -> Vec<u8>;

    /// Reads a body. It must not panic, whatever the bytes.
    ///
    /// # Errors
    /// When the bytes are no such message, with a text for the log.
    fn decode(encoding: Encoding, bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// Why a body is no message of its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

impl DecodeError {
    /// An error with this text.
    pub fn new(text: impl Into<String>) -> DecodeError {
        DecodeError(text.into())
    }
}
