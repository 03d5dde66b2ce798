//! Agents that come back with other tasks, executors and frameworks than the master knows.

use libprocess::testing;
use mesos::v1::scheduler::event::Type;
use mesos::v1::task_status::{Reason, Source};
use mesos::v1::{self, TaskState};
use serde_json::json;

use super::agents::{everything_is_free, framework_info, reported, running_task};
use super::partition::updates;
use super::{Agent, Cluster, Got, amount, executor_task, info, operation, scalar, task};

/// Upstream aborts.
#[test]
fn an_agent_that_returns_with_a_task_whose_id_runs_elsewhere_ends_it_and_the_books_add_up() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        // As after a change of leaders that forgot it: an id that this master did not give.
        let mut returning = cluster.stranger("cpus:2;mem:1024");
        returning.info.id = Some(v1::AgentId { value: "another-master-S0".into() });
        returning.reregister(
            vec![v1::Task {
                agent_id: returning.info.id.clone().unwrap(),
                ..reported(&agent, &scheduler.id, TaskState::TaskRunning)
            }],
            vec![framework_info(&scheduler.id)],
        );
        let got = returning.taken().await;
        assert!(got.iter().any(|got| matches!(got, Got::Kill(kill) if kill.task_id.value == "t")), "{got:?}");
        let state = cluster.get("/state").await;
        let tasks = state["frameworks"][0]["tasks"].as_array().unwrap();
        assert_eq!((tasks.len(), tasks[0]["slave_id"].as_str().unwrap()), (1, agent.id().as_str()));
        returning.update(&scheduler.id, "t", TaskState::TaskKilled);
        agent.update(&scheduler.id, "t", TaskState::TaskFinished);
        for _ in 0..2 {
            let status = scheduler.status().await;
            scheduler.acknowledge(&status).await;
        }
        let state = cluster.get("/state").await;
        assert_eq!(state["frameworks"][0]["tasks"], json!([]));
        assert!(everything_is_free(&state), "{state}");
        for gauge in ["master/cpus_used", "master/tasks_running"] {
            assert_eq!(cluster.node.metrics().value(gauge), Some(0.0), "{gauge}");
        }
    });
}

/// Upstream: `MasterSlaveReconciliationTest.ReconcileLostTask`, `MasterSlaveReconciliationTest.ReconcileDroppedTask`.
/// Upstream, too: `SlaveRecoveryTest.ReconcileTasksMissingFromSlave`.
#[test]
fn a_task_that_a_known_agent_does_not_mention_is_asked_for() {
    testing::run(async {
        for (info, state, name, other) in [
            (info(), TaskState::TaskDropped, "dropped", "lost"),
            (super::partition::unaware(), TaskState::TaskLost, "lost", "dropped"),
        ] {
            let cluster = Cluster::start().await;
            let agent = cluster.agent("cpus:2;mem:1024").await;
            let mut scheduler = running_task(&cluster, &agent, info).await;
            agent.reregister(Vec::new(), Vec::new());
            let got = agent.taken().await;
            let [Got::Reregistered(answer)] = got.as_slice() else { panic!("{got:?}") };
            assert_eq!(answer.reconciliations.len(), 1);
            assert_eq!(answer.reconciliations[0].framework_id.value, scheduler.id);
            assert_eq!(answer.reconciliations[0].statuses[0].task_id.value, "t");
            let uuid = cluster.node.random().uuid().as_bytes().to_vec();
            let status = v1::TaskStatus {
                task_id: v1::TaskId { value: "t".into() },
                state: state.into(),
                source: Some(Source::Agent.into()),
                reason: Some(Reason::Reconciliation.into()),
                uuid: Some(uuid.clone()),
                ..Default::default()
            };
            let update = mesos::internal::StatusUpdate {
                framework_id: v1::FrameworkId { value: scheduler.id.clone() },
                slave_id: agent.info.id.clone(),
                status,
                uuid: Some(uuid),
                latest_state: Some(state.into()),
                ..Default::default()
            };
            agent.post(mesos::internal::StatusUpdateMessage { update, pid: None });
            let told = scheduler.status().await;
            assert_eq!(
                (told.state(), told.source(), told.reason()),
                (state, Source::Agent, Reason::Reconciliation)
            );
            assert_eq!(cluster.metric(&format!("master/tasks_{name}")), 1.0);
            assert_eq!(cluster.metric(&format!("master/tasks_{other}")), 0.0);
            assert_eq!(
                cluster.metric(&format!("master/task_{name}/source_slave/reason_reconciliation")),
                1.0
            );
        }
    });
}

/// It had only lost its connection, and runs them still; their framework was told that they are lost.
#[test]
fn what_was_given_up_when_the_agent_broke_off_is_ended_when_it_is_back() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.agent("cpus:4;mem:1024").await;
        let mut plain = info();
        plain["checkpoint"] = json!(false);
        let mut scheduler = running_task(&cluster, &agent, plain).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([executor_task("u", &agent, "e", 1.0)])).await;
        let executor = agent.launched().await.remove(0).task.executor.unwrap();
        agent.die().await;
        for _ in ["t", "u"] {
            assert_eq!(scheduler.status().await.state(), TaskState::TaskLost);
        }

        agent.revive();
        let tasks = ["t", "u", "over"].map(|id| {
            let state = if id == "over" { TaskState::TaskFinished } else { TaskState::TaskRunning };
            let executor_id = (id == "u").then(|| executor.executor_id.clone());
            let task_id = v1::TaskId { value: id.into() };
            v1::Task { task_id, executor_id, ..reported(&agent, &scheduler.id, state) }
        });
        let framework = v1::FrameworkInfo { checkpoint: Some(false), ..framework_info(&scheduler.id) };
        let framework_id = framework.id.clone();
        let executor = v1::ExecutorInfo { framework_id, ..executor };
        agent.reregister_with(tasks.to_vec(), vec![framework], vec![executor]);
        let mut ended = Vec::new();
        for got in agent.taken().await {
            match got {
                Got::Kill(kill) => ended.push(kill.task_id.value),
                Got::ShutdownExecutor(shutdown) => ended.push(shutdown.executor_id.unwrap().value),
                _ => {}
            }
        }
        assert_eq!(ended, ["e", "t", "u"]);
    });
}

#[test]
fn what_the_master_knows_goes_on_when_the_agent_is_back() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([executor_task("u", &agent, "e", 1.0)])).await;
        let launched = agent.launched().await.remove(0);
        agent.die().await;
        agent.revive();
        let executor = launched.task.executor.unwrap();
        let running = reported(&agent, &scheduler.id, TaskState::TaskRunning);
        let (task_id, executor_id) = (launched.task.task_id, Some(executor.executor_id.clone()));
        let tasks = vec![running.clone(), v1::Task { task_id, executor_id, ..running }];
        agent.reregister_with(tasks, vec![framework_info(&scheduler.id)], vec![executor]);
        let got = agent.taken().await;
        assert!(matches!(got.as_slice(), [Got::Reregistered(_), Got::UpdateFramework(_)]), "{got:?}");
    });
}

/// The agent's second report was on its way when a task was launched that it got after it had heard the answer to the first.
#[test]
fn an_executor_that_a_late_report_lacks_is_taken_back_with_the_next() {
    testing::run(async {
        for checkpoint in [true, false] {
            let cluster = Cluster::start().await;
            let agent = cluster.agent("cpus:4;mem:1024").await;
            let mut described = info();
            described["checkpoint"] = json!(checkpoint);
            let mut scheduler = running_task(&cluster, &agent, described).await;
            let offer = scheduler.offer().await;
            scheduler.launch(&[&offer], json!([executor_task("u", &agent, "e", 1.0)])).await;
            let launched = agent.launched().await.remove(0);
            let used = async || cluster.get("/state").await["slaves"][0]["used_resources"]["cpus"].clone();
            assert_eq!(used().await, 2.5);

            let id = scheduler.id.clone();
            let framework =
                || vec![v1::FrameworkInfo { checkpoint: Some(checkpoint), ..framework_info(&id) }];
            let running = reported(&agent, &scheduler.id, TaskState::TaskRunning);
            agent.reregister_with(vec![running.clone()], framework(), Vec::new());
            agent.taken().await;
            assert_eq!(used().await, 2.0, "the executor is taken for lost");
            scheduler.offer().await;

            let mut executor = launched.task.executor.unwrap();
            executor.framework_id = framework()[0].id.clone();
            let (task_id, executor_id) = (launched.task.task_id, Some(executor.executor_id.clone()));
            let tasks = vec![running.clone(), v1::Task { task_id, executor_id, ..running }];
            agent.reregister_with(tasks, framework(), vec![executor]);
            let got = agent.taken().await;
            assert!(matches!(got.as_slice(), [Got::Reregistered(_), Got::UpdateFramework(_)]), "{got:?}");
            assert_eq!(used().await, 2.5);
            scheduler.next_of(Type::Rescind).await;
            assert_eq!(amount(&scheduler.offer().await.resources, "cpus"), 1.5);
        }
    });
}

/// It has no task at that moment, and its framework does not checkpoint: it could be one that was given up.
#[test]
fn an_idle_executor_that_a_late_report_lacks_is_taken_back_and_one_that_was_given_up_is_ended() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.agent("cpus:4;mem:1024").await;
        let mut plain = info();
        plain["checkpoint"] = json!(false);
        let mut scheduler = cluster.subscribe(plain).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([executor_task("t", &agent, "e", 1.0)])).await;
        let launched = agent.launched().await.remove(0);
        agent.update(&scheduler.id, "t", TaskState::TaskFinished);
        let finished = scheduler.status().await;
        scheduler.acknowledge(&finished).await;
        agent.taken().await;
        let used = async || cluster.get("/state").await["slaves"][0]["used_resources"]["cpus"].clone();
        assert_eq!(used().await, 0.5);

        let framework = v1::FrameworkInfo { checkpoint: Some(false), ..framework_info(&scheduler.id) };
        let framework_id = framework.id.clone();
        let executor = v1::ExecutorInfo { framework_id, ..launched.task.executor.unwrap() };
        agent.reregister_with(Vec::new(), vec![framework.clone()], Vec::new());
        agent.taken().await;
        assert_eq!(used().await, 0.0);
        let report = |agent: &Agent| {
            agent.reregister_with(Vec::new(), vec![framework.clone()], vec![executor.clone()]);
        };
        report(&agent);
        let got = agent.taken().await;
        assert!(matches!(got.as_slice(), [Got::Reregistered(_), Got::UpdateFramework(_)]), "{got:?}");
        assert_eq!(used().await, 0.5);

        agent.die().await;
        assert_eq!(used().await, 0.0);
        agent.revive();
        // As often as it is reported, while it ends.
        for _ in 0..2 {
            report(&agent);
            let got = agent.taken().await;
            let ends = |got: &Got| matches!(got, Got::ShutdownExecutor(it) if it.executor_id.as_ref().unwrap().value == "e");
            assert_eq!(got.iter().filter(|got| ends(got)).count(), 1, "{got:?}");
            assert_eq!(used().await, 0.0);
        }
        // A report of before its launch comes late.
        agent.reregister_with(Vec::new(), vec![framework.clone()], Vec::new());
        agent.taken().await;
        report(&agent);
        let ends = |got: &Got| matches!(got, Got::ShutdownExecutor(_));
        assert_eq!(agent.taken().await.iter().filter(|got| ends(got)).count(), 1);
        assert_eq!(used().await, 0.0);
        // Once it is over, there may be another one of its id.
        for _ in 0..2 {
            agent.reregister_with(Vec::new(), vec![framework.clone()], Vec::new());
        }
        report(&agent);
        assert!(agent.taken().await.iter().all(|got| !matches!(got, Got::ShutdownExecutor(_))));
        assert_eq!(used().await, 0.5);
    });
}

/// What the agent says of the end of the earlier one would be taken for the end of the new one, which runs on.
#[test]
fn nothing_is_launched_under_an_executor_that_was_given_up_until_it_has_ended() {
    testing::run(async {
        for (aware, state) in [(true, TaskState::TaskDropped), (false, TaskState::TaskLost)] {
            let cluster = Cluster::start().await;
            let mut agent = cluster.agent("cpus:4;mem:1024;disk:1000").await;
            let mut plain = info();
            plain["checkpoint"] = json!(false);
            if !aware {
                plain["capabilities"] = json!([{ "type": "MULTI_ROLE" }]);
            }
            let mut scheduler = cluster.subscribe(plain).await;
            let offer = scheduler.offer().await;
            let task = |id| executor_task(id, &agent, "e", 1.0);
            let tasks = ["t", "g", "u", "v"].map(task);
            scheduler.launch(&[&offer], json!([&tasks[0]])).await;
            let launched = agent.launched().await.remove(0);
            agent.update(&scheduler.id, "t", TaskState::TaskRunning);
            let running = scheduler.status().await;
            scheduler.acknowledge(&running).await;
            agent.die().await;
            assert_eq!(scheduler.status().await.state(), TaskState::TaskLost);
            agent.revive();
            let framework = v1::FrameworkInfo { checkpoint: Some(false), ..framework_info(&scheduler.id) };
            let framework_id = framework.id.clone();
            let executor = v1::ExecutorInfo { framework_id, ..launched.task.executor.unwrap() };
            agent.reregister_with(Vec::new(), vec![framework.clone()], vec![executor.clone()]);
            agent.taken().await;

            let mut member = tasks[1].clone();
            let mut of_group = member.as_object_mut().unwrap().remove("executor").unwrap();
            of_group["type"] = json!("CUSTOM");
            of_group["framework_id"] = json!({ "value": scheduler.id });
            of_group["resources"] = json!([scalar("cpus", 0.1), scalar("mem", 32.0), scalar("disk", 32.0)]);
            member["resources"] = json!([scalar("cpus", 1.0), scalar("mem", 32.0)]);
            let group = json!({ "executor": of_group, "task_group": { "tasks": [member] } });
            let launch = json!({ "task_infos": [&tasks[2]] });
            let offer = scheduler.offer().await;
            let operations = [operation("LAUNCH_GROUP", group), operation("LAUNCH", launch)];
            scheduler.accept(&offer, json!(operations)).await;
            for id in ["g", "u"] {
                let dropped = scheduler.status().await;
                assert_eq!((dropped.task_id.value.as_str(), dropped.state()), (id, state), "{dropped:?}");
                assert_eq!(dropped.reason(), Reason::ExecutorTerminated);
                assert!(dropped.message().starts_with("Executor 'e'"), "{dropped:?}");
            }
            assert_eq!(agent.taken().await.len(), 0);

            if aware {
                agent.post(mesos::internal::ExitedExecutorMessage {
                    slave_id: agent.info.id.clone().unwrap(),
                    framework_id: framework.id.unwrap(),
                    executor_id: executor.executor_id,
                    status: 0,
                });
            } else {
                agent.reregister_with(Vec::new(), vec![framework], Vec::new());
            }
            agent.taken().await;
            let offer = scheduler.offer().await;
            assert_eq!(amount(&offer.resources, "cpus"), 4.0);
            scheduler.launch(&[&offer], json!([&tasks[3]])).await;
            let launched = agent.launched().await.remove(0);
            assert_eq!((launched.task.task_id.value.as_str(), launched.launch_executor), ("v", Some(true)));
        }
    });
}

/// Its agent has said before that it runs; the registry is still being written for that.
#[test]
fn an_executor_that_ends_while_its_agent_returns_does_not_come_back() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([executor_task("u", &agent, "e", 1.0)])).await;
        let launched = agent.launched().await.remove(0);
        let used = async || cluster.get("/state").await["slaves"][0]["used_resources"]["cpus"].clone();
        assert_eq!(used().await, 2.5);

        let framework = framework_info(&scheduler.id);
        let mut executor = launched.task.executor.unwrap();
        executor.framework_id = framework.id.clone();
        let running = reported(&agent, &scheduler.id, TaskState::TaskRunning);
        let (task_id, executor_id) = (launched.task.task_id, Some(executor.executor_id.clone()));
        let tasks = vec![running.clone(), v1::Task { task_id, executor_id, ..running }];
        // The registry is to know of it.
        agent.info.attributes = mesos::Attributes::parse("rack:1").unwrap().to_protos();
        let exited = mesos::internal::ExitedExecutorMessage {
            slave_id: agent.info.id.clone().unwrap(),
            framework_id: framework.id.clone().unwrap(),
            executor_id: executor.executor_id.clone(),
            status: 0,
        };
        agent.reregister_with(tasks, vec![framework], vec![executor]);
        agent.post(exited);
        let got = agent.taken().await;
        assert!(matches!(got.as_slice(), [Got::Reregistered(_), Got::UpdateFramework(_)]), "{got:?}");
        assert_eq!(cluster.get("/slaves").await["slaves"][0]["attributes"]["rack"], 1.0);
        assert_eq!(used().await, 2.0);
    });
}

#[test]
fn a_removed_framework_is_shut_down_on_an_agent_that_brings_it_back() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = running_task(&cluster, &agent, info()).await;
        *agent.healthy.lock() = false;
        scheduler.status().await;
        scheduler.call("TEARDOWN", json!(null)).await;
        *agent.healthy.lock() = true;
        let task = reported(&agent, &scheduler.id, TaskState::TaskRunning);
        agent.taken().await;
        agent.reregister(vec![task], vec![framework_info(&scheduler.id)]);
        let got = agent.taken().await;
        assert!(matches!(got.as_slice(), [Got::Reregistered(_), Got::ShutdownFramework(_)]), "{got:?}");
        assert_eq!(cluster.get("/state").await["slaves"][0]["used_resources"]["cpus"], 0.0);
    });
}

/// Upstream recovers it, without its tasks, and offers what these use.
#[test]
fn a_framework_that_was_removed_while_its_agent_was_away_is_shut_down_there_also_when_it_is_forgotten() {
    testing::run(async {
        let settings = crate::Settings { max_completed_frameworks: 0, ..Default::default() };
        let cluster = Cluster::with(settings).await;
        let mut agent = cluster.agent("cpus:2;mem:1024").await;
        let scheduler = running_task(&cluster, &agent, info()).await;
        agent.die().await;
        scheduler.call("TEARDOWN", json!(null)).await;
        agent.revive();
        agent.taken().await;
        let task = reported(&agent, &scheduler.id, TaskState::TaskRunning);
        agent.reregister(vec![task], vec![framework_info(&scheduler.id)]);
        let got = agent.taken().await;
        let [Got::Reregistered(_), Got::ShutdownFramework(shutdown)] = got.as_slice() else {
            panic!("{got:?}")
        };
        assert_eq!(shutdown.framework_id.value, scheduler.id);
        assert_eq!(cluster.get("/state").await["frameworks"], json!([]));
    });
}

/// Upstream: `SlaveReregistrationRace_MESOS_7187`.
#[test]
fn tasks_and_operations_are_for_the_version_of_its_resources_that_an_agent_has_named_last() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let newer = v1::Uuid { value: vec![9; 16] };
        agent.post(mesos::internal::UpdateSlaveMessage {
            slave_id: agent.info.id.clone().unwrap(),
            update_oversubscribed_resources: Some(false),
            operations: Some(mesos::internal::update_slave_message::Operations::default()),
            resource_version_uuid: Some(newer.clone()),
            ..Default::default()
        });
        let mut scheduler = cluster.subscribe(super::reserving_info()).await;
        let offer = scheduler.offer().await;
        let reserved = super::reserve(json!([super::reserved(super::scalar("cpus", 0.5), "r")]));
        let launched = super::launch(json!([task("t", &agent, 1.0, 32.0)]));
        scheduler.accept(&offer, json!([reserved, launched])).await;
        let got = agent.taken().await;
        let [Got::Apply(operation), Got::Run(run)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(operation.resource_version_uuid.uuid, newer);
        assert_eq!(run.resource_version_uuids.len(), 1);
        let version = &run.resource_version_uuids[0];
        assert_eq!((&version.uuid, &version.resource_provider_id), (&newer, &None));
    });
}

/// Upstream: `SlaveReregisterTerminatedExecutor`, `SlaveReregisterTerminalTask`.
#[test]
fn a_task_that_is_over_on_a_returning_agent_is_not_asked_for() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([executor_task("t", &agent, "e", 1.0)])).await;
        agent.taken().await;
        // Its last update was lost, and its executor has ended since.
        let executor_id = Some(v1::ExecutorId { value: "e".into() });
        let finished = v1::Task { executor_id, ..reported(&agent, &scheduler.id, TaskState::TaskFinished) };
        agent.reregister(vec![finished], vec![framework_info(&scheduler.id)]);
        let got = agent.taken().await;
        let [Got::Reregistered(answer), Got::UpdateFramework(_)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(answer.reconciliations, []);
        assert_eq!(updates(&mut scheduler).await, []);
        agent.update(&scheduler.id, "t", TaskState::TaskFinished);
        let told: Vec<_> = updates(&mut scheduler).await.iter().map(v1::TaskStatus::state).collect();
        assert_eq!(told, [TaskState::TaskFinished]);
        assert_eq!(cluster.get("/slaves").await["slaves"][0]["used_resources"]["cpus"], 0.0);
    });
}
