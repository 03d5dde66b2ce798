//! The loop behind every listener, whatever it listens on: who connects is admitted, or refused if there are too many,
//! and served until the connection or the node ends.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::crowd::{Crowd, Visit};
use crate::node::Node;

/// After an accept that failed (no file descriptors, mostly).
const RETRY: Duration = Duration::from_millis(100);

/// Accepts until the node stops, or `next` says that nobody will come any more. Runs on an arbiter.
pub(crate) async fn accept<S, F>(
    node: &Node,
    mut next: impl AsyncFnMut() -> io::Result<Option<(S, SocketAddr)>>,
    refuse: impl Fn(&S),
    serve: impl Fn(S, SocketAddr, Visit) -> F,
) where
    F: Future<Output = ()> + 'static,
{
    let crowd = Crowd::new(node.settings().limits.clone());
    let mut stopped = std::pin::pin!(node.stopped());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopped => return,
            accepted = next() => accepted,
        };
        match accepted {
            Ok(None) => return,
            Ok(Some((stream, peer))) => match crowd.admit(peer.ip()) {
                None => {
                    tracing::debug!(%peer, "refusing a connection: there are too many");
                    refuse(&stream);
                }
                Some(visit) => {
                    let (stopped, activity) = (node.stopped(), Rc::clone(visit.activity()));
                    // Boxed, or the task had room for it twice: where it is brought, and where it is polled.
                    let serving = Box::pin(serve(stream, peer, visit));
                    actix_rt::spawn(async move {
                        tokio::select! {
                            biased;
                            // First, so that it can give away the answers that it has when the node stops.
                            () = serving => {}
                            () = stopped => {}
                            () = activity.must_leave() => {
                                tracing::debug!(%peer, "closing a connection: there are too many");
                            }
                        }
                    });
                }
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
