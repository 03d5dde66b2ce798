//! A node with an actor that tells its test what it hears, and what a peer writes and reads.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use libprocess::http::Response;
use libprocess::{
    Address, Context, DecodeError, Encoding, Handle, Install, Node, NodeBuilder, Pid, Process, WireMessage,
    messages,
};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What an actor tells its test.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    Note(String, Pid),
    Exited(Pid),
}

/// Tells its test what it hears.
pub(crate) struct Ear(pub(crate) mpsc::UnboundedSender<Event>);

/// Its encodings differ, so that a test sees which was used.
#[derive(Debug, Clone)]
pub(crate) struct Note(pub(crate) String);
pub(crate) struct Link(pub(crate) Pid);
pub(crate) struct Relink(pub(crate) Pid);
pub(crate) struct Disconnect(pub(crate) Pid);
pub(crate) struct Post(pub(crate) Pid, pub(crate) usize);

messages! { Note; Link; Relink; Disconnect; Post; }

impl WireMessage for Note {
    const NAME: &'static str = "test.Note";
    fn encode(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Protobuf => self.0.clone().into_bytes(),
            Encoding::Bincode => format!("bincode:{}", self.0).into_bytes(),
        }
    }
    fn decode(_: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(bytes).map_err(|error| DecodeError::new(error.to_string()))?;
        Ok(Note(text.to_owned()))
    }
}

impl Process for Ear {
    const NAME: &'static str = "ear";
    fn install(install: &mut Install<Self>) {
        install.message::<Note>();
        install.get("/hello", "Says hello.", |_, _, _| Response::text(StatusCode::OK, "hello").into());
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
impl Handle<Relink> for Ear {
    fn handle(&mut self, Relink(pid): Relink, _: &Pid, ctx: &mut Context<Self>) {
        ctx.relink(&pid);
    }
}
impl Handle<Disconnect> for Ear {
    fn handle(&mut self, Disconnect(pid): Disconnect, _: &Pid, ctx: &mut Context<Self>) {
        ctx.disconnect(&pid);
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
pub(crate) struct Host {
    pub(crate) node: Node,
    pub(crate) ear: Address<Ear>,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
}

impl Host {
    pub(crate) async fn start() -> Host {
        Host::with(|builder| builder).await
    }
    pub(crate) async fn with(settings: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Host {
        let builder = Node::builder().bind(SocketAddr::from(([127, 0, 0, 1], 0)));
        let node = settings(builder).start().await.unwrap();
        let (sender, events) = mpsc::unbounded_channel();
        let ear = node.spawn(Ear(sender));
        Host { node, ear, events }
    }
    pub(crate) async fn event(&mut self) -> Event {
        soon(self.events.recv()).await.unwrap()
    }
    pub(crate) async fn note(&mut self) -> String {
        match self.event().await {
            Event::Note(text, _) => text,
            Event::Exited(pid) => panic!("{pid} exited"),
        }
    }
    pub(crate) async fn socket(&self) -> TcpStream {
        TcpStream::connect(self.node.address()).await.unwrap()
    }
}

/// What must happen soon fails the test if it does not.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it happens within a minute")
}

/// A port that nobody listens on.
pub(crate) async fn dead_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

pub(crate) fn request(id: &str, body: &str) -> String {
    format!(
        "POST /{id}/test.Note HTTP/1.1\r\nUser-Agent: libprocess/x@127.0.0.1:1\r\n\
         Libprocess-From: x@127.0.0.1:1\r\nConnection: Keep-Alive\r\nHost: \r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    )
}

/// Reads until `count` heads of answers came; gives their status lines.
pub(crate) async fn answers(stream: &mut TcpStream, count: usize) -> Vec<String> {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while text.matches("\r\n\r\n").count() < count {
        let length = soon(stream.read(&mut buffer)).await.unwrap();
        assert_ne!(length, 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    text.split("\r\n\r\n")
        .filter(|head| !head.is_empty())
        .map(|head| head.lines().next().unwrap().into())
        .collect()
}

/// Reads to the end.
pub(crate) async fn rest(stream: &mut TcpStream) -> std::io::Result<usize> {
    let (mut buffer, mut total) = (vec![0; 1 << 20], 0);
    loop {
        match soon(stream.read(&mut buffer)).await? {
            0 => return Ok(total),
            length => total += length,
        }
    }
}
