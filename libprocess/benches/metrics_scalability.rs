//! A great many metrics (upstream: `Metrics_BENCHMARK_Test.Scalability`).
//!
//! 100,000 counters are added, shown as JSON, shown over HTTP, and removed one by one. The comparators: a plain sorted
//! map takes the same names in and gives them up again; a bare actix-web server answers with as many bytes, ready made.
//!
//! For scale: genuine libprocess took 22 s to add them, 0.32 s for a snapshot, 0.49 s over HTTP, and 11.7 s to remove
//! them, on a machine of this kind.

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock};

use actix_web::HttpResponse;
use bytes::Bytes;
use harness::bench::{self, Report, Target, in_turn};
use libprocess::metrics::Counter;
use libprocess::{Metrics, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use support::BareServer;

const METRICS: usize = 100_000;
const ROUNDS: usize = 9;
/// How long each step may take, in ms.
const ALLOWED: f64 = 100.0;

fn main() -> ExitCode {
    let mut report = Report::new("Metrics Scalability", "many counters are added, shown and removed");
    report.note(format!("{METRICS} counters; medians of {ROUNDS}"));
    let names: Vec<String> = (0..METRICS).map(|n| format!("metrics/scalability/{n}")).collect();

    let turns =
        in_turn(ROUNDS, [&mut || milliseconds(|| added(&names)), &mut || milliseconds(|| mapped(&names))]);
    report.figure("a sorted map takes the names", turns.median(1), "ms", Target::None);
    report.figure("counters are added", turns.median(0), "ms", Target::AtMost(ALLOWED));
    report.figure("adding for each of the map", turns.ratio(0, 1), "times", Target::None);

    let shown = added(&names).0;
    let turns = in_turn(
        ROUNDS,
        [
            &mut || milliseconds(|| shown.snapshot().to_json()),
            &mut || libprocess::run(over_http(&names)),
            &mut || libprocess::run(ready_made()),
        ],
    );
    report.figure("the same bytes from bare actix-web", turns.median(2), "ms", Target::None);
    report.figure("a snapshot as JSON", turns.median(0), "ms", Target::None);
    report.figure("a snapshot over HTTP", turns.median(1), "ms", Target::AtMost(ALLOWED));
    report.figure("over HTTP for each of bare actix-web", turns.ratio(1, 2), "times", Target::None);

    let turns = in_turn(ROUNDS, [&mut || removed(&names), &mut || unmapped(&names)]);
    report.figure("a sorted map gives up the names", turns.median(1), "ms", Target::None);
    report.figure("counters are removed", turns.median(0), "ms", Target::AtMost(ALLOWED));
    report.figure("removing for each of the map", turns.ratio(0, 1), "times", Target::None);
    report.verdict()
}

/// How long this takes; what it made is dropped outside of the time.
fn milliseconds<T>(work: impl FnOnce() -> T) -> f64 {
    let began = bench::now();
    let made = work();
    let took = began.elapsed();
    drop(made);
    took.as_secs_f64() * 1e3
}

fn added(names: &[String]) -> (Metrics, Vec<Counter>) {
    let metrics = Metrics::new();
    let counters = names.iter().map(|name| metrics.counter(name)).collect();
    (metrics, counters)
}

fn removed(names: &[String]) -> f64 {
    let (metrics, _counters) = added(names);
    milliseconds(|| assert!(names.iter().all(|name| metrics.remove(name))))
}

fn mapped(names: &[String]) -> BTreeMap<Arc<str>, Arc<AtomicU64>> {
    let mut map = BTreeMap::new();
    for name in names {
        map.insert(Arc::from(name.as_str()), Arc::default());
    }
    map
}

fn unmapped(names: &[String]) -> f64 {
    let mut map = mapped(names);
    milliseconds(|| assert!(names.iter().all(|name| map.remove(name.as_str()).is_some())))
}

/// Milliseconds for `/metrics/snapshot` of a node with all the counters.
async fn over_http(names: &[String]) -> f64 {
    let node: Node = support::node().await;
    let _counters: Vec<Counter> = names.iter().map(|name| node.metrics().counter(name)).collect();
    let took = get(node.address()).await;
    node.shutdown().await;
    took
}

/// The comparator of [`over_http`].
async fn ready_made() -> f64 {
    let server =
        BareServer::start(|| HttpResponse::Ok().content_type("application/json").body(SNAPSHOT.clone()));
    let took = get(server.address).await;
    server.stop().await;
    took
}

/// As many bytes as the counters are as JSON.
static SNAPSHOT: LazyLock<Bytes> = LazyLock::new(|| {
    let json: String = (0..METRICS).map(|n| format!("\"metrics/scalability/{n}\":0.0,")).collect();
    Bytes::from(json)
});

/// Milliseconds from the request to the last byte.
async fn get(from: SocketAddr) -> f64 {
    let mut stream = TcpStream::connect(from).await.expect("the server listens");
    let mut answer = Vec::with_capacity(4 << 20);
    let began = bench::now();
    let request = b"GET /metrics/snapshot HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("the server reads");
    stream.read_to_end(&mut answer).await.expect("the server answers");
    let took = began.elapsed();
    assert!(answer.len() > METRICS * 25, "{} bytes", answer.len());
    took.as_secs_f64() * 1e3
}
