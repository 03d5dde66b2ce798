//! What genuine Mesos answered, and what we answer: every recorded pair is like ours, or is listed with the reason.
//!
//! `UPDATE_DOCS=1` writes `integration/recorded/differences.tsv` (of pairs that are new there the kind and the reason
//! remain to be written) and `docs/compatibility.md` anew.

use integration::recorded::differences::{self, Seen};
use integration::recorded::{folder, replay, step};
use integration::{AgentSpec, Cluster};

/// The resources of the recording's agent.
const RESOURCES: &str = "cpus:4;mem:4096;disk:1000;ports:[31000-31100]";

/// A master and an agent as the recording had them; they offer more often, which is the same at another speed.
async fn cluster() -> Cluster {
    let mut cluster = Cluster::empty();
    let log_dir = format!("--log_dir={}", cluster.folder().join("log").display());
    cluster.add_master(&["--hostname=localhost", "--allocation_interval=20ms", &log_dir]).await;
    cluster.add_agent(&AgentSpec::new(RESOURCES));
    cluster.wait_for_agents(1).await;
    cluster
}

/// Repeats a file of the recording against these daemons.
async fn repeat(cluster: &Cluster, file: &str) {
    let steps = step::read(&folder().join(format!("{file}.jsonl")));
    let seen: Seen = replay::run(cluster, &steps).await;
    assert!(seen.len() > 50, "{file}: only {} pairs", seen.len());
    let wrong = differences::check(&seen);
    assert!(wrong.is_empty(), "{file}: {} of {} pairs:\n{}", wrong.len(), seen.len(), wrong.join("\n"));
}

#[test]
fn endpoints_at_rest() {
    libprocess::run(async { repeat(&cluster().await, "endpoints").await });
}

#[test]
fn operator_calls_at_rest() {
    libprocess::run(async { repeat(&cluster().await, "operator").await });
}

#[test]
fn what_operators_change() {
    libprocess::run(async { repeat(&cluster().await, "mutating").await });
}

#[test]
fn a_framework_from_subscribe_to_teardown() {
    libprocess::run(async { repeat(&cluster().await, "scheduler").await });
}
