//! Tasks and executors enter the books: one that is launched, or all that an agent brings that comes back.
//!
//! Each is in the books of its framework and in those of its agent. What they use is summed up for the framework, for the
//! agent, and for the gauges.

use std::sync::Arc;

use mesos::v1::TaskState;
use mesos::{AgentId, ExecutorId, FrameworkId, Resources, TaskId};

use super::{Agent, Cluster, Executor, Framework, Tally, Task};

/// What became of the tasks that an agent entered.
#[derive(Debug, Default)]
pub struct Entered {
    /// These are in the books now, those of one framework one after the other, in the order in which they were reported.
    pub added: Vec<(FrameworkId, TaskId, TaskState)>,
    /// These are not: their frameworks have other tasks of the same ids.
    pub refused: Vec<Arc<Task>>,
}

impl Cluster {
    /// Adds a task to its framework and its agent, both of which are known. A task that is over
    /// already uses nothing. The framework must have no task of that id: see [`Cluster::task`].
    pub fn add_task(&mut self, task: Task) {
        self.version += 1;
        let Self { frameworks, agents, tally, .. } = self;
        let (framework, agent) = (frameworks.get_mut(&task.framework), agents.get_mut(&task.agent));
        let (Some(framework), Some(agent)) = (framework.map(Arc::make_mut), agent.map(Arc::make_mut)) else {
            return;
        };
        debug_assert!(!framework.tasks.contains_key(&task.id), "a task is added once");
        let used = enter_task(framework, agent, tally, Arc::new(task));
        use_resources(framework, agent, tally, &used);
    }

    /// Adds a framework's own executor. Its framework and its agent are known.
    pub fn add_executor(&mut self, framework: &FrameworkId, agent: &AgentId, executor: Executor) {
        self.version += 1;
        let Self { frameworks, agents, tally, .. } = self;
        let (framework, agent) = (frameworks.get_mut(framework), agents.get_mut(agent));
        if let (Some(framework), Some(agent)) = (framework.map(Arc::make_mut), agent.map(Arc::make_mut)) {
            enter_executor(framework, agent, tally, executor);
        }
    }

    /// Adds an agent that is not registered, with what runs on it. What is remembered of these tasks as over or
    /// unreachable is forgotten. What belongs to frameworks that are not known is left out.
    pub fn add_agent_with(
        &mut self,
        mut agent: Agent,
        executors: Vec<Executor>,
        mut tasks: Vec<Arc<Task>>,
    ) -> Entered {
        let mut entered = Entered::default();
        let Self { frameworks, tally, .. } = self;
        for executor in executors {
            let owner = executor.info.framework_id.as_ref();
            let framework = owner.and_then(|id| frameworks.get_mut(id.value.as_str()));
            if let Some(framework) = framework.map(Arc::make_mut) {
                enter_executor(framework, &mut agent, tally, executor);
            }
        }
        tasks.sort_by(|left, right| left.framework.cmp(&right.framework));
        let mut tasks = tasks.into_iter().peekable();
        while let Some(first) = tasks.peek() {
            let id = first.framework.clone();
            let of_framework = std::iter::from_fn(|| tasks.next_if(|task| task.framework == id));
            let Some(framework) = frameworks.get_mut(&id).map(Arc::make_mut) else {
                of_framework.for_each(drop);
                continue;
            };
            let mut used = Resources::default();
            for task in of_framework {
                if framework.tasks.contains_key(&task.id) {
                    entered.refused.push(task);
                } else {
                    entered.added.push((framework.id.clone(), task.id.clone(), task.state()));
                    used += &enter_task(framework, &mut agent, tally, task);
                }
            }
            use_resources(framework, &mut agent, tally, &used);
        }
        for of_framework in entered.added.chunk_by(|left, right| left.0 == right.0) {
            let ids: Vec<&str> = of_framework.iter().map(|(_, id, _)| id.as_str()).collect();
            self.forget_past_of(&of_framework[0].0, &agent.id, &ids);
        }
        self.add_agent(agent);
        entered
    }
}

/// A task enters the lists. What it uses is returned, and still to be summed up.
fn enter_task(framework: &mut Framework, agent: &mut Agent, tally: &Tally, mut task: Arc<Task>) -> Resources {
    tally.count_task(task.state(), 1);
    let entry = Arc::make_mut(&mut task);
    // The texts of ids are shared with those whose they are.
    entry.framework = framework.id.clone();
    entry.agent = agent.id.clone();
    entry.resources = framework.kinds.share(std::mem::take(&mut entry.resources));
    let used = if task.is_active() { task.resources.clone() } else { Resources::default() };
    agent.tasks.insert_mut((task.framework.clone(), task.id.clone()), ());
    framework.tasks.insert_mut(task.id.clone(), task);
    used
}

fn enter_executor(framework: &mut Framework, agent: &mut Agent, tally: &Tally, executor: Executor) {
    let id = ExecutorId::from(&executor.info.executor_id);
    use_resources(framework, agent, tally, &executor.resources);
    let executor = Arc::new(executor);
    let key = (framework.id.clone(), id.clone());
    agent.forget_given_up(&key);
    agent.executors.insert_mut(key, executor.clone());
    framework.executors.insert_mut((agent.id.clone(), id), executor);
}

fn use_resources(framework: &mut Framework, agent: &mut Agent, tally: &Tally, used: &Resources) {
    if !used.is_empty() {
        tally.change_used(&agent.counted(used), 1);
        framework.used += used;
        agent.use_resources(&framework.id, used);
    }
}
