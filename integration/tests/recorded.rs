//! What genuine Mesos answered, and what we answer: every recorded pair is like ours, or is listed with the reason.
//!
//! `UPDATE_DOCS=1` writes `integration/recorded/differences.tsv` (of pairs that are new there the kind and the reason
//! remain to be written) and `docs/compatibility.md` anew.

use std::path::PathBuf;

use integration::recorded::differences::{self, Seen};
use integration::recorded::{self, FILES, compare, replay, table};
use integration::{AgentSpec, Cluster, binary};

fn update() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some()
}

/// The resources of the recording's agent.
const RESOURCES: &str = "cpus:4;mem:4096;disk:1000;ports:[31000-31100]";

/// A master and an agent as the recording had them; they offer more often, which is the same at another speed.
async fn cluster() -> Cluster {
    let cluster = Cluster::empty();
    let log_dir = format!("--log_dir={}", cluster.folder().join("log").display());
    with_an_agent(cluster, Some(&log_dir)).await
}

async fn with_an_agent(mut cluster: Cluster, log_dir: Option<&str>) -> Cluster {
    let mut flags = vec!["--hostname=localhost", "--allocation_interval=20ms"];
    flags.extend(log_dir);
    cluster.add_master(&flags).await;
    let agent = AgentSpec::new(RESOURCES);
    cluster.add_agent(&log_dir.into_iter().fold(agent, AgentSpec::with));
    cluster.wait_for_agents(1).await;
    cluster
}

/// Repeats a file of the recording against these daemons.
async fn repeat(cluster: &Cluster, file: &str) {
    let steps = recorded::steps(file);
    let seen: Seen = replay::run(cluster, &steps).await;
    assert!(seen.len() > 50, "{file}: only {} pairs", seen.len());
    let wrong = differences::check(&seen);
    if update() {
        write_table();
    }
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

/// What the other files have only errors of.
#[test]
fn what_succeeds() {
    libprocess::run(async { repeat(&cluster().await, "successes").await });
}

/// The recording's daemons knew users (and logged to no file); ours know none yet, and answer everybody.
#[test]
fn who_is_asked_for_a_password() {
    libprocess::run(async { repeat(&with_an_agent(Cluster::empty(), None).await, "auth").await });
}

/// `docs/compatibility.md` as it should be.
fn table() -> String {
    let pairs = table::pairs(FILES.iter().flat_map(|file| recorded::steps(file)));
    table::render(&pairs, &differences::read())
}

fn write_table() {
    std::fs::write(document(), table()).expect("the repository is ours");
}

fn document() -> PathBuf {
    binary::workspace().join("docs/compatibility.md")
}

/// Made of the recording and of the list of differences; that the list is right the other tests find out.
#[test]
fn the_table_of_compatibility_is_what_was_recorded() {
    if update() {
        write_table();
    }
    let (rendered, written) = (table(), std::fs::read_to_string(document()).unwrap_or_default());
    let differs = written.lines().zip(rendered.lines()).find(|(written, rendered)| written != rendered);
    assert!(
        written == rendered,
        "docs/compatibility.md is out of date; UPDATE_DOCS=1 writes it anew. First difference: {differs:?}"
    );
}

/// A pair that is listed and that nobody sends would never be looked at again.
#[test]
fn what_is_listed_was_recorded() {
    let pairs = table::pairs(FILES.iter().flat_map(|file| recorded::steps(file)));
    let unknown: Vec<_> = differences::read()
        .into_keys()
        .filter(|(group, name)| !pairs.iter().any(|pair| pair.group == *group && pair.name == *name))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn what_was_recorded_can_be_read() {
    let pairs = table::pairs(FILES.iter().flat_map(|file| recorded::steps(file)));
    let values = pairs.iter().filter(|pair| {
        let kind = compare::recorded_header(pair, "Content-Type").unwrap_or_default();
        let is_value = ["application/json", "application/x-protobuf", "text/javascript"].contains(&kind);
        is_value && !pair.left_out && pair.request.method != "HEAD"
    });
    let wrong: Vec<String> = values
        .filter_map(|pair| {
            let first = compare::meaning_of(pair);
            let all = if compare::is_stream(pair) { compare::recorded_events(pair) } else { Ok(vec![]) };
            Some(format!("{} {}: {}", pair.group, pair.name, first.err().or(all.err())?))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
