//! TLS over loopback: messages and HTTP behind it, who is refused, and what hostile clients achieve.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod certificates;
mod hostile;
mod messages;
mod requests;

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use libprocess::http::{Response, StreamSender, stream};
use libprocess::tls::TlsSettings;
use libprocess::{
    Address, Context, DecodeError, Encoding, Handle, Install, Node, NodeBuilder, Pid, Process, WireMessage,
    messages,
};
use tokio::sync::mpsc;

use certificates::Authority;

/// What an actor tells its test.
#[derive(Debug)]
enum Event {
    Note(String, Pid),
    Exited(Pid),
    Stream(StreamSender),
}

struct Ear(mpsc::UnboundedSender<Event>);

#[derive(Debug)]
struct Note(String);
struct Link(Pid);
struct Post(Pid, usize);

messages! { Note; Link; Post; }

impl WireMessage for Note {
    const NAME: &'static str = "test.Note";
    fn encode(&self, _: Encoding) -> Vec<u8> {
        self.0.clone().into_bytes()
    }
    fn decode(_: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Note(String::from_utf8_lossy(bytes).into_owned()))
    }
}

impl Process for Ear {
    const NAME: &'static str = "ear";
    fn install(install: &mut Install<Self>) {
        install.message::<Note>();
        install.get("/hello", "Says hello.", |_, _, _| Response::text(StatusCode::OK, "hello").into());
        install.get("/peer", "Who asks.", |_, request, _| {
            Response::text(StatusCode::OK, request.peer.to_string()).into()
        });
        install.post("/echo", "Echo", |_, request, _| Response::ok("text/plain", request.body).into());
        install.post("/stream", "Hands out the other end.", |ear, request, _| {
            let (sender, body) = stream();
            sender.send(request.body).unwrap();
            ear.0.send(Event::Stream(sender)).unwrap();
            Response::streaming("text/plain", body).into()
        });
    }
    fn exited(&mut self, pid: &Pid, _: &mut Context<Self>) {
        let _ = self.0.send(Event::Exited(pid.clone()));
    }
}
impl Handle<Note> for Ear {
    fn handle(&mut self, Note(text): Note, from: &Pid, _: &mut Context<Self>) {
        let _ = self.0.send(Event::Note(text, from.clone()));
    }
}
impl Handle<Link> for Ear {
    fn handle(&mut self, Link(pid): Link, _: &Pid, ctx: &mut Context<Self>) {
        ctx.link(&pid);
    }
}
impl Handle<Post> for Ear {
    fn handle(&mut self, Post(to, count): Post, _: &Pid, ctx: &mut Context<Self>) {
        for number in 0..count {
            ctx.post(&to, Note(number.to_string()));
        }
    }
}

/// A node with one ear.
struct Host {
    node: Node,
    ear: Address<Ear>,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Host {
    async fn with_tls(settings: TlsSettings) -> Host {
        Host::with(|builder| builder.tls(settings)).await
    }

    async fn in_the_clear() -> Host {
        Host::with(|builder| builder).await
    }

    async fn with(settings: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Host {
        let node = settings(loopback()).start().await.unwrap();
        let (sender, events) = mpsc::unbounded_channel();
        let ear = node.spawn(Ear(sender));
        Host { node, ear, events }
    }

    fn pid(&self) -> &Pid {
        self.ear.pid()
    }

    fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.node.scheme(), self.node.address())
    }

    async fn note(&mut self) -> (String, Pid) {
        match soon(self.events.recv()).await.unwrap() {
            Event::Note(text, from) => (text, from),
            other => panic!("{other:?}"),
        }
    }

    async fn exited(&mut self) -> Pid {
        match soon(self.events.recv()).await.unwrap() {
            Event::Exited(pid) => pid,
            other => panic!("{other:?}"),
        }
    }

    async fn stream(&mut self) -> StreamSender {
        match soon(self.events.recv()).await.unwrap() {
            Event::Stream(sender) => sender,
            other => panic!("{other:?}"),
        }
    }
}

fn loopback() -> NodeBuilder {
    Node::builder().bind(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// What must happen soon fails the test if it does not.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it happens within a minute")
}
