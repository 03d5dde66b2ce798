//! How a cluster is shared.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::cell::Cell;
use std::time::Duration;

use integration::api_scheduler::{ApiScheduler, command_task, framework, offered, scalars};
use integration::{AgentSpec, Cluster, wait};
use serde_json::json;

const FOREVER: &str = "sleep 1000";
const AN_HOUR: f64 = 3600.0;

/// Upstream: `ResourceOffersTest.ResourcesGetReofferedWhenUnused`.
#[test]
fn what_one_framework_leaves_is_offered_to_the_next() {
    libprocess::run(async {
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:4;mem:4096")]).await;

        let mut first = ApiScheduler::subscribe(cluster.master(), framework("first", Duration::ZERO)).await;
        let offer = first.offer().await;
        assert_eq!((offered(&offer, "cpus"), offered(&offer, "mem")), (4.0, 4096.0));
        let tasks = [
            command_task("t1", &offer, 2.0, 1024.0, FOREVER),
            command_task("t2", &offer, 1.0, 2048.0, FOREVER),
        ];
        first.launch(&offer, &tasks, AN_HOUR).await;
        let mut running = 0;
        while running < 2 {
            let event = first.event("UPDATE").await;
            let status = &event["update"]["status"];
            first.acknowledge(status).await;
            running += u32::from(status["state"] == "TASK_RUNNING");
        }

        let mut second = ApiScheduler::subscribe(cluster.master(), framework("second", Duration::ZERO)).await;
        let offer = second.offer().await;
        assert_eq!((offered(&offer, "cpus"), offered(&offer, "mem")), (1.0, 1024.0));
    });
}

/// The example of "Dominant Resource Fairness" (Ghodsi et al., NSDI 2011, section 4.1).
#[test]
fn dominant_resource_fairness_ends_as_in_its_paper() {
    libprocess::run(async {
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:9;mem:18432")]).await;
        let mut a = ApiScheduler::subscribe(cluster.master(), framework("a", Duration::ZERO)).await;
        let mut b = ApiScheduler::subscribe(cluster.master(), framework("b", Duration::ZERO)).await;

        // Each takes one task from every offer that holds one, until the agent holds none any more.
        let (of_a, of_b) = (Cell::new(0), Cell::new(0));
        let full = wait::until("an agent without room for a task", async || {
            let state = cluster.leader_state().await?;
            let used = state["slaves"][0]["used_resources"]["cpus"].as_f64().unwrap_or(0.0);
            if used > 8.0 { Ok(state) } else { Err(format!("{used} cpus are used")) }
        });
        let state = tokio::select! {
            biased;
            () = one_task_per_offer(&mut a, 1.0, 4096.0, &of_a) => unreachable!("it goes on for ever"),
            () = one_task_per_offer(&mut b, 3.0, 1024.0, &of_b) => unreachable!("it goes on for ever"),
            state = full => state,
        };
        assert_eq!((of_a.get(), of_b.get()), (3, 2));
        assert_eq!(state["slaves"][0]["used_resources"]["cpus"], 9.0);
        assert_eq!(state["slaves"][0]["used_resources"]["mem"], 14336.0);
    });
}

/// Launches one task on each offer that holds one and gives the rest back at once. Never ends.
async fn one_task_per_offer(scheduler: &mut ApiScheduler, cpus: f64, mem: f64, launched: &Cell<usize>) {
    loop {
        let event = scheduler.event("OFFERS").await;
        for offer in event["offers"]["offers"].as_array().unwrap() {
            if offered(offer, "cpus") >= cpus && offered(offer, "mem") >= mem {
                let id = format!("{}-{}", scheduler.framework_id, launched.get());
                scheduler.launch(offer, &[command_task(&id, offer, cpus, mem, FOREVER)], 0.0).await;
                launched.set(launched.get() + 1);
            } else {
                scheduler.decline(offer, 0.0).await;
            }
        }
    }
}

#[test]
fn two_tasks_of_one_framework_on_one_agent_share_an_executor() {
    libprocess::run(async {
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:4;mem:2048")]).await;
        let mut scheduler =
            ApiScheduler::subscribe(cluster.master(), framework("sharing", Duration::ZERO)).await;
        let offer = scheduler.offer().await;
        let binary = integration::binary::mesos();
        // The executor of `mesos run sum`: each task adds the terms between two bounds.
        let executor = json!({
            "executor_id": { "value": "shared" },
            "framework_id": { "value": scheduler.framework_id },
            "type": "CUSTOM",
            "resources": scalars(0.5, 32.0),
            "command": { "shell": false, "value": binary, "arguments": ["mesos", "run", "sum-executor"] },
        });
        let data = |from: u64, to: u64| frameworks_data(from, to);
        let task = |id: &str, data: String| {
            json!({
                "name": id, "task_id": { "value": id }, "agent_id": offer["agent_id"],
                "resources": scalars(1.0, 32.0), "executor": executor, "data": data,
            })
        };
        // Long enough that both are seen running at once.
        let tasks = [task("t1", data(0, 3_000_000_000)), task("t2", data(0, 3_000_000_000))];
        scheduler.launch(&offer, &tasks, AN_HOUR).await;
        let one = scheduler.state("t1", "TASK_RUNNING").await;
        let both = wait::until("both tasks to run in one executor", async || {
            let agent = cluster.get_at(cluster.agent_at(0), "/state").await?;
            let executors = agent["frameworks"][0]["executors"].clone();
            let states: Vec<String> = executors[0]["tasks"]
                .as_array()
                .map_or(&[][..], Vec::as_slice)
                .iter()
                .map(|task| task["state"].to_string())
                .collect();
            if states == ["\"TASK_RUNNING\"", "\"TASK_RUNNING\""] {
                Ok(executors)
            } else {
                Err(executors.to_string())
            }
        })
        .await;
        assert_eq!((both.as_array().unwrap().len(), &both[0]["id"]), (1, &json!("shared")));
        let two = scheduler.state("t2", "TASK_FINISHED").await;
        assert_eq!(one["container_status"]["container_id"], two["container_status"]["container_id"]);
        assert_eq!(one["executor_id"], two["executor_id"]);
    });
}

/// `TaskInfo.data` of a sum task, base64 as the JSON dialect has it.
fn frameworks_data(from: u64, to: u64) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(json!({ "from": from, "to": to }).to_string())
}
