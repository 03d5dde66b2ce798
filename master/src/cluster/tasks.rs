//! Tasks and executors: how they change and go, what that frees, and what is remembered of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use mesos::v1::{self, TaskState};
use mesos::{AgentId, ExecutorId, FrameworkId, Resources, TaskId};

use super::{Agent, Change, Cluster, Freed, Task};

/// Whether a status is about this task: frameworks may use an id again on another agent.
fn is_of(task: &Task, status: &v1::TaskStatus) -> bool {
    status.agent_id.as_ref().is_none_or(|agent| agent.value == task.agent.as_str())
}

/// 1 for a task that counts as unreachable. The list of unreachable tasks has others, too: what its framework was told is
/// lost, and what was over before its agent became unreachable (upstream: `_tasks_unreachable`).
fn in_state_unreachable(task: &Arc<Task>) -> i64 {
    (task.state() == TaskState::TaskUnreachable).into()
}

impl Cluster {
    /// Remembers what a task's framework is being told.
    pub fn task_sent(&mut self, framework: &FrameworkId, status: &v1::TaskStatus) {
        let task = self
            .framework_mut(framework)
            .and_then(|framework| framework.tasks.get_mut(status.task_id.value.as_str()));
        if let Some(task) = task.filter(|task| is_of(task, status)) {
            Arc::make_mut(task).sent(status);
        }
    }

    /// Applies an update to a task, unless it is about another agent's. Frees its resources when it becomes
    /// terminal or unreachable.
    pub fn update_task(
        &mut self,
        framework: &FrameworkId,
        status: &v1::TaskStatus,
        latest: Option<TaskState>,
    ) -> Option<(Change, Option<Freed>)> {
        let owner = self.framework_mut(framework)?;
        let task = owner.tasks.get_mut(status.task_id.value.as_str()).filter(|task| is_of(task, status))?;
        let task = Arc::make_mut(task);
        let change = task.update(status, latest);
        let (agent, resources) = (task.agent.clone(), task.resources.clone());
        if change.released {
            owner.used -= &resources;
        }
        self.tally.count_task(change.from, -1);
        self.tally.count_task(change.to, 1);
        if !change.released {
            return Some((change, None));
        }
        self.free_resources(framework, &agent, &resources);
        Some((change, Some(Freed { framework: framework.clone(), agent, resources })))
    }

    /// An agent's task or executor has stopped using resources: so the agent's books say, and the gauges.
    fn free_resources(&mut self, framework: &FrameworkId, agent: &AgentId, resources: &Resources) {
        let tally = self.tally.clone();
        let Some(agent) = self.agent_mut(agent) else {
            tally.change_used(resources, -1);
            return;
        };
        agent.free_resources(framework, resources);
        tally.change_used(&agent.counted(resources), -1);
    }

    /// Removes a task, into the history of its framework. What it still used is freed: that happens
    /// only when it is neither terminal nor unreachable.
    pub fn remove_task(&mut self, framework: &FrameworkId, id: &TaskId, unreachable: bool) -> Option<Freed> {
        let owner = self.framework_mut(framework)?;
        let task = owner.tasks.get(id)?.clone();
        owner.tasks.remove_mut(id);
        let active = task.is_active();
        if active {
            owner.used -= &task.resources;
        }
        if unreachable {
            let forgotten = owner.unreachable_tasks.push(task.clone());
            owner.unreachable.fetch_add(in_state_unreachable(&task), Relaxed);
            self.unreachable_tasks.add(&task);
            self.tally.tasks_unreachable.fetch_add(in_state_unreachable(&task), Relaxed);
            self.left_unreachable(forgotten.iter());
        } else {
            owner.completed_tasks.push(task.clone());
        }
        self.tally.count_task(task.state(), -1);
        if let Some(agent) = self.agent_mut(&task.agent) {
            let key = (framework.clone(), id.clone());
            agent.tasks.remove_mut(&key);
            if agent.killed_tasks.contains_key(&key) {
                Arc::make_mut(&mut agent.killed_tasks).remove(&key);
            }
        }
        if active {
            self.free_resources(framework, &task.agent, &task.resources);
        }
        active.then(|| Freed {
            framework: framework.clone(),
            agent: task.agent.clone(),
            resources: task.resources.clone(),
        })
    }

    /// A framework asked for this task to be killed, in this way.
    pub fn task_killed(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        task: &TaskId,
        policy: Option<v1::KillPolicy>,
    ) {
        if let Some(agent) = self.agent_mut(agent) {
            Arc::make_mut(&mut agent.killed_tasks).insert((framework.clone(), task.clone()), policy);
        }
    }

    /// Forgets what is remembered of tasks that an agent reports as alive again.
    pub fn forget_past_of(&mut self, framework: &FrameworkId, agent: &AgentId, tasks: &[&str]) {
        let Some(owner) = self.framework_mut(framework) else { return };
        let forgotten =
            owner.unreachable_tasks.extract(|task| &task.agent == agent || tasks.contains(&task.id.as_str()));
        owner.completed_tasks.retain(|task| !tasks.contains(&task.id.as_str()));
        self.left_unreachable(forgotten.iter());
    }

    /// The frameworks with unreachable tasks of this agent.
    pub fn frameworks_with_unreachable_tasks(&self, agent: &AgentId) -> Vec<FrameworkId> {
        self.unreachable_tasks.frameworks_of(agent)
    }

    /// These tasks have left the lists of unreachable tasks.
    pub(super) fn left_unreachable<'a>(&mut self, tasks: impl Iterator<Item = &'a Arc<Task>>) {
        for task in tasks {
            self.unreachable_tasks.remove(task);
            self.tally.tasks_unreachable.fetch_sub(in_state_unreachable(task), Relaxed);
            if let Some(owner) = self.frameworks.get(&task.framework) {
                owner.unreachable.fetch_sub(in_state_unreachable(task), Relaxed);
            }
        }
    }

    /// Takes those unreachable tasks of a framework that are `wanted`, to end them.
    pub fn take_unreachable_tasks(
        &mut self,
        id: &FrameworkId,
        wanted: impl Fn(&Task) -> bool,
    ) -> Vec<Arc<Task>> {
        let Some(owner) = self.framework_mut(id) else { return Vec::new() };
        let taken = owner.unreachable_tasks.extract(|task| wanted(task));
        self.left_unreachable(taken.iter());
        taken
    }

    /// Remembers a task that is over.
    pub fn add_completed_task(&mut self, id: &FrameworkId, task: Arc<Task>) {
        if let Some(framework) = self.framework_mut(id) {
            framework.completed_tasks.push(task);
        }
    }

    /// Remembers tasks that an agent knows to be over, in place of what was remembered of them.
    pub fn add_completed_tasks_of(&mut self, agent: &AgentId, id: &FrameworkId, tasks: Vec<Arc<Task>>) {
        let Some(framework) = self.framework_mut(id) else { return };
        let ids: BTreeSet<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
        let is_told = |task: &Task| &task.agent == agent && ids.contains(task.id.as_str());
        framework.completed_tasks.retain(|task| !is_told(task));
        for task in tasks {
            framework.completed_tasks.push(task);
        }
    }

    /// An executor was removed because its agent's connection broke. It may run there still, and is to end when the agent is
    /// back.
    pub fn executor_given_up(&mut self, agent: &AgentId, framework: &FrameworkId, executor: &ExecutorId) {
        if let Some(agent) = self.agent_mut(agent) {
            agent.given_up.insert_mut((framework.clone(), executor.clone()), ());
        }
    }

    /// An executor has ended. If it was given up, there may be another one of its id from now on; `true` then.
    pub fn given_up_has_ended(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        executor: &ExecutorId,
    ) -> bool {
        let key = (framework.clone(), executor.clone());
        let is_given_up = self.agent(agent).is_some_and(|agent| agent.all_given_up().any(|it| *it == key));
        // What is not changed is not shown anew.
        is_given_up && self.agent_mut(agent).is_some_and(|agent| agent.forget_given_up(&key))
    }

    /// Forgets which executors of a framework were given up. An agent that reports them is told to end all of it, or takes
    /// it back with them.
    pub(super) fn forget_given_up_of(&mut self, framework: &FrameworkId) {
        let is_of_it = |(of, _): &(FrameworkId, ExecutorId)| of == framework;
        let of_agent = |(agent, state): (&AgentId, &Arc<Agent>)| {
            let keys: Vec<_> = state.all_given_up().filter(|key| is_of_it(key)).cloned().collect();
            (agent.clone(), keys)
        };
        let agents: Vec<_> = self.agents.iter().map(of_agent).filter(|(_, keys)| !keys.is_empty()).collect();
        for (agent, keys) in agents {
            let Some(agent) = self.agent_mut(&agent) else { continue };
            for key in keys {
                agent.forget_given_up(&key);
            }
        }
    }

    /// An agent reports the executors that it has. One that was given up and is none of them bars its id no longer; if the
    /// next report has it, and it was not launched anew, that one was late.
    pub fn compare_given_up(&mut self, agent: &AgentId, alive: &[(FrameworkId, ExecutorId)]) {
        if let Some(agent) = self.agent_mut(agent) {
            agent.compare_given_up(alive);
        }
    }

    /// Removes a framework's own executor and frees what it used.
    pub fn remove_executor(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        executor: &ExecutorId,
    ) -> Option<Freed> {
        let on_agent = self.agent_mut(agent)?;
        let key = (framework.clone(), executor.clone());
        let removed = on_agent.executors.get(&key)?.clone();
        on_agent.executors.remove_mut(&key);
        self.free_resources(framework, agent, &removed.resources);
        if let Some(framework) = self.framework_mut(framework) {
            framework.used -= &removed.resources;
            framework.executors.remove_mut(&(agent.clone(), executor.clone()));
        }
        Some(Freed {
            framework: framework.clone(),
            agent: agent.clone(),
            resources: removed.resources.clone(),
        })
    }
}
