//! What frameworks are told when they ask for their tasks (upstream: `reconciliation_tests.cpp`). All six answers:
//! `calls/reconcile.rs`.

use std::time::Duration;

use libprocess::testing;
use mesos::internal::{StatusUpdate, StatusUpdateMessage, UnregisterSlaveMessage};
use mesos::tasks::time_info;
use mesos::v1::scheduler::event::Type;
use mesos::v1::task_status::{Reason, Source};
use mesos::v1::{self, TaskState};
use serde_json::json;

use super::agents::running_task;
use super::partition::{asked, lose, unaware, updates};
use super::shelf::{Shelf, patient};
use super::{Cluster, Scheduler, info, task};
use crate::Settings;

/// So many that they are answered for in three slices.
fn many() -> Vec<String> {
    (0..1_201).map(|number| format!("t{number}")).collect()
}

/// The tasks that a scheduler is told of, in order.
async fn told(scheduler: &mut Scheduler<'_>) -> Vec<String> {
    updates(scheduler).await.into_iter().map(|status| status.task_id.value).collect()
}

/// Asks for all tasks.
async fn ask_for_all(scheduler: &mut Scheduler<'_>) -> Vec<v1::TaskStatus> {
    assert_eq!(scheduler.call("RECONCILE", json!({ "tasks": [] })).await.0, 202);
    updates(scheduler).await
}

/// Asks for one task.
async fn ask(scheduler: &mut Scheduler<'_>, agent: &str) -> Vec<v1::TaskStatus> {
    let tasks = json!([{ "task_id": { "value": "x" }, "agent_id": { "value": agent } }]);
    assert_eq!(scheduler.call("RECONCILE", json!({ "tasks": tasks })).await.0, 202);
    updates(scheduler).await
}

/// Upstream: `TaskStateMismatch`, `TaskStateMatch`, `ImplicitNonTerminalTask`, `SchedulerTest.ReconcileTask`. (Which
/// state the framework believes in is not part of the question any more.)
#[test]
fn a_known_task_is_answered_for_with_its_latest_state() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        let explicit = asked(&mut scheduler, "t", &agent.id()).await;
        let implicit = ask_for_all(&mut scheduler).await.remove(0);
        for status in [explicit, implicit] {
            assert_eq!(status.state(), TaskState::TaskRunning);
            assert_eq!((status.reason(), status.source()), (Reason::Reconciliation, Source::Master));
            assert_eq!(status.message(), "Reconciliation: Latest task state");
            // Nobody acknowledges it.
            assert_eq!((status.uuid, status.agent_id), (None, agent.info.id.clone()));
        }
    });
}

/// Upstream: `UnknownSlave`, `UnknownTask`, `UnknownTaskPartitionAware`.
#[test]
fn an_unknown_task_is_gone_or_unknown_or_lost_for_a_framework_that_knows_no_difference() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        for (info, on_known, on_unknown) in [
            (info(), TaskState::TaskGone, TaskState::TaskUnknown),
            (unaware(), TaskState::TaskLost, TaskState::TaskLost),
        ] {
            let mut scheduler = cluster.subscribe(info).await;
            let status = asked(&mut scheduler, "x", &agent.id()).await;
            assert_eq!((status.state(), status.unreachable_time), (on_known, None));
            let status = asked(&mut scheduler, "x", "nobody").await;
            assert_eq!((status.state(), status.unreachable_time), (on_unknown, None));
        }
    });
}

/// Upstream: `UnknownKillTask`, `MasterTest.KillUnknownTask`.
#[test]
fn the_killing_of_an_unknown_task_is_answered_as_a_question_for_it() {
    testing::run(async {
        let cluster = Cluster::start().await;
        for (info, state) in [(info(), TaskState::TaskUnknown), (unaware(), TaskState::TaskLost)] {
            let mut scheduler = cluster.subscribe(info).await;
            scheduler.call("KILL", json!({ "task_id": { "value": "x" } })).await;
            let status = scheduler.status().await;
            assert_eq!((status.state(), status.reason()), (state, Reason::Reconciliation));
        }
    });
}

/// Upstream: `RecoveredAgent`, `RecoveredAgentReregistrationInProgress`, `MasterTest.KillUnknownTaskSlaveInTransition`.
#[test]
fn a_new_leader_is_silent_about_tasks_of_agents_that_it_awaits_until_they_are_back() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, patient()).await;
        let mut agent = cluster.agent("cpus:2;mem:1024").await;
        let cluster = cluster.fail_over(&shelf, patient()).await;
        let mut scheduler = cluster.subscribe(info()).await;
        assert_eq!(ask(&mut scheduler, &agent.id()).await, []);
        // Of an agent that nobody awaits more can be said.
        assert_eq!(ask(&mut scheduler, "nobody").await.len(), 1);

        // It comes back with another port: the registry is written first.
        agent.info.port = Some(1);
        shelf.hold();
        agent.reregister(Vec::new(), Vec::new());
        testing::settle().await;
        assert_eq!(shelf.waiting(), 1);
        assert_eq!(ask(&mut scheduler, &agent.id()).await, []);
        for body in [json!({}), json!({ "agent_id": { "value": agent.id() } })] {
            let mut kill = body;
            kill["task_id"] = json!({ "value": "x" });
            scheduler.call("KILL", kill).await;
            assert_eq!(updates(&mut scheduler).await, []);
        }

        shelf.release().await;
        assert_eq!(asked(&mut scheduler, "x", &agent.id()).await.state(), TaskState::TaskGone);
    });
}

/// Upstream: `DISABLED_RemovalInProgress` (MESOS-8210: upstream answers TASK_UNKNOWN there, once the agent has ended).
#[test]
fn an_agent_that_is_leaving_counts_as_registered_until_the_registry_is_written() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, patient()).await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        shelf.hold();
        agent.post(UnregisterSlaveMessage { slave_id: agent.info.id.clone().unwrap() });
        testing::settle().await;
        assert_eq!(asked(&mut scheduler, "x", &agent.id()).await.state(), TaskState::TaskGone);
        shelf.release().await;
        assert_eq!(asked(&mut scheduler, "x", &agent.id()).await.state(), TaskState::TaskUnknown);
    });
}

/// Upstream: `UnacknowledgedTerminalTask`, `ImplicitTerminalTask`, `MasterTest.UnacknowledgedTerminalTask`.
#[test]
fn a_task_that_is_over_is_answered_for_until_its_end_is_acknowledged() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        agent.update(&scheduler.id, "t", TaskState::TaskFinished);
        let finished = scheduler.status().await;
        // Its resources are free all the same.
        assert_eq!(cluster.get("/state").await["slaves"][0]["used_resources"]["cpus"], 0.0);
        let status = ask_for_all(&mut scheduler).await.remove(0);
        assert_eq!((status.state(), status.uuid), (TaskState::TaskFinished, None));
        scheduler.acknowledge(&finished).await;
        assert_eq!(ask_for_all(&mut scheduler).await, []);
    });
}

/// Upstream: `ReconcileStatusUpdateTaskState`, `SlaveTest.ReregisterWithStatusUpdateTaskState`,
/// `MasterTest.ReleaseResourcesForTerminalTaskWithPendingUpdates`.
#[test]
fn a_framework_is_told_the_state_that_it_was_sent_also_when_the_agent_knows_a_later_one() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        // An older update is still to be acknowledged; the agent says with it that the task is over.
        let uuid = cluster.node.random().uuid().as_bytes().to_vec();
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: "t".into() },
            state: TaskState::TaskRunning.into(),
            uuid: Some(uuid.clone()),
            ..Default::default()
        };
        let update = StatusUpdate {
            framework_id: v1::FrameworkId { value: scheduler.id.clone() },
            slave_id: agent.info.id.clone(),
            status,
            uuid: Some(uuid),
            latest_state: Some(TaskState::TaskFinished.into()),
            ..Default::default()
        };
        agent.post(StatusUpdateMessage { update, pid: None });
        assert_eq!(scheduler.status().await.state(), TaskState::TaskRunning);
        assert_eq!(cluster.get("/state").await["slaves"][0]["used_resources"]["cpus"], 0.0);
        assert_eq!(asked(&mut scheduler, "t", &agent.id()).await.state(), TaskState::TaskRunning);

        // The next leader hears the same from the agent that brings the task.
        let mut task = super::agents::reported(&agent, &scheduler.id, TaskState::TaskFinished);
        task.status_update_state = Some(TaskState::TaskRunning.into());
        task.status_update_uuid = Some(cluster.node.random().uuid().as_bytes().to_vec());
        let mut again = info();
        again["id"] = json!({ "value": scheduler.id });
        let shelf = Shelf::default();
        let cluster = cluster.fail_over(&shelf, Settings::default()).await;
        let mut scheduler = cluster.subscribe(again).await;
        agent.reregister(vec![task], vec![super::agents::framework_info(&scheduler.id)]);
        testing::settle().await;
        updates(&mut scheduler).await;
        assert_eq!(asked(&mut scheduler, "t", &agent.id()).await.state(), TaskState::TaskRunning);
    });
}

/// Upstream: `PartitionedAgentThenMasterFailover`.
#[test]
fn the_next_leader_knows_since_when_an_agent_is_unreachable() {
    for (info, state) in [(info(), TaskState::TaskUnreachable), (unaware(), TaskState::TaskLost)] {
        testing::run(async {
            let shelf = Shelf::default();
            let cluster = Cluster::on(&shelf, Settings::default()).await;
            let agent = cluster.agent("cpus:2;mem:1024").await;
            let mut scheduler = cluster.subscribe(info.clone()).await;
            lose(&agent, &mut scheduler).await;
            let since = time_info(cluster.node.now());
            tokio::time::sleep(Duration::from_secs(1)).await;
            let expected = (state, Reason::Reconciliation, Some(since));
            let of = |status: v1::TaskStatus| (status.state(), status.reason(), status.unreachable_time);
            assert_eq!(of(asked(&mut scheduler, "t", &agent.id()).await), expected);
            let cluster = cluster.fail_over(&shelf, Settings::default()).await;
            let mut scheduler = cluster.subscribe(info).await;
            assert_eq!(of(asked(&mut scheduler, "t", &agent.id()).await), expected);
        });
    }
}

/// Heartbeats apart, nothing is answered to a question without a task that is known.
#[test]
fn a_framework_without_tasks_is_answered_nothing() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut scheduler = cluster.subscribe(info()).await;
        scheduler.call("RECONCILE", json!({ "tasks": [] })).await;
        assert!(scheduler.pending().await.iter().all(|event| event.r#type() == Type::Heartbeat));
    });
}

#[test]
fn a_question_for_very_many_tasks_is_answered_in_slices_between_which_others_have_their_turn() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut scheduler = cluster.subscribe(info()).await;
        let ask = |names: Vec<String>| {
            let tasks: Vec<_> = names.iter().map(|name| json!({ "task_id": { "value": name } })).collect();
            scheduler.call("RECONCILE", json!({ "tasks": tasks }))
        };
        let many = many();
        let answers = futures::future::join(ask(many.clone()), ask(vec!["x".to_owned()])).await;
        assert_eq!((answers.0.0, answers.1.0), (202, 202));
        let told = told(&mut scheduler).await;
        let expected = [&many[..500], &["x".to_owned()], &many[500..]].concat();
        assert_eq!(told, expected);
    });
}

#[test]
fn a_question_for_all_of_very_many_tasks_is_answered_in_slices() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:700;mem:22400").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let names: Vec<String> = (0..700).map(|number| format!("t{number:03}")).collect();
        let tasks: Vec<_> = names.iter().map(|name| task(name, &agent, 1.0, 32.0)).collect();
        scheduler.launch(&[&offer], json!(tasks)).await;
        let all = scheduler.call("RECONCILE", json!({ "tasks": [] }));
        let answers =
            futures::future::join(all, scheduler.call("KILL", json!({ "task_id": { "value": "y" } }))).await;
        assert_eq!((answers.0.0, answers.1.0), (202, 202));
        let mut told = told(&mut scheduler).await;
        assert_eq!(told.remove(500), "y");
        told.sort();
        assert_eq!(told, names);
    });
}

/// Its scheduler knows: it acknowledges on another connection.
#[test]
fn a_task_that_is_over_between_two_slices_is_not_called_gone() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        agent.update(&scheduler.id, "t", TaskState::TaskFinished);
        let finished = scheduler.status().await;
        let many = many();
        let mut tasks: Vec<_> = many.iter().map(|name| json!({ "task_id": { "value": name } })).collect();
        tasks.push(json!({ "task_id": { "value": "t" }, "agent_id": { "value": agent.id() } }));
        let asks = scheduler.call("RECONCILE", json!({ "tasks": tasks }));
        let (answer, ()) = futures::future::join(asks, scheduler.acknowledge(&finished)).await;
        assert_eq!(answer.0, 202);
        let told = told(&mut scheduler).await;
        assert_eq!(told, many);
        // Who asks now is told.
        assert_eq!(asked(&mut scheduler, "t", &agent.id()).await.state(), TaskState::TaskGone);
    });
}

#[test]
fn what_a_scheduler_has_asked_is_not_told_to_the_one_that_takes_its_place_between_two_slices() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut first = cluster.subscribe(info()).await;
        let names = (0..1_201).map(|number| json!({ "task_id": { "value": format!("t{number}") } }));
        let tasks = json!({ "tasks": names.collect::<Vec<_>>() });
        let mut same = info();
        same["id"] = json!({ "value": first.id });
        let (answer, mut second) =
            futures::future::join(first.call("RECONCILE", tasks), cluster.subscribe(same)).await;
        assert_eq!(answer.0, 202);
        assert_eq!((updates(&mut first).await.len(), updates(&mut second).await.len()), (500, 0));
    });
}
