//! The transitions keep the books.

use mesos::v1::TaskState;
use mesos::v1::task_status::Reason;
use mesos::{ExecutorId, MachineKey, TaskId};

use super::testing::{allocated, cluster, now, offer, snapshot, task_of};
use super::*;

fn f() -> FrameworkId {
    FrameworkId::from("f")
}

fn a() -> AgentId {
    AgentId::from("a")
}

fn update(cluster: &mut Cluster, task: &str, state: TaskState) -> Option<(Change, Option<Freed>)> {
    let status = status::by_master(&TaskId::from(task), Some(&a()), state, Reason::Reconciliation, "", now());
    cluster.update_task(&f(), &status, None)
}

fn used(cluster: &Cluster) -> (Resources, Resources) {
    let on_agent = cluster.agent(&a()).unwrap().used.get(&f()).cloned().unwrap_or_default();
    (cluster.framework(&f()).unwrap().used.clone(), on_agent)
}

#[test]
fn a_task_uses_resources_until_it_is_over() {
    let mut cluster = cluster(&["f"], &["a"]);
    cluster.add_task(task_of("t", "f", "a", "cpus:1;mem:32"));
    let resources = allocated("cpus:1;mem:32");
    assert_eq!(used(&cluster), (resources.clone(), resources.clone()));
    assert_eq!(cluster.tally().used.get(0), 1.0);

    let (_, freed) = update(&mut cluster, "t", TaskState::TaskRunning).unwrap();
    assert_eq!(freed, None);
    let (_, freed) = update(&mut cluster, "t", TaskState::TaskFinished).unwrap();
    assert_eq!(freed.unwrap().resources, resources);
    assert_eq!(used(&cluster), Default::default());
    assert_eq!(cluster.tally().used.get(0), 0.0);

    // Removing it after its end frees nothing again.
    assert_eq!(cluster.remove_task(&f(), &TaskId::from("t"), false), None);
    assert_eq!(cluster.framework(&f()).unwrap().completed_tasks.len(), 1);
    assert!(cluster.agent(&a()).unwrap().tasks.is_empty());
}

#[test]
fn a_live_task_that_is_removed_frees_what_it_used() {
    let mut cluster = cluster(&["f"], &["a"]);
    cluster.add_task(task_of("t", "f", "a", "cpus:1"));
    let freed = cluster.remove_task(&f(), &TaskId::from("t"), false).unwrap();
    assert_eq!(freed.resources, allocated("cpus:1"));
    assert_eq!(used(&cluster), Default::default());
}

/// 64 MB that tasks share.
fn shared_volume() -> Resources {
    use v1::resource::{AllocationInfo, DiskInfo, ReservationInfo, SharedInfo, disk_info, reservation_info};
    let persistence = disk_info::Persistence { id: "v".into(), principal: None };
    let mut place = v1::Volume { container_path: "path".into(), ..v1::Volume::default() };
    place.set_mode(v1::volume::Mode::Rw);
    let info = DiskInfo { persistence: Some(persistence), volume: Some(place), source: None };
    let reservation = ReservationInfo {
        r#type: Some(reservation_info::Type::Dynamic.into()),
        role: Some("r".into()),
        ..ReservationInfo::default()
    };
    let mut volume = v1::Resource {
        name: "disk".into(),
        scalar: Some(v1::value::Scalar { value: 64.0 }),
        reservations: vec![reservation],
        disk: Some(info.into()),
        shared: Some(SharedInfo {}),
        allocation_info: Some(AllocationInfo { role: Some("r".into()) }),
        ..v1::Resource::default()
    };
    volume.set_type(v1::value::Type::Scalar);
    Resources::try_from_protos(&[volume]).unwrap()
}

#[test]
fn a_volume_that_tasks_share_is_in_use_once_and_until_the_last_of_them_is_over() {
    let mut cluster = cluster(&["f", "g"], &["a"]);
    let disk = |cluster: &Cluster| cluster.tally().used.get(3);
    let task = |id: &str, framework: &str| {
        let mut task = task_of(id, framework, "a", "cpus:1;disk:8");
        task.resources += &shared_volume();
        task
    };
    let mut seen = Vec::new();
    for (id, framework) in [("t", "f"), ("u", "f"), ("v", "g")] {
        cluster.add_task(task(id, framework));
        seen.push(disk(&cluster));
    }
    assert_eq!(seen, [72.0, 80.0, 88.0]);
    update(&mut cluster, "t", TaskState::TaskFinished).unwrap();
    assert_eq!(disk(&cluster), 80.0);
    cluster.remove_task(&f(), &TaskId::from("u"), false).unwrap();
    assert_eq!(disk(&cluster), 72.0);
    cluster.remove_task(&"g".into(), &TaskId::from("v"), false).unwrap();
    assert_eq!(disk(&cluster), 0.0);
    // All at once, as an agent brings them.
    cluster.remove_agent(&a());
    let tasks = [task("w", "f"), task("x", "f"), task("y", "g")].map(Arc::new).to_vec();
    cluster.add_agent_with(testing::agent("a", "cpus:4;disk:512"), Vec::new(), tasks);
    assert_eq!(disk(&cluster), 88.0);
}

#[test]
fn an_unreachable_task_is_remembered_until_its_agent_reports_it() {
    let mut cluster = cluster(&["f"], &["a"]);
    cluster.add_task(task_of("t", "f", "a", "cpus:1"));
    update(&mut cluster, "t", TaskState::TaskUnreachable).unwrap();
    cluster.remove_task(&f(), &TaskId::from("t"), true);
    assert!(cluster.framework(&f()).unwrap().has_unreachable_task("t"));
    assert_eq!(cluster.tally().tasks_unreachable.load(Relaxed), 1);
    assert_eq!(cluster.frameworks_with_unreachable_tasks(&a()), [f()]);
    assert!(cluster.frameworks_with_unreachable_tasks(&"b".into()).is_empty());
    cluster.forget_past_of(&f(), &a(), &["t"]);
    assert!(cluster.frameworks_with_unreachable_tasks(&a()).is_empty());
    assert!(!cluster.framework(&f()).unwrap().has_unreachable_task("t"));
    assert_eq!(cluster.tally().tasks_unreachable.load(Relaxed), 0);
}

#[test]
fn tasks_that_count_as_unreachable_are_counted_also_when_the_oldest_is_forgotten() {
    let limits = super::Limits { unreachable_tasks: 2, ..Default::default() };
    let mut cluster = super::Cluster::new(limits);
    cluster.add_framework(testing::framework("f"));
    cluster.add_agent(testing::agent("a", "cpus:4"));
    let (mut counted, mut known) = (Vec::new(), Vec::new());
    for (id, state) in [
        ("t1", TaskState::TaskUnreachable),
        ("t2", TaskState::TaskLost),
        ("t3", TaskState::TaskUnreachable),
        ("t4", TaskState::TaskLost),
    ] {
        cluster.add_task(task_of(id, "f", "a", "cpus:1"));
        update(&mut cluster, id, state).unwrap();
        cluster.remove_task(&f(), &TaskId::from(id), true);
        counted.push(cluster.tally().tasks_unreachable.load(Relaxed));
        known.push(cluster.frameworks_with_unreachable_tasks(&a()).len());
    }
    assert_eq!((counted, known), (vec![1, 1, 1, 1], vec![1, 1, 1, 1]));
    // Two of the four are left; without one of these there is another.
    assert_eq!(cluster.take_unreachable_tasks(&f(), |task| task.id.as_str() == "t3").len(), 1);
    assert_eq!(cluster.frameworks_with_unreachable_tasks(&a()), [f()]);
    cluster.complete_framework(&f(), now());
    assert!(cluster.frameworks_with_unreachable_tasks(&a()).is_empty());
    assert_eq!(cluster.tally().tasks_unreachable.load(Relaxed), 0);
}

#[test]
fn what_an_agent_brings_is_in_the_books_as_if_it_were_added_piece_by_piece() {
    let executor = |id: &str, framework: &str| {
        let mut info = testing::executor_task("t", "b", id, "cpus:1", "cpus:0.5").executor.unwrap();
        info.framework_id = Some(v1::FrameworkId { value: framework.into() });
        Executor { info, resources: allocated("cpus:0.5") }
    };
    let task = |id: &str, framework: &str, state: TaskState| {
        let mut task = task_of(id, framework, "b", "cpus:1;mem:32");
        task.proto.state = state.into();
        task
    };
    use TaskState::{TaskFinished as Over, TaskRunning as Runs};
    let of_f = || vec![task("1", "f", Runs), task("2", "f", Over), task("3", "f", Runs)];
    let of_g = || vec![task("1", "g", Runs)];

    let mut pieces = cluster(&["f", "g"], &["a", "b"]);
    pieces.add_executor(&f(), &"b".into(), executor("e", "f"));
    of_f().into_iter().chain(of_g()).for_each(|task| pieces.add_task(task));
    pieces.add_task(task_of("4", "f", "a", "cpus:1"));

    let mut whole = cluster(&["f", "g"], &["a"]);
    whole.add_task(task_of("4", "f", "a", "cpus:1"));
    let [first, second, third] = of_f().try_into().unwrap();
    let tasks = of_g().into_iter().chain([
        first,
        second,
        task("4", "f", Runs),
        task("5", "unknown", Runs),
        third,
        // Twice in one report.
        task("3", "f", Runs),
    ]);
    let executors = vec![executor("e", "f"), executor("e", "unknown")];
    let tasks = tasks.map(Arc::new).collect();
    let brought = whole.add_agent_with(testing::agent("b", "cpus:4;mem:4096"), executors, tasks);
    let added: Vec<_> =
        brought.added.iter().map(|(of, id, state)| (of.as_str(), id.as_str(), *state)).collect();
    assert_eq!(added, [("f", "1", Runs), ("f", "2", Over), ("f", "3", Runs), ("g", "1", Runs)]);
    let refused: Vec<_> = brought.refused.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(refused, ["4", "3"]);

    let books = |cluster: &Cluster| {
        let frameworks = cluster.frameworks().values().map(|state| {
            let mut tasks: Vec<_> = state.tasks.keys().cloned().collect();
            tasks.sort();
            let executors: Vec<_> = state.executors.keys().cloned().collect();
            (state.id.clone(), state.used.clone(), tasks, executors)
        });
        let agents = cluster.agents().values().map(|state| {
            let mut tasks: Vec<_> = state.tasks.keys().cloned().collect();
            tasks.sort();
            let used: Vec<_> = state.used.iter().map(|(of, used)| (of.clone(), used.clone())).collect();
            let executors: Vec<_> = state.executors.keys().cloned().collect();
            (state.id.clone(), used, tasks, executors)
        });
        let tally = cluster.tally();
        let counts = [tally.tasks(Runs), tally.tasks(Over), tally.agents_connected.load(Relaxed)];
        let gauges = [tally.used.get(0), tally.used.get(2), tally.total.get(0)];
        (frameworks.collect::<Vec<_>>(), agents.collect::<Vec<_>>(), counts, gauges)
    };
    assert_eq!(books(&whole), books(&pieces));
    let (_, _, counts, gauges) = books(&whole);
    assert_eq!((counts, gauges), ([3, 1, 2], [4.5, 96.0, 8.0]));
}

#[test]
fn what_is_remembered_of_an_agents_tasks_is_forgotten_when_it_brings_them() {
    let mut cluster = cluster(&["f"], &["a"]);
    for id in ["t", "u"] {
        cluster.add_task(task_of(id, "f", "a", "cpus:1"));
        update(&mut cluster, id, TaskState::TaskUnreachable).unwrap();
        cluster.remove_task(&f(), &TaskId::from(id), true);
    }
    cluster.add_task(task_of("v", "f", "a", "cpus:1"));
    cluster.remove_task(&f(), &TaskId::from("v"), false);
    cluster.remove_agent(&a());
    let tasks = ["t", "v"].map(|id| Arc::new(task_of(id, "f", "a", "cpus:1"))).to_vec();
    cluster.add_agent_with(testing::agent("a", "cpus:4"), Vec::new(), tasks);
    let framework = cluster.framework(&f()).unwrap();
    assert_eq!((framework.unreachable_tasks.len(), framework.completed_tasks.len()), (0, 0));
    assert_eq!(cluster.tally().tasks_unreachable.load(Relaxed), 0);
    assert!(cluster.frameworks_with_unreachable_tasks(&a()).is_empty());
}

#[test]
fn an_executor_that_was_given_up_is_remembered_until_it_or_its_framework_is_over() {
    let mut cluster = cluster(&["f", "g"], &["a"]);
    let executors = ["e", "x"].map(ExecutorId::from);
    let given_up =
        |cluster: &Cluster| cluster.agent(&a()).unwrap().given_up.keys().cloned().collect::<Vec<_>>();
    let key = |framework: &str, executor: &ExecutorId| (FrameworkId::from(framework), executor.clone());
    for executor in &executors {
        cluster.executor_given_up(&a(), &f(), executor);
        cluster.executor_given_up(&a(), &"g".into(), executor);
    }
    assert!(cluster.given_up_has_ended(&a(), &f(), &executors[0]));
    assert!(!cluster.given_up_has_ended(&a(), &f(), &executors[0]));
    let left = [key("f", &executors[1]), key("g", &executors[0]), key("g", &executors[1])];
    assert_eq!(given_up(&cluster), left);
    cluster.compare_given_up(&a(), &left[..2]);
    assert_eq!(given_up(&cluster), left[..2]);
    // The report that lacks the last one may have come late.
    cluster.compare_given_up(&a(), &left);
    assert_eq!(given_up(&cluster), left);
    for _ in 0..2 {
        cluster.compare_given_up(&a(), &left[..2]);
    }
    cluster.compare_given_up(&a(), &left);
    assert_eq!(given_up(&cluster), left[..2]);
    // What is over is over, whether the last report had it or not.
    cluster.compare_given_up(&a(), &[]);
    assert!(given_up(&cluster).is_empty());
    cluster.complete_framework(&f(), now());
    cluster.compare_given_up(&a(), &left);
    assert_eq!(given_up(&cluster), left[1..2]);
    cluster.compare_given_up(&a(), &[]);
    assert!(cluster.given_up_has_ended(&a(), &"g".into(), &executors[0]));
    cluster.compare_given_up(&a(), &left);
    assert!(given_up(&cluster).is_empty());
}

#[test]
fn an_executor_uses_resources_until_it_is_removed() {
    let mut cluster = cluster(&["f"], &["a"]);
    let task = testing::executor_task("t", "a", "e", "cpus:1", "cpus:0.5");
    let executor = Executor { info: task.executor.unwrap(), resources: allocated("cpus:0.5") };
    cluster.add_executor(&f(), &a(), executor);
    let agent = cluster.agent(&a()).unwrap();
    assert!(agent.has_executor(&f(), &ExecutorId::from("e")));
    assert_eq!(agent.executors_of(&f()).count(), 1);
    assert_eq!(agent.executors_of(&FrameworkId::from("e")).count(), 0);
    assert_eq!(used(&cluster).0, allocated("cpus:0.5"));
    let freed = cluster.remove_executor(&f(), &a(), &ExecutorId::from("e")).unwrap();
    assert_eq!(freed.resources, allocated("cpus:0.5"));
    assert_eq!(used(&cluster), Default::default());
    assert_eq!(cluster.remove_executor(&f(), &a(), &ExecutorId::from("e")), None);
}

#[test]
fn offers_are_counted_at_both_ends() {
    let mut cluster = cluster(&["f"], &["a"]);
    cluster.add_offer(offer("o1", "f", "a", "cpus:1"));
    cluster.add_offer(offer("o2", "f", "a", "cpus:2"));
    assert_eq!(cluster.agent(&a()).unwrap().offered, allocated("cpus:3"));
    assert!(cluster.remove_offer(&OfferId::from("o1")).is_some());
    assert!(cluster.remove_offer(&OfferId::from("o1")).is_none());
    assert_eq!(cluster.framework(&f()).unwrap().offered, allocated("cpus:2"));
    assert_eq!(cluster.tally().offers.load(Relaxed), 1);
}

#[test]
fn a_removed_agent_is_known_as_removed_until_it_returns() {
    let mut cluster = cluster(&[], &["a"]);
    let pid = cluster.agent(&a()).unwrap().pid.clone();
    let agent = cluster.remove_agent(&a()).unwrap();
    assert!(cluster.is_removed_agent(&a()));
    assert!(cluster.agent_at(&pid).is_none());
    assert_eq!(cluster.tally().total.get(0), 0.0);
    cluster.add_unreachable_agent(a(), mesos::tasks::time_info(now()));
    cluster.add_agent(Arc::unwrap_or_clone(agent));
    assert!(!cluster.is_removed_agent(&a()));
    assert!(!cluster.unreachable_agents().contains_key(&a()));
    assert_eq!(cluster.agent_at(&pid).unwrap().id, a());
    assert_eq!(cluster.tally().total.get(0), 4.0);
}

/// What the index must say: all agents are looked at.
fn looked_for(cluster: &Cluster, machine: &MachineKey) -> Vec<AgentId> {
    let on_it = cluster.agents().values().filter(|agent| &agent.machine() == machine);
    on_it.map(|agent| agent.id.clone()).collect()
}

#[test]
fn agents_are_found_by_their_machine_also_when_they_return_on_another() {
    let key = |hostname: &str, ip: &str| {
        MachineKey::from(&v1::MachineId { hostname: Some(hostname.into()), ip: Some(ip.into()) })
    };
    let machines = [key("host", "10.0.0.1"), key("host", "10.0.0.2"), key("other", "10.0.0.1"), key("", "")];
    let at = |id: &str, hostname: &str, ip: [u8; 4]| {
        let testing = testing::agent(id, "cpus:1");
        let total = testing.total.clone();
        Introduction {
            id: testing.id,
            info: v1::AgentInfo { hostname: hostname.into(), ..(*testing.info).clone() },
            pid: Pid::new("slave(1)", (ip, 5051).into()),
            version: testing.version,
            capabilities: Vec::new(),
            resource_version: None,
            resources: AgentResources { checkpointed: Resources::default(), total },
        }
    };
    let (one, two) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let mut cluster = Cluster::default();
    let check = |cluster: &Cluster, expected: [&[&str]; 3]| {
        for (machine, expected) in machines.iter().zip(expected.into_iter().chain([&[][..]])) {
            let found: Vec<&AgentId> = cluster.machines().agents_on(machine).collect();
            assert_eq!(found.iter().map(|id| id.as_str()).collect::<Vec<_>>(), expected, "{machine}");
            assert_eq!(found, looked_for(cluster, machine).iter().collect::<Vec<_>>());
        }
        assert_eq!(cluster.machines().len(), cluster.agents().size());
    };
    for (id, hostname, ip) in
        [("b", "host", one), ("a", "HOST", one), ("c", "host", two), ("d", "other", one)]
    {
        cluster.add_agent(Agent::new(at(id, hostname, ip), now()));
    }
    check(&cluster, [&["a", "b"], &["c"], &["d"]]);
    let before = cluster.machines().clone();
    // Another address; another name; the same place again.
    cluster.update_agent(at("a", "host", two), now());
    cluster.update_agent(at("b", "other", one), now());
    cluster.update_agent(at("c", "host", two), now());
    check(&cluster, [&[], &["a", "c"], &["b", "d"]]);
    cluster.remove_agent(&"c".into());
    cluster.remove_agent(&"c".into());
    cluster.update_agent(at("c", "host", one), now());
    check(&cluster, [&[], &["a"], &["b", "d"]]);
    assert_eq!(before.agents_on(&machines[0]).count(), 2, "what a reader has stays as it was");
}

#[test]
fn a_completed_framework_is_remembered() {
    let mut cluster = cluster(&["f"], &[]);
    cluster.complete_framework(&f(), now());
    assert!(cluster.framework(&f()).is_none());
    assert!(cluster.is_completed(&f()));
    assert_eq!(cluster.tally().frameworks_connected.load(Relaxed), 0);
    assert_eq!(cluster.tally().frameworks_active.load(Relaxed), 0);
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let mut cluster = cluster(&["f"], &["a"]);
    cluster.add_task(task_of("t", "f", "a", "cpus:1"));
    let before = snapshot(&cluster);
    update(&mut cluster, "t", TaskState::TaskRunning).unwrap();
    cluster.add_task(task_of("u", "f", "a", "cpus:1"));
    let framework = before.frameworks.get(&f()).unwrap();
    assert_eq!(framework.tasks.size(), 1);
    assert_eq!(framework.tasks.get("t").unwrap().state(), TaskState::TaskStaging);
    assert_eq!(cluster.task(&f(), "t").unwrap().state(), TaskState::TaskRunning);
    assert!(cluster.version() > before.version);
}

#[test]
fn a_snapshot_is_as_large_as_there_are_agents_frameworks_with_their_roles_tasks_weights_and_quotas() {
    let mut cluster = cluster(&["f", "idle", "over"], &["a"]);
    assert_eq!(snapshot(&cluster).size(), 3 * 2 + 1);
    cluster.add_task(task_of("t", "f", "a", "cpus:1"));
    cluster.complete_framework(&"over".into(), now());
    assert_eq!(snapshot(&cluster).size(), 8);
    cluster.remove_task(&f(), &TaskId::from("t"), false);
    assert_eq!(snapshot(&cluster).size(), 8, "a task that is over is remembered");
    cluster.set_weights([("r".to_owned(), 2.0), ("s".to_owned(), 3.0)].into());
    cluster.set_quota("r".to_owned(), Default::default());
    assert_eq!(snapshot(&cluster).size(), 11);
}
