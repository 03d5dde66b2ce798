//! Which agents a master does not even look at, whether they are new or come back.

use libprocess::testing;
use mesos::internal::{RegisterSlaveMessage, ReregisterSlaveMessage};
use mesos::settings::ProtoJson;
use mesos::v1;
use mesos::v1::domain_info::FaultDomain;
use mesos::v1::domain_info::fault_domain::{RegionInfo, ZoneInfo};

use super::{Agent, Cluster, Got, capabilities};
use crate::Settings;
use crate::authorization::Action;

fn domain() -> v1::DomainInfo {
    let (region, zone) = (RegionInfo { name: "here".into() }, ZoneInfo { name: "left".into() });
    v1::DomainInfo { fault_domain: Some(FaultDomain { region, zone }) }
}

pub(super) fn registers(agent: &Agent, version: &str) {
    agent.post(RegisterSlaveMessage {
        slave: v1::AgentInfo { id: None, ..agent.info.clone() },
        version: Some(version.into()),
        agent_capabilities: capabilities(),
        ..Default::default()
    });
}

fn registers_again(agent: &Agent, version: &str) {
    agent.post(ReregisterSlaveMessage {
        slave: v1::AgentInfo {
            id: Some(v1::AgentId { value: "of-a-master-S0".into() }),
            ..agent.info.clone()
        },
        version: Some(version.into()),
        agent_capabilities: capabilities(),
        ..Default::default()
    });
}

/// Upstream: `IgnoreOldAgentRegistration`, `IgnoreOldAgentReregistration`.
#[test]
fn agents_before_1_0_are_ignored_and_so_are_versions_that_are_none() {
    testing::run(async {
        let cluster = Cluster::start().await;
        for version in ["0.28.1-rc1", "none"] {
            let agent = cluster.stranger("cpus:1");
            registers(&agent, version);
            registers_again(&agent, version);
            assert_eq!(agent.taken().await, [], "{version}");
        }
        // It is not shut down: it may be replaced by a newer one, with its tasks.
        let agent = cluster.stranger("cpus:1");
        registers_again(&agent, "1.0.0");
        assert!(matches!(agent.taken().await.as_slice(), [Got::Reregistered(_)]));
    });
}

/// Upstream: `MasterAuthorizationTest.UnauthorizedToRegisterAgent`, `UnauthorizedToReregisterAgent`, with ACLs there.
#[test]
fn agents_that_may_not_be_are_ignored_and_so_are_those_that_may_not_reserve_what_they_have_reserved() {
    testing::run(async {
        let denied = |_: Option<&str>, action: &Action<'_>| match action {
            Action::RegisterAgent(info) => info.hostname != "unwelcome",
            Action::ReserveResources(role, _) => *role != "theirs",
            _ => true,
        };
        let cluster = Cluster::with_authorizer(Settings::default(), denied).await;
        let mut unwelcome = cluster.stranger("cpus:1");
        unwelcome.info.hostname = "unwelcome".into();
        for agent in [unwelcome, cluster.stranger("cpus(theirs):1")] {
            registers(&agent, "1.11.0");
            registers_again(&agent, "1.11.0");
            assert_eq!(agent.taken().await, []);
        }
        cluster.agent("cpus(ours):1").await;
    });
}

/// Upstream: `AgentDomainMismatch`, `AgentDomainMismatchOnReregister`, `RegistrationWithoutRequiredAgentDomain`,
/// `ReregistrationWithoutRequiredAgentDomain`.
#[test]
fn agents_without_a_demanded_domain_or_with_one_that_means_nothing_are_ignored() {
    let with_domain = Settings { domain: Some(ProtoJson(domain())), ..Settings::default() };
    let demanding = Settings { require_agent_domain: true, ..with_domain.clone() };
    for (settings, of_agent, admitted) in [
        (Settings::default(), Some(domain()), false),
        (Settings::default(), None, true),
        (demanding.clone(), None, false),
        (demanding, Some(domain()), true),
        (with_domain, None, true),
    ] {
        testing::run(async {
            let cluster = Cluster::with(settings).await;
            let mut agents = [cluster.stranger("cpus:1"), cluster.stranger("cpus:1")];
            for agent in &mut agents {
                agent.info.domain.clone_from(&of_agent);
            }
            registers(&agents[0], "1.11.0");
            registers_again(&agents[1], "1.11.0");
            for agent in &agents {
                let got = agent.taken().await;
                assert_eq!(got.len(), usize::from(admitted), "{got:?}");
                assert!(!got.iter().any(|got| matches!(got, Got::Shutdown(_))));
            }
        });
    }
}

/// Upstream: `RegisterSlaveValidationTest.DropInvalidReregistration`, `DropInvalidRegistration`.
#[test]
fn what_an_agent_says_of_itself_must_be_valid() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.stranger("cpus:1");
        agent.post(RegisterSlaveMessage {
            slave: v1::AgentInfo { id: Some(v1::AgentId { value: "a/../b".into() }), ..agent.info.clone() },
            version: Some("1.11.0".into()),
            agent_capabilities: capabilities(),
            ..Default::default()
        });
        assert_eq!(agent.taken().await, []);
        assert_eq!(cluster.get("/slaves").await["slaves"], serde_json::json!([]));

        // One that is known brings a task of another agent and of a framework that it does not bring.
        let agent = cluster.agent("cpus:1").await;
        let text = |value: &str| value.to_owned();
        let task = v1::Task {
            name: text("t"),
            task_id: v1::TaskId { value: text("t") },
            agent_id: v1::AgentId { value: text("other") },
            framework_id: v1::FrameworkId { value: text("f") },
            executor_id: Some(v1::ExecutorId { value: text("e") }),
            state: v1::TaskState::TaskRunning.into(),
            ..Default::default()
        };
        agent.reregister(vec![task], Vec::new());
        assert_eq!(agent.taken().await, []);
        assert_eq!(cluster.get("/tasks").await["tasks"], serde_json::json!([]));
    });
}
