//! What an agent says of itself to a master: what it can do, what it has, and what runs on it.

use std::collections::BTreeMap;

use libprocess::Context;
use mesos::capabilities::AgentCapabilities;
use mesos::sabotage::{Bug, is_on};
use mesos::{AgentId, internal, v1};

use crate::agent::Agent;
use crate::executors::executor::{Executor, ExecutorPhase, Framework};

/// What this agent can do, as it tells the master. Limits of tasks are not there yet; nor are resource providers, but
/// that capability says, too, that it applies operations.
pub(crate) const CAPABILITIES: AgentCapabilities = AgentCapabilities {
    multi_role: true,
    hierarchical_role: true,
    reservation_refinement: true,
    resource_provider: true,
    resize_volume: true,
    agent_operation_feedback: true,
    agent_draining: true,
    ..AgentCapabilities::NONE
};

impl Agent {
    pub(super) fn registration_message(&self) -> internal::RegisterSlaveMessage {
        internal::RegisterSlaveMessage {
            slave: self.info.clone(),
            checkpointed_resources: self.operations.checkpointed().to_protos(),
            version: Some(mesos::version().to_owned()),
            agent_capabilities: CAPABILITIES.to_protos(),
            resource_version_uuid: Some(self.resource_version_proto()),
        }
    }

    pub(super) fn reregistration_message(&self) -> internal::ReregisterSlaveMessage {
        let mut message = internal::ReregisterSlaveMessage {
            slave: self.info.clone(),
            checkpointed_resources: self.operations.checkpointed().to_protos(),
            version: Some(mesos::version().to_owned()),
            agent_capabilities: CAPABILITIES.to_protos(),
            resource_version_uuid: Some(self.resource_version_proto()),
            ..internal::ReregisterSlaveMessage::default()
        };
        for framework in self.frameworks.values() {
            message.frameworks.push((*framework.info).clone());
            let staging = |info| mesos::tasks::new_task(info, v1::TaskState::TaskStaging, &framework.id);
            message.tasks.extend(framework.pending_tasks().map(staging));
            message.executor_infos.extend(executors_of(framework));
            for executor in framework.executors.values() {
                let tasks = executor.tasks.launched().chain(executor.tasks.terminated());
                let tasks = tasks.map(|(_, task)| (**task).clone());
                message.tasks.extend(
                    tasks.filter(|task| !is_on(Bug::HidesUnheard) || task.status_update_state.is_some()),
                );
                message.tasks.extend(executor.tasks.queued().map(|(_, info)| staging(info)));
            }
        }
        for framework in &self.completed {
            let tasks = framework.completed.iter().flat_map(|executor| {
                executor.tasks.terminated().map(|(_, task)| task).chain(executor.tasks.completed())
            });
            message.completed_frameworks.push(internal::archive::Framework {
                framework_info: (*framework.info).clone(),
                pid: framework.pid.as_ref().map(ToString::to_string),
                tasks: tasks.map(|task| (**task).clone()).collect(),
            });
        }
        message
    }

    fn resource_version_proto(&self) -> v1::Uuid {
        v1::Uuid { value: self.resource_version.as_bytes().to_vec() }
    }

    /// What the master may not know yet of this agent's resources. It is sent after every
    /// (re-)registration, as every agent that can have resource providers does.
    pub(crate) fn send_resource_update(&mut self, id: &AgentId, ctx: &mut Context<Self>) {
        let Some(master) = self.master() else { return };
        ctx.post(
            master,
            internal::UpdateSlaveMessage {
                slave_id: id.to_proto(),
                update_oversubscribed_resources: Some(false),
                operations: Some(internal::update_slave_message::Operations {
                    operations: self.operations.protos(),
                }),
                resource_version_uuid: Some(self.resource_version_proto()),
                resource_providers: Some(internal::update_slave_message::ResourceProviders::default()),
                ..internal::UpdateSlaveMessage::default()
            },
        );
        self.forward_operations(ctx);
    }
}

/// The executors of a framework that the master has in its books, or should have: those that are launched in a moment
/// among them, which it would take for lost otherwise. It does not know of executors that the agent has made up, and ended
/// ones hold nothing.
fn executors_of(framework: &Framework) -> Vec<v1::ExecutorInfo> {
    let counts = |executor: &&Executor| !executor.generated && executor.phase != ExecutorPhase::Terminated;
    let here = framework.executors.values().filter(counts).map(|executor| &*executor.info);
    let coming = framework.pending.iter().filter(|pending| pending.brings_executor());
    // One that is here has come first.
    let all = coming.map(|pending| &pending.executor).chain(here);
    let by_id: BTreeMap<&str, &v1::ExecutorInfo> =
        all.map(|info| (info.executor_id.value.as_str(), info)).collect();
    let of_framework = |info: &v1::ExecutorInfo| {
        let mut info = info.clone();
        info.framework_id.get_or_insert_with(|| framework.id.to_proto());
        info
    };
    by_id.into_values().map(of_framework).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executors::executor::PendingLaunch;

    #[test]
    fn executors_are_told_of_that_run_or_are_launched_in_a_moment() {
        let info = |id: &str, name: &str| v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: id.into() },
            name: Some(name.into()),
            ..Default::default()
        };
        let mut framework = Framework::new(v1::FrameworkInfo::default(), "f".into(), None);
        for (id, generated, phase) in [
            ("running", false, ExecutorPhase::Running),
            ("made", true, ExecutorPhase::Running),
            ("over", false, ExecutorPhase::Terminated),
            ("again", false, ExecutorPhase::Terminated),
        ] {
            let container = mesos::ContainerId::new(id);
            let mut executor = Executor::new(info(id, "here"), container, "".into(), None, true, generated);
            executor.phase = phase;
            framework.executors.insert(id.into(), executor);
        }
        for (id, generated, launch_executor) in [
            ("again", false, Some(true)),
            ("new", false, Some(true)),
            ("running", false, Some(true)),
            ("joined", false, Some(false)),
            ("command", true, Some(true)),
        ] {
            framework.pending.push_back(PendingLaunch {
                tasks: Vec::new(),
                is_group: false,
                executor: info(id, "coming"),
                generated,
                launch_executor,
                outdated: false,
            });
        }
        let told = executors_of(&framework);
        assert!(told.iter().all(|info| info.framework_id.as_ref().is_some_and(|id| id.value == "f")));
        let told: Vec<_> = told.iter().map(|info| (info.executor_id.value.as_str(), info.name())).collect();
        assert_eq!(told, [("again", "coming"), ("new", "coming"), ("running", "here")]);
    }
}
