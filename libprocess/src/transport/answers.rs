//! The answers to one peer's messages, until they are written.
//!
//! A peer of our own kind does nothing with a 202. So those that say nothing new wait for [`PATIENCE`], or until
//! [`MANY`] bytes of them wait: a question and its answer then are two writes to sockets, not four. All others are
//! written at once, with those that wait before them: their order never changes. It knows no socket.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::format::{Status, write_answer};
use crate::pace;
use crate::stream::write;

/// How long an answer waits for others, at the most. Nobody is waiting for it; and a thread that sleeps for a millisecond
/// sets the machine's timer, which takes as long as the write that it saves.
const PATIENCE: Duration = Duration::from_millis(100);
/// Bytes of answers that are written at once, at the latest.
const MANY: usize = 32 << 10;

/// What a peer is yet to be told.
#[derive(Debug, Default)]
pub(super) struct Answers {
    bytes: BytesMut,
    /// Until when they wait; `None` if there are none.
    due: Option<Instant>,
}

impl Answers {
    /// An answer that does not wait.
    pub(super) fn add(&mut self, status: Status, schema: Option<&str>) {
        write_answer(&mut self.bytes, status, schema);
        self.due = Some(Instant::now());
    }

    /// A 202 that may wait.
    pub(super) fn add_patient(&mut self) {
        write_answer(&mut self.bytes, Status::Accepted, None);
        if self.due.is_none() {
            self.due = Some(Instant::now() + PATIENCE);
        }
    }

    /// Whether so many wait that they are to be written before there are more.
    pub(super) fn are_many(&self) -> bool {
        self.bytes.len() >= MANY
    }

    /// When they are to be written; `None` if there are none.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether they are to be written now.
    pub(super) fn are_due(&self) -> bool {
        self.due.is_some_and(|due| self.are_many() || due <= Instant::now())
    }

    /// Writes all of them.
    ///
    /// # Errors
    /// The connection is of no use any more; [`io::ErrorKind::TimedOut`] if the peer does not take them.
    pub(super) async fn write(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        if self.due.take().is_some() {
            tokio::time::timeout(pace::PATIENCE, write(to, &self.bytes)).await??;
            self.bytes.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn written(answers: &mut Answers) -> String {
        let mut bytes = Vec::new();
        futures::executor::block_on(answers.write(&mut bytes)).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_patient_answer_waits_for_its_time_however_many_come_after_it() {
        crate::testing::run(async {
            let mut answers = Answers::default();
            assert!(!answers.are_due() && answers.due().is_none());
            answers.add_patient();
            tokio::time::advance(PATIENCE - Duration::from_micros(1)).await;
            answers.add_patient();
            assert!(!answers.are_due());
            tokio::time::advance(Duration::from_micros(1)).await;
            assert!(answers.are_due());
            assert_eq!(written(&mut answers).matches("HTTP/1.1 202 Accepted\r\n").count(), 2);
            assert!(!answers.are_due() && answers.due().is_none());
            assert_eq!(written(&mut answers), "");
        });
    }

    #[test]
    fn an_impatient_answer_takes_those_before_it_along_in_their_order() {
        crate::testing::run(async {
            let mut answers = Answers::default();
            answers.add_patient();
            answers.add(Status::NotFound, None);
            answers.add_patient();
            assert!(answers.are_due());
            let written = written(&mut answers);
            let lines: Vec<_> = written.lines().filter(|line| line.starts_with("HTTP")).collect();
            assert_eq!(lines, ["HTTP/1.1 202 Accepted", "HTTP/1.1 404 Not Found", "HTTP/1.1 202 Accepted"]);
        });
    }

    /// Else whoever never reads an answer would send into the void from some message on, and hold its connection for ever.
    #[test]
    fn a_peer_that_does_not_take_them_is_waited_for_a_minute() {
        crate::testing::run(async {
            let (mut near, _far) = tokio::io::duplex(16);
            let mut answers = Answers::default();
            answers.add_patient();
            let began = Instant::now();
            let error = answers.write(&mut near).await.unwrap_err();
            assert_eq!((error.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, 60));
        });
    }

    #[test]
    fn many_bytes_of_answers_are_due_at_once() {
        crate::testing::run(async {
            let mut answers = Answers::default();
            while !answers.are_many() {
                assert!(!answers.are_due());
                answers.add_patient();
            }
            assert!(answers.are_due());
            assert!(answers.bytes.len() < MANY + 100);
        });
    }
}
