//! What the benchmarks share: a node on loopback, messages of bytes, and a bare HTTP server.
#![allow(dead_code, reason = "no benchmark uses all of it")]

use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use bytes::Bytes;
use harness::bench;
use libprocess::{DecodeError, Encoding, Message, Node, WireMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// A node with a port of its own. As masters and agents do, it announces a schema.
pub(crate) async fn node() -> Node {
    let builder = Node::builder().bind(([127, 0, 0, 1], 0).into()).schema("0123456789abcdef");
    builder.start().await.expect("a port is free")
}

/// Declares messages that carry bytes.
macro_rules! bytes_on_the_wire {
    ($($name:ident = $wire:literal),* $(,)?) => {$(
        pub(crate) struct $name(pub(crate) Bytes);
        impl Message for $name {
            type Answer = ();
        }
        impl WireMessage for $name {
            const NAME: &'static str = $wire;
            fn encode(&self, _: Encoding) -> Vec<u8> {
                self.0.to_vec()
            }
            fn decode(_: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
                Ok($name(Bytes::copy_from_slice(bytes)))
            }
        }
    )*};
}
bytes_on_the_wire!(Ping = "ping", Pong = "pong");

/// A bare actix-web server with one worker, on a thread of its own: what libprocess's server and transport are held
/// against.
pub(crate) struct BareServer {
    pub(crate) address: SocketAddr,
    handle: ServerHandle,
    thread: JoinHandle<()>,
}

impl BareServer {
    /// Reads each request's body and forgets it; answers with this.
    pub(crate) fn start(answer: fn() -> HttpResponse) -> BareServer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let app = move || {
                    App::new().default_service(web::to(move |body: web::Bytes| async move {
                        drop(body);
                        answer()
                    }))
                };
                let server = HttpServer::new(app).workers(1).disable_signals().listen(listener);
                let server = server.expect("the socket is good").run();
                let _ = sender.send(server.handle());
                let _ = server.await;
            });
        });
        BareServer { address, handle: receiver.recv().expect("it starts"), thread }
    }

    pub(crate) async fn stop(self) {
        self.handle.stop(false).await;
        let _ = self.thread.join();
    }
}

/// Sends a request again and again on one connection, `in_flight` at a time at the most, written in batches; gives how
/// many were answered in a second.
pub(crate) async fn pipelined(to: SocketAddr, request: &[u8], count: usize, in_flight: usize) -> f64 {
    let batch = (in_flight / 8).max(1);
    let stream = TcpStream::connect(to).await.expect("the server listens");
    stream.set_nodelay(true).expect("it is a socket");
    let (mut receiving, mut sending) = stream.into_split();
    let room = Semaphore::new(in_flight / batch);
    let requests = request.repeat(batch);
    let began = bench::now();
    let write = async {
        for _ in 0..count / batch {
            room.acquire().await.expect("it is never closed").forget();
            sending.write_all(&requests).await.expect("the server reads");
        }
    };
    let read = async {
        let (mut answers, mut counted) = (Answers::default(), 0);
        let mut buffer = vec![0; 64 << 10];
        while answers.count < count / batch * batch {
            let length = receiving.read(&mut buffer).await.expect("the server answers");
            assert!(length > 0, "the server closed the connection after {} answers", answers.count);
            answers.take(&buffer[..length]);
            room.add_permits(answers.count / batch - counted);
            counted = answers.count / batch;
        }
        answers.count
    };
    let ((), answered) = tokio::join!(write, read);
    answered as f64 / began.elapsed().as_secs_f64()
}

/// Counts answers by the ends of their heads; their bodies must not look like one.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) count: usize,
    /// How many bytes of an end were seen.
    seen: usize,
}

impl Answers {
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.seen = match (byte, self.seen) {
                (b'\r', 0 | 2) => self.seen + 1,
                (b'\n', 1 | 3) => self.seen + 1,
                (b'\r', _) => 1,
                _ => 0,
            };
            if self.seen == 4 {
                self.count += 1;
                self.seen = 0;
            }
        }
    }
}
