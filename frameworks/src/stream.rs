//! A subscription: one POST whose answer never ends, and carries events as RecordIO.
//!
//! The same for schedulers (at the master) and executors (at the agent). It knows nothing of what
//! the events mean; the drivers do. Everything from outside is bounded: a record may be as large as
//! any message, the body of a refusal is cut.

use std::time::Duration;

use bytes::Bytes;
use libprocess::http::{Client, ClientError, ClientRequest, ClientResponse, PipelineResponse};
use mesos::{MediaType, Message, codec, recordio, wire};
use thiserror::Error;

/// As much of a refusal's body as is read.
const REFUSAL_LIMIT: usize = 64 * 1024;

/// The answer to a scheduler's SUBSCRIBE must begin within this.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(15);

/// The header that names a scheduler's subscription.
pub(crate) const STREAM_ID: &str = "mesos-stream-id";

/// Events of type `E`, as they arrive.
pub(crate) struct Subscription<E> {
    response: ClientResponse,
    decoder: recordio::Decoder,
    media: MediaType,
    event: std::marker::PhantomData<fn() -> E>,
}

/// What came of asking for a subscription.
pub(crate) enum Opened<E> {
    /// It stands, with the stream's id if there is one.
    Stream(Box<Subscription<E>>, Option<String>),
    /// Somebody else leads: ask there (`host:port`).
    Elsewhere(String),
    /// Refused, with the status and what the answer said.
    Refused(u16, String),
}

/// A subscription that broke.
#[derive(Debug, Error)]
pub(crate) enum StreamError {
    #[error("{0}")]
    Connection(#[from] ClientError),
    #[error("the stream of events was closed")]
    Closed,
    #[error("the stream of events is broken: {0}")]
    Framing(#[from] recordio::Error),
    #[error("an event cannot be read: {0}")]
    Event(#[from] codec::CallError),
}

impl StreamError {
    /// There was no connection: nothing of the request has left.
    pub(crate) fn is_unsent(&self) -> bool {
        use ClientError::{Connect, Timeout};
        matches!(self, StreamError::Connection(Connect { .. } | Timeout { what: "connecting", .. }))
    }
}

/// A request with the headers that calls have.
pub(crate) fn call(url: &str, media: MediaType, body: Bytes) -> ClientRequest {
    ClientRequest::post(url)
        .header("accept", media.as_str())
        .header("content-type", media.as_str())
        .body(body)
}

/// A call whose answer is a stream: its head must come soon, then it may be silent for long.
pub(crate) fn subscribe(url: &str, media: MediaType, body: Bytes) -> ClientRequest {
    call(url, media, body).timeout(SUBSCRIBE_TIMEOUT)
}

impl<E: Message> Subscription<E> {
    /// Asks for a subscription.
    pub(crate) async fn open(
        client: Client,
        request: ClientRequest,
        media: MediaType,
    ) -> Result<Opened<E>, StreamError> {
        let response = client.send(request).await?;
        let header = |name: &str| response.header(name).map(str::to_owned);
        let (status, stream_id, location) = (response.status.as_u16(), header(STREAM_ID), header("location"));
        if status == 200 {
            let decoder = recordio::Decoder::new(wire::MAX_MESSAGE_BYTES);
            let event = std::marker::PhantomData;
            return Ok(Opened::Stream(Box::new(Subscription { response, decoder, media, event }), stream_id));
        }
        if let (300..400, Some(leader)) = (status, location.as_deref().and_then(authority)) {
            return Ok(Opened::Elsewhere(leader.to_owned()));
        }
        let body = response.bytes(REFUSAL_LIMIT).await.unwrap_or_default();
        Ok(Opened::Refused(status, String::from_utf8_lossy(&body).trim().to_owned()))
    }

    /// The next events, at least one.
    pub(crate) async fn next(&mut self) -> Result<Vec<E>, StreamError> {
        loop {
            let chunk = self.response.chunk().await?.ok_or(StreamError::Closed)?;
            let records = self.decoder.feed(&chunk)?;
            if !records.is_empty() {
                return records.iter().map(|record| Ok(codec::decode(self.media, record)?)).collect();
            }
        }
    }
}

/// What an answer that refuses a call says.
pub(crate) fn reason(response: &PipelineResponse) -> String {
    let body = &response.body[..response.body.len().min(REFUSAL_LIMIT)];
    String::from_utf8_lossy(body).trim().to_owned()
}

/// The `host:port` of a `Location`: `//host:port/path` (upstream's form), a whole URL, or bare.
fn authority(location: &str) -> Option<&str> {
    let rest = location.split_once("//").map_or(location, |(_, rest)| rest);
    let authority = rest.split('/').next()?;
    (authority.rsplit_once(':')?.1.parse::<u16>().is_ok()).then_some(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirection_names_the_leader_in_any_form() {
        for location in
            ["//host:5050", "//host:5050/master/api/v1/scheduler", "http://host:5050/api", "host:5050"]
        {
            assert_eq!(authority(location), Some("host:5050"), "{location}");
        }
        assert_eq!(authority("/master"), None);
        assert_eq!(authority("//host/path"), None);
    }
}
