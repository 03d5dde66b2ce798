//! Messages between actors of one node, against tokio's channels and against the actors of ractor and kameo.
//!
//! *tell*: one actor sends numbers to another, a burst in each of its turns. The comparators: actors of the other crates
//! that do the same, with unbounded queues; a task that sends the numbers into an unbounded channel and yields after
//! each burst, and another that receives them. All on one arbiter, and all across two. *ask*: one task asks an actor,
//! and asks again when it has the answer. The comparators: the same with the other crates; a task that sends a request
//! with a oneshot channel to another. All on one arbiter.

#[path = "../support/mod.rs"]
mod support;

mod actors;
mod channels;
mod kameo;
mod ractor;

use std::process::ExitCode;

use harness::bench::{Report, Target, in_turn};

const MESSAGES: u64 = 2_000_000;
const ASKS: u64 = 300_000;
/// Messages that are sent in one turn.
const BURST: u64 = 100;
const ROUNDS: usize = 9;

fn main() -> ExitCode {
    let mut report =
        Report::new("tell_and_ask", "actors of one node against channels and actors of other crates");
    report.note(format!("{MESSAGES} numbers in bursts of {BURST}, {ASKS} questions; medians of {ROUNDS}"));
    tell(&mut report, "one arbiter", false);
    tell(&mut report, "two arbiters", true);
    ask(&mut report);
    report.verdict()
}

fn tell(report: &mut Report, place: &str, far: bool) {
    let turns = in_turn(
        ROUNDS,
        [
            &mut || libprocess::run(actors::tell(far)) / 1e6,
            &mut || libprocess::run(channels::tell(far)) / 1e6,
            &mut || libprocess::run(ractor::tell(far)) / 1e6,
            &mut || libprocess::run(kameo::tell(far)) / 1e6,
        ],
    );
    for (index, what) in ["tell", "channel", "ractor", "kameo"].into_iter().enumerate() {
        report.figure(&format!("{what}, {place}"), turns.median(index), "M/s", Target::None);
    }
    let name = |other: &str| format!("tell for each message of {other}, {place}");
    report.figure(&name("the channel"), turns.ratio(0, 1), "", Target::AtLeast(0.7));
    report.figure(&name("ractor"), turns.ratio(0, 2), "", Target::AtLeast(1.0));
    report.figure(&name("kameo"), turns.ratio(0, 3), "", Target::AtLeast(1.0));
}

fn ask(report: &mut Report) {
    let turns = in_turn(
        ROUNDS,
        [
            &mut || libprocess::run(actors::ask()) * 1e9,
            &mut || libprocess::run(channels::ask()) * 1e9,
            &mut || libprocess::run(ractor::ask()) * 1e9,
            &mut || libprocess::run(kameo::ask()) * 1e9,
            &mut || libprocess::run(actors::ask_from_an_actor()) * 1e9,
        ],
    );
    let names =
        ["ask", "channel and oneshot", "ractor's call", "kameo's ask", "Context::ask, from actor to actor"];
    for (index, what) in names.into_iter().enumerate() {
        report.figure(&format!("{what}, one arbiter"), turns.median(index), "ns", Target::None);
    }
    report.figure("ask for each channel and oneshot", turns.ratio(0, 1), "times", Target::AtMost(2.0));
    report.figure("ask for each call of ractor", turns.ratio(0, 2), "times", Target::AtMost(1.0));
    report.figure("ask for each of kameo", turns.ratio(0, 3), "times", Target::AtMost(1.0));
}
