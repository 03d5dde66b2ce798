//! Many agents that re-register, over one connection or each over its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use libprocess::WireMessage;
use mesos::internal::{ReregisterSlaveMessage, SlaveReregisteredMessage};
use tokio::sync::oneshot;

/// All agents: once told to go they say what they have to say, over one connection, and are back when the last of them has
/// its answer. Their bytes are made before, and they answer no pings: the machine's processors are for the master.
/// Returns what must stay open as long as they are not to be disconnected.
pub(crate) fn agents(
    messages: &[Vec<u8>],
    master: SocketAddr,
    ready: oneshot::Sender<mpsc::Sender<()>>,
    back: oneshot::Sender<()>,
) -> [TcpStream; 2] {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let ours = listener.local_addr().expect("it is bound");
    let mut said = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        said.extend(request(number, ours, message));
    }
    let mut to_master = TcpStream::connect(master).expect("the master listens");
    let mut accepted = to_master.try_clone().expect("it is open");
    std::thread::spawn(move || std::io::copy(&mut accepted, &mut std::io::sink()));
    let (go, told) = mpsc::channel();
    ready.send(go).expect("the test waits");
    told.recv().expect("it goes on");
    let from_master = std::thread::scope(|scope| {
        scope.spawn(|| to_master.write_all(&said).expect("the master reads"));
        let (mut from_master, _) = listener.accept().expect("the master connects");
        wait_for_answers(&mut from_master, messages.len());
        from_master
    });
    let _ = back.send(());
    [to_master, from_master]
}

/// The same agents, one after the other, and each over two connections of its own, as agents on other machines. Returns
/// what must stay open as long as they are not to be disconnected.
#[allow(dead_code, reason = "not every benchmark wants it")]
pub(crate) fn agents_apart(messages: &[Vec<u8>], master: SocketAddr) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let ours = listener.local_addr().expect("it is bound");
        let mut to_master = TcpStream::connect(master).expect("the master listens");
        to_master.write_all(&request(number, ours, message)).expect("the master reads");
        let (mut from_master, _) = listener.accept().expect("the master connects");
        wait_for_answers(&mut from_master, 1);
        open.extend([to_master, from_master]);
    }
    open
}

/// What an agent with this number at this address says.
fn request(number: usize, from: SocketAddr, message: &[u8]) -> Vec<u8> {
    let (name, length) = (ReregisterSlaveMessage::NAME, message.len());
    let head = format!(
        "POST /master/{name} HTTP/1.1\r\nUser-Agent: libprocess/slave({number})@{from}\r\n\
         Connection: Keep-Alive\r\nHost: \r\nContent-Length: {length}\r\n\r\n",
    );
    [head.as_bytes(), message].concat()
}

/// Reads until so many agents have been told that they are registered again.
fn wait_for_answers(from_master: &mut TcpStream, agents: usize) {
    let wanted = format!("/{} HTTP", SlaveReregisteredMessage::NAME);
    let (mut text, mut answers) = (Vec::new(), 0);
    let mut chunk = vec![0; 256 << 10];
    while answers < agents {
        let length = from_master.read(&mut chunk).expect("the master is there");
        assert!(length > 0, "the master has closed the connection after {answers} answers");
        text.extend_from_slice(&chunk[..length]);
        answers += text.windows(wanted.len()).filter(|part| *part == wanted.as_bytes()).count();
        // One that is cut in two is found with the next chunk.
        text.drain(..text.len().saturating_sub(wanted.len() - 1));
    }
}
