//! Conversations that genuine Mesos had, repeated with our daemons.
//!
//! `integration/recorded/*.jsonl` holds requests with the answers of Apache Mesos (of its last commit, which calls itself
//! 1.12.0), one on a line, in the order in which they were sent; between them stand steps of ours, where the recording left
//! answers out that were like others, but whose effect is needed. A test sends them to a real master and a real agent.
//! Each answer is like upstream's, or is listed in `integration/recorded/differences.tsv` with the reason.
//!
//! `successes.jsonl` has what the other files have only errors of. `successes.py` beside it recorded it from Mesos 1.11.0,
//! and says how; whoever has that running can make it again. Also of 1.11.0 are the answers to a scheduler's TEARDOWN.
//!
//! | module | what is there |
//! |---|---|
//! | [`step`] | a line of a file: a recorded pair, or a step of ours |
//! | [`exchange`] | requests, byte for byte as they were sent, and their answers |
//! | [`stream`] | the streams that SUBSCRIBE opens: events, offers, updates |
//! | [`translation`] | ids, ports and addresses of the recording, and those of this run |
//! | [`shape`] | which keys of which types a JSON value has |
//! | [`compare`] | what an answer lacks, or has otherwise |
//! | [`events`] | how the events of a stream differ |
//! | [`replay`] | sends all steps of a file, and notes what differs |
//! | [`differences`] | the list of what may differ |
//! | [`table`] | `docs/compatibility.md` |
//!
//! It knows the daemons as their clients do, by what they answer.

pub mod compare;
pub mod differences;
pub mod events;
pub mod exchange;
pub mod replay;
pub mod shape;
pub mod step;
pub mod stream;
pub mod table;
pub mod translation;

use std::path::PathBuf;

/// The folder of the recordings.
pub fn folder() -> PathBuf {
    crate::binary::workspace().join("integration/recorded")
}

/// The files of the recording, by the run to which they belong.
pub const FILES: [&str; 6] = ["endpoints", "operator", "mutating", "scheduler", "auth", "successes"];

/// The steps of a file.
pub fn steps(file: &str) -> Vec<step::Step> {
    step::read(&folder().join(format!("{file}.jsonl")))
}
