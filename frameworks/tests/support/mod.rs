//! Ways to an agent or a master on which connections break.

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// A way to a server whose first connection breaks under its first request; the others hold.
pub(crate) async fn lead_astray(way: TcpListener, server: String) {
    let (mut first, _) = way.accept().await.unwrap();
    assert!(first.read(&mut [0; 64]).await.unwrap() > 0);
    drop(first);
    while let (Ok((mut here, _)), Ok(mut there)) = (way.accept().await, TcpStream::connect(&server).await) {
        tokio::task::spawn_local(async move { copy_bidirectional(&mut here, &mut there).await });
    }
}

/// A way to a server whose second connection is closed before anything was asked on it, which it tells when the other
/// end knows; the others hold.
pub(crate) async fn hang_up(way: TcpListener, server: String, known: oneshot::Sender<()>) {
    let mut known = Some(known);
    for number in 1.. {
        let (Ok((mut here, _)), Ok(mut there)) = (way.accept().await, TcpStream::connect(&server).await)
        else {
            return;
        };
        if number == 2 {
            here.shutdown().await.unwrap();
            assert_eq!(here.read(&mut [0; 64]).await.unwrap(), 0);
            let _ = known.take().unwrap().send(());
        } else {
            tokio::task::spawn_local(async move { copy_bidirectional(&mut here, &mut there).await });
        }
    }
}
