//! How drivers come, go, and take over from each other.

use std::time::Duration;

use libprocess::testing;
use mesos::internal::*;
use mesos::v1;
use mesos::v1::scheduler::event::Type;
use serde_json::json;

use super::super::shelf::Shelf;
use super::super::{Cluster, Got};
use super::{Driver, Heard, again, error, info, message};
use crate::Settings;

async fn shown(cluster: &Cluster) -> serde_json::Value {
    cluster.get("/frameworks").await["frameworks"][0].clone()
}

/// What a driver is told beside offers.
async fn told(driver: &Driver) -> Vec<Heard> {
    let heard = driver.heard().await;
    heard.into_iter().filter(|heard| !matches!(heard, Heard::Offers(_))).collect()
}

fn registered(cluster: &Cluster, id: &str) -> Heard {
    Heard::Registered(Box::new(FrameworkRegisteredMessage {
        framework_id: v1::FrameworkId { value: id.into() },
        master_info: cluster.running.info.clone(),
    }))
}

fn reregistered(cluster: &Cluster, id: &str) -> Heard {
    Heard::Reregistered(Box::new(FrameworkReregisteredMessage {
        framework_id: v1::FrameworkId { value: id.into() },
        master_info: cluster.running.info.clone(),
    }))
}

/// Upstream: `RegistrationWithZeroFailoverTime`.
#[test]
fn a_driver_registers_and_is_told_the_same_when_it_repeats_itself() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let mut described = info();
        described["failover_timeout"] = json!(0.0);
        let driver = cluster.driver(described.clone()).await;
        assert_eq!(driver.id, format!("{}-0000", cluster.running.info.id));
        let framework = shown(&cluster).await;
        assert_eq!(framework["pid"], driver.pid());
        assert_eq!((&framework["connected"], &framework["active"]), (&json!(true), &json!(true)));

        driver.subscribe(described.clone(), false).await;
        assert_eq!(told(&driver).await, [registered(&cluster, &driver.id)]);
        assert_eq!(cluster.get("/frameworks").await["frameworks"].as_array().unwrap().len(), 1);
        assert_eq!(cluster.metric("master/messages_register_framework"), 2.0);

        driver.die().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        testing::settle().await;
        assert_eq!(cluster.get("/frameworks").await["frameworks"], json!([]));
        assert_eq!(cluster.get("/frameworks").await["completed_frameworks"][0]["pid"], driver.pid());
    });
}

#[test]
fn what_a_driver_says_of_its_framework_must_be_valid() {
    testing::run(async {
        let settings = Settings { root_submissions: false, ..Settings::default() };
        let cluster = Cluster::with(settings).await;
        let driver = cluster.silent_driver();
        let mut described = info();
        described["user"] = json!("root");
        driver.subscribe(described, false).await;
        let text = "User 'root' is not allowed to run frameworks without --root_submissions set";
        assert_eq!(driver.heard().await, [error(text)]);
        driver.subscribe_with(json!({ "framework_info": info(), "suppressed_roles": ["other"] })).await;
        let heard = driver.heard().await;
        assert!(matches!(heard.as_slice(), [Heard::Error(_)]), "{heard:?}");
    });
}

/// Upstream: `SchedulerFailover`, `SchedulerFailoverRetriedReregistration`, `IgnoreKillTaskFromUnregisteredFramework`.
#[test]
fn a_driver_that_fails_over_has_the_framework_and_the_one_before_ends() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let first = super::launched(&cluster, &agent).await;
        agent.taken().await;
        first.heard().await;

        let mut second = cluster.silent_driver();
        second.id.clone_from(&first.id);
        second.subscribe(again(&first.id), true).await;
        assert_eq!(told(&first).await, [error("Framework failed over")]);
        assert_eq!(told(&second).await, [registered(&cluster, &first.id)]);
        let got = agent.taken().await;
        let [Got::UpdateFramework(update)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(update.pid, Some(second.pid()));

        // It repeats itself: that is no failover.
        second.subscribe(again(&first.id), true).await;
        assert_eq!(told(&second).await, [registered(&cluster, &first.id)]);

        // The first one is nobody any more: its calls are dropped, and its end is not the framework's.
        agent.taken().await;
        first.call("KILL", json!({ "task_id": { "value": "t" } })).await;
        first.call("TEARDOWN", json!(null)).await;
        first.die().await;
        assert_eq!(agent.taken().await, []);
        assert_eq!(shown(&cluster).await["connected"], json!(true));
        second.call("KILL", json!({ "task_id": { "value": "t" } })).await;
        assert!(matches!(agent.taken().await.as_slice(), [Got::Kill(_)]));
    });
}

#[test]
fn without_failover_only_the_frameworks_own_driver_gets_it_back() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = cluster.driver(info()).await;
        let offer = driver.offers().await.offers.remove(0);

        let other = cluster.silent_driver();
        other.subscribe(again(&driver.id), false).await;
        assert_eq!(other.heard().await, [error("Framework failed over")]);
        assert_eq!(driver.heard().await, []);

        // Its own driver may hold offers whose answers were lost with the master that it thought it had lost.
        driver.subscribe(again(&driver.id), false).await;
        let heard = driver.heard().await;
        let rescinded = Heard::Rescinded(RescindResourceOfferMessage { offer_id: offer.id });
        assert_eq!(heard[..2], [rescinded, reregistered(&cluster, &driver.id)]);
        let offered = driver.offers().await;
        assert_eq!(offered.offers[0].agent_id.value, agent.id());
    });
}

/// A pid is one framework's.
#[test]
fn a_driver_that_has_a_framework_does_not_get_another_one() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let (one, other) = (cluster.driver(info()).await, cluster.driver(info()).await);
        one.subscribe(again(&other.id), true).await;
        assert_eq!(one.heard().await, []);
        assert_eq!(other.heard().await, []);
        let frameworks = cluster.get("/frameworks").await["frameworks"].clone();
        assert_eq!([&frameworks[0]["pid"], &frameworks[1]["pid"]], [&one.pid(), &other.pid()]);
    });
}

/// Upstream: `SchedulerExit`, `SchedulerReregisterAfterFailoverTimeout`, `MasterToScheduler`.
#[test]
fn a_framework_whose_drivers_link_breaks_has_its_failover_timeout() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = super::launched(&cluster, &agent).await;
        driver.die().await;
        let framework = shown(&cluster).await;
        assert_eq!((&framework["connected"], &framework["active"]), (&json!(false), &json!(false)));
        // Who comes from that pid may have been cut off: it is to abort.
        let (master, pid) = (cluster.node.pid("master"), driver.pid());
        let back = Driver {
            actor: cluster.node.spawn_as(pid.split('@').next().unwrap(), super::Ears(driver.heard.clone())),
            node: cluster.node.clone(),
            heard: driver.heard.clone(),
            id: driver.id.clone(),
        };
        assert_eq!((back.pid(), master.id()), (pid, "master"));
        back.heard().await;
        back.call("REVIVE", json!(null)).await;
        assert_eq!(back.heard().await, [error("Framework disconnected")]);
        // It may come back without taking over.
        back.subscribe(again(&driver.id), false).await;
        assert_eq!(told(&back).await, [reregistered(&cluster, &driver.id)]);
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(shown(&cluster).await["connected"], json!(true));

        back.die().await;
        tokio::time::sleep(Duration::from_secs(61)).await;
        testing::settle().await;
        let got = agent.taken().await;
        assert!(got.iter().any(|got| matches!(got, Got::ShutdownFramework(_))), "{got:?}");
        let late = cluster.silent_driver();
        late.subscribe(again(&driver.id), true).await;
        assert_eq!(late.heard().await, [error("Framework has been removed")]);
    });
}

/// The way to it was broken until the framework's time was over, and it has not noticed: it is to abort. (Upstream drops
/// its calls, for ever.)
#[test]
fn a_driver_whose_framework_was_removed_behind_its_back_is_told_so() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let driver = cluster.driver(info()).await;
        let id = driver.pid().split('@').next().unwrap().to_owned();
        driver.die().await;
        tokio::time::sleep(Duration::from_secs(61)).await;
        testing::settle().await;
        assert_eq!(cluster.get("/frameworks").await["frameworks"], json!([]));
        let back = Driver {
            actor: cluster.node.spawn_as(&id, super::Ears(driver.heard.clone())),
            node: cluster.node.clone(),
            heard: driver.heard.clone(),
            id: driver.id.clone(),
        };
        back.heard().await;
        back.call("REVIVE", json!(null)).await;
        assert_eq!(back.heard().await, [error("Framework has been removed")]);
        // Nobody else may speak for it, or is told anything.
        let other = Driver { id: driver.id.clone(), ..cluster.silent_driver() };
        other.call("REVIVE", json!(null)).await;
        assert_eq!(other.heard().await, []);
    });
}

/// An upgrade from the first API, and back. Upstream: `UpdatePidToHttpScheduler`, `UpdateHttpToPidScheduler`,
/// `UpdateHttpToPidSchedulerAndBack`.
#[test]
fn a_stream_takes_over_from_a_driver_and_a_driver_from_a_stream() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = super::launched(&cluster, &agent).await;
        agent.taken().await;
        driver.heard().await;

        let mut stream = cluster.subscribe(again(&driver.id)).await;
        assert_eq!(driver.heard().await, [error("Framework failed over")]);
        assert_eq!(shown(&cluster).await.get("pid"), None);
        let got = agent.taken().await;
        let [Got::UpdateFramework(update)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(update.pid, Some(libprocess::Pid::nobody().to_string()));
        driver.call("TEARDOWN", json!(null)).await;
        driver.die().await;
        assert_eq!(shown(&cluster).await["connected"], json!(true));

        let second = cluster.silent_driver();
        second.subscribe(again(&driver.id), false).await;
        assert_eq!(second.heard().await, [error("Framework failed over")]);
        second.subscribe(again(&driver.id), true).await;
        assert_eq!(told(&second).await, [registered(&cluster, &driver.id)]);
        let failed_over = stream.next_of(Type::Error).await.error.unwrap().message;
        assert_eq!(failed_over, "Framework failed over");
        assert!(stream.next().await.is_none());
        assert_eq!(shown(&cluster).await["pid"], second.pid());
        let refused = (403, "Framework is not connected via HTTP".to_owned());
        assert_eq!(stream.call("TEARDOWN", json!(null)).await, refused);
        second.die().await;
        let refused = (403, "Framework is not subscribed".to_owned());
        assert_eq!(stream.call("TEARDOWN", json!(null)).await, refused);
    });
}

/// Upstream: `MasterFailover`, `FrameworkReregister`.
#[test]
fn a_driver_goes_on_with_the_next_leader() {
    testing::run(async {
        let shelf = Shelf::default();
        let cluster = Cluster::on(&shelf, Settings::default()).await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = super::launched(&cluster, &agent).await;
        driver.heard().await;

        let cluster = cluster.fail_over(&shelf, Settings::default()).await;
        let running = super::super::agents::reported(&agent, &driver.id, v1::TaskState::TaskRunning);
        agent.reregister(vec![running], vec![message(again(&driver.id))]);
        testing::settle().await;
        assert_eq!(shown(&cluster).await["recovered"], json!(true));
        driver.call("REVIVE", json!(null)).await;
        assert_eq!(driver.heard().await, []);

        // Registered, not reregistered: this master has not known it before.
        agent.taken().await;
        driver.subscribe(again(&driver.id), false).await;
        assert_eq!(told(&driver).await, [registered(&cluster, &driver.id)]);
        assert_eq!(shown(&cluster).await["pid"], driver.pid());
        assert_eq!(shown(&cluster).await["tasks"][0]["id"], "t");
        let got = agent.taken().await;
        let [Got::UpdateFramework(update)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(update.pid, Some(driver.pid()));
    });
}

/// Upstream: `ExceptionTest.DeactivateFrameworkOnAbort`.
#[test]
fn a_driver_that_aborts_is_offered_nothing_until_it_subscribes() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = cluster.driver(info()).await;
        let offer = driver.offers().await.offers.remove(0);
        let deactivate = DeactivateFrameworkMessage { framework_id: offer.framework_id };
        cluster.silent_driver().post(deactivate.clone()).await;
        assert_eq!(driver.heard().await, []);
        driver.post(deactivate).await;
        let rescinded = Heard::Rescinded(RescindResourceOfferMessage { offer_id: offer.id });
        assert_eq!(driver.heard().await, [rescinded]);
        let framework = shown(&cluster).await;
        assert_eq!((&framework["connected"], &framework["active"]), (&json!(true), &json!(false)));
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(driver.heard().await, []);
        assert_eq!(cluster.metric("master/messages_deactivate_framework"), 2.0);

        let second = cluster.silent_driver();
        second.subscribe(again(&driver.id), true).await;
        assert_eq!(second.hears().await, registered(&cluster, &driver.id));
        second.offers().await;
    });
}

#[test]
fn who_wants_to_authenticate_is_refused() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let driver = cluster.silent_driver();
        driver.post(AuthenticateMessage { pid: driver.pid() }).await;
        assert_eq!(driver.heard().await, [Heard::AuthenticationFailed(AuthenticationFailedMessage {})]);
        assert_eq!(cluster.metric("master/messages_authenticate"), 1.0);
    });
}
