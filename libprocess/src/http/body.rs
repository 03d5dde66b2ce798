//! Bodies of answers: nothing, bytes, a document that others read, too, or a stream that an actor goes on writing to.
//!
//! A stream is a bounded queue between an actor (any thread) and the task that serves the
//! connection. One [`StreamSender::send`] is one HTTP chunk on the wire: the scheduler and executor
//! APIs promise one RecordIO record per chunk. Sending never blocks. A stream whose buffer is full is broken off:
//! what waits is dropped and the connection closed, since what follows a gap would be misread
//! ([`StreamError::Full`]). So is one for which there is no room beside all the others that a node serves
//! ([`crate::Limits::answers`]). A peer that went away is told by [`StreamError::Closed`] and [`StreamSender::closed`].
//! What a stream begins with may be a large document ([`opened_stream`]), which never waits in the queue.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use thiserror::Error;

use super::gzip::GZIP_MINIMUM;
use super::pour::{Beginning, Opening};
use super::shared::SharedBytes;
use crate::budget::{Exhausted, Share};

/// Bytes that may wait in a stream made by [`stream`] (256 MiB): what happens at once in a large cluster
/// fits, and a peer that stopped reading cannot take all memory.
pub const DEFAULT_STREAM_LIMIT: usize = 256 << 20;

/// Bytes that may wait in a stream made by [`opened_stream`] until the peer has taken what it begins with (16 MiB).
pub const OPENING_STREAM_LIMIT: usize = 16 << 20;

/// The body of an answer.
#[derive(Debug, Default)]
pub enum Body {
    /// No body: `Content-Length: 0`.
    #[default]
    Empty,
    /// A body that is there as a whole: `Content-Length`, and gzip where the peer accepts it.
    Bytes(Bytes),
    /// The same, for a document that other answers share, in pieces that other documents may share.
    Shared(SharedBytes),
    /// A body that is written piece by piece: `Transfer-Encoding: chunked`, never compressed.
    Stream(BodyReceiver),
}

impl Body {
    /// A document that other answers share. What is too short to be compressed is only bytes.
    pub fn shared(document: SharedBytes) -> Body {
        match document.pieces() {
            [] => Body::Empty,
            [only] if only.len() < GZIP_MINIMUM => Body::Bytes(only.clone()),
            _ => Body::Shared(document),
        }
    }

    /// The bytes, if the body is there as a whole in one piece.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self.pieces() {
            Some([]) => Some(&[]),
            Some([only]) => Some(only),
            _ => None,
        }
    }

    /// What it consists of, if it is there as a whole.
    pub(crate) fn pieces(&self) -> Option<&[Bytes]> {
        match self {
            Body::Empty => Some(&[]),
            Body::Bytes(bytes) => Some(std::slice::from_ref(bytes)),
            Body::Shared(document) => Some(document.pieces()),
            Body::Stream(_) => None,
        }
    }

    /// Waits for the end of the body and gives all of it (for tests and for in-process callers).
    pub async fn collect(self) -> Bytes {
        match self {
            Body::Empty => Bytes::new(),
            Body::Bytes(bytes) => bytes,
            Body::Shared(document) => document.pieces().concat().into(),
            Body::Stream(mut receiver) => {
                let mut all = Vec::new();
                while let Some(chunk) = receiver.next().await {
                    all.extend_from_slice(&chunk);
                }
                Bytes::from(all)
            }
        }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Body::Bytes(bytes.into())
    }
}

/// Why a stream did not take what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StreamError {
    /// The peer is gone, or [`StreamSender::close`] was called before.
    #[error("the stream is closed")]
    Closed,
    /// The peer reads more slowly than is written, and its buffer, or the node's memory for all of them, is full: the
    /// stream is broken off with this piece.
    #[error("the stream's buffer is full")]
    Full,
}

/// What both ends share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Senders that are alive; when the last one goes, the stream ends.
    senders: AtomicUsize,
    limit: usize,
}

impl Shared {
    fn abort(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        state.aborted = true;
        let dropped = (std::mem::take(&mut state.queue), state.share.take());
        state.queued = 0;
        let watchers = std::mem::take(&mut state.watchers);
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        drop(dropped);
        for waker in wakers.into_iter().flatten().chain(watchers.into_iter().map(|watcher| watcher.waker)) {
            waker.wake();
        }
    }
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Bytes>,
    queued: usize,
    /// What it holds of the memory for all answers, once it is served.
    share: Option<Share>,
    /// The reader has not yet taken what it begins with: what is queued waits for that.
    opening: bool,
    /// No more will be written; the reader still gets what is queued.
    ended: bool,
    /// The reader is gone.
    abandoned: bool,
    /// It is broken off: the reader gets nothing any more, and must not take it for a proper end.
    aborted: bool,
    /// The task of the reader, whatever it waits for.
    reader: Option<Waker>,
    /// The same task while its peer takes nothing: what is sent does not wake it then, but that it is broken off, or that
    /// nothing more will be sent and the rest must be taken.
    writer: Option<Waker>,
    /// Those who wait for the reader to read or to go, by ticket. One entry per living [`Watch`].
    watchers: Vec<Watcher>,
    next_ticket: u64,
}

impl State {
    /// Holds so many bytes in all. False if there is no room for them.
    fn hold(&mut self, bytes: usize) -> bool {
        self.share.as_mut().is_none_or(|share| share.set(bytes).is_ok())
    }
}

/// This task is woken from now on.
fn set(place: &mut Option<Waker>, waker: &Waker) {
    match place {
        Some(known) => known.clone_from(waker),
        empty => *empty = Some(waker.clone()),
    }
}

/// Somebody who waits.
#[derive(Debug)]
struct Watcher {
    ticket: u64,
    waker: Waker,
    /// Woken when no more bytes than this wait, too; not only when the reader goes.
    drained_to: Option<usize>,
}

/// The writing end of a stream; its clones write to the same stream.
#[derive(Debug)]
pub struct StreamSender {
    shared: Arc<Shared>,
}

/// The reading end of a stream; dropping it tells the writers that nobody reads any more.
#[derive(Debug)]
pub struct BodyReceiver {
    /// What comes before all that is sent. Most have nothing, and are to be small.
    beginning: Option<Box<Beginning>>,
    shared: Arc<Shared>,
}

/// A new stream of at most [`DEFAULT_STREAM_LIMIT`] waiting bytes, and the body to answer with.
pub fn stream() -> (StreamSender, Body) {
    let (sender, receiver) = stream_limited(DEFAULT_STREAM_LIMIT);
    (sender, Body::Stream(receiver))
}

/// A new stream that begins with a document which is still being made, and which other streams may share. It is poured by
/// whoever serves the connection, and must be taken as fast as any large answer; at most [`OPENING_STREAM_LIMIT`] bytes
/// may wait until then, and [`DEFAULT_STREAM_LIMIT`] afterwards.
pub fn opened_stream() -> (StreamSender, Opening) {
    let (sender, receiver) = stream_limited(DEFAULT_STREAM_LIMIT);
    receiver.shared.state.lock().opening = true;
    (sender, Opening(receiver))
}

/// A new stream in which at most `limit` bytes wait. One piece that is larger than the limit is
/// taken when nothing else waits, since it could never be sent otherwise.
pub(crate) fn stream_limited(limit: usize) -> (StreamSender, BodyReceiver) {
    let shared =
        Arc::new(Shared { state: Mutex::new(State::default()), senders: AtomicUsize::new(1), limit });
    (StreamSender { shared: shared.clone() }, BodyReceiver { beginning: None, shared })
}

impl StreamSender {
    /// Queues `bytes` as one chunk. Never blocks. An empty piece is ignored: a chunk of length zero
    /// would end the body.
    ///
    /// # Errors
    /// Nobody reads any more, or the stream's buffer is full; then it is broken off.
    pub fn send(&self, bytes: impl Into<Bytes>) -> Result<(), StreamError> {
        let bytes = bytes.into();
        let mut state = self.shared.state.lock();
        if state.abandoned || state.ended {
            return Err(StreamError::Closed);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let queued = state.queued + bytes.len();
        let limit = if state.opening { OPENING_STREAM_LIMIT } else { self.shared.limit };
        if (state.queued > 0 && queued > limit) || !state.hold(queued) {
            drop(state);
            self.shared.abort();
            return Err(StreamError::Full);
        }
        state.queued = queued;
        state.queue.push_back(bytes);
        // While it opens, it is not this that the reader waits for.
        let waker = if state.opening { None } else { state.reader.take() };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Breaks the stream off for all senders: what waits is dropped, and the connection closed.
    pub fn abort(&self) {
        self.shared.abort();
    }

    /// Ends the stream for all senders; what is queued is still written.
    pub fn close(&self) {
        let wakers = {
            let mut state = self.shared.state.lock();
            state.ended = true;
            [state.reader.take(), state.writer.take()]
        };
        for waker in wakers.into_iter().flatten() {
            waker.wake();
        }
    }

    /// Whether the peer is gone or the stream was closed.
    pub fn is_closed(&self) -> bool {
        let state = self.shared.state.lock();
        state.abandoned || state.ended
    }

    /// Bytes that wait for the peer.
    pub fn queued(&self) -> usize {
        self.shared.state.lock().queued
    }

    /// Resolves when nobody reads any more: the peer went away, everything was written after
    /// [`StreamSender::close`], or the stream was broken off. Does not keep the stream open.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        Watch { shared: self.shared.clone(), ticket: None, drained_to: None }
    }

    /// Resolves when at most `bytes` wait for the peer, or nobody reads any more: for writers that have
    /// much to send and can wait (files).
    pub fn drained(&self, bytes: usize) -> impl Future<Output = ()> + Send + 'static {
        Watch { shared: self.shared.clone(), ticket: None, drained_to: Some(bytes) }
    }
}

impl Clone for StreamSender {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        StreamSender { shared: self.shared.clone() }
    }
}

impl Drop for StreamSender {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }
}

/// See [`StreamSender::closed`] and [`StreamSender::drained`].
struct Watch {
    shared: Arc<Shared>,
    ticket: Option<u64>,
    drained_to: Option<usize>,
}

impl Future for Watch {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.shared.state.lock();
        if state.abandoned || state.aborted || this.drained_to.is_some_and(|limit| state.queued <= limit) {
            return Poll::Ready(());
        }
        let ticket = *this.ticket.get_or_insert_with(|| {
            state.next_ticket += 1;
            state.next_ticket
        });
        match state.watchers.iter_mut().find(|watcher| watcher.ticket == ticket) {
            Some(watcher) => watcher.waker.clone_from(cx.waker()),
            None => {
                let waker = cx.waker().clone();
                state.watchers.push(Watcher { ticket, waker, drained_to: this.drained_to });
            }
        }
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.state.lock().watchers.retain(|watcher| watcher.ticket != ticket);
        }
    }
}

impl BodyReceiver {
    /// Waits for the next piece; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// The next piece, as [`BodyReceiver::next`].
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(slice) = self.pour(cx.waker()) {
            return Poll::Ready(Some(slice));
        }
        let mut state = self.shared.state.lock();
        set(&mut state.reader, cx.waker());
        if let Some(bytes) = state.queue.pop_front() {
            state.queued -= bytes.len();
            let queued = state.queued;
            state.hold(queued);
            for watcher in &state.watchers {
                if watcher.drained_to.is_some_and(|limit| queued <= limit) {
                    watcher.waker.wake_by_ref();
                }
            }
            return Poll::Ready(Some(bytes));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    pub(super) fn begin_with(&mut self, beginning: Beginning) {
        self.beginning = Some(Box::new(beginning));
    }

    /// The next bytes of what it begins with, as long as there are any and it is not broken off.
    fn pour(&mut self, reader: &Waker) -> Option<Bytes> {
        let beginning = self.beginning.as_mut()?;
        let mut state = self.shared.state.lock();
        if !state.aborted
            && let Some(slice) = beginning.next()
        {
            set(&mut state.reader, reader);
            return Some(slice);
        }
        state.opening = false;
        drop(state);
        self.beginning = None;
        None
    }

    /// From now on what waits is counted, as long as somebody reads. It is broken off if there is no room for it.
    ///
    /// # Errors
    /// [`Exhausted`]: there is no room for what it begins with.
    pub(crate) fn count(&mut self, share: Share) -> Result<(), Exhausted> {
        if let Some(beginning) = &mut self.beginning {
            beginning.count(share.another())?;
        }
        let mut state = self.shared.state.lock();
        let queued = state.queued;
        let has_room = state.share.insert(share).set(queued).is_ok();
        drop(state);
        if !has_room {
            self.shared.abort();
        }
        Ok(())
    }

    /// What else the reader's task must know of the stream.
    pub(crate) fn watch(&self) -> StreamWatch {
        StreamWatch { shared: self.shared.clone() }
    }
}

/// How a stream stands, for the connection that it is written to.
#[derive(Debug)]
pub(crate) struct StreamWatch {
    shared: Arc<Shared>,
}

impl StreamWatch {
    /// It was broken off.
    pub(crate) fn is_aborted(&self) -> bool {
        self.shared.state.lock().aborted
    }

    /// The task that writes it is woken when it is broken off, or has ended, though its peer takes nothing.
    pub(crate) fn written_by(&self, writer: &Waker) {
        set(&mut self.shared.state.lock().writer, writer);
    }

    /// Its peer must take what is there: the rest of what it begins with, or of all if nothing more will be sent.
    pub(crate) fn must_be_taken(&self) -> bool {
        let state = self.shared.state.lock();
        state.opening || state.ended
    }
}

impl futures::Stream for BodyReceiver {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_chunk(cx)
    }
}

impl Drop for BodyReceiver {
    fn drop(&mut self) {
        // Its bytes do not count any more when others learn of it.
        self.beginning = None;
        let watchers = {
            let mut state = self.shared.state.lock();
            state.abandoned = true;
            state.queue.clear();
            state.queued = 0;
            state.share = None;
            std::mem::take(&mut state.watchers)
        };
        for watcher in watchers {
            watcher.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Budget, SMALL};
    use futures::FutureExt;

    #[test]
    fn pieces_come_out_in_order_and_one_by_one() {
        let (sender, mut receiver) = stream_limited(100);
        sender.send("a").unwrap();
        sender.clone().send("b").unwrap();
        sender.send("").unwrap();
        assert_eq!(receiver.next().now_or_never(), Some(Some(Bytes::from("a"))));
        assert_eq!(receiver.next().now_or_never(), Some(Some(Bytes::from("b"))));
        assert_eq!(receiver.next().now_or_never(), None);
        sender.close();
        assert_eq!(sender.send("c"), Err(StreamError::Closed));
        assert_eq!(receiver.next().now_or_never(), Some(None));
    }

    #[test]
    fn the_last_sender_ends_the_stream() {
        let (sender, mut receiver) = stream_limited(100);
        let other = sender.clone();
        drop(sender);
        other.send("x").unwrap();
        drop(other);
        assert_eq!(receiver.next().now_or_never(), Some(Some(Bytes::from("x"))));
        assert_eq!(receiver.next().now_or_never(), Some(None));
    }

    #[test]
    fn a_full_stream_is_broken_off_but_takes_one_large_piece_when_empty() {
        let (sender, mut receiver) = stream_limited(4);
        sender.send("too large").unwrap();
        receiver.next().now_or_never().unwrap();
        sender.send("1234").unwrap();
        let closed = sender.closed();
        assert_eq!(sender.send("5"), Err(StreamError::Full));
        // Nothing of it is kept for who does not read it, and nobody takes it for whole.
        assert_eq!(sender.queued(), 0);
        assert_eq!(closed.now_or_never(), Some(()));
        assert!(receiver.watch().is_aborted());
        assert_eq!(receiver.next().now_or_never(), Some(None));
        assert_eq!(sender.send("6"), Err(StreamError::Closed));
    }

    fn opened(opening: Opening, bytes: usize) -> BodyReceiver {
        let document = SharedBytes::new([vec![b'd'; bytes].into()]);
        let Body::Stream(receiver) = opening.with(document) else { panic!("it is a stream") };
        receiver
    }

    #[test]
    fn what_was_sent_to_a_stream_that_opens_comes_behind_what_it_begins_with() {
        let (sender, opening) = opened_stream();
        sender.send("1").unwrap();
        let mut receiver = opened(opening, 200_000);
        let mut next = || receiver.next().now_or_never().flatten();
        let mut begun = 0;
        while let Some(slice) = next().filter(|slice| slice[0] == b'd') {
            begun += slice.len();
            if begun < 200_000 {
                assert!(must_be_taken(&sender));
            } else {
                sender.send("2").unwrap();
            }
        }
        // The one that ended the loop was the first.
        assert_eq!((begun, next()), (200_000, Some(Bytes::from("2"))));
        assert!(!must_be_taken(&sender));
        sender.send("3").unwrap();
        sender.close();
        assert_eq!((next(), next()), (Some(Bytes::from("3")), None));
    }

    fn must_be_taken(sender: &StreamSender) -> bool {
        StreamWatch { shared: sender.shared.clone() }.must_be_taken()
    }

    #[test]
    fn less_may_wait_in_a_stream_that_opens() {
        let half = Bytes::from(vec![0; OPENING_STREAM_LIMIT / 2]);
        let (sender, opening) = opened_stream();
        let mut receiver = opened(opening, 1);
        sender.send(half.clone()).unwrap();
        sender.send(half.clone()).unwrap();
        assert_eq!(receiver.next().now_or_never().flatten().unwrap().len(), 1);
        // It is known to be taken when more is asked for.
        receiver.next().now_or_never().unwrap();
        for _ in 0..3 {
            sender.send(half.clone()).unwrap();
        }
        let (sender, opening) = opened_stream();
        let mut receiver = opened(opening, 1);
        sender.send(half.clone()).unwrap();
        sender.send(half.clone()).unwrap();
        assert_eq!(sender.send(half), Err(StreamError::Full));
        // It does not look complete, although its beginning was there.
        assert!(receiver.watch().is_aborted());
        assert_eq!(receiver.next().now_or_never(), Some(None));
    }

    #[test]
    fn what_a_stream_begins_with_counts_until_it_is_taken_or_given_up() {
        let budget = Arc::new(Budget::new(200_000));
        let share = || budget.share([127, 0, 0, 1].into());
        // Half of it is for one host.
        let has_room = || share().set(SMALL + 50_000).is_ok();
        let begin = || {
            let (sender, opening) = opened_stream();
            let mut receiver = opened(opening, SMALL + 60_000);
            receiver.count(share()).unwrap();
            assert!(!has_room());
            (sender, receiver)
        };
        let (sender, mut receiver) = begin();
        assert!(opened(opened_stream().1, SMALL + 60_000).count(share()).is_err());
        assert!(receiver.next().now_or_never().is_some() && receiver.next().now_or_never().is_some());
        assert!(!has_room());
        assert_eq!(receiver.next().now_or_never(), None);
        assert!(has_room());
        drop((sender, receiver));
        let (sender, mut receiver) = begin();
        sender.abort();
        assert_eq!(receiver.next().now_or_never(), Some(None));
        assert!(has_room());
        drop(receiver);
        drop(begin());
        assert!(has_room());
    }

    #[test]
    fn a_reader_of_a_beginning_is_woken_when_it_is_broken_off_and_not_by_what_comes_behind() {
        let (sender, opening) = opened_stream();
        let mut receiver = opened(opening, 200_000);
        let (waker, woken) = counting_waker();
        let mut cx = Context::from_waker(&waker);
        assert!(receiver.poll_chunk(&mut cx).is_ready());
        sender.send("event").unwrap();
        assert_eq!(woken.load(Ordering::Relaxed), 0);
        sender.abort();
        assert_eq!(woken.load(Ordering::Relaxed), 1);
    }

    struct Counting(Arc<AtomicUsize>);

    impl std::task::Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counting_waker() -> (Waker, Arc<AtomicUsize>) {
        let count = Arc::<AtomicUsize>::default();
        (Arc::new(Counting(count.clone())).into(), count)
    }

    #[test]
    fn streams_are_broken_off_that_have_no_room_beside_the_others() {
        let budget = Arc::new(Budget::new(100));
        let share = || budget.share([127, 0, 0, 1].into());
        let (sender, mut receiver) = stream_limited(1 << 20);
        let piece = |bytes: usize| vec![0; bytes];
        sender.send(piece(SMALL)).unwrap();
        receiver.count(share()).unwrap();
        sender.send(piece(40)).unwrap();
        let (other, mut other_receiver) = stream_limited(1 << 20);
        other_receiver.count(share()).unwrap();
        assert_eq!(other.send(piece(SMALL + 11)), Err(StreamError::Full));
        assert!(other_receiver.watch().is_aborted());
        // What is read makes room, and so does who goes.
        receiver.next().now_or_never().unwrap();
        let (other, mut other_receiver) = stream_limited(1 << 20);
        other.send(piece(SMALL + 50)).unwrap();
        other_receiver.count(share()).unwrap();
        assert_eq!(other.queued(), SMALL + 50);
        let (late, mut late_receiver) = stream_limited(1 << 20);
        late.send(piece(SMALL + 1)).unwrap();
        late_receiver.count(share()).unwrap();
        assert!(late_receiver.watch().is_aborted() && late.is_closed());
        drop(other_receiver);
        assert_eq!(sender.send(piece(SMALL)), Ok(()));
    }

    #[test]
    fn writers_learn_that_the_reader_is_gone_or_has_read() {
        let (sender, mut receiver) = stream_limited(100);
        sender.send("12345678").unwrap();
        let (mut closed, mut drained) = (Box::pin(sender.closed()), Box::pin(sender.drained(4)));
        assert_eq!(closed.as_mut().now_or_never(), None);
        assert_eq!(drained.as_mut().now_or_never(), None);
        receiver.next().now_or_never().unwrap();
        assert_eq!(drained.now_or_never(), Some(()));
        drop(receiver);
        assert_eq!(closed.now_or_never(), Some(()));
        assert_eq!(sender.send("x"), Err(StreamError::Closed));
        assert!(sender.is_closed());
    }
}
