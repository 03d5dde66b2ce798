//! A connection on which requests leave in the order of their calls, without waiting for each other.
//!
//! Owns one socket and two queues: requests that wait to be written, and those that wait for their
//! answers, which come in the same order (RFC 9112, 9.3.2). Two futures of one task drive it: the writer
//! sends what waits in one go, the reader matches answers. It never reconnects: whoever needs order must
//! know when it was broken ([`Pipeline::closed`]).

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;

use ::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, oneshot, watch};

use super::client::{CONNECT_TIMEOUT, ClientError};
use super::client_request::ClientRequest;
use super::codec::BodyScanner;
use super::connection::{AnswerReader, Dialer, until};
use super::destination::Destination;
use crate::stream::write;

/// Requests that may wait for their answers or to be written.
const MAX_REQUESTS: usize = 64 << 10;

/// Bytes that may wait to be written.
const MAX_BYTES: usize = 64 << 20;

/// Bytes that the body of an answer may have.
const MAX_ANSWER: usize = 64 << 20;

/// Bytes that are gathered before they are written.
const WRITE_SIZE: usize = 64 << 10;

/// An answer with its whole body.
#[derive(Debug, Clone)]
pub struct PipelineResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

type Answer = oneshot::Sender<Result<PipelineResponse, ClientError>>;

/// A pipelined connection. Clones are the same connection; when the last one goes, what was sent is
/// still answered, then the connection is closed.
#[derive(Debug, Clone)]
pub struct Pipeline {
    handle: Arc<Handle>,
}

/// What the clones of a [`Pipeline`] share; its end is the last clone's.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue.lock().released = true;
        self.shared.work.notify_one();
    }
}

#[derive(Debug)]
struct Shared {
    destination: Destination,
    queue: Mutex<Queue>,
    /// Tells the writer that something was queued, or that it may be time to end.
    work: Notify,
    /// The end, with its reason.
    ended: watch::Sender<Option<ClientError>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Bytes, InFlight)>,
    waiting_bytes: usize,
    in_flight: VecDeque<InFlight>,
    /// No handle is left.
    released: bool,
    ended: Option<ClientError>,
}

/// A request whose answer is outstanding.
#[derive(Debug)]
struct InFlight {
    to_head: bool,
    answer: Answer,
}

impl Pipeline {
    /// Starts to connect. Requests may be sent at once.
    pub(crate) fn open(destination: Destination, dialer: Dialer) -> Pipeline {
        let pipeline = Pipeline::unconnected(destination);
        let shared = &pipeline.handle.shared;
        match tokio::runtime::Handle::try_current() {
            // The thread that opens a pipeline drives it; the task ends with the connection, and the
            // connection with the last handle.
            Ok(runtime) => drop(runtime.spawn(drive(shared.clone(), dialer))),
            Err(error) => shared.end(ClientError::Connect {
                address: shared.destination.name.clone(),
                cause: error.to_string(),
            }),
        }
        pipeline
    }

    /// One that has ended before it began.
    pub(crate) fn failed(address: &str, reason: ClientError) -> Pipeline {
        let pipeline = Pipeline::unconnected(Destination::plain(address));
        pipeline.handle.shared.end(reason);
        pipeline
    }

    fn unconnected(destination: Destination) -> Pipeline {
        let (ended, _) = watch::channel(None);
        let shared = Shared { destination, queue: Mutex::new(Queue::default()), work: Notify::new(), ended };
        Pipeline { handle: Arc::new(Handle { shared: Arc::new(shared) }) }
    }

    /// `host:port`, or the path of a socket.
    pub fn address(&self) -> &str {
        &self.handle.shared.destination.name
    }

    /// Queues a request now; the future waits for its answer. The order of the calls is the order on the
    /// wire, whether or not the futures are polled. The host of the request's URL does not matter; it may
    /// be a path alone. A request that timed out keeps its place: its late answer is dropped.
    ///
    /// # Errors
    /// Of the future: too much waits already ([`ClientError::Overloaded`]), the connection has ended or ends before the
    /// answer is there, or that takes longer than the request allows.
    pub fn send(
        &self,
        request: ClientRequest,
    ) -> impl Future<Output = Result<PipelineResponse, ClientError>> + Send + 'static {
        let deadline = request.deadline();
        let shared = &self.handle.shared;
        let authority = shared.destination.name.clone();
        let queued = shared.enqueue(&request);
        async move {
            let receiver = queued?;
            let answer = async {
                let lost = || ClientError::Closed { address: authority.clone() };
                receiver.await.unwrap_or_else(|_| Err(lost()))
            };
            until(deadline, &authority, "answering", answer).await
        }
    }

    /// Resolves when the connection has ended, with the reason.
    pub fn closed(&self) -> impl Future<Output = ClientError> + Send + 'static {
        let address = self.handle.shared.destination.name.clone();
        let mut ended = self.handle.shared.ended.subscribe();
        async move {
            let reason = ended.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
            reason.unwrap_or(ClientError::Closed { address })
        }
    }

    /// Why the connection ended, if it has.
    pub fn ended(&self) -> Option<ClientError> {
        self.handle.shared.queue.lock().ended.clone()
    }

    /// Closes the connection; what was not answered fails.
    pub fn close(&self) {
        let shared = &self.handle.shared;
        shared.end(ClientError::Closed { address: shared.destination.name.clone() });
    }
}

impl Shared {
    fn enqueue(
        &self,
        request: &ClientRequest,
    ) -> Result<oneshot::Receiver<Result<PipelineResponse, ClientError>>, ClientError> {
        let target = request.path()?;
        let mut bytes = BytesMut::new();
        request.encode(&mut bytes, self.destination.host(), &target);
        let (answer, receiver) = oneshot::channel();
        {
            let mut queue = self.queue.lock();
            if let Some(reason) = &queue.ended {
                return Err(reason.clone());
            }
            let requests = queue.waiting.len() + queue.in_flight.len();
            if requests >= MAX_REQUESTS || queue.waiting_bytes + bytes.len() > MAX_BYTES {
                return Err(ClientError::Overloaded { address: self.destination.name.clone() });
            }
            queue.waiting_bytes += bytes.len();
            queue.waiting.push_back((bytes.freeze(), InFlight { to_head: request.is_head(), answer }));
        }
        self.work.notify_one();
        Ok(receiver)
    }

    /// Ends the connection once, for all who wait.
    fn end(&self, reason: ClientError) {
        let lost: Vec<InFlight> = {
            let mut queue = self.queue.lock();
            if queue.ended.is_some() {
                return;
            }
            queue.ended = Some(reason.clone());
            queue.waiting_bytes = 0;
            let waiting = std::mem::take(&mut queue.waiting);
            let in_flight = std::mem::take(&mut queue.in_flight);
            in_flight.into_iter().chain(waiting.into_iter().map(|(_, request)| request)).collect()
        };
        for request in lost {
            // Who no longer waits does not need to know.
            let _ = request.answer.send(Err(reason.clone()));
        }
        self.ended.send_replace(Some(reason));
    }

    /// Moves waiting requests into flight and their bytes into `out`.
    fn gather(&self, out: &mut BytesMut) -> Gathered {
        let mut queue = self.queue.lock();
        while out.len() < WRITE_SIZE {
            let Some((bytes, request)) = queue.waiting.pop_front() else { break };
            queue.waiting_bytes -= bytes.len();
            // In flight before it is written: its answer cannot overtake its place in the queue.
            queue.in_flight.push_back(request);
            out.extend_from_slice(&bytes);
        }
        if !out.is_empty() {
            Gathered::Some
        } else if queue.released && queue.in_flight.is_empty() {
            Gathered::Finished
        } else {
            Gathered::Nothing
        }
    }
}

enum Gathered {
    Some,
    Nothing,
    Finished,
}

/// Connects, writes and reads until one of them ends.
async fn drive(shared: Arc<Shared>, dialer: Dialer) {
    let mut ended = shared.ended.subscribe();
    let work = async {
        let stream = match dialer.connect(&shared.destination, None, CONNECT_TIMEOUT).await {
            Ok(stream) => stream,
            Err(error) => return error,
        };
        let (receiving, sending) = tokio::io::split(stream);
        tokio::select! {
            biased;
            error = read_answers(&shared, receiving) => error,
            error = write_requests(&shared, sending) => error,
        }
    };
    let reason = tokio::select! {
        biased;
        _ = ended.wait_for(Option::is_some) => return,
        reason = work => reason,
    };
    shared.end(reason);
}

/// Writes what waits, in order, until the connection breaks or nobody needs it any more.
async fn write_requests(shared: &Shared, mut sending: impl AsyncWrite + Unpin) -> ClientError {
    let mut out = BytesMut::with_capacity(WRITE_SIZE);
    loop {
        match shared.gather(&mut out) {
            Gathered::Some => {}
            Gathered::Nothing => {
                shared.work.notified().await;
                continue;
            }
            Gathered::Finished => return ClientError::Closed { address: shared.destination.name.clone() },
        }
        if let Err(error) = write(&mut sending, &out).await {
            return ClientError::io(&shared.destination.name, &error);
        }
        out.clear();
    }
}

/// Matches answers with what is in flight, in order.
async fn read_answers(shared: &Shared, receiving: impl AsyncRead + Unpin) -> ClientError {
    let mut reader = AnswerReader::new(receiving, shared.destination.name.clone());
    loop {
        match read_answer(shared, &mut reader).await {
            Ok(true) => {}
            Ok(false) => return ClientError::Closed { address: shared.destination.name.clone() },
            Err(error) => return error,
        }
    }
}

/// One answer; `false` when it was the last that this connection carries.
async fn read_answer(
    shared: &Shared,
    reader: &mut AnswerReader<impl AsyncRead + Unpin>,
) -> Result<bool, ClientError> {
    if !reader.ready().await? {
        return Ok(false);
    }
    let Some(to_head) = shared.queue.lock().in_flight.front().map(|request| request.to_head) else {
        let cause = "an answer to no request".to_owned();
        return Err(ClientError::Protocol { address: shared.destination.name.clone(), cause });
    };
    let Some(head) = reader.head(to_head).await? else { return Ok(false) };
    let mut scanner = BodyScanner::new(head.framing);
    let body = reader.collect(&mut scanner, MAX_ANSWER).await?;
    let request = {
        let mut queue = shared.queue.lock();
        let request = queue.in_flight.pop_front();
        if queue.released && queue.in_flight.is_empty() {
            shared.work.notify_one();
        }
        request
    };
    if let Some(request) = request {
        let response = PipelineResponse { status: head.status, headers: head.headers, body };
        // Who no longer waits does not need the answer.
        let _ = request.answer.send(Ok(response));
    }
    Ok(head.keep_alive)
}
