//! The gate between a socket and actix-web: one request at a time.
//!
//! actix-http (3.11.2 to 3.20.0) reads ahead into pipelined requests and then takes the unfinished body of
//! a later request for an unread body of the one it answers: it closes the connection (with an empty
//! answer) or says `Connection: close` in an answer that does not close. Mesos clients pipeline: the C++
//! scheduler library posts all its calls on one connection. So the gate follows where each request ends
//! ([`super::codec`]) and hands actix-http no byte of the next one before the answer is complete, which
//! keeps the order and makes the bug unreachable.
//!
//! It also sees what actix-http does not: a peer that closes its side while a stream is being written to it (the stream
//! then ends at once), and requests that come too slowly, from the second on as well. Memory is bounded: while an
//! answer is made, at most [`READ_AHEAD`] bytes are read ahead; who does not take its answers is not heard further
//! (actix-http would make the next ones, and keep them all); a body that comes too slowly, or an answer that is read
//! too slowly ([`Pace`]), is given up, unless it is an event stream, which has a bound of its own; but what a stream
//! begins with ([`super::pour`]) must be read as an answer. The rest of the node learns whether the connection is of
//! use at the moment ([`Activity`]).
//!
//! One task has the socket, actix-http and the body of the answer. Beside the socket and the timers, it is woken by
//!
//! | waker | set while | and called when |
//! |---|---|---|
//! | `Progress::waker`, here | the next request is held back | the answer is complete, and when its peer takes it again |
//! | the stream's `reader` (`body.rs`) | its next piece was asked for | there is one, or none will come any more |
//! | the stream's `writer` (`body.rs`) | the peer takes nothing | it is broken off, or has ended and must be taken |

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use percent_encoding::percent_encode_byte;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::body::StreamWatch;
use super::codec::{BodyScanner, MAX_HEAD, request_head};
use crate::crowd::Activity;
use crate::pace::Pace;
use crate::stream::Stream;

/// Bytes that are read while an answer is made: enough to see that the peer is still there, and for the
/// next pipelined calls.
const READ_AHEAD: usize = 64 << 10;

/// Bytes that one read asks for, and what it asks for while nothing is known to come: there may be many connections
/// that are silent.
const READ_SIZE: usize = 16 << 10;
const FIRST_READ: usize = 2 << 10;

/// How long the head of a request may take from its first byte (of a connection's first request: from when it
/// is clear that a client speaks; actix-http answers that one with 408 after
/// [`super::server::REQUEST_TIMEOUT`]).
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);

/// What the gate and the answers of its connection share. They run in one task.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Answers that are complete (or given up).
    answered: Cell<u64>,
    /// The body of the last request is malformed: it ends where that was seen, and there are no more requests.
    malformed: Cell<bool>,
    /// The open-ended answer that is being written.
    streaming: RefCell<Option<StreamWatch>>,
    waker: RefCell<Option<Waker>>,
}

impl Progress {
    /// An answer is complete: the next request may come.
    fn finish(&self) {
        self.answered.set(self.answered.get() + 1);
        self.streaming.replace(None);
        self.wake();
    }

    /// Whether the request at hand has no body that can be read, and is the last one.
    pub(crate) fn is_malformed(&self) -> bool {
        self.malformed.get()
    }

    fn is_streaming(&self) -> bool {
        self.streaming.borrow().is_some()
    }

    fn is_aborted(&self) -> bool {
        self.streaming.borrow().as_ref().is_some_and(StreamWatch::is_aborted)
    }

    /// The peer takes nothing at the moment: this task is woken when the stream is broken off, or has ended.
    fn stalls(&self, writer: &Waker) {
        if let Some(watch) = &*self.streaming.borrow() {
            watch.written_by(writer);
        }
    }

    /// Whether a peer must take what is there: of a stream only what it begins with, and all once it has ended.
    fn must_be_read(&self) -> bool {
        self.streaming.borrow().as_ref().is_none_or(StreamWatch::must_be_taken)
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Held by whatever makes the answer to one request; its end is the answer's end.
#[derive(Debug)]
pub(crate) struct AnswerGuard(Rc<Progress>);

impl AnswerGuard {
    pub(crate) fn new(progress: Rc<Progress>) -> AnswerGuard {
        AnswerGuard(progress)
    }

    /// The answer goes on until somebody ends it: a peer that closes its side has gone.
    pub(crate) fn streams(&self, watch: StreamWatch) {
        self.0.streaming.replace(Some(watch));
        self.0.wake();
    }
}

impl Drop for AnswerGuard {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// Where the next byte from the socket belongs.
#[derive(Debug)]
enum Stage {
    /// The head of a request.
    Head,
    /// Its body.
    Body(BodyScanner),
    /// Behind it, while it is answered.
    Answering,
    /// This is no HTTP request: actix-http may say so, and everything goes through, for as long as a head may take.
    Open,
    /// Behind a malformed body, which was answered: nothing more is read.
    Broken,
}

/// A socket whose reader sees one request at a time.
#[derive(Debug)]
pub(crate) struct Gate {
    stream: Stream,
    /// What was read; its first `released` bytes may go to the reader.
    buffer: BytesMut,
    released: usize,
    stage: Stage,
    /// Requests that were released as a whole.
    requests: u64,
    /// The peer closed its side.
    ended: bool,
    /// It did so while a stream was written to it: nothing more is written.
    abandoned: bool,
    coming: Coming,
    /// Rings when the request at hand comes too slowly.
    reading: Timer,
    /// The peer takes nothing at the moment, and something waits for it.
    blocked: bool,
    /// How the answer at hand is taken, once its peer had to be waited for.
    taken: Option<Pace>,
    /// Rings when it is taken too slowly.
    writing: Timer,
    progress: Rc<Progress>,
    activity: Rc<Activity>,
}

/// How the request at hand comes.
#[derive(Debug, Default)]
struct Coming {
    /// Bytes of the head in which no end was found.
    searched: usize,
    /// When the head must be there.
    head_until: Option<Instant>,
    /// The body's time, once it had to be waited for.
    pace: Option<Pace>,
    /// Bytes of the body that came since.
    moved: usize,
}

/// What no URI has as it is, and upstream's parser takes.
fn is_to_be_encoded(byte: &u8) -> bool {
    !byte.is_ascii() || b"\"<>`".contains(byte)
}

/// A timer that is made when it is first needed.
#[derive(Debug, Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll_at(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

impl Gate {
    /// `first` was read already.
    pub(crate) fn new(stream: Stream, first: BytesMut, activity: Rc<Activity>) -> Gate {
        Gate {
            stream,
            buffer: first,
            released: 0,
            stage: Stage::Head,
            requests: 0,
            ended: false,
            abandoned: false,
            coming: Coming::default(),
            reading: Timer::default(),
            blocked: false,
            taken: None,
            writing: Timer::default(),
            progress: Rc::default(),
            activity,
        }
    }

    pub(crate) fn progress(&self) -> &Rc<Progress> {
        &self.progress
    }

    /// Releases what belongs to the request at hand.
    fn release(&mut self) {
        loop {
            let unreleased = &self.buffer[self.released..];
            match &mut self.stage {
                Stage::Open => {
                    self.released = self.buffer.len();
                    return;
                }
                Stage::Broken => return,
                Stage::Answering => {
                    if self.blocked || !self.is_answered() {
                        return;
                    }
                    // Where a malformed request ends, and the next begins, cannot be told.
                    self.stage = if self.progress.is_malformed() { Stage::Broken } else { Stage::Head };
                    self.taken = None;
                    self.activity.rest();
                }
                Stage::Head => {
                    if !self.release_head() {
                        return;
                    }
                }
                Stage::Body(scanner) => {
                    if scanner.is_done() {
                        self.coming = Coming::default();
                        self.activity.work();
                        self.stage = Stage::Answering;
                        continue;
                    }
                    match scanner.step(unreleased) {
                        Ok(step) if step.consumed == 0 => return,
                        Ok(step) => {
                            self.released += step.consumed;
                            self.coming.moved += step.data.len();
                        }
                        // actix-http would close the connection without an answer. So the body ends here for it, and
                        // whoever reads it is told.
                        Err(_) => {
                            let end = scanner.end_of_chunks();
                            self.buffer.truncate(self.released);
                            self.buffer.extend_from_slice(end);
                            self.released = self.buffer.len();
                            self.progress.malformed.set(true);
                            self.coming = Coming::default();
                            self.activity.work();
                            self.stage = Stage::Answering;
                        }
                    }
                }
            }
        }
    }

    /// Whether the answers to all requests so far are complete. They may still be on their way to the peer.
    fn is_answered(&self) -> bool {
        self.progress.answered.get() >= self.requests
    }

    /// Releases the head of a request; false if it needs more bytes. It is parsed again only when a line has ended: else
    /// a peer that sends single bytes would cost time with the square of their number.
    fn release_head(&mut self) -> bool {
        if self.released == 0 {
            // Empty lines before a request mean nothing (RFC 9112, 2.2).
            let empty = self.buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.buffer.advance(empty);
        }
        let unreleased = &self.buffer[self.released..];
        let fresh = unreleased.get(self.coming.searched..).unwrap_or(unreleased);
        if unreleased.len() <= MAX_HEAD && !fresh.contains(&b'\n') {
            self.coming.searched = unreleased.len();
            return false;
        }
        self.encode_target();
        let unreleased = &self.buffer[self.released..];
        match request_head(unreleased) {
            Ok(Some((framing, length))) => {
                self.released += length;
                self.coming = Coming::default();
                self.requests += 1;
                self.stage = Stage::Body(BodyScanner::new(framing));
                true
            }
            Ok(None) => {
                self.coming.searched = unreleased.len();
                false
            }
            Err(_) => {
                self.stage = Stage::Open;
                true
            }
        }
    }

    /// Percent-encodes what should be so in the target of a request and is not: curl sends a path with an umlaut as it is
    /// written, and actix-http would refuse it (upstream does not).
    fn encode_target(&mut self) {
        let unreleased = &self.buffer[self.released..];
        let line = unreleased.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let (method, version) =
            (line.iter().position(|byte| *byte == b' '), line.iter().rposition(|byte| *byte == b' '));
        let (Some(method), Some(version)) = (method, version) else { return };
        // With one space, there is no target.
        let target = line.get(method + 1..version).unwrap_or_default();
        if !target.iter().any(is_to_be_encoded) {
            return;
        }
        let mut encoded = Vec::with_capacity(3 * target.len());
        for byte in target {
            if is_to_be_encoded(byte) {
                encoded.extend_from_slice(percent_encode_byte(*byte).as_bytes());
            } else {
                encoded.push(*byte);
            }
        }
        let rest = self.buffer.split_off(self.released + version);
        self.buffer.truncate(self.released + method + 1);
        self.buffer.extend_from_slice(&encoded);
        self.buffer.extend_from_slice(&rest);
    }

    /// Whether more input may be read now, given the state after [`Gate::release`].
    fn wants_input(&self) -> bool {
        match self.stage {
            Stage::Answering => self.buffer.len() < READ_AHEAD,
            _ => true,
        }
    }

    /// Ready with an error when the request at hand comes too slowly.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let now = Instant::now();
        let deadline = match self.stage {
            Stage::Head if self.requests > 0 && self.buffer.is_empty() => {
                self.coming = Coming::default();
                return Poll::Pending;
            }
            Stage::Head | Stage::Open => *self.coming.head_until.get_or_insert(now + HEAD_TIMEOUT),
            Stage::Body(_) => {
                let moved = std::mem::take(&mut self.coming.moved);
                let pace = self.coming.pace.get_or_insert_with(|| Pace::new(now));
                pace.moved(moved, now);
                pace.deadline()
            }
            Stage::Answering | Stage::Broken => return Poll::Pending,
        };
        ready!(self.reading.poll_at(cx, deadline));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the request came too slowly"))
    }

    /// Sees to it that the peer takes what is there of an answer, at some pace.
    fn poll_taken(
        &mut self,
        cx: &mut Context<'_>,
        taken: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let was_blocked = std::mem::replace(&mut self.blocked, taken.is_pending());
        if self.blocked {
            self.progress.stalls(cx.waker());
        } else if was_blocked && self.is_answered() {
            // The next request may come.
            self.progress.wake();
        }
        if !self.progress.must_be_read() {
            self.taken = None;
            return taken;
        }
        match (&taken, &mut self.taken) {
            // It was never waited for.
            (Poll::Ready(_), None) => return taken,
            (Poll::Ready(bytes), Some(pace)) => {
                let now = Instant::now();
                pace.go_on(now);
                pace.moved(*bytes.as_ref().unwrap_or(&0), now);
                // What comes next may have to be made first.
                pace.pause(now);
                return taken;
            }
            (Poll::Pending, _) => {}
        }
        let now = Instant::now();
        let pace = self.taken.get_or_insert_with(|| Pace::new(now));
        pace.go_on(now);
        ready!(self.writing.poll_at(cx, pace.deadline()));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes its answer too slowly")))
    }

    /// Reads once from the socket.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.buffer.is_empty() || matches!(self.stage, Stage::Body(_)) {
            self.buffer.reserve(READ_SIZE);
        } else if self.buffer.capacity() > FIRST_READ {
            self.buffer = BytesMut::with_capacity(FIRST_READ);
        } else {
            self.buffer.reserve(FIRST_READ);
        }
        let reading = pin!(self.stream.read_buf(&mut self.buffer));
        self.ended = ready!(reading.poll(cx))? == 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Gate {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            this.release();
            if this.released > 0 {
                let length = this.released.min(out.remaining());
                out.put_slice(&this.buffer[..length]);
                this.buffer.advance(length);
                this.released -= length;
                return Poll::Ready(Ok(()));
            }
            if matches!(this.stage, Stage::Broken) {
                let text = "the body of a request is malformed";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
            }
            if matches!(this.stage, Stage::Answering) {
                *this.progress.waker.borrow_mut() = Some(cx.waker().clone());
                if this.ended {
                    if !this.progress.is_streaming() {
                        // It may have closed only its own side, and still wait for the answer.
                        return Poll::Pending;
                    }
                    this.abandoned = true;
                    return Poll::Ready(Ok(()));
                }
            } else if this.ended {
                return Poll::Ready(Ok(()));
            }
            if !this.wants_input() {
                return Poll::Pending;
            }
            match this.poll_input(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return this.poll_timer(cx).map(Err),
            }
        }
    }
}

impl AsyncWrite for Gate {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.abandoned || self.progress.is_aborted() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.poll_taken(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx).map_ok(|()| 0);
        self.poll_taken(cx, flushed).map_ok(drop)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::http::body::{StreamSender, stream_limited};

    /// To a peer that has taken nothing so far: the kernel has as much as it takes.
    async fn blocked_gate(near: UnixStream) -> Gate {
        near.writable().await.unwrap();
        while near.try_write(&[0; 4096]).is_ok() {}
        Gate::new(Stream::Unix(near), BytesMut::new(), Rc::new(Activity::new(Rc::default())))
    }

    /// A stream of which the peer takes nothing any more, though something waits for it: its sender, the task that writes
    /// it, and the peer.
    async fn stalled() -> (StreamSender, JoinHandle<io::Result<()>>, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        let mut gate = blocked_gate(near).await;
        let (sender, mut receiver) = stream_limited(100);
        let guard = AnswerGuard::new(gate.progress().clone());
        guard.streams(receiver.watch());
        let connection = actix_rt::spawn(async move {
            let _guard = guard;
            while let Some(chunk) = receiver.next().await {
                gate.write_all(&chunk).await?;
            }
            Ok(())
        });
        let takes_all = || sender.queued() == 0;
        sender.send("event").unwrap();
        while !takes_all() {
            tokio::task::yield_now().await;
        }
        // Nobody takes this one.
        sender.send("another").unwrap();
        tokio::task::yield_now().await;
        assert!(!takes_all());
        (sender, connection, far)
    }

    #[test]
    fn a_stream_that_is_broken_off_ends_its_connection_though_the_peer_takes_nothing() {
        crate::testing::run(async {
            let (sender, connection, _far) = stalled().await;
            sender.abort();
            assert_eq!(connection.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        });
    }

    /// Else the answers to a client that asks on and on, and takes none of them, would all be kept.
    #[test]
    fn who_does_not_take_an_answer_is_heard_further_when_it_does() {
        crate::testing::run(async {
            let (near, mut far) = UnixStream::pair().unwrap();
            let request = b"GET / HTTP/1.1\r\n\r\n";
            far.write_all(&request.repeat(2)).await.unwrap();
            let gate = blocked_gate(near).await;
            let progress = gate.progress().clone();
            let (mut reader, mut writer) = tokio::io::split(gate);
            let mut first = BytesMut::new();
            reader.read_buf(&mut first).await.unwrap();
            assert_eq!(&first[..], request);
            // The answer is complete, but for the peer.
            assert!(writer.write(b"answer").now_or_never().is_none());
            drop(AnswerGuard::new(progress));
            let next = actix_rt::spawn(async move {
                let mut second = BytesMut::new();
                reader.read_buf(&mut second).await.unwrap();
                second
            });
            tokio::task::yield_now().await;
            assert!(!next.is_finished());
            actix_rt::spawn(async move { tokio::io::copy(&mut far, &mut tokio::io::sink()).await });
            writer.write_all(b"answer").await.unwrap();
            let second = tokio::time::timeout(Duration::from_secs(1), next).await.unwrap().unwrap();
            assert_eq!(&second[..], request);
        });
    }

    /// Else what waits for a scheduler that hangs would be kept for ever, though another one has taken its place.
    #[test]
    fn the_rest_of_a_stream_that_has_ended_is_given_up_if_the_peer_takes_nothing() {
        crate::testing::run(async {
            let (sender, connection, _far) = stalled().await;
            tokio::time::sleep(Duration::from_secs(3600)).await;
            assert!(!connection.is_finished(), "a stream may be silent");
            let began = Instant::now();
            sender.close();
            let ended = tokio::time::timeout(Duration::from_secs(3600), connection).await.unwrap();
            assert_eq!(ended.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(began.elapsed().as_secs(), 60);
        });
    }
}
