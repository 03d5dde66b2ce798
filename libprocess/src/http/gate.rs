//! The gate between a socket and actix-web: one request at a time.
//!
//! actix-http (3.11.2 to 3.20.0) reads ahead into pipelined requests and then takes the unfinished body of
//! a later request for an unread body of the one it answers: it closes the connection (with an empty
//! answer) or says `Connection: close` in an answer that does not close. Mesos clients pipeline: the C++
//! scheduler library posts all its calls on one connection. So the gate follows where each request ends
//! ([`super::codec`]) and hands actix-http no byte of the next one before the answer is complete, which
//! keeps the order and makes the bug unreachable.
//!
//! It also sees what actix-http does not: a peer that closes its side while a stream is being written to
//! it (the stream then ends at once), and requests that come too slowly, from the second on as well.
//! Memory is bounded: while an answer is made, at most [`READ_AHEAD`] bytes are read ahead; an answer that is not
//! read for [`WRITE_TIMEOUT`] is given up, unless it is an event stream, which has a bound of its own.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::body::StreamWatch;
use super::codec::{BodyScanner, request_head};
use crate::stream::Stream;

/// Bytes that are read while an answer is made: enough to see that the peer is still there, and for the
/// next pipelined calls.
const READ_AHEAD: usize = 64 << 10;

/// Bytes that one read asks for.
const READ_SIZE: usize = 16 << 10;

/// How long the head of a request may take from its first byte (of a connection's first request: from the
/// start; actix-http answers that one with 408 after [`super::server::REQUEST_TIMEOUT`]).
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a body may go without a byte.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a peer may take none of an answer that is there.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// What the gate and the answers of its connection share. They run in one task.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Answers that are complete (or given up).
    answered: Cell<u64>,
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

    fn is_streaming(&self) -> bool {
        self.streaming.borrow().is_some()
    }

    fn is_aborted(&self) -> bool {
        self.streaming.borrow().as_ref().is_some_and(StreamWatch::is_aborted)
    }

    /// Whether a peer must take what is there: of a stream only once it has ended.
    fn must_be_read(&self) -> bool {
        self.streaming.borrow().as_ref().is_none_or(StreamWatch::has_ended)
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
    /// A body is malformed: nothing more is read.
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
    timer: Option<(Pin<Box<Sleep>>, TimerOf)>,
    /// Runs while the peer takes nothing of what is written.
    unread: Option<Pin<Box<Sleep>>>,
    progress: Rc<Progress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimerOf {
    Head,
    Body,
}

impl Gate {
    /// `first` was read already.
    pub(crate) fn new(stream: Stream, first: BytesMut) -> Gate {
        Gate {
            stream,
            buffer: first,
            released: 0,
            stage: Stage::Head,
            requests: 0,
            ended: false,
            abandoned: false,
            timer: None,
            unread: None,
            progress: Rc::default(),
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
                    if self.progress.answered.get() < self.requests {
                        return;
                    }
                    self.stage = Stage::Head;
                }
                Stage::Head => {
                    if unreleased.is_empty() {
                        return;
                    }
                    match request_head(unreleased) {
                        Ok(Some((framing, length))) => {
                            self.released += length;
                            self.timer = None;
                            self.requests += 1;
                            self.stage = Stage::Body(BodyScanner::new(framing));
                        }
                        Ok(None) => return,
                        Err(_) => self.stage = Stage::Open,
                    }
                }
                Stage::Body(scanner) => {
                    if scanner.is_done() {
                        self.timer = None;
                        self.stage = Stage::Answering;
                        continue;
                    }
                    match scanner.step(unreleased) {
                        Ok(step) if step.consumed == 0 => return,
                        Ok(step) => {
                            self.released += step.consumed;
                            self.timer = None;
                        }
                        // Where this request ends, and the next begins, cannot be told any more.
                        Err(_) => {
                            self.stage = Stage::Broken;
                            return;
                        }
                    }
                }
            }
        }
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
        let (of, limit) = match self.stage {
            Stage::Head if self.requests == 0 || !self.buffer.is_empty() => (TimerOf::Head, HEAD_TIMEOUT),
            Stage::Open => (TimerOf::Head, HEAD_TIMEOUT),
            Stage::Body(_) => (TimerOf::Body, BODY_TIMEOUT),
            _ => {
                self.timer = None;
                return Poll::Pending;
            }
        };
        match &self.timer {
            Some((_, current)) if *current == of => {}
            _ => self.timer = Some((Box::pin(tokio::time::sleep(limit)), of)),
        }
        if let Some((sleep, _)) = &mut self.timer {
            ready!(sleep.as_mut().poll(cx));
        }
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the request came too slowly"))
    }

    /// Watches that the peer takes what is there: nothing of it may stand still for too long.
    fn poll_taken<T>(&mut self, cx: &mut Context<'_>, taken: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if taken.is_ready() || !self.progress.must_be_read() {
            self.unread = None;
            return taken;
        }
        let unread = self.unread.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_TIMEOUT)));
        ready!(unread.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read its answer")))
    }

    /// Reads once from the socket.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.buffer.reserve(READ_SIZE);
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
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.poll_taken(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
