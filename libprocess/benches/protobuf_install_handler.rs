//! Handlers of protobuf messages (upstream: `ProcessTest.Process_BENCHMARK_ProtobufInstallHandler`).
//!
//! Bytes with a name are delivered to an actor, as a transport does it: the actor and its handler are found, the bytes
//! are decoded, the message goes through the queue and is handled. (Upstream measures without the queue.) The message
//! is upstream's: a tree with four branches, each node with two numbers. The comparator: prost decodes the same bytes,
//! and nothing else.
//!
//! For scale: genuine libprocess made 4.3 to 5.7 M/s at 4 bytes, 184 to 230 k/s at 605 bytes, 2.0 to 2.5 k/s at 60 kB
//! on a machine of this kind.

mod support;

use std::collections::VecDeque;
use std::hint::black_box;
use std::process::ExitCode;

use harness::bench::{self, Report, Target, in_turn};
use libprocess::{Context, DecodeError, Encoding, Handle, Install, Pid, Process, WireMessage, messages};
use prost::Message as _;
use tokio::sync::oneshot;

const ROUNDS: usize = 9;
/// Messages that are delivered before the actor has its turn.
const BURST: usize = 64;
/// Nodes below the root; the size that upstream's benchmark prints for it; messages of one measurement; what genuine
/// libprocess did at best, in messages a second.
const SIZES: [(usize, usize, usize, f64); 3] =
    [(0, 4, 1_000_000, 5.7e6), (100, 605, 40_000, 230e3), (10_000, 60_000, 400, 2.5e3)];

fn main() -> ExitCode {
    let mut report = Report::new("ProtobufInstallHandler", "bytes by name to a handler, through the queue");
    report.note(format!("in bursts of {BURST}; medians of {ROUNDS}"));
    for (nodes, size, count, genuine) in SIZES {
        let bytes = tree(nodes).encode_to_vec();
        assert!(bytes.len().abs_diff(size) <= size / 50, "{} bytes", bytes.len());
        let turns = in_turn(
            ROUNDS,
            [&mut || libprocess::run(handled(&bytes, count)), &mut || decoded(&bytes, count)],
        );
        let size = bytes.len();
        report.figure(&format!("prost alone, {size} bytes"), turns.median(1) * 1e9, "ns", Target::None);
        report.figure(&format!("to the handler, {size} bytes"), turns.median(0) * 1e9, "ns", Target::None);
        let name = format!("to the handler for each decoding, {size} bytes");
        report.figure(&name, turns.ratio(0, 1), "times", Target::AtMost(1.5));
        let rate = 1.0 / turns.median(0);
        let name = format!("messages for each of genuine libprocess, {size} bytes");
        report.figure(&name, rate / genuine, "", Target::None);
    }
    report.verdict()
}

/// Upstream's `tests.Message`.
#[derive(Clone, PartialEq, prost::Message)]
struct Tree {
    #[prost(int32, repeated, packed = "false", tag = "1")]
    payload: Vec<i32>,
    #[prost(message, repeated, tag = "2")]
    submessages: Vec<Tree>,
}

messages! { Tree; }

impl WireMessage for Tree {
    const NAME: &'static str = "tests.Message";
    fn encode(&self, _: Encoding) -> Vec<u8> {
        self.encode_to_vec()
    }
    fn decode(_: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
        prost::Message::decode(bytes).map_err(|error| DecodeError::new(error.to_string()))
    }
}

/// A tree with so many nodes below its root, filled level by level.
fn tree(mut nodes: usize) -> Tree {
    // Children are counted first: how many each node has follows from its place.
    let (mut children, mut level) = (VecDeque::new(), VecDeque::from([()]));
    while level.pop_front().is_some() {
        let count = nodes.min(4);
        nodes -= count;
        children.push_back(count);
        level.extend(std::iter::repeat_n((), count));
    }
    // Then the trees are put together from the last to the first: the children of a node stand behind it.
    let mut built: VecDeque<Tree> = VecDeque::new();
    while let Some(count) = children.pop_back() {
        let at = built.len() - count;
        let submessages = built.split_off(at).into_iter().rev().collect();
        built.push_front(Tree { payload: vec![1, 1], submessages });
    }
    built.pop_front().unwrap_or_default()
}

/// Handles trees, and counts them.
struct Trees {
    left: usize,
    done: Option<oneshot::Sender<()>>,
}

impl Process for Trees {
    const NAME: &'static str = "trees";
    fn install(install: &mut Install<Self>) {
        install.message::<Tree>();
    }
}

impl Handle<Tree> for Trees {
    fn handle(&mut self, tree: Tree, _: &Pid, _: &mut Context<Self>) {
        black_box(tree);
        self.left -= 1;
        if self.left == 0
            && let Some(done) = self.done.take()
        {
            let _ = done.send(());
        }
    }
}

/// Seconds for each message.
async fn handled(bytes: &[u8], count: usize) -> f64 {
    let node = support::node().await;
    let (done, all) = oneshot::channel();
    let trees = node.spawn(Trees { left: count, done: Some(done) });
    let (id, from) = (trees.pid().id().to_owned(), node.pid("somebody"));
    let (sending, bytes) = (node.clone(), bytes.to_vec());
    let began = bench::now();
    actix_rt::spawn(async move {
        for sent in 1..=count {
            sending.deliver(&id, Tree::NAME, from.clone(), Encoding::Protobuf, &bytes);
            if sent % BURST == 0 {
                tokio::task::yield_now().await;
            }
        }
    });
    assert_eq!(all.await, Ok(()));
    let took = began.elapsed().as_secs_f64();
    node.shutdown().await;
    took / count as f64
}

/// The comparator.
fn decoded(bytes: &[u8], count: usize) -> f64 {
    let began = bench::now();
    for _ in 0..count {
        let tree = <Tree as prost::Message>::decode(black_box(bytes));
        assert!(black_box(tree).is_ok());
    }
    began.elapsed().as_secs_f64() / count as f64
}
