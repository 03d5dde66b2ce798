//! Offers: which of them are used together, when they are taken back, and what they show (upstream: `master_tests.cpp`).

use std::time::Duration;

use libprocess::testing;
use mesos::v1::TaskState;
use mesos::v1::scheduler::event::Type;
use mesos::v1::task_status::Reason;
use serde_json::json;

use super::{Agent, Cluster, Got, Scheduler, amount, executor_task, info, launch, scalar, task};
use crate::Settings;

/// Launches with offers that cannot be used together: the task is dropped, or lost.
async fn refused(
    scheduler: &mut Scheduler<'_>,
    offers: &[&mesos::v1::Offer],
    agent: &Agent,
    expected: TaskState,
) -> String {
    scheduler.launch(offers, json!([task("refused", agent, 1.0, 32.0)])).await;
    let status = scheduler.status().await;
    assert_eq!((status.state(), status.reason()), (expected, Reason::InvalidOffers));
    assert!(agent.launched().await.is_empty());
    status.message().to_owned()
}

/// Frameworks that tell losses apart, and those that do not, with what they are told.
fn both(roles: &[&str]) -> [(serde_json::Value, TaskState); 2] {
    let mut aware = info();
    aware["roles"] = json!(roles);
    let mut other = aware.clone();
    other["capabilities"] = json!([{ "type": "MULTI_ROLE" }]);
    [(aware, TaskState::TaskDropped), (other, TaskState::TaskLost)]
}

/// Upstream: `MasterTest.LaunchCombinedOfferTest`.
#[test]
fn offers_of_one_agent_are_used_together() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([task("1", &agent, 1.0, 512.0)])).await;
        let rest = scheduler.offer().await;
        assert_eq!((amount(&rest.resources, "cpus"), amount(&rest.resources, "mem")), (1.0, 512.0));
        scheduler.call("KILL", json!({ "task_id": { "value": "1" } })).await;
        agent.update(&scheduler.id, "1", TaskState::TaskKilled);
        assert_eq!(scheduler.status().await.state(), TaskState::TaskKilled);
        let freed = scheduler.offer().await;
        assert_eq!((amount(&freed.resources, "cpus"), amount(&freed.resources, "mem")), (1.0, 512.0));
        agent.taken().await;
        scheduler.launch(&[&rest, &freed], json!([task("2", &agent, 2.0, 1024.0)])).await;
        let launched = agent.launched().await;
        assert_eq!(amount(&launched[0].task.resources, "cpus"), 2.0);
    });
}

/// Upstream: `MasterTest.LaunchAcrossSlavesLost`, `LaunchAcrossSlavesDropped`.
#[test]
fn offers_of_two_agents_are_not() {
    testing::run(async {
        for (info, state) in both(&["*"]) {
            let cluster = Cluster::start().await;
            let agents = [cluster.agent("cpus:2;mem:1024").await, cluster.agent("cpus:2;mem:1024").await];
            let mut scheduler = cluster.subscribe(info).await;
            let offers = scheduler.next_of(Type::Offers).await.offers.unwrap().offers;
            let [one, other] = offers.as_slice() else { panic!("{offers:?}") };
            let text = refused(&mut scheduler, &[one, other], &agents[0], state).await;
            assert!(text.contains("Aggregated offers must belong to one single agent"), "{text}");
            // Both are given back, and made anew.
            let again = scheduler.next_of(Type::Offers).await.offers.unwrap().offers;
            assert_eq!(again.len(), 2);
        }
    });
}

/// Upstream: `MasterTest.LaunchDuplicateOfferLost`, `LaunchDuplicateOfferDropped`.
#[test]
fn an_offer_is_not_used_twice_at_once() {
    testing::run(async {
        for (info, state) in both(&["*"]) {
            let cluster = Cluster::start().await;
            let agent = cluster.agent("cpus:2;mem:1024").await;
            let mut scheduler = cluster.subscribe(info).await;
            let offer = scheduler.offer().await;
            let text = refused(&mut scheduler, &[&offer, &offer], &agent, state).await;
            assert!(text.contains("Duplicate offer"), "{text}");
            assert_eq!(amount(&scheduler.offer().await.resources, "cpus"), 2.0);
        }
    });
}

/// Upstream: `MasterTest.LaunchDifferentRoleLost`.
#[test]
fn offers_to_two_roles_are_not_used_together_and_each_role_gets_its_own() {
    testing::run(async {
        for (info, state) in both(&["role1", "role2"]) {
            let cluster = Cluster::start().await;
            let agent = cluster.agent("cpus:2;mem:1024").await;
            let mut scheduler = cluster.subscribe(info).await;
            let first = scheduler.offer().await;
            scheduler.launch(&[&first], json!([task("1", &agent, 1.0, 512.0)])).await;
            let rest = scheduler.offer().await;
            agent.update(&scheduler.id, "1", TaskState::TaskKilled);
            assert_eq!(scheduler.status().await.state(), TaskState::TaskKilled);
            let freed = scheduler.offer().await;
            agent.taken().await;
            let role = |offer: &mesos::v1::Offer| offer.allocation_info.as_ref().unwrap().role().to_owned();
            assert_ne!(role(&rest), role(&freed));
            let text = refused(&mut scheduler, &[&rest, &freed], &agent, state).await;
            assert!(text.contains("must be allocated to the same role"), "{text}");
        }
    });
}

/// Upstream: `MasterTest.MultiRoleFrameworkReceivesOffers`.
#[test]
fn an_agent_goes_to_one_role_of_a_framework_and_the_next_to_the_other() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _first = cluster.agent("cpus:2;mem:1024").await;
        let mut several = info();
        several["roles"] = json!(["role1", "role2"]);
        let mut scheduler = cluster.subscribe(several).await;
        let one = scheduler.offer().await;
        let _second = cluster.agent("cpus:2;mem:1024").await;
        let other = scheduler.offer().await;
        assert_ne!(one.allocation_info, other.allocation_info);
        assert_ne!(one.agent_id, other.agent_id);
    });
}

/// Upstream: `MasterTest.OfferNotRescindedOnceUsed`, `OfferNotRescindedOnceDeclined`.
#[test]
fn an_offer_that_was_answered_does_not_time_out() {
    testing::run(async {
        let timeout = Duration::from_secs(30);
        for accepts in [true, false] {
            let settings = Settings { offer_timeout: Some(timeout), ..Settings::default() };
            let cluster = Cluster::with(settings).await;
            let agent = cluster.agent("cpus:2;mem:1024").await;
            let mut scheduler = cluster.subscribe(info()).await;
            let offer = scheduler.offer().await;
            let ids = json!([{ "value": offer.id.value }]);
            let filters = json!({ "refuse_seconds": 3600.0 });
            let tasks = json!([task("t", &agent, 2.0, 1024.0)]);
            let (call, body) = match accepts {
                true => {
                    ("ACCEPT", json!({ "offer_ids": ids, "operations": [launch(tasks)], "filters": filters }))
                }
                false => ("DECLINE", json!({ "offer_ids": ids, "filters": filters })),
            };
            assert_eq!(scheduler.call(call, body).await.0, 202);
            tokio::time::sleep(2 * timeout).await;
            let events = scheduler.pending().await;
            assert!(events.iter().all(|event| event.r#type() == Type::Heartbeat), "{events:?}");
            let metric = |name: &str| {
                cluster.metric(&format!("master/frameworks/test/{}/offers/{name}", scheduler.id))
            };
            let answered = if accepts { "accepted" } else { "declined" };
            assert_eq!((metric(answered), metric("sent"), metric("rescinded")), (1.0, 1.0, 0.0));
        }
    });
}

/// Upstream: `MasterTest.IgnoreEphemeralPortsResource`.
#[test]
fn ephemeral_ports_are_the_agents_own_affair() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:2;mem:1024;ports:[31000-32000];ephemeral_ports:[30001-30999]").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let mut names: Vec<&str> = offer.resources.iter().map(|resource| resource.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["cpus", "mem", "ports"]);
    });
}

/// Upstream: `MasterTest.RecoverResources`.
#[test]
fn what_a_task_and_then_its_executor_had_is_offered_again() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024;ports:[1-10, 20-30]").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let mut one = executor_task("t", &agent, "e", 1.5);
        let ports = |ranges: serde_json::Value| json!({ "name": "ports", "type": "RANGES", "ranges": { "range": ranges } });
        let of_task =
            json!([{ "begin": 1, "end": 4 }, { "begin": 9, "end": 10 }, { "begin": 20, "end": 22 }]);
        let of_executor = json!([{ "begin": 5, "end": 8 }, { "begin": 23, "end": 25 }]);
        one["resources"].as_array_mut().unwrap().push(ports(of_task));
        one["executor"]["resources"].as_array_mut().unwrap().push(ports(of_executor));
        scheduler.launch(&[&offer], json!([one])).await;
        assert_eq!(agent.launched().await.len(), 1);
        scheduler.call("KILL", json!({ "task_id": { "value": "t" } })).await;
        assert!(matches!(agent.taken().await.as_slice(), [Got::Kill(_)]));
        let declined = scheduler.offer().await;
        let body =
            json!({ "offer_ids": [{ "value": declined.id.value }], "filters": { "refuse_seconds": 0.0 } });
        agent.update(&scheduler.id, "t", TaskState::TaskKilled);
        assert_eq!(scheduler.status().await.state(), TaskState::TaskKilled);
        scheduler.call("DECLINE", body).await;
        let without_executor = scheduler.offer().await;
        let text = |offer: &mesos::v1::Offer| {
            mesos::Resources::try_from_protos(&offer.resources).unwrap().unallocated().to_string()
        };
        assert!(
            text(&without_executor).contains("ports:[1-4, 9-10, 20-22, 26-30]"),
            "{}",
            text(&without_executor)
        );
        agent.post(mesos::internal::ExitedExecutorMessage {
            slave_id: agent.info.id.clone().unwrap(),
            framework_id: mesos::v1::FrameworkId { value: scheduler.id.clone() },
            executor_id: mesos::v1::ExecutorId { value: "e".into() },
            status: 9,
        });
        scheduler.next_of(Type::Failure).await;
        let body = json!({
            "offer_ids": [{ "value": without_executor.id.value }], "filters": { "refuse_seconds": 0.0 }
        });
        scheduler.call("DECLINE", body).await;
        assert_eq!(text(&scheduler.offer().await), text(&offer));
    });
}

/// Upstream: `MasterTest.TaskWithTinyResources`, whose library leaves out what is too little to count before it is sent.
#[test]
fn a_task_may_have_memory_only_and_nothing_that_is_too_little_to_count() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let mut one = task("t", &agent, 0.0, 1.0);
        one["resources"].as_array_mut().unwrap().remove(0);
        let tiny = task("tiny", &agent, 0.00001, 1.0);
        scheduler.accept(&offer, json!([launch(json!([one])), launch(json!([tiny]))])).await;
        let refused = scheduler.status().await;
        assert_eq!((refused.task_id.value.as_str(), refused.state()), ("tiny", TaskState::TaskError));
        assert!(refused.message().contains("Invalid scalar resource: value <= 0"), "{}", refused.message());
        assert_eq!(agent.launched().await.len(), 1);
        agent.update(&scheduler.id, "t", TaskState::TaskRunning);
        assert_eq!(scheduler.status().await.state(), TaskState::TaskRunning);
        assert_eq!(amount(&scheduler.offer().await.resources, "cpus"), 2.0);
    });
}

/// Upstream: `MasterTest.MultipleExecutors`.
#[test]
fn two_executors_of_a_framework_run_on_one_agent() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        let tasks = json!([executor_task("1", &agent, "a", 1.0), executor_task("2", &agent, "b", 1.0)]);
        scheduler.launch(&[&offer], tasks).await;
        let launched = agent.launched().await;
        let executors: Vec<_> = launched
            .iter()
            .map(|run| (run.task.executor.as_ref().unwrap().executor_id.value.as_str(), run.launch_executor))
            .collect();
        assert_eq!(executors, [("a", Some(true)), ("b", Some(true))]);
        for id in ["1", "2"] {
            agent.update(&scheduler.id, id, TaskState::TaskRunning);
            assert_eq!(scheduler.status().await.task_id.value, id);
        }
    });
}

/// Upstream: `MasterTest.MaxExecutorsPerSlave`, which allows none.
#[test]
fn an_agent_with_its_maximum_of_executors_is_not_offered_until_one_of_them_ends() {
    testing::run(async {
        let settings = Settings { max_executors_per_agent: Some(1), ..Settings::default() };
        let cluster = Cluster::with(settings).await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        // A task without an executor of its own does not count.
        scheduler.launch(&[&offer], json!([task("0", &agent, 1.0, 32.0)])).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([executor_task("1", &agent, "e", 1.0)])).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let events = scheduler.pending().await;
        assert!(events.iter().all(|event| event.r#type() == Type::Heartbeat), "{events:?}");
        let told = cluster.get(&format!("/allocator/explain?framework={}", scheduler.id)).await;
        assert_eq!(told["roles"][0]["reasons"][0]["reason"], "executor_limit", "{told:#}");
        let other = cluster.agent("cpus:1;mem:64").await;
        assert_eq!(scheduler.offer().await.agent_id, other.info.id.clone().unwrap());
        agent.post(mesos::internal::ExitedExecutorMessage {
            slave_id: agent.info.id.clone().unwrap(),
            framework_id: mesos::v1::FrameworkId { value: scheduler.id.clone() },
            executor_id: mesos::v1::ExecutorId { value: "e".into() },
            status: 0,
        });
        assert_eq!(scheduler.offer().await.agent_id, agent.info.id.clone().unwrap());
    });
}

fn has(offer: &mesos::v1::Offer) -> (f64, f64) {
    (amount(&offer.resources, "cpus"), amount(&offer.resources, "mem"))
}

/// Launches with this offer, and does not want the rest for an hour.
async fn launch_only(scheduler: &Scheduler<'_>, offer: &mesos::v1::Offer, tasks: serde_json::Value) {
    let body = json!({
        "offer_ids": [{ "value": offer.id.value }], "operations": [launch(tasks)],
        "filters": { "refuse_seconds": 3600.0 }
    });
    assert_eq!(scheduler.call("ACCEPT", body).await, (202, String::new()));
}

/// Upstream: `ResourcesUnused`, `FrameworkExited`.
#[test]
fn what_one_framework_leaves_and_what_it_had_go_to_another() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:3;mem:1024").await;
        let mut first = cluster.subscribe(info()).await;
        let offer = first.offer().await;
        assert_eq!(has(&offer), (3.0, 1024.0));
        launch_only(&first, &offer, json!([task("1", &agent, 2.0, 512.0)])).await;
        let mut second = cluster.subscribe(info()).await;
        let offer = second.offer().await;
        assert_eq!(has(&offer), (1.0, 512.0));
        launch_only(&second, &offer, json!([task("2", &agent, 1.0, 256.0)])).await;
        assert_eq!(first.call("TEARDOWN", json!(null)).await.0, 202);
        assert_eq!(has(&second.offer().await), (2.0, 768.0));
    });
}

/// Upstream: `TaskFinished`.
#[test]
fn what_an_ended_task_had_is_offered_together_with_what_was_left() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:3;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        launch_only(
            &scheduler,
            &offer,
            json!([task("1", &agent, 1.0, 256.0), task("2", &agent, 1.0, 256.0)]),
        )
        .await;
        agent.update(&scheduler.id, "1", TaskState::TaskFinished);
        assert_eq!(has(&scheduler.offer().await), (2.0, 768.0));
    });
}

/// Upstream: `SlaveAdded`.
#[test]
fn the_rest_of_an_agent_and_a_new_agent_are_offered_in_one_event() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let one = cluster.agent("cpus:3;mem:1024").await;
        let mut scheduler = cluster.subscribe(info()).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&[&offer], json!([task("t", &one, 2.0, 512.0)])).await;
        let _other = cluster.agent("cpus:4;mem:2048").await;
        let mut offered = Vec::new();
        while offered.len() < 2 {
            offered.extend(scheduler.next_of(Type::Offers).await.offers.unwrap().offers);
        }
        let ids: Vec<_> = offered.iter().map(|offer| json!({ "value": offer.id.value })).collect();
        let body = json!({ "offer_ids": ids, "filters": { "refuse_seconds": 0.0 } });
        assert_eq!(scheduler.call("DECLINE", body).await.0, 202);
        let both = scheduler.next_of(Type::Offers).await.offers.unwrap().offers;
        let sum = both.iter().map(has).fold((0.0, 0.0), |sum, each| (sum.0 + each.0, sum.1 + each.1));
        assert_eq!((both.len(), sum), (2, (5.0, 2560.0)));
    });
}

/// Upstream: `CpusOnlyOfferedAndTaskLaunched`, `MemoryOnlyOfferedAndTaskLaunched`.
#[test]
fn an_agent_with_nothing_but_cpus_or_memory_is_offered_used_and_offered_again() {
    testing::run(async {
        for (total, all) in [("cpus:2;mem:0", scalar("cpus", 2.0)), ("cpus:0;mem:200", scalar("mem", 200.0))]
        {
            let cluster = Cluster::start().await;
            let agent = cluster.agent(total).await;
            let mut scheduler = cluster.subscribe(info()).await;
            let offer = scheduler.offer().await;
            assert_eq!(offer.resources.len(), 1);
            let mut greedy = task("t", &agent, 0.0, 0.0);
            greedy["resources"] = json!([all]);
            scheduler.launch(&[&offer], json!([greedy])).await;
            assert_eq!(agent.launched().await.len(), 1, "{total}");
            agent.update(&scheduler.id, "t", TaskState::TaskFinished);
            assert_eq!(scheduler.status().await.state(), TaskState::TaskFinished);
            assert_eq!(scheduler.offer().await.resources, offer.resources);
        }
    });
}

/// Upstream: `ResourceOffersTest.ResourceOfferWithMultipleSlaves`.
#[test]
fn each_of_ten_agents_is_offered_whole() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut agents = Vec::new();
        for _ in 0..10 {
            agents.push(cluster.agent("cpus:2;mem:1024").await);
        }
        let mut scheduler = cluster.subscribe(info()).await;
        let offers = scheduler.next_of(Type::Offers).await.offers.unwrap().offers;
        assert_eq!(offers.len(), 10);
        for offer in &offers {
            assert_eq!((amount(&offer.resources, "cpus"), amount(&offer.resources, "mem")), (2.0, 1024.0));
        }
    });
}

/// Upstream: `ResourceOffersTest.ResourcesGetReofferedAfterTaskInfoError`,
/// `ResourceOffersTest.ResourcesGetReofferedWhenUnused`.
#[test]
fn what_was_not_used_is_offered_to_others() {
    testing::run(async {
        for is_wrong in [false, true] {
            let cluster = Cluster::start().await;
            let agent = cluster.agent("cpus:2;mem:1024").await;
            let mut first = cluster.subscribe(info()).await;
            let offer = first.offer().await;
            first.call("SUPPRESS", json!(null)).await;
            let tasks = if is_wrong { json!([task("t", &agent, -1.0, 1024.0)]) } else { json!([]) };
            first.launch(&[&offer], tasks).await;
            if is_wrong {
                let status = first.status().await;
                assert_eq!((status.state(), status.reason()), (TaskState::TaskError, Reason::TaskInvalid));
                assert!(status.message().contains("Invalid scalar resource"), "{}", status.message());
            }
            assert_eq!(agent.launched().await, []);
            let mut second = cluster.subscribe(info()).await;
            assert_eq!(amount(&second.offer().await.resources, "cpus"), 2.0);
        }
    });
}

/// Upstream: `MasterAllocatorTest.NestedRoles`.
#[test]
fn tasks_run_in_roles_below_others_and_a_new_agent_goes_to_the_branch_that_has_nothing() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let in_role = super::quota::in_role;
        let mut ab = cluster.subscribe(in_role("a/b")).await;
        let one = cluster.agent("cpus:2;mem:1024").await;
        let offer = ab.offer().await;
        ab.launch(&[&offer], json!([task("1", &one, 2.0, 1024.0)])).await;
        let launched = one.launched().await.remove(0).task;
        assert_eq!(launched.resources[0].allocation_info.as_ref().unwrap().role(), "a/b");
        let mut ac = cluster.subscribe(in_role("a/c")).await;
        let mut bx = cluster.subscribe(in_role("b/x")).await;
        let other = cluster.agent("cpus:1;mem:512").await;
        let offer = bx.offer().await;
        assert_eq!(offer.allocation_info.as_ref().unwrap().role(), "b/x");
        bx.launch(&[&offer], json!([task("2", &other, 1.0, 512.0)])).await;
        assert_eq!(other.launched().await.len(), 1);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(ac.pending().await.iter().all(|event| event.r#type() != Type::Offers));
    });
}
