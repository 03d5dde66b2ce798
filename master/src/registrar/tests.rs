//! The registrar as an actor: batches, failures, and what survives.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures::FutureExt;
use futures::future::BoxFuture;
use libprocess::http::{Request, dispatch};
use libprocess::{Address, Node, promise};
use mesos::AgentId;
use parking_lot::Mutex;

use super::*;

fn info(id: &str) -> v1::AgentInfo {
    v1::AgentInfo { id: Some(v1::AgentId { value: id.into() }), hostname: "h".into(), ..Default::default() }
}

fn admit(id: &str) -> Operation {
    Operation::AdmitAgent { info: Box::new(info(id)) }
}

async fn apply(registrar: &Address<Registrar>, operation: Operation) -> Result<bool, RegistrarError> {
    let (reply, answer) = promise();
    registrar.tell(Apply { operation, reply });
    answer.await.unwrap()
}

pub(super) async fn recover(registrar: &Address<Registrar>) -> Result<Registry, RegistrarError> {
    recover_with(registrar, &mesos::MasterCapabilities::ALL).await
}

async fn recover_with(
    registrar: &Address<Registrar>,
    capabilities: &mesos::MasterCapabilities,
) -> Result<Registry, RegistrarError> {
    let (reply, answer) = promise();
    let capabilities = capabilities.to_protos();
    let info = v1::MasterInfo { id: "m".into(), ip: 1, port: 5050, capabilities, ..Default::default() };
    registrar.tell(Recover { info, node: None, reply });
    answer.await.unwrap()
}

async fn offline() -> Node {
    Node::builder().offline().start().await.unwrap()
}

fn start(node: &Node, storage: impl Storage, timeouts: Timeouts) -> Address<Registrar> {
    node.spawn_numbered(Registrar::new(Box::new(storage), timeouts, node.metrics()))
}

/// One of several that keep the registry in the same folder, one after the other.
fn start_in(node: &Node, folder: &Path) -> Address<Registrar> {
    start(node, Local::open(node, folder).unwrap(), Timeouts::default())
}

async fn end(registrar: Address<Registrar>) {
    registrar.terminate();
    registrar.wait().await;
}

/// Counts writes, takes a second for each, and fails when told to.
struct Slow {
    writes: Arc<AtomicUsize>,
    fail_at: usize,
}

impl Storage for Slow {
    fn name(&self) -> String {
        "slow".into()
    }

    fn load(&mut self, _: Option<Membership>) -> BoxFuture<'static, Result<Vec<Record>, StorageError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn store(&mut self, _: Vec<Change>) -> BoxFuture<'static, Result<(), StorageError>> {
        let write = self.writes.fetch_add(1, Relaxed) + 1;
        let fails = write == self.fail_at;
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let error = StorageError { place: "slow".into(), reason: "no space".into() };
            if fails { Err(error) } else { Ok(()) }
        }
        .boxed()
    }
}

/// On a node of its own. Returns the number of its writes, too.
async fn start_slow(fail_at: usize) -> (Node, Address<Registrar>, Arc<AtomicUsize>) {
    let (node, writes) = (offline().await, Arc::<AtomicUsize>::default());
    let registrar = start(&node, Slow { writes: writes.clone(), fail_at }, Timeouts::default());
    (node, registrar, writes)
}

/// `RegistrarTest.Recover`.
#[test]
fn operations_that_wait_are_stored_together() {
    libprocess::testing::run(async {
        let (node, registrar, writes) = start_slow(usize::MAX).await;
        assert!(matches!(apply(&registrar, admit("early")).await, Err(RegistrarError::NotRecovered)));
        assert!(recover(&registrar).await.unwrap().master.is_none());

        let answers: Vec<_> = (0..100).map(|n| apply(&registrar, admit(&format!("a{}", n % 99)))).collect();
        let answers = futures::future::join_all(answers).await;
        assert_eq!(answers.iter().filter(|answer| *answer.as_ref().unwrap()).count(), 99, "one came twice");
        // The leader, the first operation, and all that came meanwhile.
        assert_eq!(writes.load(Relaxed), 3);
        // What changes nothing is not stored.
        assert!(!apply(&registrar, admit("a1")).await.unwrap());
        assert_eq!(writes.load(Relaxed), 3);
        node.shutdown().await;
    });
}

/// Ten times as many as a store may take within its time are answered all the same.
#[test]
fn what_waits_is_stored_in_batches_of_a_bounded_size() {
    libprocess::testing::run(async {
        let (node, registrar, writes) = start_slow(usize::MAX).await;
        recover(&registrar).await.unwrap();
        let answers = (0..2 * LARGEST_BATCH + 2).map(|n| apply(&registrar, admit(&format!("a{n}"))));
        let answers = futures::future::join_all(answers).await;
        assert!(answers.into_iter().all(|answer| answer.unwrap()));
        // The leader, the first operation, two full batches, and the one that is left.
        assert_eq!(writes.load(Relaxed), 5);
        node.shutdown().await;
    });
}

/// Of each what is not stored in one transaction can be noted. For both together there might be no room.
#[test]
fn what_is_large_is_stored_by_itself() {
    libprocess::testing::run(async {
        let (node, registrar, writes) = start_slow(usize::MAX).await;
        recover(&registrar).await.unwrap();
        let weigh = |of: &str| {
            let info = |role: usize| v1::WeightInfo { role: Some(format!("{of}{role}")), weight: 2.0 };
            Operation::UpdateWeights { weights: (0..LARGEST_BATCH).map(info).collect() }
        };
        let operations = [admit("a"), weigh("x"), weigh("y"), admit("b"), admit("c")];
        let answers = operations.map(|operation| apply(&registrar, operation));
        let answers = futures::future::join_all(answers).await;
        assert!(answers.into_iter().all(|answer| answer.unwrap()));
        // The leader, the first operation, each of the large ones, and those that are left.
        assert_eq!(writes.load(Relaxed), 5);
        node.shutdown().await;
    });
}

async fn shown(node: &Node) -> (u16, serde_json::Value) {
    let response = dispatch(node, Request::new(http::Method::GET, "/registrar(1)/registry")).await;
    let status = response.status.as_u16();
    (status, serde_json::from_slice(&response.body.collect().await).unwrap_or_default())
}

#[test]
fn the_registry_is_shown_as_it_is_stored_and_its_size_is_that_of_what_is_there() {
    libprocess::testing::run(async {
        let (node, registrar, _) = start_slow(5).await;
        assert_eq!(shown(&node).await, (200, serde_json::json!({})));
        // Found by simulation: that it is asked for as a script holds at any time.
        for recovered in [false, true] {
            if recovered {
                recover(&registrar).await.unwrap();
            }
            let request = Request::new(http::Method::GET, "/registrar(1)/registry?jsonp=show");
            let response = dispatch(&node, request).await;
            assert_eq!(response.headers["content-type"], "text/javascript");
            assert!(response.body.collect().await.starts_with(b"show({"));
        }
        let size = || node.metrics().value("registrar/registry_size_bytes").unwrap();
        let empty = size();
        assert!(empty > 0.0, "the leader is in it");

        let (began, admitting) = (node.elapsed(), apply(&registrar, admit("a")));
        let (admitted, (_, registry)) = futures::future::join(admitting, shown(&node)).await;
        assert!(admitted.unwrap());
        assert_eq!(node.elapsed() - began, Duration::from_secs(1), "it was waited for");
        assert_eq!(registry["slaves"]["slaves"][0]["info"]["id"]["value"], "a");
        let one = size();
        assert!(one > empty);
        for id in ["b", "a"] {
            let operation = match id {
                "b" => admit(id),
                _ => Operation::RemoveAgent { id: id.into() },
            };
            assert!(apply(&registrar, operation).await.unwrap());
        }
        assert_eq!(size(), one);

        let (failed, (status, _)) = futures::future::join(apply(&registrar, admit("c")), shown(&node)).await;
        assert!(failed.is_err());
        assert_eq!(status, 503);
        assert_eq!(size(), one);
        node.shutdown().await;
    });
}

/// `RegistrarTest.StoreTimeout`, `RegistrarTest.Abort`.
#[test]
fn a_store_that_fails_or_takes_too_long_is_the_end() {
    libprocess::testing::run(async {
        let (node, registrar, writes) = start_slow(2).await;
        recover(&registrar).await.unwrap();
        // The second one waits while the first is stored.
        let both = futures::future::join(apply(&registrar, admit("a")), apply(&registrar, admit("b"))).await;
        for answer in [both.0, both.1, apply(&registrar, admit("c")).await] {
            assert_eq!(answer.unwrap_err().to_string(), "slow: no space");
        }
        assert_eq!(writes.load(Relaxed), 2, "nothing more is tried");

        let storage = Slow { writes: Arc::default(), fail_at: usize::MAX };
        let timeouts = Timeouts { store: Duration::from_millis(500), ..Timeouts::default() };
        let registrar = start(&node, storage, timeouts);
        let late = "slow took more than 500ms to store";
        assert_eq!(recover(&registrar).await.unwrap_err().to_string(), late);
        assert_eq!(apply(&registrar, admit("a")).await.unwrap_err().to_string(), late);
        node.shutdown().await;
    });
}

/// `RegistrarTest.Bootstrap`.
#[test]
fn the_next_master_finds_what_the_last_one_stored() {
    libprocess::run(async {
        let (node, folder) = (offline().await, tempfile::tempdir().unwrap());
        let first = start_in(&node, folder.path());
        recover(&first).await.unwrap();
        for id in ["a", "b"] {
            assert!(apply(&first, admit(id)).await.unwrap());
        }
        let since = v1::TimeInfo { nanoseconds: 5 };
        let unreachable = Operation::MarkAgentUnreachable { info: Box::new(info("b")), since };
        assert!(apply(&first, unreachable).await.unwrap());
        end(first).await;

        let registry = recover(&start_in(&node, folder.path())).await.unwrap();
        assert_eq!(registry.master.unwrap().info.id, "m");
        let admitted: Vec<_> =
            registry.slaves.unwrap().slaves.into_iter().map(|agent| agent.info.id.unwrap().value).collect();
        assert_eq!(admitted, ["a"]);
        assert_eq!(AgentId::from(&registry.unreachable.unwrap().slaves[0].id), AgentId::from("b"));
        node.shutdown().await;
    });
}

#[test]
fn what_operators_decided_of_an_agent_and_of_machines_is_found_by_the_next_master() {
    libprocess::run(async {
        let (node, folder) = (offline().await, tempfile::tempdir().unwrap());
        let first = start_in(&node, folder.path());
        recover(&first).await.unwrap();
        let window = v1::maintenance::Window {
            machine_ids: vec![v1::MachineId { hostname: Some("h".into()), ip: None }],
            unavailability: v1::Unavailability { start: v1::TimeInfo { nanoseconds: 1 }, duration: None },
        };
        let schedule = v1::maintenance::Schedule { windows: vec![window] };
        let config = v1::DrainConfig { mark_gone: Some(true), ..Default::default() };
        for operation in [
            admit("a"),
            admit("b"),
            Operation::DrainAgent { id: "a".into(), config },
            Operation::DeactivateAgent { id: "b".into() },
            Operation::MarkAgentUnreachable {
                info: Box::new(info("b")),
                since: v1::TimeInfo { nanoseconds: 1 },
            },
            Operation::UpdateSchedule { schedule: schedule.clone() },
            Operation::StartMaintenance { machines: schedule.windows[0].machine_ids.clone() },
        ] {
            assert!(apply(&first, operation).await.unwrap());
        }
        end(first).await;

        let registry = recover(&start_in(&node, folder.path())).await.unwrap();
        let admitted = registry.slaves.unwrap().slaves;
        assert_eq!(admitted[0].drain_info.as_ref().unwrap().state(), v1::DrainState::Draining);
        assert!(admitted[0].deactivated() && admitted.len() == 1);
        assert!(registry.unreachable.unwrap().slaves[0].deactivated());
        assert_eq!(registry.schedules, [schedule]);
        assert_eq!(registry.machines.unwrap().machines[0].info.mode(), v1::machine_info::Mode::Down);
        node.shutdown().await;
    });
}

/// The last leader died between two transactions of a large schedule: one of two machines was stored, the schedule was not.
#[test]
fn of_a_plan_for_maintenance_that_was_stored_in_part_nothing_is_left() {
    /// What a leader has left, and what the next one writes.
    struct Left {
        records: Vec<Record>,
        written: Arc<Mutex<Vec<Change>>>,
    }
    impl Storage for Left {
        fn name(&self) -> String {
            "left".into()
        }

        fn load(&mut self, _: Option<Membership>) -> BoxFuture<'static, Result<Vec<Record>, StorageError>> {
            let records = self.records.clone();
            async { Ok(records) }.boxed()
        }

        fn store(&mut self, changes: Vec<Change>) -> BoxFuture<'static, Result<(), StorageError>> {
            self.written.lock().extend(changes);
            async { Ok(()) }.boxed()
        }
    }
    libprocess::testing::run(async {
        let node = offline().await;
        let id = v1::MachineId { hostname: Some("h".into()), ip: None };
        let mode = Some(v1::machine_info::Mode::Draining.into());
        let info = v1::MachineInfo { id, mode, unavailability: None };
        let record = mesos::wire::encode(&mesos::internal::registry::Machine { info });
        let written = Arc::<Mutex<Vec<Change>>>::default();
        let storage = Left { records: vec![("machine//h".into(), record)], written: written.clone() };
        let registrar = start(&node, storage, Timeouts::default());
        let registry = recover(&registrar).await.unwrap();
        assert!(registry.machines.unwrap().machines.is_empty());
        let written = std::mem::take(&mut *written.lock());
        assert_eq!(
            written.iter().map(|change| change.key.as_str()).collect::<Vec<_>>(),
            ["master", "machine//h"]
        );
        assert_eq!(written[1].value, None);
        node.shutdown().await;
    });
}

/// Upstream: `MasterTest.RecoverWithMinimumCapability`.
#[test]
fn a_master_that_lacks_what_the_registry_demands_is_told_so_and_writes_nothing() {
    libprocess::run(async {
        let (node, folder) = (offline().await, tempfile::tempdir().unwrap());
        let newer = start_in(&node, folder.path());
        recover(&newer).await.unwrap();
        assert!(apply(&newer, admit("a")).await.unwrap());
        assert!(apply(&newer, Operation::DeactivateAgent { id: "a".into() }).await.unwrap());
        end(newer).await;

        let older = start_in(&node, folder.path());
        let capabilities = mesos::MasterCapabilities { quota_v2: true, ..Default::default() };
        let error = recover_with(&older, &capabilities).await.unwrap_err().to_string();
        assert!(error.contains("lacks AGENT_DRAINING, which the registry in"), "{error}");
        assert!(error.contains(FILE), "{error}");
        assert!(matches!(apply(&older, admit("b")).await, Err(RegistrarError::NotRecovered)));
        end(older).await;

        let registry = recover(&start_in(&node, folder.path())).await.unwrap();
        assert_eq!(registry.master.unwrap().info.capabilities.len(), 3, "it was not the leader");
        node.shutdown().await;
    });
}

/// `RegistrarTest.FetchTimeout`.
#[test]
fn a_fetch_that_takes_too_long_is_the_end() {
    /// Never answers.
    struct Stuck;
    impl Storage for Stuck {
        fn name(&self) -> String {
            "stuck".into()
        }

        fn load(&mut self, _: Option<Membership>) -> BoxFuture<'static, Result<Vec<Record>, StorageError>> {
            futures::future::pending().boxed()
        }

        fn store(&mut self, _: Vec<Change>) -> BoxFuture<'static, Result<(), StorageError>> {
            futures::future::pending().boxed()
        }
    }
    libprocess::testing::run(async {
        let node = offline().await;
        let timeouts = Timeouts { fetch: Duration::from_secs(10), ..Timeouts::default() };
        let registrar = start(&node, Stuck, timeouts);
        let error = recover(&registrar).await.unwrap_err().to_string();
        assert_eq!(error, "stuck took more than 10s to fetch");
        assert!(matches!(apply(&registrar, admit("a")).await, Err(RegistrarError::NotRecovered)));
        node.shutdown().await;
    });
}
