//! Nodes on a simulated network: the real transport, server and client over connections that break on demand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use http::StatusCode;
use libprocess::http::{ClientRequest, Response, StreamSender, stream};
use libprocess::simulation::{Crash, Network, Weather, run};
use libprocess::{
    Address, Context, DecodeError, Encoding, Handle, Install, Node, Pid, Process, WireMessage, messages,
};
use parking_lot::Mutex;
use tokio::time::sleep;

/// What an actor has seen.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Note(u32),
    Exited(Pid),
}

type Log = Arc<Mutex<Vec<Seen>>>;

#[derive(Default)]
struct Ear {
    log: Log,
    streams: Arc<Mutex<Vec<StreamSender>>>,
}

#[derive(Debug, Clone)]
struct Note(u32);
struct Link(Pid);
struct Disconnect(Pid);
struct Post(Pid, u32);

messages! { Note; Link; Disconnect; Post; }

impl WireMessage for Note {
    const NAME: &'static str = "test.Note";
    fn encode(&self, _: Encoding) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }
    fn decode(_: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
        let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
        number.map(Note).ok_or_else(|| DecodeError::new("no number"))
    }
}

impl Process for Ear {
    const NAME: &'static str = "ear";
    fn install(install: &mut Install<Self>) {
        install.message::<Note>();
        install.get("/hello", "Says hello.", |_, _, _| Response::text(StatusCode::OK, "hello").into());
        install.get("/stream", "Goes on.", |ear, _, _| {
            let (sender, body) = stream();
            let _ = sender.send("first");
            ear.streams.lock().push(sender);
            Response { body, ..Response::new(StatusCode::OK) }.into()
        });
    }
    fn exited(&mut self, pid: &Pid, _: &mut Context<Self>) {
        self.log.lock().push(Seen::Exited(pid.clone()));
    }
}
impl Handle<Note> for Ear {
    fn handle(&mut self, Note(number): Note, _: &Pid, _: &mut Context<Self>) {
        self.log.lock().push(Seen::Note(number));
    }
}
impl Handle<Link> for Ear {
    fn handle(&mut self, Link(pid): Link, _: &Pid, ctx: &mut Context<Self>) {
        ctx.link(&pid);
    }
}
impl Handle<Disconnect> for Ear {
    fn handle(&mut self, Disconnect(pid): Disconnect, _: &Pid, ctx: &mut Context<Self>) {
        ctx.disconnect(&pid);
    }
}
impl Handle<Post> for Ear {
    fn handle(&mut self, Post(to, number): Post, _: &Pid, ctx: &mut Context<Self>) {
        ctx.post(&to, Note(number));
    }
}

fn host(number: u8) -> IpAddr {
    [10, 0, 0, number].into()
}

fn address(number: u8) -> SocketAddr {
    (host(number), 5050).into()
}

/// A node with an ear.
struct Site {
    node: Node,
    ear: Address<Ear>,
    log: Log,
    streams: Arc<Mutex<Vec<StreamSender>>>,
}

impl Site {
    async fn start(network: &Network, number: u8) -> Site {
        let node = network.node(address(number), &format!("n{number}")).schema("one").start().await.unwrap();
        let ear = Ear::default();
        let (log, streams) = (ear.log.clone(), ear.streams.clone());
        Site { ear: node.spawn(ear), node, log, streams }
    }

    fn notes(&self) -> Vec<u32> {
        let log = self.log.lock();
        log.iter()
            .filter_map(|seen| if let Seen::Note(number) = seen { Some(*number) } else { None })
            .collect()
    }

    fn exits(&self) -> usize {
        self.log.lock().iter().filter(|seen| matches!(seen, Seen::Exited(_))).count()
    }

    /// Sends notes to another, one every so often.
    async fn talk(&self, to: &Pid, numbers: std::ops::Range<u32>, every: Duration) {
        for number in numbers {
            self.ear.tell(Post(to.clone(), number));
            sleep(every).await;
        }
    }
}

async fn network(seed: u64) -> (Network, Site, Site) {
    let network = Network::new(seed, Weather::default(), true);
    network.drive(|| async {}.boxed_local());
    let (a, b) = (Site::start(&network, 1).await, Site::start(&network, 2).await);
    (network, a, b)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn messages_arrive_in_order_and_take_their_time() {
    run(async {
        let (network, a, b) = network(1).await;
        a.talk(b.ear.pid(), 0..200, Duration::from_millis(1)).await;
        assert!(b.notes().len() < 200, "the last is under way");
        sleep(5 * SECOND).await;
        assert_eq!(b.notes(), (0..200).collect::<Vec<_>>());
        assert!(network.with_trace(|trace| trace.text()).contains("n1 -> n2       POST /ear/test.Note"));
    });
}

#[test]
fn a_conversation_has_few_answers_once_both_nodes_know_each_other() {
    run(async {
        let (network, a, b) = network(1).await;
        let answers =
            || network.with_trace(|trace| trace.text().matches("n2 -> n1       202 Accepted").count());
        a.talk(b.ear.pid(), 0..1, SECOND).await;
        assert_eq!(answers(), 1);
        a.talk(b.ear.pid(), 1..501, Duration::from_millis(2)).await;
        sleep(5 * SECOND).await;
        assert_eq!(b.notes().len(), 501);
        // A second of messages, and one write for each tenth of it.
        assert!((2..=12).contains(&answers()), "{} answers", answers());
        // Who is silent afterwards has them all.
        let written = answers();
        sleep(SECOND).await;
        assert_eq!(answers(), written);
    });
}

/// A run with faults of every kind that does not depend on anything but the seed.
fn troubled(seed: u64) -> (String, u64) {
    run(async move {
        let (network, a, b) = network(seed).await;
        a.ear.tell(Link(b.ear.pid().clone()));
        a.talk(b.ear.pid(), 0..100, Duration::from_millis(3)).await;
        network.break_connections(address(1), address(2));
        a.talk(b.ear.pid(), 100..190, Duration::from_millis(3)).await;
        network.set_weather(Weather::storm());
        for _ in 0..5 {
            let url = format!("http://{}/ear/hello", address(2));
            let _ = a.node.client().send(ClientRequest::get(url).header("accept-encoding", "gzip")).await;
        }
        network.cut(host(1), host(2));
        a.talk(b.ear.pid(), 190..195, SECOND).await;
        network.mend_all();
        sleep(10 * SECOND).await;
        network.crash(address(2), Crash::Process).await;
        let again = Site::start(&network, 2).await;
        a.talk(again.ear.pid(), 195..220, SECOND).await;
        network.with_trace(|trace| (trace.text(), trace.digest()))
    })
}

#[test]
fn a_seed_gives_the_same_trace_byte_for_byte_and_another_seed_another() {
    let (text, digest) = troubled(7);
    for _ in 0..3 {
        let (again, same) = troubled(7);
        assert_eq!(text, again);
        assert_eq!(digest, same);
    }
    assert!(text.lines().count() > 200, "{text}");
    let (other, different) = troubled(8);
    assert_ne!(text, other);
    assert_ne!(digest, different);
}

#[test]
fn a_broken_connection_loses_a_tail_and_breaks_the_link() {
    let mut lost = 0;
    for seed in 0..20 {
        run(async move {
            let (network, a, b) = network(seed).await;
            a.ear.tell(Link(b.ear.pid().clone()));
            a.talk(b.ear.pid(), 0..50, Duration::from_millis(1)).await;
            assert!(network.break_connections(address(1), address(2)) > 0);
            sleep(5 * SECOND).await;
            assert_eq!(a.exits(), 1);
            a.talk(b.ear.pid(), 100..101, SECOND).await;
            let notes = b.notes();
            let whole = notes.iter().filter(|&&number| number < 100).count();
            assert_eq!(notes[..whole], (0..50).collect::<Vec<_>>()[..whole]);
            assert_eq!(notes.last(), Some(&100), "a new connection carries what comes later");
            50 - whole
        });
        lost += run(async move {
            let (network, a, b) = network(seed).await;
            a.talk(b.ear.pid(), 0..50, Duration::from_millis(1)).await;
            network.break_connections(address(1), address(2));
            sleep(5 * SECOND).await;
            50 - b.notes().len()
        });
    }
    assert!(lost > 0, "in twenty breaks something was under way");
}

/// The reset of the break may be lost with all that the process had sent. Its kernel says another.
#[test]
fn who_writes_to_a_process_that_ended_while_the_connection_broke_is_told() {
    for seed in 0..50 {
        run(async move {
            let (network, a, b) = network(seed).await;
            a.ear.tell(Link(b.ear.pid().clone()));
            a.talk(b.ear.pid(), 0..5, Duration::from_millis(1)).await;
            assert!(network.break_connections(address(1), address(2)) > 0);
            assert!(network.crash(address(2), Crash::Process).await);
            a.talk(b.ear.pid(), 5..10, Duration::from_millis(100)).await;
            assert_eq!(a.exits(), 1, "seed {seed}");
        });
    }
}

#[test]
fn what_is_sent_into_a_cut_waits_for_its_end_or_is_given_up() {
    run(async {
        let (network, a, b) = network(3).await;
        a.ear.tell(Link(b.ear.pid().clone()));
        a.talk(b.ear.pid(), 0..1, SECOND).await;
        network.cut(host(1), host(2));
        assert!(network.is_cut(host(1), host(2)) && !network.is_cut(host(2), host(1)));
        a.talk(b.ear.pid(), 1..5, SECOND).await;
        assert_eq!((b.notes(), a.exits()), (vec![0], 0));
        network.mend(host(1), host(2));
        sleep(5 * SECOND).await;
        assert_eq!(b.notes(), [0, 1, 2, 3, 4]);
        // One way is enough: nothing is acknowledged any more.
        network.cut(host(2), host(1));
        a.talk(b.ear.pid(), 5..6, SECOND).await;
        assert_eq!(b.notes(), [0, 1, 2, 3, 4, 5]);
        sleep(300 * SECOND).await;
        assert_eq!(a.exits(), 1);
        assert!(network.counts()["connections given up"] > 0);
    });
}

#[test]
fn what_waits_in_a_cut_for_who_is_disconnected_does_not_come_when_the_way_is_free() {
    run(async {
        let (network, a, b) = network(6).await;
        a.ear.tell(Link(b.ear.pid().clone()));
        a.talk(b.ear.pid(), 0..1, SECOND).await;
        network.cut(host(1), host(2));
        a.talk(b.ear.pid(), 1..5, SECOND).await;
        a.ear.tell(Disconnect(b.ear.pid().clone()));
        sleep(SECOND).await;
        assert_eq!((b.notes(), a.exits()), (vec![0], 1));
        network.mend(host(1), host(2));
        sleep(5 * SECOND).await;
        a.talk(b.ear.pid(), 5..6, SECOND).await;
        assert_eq!((b.notes(), a.exits()), (vec![0, 5], 1));
    });
}

/// What a connection has left behind may be long on its way; the next one is not held up by it.
#[test]
fn fragile_connections_lose_what_one_side_says_and_bring_nothing_out_of_order() {
    let (mut broken, mut heard) = (0, 0);
    for seed in 0..20 {
        let (breaks, notes) = run(async move {
            let (network, a, b) = network(seed).await;
            a.ear.tell(Link(b.ear.pid().clone()));
            b.ear.tell(Link(a.ear.pid().clone()));
            a.talk(b.ear.pid(), 0..1, SECOND).await;
            network.set_fragile(address(1), address(2));
            a.talk(b.ear.pid(), 1..40, SECOND).await;
            b.talk(a.ear.pid(), 0..20, SECOND / 10).await;
            let breaks = network.strengthen(address(1), address(2));
            a.talk(b.ear.pid(), 40..50, SECOND).await;
            sleep(60 * SECOND).await;
            assert_eq!((a.notes(), b.exits()), ((0..20).collect(), 0));
            assert_eq!((a.exits() > 0, network.strengthen(address(1), address(2))), (breaks > 0, 0));
            (breaks, b.notes())
        });
        assert!(notes.is_sorted(), "{notes:?}");
        assert!(notes.ends_with(&(40..50).collect::<Vec<_>>()), "{notes:?}");
        broken += breaks;
        heard += notes.len();
    }
    assert!(broken > 20 && heard < 20 * 50, "{broken} were broken, {heard} of 1000 were heard");
}

/// A connection breaks only if there is somebody at both ends; else nobody would be told of it.
#[test]
fn who_writes_to_a_host_that_was_down_is_told_when_it_is_on_again() {
    for seed in 0..10 {
        run(async move {
            let (network, a, b) = network(seed).await;
            a.ear.tell(Link(b.ear.pid().clone()));
            a.talk(b.ear.pid(), 0..1, SECOND).await;
            network.set_fragile(address(1), address(2));
            network.power_off(host(2));
            assert!(network.crash(address(2), Crash::Host).await);
            a.talk(b.ear.pid(), 1..10, SECOND).await;
            assert_eq!(a.exits(), 0, "nobody says anything");
            network.power_on(host(2));
            a.talk(b.ear.pid(), 10..11, SECOND).await;
            sleep(SECOND).await;
            assert_eq!(a.exits(), 1, "the host's kernel refuses");
        });
    }
}

#[test]
fn a_connection_cannot_be_opened_to_nobody_nor_through_a_cut() {
    run(async {
        let (network, a, b) = network(4).await;
        let nobody = Pid::new("ear", address(9));
        a.ear.tell(Link(nobody));
        sleep(SECOND).await;
        assert_eq!(a.exits(), 1, "refused at once");
        network.cut(host(2), host(1));
        a.ear.tell(Link(b.ear.pid().clone()));
        sleep(5 * SECOND).await;
        assert_eq!(a.exits(), 1);
        sleep(10 * SECOND).await;
        assert_eq!(a.exits(), 2, "given up after the time for connecting");
        let url = format!("http://{}/ear/hello", address(2));
        let error = a.node.client().send(ClientRequest::get(url)).await.unwrap_err();
        assert!(error.to_string().contains("10.0.0.2:5050"), "{error}");
    });
}

#[test]
fn the_end_of_a_process_is_told_and_that_of_a_host_is_found_out() {
    run(async {
        let (network, a, b) = network(5).await;
        a.ear.tell(Link(b.ear.pid().clone()));
        sleep(SECOND).await;
        assert!(network.crash(address(2), Crash::Process).await);
        assert!(!network.crash(address(2), Crash::Process).await);
        sleep(SECOND).await;
        assert_eq!(a.exits(), 1);
        assert!(!b.node.is_alive("ear"));

        let again = Site::start(&network, 2).await;
        a.ear.tell(Link(again.ear.pid().clone()));
        a.talk(again.ear.pid(), 0..1, SECOND).await;
        assert_eq!(again.notes(), [0]);
        network.power_off(host(2));
        assert!(network.crash(address(2), Crash::Host).await);
        sleep(60 * SECOND).await;
        assert_eq!(a.exits(), 1, "nobody says anything");
        sleep(120 * SECOND).await;
        assert_eq!(a.exits(), 2, "by keep-alive");
        network.power_on(host(2));
        a.ear.tell(Link(again.ear.pid().clone()));
        sleep(SECOND).await;
        assert_eq!(a.exits(), 3, "the host's kernel refuses");
    });
}

#[test]
fn a_frozen_process_does_what_it_missed_when_it_thaws_and_can_be_killed_before() {
    run(async {
        let (network, a, b) = network(6).await;
        assert!(network.freeze(address(2)) && !network.freeze(address(3)));
        a.talk(b.ear.pid(), 0..3, SECOND).await;
        b.ear.tell(Post(a.ear.pid().clone(), 7));
        sleep(60 * SECOND).await;
        assert!(b.notes().is_empty() && a.notes().is_empty());
        network.thaw(address(2));
        sleep(SECOND).await;
        assert_eq!((b.notes(), a.notes()), (vec![0, 1, 2], vec![7]));

        assert!(network.freeze(address(2)));
        a.talk(b.ear.pid(), 3..4, SECOND).await;
        assert!(network.crash(address(2), Crash::Process).await);
        assert!(!b.node.is_alive("ear"));
        assert_eq!(b.notes(), [0, 1, 2]);
    });
}

/// Kills its own process, and goes on to its handler's end.
struct Suicide(Network);

impl Process for Suicide {
    const NAME: &'static str = "suicide";
}
impl Handle<Post> for Suicide {
    fn handle(&mut self, Post(to, number): Post, _: &Pid, ctx: &mut Context<Self>) {
        self.0.kill(address(2), Crash::Process);
        ctx.post(&to, Note(number));
    }
}

#[test]
fn who_kills_its_own_process_says_nothing_more_and_hears_nothing_more() {
    run(async {
        let (network, a, b) = network(7).await;
        let suicide = b.node.spawn(Suicide(network.clone()));
        suicide.tell(Post(a.ear.pid().clone(), 1));
        suicide.tell(Post(a.ear.pid().clone(), 2));
        sleep(SECOND).await;
        assert!(!network.is_up(address(2)));
        // It is over, and was no more there to be crashed.
        assert!(!network.crash(address(2), Crash::Process).await);
        assert!(!b.node.is_alive("suicide") && !b.node.is_alive("ear"));
        sleep(SECOND).await;
        assert!(a.notes().is_empty());
    });
}

#[test]
fn requests_and_streams_go_over_the_network_and_end_with_either_side() {
    run(async {
        let (network, a, b) = network(6).await;
        let client = a.node.client().clone();
        let get = |path: &str| ClientRequest::get(format!("http://{}/ear/{path}", address(2)));
        let response = client.send(get("hello")).await.unwrap();
        assert_eq!(response.text(100).await.unwrap(), "hello");

        let mut response = client.send(get("stream")).await.unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), "first");
        let sender = b.streams.lock().pop().unwrap();
        sender.send("second").unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), "second");
        drop(response);
        sender.closed().await;

        let mut response = client.send(get("stream")).await.unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), "first");
        network.crash(address(2), Crash::Process).await;
        assert!(response.chunk().await.is_err());
        assert!(client.send(get("hello")).await.is_err());
    });
}

#[test]
fn a_node_that_shuts_down_flushes_what_it_has_said() {
    run(async {
        let (network, a, b) = network(9).await;
        a.ear.tell(Link(b.ear.pid().clone()));
        for number in 0..20 {
            b.ear.tell(Post(a.ear.pid().clone(), number));
        }
        libprocess::testing::settle().await;
        b.node.shutdown().await;
        sleep(SECOND).await;
        assert_eq!(a.notes(), (0..20).collect::<Vec<_>>());
        assert_eq!(a.exits(), 1);
        assert!(!network.is_up(address(2)));
    });
}
