//! `/state`: a snapshot of the agent's books, and how it is written.
//!
//! The keys and their order are upstream's (`Http::state` in `slave/http.cpp`, as recorded).

use std::sync::Arc;
use std::time::SystemTime;

use libprocess::Context;
use libprocess::breath::{self, RENDERED};
use mesos::capabilities::FrameworkCapabilities;
use mesos::settings::Declared as _;
use mesos::{Resources, v1, views};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::agent::Agent;
use crate::draining::Draining;
use crate::executors::executor::{Executor, Framework};
use crate::settings::Settings;

/// All that `/state` shows. Tasks and descriptions are shared with the books.
pub(crate) struct Snapshot {
    settings: Arc<Settings>,
    info: v1::AgentInfo,
    pid: String,
    started: SystemTime,
    total: Resources,
    allocated: Resources,
    master_hostname: Option<String>,
    draining: Option<Draining>,
    pub(super) frameworks: Vec<FrameworkView>,
    pub(super) completed: Vec<FrameworkView>,
}

pub(super) struct FrameworkView {
    pub(super) info: Arc<v1::FrameworkInfo>,
    pub(super) id: String,
    /// Tasks that wait for directories; `/state` does not show them.
    pub(super) pending: Vec<v1::TaskInfo>,
    pub(super) executors: Vec<ExecutorView>,
    pub(super) completed: Vec<ExecutorView>,
}

pub(super) struct ExecutorView {
    pub(super) info: Arc<v1::ExecutorInfo>,
    container: String,
    directory: String,
    allocated: Resources,
    pub(super) queued: Vec<Arc<v1::TaskInfo>>,
    pub(super) launched: Vec<Arc<v1::Task>>,
    /// `/state` counts them among those that are over.
    pub(super) terminated: Vec<Arc<v1::Task>>,
    pub(super) completed: Vec<Arc<v1::Task>>,
}

impl FrameworkView {
    fn size(&self) -> usize {
        let executors = self.executors.iter().chain(&self.completed);
        1 + self.pending.len() + executors.map(ExecutorView::size).sum::<usize>()
    }
}

impl ExecutorView {
    fn size(&self) -> usize {
        1 + self.queued.len() + self.launched.len() + self.terminated.len() + self.completed.len()
    }
}

impl Agent {
    /// What `/state` shows now.
    pub(crate) fn snapshot(&self, ctx: &Context<Self>) -> Snapshot {
        let allocated =
            self.frameworks.values().fold(Resources::default(), |sum, framework| sum + framework.allocated());
        Snapshot {
            settings: Arc::clone(&self.settings),
            info: self.info.clone(),
            pid: ctx.pid().to_string(),
            started: self.started_at,
            total: self.total.clone(),
            allocated,
            master_hostname: self.registration.leader().and_then(|leader| leader.hostname.clone()),
            draining: self.draining,
            frameworks: self.frameworks.values().map(framework_view).collect(),
            completed: self.completed.iter().map(framework_view).collect(),
        }
    }
}

fn framework_view(framework: &Framework) -> FrameworkView {
    FrameworkView {
        info: Arc::clone(&framework.info),
        id: framework.id.to_string(),
        pending: framework.pending.iter().flat_map(|pending| &pending.tasks).cloned().collect(),
        executors: framework.executors.values().map(executor_view).collect(),
        completed: framework.completed.iter().map(executor_view).collect(),
    }
}

fn executor_view(executor: &Executor) -> ExecutorView {
    let tasks = &executor.tasks;
    ExecutorView {
        info: Arc::clone(&executor.info),
        container: executor.container.to_string(),
        directory: executor.directory.display().to_string(),
        allocated: executor.allocated(),
        queued: tasks.queued().map(|(_, task)| Arc::clone(task)).collect(),
        launched: tasks.launched().map(|(_, task)| Arc::clone(task)).collect(),
        terminated: tasks.terminated().map(|(_, task)| Arc::clone(task)).collect(),
        completed: tasks.completed().cloned().collect(),
    }
}

impl Snapshot {
    /// How many frameworks, executors and tasks there are, remembered ones included: what a rendering costs.
    pub(crate) fn size(&self) -> usize {
        self.frameworks.iter().chain(&self.completed).map(FrameworkView::size).sum()
    }

    /// The JSON.
    pub(crate) fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = serde_json::to_writer(breath::Text::behind(&mut text), self) {
            // Only maps with keys that are not text could fail, and there are none.
            debug_assert!(false, "not representable as JSON: {error}");
        }
        text
    }
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let serde_json::Value::Object(build) = mesos::version::build().to_json() {
            for (key, value) in &build {
                map.serialize_entry(key, value)?;
            }
        }
        map.serialize_entry("start_time", &views::seconds(self.started))?;
        map.serialize_entry("id", self.info.id.as_ref().map_or("", |id| id.value.as_str()))?;
        map.serialize_entry("pid", &self.pid)?;
        map.serialize_entry("hostname", &self.info.hostname)?;
        let capabilities: Vec<&str> = crate::registration::CAPABILITIES.names().collect();
        map.serialize_entry("capabilities", &capabilities)?;
        if let Some(domain) = &self.info.domain {
            map.serialize_entry("domain", domain)?;
        }
        if let Some(draining) = self.draining {
            map.serialize_entry("drain_config", &draining.config)?;
            views::optional(&mut map, "estimated_drain_start_time_seconds", draining.seconds())?;
        }
        map.serialize_entry("resources", &views::Sums(&self.total))?;
        map.serialize_entry("reserved_resources", &views::reserved(&self.total))?;
        let unreserved = self.total.unreserved();
        map.serialize_entry("unreserved_resources", &views::Sums(&unreserved))?;
        map.serialize_entry("reserved_resources_full", &views::reserved_full(&self.total))?;
        map.serialize_entry("unreserved_resources_full", &views::Full(&unreserved))?;
        map.serialize_entry("reserved_resources_allocated", &views::reserved(&self.allocated))?;
        let allocated = self.allocated.unreserved();
        map.serialize_entry("unreserved_resources_allocated", &views::Sums(&allocated))?;
        map.serialize_entry::<_, [(); 0]>("resource_providers", &[])?;
        map.serialize_entry("attributes", &views::attributes(&self.info.attributes))?;
        if let Some(hostname) = &self.master_hostname {
            map.serialize_entry("master_hostname", hostname)?;
        }
        views::optional(&mut map, "log_dir", self.settings.log_dir.as_ref())?;
        map.serialize_entry("flags", &self.settings.effective())?;
        map.serialize_entry("frameworks", &self.frameworks)?;
        map.serialize_entry("completed_frameworks", &self.completed)?;
        map.end()
    }
}

impl Serialize for FrameworkView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let info = &self.info;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("name", &info.name)?;
        map.serialize_entry("user", &info.user)?;
        map.serialize_entry("failover_timeout", &info.failover_timeout())?;
        map.serialize_entry("checkpoint", &info.checkpoint())?;
        map.serialize_entry("hostname", info.hostname())?;
        if let Some(principal) = &info.principal {
            map.serialize_entry("principal", principal)?;
        }
        if FrameworkCapabilities::from_protos(&info.capabilities).multi_role {
            map.serialize_entry("roles", &info.roles)?;
        } else {
            map.serialize_entry("role", info.role())?;
        }
        map.serialize_entry("executors", &self.executors)?;
        map.serialize_entry("completed_executors", &self.completed)?;
        map.end()
    }
}

impl Serialize for ExecutorView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let info = &self.info;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &info.executor_id.value)?;
        map.serialize_entry("name", info.name())?;
        map.serialize_entry("source", info.source())?;
        map.serialize_entry("container", &self.container)?;
        map.serialize_entry("directory", &self.directory)?;
        map.serialize_entry("resources", &views::Sums(&self.allocated))?;
        if let Some(resource) = info.resources.first() {
            let role = resource.allocation_info.as_ref().map(v1::resource::AllocationInfo::role);
            map.serialize_entry("role", role.unwrap_or_default())?;
        }
        if let Some(labels) = &info.labels {
            map.serialize_entry("labels", &labels.list())?;
        }
        if let Some(kind) = info.r#type {
            map.serialize_entry("type", &views::name::<v1::executor_info::Type>(kind))?;
        }
        let value = |task: &Arc<v1::Task>| {
            breath::spend(RENDERED);
            serde_json::to_value(views::Task::of(task)).ok()
        };
        let launched: Vec<_> = self.launched.iter().filter_map(value).collect();
        map.serialize_entry("tasks", &launched)?;
        let queued: Vec<QueuedView<'_>> = self.queued.iter().map(|task| QueuedView(task)).collect();
        map.serialize_entry("queued_tasks", &queued)?;
        let over: Vec<_> = self.completed.iter().chain(&self.terminated).filter_map(value).collect();
        map.serialize_entry("completed_tasks", &over)?;
        map.end()
    }
}

/// A task that waits for its executor.
struct QueuedView<'a>(&'a v1::TaskInfo);

impl Serialize for QueuedView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let task = self.0;
        let resources = Resources::from_valid_protos(&task.resources);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &task.task_id.value)?;
        map.serialize_entry("name", &task.name)?;
        map.serialize_entry("slave_id", &task.agent_id.value)?;
        map.serialize_entry("resources", &views::Sums(&resources))?;
        if let Some(allocation) = task.resources.first().and_then(|r| r.allocation_info.as_ref()) {
            map.serialize_entry("role", allocation.role())?;
        }
        if let Some(command) = &task.command {
            map.serialize_entry("command", &views::Command(command))?;
        }
        if let Some(executor) = &task.executor {
            map.serialize_entry("executor_id", &executor.executor_id.value)?;
        }
        if let Some(discovery) = &task.discovery {
            map.serialize_entry("discovery", discovery)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framework_is_as_large_as_there_are_executors_and_tasks() {
        let tasks = |count| vec![Arc::<v1::Task>::default(); count];
        let executor = |launched, completed| ExecutorView {
            info: Arc::default(),
            container: String::new(),
            directory: String::new(),
            allocated: Resources::default(),
            queued: Vec::new(),
            launched: tasks(launched),
            terminated: Vec::new(),
            completed: tasks(completed),
        };
        let framework = FrameworkView {
            info: Arc::default(),
            id: String::new(),
            pending: vec![v1::TaskInfo::default()],
            executors: vec![executor(2, 20)],
            completed: vec![executor(0, 200)],
        };
        assert_eq!(framework.size(), 1 + 1 + (1 + 22) + (1 + 200));
        // So much is said to be done.
        let before = breath::spent();
        serde_json::to_value(&framework).unwrap();
        assert!(breath::spent() - before >= 222 * RENDERED);
    }
}
