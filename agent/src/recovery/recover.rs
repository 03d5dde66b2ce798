//! An agent starts: it takes up what it kept, waits for its executors, and then looks for a master.
//!
//! ```text
//! read the checkpoints -> is it still the same agent? -> books and streams as they were
//!     -> the containerizer adopts the containers -> executors may subscribe
//!     -> when all have, or those that have not after executor_reregistration_timeout are killed -> look for a master
//! ```
//!
//! Upstream's agent waits for the whole of that time, also when nobody is missing.
//!
//! Upstream: `Slave::recover`, `_recover`, `__recover`, `recoverFramework`,
//! `Framework::recoverExecutor`, `reregisterExecutorTimeout`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use libprocess::{Context, Handle, Pid};
use mesos::tasks::is_terminal;
use mesos::{ContainerId, ExecutorId, FrameworkId, TaskId, duration, v1};
use v1::task_status::Reason;

use super::checkpoint::{self, DiskError, Durability};
use super::compatible::compatible;
use super::paths::Run;
use super::state::{self, Kept, KeptAgent, KeptExecutor, KeptTask, ReadError};
use crate::agent::{Agent, Phase};
use crate::containerizer::{RecoveredContainer, Termination};
use crate::executors::executor::{Executor, ExecutorPhase, Framework};
use crate::housekeeping::Used;
use crate::operations::kept::KeptResources;
use crate::settings::Recover;
use crate::status_updates::manager::{Restore, RestoredStream};
use crate::status_updates::stream::uuid_of;
use crate::tasks::status::gone_state;

/// The executors have had their time to subscribe again.
pub struct ReregistrationOverdue;

libprocess::messages! { ReregistrationOverdue; }

impl Agent {
    /// Begins to recover; everything else waits for it.
    pub(crate) fn begin_recovery(&mut self, ctx: &mut Context<Self>) {
        let (node, paths, strict) = (ctx.node().clone(), self.paths.clone(), self.settings.strict);
        let disk = self.disk.clone();
        let read = async move { node.blocking(move || state::read(&*disk, &paths, strict)).await };
        ctx.defer(read, |agent, kept, ctx| match kept {
            Ok(kept) => agent.take_up(kept, ctx),
            Err(ReadError::Agent(error)) => agent.checkpoints_unreadable(&error, ctx),
            Err(ReadError::Boot(error)) => agent.boot_unknown(&error, ctx),
            Err(ReadError::Resources(error)) => agent.resources_unreadable(&error, ctx),
        });
    }

    /// It is the host's: to start as a new agent does not help.
    fn boot_unknown(&mut self, error: &DiskError, ctx: &mut Context<Self>) {
        let boot_id = self.paths.boot_id();
        self.fail(
            format!(
                "failed to recover: {error} (remove '{}': the host then counts as one that has not booted meanwhile)",
                boot_id.display()
            ),
            ctx,
        );
    }

    /// They are the host's: to start as a new agent does not help.
    fn resources_unreadable(&mut self, error: &DiskError, ctx: &mut Context<Self>) {
        let (kept, begun) = (self.paths.resource_state(), self.paths.resource_state_target());
        self.fail(
            format!(
                "failed to recover reservations and volumes: {error} (bring the file back; or remove '{}' to give up \
                 only the operation that was under way, '{}' to give up all reservations and volumes, whose directories \
                 stay where they are)",
                begun.display(),
                kept.display()
            ),
            ctx,
        );
    }

    /// To give up what was kept is the last resort where it is damaged. A disk that is full, say, has all of it, and a new
    /// agent could not write there either; and what may not be read need not be damaged.
    fn checkpoints_unreadable(&mut self, error: &DiskError, ctx: &mut Context<Self>) {
        let timeout = duration::format(self.settings.recovery_timeout);
        match error {
            DiskError::Write { .. } => self.fail(
                format!(
                    "failed to recover: {error} (nothing that was kept is lost: have it written to again, as by making \
                     room on its disk, and start again; executors wait for an agent for {timeout})"
                ),
                ctx,
            ),
            DiskError::Read { .. } => self.recovery_failed(
                &format!("{error} (start again once it can be read; executors wait for an agent for {timeout})"),
                ctx,
            ),
            DiskError::Corrupt { .. } => self.recovery_failed(&error.to_string(), ctx),
        }
    }

    fn recovery_failed(&mut self, reason: &str, ctx: &mut Context<Self>) {
        let latest = self.paths.latest_agent();
        self.fail(
            format!(
                "failed to recover: {reason} (to start as a new agent, giving up its executors, remove '{}')",
                latest.display()
            ),
            ctx,
        );
    }

    /// Takes up what was kept.
    fn take_up(&mut self, kept: Kept, ctx: &mut Context<Self>) {
        self.metrics.recovery_errors.add(kept.errors);
        let (mut containers, mut over) = (Vec::new(), Vec::new());
        let KeptResources { resources, operations } = kept.resources;
        // Before an agent of a host that has booted is given up for another one: that one would not start, either.
        if let Err(error) = self.take_up_resources(resources) {
            self.fail(format!("failed to recover: {error}"), ctx);
            return;
        }
        if let Some(agent) = kept.agent {
            self.info.id = Some(agent.id.to_proto());
            match compatible(self.settings.reconfiguration_policy, &agent.info, &self.info) {
                Ok(()) => {
                    tracing::info!(agent_id = %agent.id, frameworks = agent.frameworks.len(), "recovering");
                    self.id = Some(agent.id.clone());
                    (containers, over) = self.take_up_agent(agent);
                }
                // Maintenance may have changed the host; nothing runs on it any more.
                Err(change) if kept.rebooted => {
                    tracing::warn!(
                        change,
                        "starting as a new agent: the host has booted, and is not the same"
                    );
                    self.info.id = None;
                    if let Err(error) = self.disk.remove(&self.paths.latest_agent()) {
                        let error = DiskError::writing(&self.paths.latest_agent())(error);
                        self.recovery_failed(&error.to_string(), ctx);
                        return;
                    }
                }
                Err(change) => {
                    self.recovery_failed(
                        &format!("{change}, which --reconfiguration_policy does not allow"),
                        ctx,
                    );
                    return;
                }
            }
        }
        self.take_up_operations(operations);
        let answer = self.colleagues.containerizer.recover(containers, over);
        ctx.defer(answer, |agent, answer, ctx| match answer {
            Ok(Ok(())) => agent.await_executors(ctx),
            Ok(Err(error)) => agent.recovery_failed(&error.to_string(), ctx),
            Err(_) => agent.recovery_failed("the containerizer has ended", ctx),
        });
    }

    /// Takes up an agent's frameworks; the containers to adopt, and the sandboxes of those that were over.
    fn take_up_agent(&mut self, agent: KeptAgent) -> (Vec<RecoveredContainer>, Vec<PathBuf>) {
        let (mut containers, mut over) = (Vec::new(), Vec::new());
        let mut streams = Vec::new();
        self.take_up_draining(agent.drain);
        for kept in agent.frameworks {
            let mut info = kept.info;
            info.id.get_or_insert_with(|| kept.id.to_proto());
            let mut framework = Framework::new(info, kept.id.clone(), kept.pid);
            for executor in kept.executors {
                self.take_up_executor(&mut framework, executor, &mut containers, &mut over, &mut streams);
            }
            if framework.executors.is_empty() {
                self.collect_framework(&framework.id, true);
                self.complete_framework(framework);
            } else {
                self.frameworks.insert(kept.id, framework);
            }
        }
        self.colleagues.updates.tell(Restore(streams));
        (containers, over)
    }

    fn take_up_executor(
        &mut self,
        framework: &mut Framework,
        kept: KeptExecutor,
        containers: &mut Vec<RecoveredContainer>,
        over: &mut Vec<PathBuf>,
        streams: &mut Vec<RestoredStream>,
    ) {
        let id = ExecutorId::from(&kept.info.executor_id);
        let run = |container: ContainerId| Run {
            agent: self.agent_id(),
            framework: framework.id.clone(),
            executor: id.clone(),
            container,
        };
        for container in kept.earlier {
            let earlier = run(container);
            self.collect_executor(&earlier, true, false, Used::Before);
            over.push(self.paths.sandbox(&earlier));
        }
        let run = run(kept.run.container.clone());
        let directory = self.paths.sandbox(&run);
        let user = self.user_of(&framework.info, &kept.info);
        let container = kept.run.container.clone();
        let mut executor = Executor::new(kept.info, container, directory.clone(), user, true, kept.generated);
        executor.launched = true;
        executor.was_told_to_end = kept.run.told_to_end;
        for task in &kept.run.deleted_tasks {
            executor.tasks.recover_deleted(task);
        }
        for task in kept.run.tasks {
            streams.extend(self.take_up_task(framework, &mut executor, &run, task, kept.run.completed));
        }
        self.attach_sandbox(&run, &directory);
        if kept.run.completed {
            self.metrics.executors_terminated.increment();
            executor.phase = ExecutorPhase::Terminated;
            executor.tasks.abandon_launched();
            self.collect_executor(&run, true, true, Used::Before);
            framework.executors.insert(id.clone(), executor);
            let limit = self.settings.max_completed_executors_per_framework;
            framework.complete_executor(&id, limit);
            over.push(directory);
            return;
        }
        containers.push(RecoveredContainer {
            id: kept.run.container,
            pid: kept.run.forked_pid,
            directory,
            user: executor.user.clone(),
            executor: (*executor.info).clone(),
            resources: executor.allocated(),
        });
        framework.executors.insert(id, executor);
    }

    /// Takes up a task of an executor's run, which may be over; its stream of updates, if there are any.
    fn take_up_task(
        &self,
        framework: &mut Framework,
        executor: &mut Executor,
        run: &Run,
        kept: KeptTask,
        is_over: bool,
    ) -> Option<RestoredStream> {
        let KeptTask { task, replay, in_journal } = kept;
        let task_id = TaskId::from(&task.task_id);
        executor.tasks.recover(task_id.clone(), task);
        framework.executor_of_task.insert(task_id.clone(), run.executor.clone());
        for update in &replay.updates {
            if let Err(error) = executor.tasks.update(&task_id, &update.status, &framework.id) {
                tracing::warn!(%task_id, %error, "a kept update does not fit its task");
                continue;
            }
            let uuid = uuid_of(update);
            if is_terminal(update.status.state()) && replay.acknowledged.contains(&uuid) {
                executor.tasks.complete(&task_id);
                framework.executor_of_task.remove(&task_id);
                self.collect_task_of(run, &task_id, Used::Before);
            }
        }
        if replay.updates.is_empty() {
            return None;
        }
        let (framework, log) = (framework.id.clone(), self.paths.task_updates(run, &task_id));
        Some(RestoredStream { framework, log, task: task_id, replay, in_journal, is_over })
    }

    /// The containers are adopted: executors may subscribe.
    fn await_executors(&mut self, ctx: &mut Context<Self>) {
        self.executors_welcome = true;
        for (framework, executor, container) in self.all_executors() {
            self.await_container(&framework, &executor, &container, ctx);
            if self.settings.recover == Recover::Cleanup {
                self.shut_down_executor(&framework, &executor, ctx);
            }
        }
        if self.leaves {
            self.shut_down(ctx);
        } else if self.settings.recover == Recover::Cleanup {
            self.finish_recovery(ctx);
        } else if self.misses_executors() {
            tracing::info!(timeout = ?self.settings.executor_reregistration_timeout, "waiting for executors to subscribe again");
            ctx.after(self.settings.executor_reregistration_timeout, ReregistrationOverdue);
        } else {
            self.finish_recovery(ctx);
        }
        self.touch(ctx);
    }

    /// Whether there is an executor that has neither subscribed nor ended.
    fn misses_executors(&self) -> bool {
        let mut executors = self.frameworks.values().flat_map(|framework| framework.executors.values());
        executors.any(|executor| executor.phase == ExecutorPhase::Registering)
    }

    /// An executor has subscribed, or has ended: was it the last one that recovery waited for?
    pub(crate) fn misses_one_less(&mut self, ctx: &mut Context<Self>) {
        let waits = self.phase == Phase::Recovering && self.settings.recover == Recover::Reconnect;
        if waits && self.executors_welcome && !self.misses_executors() {
            self.finish_recovery(ctx);
        }
    }

    fn all_executors(&self) -> Vec<(FrameworkId, ExecutorId, ContainerId)> {
        let of = |framework: &Framework| {
            let id = framework.id.clone();
            framework
                .executors
                .values()
                .map(move |executor| (id.clone(), executor.id.clone(), executor.container.clone()))
                .collect::<Vec<_>>()
        };
        self.frameworks.values().flat_map(of).collect()
    }

    fn finish_recovery(&mut self, ctx: &mut Context<Self>) {
        if self.phase != Phase::Recovering {
            return;
        }
        if let Some(boot_id) = self.disk.boot_id()
            && let Err(error) = self.keep_boot_id(&boot_id)
        {
            // The disk is full, say: what was kept is in order, and giving it up would not help.
            self.fail(format!("failed to recover: {error}"), ctx);
            return;
        }
        self.collect_old_agents();
        self.collect_unknown_frameworks();
        let took = ctx.now().duration_since(self.started_at).unwrap_or_default();
        self.metrics.recovered(took);
        tracing::info!(?took, "recovered");
        self.drain_again(ctx);
        match self.settings.recover {
            Recover::Reconnect => {
                self.phase = Phase::Disconnected;
                self.watch_leader(ctx);
            }
            // It only came to end its executors.
            Recover::Cleanup => {
                self.phase = Phase::Terminating;
                if self.frameworks.is_empty() {
                    ctx.terminate();
                }
            }
        }
    }

    /// Notes which boot it is. It is synced: its directory is the way to everything else (found by simulation).
    fn keep_boot_id(&self, boot_id: &str) -> Result<(), DiskError> {
        checkpoint::keep_text(&*self.disk, &self.paths.boot_id(), boot_id, Durability::Host)
    }

    /// Directories of ids that this agent no longer has may be deleted. While it has no id, one of them may have been its
    /// own until now (the host has booted and is another, or somebody has removed the link to it): their times of
    /// modification do not tell. (Upstream counts from each start anew.)
    fn collect_old_agents(&self) {
        let Some(gc) = &self.colleagues.gc else { return };
        let used = if self.id.is_none() { Used::UntilNow } else { Used::Before };
        let work = checkpoint::list(&*self.disk, &self.paths.slaves()).unwrap_or_default();
        let meta_root = self.paths.meta_dir().join("slaves");
        let meta = checkpoint::list(&*self.disk, &meta_root).unwrap_or_default();
        let old = |name: &String| name != "latest" && self.id.as_ref().is_none_or(|id| id.as_str() != name);
        for name in work.into_iter().filter(old) {
            gc.schedule(self.paths.slaves().join(name), used, Vec::new());
        }
        for name in meta.into_iter().filter(old) {
            gc.schedule(meta_root.join(name), used, Vec::new());
        }
    }

    /// Of a framework that does not checkpoint, an agent finds nothing but sandboxes: they may be deleted so long after
    /// something was last written there. (Upstream's stay until the agent has another id.) So may what does not say any
    /// more whose it is.
    fn collect_unknown_frameworks(&self) {
        let (Some(gc), Some(id)) = (&self.colleagues.gc, &self.id) else { return };
        for root in [self.paths.slaves().join(id.as_str()), self.paths.agent_meta(id)] {
            let root = root.join("frameworks");
            for name in checkpoint::list(&*self.disk, &root).unwrap_or_default() {
                let framework = FrameworkId::from(name);
                let is_over = self.completed.iter().any(|completed| completed.id == framework);
                if !is_over && !self.frameworks.contains_key(&framework) {
                    let path = root.join(framework.as_str());
                    let used = self.last_output_in(&path).map_or(Used::UntilNow, Used::At);
                    gc.schedule(path, used, Vec::new());
                }
            }
        }
    }

    /// When a task of a framework has last made a file in its sandbox, or said something.
    fn last_output_in(&self, framework: &Path) -> Option<SystemTime> {
        let below = |path: PathBuf| {
            let names = checkpoint::list(&*self.disk, &path).unwrap_or_default();
            names.into_iter().map(move |name| path.join(name))
        };
        let runs = below(framework.join("executors")).flat_map(|executor| below(executor.join("runs")));
        let written = runs.flat_map(|run| [run.join("stdout"), run.join("stderr"), run]);
        written.filter_map(|path| self.disk.modified(&path).ok()).max()
    }
}

impl Handle<ReregistrationOverdue> for Agent {
    fn handle(&mut self, _: ReregistrationOverdue, _: &Pid, ctx: &mut Context<Self>) {
        if self.phase != Phase::Recovering {
            return;
        }
        let timeout = duration::format(self.settings.executor_reregistration_timeout);
        let containerizer = self.colleagues.containerizer.clone();
        for framework in self.frameworks.values_mut() {
            let state = gone_state(&framework.info);
            let late = framework.executors.values_mut();
            for executor in late.filter(|executor| executor.phase == ExecutorPhase::Registering) {
                tracing::info!(executor_id = %executor.id, framework_id = %framework.id, "killing an executor that did not subscribe again");
                executor.phase = ExecutorPhase::Terminating;
                executor.pending_termination = Some(Termination {
                    state: Some(state),
                    reason: Some(Reason::ExecutorReregistrationTimeout),
                    message: Some(format!("Executor did not reregister within {timeout}")),
                    ..Termination::default()
                });
                containerizer.destroy(executor.container.clone());
            }
        }
        self.finish_recovery(ctx);
        self.touch(ctx);
    }
}
