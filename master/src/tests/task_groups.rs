//! LAUNCH_GROUP.

use libprocess::testing;
use mesos::v1::TaskState;
use mesos::v1::task_status::Reason;
use serde_json::{Value, json};

use super::*;

fn executor(scheduler: &Scheduler<'_>, kind: &str) -> Value {
    let mut executor = json!({
        "type": kind, "executor_id": { "value": "e" }, "framework_id": { "value": scheduler.id },
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0), scalar("disk", 32.0)]
    });
    if kind == "CUSTOM" {
        executor["command"] = json!({ "value": "run" });
    }
    executor
}

fn group(executor: Value, tasks: Value) -> Value {
    operation("LAUNCH_GROUP", json!({ "executor": executor, "task_group": { "tasks": tasks } }))
}

fn member(id: &str, agent: &Agent, cpus: f64) -> Value {
    let mut task = task(id, agent, cpus, 32.0);
    if let Some(fields) = task.as_object_mut() {
        fields.remove("command");
    }
    task
}

/// Upstream: `SchedulerTest.TaskGroupRunning`, `SlaveTest.RunTaskGroup`.
/// Upstream, too: `MasterSlaveReconciliationTest.SlaveReregisterTaskExecutorIds`.
#[test]
fn a_group_goes_to_the_agent_in_one_message_and_a_second_one_joins_its_executor() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:1000").await;
        let mut scheduler = cluster.subscribe(info()).await;
        for (ids, new, left) in [(["a", "b"], true, 1.9), (["c", "d"], false, 0.9)] {
            let offer = scheduler.offer().await;
            let cpus = if new { 1.0 } else { 0.5 };
            let tasks = json!([member(ids[0], &agent, cpus), member(ids[1], &agent, cpus)]);
            scheduler.accept(&offer, json!([group(executor(&scheduler, "CUSTOM"), tasks)])).await;
            let got = agent.taken().await;
            let [Got::RunGroup(message)] = got.as_slice() else { panic!("{got:?}") };
            let launched: Vec<_> =
                message.task_group.tasks.iter().map(|task| task.task_id.value.as_str()).collect();
            assert_eq!((launched, message.launch_executor), (ids.to_vec(), Some(new)));
            assert!(message.task_group.tasks.iter().all(|task| task.executor.is_some()));
            let state = cluster.get("/state").await;
            let used = &state["slaves"][0]["used_resources"]["cpus"];
            assert!((used.as_f64().unwrap() - (4.0 - left)).abs() < 0.001, "{used}");
        }
        let state = cluster.get("/state").await;
        let tasks = state["frameworks"][0]["tasks"].as_array().unwrap();
        assert!(tasks.len() == 4 && tasks.iter().all(|task| task["executor_id"] == "e"));
    });
}

/// Upstream's agent ignores it, too (`Slave::runTaskGroup`); what its executor would use is held in the master's books.
#[test]
fn a_group_without_tasks_is_nothing_and_brings_no_executor() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:1000").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        scheduler.accept(&offer, json!([group(executor(&scheduler, "CUSTOM"), json!([]))])).await;
        assert_eq!(agent.taken().await, []);
        let state = cluster.get("/state").await;
        assert_eq!(state["slaves"][0]["used_resources"]["cpus"], 0.0);
        assert_eq!(state["frameworks"][0]["executors"], json!([]));
        assert_eq!(amount(&scheduler.offer().await.resources, "cpus"), 4.0, "it is offered again");
    });
}

/// Upstream: the rules of `task::group::validate`; its cases are in `validation/group.rs`. Also
/// `SchedulerTest.OperationFeedbackValidationWithResourceProviderCapability`.
#[test]
fn if_one_task_is_refused_none_of_the_group_is_launched() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:1000").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let fine = |kind: &str, scheduler: &Scheduler<'_>| {
            group(executor(scheduler, kind), json!([member("a", &agent, 1.0), member("b", &agent, 1.0)]))
        };
        let twice = group(
            executor(&scheduler, "CUSTOM"),
            json!([member("a", &agent, 1.0), member("a", &agent, 1.0)]),
        );
        let mut named = fine("CUSTOM", &scheduler);
        named["id"] = json!({ "value": "x" });
        for (operation, text) in [
            (twice, "Task 'a' is invalid: Task has duplicate ID: a"),
            (named, "The `id` field cannot be set on LAUNCH_GROUP operations"),
            (fine("DEFAULT", &scheduler), "There is no 'DEFAULT' executor yet"),
        ] {
            let offer = scheduler.offer().await;
            scheduler.accept(&offer, json!([operation])).await;
            for _ in 0..2 {
                let status = scheduler.status().await;
                assert_eq!(
                    (status.state(), status.reason()),
                    (TaskState::TaskError, Reason::TaskGroupInvalid)
                );
                assert!(status.message().starts_with(text), "{}", status.message());
            }
            assert_eq!(agent.taken().await, [], "nothing was launched");
        }
    });
}
