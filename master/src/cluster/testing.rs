//! Small frameworks, agents, tasks and offers for tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libprocess::Pid;
use mesos::{FrameworkId, Resources, v1};

use super::*;

/// Some time.
pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000)
}

/// Resources from text, allocated to role `*`.
pub(crate) fn allocated(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap().allocated_to("*")
}

pub(crate) fn framework_info(id: &str) -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "user".into(),
        name: id.into(),
        id: Some(v1::FrameworkId { value: id.into() }),
        ..Default::default()
    }
}

/// A connected and active framework.
pub(crate) fn framework(id: &str) -> Framework {
    let connection = Connection::Connected { active: true };
    Framework::new(FrameworkId::from(id), framework_info(id), connection, now())
}

/// A connected and active agent.
pub(crate) fn agent(id: &str, resources: &str) -> Agent {
    let total = Resources::parse(resources, "*").unwrap();
    let info = v1::AgentInfo {
        hostname: format!("host-{id}"),
        resources: total.to_protos(),
        id: Some(v1::AgentId { value: id.into() }),
        ..Default::default()
    };
    let port = 5051 + u16::from(id.bytes().last().unwrap_or(0));
    let introduction = Introduction {
        id: AgentId::from(id),
        info,
        pid: Pid::new("slave(1)", ([127, 0, 0, 1], port).into()),
        version: "1.11.0".into(),
        capabilities: Vec::new(),
        resource_version: None,
        resources: AgentResources { checkpointed: Resources::default(), total },
    };
    Agent::new(introduction, now())
}

/// A task of framework `f` on agent `a`, staging.
pub(crate) fn task(id: &str, resources: &str) -> Task {
    task_of(id, "f", "a", resources)
}

pub(crate) fn task_of(id: &str, framework: &str, agent: &str, resources: &str) -> Task {
    let info = command_task(id, agent, resources);
    Task::staging(&info, allocated(resources), &FrameworkId::from(framework))
}

pub(crate) fn command_task(id: &str, agent: &str, resources: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        name: id.into(),
        task_id: v1::TaskId { value: id.into() },
        agent_id: v1::AgentId { value: agent.into() },
        resources: allocated(resources).to_protos(),
        command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
        ..Default::default()
    }
}

/// A task of framework `f` with an executor of its own.
pub(crate) fn executor_task(
    id: &str,
    agent: &str,
    executor: &str,
    resources: &str,
    executor_resources: &str,
) -> v1::TaskInfo {
    let command = Some(v1::CommandInfo { value: Some("run".into()), ..Default::default() });
    let executor = v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: executor.into() },
        framework_id: Some(v1::FrameworkId { value: "f".into() }),
        command,
        resources: allocated(executor_resources).to_protos(),
        ..Default::default()
    };
    let task = command_task(id, agent, resources);
    v1::TaskInfo { command: None, executor: Some(executor), ..task }
}

pub(crate) fn offer(id: &str, framework: &str, agent: &str, resources: &str) -> Offer {
    let resources = allocated(resources);
    let proto = v1::Offer {
        id: v1::OfferId { value: id.into() },
        framework_id: v1::FrameworkId { value: framework.into() },
        agent_id: v1::AgentId { value: agent.into() },
        hostname: format!("host-{agent}"),
        resources: resources.to_protos(),
        ..Default::default()
    };
    Offer {
        proto,
        id: OfferId::from(id),
        framework: FrameworkId::from(framework),
        agent: AgentId::from(agent),
        role: "*".into(),
        resources,
    }
}

/// A cluster of connected frameworks, and agents with 4 cpus and 4096 MB.
pub(crate) fn cluster(frameworks: &[&str], agents: &[&str]) -> Cluster {
    let mut cluster = Cluster::default();
    for id in frameworks {
        cluster.add_framework(framework(id));
    }
    for id in agents {
        cluster.add_agent(agent(id, "cpus:4;mem:4096"));
    }
    cluster
}

/// What a reader is given.
pub(crate) fn snapshot(cluster: &Cluster) -> Snapshot {
    cluster.snapshot(Arc::new(view()), now())
}

/// A master that leads.
pub(crate) fn view() -> MasterView {
    let info = v1::MasterInfo {
        id: "m".into(),
        pid: Some("master@127.0.0.1:5050".into()),
        hostname: Some("localhost".into()),
        port: 5050,
        ..Default::default()
    };
    MasterView {
        leader: Some(info.clone()),
        info,
        started: SystemTime::UNIX_EPOCH + Duration::from_secs(5),
        elected: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(6)),
        cluster: None,
        role_whitelist: None,
        flags: Arc::new([("port".to_owned(), "5050".to_owned())].into()),
        log_dir: Some("/var/log".into()),
    }
}
