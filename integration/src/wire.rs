//! A way to a server that can lose answers, and be cut: what is sent to its address is passed on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// The way. It lasts as long as the runtime on which it was made.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    loses: Arc<AtomicBool>,
    /// Counts how often it was cut.
    cuts: watch::Sender<u32>,
}

impl Wire {
    /// A way to the server at this address, on a port that the kernel gave.
    pub async fn to(server: SocketAddr) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the kernel has a port");
        let address = listener.local_addr().expect("it listens");
        let wire = Wire { address, loses: Arc::default(), cuts: watch::Sender::new(0) };
        let (loses, cuts) = (wire.loses.clone(), wire.cuts.clone());
        Handle::current().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else { continue };
                Handle::current().spawn(connection(client, server, loses.clone(), cuts.subscribe()));
            }
        });
        wire
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next answer is lost, and its connection with it.
    pub fn lose_one_answer(&self) {
        self.loses.store(true, Ordering::SeqCst);
    }

    /// Whether an answer is yet to be lost.
    pub fn is_to_lose(&self) -> bool {
        self.loses.load(Ordering::SeqCst)
    }

    /// All connections break; new ones are possible.
    pub fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }
}

async fn connection(
    client: TcpStream,
    server: TcpStream,
    loses: Arc<AtomicBool>,
    mut cuts: watch::Receiver<u32>,
) {
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        biased;
        _ = cuts.changed() => {}
        () = carry(from_client, to_server, None) => {}
        () = carry(from_server, to_client, Some(loses)) => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, loses: Option<Arc<AtomicBool>>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let is_lost = loses.as_ref().is_some_and(|loses| loses.swap(false, Ordering::SeqCst));
        if is_lost || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
