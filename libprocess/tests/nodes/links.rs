//! Messages between two nodes, and the links that break with their connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libprocess::{Exit, Pid};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::host::{Disconnect, Ear, Event, Host, Link, Note, Post, Relink, dead_address, rest, soon};

#[test]
fn messages_to_another_node_arrive_in_order_with_their_sender() {
    libprocess::run(async {
        let (a, mut b) = (Host::start().await, Host::start().await);
        a.ear.tell(Post(b.ear.pid().clone(), 20_000));
        for number in 0..20_000 {
            assert_eq!(b.event().await, Event::Note(number.to_string(), a.ear.pid().clone()));
        }
        a.node.shutdown().await;
        b.node.shutdown().await;
    });
}

#[test]
fn a_link_breaks_when_the_other_node_goes() {
    libprocess::run(async {
        let (mut a, mut b) = (Host::start().await, Host::start().await);
        a.ear.tell(Link(b.ear.pid().clone()));
        a.ear.tell(Post(b.ear.pid().clone(), 1));
        assert_eq!(b.note().await, "0");
        b.node.shutdown().await;
        assert_eq!(a.event().await, Event::Exited(b.ear.pid().clone()));
        a.node.shutdown().await;
    });
}

#[test]
fn a_link_to_where_nobody_listens_breaks() {
    libprocess::run(async {
        let mut a = Host::start().await;
        let nobody = Pid::new("nobody", dead_address().await);
        a.ear.tell(Link(nobody.clone()));
        assert_eq!(a.event().await, Event::Exited(nobody));
        a.node.shutdown().await;
    });
}

#[test]
fn a_link_does_not_notice_that_a_remote_actor_ends_while_its_node_lives() {
    libprocess::run(async {
        let (mut a, b) = (Host::start().await, Host::start().await);
        a.ear.tell(Link(b.ear.pid().clone()));
        b.ear.terminate();
        assert_eq!(soon(b.ear.wait()).await, Exit::Terminated);
        let (sender, mut second) = mpsc::unbounded_channel();
        let other = b.node.spawn_as("second", Ear(sender));
        a.ear.tell(Post(other.pid().clone(), 1));
        assert!(matches!(soon(second.recv()).await, Some(Event::Note(..))));
        other.tell(Post(a.ear.pid().clone(), 1));
        assert_eq!(a.note().await, "0");
        b.node.shutdown().await;
        assert_eq!(a.event().await, Event::Exited(b.ear.pid().clone()));
        a.node.shutdown().await;
    });
}

#[test]
fn a_new_connection_replaces_an_old_one_without_breaking_links() {
    libprocess::run(async {
        let mut a = Host::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = Pid::new("far", listener.local_addr().unwrap());
        a.ear.tell(Link(far.clone()));
        let (mut first, _) = soon(listener.accept()).await.unwrap();
        a.ear.tell(Relink(far.clone()));
        let (second, _) = soon(listener.accept()).await.unwrap();
        assert_eq!(soon(first.read(&mut [0; 1])).await.unwrap(), 0, "the old connection closes");
        a.node.post(&Pid::nobody(), a.ear.pid(), Note("no exit so far".into()));
        assert_eq!(a.note().await, "no exit so far");
        drop(second);
        assert_eq!(a.event().await, Event::Exited(far));
        a.node.shutdown().await;
    });
}

/// The other thread opens the next connection, to send what it has, at whatever moment the first one is found to be over.
#[test]
fn a_connection_that_ends_just_when_another_begins_breaks_its_links() {
    libprocess::run(async {
        let mut a = Host::start().await;
        for _ in 0..100 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let far = Pid::new("far", listener.local_addr().unwrap());
            a.ear.tell(Link(far.clone()));
            let (first, _) = soon(listener.accept()).await.unwrap();
            let (node, to, broken) = (a.node.clone(), far.clone(), Arc::new(AtomicBool::new(false)));
            let until = Arc::clone(&broken);
            let sending = std::thread::spawn(move || {
                while !until.load(Ordering::Relaxed) {
                    node.post(&Pid::nobody(), &to, Note("next".into()));
                    std::thread::yield_now();
                }
            });
            drop(first);
            // It stays open: what breaks the link is the end of the first.
            let (_second, _) = soon(listener.accept()).await.unwrap();
            assert_eq!(a.event().await, Event::Exited(far));
            broken.store(true, Ordering::Relaxed);
            sending.join().unwrap();
        }
        a.node.shutdown().await;
        assert!(a.events.try_recv().is_err(), "no link breaks twice");
    });
}

#[test]
fn who_is_disconnected_receives_nothing_more_of_what_was_sent() {
    const MEGABYTES: usize = 32;
    libprocess::run(async {
        let mut a = Host::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = Pid::new("far(1)", listener.local_addr().unwrap());
        a.ear.tell(Link(far.clone()));
        let (mut stream, _) = soon(listener.accept()).await.unwrap();
        for _ in 0..MEGABYTES {
            a.node.post(a.ear.pid(), &far, Note("x".repeat(1 << 20)));
        }
        // It has been received when it was sent.
        soon(stream.read_exact(&mut [0; 1 << 16])).await.unwrap();
        a.ear.tell(Disconnect(far.clone()));
        assert_eq!(a.event().await, Event::Exited(far.clone()));
        let error = rest(&mut stream).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        // What is sent now goes on another connection, and nothing comes before it.
        a.node.post(a.ear.pid(), &far, Note("new".into()));
        let (mut stream, _) = soon(listener.accept()).await.unwrap();
        let mut bytes = vec![0; 4096];
        let length = soon(stream.read(&mut bytes)).await.unwrap();
        assert!(std::str::from_utf8(&bytes[..length]).unwrap().ends_with("3\r\nnew\r\n0\r\n\r\n"));
        a.node.shutdown().await;
    });
}

#[test]
fn a_peer_that_does_not_read_breaks_the_link_instead_of_memory() {
    libprocess::run(async {
        const LIMIT: usize = 1 << 20;
        let mut a = Host::with(|builder| builder.queue_limit(LIMIT)).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = Pid::new("far", listener.local_addr().unwrap());
        a.ear.tell(Link(far.clone()));
        let (stream, _) = soon(listener.accept()).await.unwrap();
        let body = "x".repeat(LIMIT / 8);
        // What the kernel buffers comes on top of the limit. Nothing is posted once the link is broken: it would open
        // further connections. A note of the ear to itself comes behind the news.
        let mut broken = false;
        for _ in 0..1000 {
            a.node.post(a.ear.pid(), &far, Note(body.clone()));
            a.ear.tell(Post(a.ear.pid().clone(), 1));
            broken = a.event().await == Event::Exited(far.clone());
            if broken {
                break;
            }
        }
        assert!(broken);
        assert_eq!(a.note().await, "0");
        // The socket is closed though nobody reads from it, and that breaks no link of the next connection.
        a.ear.tell(Link(far.clone()));
        let (mut next, _) = soon(listener.accept()).await.unwrap();
        let mut stream = stream;
        let mut buffer = vec![0; 1 << 20];
        soon(async { while matches!(stream.read(&mut buffer).await, Ok(read) if read > 0) {} }).await;
        a.node.post(a.ear.pid(), &far, Note("still linked".into()));
        let mut first = [0; 10];
        soon(next.read_exact(&mut first)).await.unwrap();
        assert_eq!(&first, b"POST /far/");
        assert!(a.events.try_recv().is_err());
        drop(next);
        assert_eq!(a.event().await, Event::Exited(far));
        a.node.shutdown().await;
    });
}

#[test]
fn what_was_posted_before_a_shutdown_still_leaves() {
    libprocess::run(async {
        let (a, mut b) = (Host::start().await, Host::start().await);
        a.ear.tell(Post(b.ear.pid().clone(), 1000));
        a.node.shutdown().await;
        for number in 0..1000 {
            assert_eq!(b.note().await, number.to_string());
        }
        b.node.shutdown().await;
    });
}
