//! What actors do for each other: passing messages on, keeping one another alive, waiting with patience.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use libprocess::{
    Context, DecodeError, Encoding, Exit, GetChild, Handle, Install, Node, Pid, Place, Process, Restarts,
    Supervisor, WireMessage, messages, testing,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A message that may cross machines.
#[derive(Debug, PartialEq)]
struct Note(String);

impl WireMessage for Note {
    const NAME: &'static str = "test.Note";
    fn encode(&self, _: Encoding) -> Vec<u8> {
        self.0.clone().into_bytes()
    }
    fn decode(_: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
        String::from_utf8(bytes.to_vec()).map(Note).map_err(|error| DecodeError::new(error.to_string()))
    }
}

/// Takes notes, and says what it heard from whom.
struct Desk(mpsc::UnboundedSender<String>);

/// Takes no notes; passes them on, if it is told to.
#[derive(Default)]
struct Porter {
    to: Option<Pid>,
}

/// Tells a porter where notes go.
struct PassTo(Pid);

messages! { Note; PassTo; }

impl Process for Desk {
    const NAME: &'static str = "desk";
    fn install(install: &mut Install<Self>) {
        install.message::<Note>();
    }
}

impl Handle<Note> for Desk {
    fn handle(&mut self, Note(text): Note, from: &Pid, _: &mut Context<Self>) {
        self.0.send(format!("{text} from {}", from.id())).unwrap();
    }
}

impl Process for Porter {
    const NAME: &'static str = "porter";
    fn install(install: &mut Install<Self>) {
        install.delegate::<Note>(|porter| porter.to.clone());
    }
}

impl Handle<PassTo> for Porter {
    fn handle(&mut self, PassTo(pid): PassTo, _: &Pid, _: &mut Context<Self>) {
        self.to = Some(pid);
    }
}

async fn online() -> Node {
    Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await.unwrap()
}

async fn offline() -> Node {
    Node::builder().offline().start().await.unwrap()
}

fn note(text: &str) -> Note {
    Note(text.to_owned())
}

#[test]
fn what_an_actor_has_no_handler_for_it_may_pass_on_with_its_sender() {
    testing::run(async {
        let node = offline().await;
        let (said, mut heard) = mpsc::unbounded_channel();
        let desk = node.spawn(Desk(said));
        let porter = node.spawn(Porter::default());
        let sender = node.pid("ann");
        node.post(&sender, porter.pid(), note("lost: it does not know where"));
        porter.tell(PassTo(desk.pid().clone()));
        node.post(&sender, porter.pid(), note("hello"));
        // Bytes from elsewhere, as well.
        let delivered = node.deliver("porter", "test.Note", sender.clone(), Encoding::Protobuf, b"hi");
        assert_eq!(delivered, libprocess::Delivery::Accepted);
        testing::settle().await;
        assert_eq!(heard.try_recv().unwrap(), "hello from ann");
        assert_eq!(heard.try_recv().unwrap(), "hi from ann");
        assert!(heard.try_recv().is_err());
        // What is no note is refused at the door.
        let delivered = node.deliver("porter", "test.Note", sender, Encoding::Protobuf, b"\xff");
        assert!(matches!(delivered, libprocess::Delivery::Undecodable(_)));
    });
}

#[test]
fn a_handler_comes_before_a_delegate() {
    testing::run(async {
        struct Both(Desk, Pid);
        impl Process for Both {
            const NAME: &'static str = "both";
            fn install(install: &mut Install<Self>) {
                install.delegate::<Note>(|both| Some(both.1.clone()));
                install.message::<Note>();
                install.delegate::<Note>(|both| Some(both.1.clone()));
            }
        }
        impl Handle<Note> for Both {
            fn handle(&mut self, Note(text): Note, _: &Pid, _: &mut Context<Self>) {
                self.0.0.send(format!("{text} handled")).unwrap();
            }
        }
        let node = offline().await;
        let (said, mut heard) = mpsc::unbounded_channel();
        let desk = node.spawn(Desk(said.clone()));
        let both = node.spawn(Both(Desk(said), desk.pid().clone()));
        node.post(&node.pid("ann"), both.pid(), note("hello"));
        testing::settle().await;
        assert_eq!(heard.try_recv().unwrap(), "hello handled");
        assert!(heard.try_recv().is_err());
    });
}

#[test]
fn a_message_is_passed_on_to_another_node() {
    libprocess::run(async {
        let (near, far) = (online().await, online().await);
        let (said, mut heard) = mpsc::unbounded_channel();
        let desk = far.spawn(Desk(said));
        let porter = near.spawn(Porter { to: Some(desk.pid().clone()) });
        near.post(&near.pid("ann"), porter.pid(), note("hello"));
        let patience = Duration::from_secs(30);
        let text = tokio::time::timeout(patience, heard.recv()).await.unwrap();
        assert_eq!(text.as_deref(), Some("hello from ann"));
        near.shutdown().await;
        far.shutdown().await;
    });
}

/// An actor that fails in every way.
struct Worker {
    started: mpsc::UnboundedSender<(u32, Instant)>,
    life: u32,
}

struct Panic;
struct GiveUp;
struct Life;

messages! { Panic; GiveUp; Life => u32; }

impl Process for Worker {
    const NAME: &'static str = "worker";
    fn started(&mut self, _: &mut Context<Self>) {
        let _ = self.started.send((self.life, Instant::now()));
    }
}

impl Handle<Panic> for Worker {
    fn handle(&mut self, _: Panic, _: &Pid, _: &mut Context<Self>) {
        panic!("out of luck");
    }
}

impl Handle<GiveUp> for Worker {
    fn handle(&mut self, _: GiveUp, _: &Pid, ctx: &mut Context<Self>) {
        ctx.fail("out of ideas");
        // The first end counts.
        ctx.terminate();
    }
}

impl Handle<Life> for Worker {
    fn handle(&mut self, _: Life, _: &Pid, _: &mut Context<Self>) -> u32 {
        self.life
    }
}

type Starts = mpsc::UnboundedReceiver<(u32, Instant)>;

/// A supervisor of a worker that counts its lives.
fn supervisor(restarts: Restarts) -> (Supervisor<Worker>, Starts) {
    let (started, starts) = mpsc::unbounded_channel();
    let mut life = 0;
    let make = move || {
        life += 1;
        Worker { started: started.clone(), life }
    };
    (Supervisor::new("worker", restarts, make), starts)
}

#[test]
fn an_actor_that_fails_is_made_anew_after_pauses_that_double() {
    testing::run(async {
        let node = offline().await;
        let (supervisor, mut starts) = supervisor(Restarts::default());
        let supervisor = node.spawn_numbered(supervisor);
        let (_, first) = starts.recv().await.unwrap();
        let child = async || supervisor.ask(GetChild::new()).await.unwrap();
        for (life, since_first_ms) in [(2, 100), (3, 300), (4, 700)] {
            let old = child().await.unwrap();
            if life == 3 {
                old.tell(GiveUp)
            } else {
                old.tell(Panic)
            }
            old.wait().await;
            testing::settle().await;
            assert!(child().await.is_none() && !node.is_alive("worker"), "it pauses");
            let (started, at) = starts.recv().await.unwrap();
            assert_eq!((started, at - first), (life, Duration::from_millis(since_first_ms)));
            let new = child().await.unwrap();
            assert_eq!(new.ask(Life).await, Ok(life));
            assert_eq!(old.pid(), new.pid());
        }
        assert_eq!(supervisor.exit(), None);
    });
}

#[test]
fn an_actor_that_fails_too_often_is_given_up_and_those_above_are_told() {
    testing::run(async {
        /// Is told that a link broke.
        struct Watcher(Pid, mpsc::UnboundedSender<String>);
        impl Process for Watcher {
            const NAME: &'static str = "watcher";
            fn started(&mut self, ctx: &mut Context<Self>) {
                ctx.link(&self.0);
            }
            fn exited(&mut self, pid: &Pid, _: &mut Context<Self>) {
                self.1.send(pid.id().to_owned()).unwrap();
            }
        }
        let node = offline().await;
        let (supervisor, mut starts) = supervisor(Restarts { most: 2, ..Restarts::default() });
        let supervisor = node.spawn_numbered(supervisor);
        let (broke, mut broken) = mpsc::unbounded_channel();
        node.spawn(Watcher(supervisor.pid().clone(), broke));
        for _ in 0..3 {
            starts.recv().await.unwrap();
            supervisor.ask(GetChild::new()).await.unwrap().unwrap().tell(Panic);
        }
        let text = "`worker` is given up after 2 restarts within 60s; the last time it panicked: out of luck";
        assert_eq!(supervisor.wait().await, Exit::Failed(text.to_owned()));
        assert_eq!(broken.recv().await.as_deref(), Some("supervisor(1)"));
        assert!(!node.is_alive("worker"));
    });
}

#[test]
fn a_supervisor_may_be_supervised() {
    testing::run(async {
        let node = offline().await;
        let lives = Arc::new(AtomicU32::new(0));
        let (started, mut starts) = mpsc::unbounded_channel();
        let inner = move || {
            let (lives, started) = (Arc::clone(&lives), started.clone());
            let once = Restarts { most: 1, ..Restarts::default() };
            Supervisor::new("worker", once, move || {
                let life = lives.fetch_add(1, Ordering::Relaxed) + 1;
                Worker { started: started.clone(), life }
            })
        };
        let outer = node.spawn_as("outer", Supervisor::new("inner", Restarts::default(), inner));
        // Each inner supervisor stands for two lives.
        for life in 1..=5 {
            assert_eq!(starts.recv().await.unwrap().0, life);
            let inner = outer.ask(GetChild::new()).await.unwrap().unwrap();
            inner.ask(GetChild::new()).await.unwrap().unwrap().tell(Panic);
        }
        assert_eq!(starts.recv().await.unwrap().0, 6);
        assert_eq!(outer.exit(), None);
    });
}

#[test]
fn an_actor_that_was_ended_stays_so_and_ends_with_its_supervisor() {
    for kill in [false, true] {
        testing::run(async {
            let node = offline().await;
            let (above, mut starts) = supervisor(Restarts::default());
            let above = node.spawn_numbered(above);
            starts.recv().await.unwrap();
            if kill {
                node.kill("worker")
            } else {
                node.terminate("worker")
            }
            assert_eq!(above.wait().await, Exit::Terminated);
            assert!(starts.recv().await.is_none(), "there was one life");

            // The other way round.
            let (above, mut starts) = supervisor(Restarts::default());
            let above = node.spawn_numbered(above);
            starts.recv().await.unwrap();
            let worker = above.ask(GetChild::new()).await.unwrap().unwrap();
            if kill {
                above.kill()
            } else {
                above.terminate()
            }
            let end = if kill { Exit::Killed } else { Exit::Terminated };
            assert_eq!((above.wait().await, worker.wait().await), (end.clone(), end));
        });
    }
}

#[test]
fn who_waits_may_have_enough_of_it() {
    testing::run(async {
        let node = offline().await;
        let porter = node.spawn(Porter::default());
        let before = Instant::now();
        assert_eq!(porter.wait_within(Duration::from_secs(3600)).await, None);
        assert_eq!(before.elapsed(), Duration::from_secs(3600));
        porter.terminate();
        assert_eq!(porter.wait_within(Duration::from_secs(1)).await, Some(Exit::Terminated));
        // Also long after.
        assert_eq!(porter.wait_within(Duration::ZERO).await, Some(Exit::Terminated));
    });
}

#[test]
fn an_actor_runs_where_it_is_told_to() {
    struct Where;
    struct Thread;
    messages! { Thread => std::thread::ThreadId; }
    impl Process for Where {
        const NAME: &'static str = "where";
    }
    impl Handle<Thread> for Where {
        fn handle(&mut self, _: Thread, _: &Pid, _: &mut Context<Self>) -> std::thread::ThreadId {
            std::thread::current().id()
        }
    }
    libprocess::run(async {
        let node = online().await;
        let here = std::thread::current().id();
        let by_type = node.spawn(Where).ask(Thread).await.unwrap();
        assert_eq!(by_type, here);
        let own = node.spawn_at(Place::Own("attic"), "a", Where).ask(Thread).await.unwrap();
        let same = node.spawn_at(Place::Own("attic"), "b", Where).ask(Thread).await.unwrap();
        assert_ne!(own, here);
        assert_eq!(own, same);
        node.shutdown().await;
    });
}
