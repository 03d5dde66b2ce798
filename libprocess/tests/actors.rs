//! Actors of one node: order, ends, links, timers, deferred work. Everything on one thread, in paused time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use libprocess::{
    Address, Context, DecodeError, Encoding, Exit, Gone, Handle, Install, Message, Node, Pid, Process,
    Promise, Recipient, WireMessage, messages, promise, testing,
};
use parking_lot::Mutex;

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: impl Into<String>) {
        self.0.lock().push(line.into());
    }
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

#[derive(Default)]
struct Scribe {
    log: Log,
    watch: Option<Pid>,
}

#[derive(Debug, Clone)]
struct Say(&'static str);
struct Count;
struct Fail;
struct After(Duration, &'static str);
struct Repeat(Duration, &'static str);
struct CancelAfter {
    fires: Duration,
    cancelled: Duration,
}
struct Later(Promise<u32>);
struct Wait(Duration);
struct FailLater;
struct Work(Recipient<Say>);
#[derive(Debug, PartialEq)]
struct Note(String);
struct StopNow(libprocess::Timer);

messages! {
    Say; Count => usize; Fail; After; Repeat; CancelAfter; Later; FailLater; Wait; Work; Note; StopNow;
}

impl WireMessage for Note {
    const NAME: &'static str = "test.Note";
    fn encode(&self, _: Encoding) -> Vec<u8> {
        self.0.clone().into_bytes()
    }
    fn decode(_: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(bytes).map_err(|e| DecodeError::new(e.to_string()))?;
        Ok(Note(text.to_owned()))
    }
}

impl Process for Scribe {
    const NAME: &'static str = "scribe";
    fn install(install: &mut Install<Self>) {
        install.message::<Note>();
    }
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.log.add("started");
        if let Some(pid) = &self.watch {
            ctx.link(pid);
        }
    }
    fn stopping(&mut self, exit: &Exit, _: &mut Context<Self>) {
        self.log.add(format!("stopping {exit:?}"));
    }
    fn exited(&mut self, pid: &Pid, _: &mut Context<Self>) {
        self.log.add(format!("exited {}", pid.id()));
    }
}

impl Handle<Say> for Scribe {
    fn handle(&mut self, Say(text): Say, _: &Pid, _: &mut Context<Self>) {
        self.log.add(text);
    }
}
impl Handle<Note> for Scribe {
    fn handle(&mut self, Note(text): Note, from: &Pid, _: &mut Context<Self>) {
        self.log.add(format!("{text} from {}", from.id()));
    }
}
impl Handle<Count> for Scribe {
    fn handle(&mut self, _: Count, _: &Pid, _: &mut Context<Self>) -> usize {
        self.log.0.lock().len()
    }
}
impl Handle<Fail> for Scribe {
    fn handle(&mut self, _: Fail, _: &Pid, _: &mut Context<Self>) {
        panic!("told to fail");
    }
}
impl Handle<After> for Scribe {
    fn handle(&mut self, After(delay, text): After, _: &Pid, ctx: &mut Context<Self>) {
        ctx.after(delay, Say(text));
    }
}
impl Handle<Repeat> for Scribe {
    fn handle(&mut self, Repeat(interval, text): Repeat, _: &Pid, ctx: &mut Context<Self>) {
        ctx.every(interval, Say(text));
    }
}
impl Handle<CancelAfter> for Scribe {
    fn handle(&mut self, message: CancelAfter, _: &Pid, ctx: &mut Context<Self>) {
        let timer = ctx.after(message.fires, Say("fired"));
        ctx.after(message.cancelled, StopNow(timer));
    }
}
impl Handle<StopNow> for Scribe {
    fn handle(&mut self, StopNow(timer): StopNow, _: &Pid, ctx: &mut Context<Self>) {
        self.log.add("cancel");
        ctx.cancel(timer);
    }
}
impl Handle<Later> for Scribe {
    fn handle(&mut self, Later(promise): Later, _: &Pid, ctx: &mut Context<Self>) {
        ctx.defer(tokio::time::sleep(Duration::from_secs(1)), move |_, (), _| promise.set(7));
    }
}
impl Handle<Wait> for Scribe {
    fn handle(&mut self, Wait(duration): Wait, _: &Pid, ctx: &mut Context<Self>) {
        ctx.defer(tokio::time::sleep(duration), |scribe, (), ctx| {
            scribe.log.add("waited");
            ctx.after(Duration::from_secs(1), Say("and more"));
        });
    }
}
impl Handle<FailLater> for Scribe {
    fn handle(&mut self, _: FailLater, _: &Pid, ctx: &mut Context<Self>) {
        ctx.defer(async { panic!("too late") }, |_, (), _| {});
    }
}
impl Handle<Work> for Scribe {
    fn handle(&mut self, Work(to): Work, _: &Pid, ctx: &mut Context<Self>) {
        ctx.send(&to, Say("work"));
    }
}

async fn node() -> Node {
    Node::builder().offline().start().await.unwrap()
}

async fn scribe() -> (Node, Log, Address<Scribe>) {
    let node = node().await;
    let log = Log::default();
    let scribe = node.spawn(Scribe { log: log.clone(), watch: None });
    testing::settle().await;
    log.take();
    (node, log, scribe)
}

#[test]
fn messages_arrive_in_the_order_in_which_they_were_sent() {
    testing::run(async {
        let (_node, log, scribe) = scribe().await;
        for text in ["a", "b", "c"] {
            scribe.tell(Say(text));
        }
        assert_eq!(scribe.ask(Count).await, Ok(3));
        assert_eq!(log.take(), ["a", "b", "c"]);
    });
}

#[test]
fn a_thousand_messages_arrive_though_an_actor_handles_only_some_in_one_turn() {
    testing::run(async {
        let (_node, log, scribe) = scribe().await;
        for _ in 0..1000 {
            scribe.tell(Say("x"));
        }
        assert_eq!(scribe.waiting(), 1000);
        testing::settle().await;
        assert_eq!(log.take().len(), 1000);
    });
}

/// Sends itself the next message while it handles one: its queue is never empty.
struct Busy {
    log: Log,
    count: u32,
}
#[derive(Clone)]
struct Again;
#[derive(Clone)]
struct Tick;
messages! { Again; Tick; }
impl Process for Busy {
    const NAME: &'static str = "busy";
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.after(Duration::ZERO, Tick);
        ctx.defer(async {}, |busy, (), _| busy.log.add("deferred"));
        ctx.address().tell(Again);
        ctx.address().tell(Again);
    }
}
impl Handle<Again> for Busy {
    fn handle(&mut self, _: Again, _: &Pid, ctx: &mut Context<Self>) {
        self.count += 1;
        assert!(self.count < 100_000, "neither its timer nor what it deferred had a chance");
        if self.log.0.lock().len() < 2 {
            ctx.address().tell(Again);
        }
    }
}
impl Handle<Tick> for Busy {
    fn handle(&mut self, _: Tick, _: &Pid, _: &mut Context<Self>) {
        self.log.add("tick");
    }
}

#[test]
fn an_actor_whose_queue_is_never_empty_hears_its_clock_and_what_it_deferred() {
    testing::run(async {
        let node = node().await;
        let log = Log::default();
        node.spawn(Busy { log: log.clone(), count: 0 });
        testing::settle().await;
        let mut heard = log.take();
        heard.sort_unstable();
        assert_eq!(heard, ["deferred", "tick"]);
    });
}

#[test]
fn terminate_waits_its_turn_and_kill_overtakes() {
    testing::run(async {
        let (_node, log, scribe) = scribe().await;
        scribe.tell(Say("before"));
        scribe.terminate();
        scribe.tell(Say("after"));
        assert_eq!(scribe.wait().await, Exit::Terminated);
        assert_eq!(log.take(), ["before", "stopping Terminated"]);
    });
    testing::run(async {
        let (_node, log, scribe) = scribe().await;
        scribe.tell(Say("before"));
        scribe.kill();
        assert_eq!(scribe.wait().await, Exit::Killed);
        assert_eq!(log.take(), ["stopping Killed"]);
        assert_eq!(scribe.exit(), Some(Exit::Killed));
    });
}

#[test]
fn an_ended_actor_answers_nobody_and_its_id_is_free_again() {
    testing::run(async {
        let (node, _log, scribe) = scribe().await;
        let waiting = scribe.ask(Count);
        scribe.kill();
        assert_eq!(waiting.await, Err(Gone));
        assert_eq!(scribe.wait().await, Exit::Killed);
        assert_eq!(scribe.ask(Count).await, Err(Gone));
        scribe.tell(Say("nobody hears"));
        assert!(!node.is_alive("scribe"));
        let again = node.spawn(Scribe::default());
        assert_eq!(again.pid(), scribe.pid());
        assert_eq!(again.ask(Count).await, Ok(1));
    });
}

#[test]
fn an_id_that_is_taken_stays_with_its_first_actor() {
    testing::run(async {
        let (node, log, scribe) = scribe().await;
        let second = node.spawn(Scribe::default());
        assert_eq!(second.wait().await, Exit::Killed);
        scribe.tell(Say("still here"));
        testing::settle().await;
        assert_eq!(log.take(), ["still here"]);
    });
}

#[test]
fn numbered_actors_count_from_one() {
    testing::run(async {
        let node = node().await;
        let ids: Vec<String> =
            (0..3).map(|_| node.spawn_numbered(Scribe::default()).pid().id().to_owned()).collect();
        assert_eq!(ids, ["scribe(1)", "scribe(2)", "scribe(3)"]);
    });
}

#[test]
fn a_panic_is_a_typed_exit_and_those_who_are_linked_are_told() {
    testing::run(async {
        let (node, log, scribe) = scribe().await;
        let watcher_log = Log::default();
        let watcher = Scribe { log: watcher_log.clone(), watch: Some(scribe.pid().clone()) };
        node.spawn_as("watcher", watcher);
        testing::settle().await;
        scribe.tell(Fail);
        scribe.tell(Say("never"));
        assert_eq!(scribe.wait().await, Exit::Panicked("told to fail".into()));
        testing::settle().await;
        assert_eq!(log.take(), ["stopping Panicked(\"told to fail\")"]);
        assert_eq!(watcher_log.take(), ["started", "exited scribe"]);
    });
}

#[test]
#[should_panic(expected = "told to fail")]
fn a_panic_that_nobody_waits_for_fails_the_test() {
    testing::run(async {
        let (_node, _log, scribe) = scribe().await;
        scribe.tell(Fail);
        testing::settle().await;
    });
}

#[test]
fn a_panic_in_deferred_work_is_the_actors() {
    testing::run(async {
        let (_node, _log, scribe) = scribe().await;
        scribe.tell(FailLater);
        assert_eq!(scribe.wait().await, Exit::Panicked("too late".into()));
    });
}

#[test]
fn a_link_to_an_actor_that_is_gone_breaks_at_once() {
    testing::run(async {
        let node = node().await;
        let log = Log::default();
        node.spawn(Scribe { log: log.clone(), watch: Some(node.pid("nobody-here")) });
        testing::settle().await;
        assert_eq!(log.take(), ["started", "exited nobody-here"]);
    });
}

#[test]
fn timers_fire_in_order_on_the_paused_clock() {
    testing::run(async {
        let (node, log, scribe) = scribe().await;
        scribe.tell(After(Duration::from_secs(3600), "an hour"));
        scribe.tell(After(Duration::from_millis(5), "soon"));
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(log.take(), ["soon"]);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(log.take(), ["an hour"]);
        assert!(node.elapsed() >= Duration::from_secs(3600) && node.elapsed() < Duration::from_secs(3601));
    });
}

#[test]
fn a_repeated_timer_does_not_catch_up_in_a_burst() {
    testing::run(async {
        let (_node, log, scribe) = scribe().await;
        scribe.tell(Repeat(Duration::from_secs(1), "tick"));
        testing::settle().await;
        tokio::time::advance(Duration::from_secs(10)).await;
        testing::settle().await;
        assert_eq!(log.take(), ["tick"]);
        tokio::time::sleep(Duration::from_millis(3100)).await;
        assert_eq!(log.take().len(), 3);
    });
}

#[test]
fn a_cancelled_timer_does_not_fire_even_if_it_was_due_at_the_same_time() {
    testing::run(async {
        let (_node, log, scribe) = scribe().await;
        let (early, late) = (Duration::from_secs(1), Duration::from_secs(2));
        scribe.tell(CancelAfter { fires: late, cancelled: early });
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(log.take(), ["cancel"]);
        scribe.tell(CancelAfter { fires: early, cancelled: early });
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(log.take(), ["fired", "cancel"]);
    });
}

#[test]
fn deferred_work_comes_back_to_the_actor_and_ends_with_it() {
    testing::run(async {
        let (_node, log, scribe) = scribe().await;
        let (keep, answer) = promise();
        scribe.tell(Later(keep));
        assert_eq!(answer.await, Ok(7));
        scribe.tell(Wait(Duration::from_secs(1)));
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert_eq!(log.take(), ["waited", "and more"]);
        let (keep, answer) = promise();
        scribe.tell(Later(keep));
        scribe.tell(Repeat(Duration::from_millis(1), "tick"));
        scribe.terminate();
        assert!(answer.await.is_err());
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(log.take(), ["stopping Terminated"]);
    });
}

#[test]
fn a_post_within_the_node_is_moved_and_carries_its_sender() {
    testing::run(async {
        let (node, log, scribe) = scribe().await;
        node.post(&node.pid("someone"), scribe.pid(), Note("hello".into()));
        node.post(&node.pid("someone"), &node.pid("no-one"), Note("lost".into()));
        testing::settle().await;
        assert_eq!(log.take(), ["hello from someone"]);
    });
}

/// The same wire name as [`Note`] under another Rust type.
struct OtherNote;
impl Message for OtherNote {
    type Answer = ();
}
impl WireMessage for OtherNote {
    const NAME: &'static str = "test.Note";
    fn encode(&self, _: Encoding) -> Vec<u8> {
        b"encoded".to_vec()
    }
    fn decode(_: Encoding, _: &[u8]) -> Result<Self, DecodeError> {
        Ok(OtherNote)
    }
}

#[test]
fn another_type_of_the_same_wire_name_is_encoded() {
    testing::run(async {
        let (node, log, scribe) = scribe().await;
        node.post(&node.pid("someone"), scribe.pid(), OtherNote);
        testing::settle().await;
        assert_eq!(log.take(), ["encoded from someone"]);
    });
}

#[test]
fn a_recipient_is_an_actor_or_a_function() {
    testing::run(async {
        let (node, log, scribe) = scribe().await;
        scribe.tell(Work(scribe.recipient()));
        let heard = Log::default();
        let ear = heard.clone();
        scribe.tell(Work(Recipient::from_fn(node.pid("ear"), move |Say(text), from: &Pid| {
            ear.add(format!("{text} from {}", from.id()));
        })));
        testing::settle().await;
        assert_eq!(log.take(), ["work"]);
        assert_eq!(heard.take(), ["work from scribe"]);
        let counter: Recipient<Count> = scribe.recipient();
        assert_eq!(counter.ask(Count).await, Ok(0));
    });
}

#[test]
fn shutdown_ends_all_actors_and_tasks() {
    testing::run(async {
        let (node, log, scribe) = scribe().await;
        let (keep, answer) = promise::<()>();
        node.spawn_task(async move {
            futures::future::pending::<()>().await;
            keep.set(());
        });
        node.shutdown().await;
        assert_eq!(scribe.exit(), Some(Exit::Terminated));
        assert_eq!(log.take(), ["stopping Terminated"]);
        assert!(node.ids().is_empty());
        assert!(answer.await.is_err());
    });
}

#[test]
fn outside_of_a_system_a_node_does_not_start() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(Node::builder().offline().start()).unwrap_err();
    assert!(error.to_string().contains("libprocess::run"), "{error}");
}

#[test]
fn a_test_repeats_its_chance_and_its_wall_clock() {
    let draw = || {
        testing::run(async {
            let node = node().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            (node.random().uuid(), node.now())
        })
    };
    assert_eq!(draw(), draw());
}

/// It may be set while a daemon runs: a node that counted on from its start would be wrong from then on.
#[test]
#[allow(clippy::disallowed_methods, reason = "the machine's clock is what is compared")]
fn a_daemons_wall_clock_is_the_machines() {
    libprocess::run(async {
        let node = Node::builder().offline().start().await.unwrap();
        for _ in 0..1000 {
            let before = std::time::SystemTime::now();
            let said = node.now();
            assert!(before <= said && said <= std::time::SystemTime::now(), "{before:?} {said:?}");
        }
        let epoch = std::time::SystemTime::UNIX_EPOCH;
        let elsewhere = Node::builder().offline().epoch(epoch).start().await.unwrap();
        assert!(elsewhere.now().duration_since(epoch).unwrap() < Duration::from_secs(60));
    });
}
