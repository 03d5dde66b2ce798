//! What an agent with many running tasks says to a new leader.

use mesos::internal::ReregisterSlaveMessage;
use mesos::v1::{self, TaskState};

/// What an agent with this number has upstream's benchmark say: so many frameworks, and so many running tasks of each, which
/// have ten labels, no executors, no states.
pub(crate) fn message(agent: usize, frameworks: usize, tasks: usize) -> ReregisterSlaveMessage {
    let resources = |text| mesos::Resources::parse(text, "*").expect("a constant that parses").to_protos();
    let id = v1::AgentId { value: format!("agent{agent}") };
    let slave = v1::AgentInfo {
        id: Some(id.clone()),
        hostname: "localhost".into(),
        resources: resources("cpus:24;mem:2048;disk:4096"),
        ..Default::default()
    };
    let mut message = ReregisterSlaveMessage {
        slave,
        version: Some(mesos::version().to_owned()),
        agent_capabilities: mesos::AgentCapabilities::ALL.to_protos(),
        ..Default::default()
    };
    let label = |number| v1::Label { key: format!("key{number}"), value: Some(format!("value{number}")) };
    let labels: v1::Labels = (0..10).map(label).collect();
    let of_task = resources("cpus:0.1;mem:5");
    for framework in 0..frameworks {
        let framework = v1::FrameworkId { value: format!("framework{framework}") };
        message.frameworks.push(v1::FrameworkInfo {
            id: Some(framework.clone()),
            user: "root".into(),
            name: "framework".into(),
            roles: vec!["role".into()],
            capabilities: vec![v1::framework_info::Capability {
                r#type: Some(v1::framework_info::capability::Type::MultiRole.into()),
            }],
            ..Default::default()
        });
        for task in 0..tasks {
            let info = v1::TaskInfo {
                name: String::new(),
                task_id: v1::TaskId { value: format!("{}-{agent}-{task}", framework.value) },
                agent_id: id.clone(),
                resources: of_task
                    .iter()
                    .cloned()
                    .map(|resource| v1::Resource {
                        allocation_info: Some(v1::resource::AllocationInfo { role: Some("role".into()) }),
                        ..resource
                    })
                    .collect(),
                command: Some(v1::CommandInfo { value: Some("dummy command".into()), ..Default::default() }),
                labels: Some(labels.clone()),
                ..Default::default()
            };
            let framework = mesos::FrameworkId::from(&framework);
            message.tasks.push(mesos::tasks::new_task(&info, TaskState::TaskRunning, &framework));
        }
    }
    message
}
