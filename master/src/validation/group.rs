//! Whether a group of tasks may be launched with what its framework was offered (upstream:
//! `task::group::validate` in `master/validation.cpp`).

use std::collections::BTreeSet;

use mesos::v1::{self, container_info, executor_info, health_check};
use mesos::{ExecutorId, ResourceQuantities, Resources, Scalar};

use super::same_executor::is_same_but_resources;
use super::{Checked, Invalid, executor, refuse_if, refuse_if_with, resource, task};
use crate::cluster::{Agent, Framework};

/// What an executor of task groups needs at least, in thousandths (upstream: `MIN_CPUS`, `MIN_MEM`).
const MIN_CPUS: Scalar = Scalar::from_millis(10);
const MIN_MEM: Scalar = Scalar::from_millis(32_000);

/// A group that may be launched, with what it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct LaunchableGroup {
    /// The resources of each task, in their order.
    pub tasks: Vec<Resources>,
    /// The executor's resources, if it has to be started.
    pub new_executor: Option<Resources>,
}

/// Checks the tasks of a LAUNCH_GROUP operation against what is left of the offers.
///
/// # Errors
/// In upstream's words; all of the tasks then become TASK_ERROR.
pub fn validate(
    group: &v1::TaskGroupInfo,
    info: &v1::ExecutorInfo,
    framework: &Framework,
    agent: &Agent,
    available: &Resources,
) -> Result<LaunchableGroup, Invalid> {
    let mut tasks = Vec::with_capacity(group.tasks.len());
    let mut seen = BTreeSet::new();
    for task in &group.tasks {
        let id = task.task_id.value.as_str();
        let within = |error: Invalid| error.within(&format!("Task '{id}' is invalid"));
        // Upstream does not look at this, and its master ends.
        refuse_if_with(!seen.insert(id), || format!("Task has duplicate ID: {id}")).map_err(within)?;
        tasks.push(validate_task(task, framework, agent).map_err(within)?);
    }
    let executor_resources = validate_executor(group, info, framework, agent)?;
    validate_together(&tasks, &executor_resources)?;
    let runs = agent.has_executor(&framework.id, &ExecutorId::from(&info.executor_id));
    let new_executor = (!runs).then_some(executor_resources);
    let total: Resources = tasks.iter().chain(&new_executor).sum();
    refuse_if_with(!available.contains(&total), || {
        format!(
            "Total resources {total} required by task group and its executor are more than available {available}"
        )
    })?;
    validate_cgroups(group, info, framework, agent)?;
    Ok(LaunchableGroup { tasks, new_executor })
}

fn validate_task(task: &v1::TaskInfo, framework: &Framework, agent: &Agent) -> Result<Resources, Invalid> {
    let resources = task::validate_alone(task, framework, agent)?;
    refuse_if(task.executor.is_none(), "'TaskInfo.executor' must be set")?;
    if let Some(container) = &task.container {
        let remote = task.health_check.as_ref().is_some_and(|check| {
            matches!(check.r#type(), health_check::Type::Http | health_check::Type::Tcp)
        });
        refuse_if(
            remote && !container.network_infos.is_empty(),
            "HTTP and TCP health checks are not supported for nested containers not joining parent's network",
        )?;
        refuse_if(
            container.r#type() == container_info::Type::Docker,
            "Docker ContainerInfo is not supported on the task",
        )?;
    }
    refuse_if(
        !task.limits.is_empty() && shares_cgroups(task.container.as_deref()),
        "Resource limits may only be set for tasks within a task group when the 'share_cgroups' field is set to \
         'false'.",
    )?;
    Ok(resources)
}

fn validate_executor(
    group: &v1::TaskGroupInfo,
    info: &v1::ExecutorInfo,
    framework: &Framework,
    agent: &Agent,
) -> Result<Resources, Invalid> {
    let resources = executor::validate_launch(info, framework, agent)?;
    match info.r#type {
        None => return Err("'ExecutorInfo.type' must be set".into()),
        Some(_) => match info.r#type() {
            executor_info::Type::Custom => {}
            executor_info::Type::Unknown => return Err("Unknown executor type".into()),
            executor_info::Type::Default => {
                return Err(
                    "There is no 'DEFAULT' executor yet: task groups need an executor of type 'CUSTOM'"
                        .into(),
                );
            }
        },
    }
    let docker =
        info.container.as_ref().is_some_and(|container| container.r#type() == container_info::Type::Docker);
    refuse_if(docker, "Docker ContainerInfo is not supported on the executor")?;
    let id = &info.executor_id.value;
    let is_other = |executor: &v1::ExecutorInfo| {
        executor != info
            && !(is_same_but_resources(executor, info)
                && Resources::from_valid_protos(&executor.resources) == resources)
    };
    for task in &group.tasks {
        refuse_if_with(task.executor.as_ref().is_some_and(is_other), || {
            format!("The `ExecutorInfo` of task '{}' is different from executor '{id}'", task.task_id.value)
        })?;
    }
    refuse_if_with(resources.cpus().is_none_or(|cpus| cpus < MIN_CPUS), || {
        let cpus = resources.cpus().map_or("None".to_owned(), |cpus| cpus.to_string());
        format!("Executor '{id}' uses less CPUs ({cpus}) than the minimum required ({MIN_CPUS})")
    })?;
    refuse_if_with(resources.mem().is_none_or(|mem| mem < MIN_MEM), || {
        let mem = resources.mem().map_or("None".to_owned(), as_bytes);
        format!("Executor '{id}' uses less memory ({mem}) than the minimum required ({})", as_bytes(MIN_MEM))
    })?;
    refuse_if_with(resources.disk().is_none(), || format!("Executor '{id}' uses no disk"))?;
    Ok(resources)
}

/// `16MB`. Upstream makes bytes of whole megabytes.
fn as_bytes(mem: Scalar) -> String {
    let megabytes = u64::try_from(mem.millis() / 1000).unwrap_or(0);
    mesos::bytes::format(megabytes.saturating_mul(1 << 20))
}

/// Tasks and executor must not claim the same port, or the same volume.
fn validate_together(tasks: &[Resources], executor: &Resources) -> Checked {
    let together: Resources = tasks.iter().chain([executor]).sum();
    resource::validate_unique_persistence_ids(&together)
        .map_err(|error| error.within("Task group and executor use duplicate persistence ID"))?;
    resource::validate_revocability(&together)
        .map_err(|error| error.within("Task group and executor mix revocable and non-revocable resources"))?;
    // Quantities add up unless ranges or sets overlap. What is shared may: upstream, which counts equal shared volumes
    // once when they are together, takes them for an overlap.
    let mut apart = ResourceQuantities::default();
    for resources in tasks.iter().chain([executor]) {
        apart += &ResourceQuantities::from_resources(&resources.non_shared());
    }
    refuse_if_with(apart != ResourceQuantities::from_resources(&together.non_shared()), || {
        let tasks: Vec<String> = tasks.iter().map(ToString::to_string).collect();
        format!(
            "There are overlapping resources in the task group's task resources {} and/or executor resources {executor}",
            super::listed(tasks.iter().map(String::as_str))
        )
    })
}

/// A task that does not say shares them with its executor.
fn shares_cgroups(container: Option<&v1::ContainerInfo>) -> bool {
    container.and_then(|container| container.linux_info.as_ref()?.share_cgroups).unwrap_or(true)
}

/// All tasks under one executor, in this group and in earlier ones, share cgroups or none of them does.
fn validate_cgroups(
    group: &v1::TaskGroupInfo,
    info: &v1::ExecutorInfo,
    framework: &Framework,
    agent: &Agent,
) -> Checked {
    let said = info.container.as_ref().and_then(|container| container.linux_info.as_ref()?.share_cgroups);
    refuse_if(
        said == Some(true),
        "The 'share_cgroups' field cannot be set to 'true' on executor containers",
    )?;
    let Some(first) = group.tasks.first().map(|task| shares_cgroups(task.container.as_deref())) else {
        return Ok(());
    };
    let mixed = group.tasks.iter().any(|task| shares_cgroups(task.container.as_deref()) != first);
    // A framework may have a hundred thousand tasks; few of them are here.
    let differs = || {
        let here = agent.tasks.keys().filter(|(owner, _)| *owner == framework.id);
        let live = here.filter_map(|(_, id)| framework.tasks.get(id));
        let unreachable = framework.unreachable_tasks.iter().filter(|task| task.agent == agent.id);
        live.chain(unreachable)
            .filter(|task| task.proto.executor_id.as_ref() == Some(&info.executor_id))
            .any(|task| shares_cgroups(task.proto.container.as_deref()) != first)
    };
    let runs = agent.has_executor(&framework.id, &ExecutorId::from(&info.executor_id));
    refuse_if(
        mixed || (runs && differs()),
        "If set, the value of 'share_cgroups' must be the same for all tasks in each task group and under a single \
         executor",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing;
    use crate::validation::operation::testing::{allocated, shared, volume};

    const EXECUTOR: &str = "cpus:0.1;mem:32;disk:32";

    fn executor() -> v1::ExecutorInfo {
        let mut info = testing::executor_task("t", "a", "e", "cpus:1", EXECUTOR).executor.unwrap();
        info.set_type(executor_info::Type::Custom);
        info
    }

    fn member(id: &str, resources: &str) -> v1::TaskInfo {
        let task = testing::command_task(id, "a", resources);
        v1::TaskInfo { executor: Some(executor()), ..task }
    }

    fn check(tasks: Vec<v1::TaskInfo>, info: &v1::ExecutorInfo) -> Result<LaunchableGroup, String> {
        let agent = testing::agent("a", "cpus:4;mem:1024;disk:1024;ports:[1-10]");
        let offered = testing::allocated("cpus:4;mem:1024;disk:1024;ports:[1-10]");
        let group = v1::TaskGroupInfo { tasks };
        validate(&group, info, &testing::framework("f"), &agent, &offered).map_err(|error| error.0)
    }

    fn refused(change: impl Fn(&mut v1::TaskInfo)) -> String {
        let mut task = member("t", "cpus:1");
        change(&mut task);
        check(vec![task], &executor()).unwrap_err()
    }

    fn refused_executor(change: impl Fn(&mut v1::ExecutorInfo)) -> String {
        let mut info = executor();
        change(&mut info);
        let task = v1::TaskInfo { executor: Some(info.clone()), ..member("t", "cpus:1") };
        check(vec![task], &info).unwrap_err()
    }

    fn container(json: &str) -> Option<v1::ContainerInfo> {
        Some(mesos::json::from_slice(json.as_bytes()).unwrap())
    }

    #[test]
    fn a_group_takes_what_its_tasks_and_their_executor_take() {
        let launchable = check(vec![member("t", "cpus:1"), member("u", "cpus:2")], &executor()).unwrap();
        assert_eq!(launchable.tasks, ["cpus:1", "cpus:2"].map(testing::allocated));
        assert_eq!(launchable.new_executor, Some(testing::allocated(EXECUTOR)));
        let text = check(vec![member("t", "cpus:2"), member("u", "cpus:2")], &executor()).unwrap_err();
        assert!(text.contains("required by task group and its executor are more than available"), "{text}");
    }

    /// Upstream: `TaskGroupUsesRevocableResources`, `TaskGroupAndExecutorUsesRevocableResources`.
    #[test]
    fn revocable_and_other_resources_do_not_mix_and_ports_are_used_once() {
        let mut revocable = member("t", "cpus:1");
        revocable.resources[0].revocable = Some(Default::default());
        let text = check(vec![revocable, member("u", "cpus:1")], &executor()).unwrap_err();
        assert!(text.starts_with("Task group and executor mix revocable and non-revocable"), "{text}");
        let text =
            check(vec![member("t", "ports:[1-2]"), member("u", "ports:[2-3]")], &executor()).unwrap_err();
        assert!(text.starts_with("There are overlapping resources"), "{text}");
        let text = check(vec![member("t", "cpus:1"), member("t", "cpus:1")], &executor()).unwrap_err();
        assert_eq!(text, "Task 't' is invalid: Task has duplicate ID: t");
    }

    /// A member that uses this volume, too.
    fn with_volume(id: &str, volume: &v1::Resource) -> v1::TaskInfo {
        let mut task = member(id, "cpus:1");
        task.resources.push(allocated(volume.clone(), "*"));
        task
    }

    #[test]
    fn a_volume_is_used_by_one_task_unless_it_is_shared() {
        let volume = volume("r", "v", 8.0);
        let both = |volume: &v1::Resource, copies: usize| {
            let offered = testing::allocated("cpus:4;mem:1024;disk:1024").to_protos();
            let copies = vec![allocated(volume.clone(), "*"); copies];
            let offered = Resources::try_from_protos(&[offered, copies].concat()).unwrap();
            let (framework, agent) = (testing::framework("f"), testing::agent("a", "cpus:4"));
            let group = v1::TaskGroupInfo { tasks: vec![with_volume("t", volume), with_volume("u", volume)] };
            validate(&group, &executor(), &framework, &agent, &offered).map_err(|error| error.0)
        };
        assert_eq!(
            both(&volume, 2).unwrap_err(),
            "Task group and executor use duplicate persistence ID: Persistence ID 'v' is not unique"
        );
        let share = shared(volume);
        assert_eq!(both(&share, 2).unwrap().tasks.len(), 2);
        // Each task needs a copy of its own. (Of tasks that are no group one copy is enough, as upstream.)
        let text = both(&share, 1).unwrap_err();
        assert!(text.contains("are more than available"), "{text}");
    }

    /// Upstream: `ExecutorUsesDockerContainerInfo`, `ExecutorWithoutFrameworkId`, `TaskUsesDifferentExecutor`,
    /// `ExecutorEnvironmentInvalid`, `ExecutorValidationTest.ExecutorType`.
    #[test]
    fn the_executor_is_one_custom_executor_of_the_framework() {
        let docker = container(r#"{"type":"DOCKER","docker":{"image":"i"}}"#);
        let text = refused_executor(|info| info.container = docker.clone());
        assert_eq!(text, "Docker ContainerInfo is not supported on the executor");
        assert_eq!(
            refused_executor(|info| info.framework_id = None),
            "'ExecutorInfo.framework_id' must be set"
        );
        assert_eq!(refused_executor(|info| info.r#type = None), "'ExecutorInfo.type' must be set");
        let unknown = |info: &mut v1::ExecutorInfo| info.set_type(executor_info::Type::Unknown);
        assert_eq!(refused_executor(unknown), "Unknown executor type");
        let text = refused_executor(|info| {
            info.set_type(executor_info::Type::Default);
            info.command = None;
        });
        assert!(text.starts_with("There is no 'DEFAULT' executor yet"), "{text}");
        let text = refused(|task| {
            if let Some(executor) = &mut task.executor {
                executor.executor_id.value = "other".into();
            }
        });
        assert_eq!(text, "The `ExecutorInfo` of task 't' is different from executor 'e'");
        let text = refused_executor(|info| {
            let json = r#"{"value":"x","environment":{"variables":[{"name":"A","type":"VALUE"}]}}"#;
            info.command = Some(mesos::json::from_slice(json.as_bytes()).unwrap());
        });
        assert!(text.starts_with("Executor's `CommandInfo` is invalid"), "{text}");
        let resources = |text: &str| testing::allocated(text).to_protos();
        for (given, expected) in [
            ("mem:32;disk:32", "uses less CPUs (None) than the minimum required (0.01)"),
            ("cpus:0.1;mem:16.5;disk:32", "uses less memory (16MB) than the minimum required (32MB)"),
            ("cpus:0.1;mem:0.5;disk:32", "uses less memory (0B) than the minimum required (32MB)"),
            ("cpus:0.1;disk:32", "uses less memory (None) than the minimum required (32MB)"),
            ("cpus:0.1;mem:32", "uses no disk"),
        ] {
            let text = refused_executor(|info| info.resources = resources(given));
            assert_eq!(text, format!("Executor 'e' {expected}"));
        }
    }

    /// Upstream: `TaskUsesDockerContainerInfo`, `TaskWithNetworkInfosDoesNotHaveHTTPHealthChecks`,
    /// `TaskWithNetworkInfosDoesNotHaveTCPHealthChecks`, `TaskEnvironmentInvalid`.
    #[test]
    fn a_member_has_no_docker_container_and_no_remote_checks_into_a_network_of_its_own() {
        let docker = container(r#"{"type":"DOCKER","docker":{"image":"i"}}"#);
        let text = refused(|task| task.container = docker.clone().map(Box::new));
        assert_eq!(text, "Task 't' is invalid: Docker ContainerInfo is not supported on the task");
        let network = container(r#"{"type":"MESOS","network_infos":[{"name":"n"}]}"#);
        for check in [r#"{"type":"HTTP","http":{"port":80}}"#, r#"{"type":"TCP","tcp":{"port":80}}"#] {
            let text = refused(|task| {
                task.container = network.clone().map(Box::new);
                let parsed: v1::HealthCheck = mesos::json::from_slice(check.as_bytes()).unwrap();
                task.health_check = Some(parsed.into());
            });
            assert!(text.contains("health checks are not supported for nested containers"), "{text}");
        }
        let text = refused(|task| {
            let json = r#"{"value":"x","environment":{"variables":[{"name":"A","type":"VALUE"}]}}"#;
            task.command = Some(mesos::json::from_slice(json.as_bytes()).unwrap());
        });
        assert!(text.starts_with("Task 't' is invalid: Task's `CommandInfo` is invalid"), "{text}");
    }

    /// Upstream: `TaskGroupValidationTest.ResourceLimits`, `ShareCgroup`.
    #[test]
    fn limits_need_cgroups_of_their_own_which_all_tasks_of_an_executor_have_or_none() {
        let own = container(r#"{"type":"MESOS","linux_info":{"share_cgroups":false}}"#);
        let mut agent = testing::agent("a", "cpus:4;mem:1024;disk:1024");
        agent.capabilities = mesos::AgentCapabilities::ALL;
        let offered = testing::allocated("cpus:4;mem:1024;disk:1024");
        let check = |tasks: Vec<v1::TaskInfo>, agent: &Agent, framework: &Framework| {
            let group = v1::TaskGroupInfo { tasks };
            validate(&group, &executor(), framework, agent, &offered).map(|_| ()).map_err(|error| error.0)
        };
        let framework = testing::framework("f");
        let mut limited = member("t", "cpus:1");
        limited.limits.insert("cpus".into(), v1::value::Scalar { value: 2.0 });
        let text = check(vec![limited.clone()], &agent, &framework).unwrap_err();
        assert!(
            text.contains("Resource limits may only be set for tasks within a task group when"),
            "{text}"
        );
        limited.container = own.clone().map(Box::new);
        assert_eq!(check(vec![limited.clone()], &agent, &framework), Ok(()));
        let text = check(vec![limited.clone(), member("u", "cpus:1")], &agent, &framework).unwrap_err();
        assert!(text.contains("must be the same for all tasks in each task group"), "{text}");
        // An earlier task of the same executor shares them.
        let mut framework = framework;
        let running =
            crate::cluster::Task::staging(&member("u", "cpus:1"), testing::allocated("cpus:1"), &"f".into());
        agent.tasks.insert_mut(("f".into(), running.id.clone()), ());
        framework.tasks.insert_mut(running.id.clone(), running.into());
        let known = crate::cluster::Executor { info: executor(), resources: testing::allocated(EXECUTOR) };
        agent.executors.insert_mut(("f".into(), "e".into()), known.into());
        let text = check(vec![limited], &agent, &framework).unwrap_err();
        assert!(text.contains("and under a single executor"), "{text}");
        let said = container(r#"{"type":"MESOS","linux_info":{"share_cgroups":true}}"#);
        let text = refused_executor(|info| info.container = said.clone());
        assert!(text.contains("cannot be set to 'true' on executor containers"), "{text}");
    }
}
