//! How many small requests a node answers, and how quick it is with many metrics: figures, not checks of every run.
//! `cargo test --release -p libprocess --test http -- --ignored --nocapture throughput`

use super::*;

/// Requests of each measurement.
const REQUESTS: usize = if cfg!(debug_assertions) { 1_024 } else { 20_480 };

/// Requests a second, sent on `connections` with `window` of them unanswered on each.
async fn measure(f: &Fixture, path: &str, connections: usize, window: usize) -> f64 {
    let request =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 256\r\n\r\n{}", "x".repeat(256));
    let batch = request.repeat(window);
    let rounds = REQUESTS / connections / window;
    let start = tokio::time::Instant::now();
    let clients = (0..connections).map(|_| async {
        let mut socket = f.connect().await;
        let mut buffer = vec![0; 64 << 10];
        for _ in 0..rounds {
            socket.write_all(batch.as_bytes()).await.unwrap();
            let (mut answers, mut kept) = (0, 0);
            while answers < window {
                let read = socket.read(&mut buffer[kept..]).await.unwrap();
                assert!(read > 0, "closed");
                let seen = kept + read;
                let mut counted = 0;
                while let Some(at) = buffer[counted..seen].windows(4).position(|w| w == b"\r\n\r\n") {
                    answers += 1;
                    counted += at + 4;
                }
                // The end of a head may be cut in two.
                let from = counted.max(seen.saturating_sub(3));
                buffer.copy_within(from..seen, 0);
                kept = seen - from;
            }
        }
    });
    futures::future::join_all(clients).await;
    (rounds * window * connections) as f64 / start.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a measurement: needs an optimised build and an idle machine"]
fn throughput() {
    with_node(|f| async move {
        for (connections, window) in [(1, 1), (1, 32), (8, 1), (8, 32), (64, 1), (64, 8)] {
            let rate = measure(&f, "/api/v1", connections, window).await;
            println!("{connections} connections, {window} requests in flight on each: {rate:.0} a second");
            assert!(cfg!(debug_assertions) || connections == 1 || rate > 15_000.0, "{rate} a second");
        }
    });
}

/// Upstream's `Metrics Scalability`: so many counters.
const METRICS: usize = 100_000;

#[test]
#[ignore = "a measurement: needs an optimised build and an idle machine"]
fn throughput_of_metrics() {
    // Twice, since the memory of the first is new; each on a node of its own, which answers two snapshots a second.
    for _ in 0..2 {
        with_node(|f| async move {
            let metrics = f.node.metrics();
            let names: Vec<String> = (0..METRICS).map(|n| format!("metrics/key{n}")).collect();
            let timed = tokio::time::Instant::now;
            let start = timed();
            let counters: Vec<_> = names.iter().map(|name| metrics.counter(name)).collect();
            let added = start.elapsed();

            let start = timed();
            let snapshot = f.get("/metrics/snapshot").await;
            let shown = start.elapsed();
            assert!(snapshot.contains(r#""metrics/key99999":0.0"#));

            let start = timed();
            let text = f.get("/metrics").await;
            let exposed = start.elapsed();
            assert!(text.contains("metrics_key99999_total 0"));

            let start = timed();
            assert!(names.iter().all(|name| metrics.remove(name)));
            let removed = start.elapsed();
            drop(counters);

            println!(
                "{METRICS} counters: added in {added:?}, snapshot over HTTP {shown:?}, for Prometheus {exposed:?}, removed in {removed:?}"
            );
            let most = Duration::from_millis(100);
            assert!(cfg!(debug_assertions) || added.max(shown).max(removed) <= most);
        });
    }
}
