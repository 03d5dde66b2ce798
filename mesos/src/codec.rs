//! Calls and their answers, by media type, with the texts that upstream answers a bad call with.
//!
//! The HTTP layers of master and agent call it; it knows no HTTP itself.

use bytes::Bytes;

use crate::media::MediaType;
use crate::proto::Message;
use crate::{json, wire};

/// Why a body is no call. Its text is the body of upstream's 400.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum CallError {
    /// Not JSON.
    #[error("Failed to parse body into JSON: {0}")]
    NotJson(String),
    /// JSON, but not of this message.
    #[error("Failed to convert JSON into {message} protobuf: {cause}")]
    WrongJson {
        /// The message's short name, `Call`.
        message: &'static str,
        /// What does not fit, or what is missing.
        cause: json::Error,
    },
    /// Not protobuf, or required fields are missing.
    #[error("Failed to parse body into {message} protobuf")]
    WrongProtobuf {
        /// The message's short name, `Call`.
        message: &'static str,
        /// For the log: upstream does not tell its client.
        cause: wire::Error,
    },
    /// JSON, but not a call: the agent's operator API says so without an introduction.
    #[error("{0}")]
    WrongAgentJson(json::Error),
    /// Not protobuf, in the words of the agent's operator API.
    #[error("Failed to parse body into a protobuf object")]
    WrongAgentProtobuf(wire::Error),
}

/// Reads a call to the scheduler API, the executor API, the resource provider API or the master's
/// operator API.
///
/// # Errors
/// With upstream's text.
pub fn decode_call<T: Message>(media: MediaType, body: &[u8]) -> Result<T, CallError> {
    let message = T::NAME;
    match media {
        MediaType::Json => json::from_slice(body).map_err(|error| match error {
            json::Error::Syntax(text) => CallError::NotJson(text),
            cause => CallError::WrongJson { message, cause },
        }),
        MediaType::Protobuf => {
            wire::decode(body).map_err(|cause| CallError::WrongProtobuf { message, cause })
        }
    }
}

/// Reads a call to the agent's operator API, whose texts are shorter (upstream: `deserialize` in
/// `src/common/http.hpp`).
///
/// # Errors
/// With upstream's text.
pub fn decode_agent_call<T: Message>(media: MediaType, body: &[u8]) -> Result<T, CallError> {
    match media {
        MediaType::Json => json::from_slice(body).map_err(|error| match error {
            json::Error::Syntax(text) => CallError::NotJson(text),
            cause => CallError::WrongAgentJson(cause),
        }),
        MediaType::Protobuf => wire::decode(body).map_err(CallError::WrongAgentProtobuf),
    }
}

/// Writes a message in that encoding.
pub fn encode<T: Message>(media: MediaType, message: &T) -> Bytes {
    match media {
        MediaType::Json => message.write_json().into(),
        MediaType::Protobuf => wire::encode(message).into(),
    }
}

/// Writes a message in that encoding as one record of a RecordIO stream.
pub fn encode_record<T: Message>(media: MediaType, message: &T) -> Bytes {
    crate::recordio::encode(&encode(media, message)).into()
}

/// Reads an event or a response, on the client's side.
///
/// # Errors
/// With a text that names the message.
pub fn decode<T: Message>(media: MediaType, body: &[u8]) -> Result<T, CallError> {
    decode_call(media, body)
}
