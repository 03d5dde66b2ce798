//! What drivers are told when they ask for very many tasks. For all else: `tests/reconciliation.rs`.

use libprocess::testing;
use mesos::internal::*;
use mesos::v1::TaskState;
use mesos::{v0, v1};
use serde_json::{Value, json};

use super::super::Cluster;
use super::{Driver, Heard, again, error, info, launched, message, task};

impl Driver {
    fn asks_for(&self, names: &[String]) {
        let status = |name: &String| v1::TaskStatus {
            task_id: v1::TaskId { value: name.clone() },
            ..Default::default()
        };
        self.say(ReconcileTasksMessage {
            framework_id: v1::FrameworkId { value: self.id.clone() },
            statuses: names.iter().map(status).collect(),
            ..Default::default()
        });
    }

    /// A task that nobody knows: it is answered for.
    fn kills_unknown(&self, name: &str) {
        self.say(KillTaskMessage {
            framework_id: v1::FrameworkId { value: self.id.clone() },
            task_id: v1::TaskId { value: name.into() },
            kill_policy: None,
        });
    }
}

/// The tasks that a driver was told of, in order.
fn told(heard: Vec<Heard>) -> Vec<String> {
    let updates = heard.into_iter().filter_map(|heard| match heard {
        Heard::Update(update) => Some(update.update.status.task_id.value),
        _ => None,
    });
    updates.collect()
}

fn many() -> Vec<String> {
    (0..1_201).map(|number| format!("t{number}")).collect()
}

#[test]
fn a_driver_is_answered_in_slices_and_for_what_it_asks_meanwhile_behind_them() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let driver = cluster.driver(info()).await;
        let many = many();
        driver.asks_for(&many);
        driver.asks_for(&["x".to_owned()]);
        driver.kills_unknown("y");
        let expected = [&many[..500], &["y".to_owned()], &many[500..], &["x".to_owned()]].concat();
        assert_eq!(told(driver.heard().await), expected);
        driver.asks_for(&["z".to_owned()]);
        driver.kills_unknown("y");
        assert_eq!(told(driver.heard().await), ["z", "y"]);
        assert_eq!(cluster.metric("master/messages_reconcile_tasks"), 5.0);
    });
}

#[test]
fn what_drivers_ask_one_after_the_other_is_answered_in_that_order() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let (driver, other) = (cluster.driver(info()).await, cluster.driver(info()).await);
        let (many, more) = (many(), ["a".to_owned(), "b".to_owned()]);
        driver.asks_for(&many[..700]);
        driver.asks_for(&more);
        other.asks_for(&many[..501]);
        driver.asks_for(&many[700..]);
        // All of none.
        driver.asks_for(&[]);
        driver.asks_for(&more);
        let expected = [&many[..700], &more, &many[700..], &more].concat();
        assert_eq!(told(driver.heard().await), expected);
        assert_eq!(told(other.heard().await), many[..501]);
    });
}

#[test]
fn what_a_driver_has_asked_is_not_told_to_the_one_that_takes_its_place() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let first = cluster.driver(info()).await;
        let mut second = cluster.silent_driver();
        second.id.clone_from(&first.id);
        let many = many();
        first.asks_for(&many);
        first.asks_for(&["x".to_owned()]);
        let subscribe = json!({
            "type": "SUBSCRIBE", "framework_id": { "value": first.id },
            "subscribe": { "framework_info": again(&first.id), "force": true }
        });
        second.say(message::<v0::scheduler::Call>(subscribe));
        second.asks_for(&["z".to_owned()]);
        let heard = first.heard().await;
        assert_eq!(heard.last(), Some(&error("Framework failed over")));
        assert_eq!(told(heard), many[..500]);
        let heard = second.heard().await;
        assert!(matches!(heard.as_slice(), [Heard::Registered(_), Heard::Update(_)]), "{heard:?}");
        assert_eq!(told(heard), ["z"]);
    });
}

/// Upstream's master has answered before it hears the acknowledgement.
#[test]
fn a_task_that_is_over_between_two_slices_is_not_called_lost() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let driver = launched(&cluster, &agent).await;
        agent.update(&driver.id, "t", TaskState::TaskFinished);
        let finished = driver.update().await.update;
        let (many, last) = (many(), ["t".to_owned()]);
        driver.asks_for(&[&many[..], &last].concat());
        driver.asks_for(&last);
        driver.acknowledge(&finished).await;
        assert_eq!(told(driver.heard().await), many);
        // Who asks now is told.
        driver.asks_for(&last);
        assert_eq!(told(driver.heard().await), last);
    });
}

#[test]
fn a_framework_that_is_over_is_answered_no_more() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let driver = cluster.driver(info()).await;
        let many = many();
        driver.asks_for(&many);
        driver.asks_for(&["x".to_owned()]);
        driver.say(UnregisterFrameworkMessage { framework_id: v1::FrameworkId { value: driver.id.clone() } });
        assert_eq!(told(driver.heard().await), many[..500]);
    });
}

/// Also where the answers are for all tasks, which are told in no order.
#[test]
fn a_driver_that_asks_for_all_of_very_many_tasks_is_answered_in_slices() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:700;mem:22400").await;
        let driver = cluster.driver(info()).await;
        let offer = driver.offers().await.offers.remove(0);
        let names: Vec<String> = (0..700).map(|number| format!("t{number:03}")).collect();
        let tasks: Vec<Value> = names.iter().map(|name| task(name, &agent)).collect();
        driver.launch(&offer, json!(tasks)).await;
        assert_eq!(agent.launched().await.len(), 700);
        driver.asks_for(&[]);
        driver.kills_unknown("y");
        let mut answered = told(driver.heard().await);
        assert_eq!(answered.remove(500), "y");
        answered.sort();
        assert_eq!(answered, names);
    });
}
