//! The executor library: updates, connections that break, and the end.

use std::time::Duration;

use frameworks::{
    executor::{Driver, Error, Executor, ExecutorEnvironment, Recovery, status},
    sum,
};
use libprocess::{
    Install, Process,
    http::{Reply, Response},
    simulation,
};
use mesos::v1::{
    self, TaskState,
    executor::{call::Type, event},
};
use tokio::{net::TcpListener, sync::oneshot, time::sleep};

use crate::support::{hang_up, lead_astray};
use crate::world::{FakeAgent, World, of, soon, task};

/// Finishes every task when it is told so by a message.
#[derive(Default)]
struct Obedient(Option<v1::TaskId>);

impl Executor for Obedient {
    fn launch(&mut self, driver: &mut Driver<Self>, task: v1::TaskInfo) {
        driver.update(status(&task.task_id, TaskState::TaskRunning));
        self.0 = Some(task.task_id);
    }
    fn kill(&mut self, driver: &mut Driver<Self>, task: v1::TaskId, _: Option<v1::KillPolicy>) {
        driver.update(status(&task, TaskState::TaskKilled));
    }
    fn message(&mut self, driver: &mut Driver<Self>, data: Vec<u8>) {
        driver.message(data);
        if let Some(task) = &self.0 {
            driver.update(status(task, TaskState::TaskFinished));
        }
    }
}

/// Says more with each task than a connection takes at once.
struct Talkative;

impl Executor for Talkative {
    fn launch(&mut self, driver: &mut Driver<Self>, _: v1::TaskInfo) {
        for byte in 0..9 {
            driver.message(vec![byte; 8 << 20]);
        }
    }
    fn kill(&mut self, _: &mut Driver<Self>, _: v1::TaskId, _: Option<v1::KillPolicy>) {}
}

/// Does not stop when it is told to.
struct Stubborn;

impl Executor for Stubborn {
    fn launch(&mut self, _: &mut Driver<Self>, _: v1::TaskInfo) {}
    fn kill(&mut self, _: &mut Driver<Self>, _: v1::TaskId, _: Option<v1::KillPolicy>) {}
    fn shutdown(&mut self, _: &mut Driver<Self>) {}
}

/// Needs its time to end, until a message comes.
#[derive(Default)]
struct Lingering(Option<v1::TaskId>);

impl Executor for Lingering {
    fn launch(&mut self, driver: &mut Driver<Self>, task: v1::TaskInfo) {
        driver.update(status(&task.task_id, TaskState::TaskRunning));
        self.0 = Some(task.task_id);
    }
    fn kill(&mut self, _: &mut Driver<Self>, _: v1::TaskId, _: Option<v1::KillPolicy>) {}
    fn shutdown(&mut self, _: &mut Driver<Self>) {}
    fn message(&mut self, driver: &mut Driver<Self>, _: Vec<u8>) {
        if let Some(task) = &self.0 {
            driver.update(status(task, TaskState::TaskKilled));
        }
    }
    fn acknowledged(&mut self, driver: &mut Driver<Self>, status: &v1::TaskStatus) {
        if status.state() == TaskState::TaskKilled {
            driver.stop();
        }
    }
}

#[test]
fn an_update_is_complete() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run(world.environment(), Obedient::default());
        assert!(world.subscribe().await.unacknowledged_updates.is_empty());
        world.launch(task("t"));
        let status = world.update().await;
        assert_eq!(status.state(), TaskState::TaskRunning);
        assert_eq!(status.uuid.unwrap().len(), 16);
        assert_eq!(status.source, Some(v1::task_status::Source::Executor.into()));
        assert_eq!(status.executor_id.unwrap().value, "executor");
        assert!(status.timestamp.unwrap() > 1e9);
        world.end().await;
    });
}

#[test]
fn messages_and_updates_keep_their_order() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run(world.environment(), Obedient::default());
        world.subscribe().await;
        world.launch(task("t"));
        world.update().await;
        world.message(b"now");
        assert_eq!(world.call().await.message.unwrap().data, b"now");
        assert_eq!(world.update().await.state(), TaskState::TaskFinished);
        world.end().await;
    });
}

#[test]
fn calls_wait_for_the_answers_to_those_before_them() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run(world.environment(), Talkative);
        world.subscribe().await;
        world.launch(task("t"));
        for byte in 0..9 {
            let data = world.call().await.message.unwrap().data;
            assert_eq!((data.len(), data[0]), (8 << 20, byte));
        }
        world.end().await;
    });
}

#[test]
fn a_restarted_agent_gets_what_was_not_acknowledged() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run(world.checkpointing(), Obedient::default());
        world.subscribe().await;
        world.launch(task("a"));
        let first = world.update().await;
        world.acknowledge(&first);
        world.launch(task("b"));
        let second = world.update().await;

        world.shared.stream.lock().take().unwrap().close();
        let subscribe = world.subscribe().await;
        assert_eq!(subscribe.unacknowledged_tasks.iter().map(|task| &task.name).collect::<Vec<_>>(), ["b"]);
        let updates: Vec<_> =
            subscribe.unacknowledged_updates.into_iter().map(|update| update.status).collect();
        assert_eq!(updates, [second]);
        world.end().await;
    });
}

#[test]
fn an_agent_that_is_not_ready_is_asked_again() {
    libprocess::run(async {
        let mut world = World::new().await;
        *world.shared.refuse.lock() = Some(Response::service_unavailable("Agent has not finished recovery"));
        let _executor = world.run(world.environment(), Obedient::default());
        world.subscribe().await;
        world.subscribe().await;
        world.end().await;
    });
}

#[test]
fn an_update_that_an_agent_is_not_ready_for_comes_with_a_new_subscription() {
    libprocess::run(async {
        let mut world = World::new().await;
        let _executor = world.run(world.checkpointing(), Obedient::default());
        world.subscribe().await;
        let recovering = Response::service_unavailable("Agent has not finished recovery");
        *world.shared.refuse_call.lock() = Some(recovering);
        world.launch(task("t"));
        let refused = world.update().await;
        let updates = world.subscribe().await.unacknowledged_updates;
        assert_eq!(updates, [v1::executor::call::Update { status: refused }]);
        world.end().await;
    });
}

/// As by an agent that has too many, which closes those that are idle: the task goes on, also without checkpoints.
#[test]
fn a_connection_that_was_closed_while_it_was_idle_loses_nothing() {
    libprocess::run(async {
        let mut world = World::new().await;
        let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent_endpoint = way.local_addr().unwrap().to_string();
        let (known_in, known) = oneshot::channel();
        tokio::task::spawn_local(hang_up(way, world.agent.address().to_string(), known_in));
        let environment = ExecutorEnvironment { agent_endpoint, ..world.environment() };
        let _executor = world.run(environment, Obedient::default());
        world.subscribe().await;
        soon(known).await.unwrap();
        world.launch(task("t"));
        assert_eq!(world.update().await.state(), TaskState::TaskRunning);
        world.end().await;
    });
}

/// An agent that has each call wait for a minute: its process was stopped, or its host is short of memory.
struct Slow(FakeAgent);

impl Process for Slow {
    const NAME: &'static str = "slave";

    fn install(install: &mut Install<Self>) {
        install.post("/api/v1/executor", "The executor API.", |agent, request, _| {
            let response = agent.0.call(&request);
            Reply::later(async move {
                sleep(Duration::from_secs(60)).await;
                response
            })
        });
    }
}

/// Upstream: `ExecutorHttpApiTest.HeartbeatCalls`.
#[test]
fn an_agent_hears_a_heartbeat_every_half_hour() {
    simulation::run(async {
        let (_network, mut world) = World::simulated(|agent| agent).await;
        let _executor = world.run(world.environment(), Obedient::default());
        world.subscribe().await;
        for _ in 0..2 {
            sleep(Duration::from_secs(29 * 60)).await;
            assert!(world.calls.try_recv().is_err());
            sleep(Duration::from_secs(60)).await;
            assert_eq!(world.call().await.r#type(), Type::Heartbeat);
        }
        world.end().await;
    });
}

#[test]
fn an_agent_that_stands_still_is_waited_for() {
    simulation::run(async {
        let (_network, mut world) = World::simulated(Slow).await;
        let _executor = world.run(world.environment(), Obedient::default());
        world.subscribe().await;
        world.launch(task("t"));
        sleep(Duration::from_secs(61)).await;
        assert_eq!(world.update().await.state(), TaskState::TaskRunning);
        // It has given nothing up meanwhile.
        sleep(Duration::from_secs(55)).await;
        world.message(b"now");
        assert_eq!(world.call().await.message.unwrap().data, b"now");
        world.end().await;
    });
}

#[test]
fn an_agent_that_ends_before_it_has_answered_is_asked_again() {
    libprocess::run(async {
        let mut world = World::new().await;
        let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent_endpoint = way.local_addr().unwrap().to_string();
        tokio::task::spawn_local(lead_astray(way, world.agent.address().to_string()));
        let environment = ExecutorEnvironment { agent_endpoint, ..world.checkpointing() };
        let _executor = world.run(environment, Obedient::default());
        world.subscribe().await;
        world.launch(task("t"));
        assert_eq!(world.update().await.state(), TaskState::TaskRunning);
        world.end().await;
    });
}

#[test]
fn without_checkpoints_a_lost_agent_is_the_end() {
    libprocess::run(async {
        let mut world = World::new().await;
        let executor = world.run(world.environment(), Obedient::default());
        world.subscribe().await;
        world.launch(task("t"));
        world.update().await;
        world.shared.stream.lock().take().unwrap().close();
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}

/// Upstream: `SlaveRecoveryTest.DISABLED_RecoveryTimeout`.
#[test]
fn a_recovery_timeout_is_the_end() {
    libprocess::run(async {
        let mut world = World::new().await;
        let recovery = Recovery::Checkpointed {
            timeout: Duration::from_millis(200),
            backoff_max: Duration::from_millis(20),
        };
        let executor =
            world.run(ExecutorEnvironment { recovery, ..world.environment() }, Obedient::default());
        world.subscribe().await;
        world.launch(task("t"));
        world.update().await;
        world.agent.shutdown().await;
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.node.shutdown().await;
    });
}

#[test]
fn a_shutdown_has_a_grace_period() {
    libprocess::run(async {
        let mut world = World::new().await;
        let executor = world.run(world.environment(), Stubborn);
        world.subscribe().await;
        world.send(&of(event::Type::Shutdown));
        assert_eq!(soon(executor).await.unwrap(), Err(Error::Grace));
        world.end().await;
    });
}

/// As when its agent is restarted within its grace period.
#[test]
fn an_executor_that_is_shutting_down_comes_back_and_says_how_its_tasks_end() {
    libprocess::run(async {
        let mut world = World::new().await;
        let shutdown_grace_period = Duration::from_secs(3600);
        let environment = ExecutorEnvironment { shutdown_grace_period, ..world.checkpointing() };
        let executor = world.run(environment, Lingering::default());
        world.subscribe().await;
        world.launch(task("t"));
        assert_eq!(world.state().await.0, TaskState::TaskRunning);
        world.send(&of(event::Type::Shutdown));
        world.shared.stream.lock().take().unwrap().close();
        world.subscribe().await;
        world.message(b"end");
        assert_eq!(world.state().await.0, TaskState::TaskKilled);
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}

#[test]
fn a_refused_executor_ends_with_the_reason() {
    libprocess::run(async {
        let mut world = World::new().await;
        *world.shared.refuse.lock() = Some(Response::bad_request("Framework cannot be found"));
        let executor = world.run(world.environment(), Obedient::default());
        world.subscribe().await;
        let refused = Error::Refused("400: Framework cannot be found".into());
        assert_eq!(soon(executor).await.unwrap(), Err(refused));
        world.end().await;
    });
}

#[test]
fn the_executor_of_sum_answers_twice() {
    libprocess::run(async {
        let mut world = World::new().await;
        let (node, environment) = (world.node.clone(), world.environment());
        let executor = tokio::task::spawn_local(async move { sum::executor::run(&node, environment).await });
        world.subscribe().await;
        let terms = sum::Terms { from: 0, to: 101 };
        world.launch(v1::TaskInfo { data: serde_json::to_vec(&terms).ok(), ..task("t") });
        assert_eq!(world.update().await.state(), TaskState::TaskRunning);
        let message = world.call().await.message.unwrap().data;
        assert_eq!(message, br#"{"task":"t","sum":5050}"#);
        let finished = world.update().await;
        assert_eq!((finished.state(), finished.data), (TaskState::TaskFinished, Some(message)));
        world.send(&of(event::Type::Shutdown));
        assert_eq!(soon(executor).await.unwrap(), Ok(()));
        world.end().await;
    });
}
