//! What frameworks make of what they are offered: each launches the tasks whose time has come, and declines the rest. Some
//! keep offers for a while, and use or decline those of one agent together. Meanwhile the master may take them back.

use std::time::Duration;

use frameworks::scheduler::Driver;
use mesos::v1;
use mesos::v1::offer::{Operation, operation};
use mesos::{FrameworkId, Resources};
use rand::Rng;

use super::containers::GROUP_LABEL;
use super::invariant::Invariant;
use super::reserving::Reserving;
use super::workload::{Entry, Style, Wish, Workload, roles};

/// What a task uses, and its executor where it has one. (That of a group must have some disk.)
const TASK: &str = "cpus:0.25;mem:64";
const EXECUTOR: &str = "cpus:0.1;mem:32;disk:32";
/// How long a task gets to end that says so.
const GRACE: v1::DurationInfo = v1::DurationInfo { nanoseconds: 10_000_000_000 };
/// Tasks that it launches on one offer, at most.
const AT_ONCE: usize = 2;
/// One in so many times it does not heed that an offer is void.
const HEEDLESS: u32 = 4;
/// For how long a framework refuses what it has no use for, in turn. (Until it revives, in any case.)
const REFUSALS: [Duration; 4] = [
    Duration::from_secs(600),
    Duration::from_secs(20),
    Duration::from_secs(60),
    Duration::from_millis(5_500),
];

impl Workload {
    /// Answers an offer at once, or keeps it.
    pub(super) fn consider(&mut self, driver: &mut Driver<Self>, offer: v1::Offer) {
        if self.style.hoards && self.random.random() {
            self.kept.push(offer);
        } else {
            self.answer(driver, offer);
        }
    }

    /// Answers all that it has kept.
    pub(super) fn answer_kept(&mut self, driver: &mut Driver<Self>) {
        while let Some(offer) = self.kept.pop() {
            self.answer(driver, offer);
        }
    }

    /// An offer that it may have kept is void now. Sometimes it does not heed that, as if the two had crossed.
    pub(super) fn taken_back(&mut self, offer: &v1::OfferId) {
        if self.kept.iter().any(|kept| kept.id == *offer) {
            self.truth.count("offers taken back that were kept");
            if self.random.random_range(0..HEEDLESS) > 0 {
                self.kept.retain(|kept| kept.id != *offer);
            }
        }
    }

    /// Uses an offer, or declines it, with those of the same agent for the same role that it has kept.
    fn answer(&mut self, driver: &mut Driver<Self>, mut offer: v1::Offer) {
        let is_like = |kept: &v1::Offer| {
            kept.agent_id == offer.agent_id && kept.allocation_info == offer.allocation_info
        };
        let (alike, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.kept).into_iter().partition(is_like);
        self.kept = others;
        let mut ids = vec![offer.id.clone()];
        for kept in alike {
            ids.push(kept.id);
            offer.resources.extend(kept.resources);
        }
        if ids.len() > 1 {
            self.truth.count("offers answered together");
        }
        let (mut operations, volume) = self.reserve(&offer);
        let tasks = self.take(&offer, volume);
        self.note_refused(&operations, &tasks);
        operations.extend(self.launch(tasks));
        if operations.is_empty() {
            driver.decline(&ids, self.refusal());
        } else {
            driver.accept(&ids, operations, self.refusal());
        }
    }

    /// The role that an offer is for.
    pub(super) fn role_of<'a>(&self, offer: &'a v1::Offer) -> &'a str {
        let told = offer.allocation_info.as_ref().and_then(|info| info.role.as_deref());
        let only = if self.style.multi_role { "" } else { roles(self.number)[0] };
        told.unwrap_or(only)
    }

    /// For how long it refuses what it is offered now.
    fn refusal(&self) -> Duration {
        REFUSALS[self.ticks as usize % REFUSALS.len()]
    }

    /// The tasks whose time has come and that fit into what is offered. They are written down first.
    /// The first has the volume; all of them, if it can be shared.
    fn take(&self, offer: &v1::Offer, mut volume: Option<v1::Resource>) -> Vec<v1::TaskInfo> {
        let mut tasks = Vec::new();
        let mut left = Resources::from_valid_protos(&offer.resources);
        let role = self.role_of(offer);
        let allocated = |text: &str, reserved_for: &str| {
            let mut resources = Resources::parse(text, reserved_for).unwrap_or_default();
            if self.style.multi_role {
                resources.allocate(role);
            }
            resources
        };
        // What is reserved for the role goes first. Not for an executor: all its tasks must describe it alike.
        let (wanted, executor) = (allocated(TASK, role), allocated(EXECUTOR, "*"));
        let gpu = allocated("gpus:1", "*");
        while tasks.len() < AT_ONCE && self.is_due() {
            if self.style.shares_executor {
                if !left.contains(&executor) {
                    break;
                }
                left -= &executor;
            }
            let Some(mut task) = left.find(&wanted) else { break };
            left -= &task;
            if let Some(gpu) = self.style.gpus.then(|| left.find(&gpu)).flatten() {
                left -= &gpu;
                task += &gpu;
            }
            let mut book = self.book.lock();
            let wish = &self.wishes[book.launched()];
            book.tasks
                .insert(wish.id.clone(), Entry { agent: Some(offer.agent_id.clone()), ..Entry::default() });
            let mut task = self.task(wish, offer, &task, &executor, book.framework.as_ref());
            let is_shared = volume.as_ref().is_some_and(|volume| volume.shared.is_some());
            task.resources.extend(if is_shared { volume.clone() } else { volume.take() });
            tasks.push(task);
        }
        tasks
    }

    fn task(
        &self,
        wish: &Wish,
        offer: &v1::Offer,
        resources: &Resources,
        executor: &Resources,
        framework: Option<&FrameworkId>,
    ) -> v1::TaskInfo {
        use agent::containerizer::simulated::{DURATION_LABEL, STATE_LABEL};
        let label = |key: &str, value: String| v1::Label { key: key.to_owned(), value: Some(value) };
        let command = v1::CommandInfo { value: Some("pretend".to_owned()), ..Default::default() };
        let shared = v1::ExecutorInfo {
            // A group's has to say it.
            r#type: Some(v1::executor_info::Type::Custom.into()),
            executor_id: self.executor_of(&wish.id),
            framework_id: framework.map(FrameworkId::to_proto),
            command: Some(command.clone()),
            resources: self.protos(executor),
            ..Default::default()
        };
        v1::TaskInfo {
            name: wish.id.clone(),
            task_id: v1::TaskId { value: wish.id.clone() },
            agent_id: offer.agent_id.clone(),
            resources: self.protos(resources),
            executor: self.style.shares_executor.then_some(shared),
            command: (!self.style.shares_executor).then_some(command),
            max_completion_time: wish.limit.map(|limit| v1::DurationInfo {
                nanoseconds: i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX),
            }),
            labels: Some(v1::Labels::from_iter([
                label(DURATION_LABEL, format!("{}ms", wish.runs.as_millis())),
                label(STATE_LABEL, wish.ends.as_str_name().to_owned()),
            ])),
            check: wish.checked.then(|| Box::new(check())),
            health_check: wish.checked.then(|| Box::new(health_check())),
            kill_policy: wish.has_kill_policy.then_some(v1::KillPolicy { grace_period: Some(GRACE) }),
            container: self.style.isolates.then(|| Box::new(container_of_its_own())),
            discovery: Some(Box::new(v1::DiscoveryInfo {
                visibility: v1::discovery_info::Visibility::Cluster.into(),
                name: Some(wish.id.clone()),
                ..Default::default()
            })),
            ..Default::default()
        }
    }

    /// Tasks that share an executor are launched as a group now and then.
    fn launch(&mut self, tasks: Vec<v1::TaskInfo>) -> Option<Operation> {
        let grouped = self.style.isolates || (tasks.len() > 1 && self.random.random());
        match tasks.first()?.executor.clone().filter(|_| grouped) {
            Some(executor) => {
                self.truth.count("task groups");
                Some(launch_group(executor, tasks))
            }
            None => Some(launch(tasks)),
        }
    }

    fn protos(&self, resources: &Resources) -> Vec<v1::Resource> {
        let mut protos = resources.to_protos();
        if !self.style.refines && mesos::resources::downgrade_all(&mut protos).is_err() {
            let text = "a refined reservation was offered to a framework without them";
            self.truth.violation(Invariant::NothingPanics, text);
        }
        protos
    }

    /// What it makes of the disk in an offer, and a volume for its next task.
    fn reserve(&mut self, offer: &v1::Offer) -> (Vec<Operation>, Option<v1::Resource>) {
        if !self.style.reserves {
            return (Vec::new(), None);
        }
        let (mut book, random) = (self.book.lock(), &mut self.random);
        let names = &mut book.names;
        let (number, ledger, Style { shares, refines, .. }) = (self.number, &self.ledger, self.style);
        Reserving { number, names, ledger, random, shares, refines }.draw(offer)
    }

    /// It must hear of operations that are refused, and the tasks behind them are launched all the same.
    fn note_refused(&self, operations: &[Operation], tasks: &[v1::TaskInfo]) {
        let ids = operations.iter().filter_map(|operation| operation.id.as_ref());
        let refused: Vec<String> =
            ids.filter(|id| self.ledger.is_refused(&id.value)).map(|id| id.value.clone()).collect();
        if refused.is_empty() {
            return;
        }
        let mut book = self.book.lock();
        book.ask(refused, self.network.elapsed());
        for task in tasks {
            book.tasks.entry(task.task_id.value.clone()).or_default().behind_refused = true;
        }
    }
}

/// A container with control groups of its own.
fn container_of_its_own() -> v1::ContainerInfo {
    let linux_info = v1::LinuxInfo { share_cgroups: Some(false), ..Default::default() };
    v1::ContainerInfo {
        r#type: v1::container_info::Type::Mesos.into(),
        linux_info: Some(linux_info),
        ..Default::default()
    }
}

fn check() -> v1::CheckInfo {
    let command = v1::CommandInfo { value: Some("is it there?".to_owned()), ..Default::default() };
    v1::CheckInfo {
        r#type: Some(v1::check_info::Type::Command.into()),
        command: Some(v1::check_info::Command { command }),
        interval_seconds: Some(10.0),
        ..Default::default()
    }
}

fn health_check() -> v1::HealthCheck {
    let command = v1::CommandInfo { value: Some("is it well?".to_owned()), ..Default::default() };
    v1::HealthCheck {
        r#type: Some(v1::health_check::Type::Command.into()),
        command: Some(command),
        grace_period_seconds: Some(20.0),
        ..Default::default()
    }
}

fn launch(task_infos: Vec<v1::TaskInfo>) -> Operation {
    Operation {
        r#type: Some(operation::Type::Launch.into()),
        launch: Some(operation::Launch { task_infos }),
        ..Default::default()
    }
}

/// Each task says which others are in its group.
fn launch_group(executor: v1::ExecutorInfo, mut tasks: Vec<v1::TaskInfo>) -> Operation {
    let names: Vec<&str> = tasks.iter().map(|task| &*task.task_id.value).collect();
    let group = v1::Label { key: GROUP_LABEL.to_owned(), value: Some(names.join(",")) };
    for task in &mut tasks {
        task.executor = None;
        task.labels.get_or_insert_default().extend([group.clone()]);
    }
    let task_group = v1::TaskGroupInfo { tasks };
    Operation {
        r#type: Some(operation::Type::LaunchGroup.into()),
        launch_group: Some(operation::LaunchGroup { executor, task_group }),
        ..Default::default()
    }
}
