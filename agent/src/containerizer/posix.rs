//! The containerizer without isolation: a container is a session of processes (`mesos-containerizer(1)`).
//!
//! | receives | from | does |
//! |---|---|---|
//! | [`Launch`] | the agent | fetches what the command needs, then starts it in its sandbox |
//! | [`Update`] | the agent | notes the new resources, and links volumes among them; nothing else enforces them here |
//! | [`Wait`] | the agent | answers when the container has ended |
//! | [`Destroy`] | the agent | kills the session and all that descends from it |
//! | [`Usage`], [`Status`] | the agent | reads `/proc`; names the pid |
//! | [`Containers`] | the agent | lists what runs |
//! | [`Recover`] | the agent, once after a restart | adopts what runs of an earlier agent, and kills what is unknown |
//!
//! It owns the processes and nothing else: sandboxes are made and removed by the agent. What runs in a
//! container is none of its business. (Upstream: `slave/containerizer/mesos/containerizer.cpp` with
//! `SubprocessLauncher` and the posix isolators.)

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use futures::future::{AbortHandle, Aborted, abortable};
use libprocess::subprocess::{kill_tree, session_lives, watch};
use libprocess::{Context, Handle, Pid, Place, Process, Promise};
use mesos::v1::container_info;
use mesos::{ContainerId, Resources, v1};
use rustix::process::Signal;

use super::{
    ContainerConfig, Containers, Destroy, Launch, LaunchError, Launched, Recover, RecoverError, Status,
    Termination, Update, UpdateError, Usage, Wait, launcher, statistics,
    strays::Sandboxes,
    volumes::{Sandbox, Volumes},
};
use crate::fetcher::Fetcher;

/// How many containers are remembered after their end, for a `Wait` that comes late.
const REMEMBERED: usize = 1024;

/// The actor.
pub struct PosixContainerizer {
    fetcher: Fetcher,
    volumes: Volumes,
    /// The sandboxes of the agent's containers are below it, and no others.
    sandboxes: PathBuf,
    containers: BTreeMap<ContainerId, Container>,
    /// Ended, and nobody has asked yet. The oldest is forgotten first.
    ended: VecDeque<(ContainerId, Termination)>,
}

/// One container from its launch to its end.
struct Container {
    /// The leader of its session; none while its files are being fetched.
    pid: Option<i32>,
    directory: PathBuf,
    user: Option<String>,
    resources: Resources,
    /// Ends the fetching of its files.
    fetching: Option<AbortHandle>,
    waiting: Vec<Promise<Option<Termination>>>,
}

impl PosixContainerizer {
    /// With no container. The agent makes all sandboxes below `sandboxes`, and nobody else does.
    pub fn new(fetcher: Fetcher, volumes: Volumes, sandboxes: PathBuf) -> Self {
        Self { fetcher, volumes, sandboxes, containers: BTreeMap::new(), ended: VecDeque::new() }
    }

    /// Starts what was fetched, unless it was destroyed meanwhile.
    fn start(
        &mut self,
        id: &ContainerId,
        config: &ContainerConfig,
        ctx: &mut Context<Self>,
    ) -> Result<Launched, LaunchError> {
        let Some(container) = self.containers.get_mut(id) else { return Err(LaunchError::Destroyed) };
        container.fetching = None;
        self.link(id, &config.resources).map_err(LaunchError::Prepare)?;
        let child = launcher::launch(config).map_err(|error| LaunchError::Prepare(error.to_string()))?;
        let pid = child.pid();
        if let Some(container) = self.containers.get_mut(id) {
            container.pid = Some(pid);
        }
        tracing::debug!(container_id = %id, pid, "started a container");
        let id = id.clone();
        ctx.defer(launcher::reap(child), move |this, status, _| this.finish(&id, status));
        Ok(Launched::Launched)
    }

    /// Gives a container resources, with the volumes among them.
    fn link(&mut self, id: &ContainerId, resources: &Resources) -> Result<(), String> {
        let Some(container) = self.containers.get(id) else { return Ok(()) };
        let sandbox = Sandbox { directory: &container.directory, user: container.user.as_deref() };
        let others = |volume: &mesos::Resource| {
            let others = self.containers.iter().filter(|(other, _)| *other != id);
            others.into_iter().any(|(_, other)| other.resources.count(volume) > 0)
        };
        self.volumes.change(&sandbox, &container.resources, resources, others)?;
        if let Some(container) = self.containers.get_mut(id) {
            container.resources = resources.clone();
        }
        Ok(())
    }

    /// Its first process has ended: ends what is left of it, and tells who waits.
    fn finish(&mut self, id: &ContainerId, status: Option<i32>) {
        let Some(container) = self.containers.remove(id) else { return };
        if let Some(pid) = container.pid.filter(|pid| session_lives(*pid)) {
            kill_tree(pid, Signal::KILL);
        }
        let termination = Termination { status, ..Termination::default() };
        if container.waiting.is_empty() {
            if self.ended.len() == REMEMBERED {
                self.ended.pop_front();
            }
            self.ended.push_back((id.clone(), termination));
            return;
        }
        for waiting in container.waiting {
            waiting.set(Some(termination.clone()));
        }
    }

    /// Kills what was left in sandboxes while there was no agent; `over` are those of containers that ended before.
    fn kill_strays(&self, over: &[PathBuf]) {
        let of = |lives: bool| {
            let containers =
                self.containers.values().filter(move |container| container.pid.is_some() == lives);
            containers.map(|container| container.directory.as_path()).collect::<BTreeSet<&Path>>()
        };
        let sandboxes = Sandboxes { below: &self.sandboxes, live: of(true), gone: of(false), over };
        sandboxes.kill_strays(std::process::id().cast_signed());
    }
}

/// What this containerizer cannot do is said before anything is started.
fn supported(config: &ContainerConfig) -> Result<(), Result<Launched, LaunchError>> {
    // Our master refuses it; upstream's sends it. It has no command, which would be a puzzling reason.
    if config.executor.r#type() == v1::executor_info::Type::Default {
        return Err(Err(LaunchError::Prepare("there is no 'DEFAULT' executor yet".to_owned())));
    }
    let Some(container) = &config.container else { return Ok(()) };
    let image = container.mesos.as_ref().is_some_and(|mesos| mesos.image.is_some());
    let docker = container.r#type == container_info::Type::Docker as i32;
    if docker || image || !container.volumes.is_empty() || !container.network_infos.is_empty() {
        return Err(Ok(Launched::NotSupported));
    }
    Ok(())
}

impl Process for PosixContainerizer {
    const NAME: &'static str = "mesos-containerizer";
    // Forking and reading the process table take milliseconds, which the agent must not wait for.
    const PLACE: Place = Place::Own("containers");
}

impl Handle<Launch> for PosixContainerizer {
    fn handle(&mut self, message: Launch, _: &Pid, ctx: &mut Context<Self>) {
        let Launch { container_id: id, config, reply } = message;
        if self.containers.contains_key(&id) {
            return reply.set(Ok(Launched::AlreadyLaunched));
        }
        if let Err(answer) = supported(&config) {
            return reply.set(answer);
        }
        let mut container = Container {
            pid: None,
            directory: config.directory.clone(),
            user: config.user.clone(),
            // Given to it when it starts.
            resources: Resources::default(),
            fetching: None,
            waiting: Vec::new(),
        };
        if config.command.uris.is_empty() {
            self.containers.insert(id.clone(), container);
            return reply.set(self.launched(&id, &config, ctx));
        }
        let fetcher = self.fetcher.clone();
        let (fetching, abort) = abortable(async move {
            let result = fetcher.fetch(&config.command.uris, &config.directory, config.user.as_deref()).await;
            (config, result)
        });
        container.fetching = Some(abort);
        self.containers.insert(id.clone(), container);
        ctx.defer(fetching, move |this, fetched, ctx| {
            let result = match fetched {
                Err(Aborted) => {
                    this.finish(&id, None);
                    Err(LaunchError::Destroyed)
                }
                Ok((config, Ok(()))) => this.launched(&id, &config, ctx),
                Ok((_, Err(error))) => {
                    this.finish(&id, None);
                    Err(LaunchError::Fetch { uri: error.uri, reason: error.reason })
                }
            };
            reply.set(result);
        });
    }
}

impl PosixContainerizer {
    /// Starts the container, or forgets it.
    fn launched(
        &mut self,
        id: &ContainerId,
        config: &ContainerConfig,
        ctx: &mut Context<Self>,
    ) -> Result<Launched, LaunchError> {
        let result = self.start(id, config, ctx);
        if result.is_err() {
            self.finish(id, None);
        }
        result
    }
}

impl Handle<Update> for PosixContainerizer {
    fn handle(&mut self, message: Update, _: &Pid, _: &mut Context<Self>) {
        let linked = self.link(&message.container_id, &message.resources);
        message.reply.set(linked.map_err(UpdateError));
    }
}

impl Handle<Wait> for PosixContainerizer {
    fn handle(&mut self, message: Wait, _: &Pid, _: &mut Context<Self>) {
        if let Some(container) = self.containers.get_mut(&message.container_id) {
            return container.waiting.push(message.reply);
        }
        let ended = self.ended.iter().position(|(id, _)| *id == message.container_id);
        message
            .reply
            .set(ended.and_then(|index| self.ended.remove(index)).map(|(_, termination)| termination));
    }
}

impl Handle<Destroy> for PosixContainerizer {
    fn handle(&mut self, message: Destroy, _: &Pid, _: &mut Context<Self>) {
        let Some(container) = self.containers.get_mut(&message.container_id) else { return };
        // Its end is seen, and told, by whoever waits for the files or for the process.
        match (container.pid, container.fetching.take()) {
            (Some(pid), _) => drop(kill_tree(pid, Signal::KILL)),
            (None, Some(fetching)) => fetching.abort(),
            (None, None) => {}
        }
    }
}

impl Handle<Usage> for PosixContainerizer {
    fn handle(&mut self, message: Usage, _: &Pid, ctx: &mut Context<Self>) {
        let container = self.containers.get(&message.container_id);
        let Some((pid, resources)) =
            container.and_then(|container| Some((container.pid?, &container.resources)))
        else {
            return message.reply.set(None);
        };
        let now = ctx.now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let megabytes = resources.mem().map(|mem| (mem.to_f64() * 1048576.0) as u64);
        message.reply.set(Some(v1::ResourceStatistics {
            timestamp: now.as_secs_f64(),
            cpus_soft_limit: resources.cpus().map(|cpus| cpus.to_f64()),
            mem_soft_limit_bytes: megabytes,
            mem_limit_bytes: megabytes,
            ..statistics::of_tree(pid)
        }));
    }
}

impl Handle<Status> for PosixContainerizer {
    fn handle(&mut self, message: Status, _: &Pid, _: &mut Context<Self>) {
        let status = self.containers.get(&message.container_id).map(|container| v1::ContainerStatus {
            container_id: Some(message.container_id.to_proto()),
            executor_pid: container.pid.and_then(|pid| u32::try_from(pid).ok()),
            ..v1::ContainerStatus::default()
        });
        message.reply.set(status);
    }
}

impl Handle<Containers> for PosixContainerizer {
    fn handle(&mut self, _: Containers, _: &Pid, _: &mut Context<Self>) -> Vec<ContainerId> {
        self.containers.keys().cloned().collect()
    }
}

impl Handle<Recover> for PosixContainerizer {
    fn handle(&mut self, message: Recover, _: &Pid, ctx: &mut Context<Self>) {
        let mut gone = Vec::new();
        for found in message.containers {
            let pid = found.pid.and_then(|pid| i32::try_from(pid).ok());
            let pid = pid.filter(|pid| launcher::is_container(*pid, &found.directory));
            // Its links are where they were.
            let (directory, user, resources) = (found.directory, found.user, found.resources);
            let container =
                Container { pid, directory, user, resources, fetching: None, waiting: Vec::new() };
            self.containers.insert(found.id.clone(), container);
            match pid {
                Some(pid) => {
                    tracing::info!(container_id = %found.id, pid, "adopted a container");
                    // Only its parent could learn its status.
                    ctx.defer(watch(pid), move |this, (), _| this.finish(&found.id, None));
                }
                None => gone.push(found.id),
            }
        }
        self.kill_strays(&message.over);
        for id in gone {
            self.finish(&id, None);
        }
        message.reply.set(Ok::<(), RecoverError>(()));
    }
}

#[cfg(test)]
mod tests {
    use libprocess::Node;
    use libprocess::subprocess::process_table;

    use super::super::testing::{self, node, until};
    use super::super::{Containerizer, RecoveredContainer};
    use super::*;

    fn containerizer(node: &Node) -> Containerizer {
        testing::containerizer(node, Path::new("/nowhere/slaves"))
    }

    fn config(sandbox: &Path, command: &str) -> ContainerConfig {
        ContainerConfig {
            command: v1::CommandInfo { value: Some(command.to_owned()), ..v1::CommandInfo::default() },
            directory: sandbox.to_owned(),
            environment: [("MESOS_DIRECTORY".to_owned(), sandbox.display().to_string())].into(),
            resources: Resources::parse("cpus:1;mem:32", "*").unwrap(),
            ..ContainerConfig::default()
        }
    }

    #[test]
    fn a_container_runs_and_its_exit_status_is_told() {
        libprocess::run(async {
            let node = node().await;
            let containers = containerizer(&node);
            let sandbox = tempfile::tempdir().unwrap();
            let id = ContainerId::new("one");
            let launched =
                containers.launch(id.clone(), config(sandbox.path(), "exit 7")).await.unwrap().unwrap();
            assert_eq!(launched, Launched::Launched);
            let termination = containers.wait(id.clone()).await.unwrap().unwrap();
            assert_eq!(termination.status, Some(7 << 8));
            assert!(containers.wait(id).await.unwrap().is_none(), "it is forgotten");
            node.shutdown().await;
        });
    }

    #[test]
    fn destroying_a_container_ends_what_it_started() {
        libprocess::run(async {
            let node = node().await;
            let containers = containerizer(&node);
            let sandbox = tempfile::tempdir().unwrap();
            let id = ContainerId::new("tree");
            let command = "sleep 1000 & setsid sleep 1000 & echo ready > ready; wait";
            containers.launch(id.clone(), config(sandbox.path(), command)).await.unwrap().unwrap();
            until(|| sandbox.path().join("ready").exists()).await;
            let usage = containers.usage(id.clone()).await.unwrap().unwrap();
            assert!(usage.processes.unwrap() >= 2, "{usage:?}");
            assert_eq!(usage.mem_limit_bytes, Some(32 << 20));
            let status = containers.status(id.clone()).await.unwrap().unwrap();
            let pid = status.executor_pid.unwrap() as i32;
            containers.destroy(id.clone());
            let termination = containers.wait(id).await.unwrap().unwrap();
            assert_eq!(termination.status, Some(9));
            // Each was sent SIGKILL before the first one ended; the kernel may take a moment for it.
            until(|| !process_table().iter().any(|entry| entry.session == pid && !entry.zombie)).await;
            node.shutdown().await;
        });
    }

    /// Upstream: `SlaveTest.ExecutorTimeoutCausedBySlowFetch`.
    #[test]
    fn a_container_that_waits_for_its_files_can_be_destroyed() {
        libprocess::run(async {
            let node = node().await;
            let containers = containerizer(&node);
            // A server that never answers.
            let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let sandbox = tempfile::tempdir().unwrap();
            let mut waiting = config(sandbox.path(), "true");
            let value = format!("http://{}/file", silent.local_addr().unwrap());
            waiting.command.uris.push(v1::command_info::Uri { value, ..Default::default() });
            let id = ContainerId::new("waiting");
            let launching = containers.launch(id.clone(), waiting);
            assert_eq!(containers.containers().await, std::slice::from_ref(&id));
            containers.destroy(id.clone());
            let error = launching.await.unwrap().unwrap_err();
            assert!(matches!(error, LaunchError::Destroyed), "{error}");
            assert!(containers.containers().await.is_empty());
            assert_eq!(containers.wait(id).await.unwrap().unwrap().status, None);
            node.shutdown().await;
        });
    }

    #[test]
    fn what_cannot_start_is_an_error_and_leaves_no_container() {
        libprocess::run(async {
            let node = node().await;
            let containers = containerizer(&node);
            let id = ContainerId::new("none");
            let missing = config(Path::new("/no/such/sandbox"), "true");
            let error = containers.launch(id.clone(), missing).await.unwrap().unwrap_err();
            assert!(error.to_string().contains("/no/such/sandbox"), "{error}");
            assert!(containers.containers().await.is_empty());

            let sandbox = tempfile::tempdir().unwrap();
            let mut fetching = config(sandbox.path(), "true");
            fetching
                .command
                .uris
                .push(v1::command_info::Uri { value: "/no/such".into(), ..Default::default() });
            let error = containers.launch(id, fetching).await.unwrap().unwrap_err();
            assert!(matches!(error, LaunchError::Fetch { .. }), "{error}");

            let mut image = config(sandbox.path(), "true");
            image.container = Some(v1::ContainerInfo {
                r#type: container_info::Type::Docker as i32,
                ..v1::ContainerInfo::default()
            });
            let answer = containers.launch(ContainerId::new("docker"), image).await.unwrap().unwrap();
            assert_eq!(answer, Launched::NotSupported);

            let mut pod = config(sandbox.path(), "");
            pod.command = v1::CommandInfo::default();
            pod.executor.set_type(v1::executor_info::Type::Default);
            let error = containers.launch(ContainerId::new("pod"), pod).await.unwrap().unwrap_err();
            assert_eq!(error.to_string(), "there is no 'DEFAULT' executor yet");
            node.shutdown().await;
        });
    }

    /// Upstream: `MesosContainerizerSlaveRecoveryTest.ResourceStatistics`.
    #[test]
    fn containers_of_an_earlier_agent_are_adopted_and_others_are_found_gone() {
        libprocess::run(async {
            let node = node().await;
            let containers = containerizer(&node);
            let sandbox = tempfile::tempdir().unwrap();
            let mut earlier = std::process::Command::new("sleep")
                .arg("1000")
                .env("MESOS_DIRECTORY", sandbox.path())
                .spawn()
                .unwrap();
            let recovered = |name: &str, pid| RecoveredContainer {
                user: None,
                id: ContainerId::new(name),
                pid,
                directory: sandbox.path().to_owned(),
                executor: v1::ExecutorInfo::default(),
                resources: Resources::parse("mem:32", "*").unwrap(),
            };
            // One that keeps nothing of it; and somebody who only looks at the sandbox, from a session of their own.
            let without = |program: &str, arguments: &[&str]| {
                let mut command = std::process::Command::new(program);
                command.args(arguments).current_dir(sandbox.path()).spawn().unwrap()
            };
            let mut cleared = without("setsid", &["env", "-i", "sleep", "1000"]);
            let mut visitor = without("sleep", &["1000"]);
            // Between fork and exec the environment is still ours.
            for pid in [earlier.id(), cleared.id()] {
                until(|| launcher::is_container(pid as i32, sandbox.path())).await;
            }
            containers
                .recover(vec![recovered("alive", Some(earlier.id()))], Vec::new())
                .await
                .unwrap()
                .unwrap();
            let usage = containers.usage(ContainerId::new("alive")).await.unwrap().unwrap();
            assert_eq!((usage.processes, usage.mem_limit_bytes), (Some(1), Some(32 << 20)));
            let found = vec![
                recovered("cleared", Some(cleared.id())),
                recovered("visitor", Some(visitor.id())),
                // A pid that is somebody else's by now.
                recovered("reused", Some(std::process::id())),
                recovered("gone", None),
            ];
            containers.recover(found, Vec::new()).await.unwrap().unwrap();
            assert_eq!(containers.containers().await, ["alive", "cleared"].map(ContainerId::new));
            for gone in ["visitor", "reused", "gone"] {
                let termination = containers.wait(ContainerId::new(gone)).await.unwrap();
                assert_eq!(termination.unwrap().status, None, "{gone}");
            }
            containers.destroy(ContainerId::new("alive"));
            let termination = containers.wait(ContainerId::new("alive")).await.unwrap();
            assert_eq!(termination.unwrap().status, None, "only a parent learns the status");
            earlier.wait().unwrap();
            containers.destroy(ContainerId::new("cleared"));
            containers.wait(ContainerId::new("cleared")).await.unwrap();
            cleared.wait().unwrap();
            assert!(visitor.try_wait().unwrap().is_none(), "it is nobody's to end");
            visitor.kill().unwrap();
            visitor.wait().unwrap();
            node.shutdown().await;
        });
    }
}
