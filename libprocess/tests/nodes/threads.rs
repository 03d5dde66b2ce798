//! The places of actors are threads, and a full queue holds up who sends.

use libprocess::{Context, Exit, Handle, Install, Pid, Place, Process, messages};
use tokio::io::AsyncWriteExt;

use crate::host::{Host, Note, soon};

/// Says its thread, and holds it up until it is told to go on.
struct Blocker<const PLACE: u8>(usize);
struct WhichThread;
struct HoldUp(std::sync::mpsc::Receiver<()>);
messages! { WhichThread => std::thread::ThreadId; HoldUp; HowMany => usize; }
struct HowMany;

impl<const PLACE: u8> Process for Blocker<PLACE> {
    const NAME: &'static str = "blocker";
    const PLACE: Place = match PLACE {
        0 => Place::Control,
        1 => Place::Own("other"),
        2 => Place::Http,
        _ => Place::Own("blockers"),
    };
    fn install(install: &mut Install<Self>) {
        install.message::<Note>();
    }
}
impl<const PLACE: u8> Handle<WhichThread> for Blocker<PLACE> {
    fn handle(&mut self, _: WhichThread, _: &Pid, _: &mut Context<Self>) -> std::thread::ThreadId {
        std::thread::current().id()
    }
}
impl<const PLACE: u8> Handle<HoldUp> for Blocker<PLACE> {
    fn handle(&mut self, HoldUp(go_on): HoldUp, _: &Pid, _: &mut Context<Self>) {
        let _ = go_on.recv();
    }
}
impl<const PLACE: u8> Handle<Note> for Blocker<PLACE> {
    fn handle(&mut self, _: Note, _: &Pid, _: &mut Context<Self>) {
        self.0 += 1;
    }
}
impl<const PLACE: u8> Handle<HowMany> for Blocker<PLACE> {
    fn handle(&mut self, _: HowMany, _: &Pid, _: &mut Context<Self>) -> usize {
        self.0
    }
}

#[test]
fn each_place_is_a_thread_of_its_own_and_actors_may_be_spawned_from_any() {
    libprocess::run(async {
        let a = Host::start().await;
        let control = a.node.spawn_numbered(Blocker::<0>(0)).ask(WhichThread).await.unwrap();
        assert_eq!(control, std::thread::current().id());
        let node = a.node.clone();
        let foreign = move || {
            let http = node.spawn_numbered(Blocker::<2>(0)).ask(WhichThread);
            (node.spawn_numbered(Blocker::<1>(0)).ask(WhichThread), http, node)
        };
        let (allocator, http, node) = std::thread::spawn(foreign).join().unwrap();
        let own = [node.spawn_numbered(Blocker::<3>(0)), node.spawn_numbered(Blocker::<3>(0))];
        let (one, two) = (own[0].ask(WhichThread).await.unwrap(), own[1].ask(WhichThread).await.unwrap());
        assert_eq!(one, two);
        let threads = [control, allocator.await.unwrap(), http.await.unwrap(), one];
        let distinct: std::collections::HashSet<_> = threads.into_iter().collect();
        assert_eq!(distinct.len(), 4);
        a.node.shutdown().await;
        assert_eq!(own[0].exit(), Some(Exit::Terminated));
    });
}

#[test]
fn a_peer_is_not_read_while_the_queue_of_its_actor_is_long() {
    const MESSAGES: usize = 300_000;
    const HIGH_WATER: usize = 100_000;
    libprocess::run(async {
        let a = Host::start().await;
        let slow = a.node.spawn(Blocker::<3>(0));
        let (go_on, held) = std::sync::mpsc::channel();
        slow.tell(HoldUp(held));
        let mut stream = a.socket().await;
        let message = "POST /blocker/test.Note HTTP/1.1\r\nUser-Agent: libprocess/x@127.0.0.1:1\r\n\r\n";
        let bytes = message.repeat(MESSAGES);
        let (mut reader, mut writer) = stream.split();
        let mut writing = std::pin::pin!(writer.write_all(bytes.as_bytes()));
        // Answers must be read, or they hold the peer's loop up by themselves.
        let mut sink = tokio::io::sink();
        let mut reading = std::pin::pin!(tokio::io::copy(&mut reader, &mut sink));
        let filled = std::future::poll_fn(|task| {
            assert!(writing.as_mut().poll(task).is_pending(), "everything was taken");
            assert!(reading.as_mut().poll(task).is_pending());
            task.waker().wake_by_ref();
            if slow.waiting() > HIGH_WATER { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        });
        soon(filled).await;
        let most = HIGH_WATER + 2 * (128 << 10) / message.len();
        assert!(slow.waiting() < most, "{} wait", slow.waiting());
        go_on.send(()).unwrap();
        let all = async {
            tokio::select! {
                biased;
                written = writing => written.unwrap(),
                _ = &mut reading => panic!("the peer closed"),
            }
            while slow.ask(HowMany).await.unwrap() < MESSAGES {
                tokio::task::yield_now().await;
            }
        };
        soon(all).await;
        assert!(slow.waiting() < most);
        a.node.shutdown().await;
    });
}
