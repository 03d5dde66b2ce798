//! Reading what comes from outside and is large, before its actor has it.
//!
//! What is small is read where it is: a message by the thread that received it, the body of a request by its actor. With
//! what is large, others would wait for that, so it is read on another thread, of no lower priority: what others wait for
//! must not wait for those who render. Then it is queued. The next one of the same connection is not looked at meanwhile,
//! so that the order stays.
//!
//! | | from | so many at a time | a turn ends when it |
//! |---|---|---|---|
//! | message | 256 KiB | as there are cores | is read |
//! | request | 64 KiB | as there are cores | is read |
//! | very large request | 1 MiB | one | was handled |
//!
//! Where all agents report to a new master at once, hundreds of threads would leave next to nothing to the actors: so
//! there are turns, of messages and of requests for themselves, since a call must not wait for all those reports. What is
//! made of a request may take dozens of times its memory, and is there until the actor has done with it: so those that are
//! very large do not gather beside each other. Turns are given in the order in which they are asked for.

use std::sync::Arc;
use std::thread::available_parallelism;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::node::Node;
use crate::pid::Pid;
use crate::transport::Delivery;
use crate::wire::Encoding;

/// A message of so many bytes is not read between others: that may take some milliseconds.
pub(crate) const LARGE_MESSAGE: usize = 256 << 10;

/// The body of a request of fewer bytes is read by the actor itself: that takes a millisecond or two, and mostly far less.
pub(crate) const LARGE_REQUEST: usize = 64 << 10;

/// From so many bytes on only one request of a node is read at a time.
const ALONE: usize = 1 << 20;

/// Whose turn it is to read what is large.
#[derive(Debug)]
pub(crate) struct Turns {
    messages: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    alone: Arc<Semaphore>,
}

/// The turn of a large request. Its parts end when they are dropped.
#[derive(Debug)]
pub(crate) struct RequestTurn {
    /// To read it.
    pub(crate) reading: Option<OwnedSemaphorePermit>,
    /// To have it handled, if it is very large.
    pub(crate) handling: Option<OwnedSemaphorePermit>,
}

impl Default for Turns {
    fn default() -> Turns {
        let cores = available_parallelism().map_or(1, usize::from);
        let turns = |at_a_time: usize| Arc::new(Semaphore::new(at_a_time));
        Turns { messages: turns(cores), requests: turns(cores), alone: turns(1) }
    }
}

impl Turns {
    /// Waits for the turn of a large message. It ends when what is returned is dropped.
    async fn of_message(&self) -> Option<OwnedSemaphorePermit> {
        next(&self.messages).await
    }

    /// Waits for the turn of a large request, of so many bytes.
    pub(crate) async fn of_request(&self, bytes: usize) -> RequestTurn {
        let handling = if bytes < ALONE { None } else { next(&self.alone).await };
        RequestTurn { handling, reading: next(&self.requests).await }
    }
}

/// They are never closed, so that there is always a turn.
async fn next(turns: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(turns).acquire_owned().await.ok()
}

impl Node {
    /// As [`Node::deliver`]; a large message is read in its turn, on another thread. Then it is asked whether it is still
    /// wanted. `None`: it is not.
    pub(crate) async fn deliver_when_read(
        &self,
        id: &str,
        name: &str,
        from: Pid,
        encoding: Encoding,
        body: Bytes,
        is_wanted: impl FnOnce() -> bool,
    ) -> Option<Delivery> {
        if body.len() < LARGE_MESSAGE {
            return Some(self.deliver(id, name, from, encoding, &body));
        }
        // A node that keeps to one thread reads it at once.
        let turn = if self.is_single() { None } else { self.turns().of_message().await };
        let Some(mailbox) = self.find(id) else { return Some(Delivery::NoActor) };
        let name = name.to_owned();
        let read = move || {
            let read = mailbox.decode(from, &name, encoding, &body);
            drop(turn);
            read
        };
        match self.blocking(read).await {
            Err(error) => Some(Delivery::Undecodable(error)),
            Ok(queue_it) => is_wanted().then(|| {
                queue_it();
                Delivery::Accepted
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use ::http::{Method, StatusCode};
    use futures::FutureExt;
    use tokio::sync::mpsc;

    use super::*;
    use crate::http::{Request, Response, dispatch};
    use crate::{Context, DecodeError, Handle, Install, Process, WireMessage};

    /// A message that knows where it was read.
    struct Noted {
        on: ThreadId,
        bytes: usize,
    }

    crate::messages! { Noted; }

    impl WireMessage for Noted {
        const NAME: &'static str = "test.Noted";
        fn encode(&self, _: Encoding) -> Vec<u8> {
            vec![0; self.bytes]
        }
        fn decode(_: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
            Ok(Noted { on: thread::current().id(), bytes: bytes.len() })
        }
    }

    /// Tells of each message and request how large it is, and whether it was read on the actor's thread, which is the
    /// test's.
    struct Reader(mpsc::UnboundedSender<(usize, bool)>);

    impl Process for Reader {
        const NAME: &'static str = "reader";
        fn install(install: &mut Install<Self>) {
            install.message::<Noted>();
            let prepare = |request: &Request| (request.body.len(), thread::current().id());
            install.prepared(&[], "/", "Reads.", prepare, |reader: &mut Self, _, (bytes, on), _| {
                reader.tell(bytes, on);
                Response::accepted().into()
            });
        }
    }

    impl Reader {
        fn tell(&self, bytes: usize, on: ThreadId) {
            let _ = self.0.send((bytes, on == thread::current().id()));
        }
    }

    impl Handle<Noted> for Reader {
        fn handle(&mut self, message: Noted, _: &Pid, _: &mut Context<Self>) {
            self.tell(message.bytes, message.on);
        }
    }

    /// With threads: a node that is offline keeps to one.
    async fn with_reader() -> (Node, mpsc::UnboundedReceiver<(usize, bool)>) {
        let node = Node::builder().bind("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
        let (sender, received) = mpsc::unbounded_channel();
        node.spawn(Reader(sender));
        (node, received)
    }

    fn message(bytes: usize) -> Request {
        let mut message =
            Request { body: vec![0; bytes].into(), ..Request::new(Method::POST, "/reader/test.Noted") };
        message.headers.insert("libprocess-from", "x@127.0.0.1:1".parse().unwrap());
        message.peer = ([127, 0, 0, 1], 1).into();
        message
    }

    fn request(bytes: usize) -> Request {
        Request { body: vec![b'x'; bytes].into(), ..Request::new(Method::POST, "/reader") }
    }

    async fn deliver(node: &Node, bytes: usize, is_wanted: bool) -> Option<Delivery> {
        let (from, body) = ("x@127.0.0.1:1".parse().unwrap(), vec![0; bytes].into());
        node.deliver_when_read("reader", Noted::NAME, from, Encoding::Protobuf, body, || is_wanted).await
    }

    #[test]
    fn what_is_large_is_read_beside_its_actor() {
        crate::run(async {
            let (node, mut received) = with_reader().await;
            for (asked, bytes, here) in [
                (message(0), 0, true),
                (message(LARGE_MESSAGE - 1), LARGE_MESSAGE - 1, true),
                (message(LARGE_MESSAGE), LARGE_MESSAGE, false),
                (request(0), 0, true),
                (request(LARGE_REQUEST - 1), LARGE_REQUEST - 1, true),
                (request(LARGE_REQUEST), LARGE_REQUEST, false),
                (request(ALONE), ALONE, false),
            ] {
                assert_eq!(dispatch(&node, asked).await.status, StatusCode::ACCEPTED);
                assert_eq!(received.recv().await, Some((bytes, here)));
            }
            node.shutdown().await;
        });
    }

    #[test]
    fn a_large_message_that_is_not_wanted_any_more_is_not_queued() {
        crate::run(async {
            let (node, mut received) = with_reader().await;
            for (bytes, is_wanted) in [(LARGE_MESSAGE + 1, false), (LARGE_MESSAGE, true)] {
                let delivery = deliver(&node, bytes, is_wanted).await;
                assert_eq!(delivery, is_wanted.then_some(Delivery::Accepted));
            }
            assert_eq!(received.recv().await, Some((LARGE_MESSAGE, false)));
            node.shutdown().await;
        });
    }

    #[test]
    fn large_messages_and_requests_are_read_in_turns_for_which_others_do_not_wait() {
        crate::run(async {
            let (node, mut received) = with_reader().await;
            let Turns { messages, requests, .. } = node.turns();
            let post = async |request: Request| dispatch(&node, request).await.status;
            for (turns, large, others) in [
                (
                    messages,
                    message(LARGE_MESSAGE),
                    [message(LARGE_MESSAGE - 1), request(LARGE_REQUEST), request(ALONE)],
                ),
                (
                    requests,
                    request(LARGE_REQUEST),
                    [request(LARGE_REQUEST - 1), message(LARGE_MESSAGE), message(0)],
                ),
            ] {
                let cores = turns.available_permits();
                assert!(cores >= 1);
                let taken = turns.acquire_many(u32::try_from(cores).unwrap()).await.unwrap();
                let bytes = large.body.len();
                let mut waiting = Box::pin(post(large));
                assert_eq!((&mut waiting).now_or_never(), None);
                for other in others {
                    let bytes = other.body.len();
                    assert_eq!(post(other).await, StatusCode::ACCEPTED);
                    assert_eq!(received.recv().await.unwrap().0, bytes);
                }
                assert_eq!((&mut waiting).now_or_never(), None);
                drop(taken);
                assert_eq!(waiting.await, StatusCode::ACCEPTED);
                assert_eq!(received.recv().await, Some((bytes, false)));
                assert_eq!(turns.available_permits(), cores);
            }
            node.shutdown().await;
        });
    }

    #[test]
    fn very_large_requests_are_read_one_by_one_and_others_do_not_wait_for_them() {
        crate::run(async {
            let (node, mut received) = with_reader().await;
            let alone = &node.turns().alone;
            let turn = alone.acquire().await.unwrap();
            let mut waiting = Box::pin(dispatch(&node, request(ALONE)));
            assert!((&mut waiting).now_or_never().is_none());
            dispatch(&node, request(ALONE - 1)).await;
            assert_eq!(received.recv().await, Some((ALONE - 1, false)));
            assert!((&mut waiting).now_or_never().is_none());
            drop(turn);
            assert_eq!(waiting.await.status, StatusCode::ACCEPTED);
            assert_eq!(received.recv().await, Some((ALONE, false)));
            assert_eq!(alone.available_permits(), 1);
            node.shutdown().await;
        });
    }

    #[test]
    fn a_large_request_whose_sender_goes_away_reaches_its_actor_and_keeps_its_turn_until_then() {
        crate::run(async {
            let (node, mut received) = with_reader().await;
            let alone = &node.turns().alone;
            let mut waiting = Box::pin(dispatch(&node, request(ALONE)));
            assert!((&mut waiting).now_or_never().is_none());
            drop(waiting);
            // The actor is on this thread, and had no turn yet.
            assert_eq!(alone.available_permits(), 0);
            assert_eq!(received.recv().await, Some((ALONE, false)));
            drop(alone.acquire().await.unwrap());
            node.shutdown().await;
        });
    }
}
