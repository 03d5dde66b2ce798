//! Whether a task may be launched with what its framework was offered.

use mesos::validation::validate_command;
use mesos::{ExecutorId, ResourceQuantities, Resources, v1};

use super::{Checked, Invalid, container, executor, health, id, refuse_if, refuse_if_with, resource};
use crate::cluster::{Agent, Framework};

/// A task that may be launched, with what it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Launchable {
    /// The task's own resources.
    pub task: Resources,
    /// Its executor's resources, if the executor has to be started for it.
    pub new_executor: Option<Resources>,
}

impl Launchable {
    /// Everything that the launch takes.
    pub fn total(&self) -> Resources {
        match &self.new_executor {
            Some(executor) => &self.task + executor,
            None => self.task.clone(),
        }
    }
}

/// Checks a task of a LAUNCH operation against what is left of the offers.
///
/// # Errors
/// In upstream's words; the task then becomes TASK_ERROR.
pub fn validate(
    task: &v1::TaskInfo,
    framework: &Framework,
    agent: &Agent,
    available: &Resources,
) -> Result<Launchable, Invalid> {
    let resources = validate_alone(task, framework, agent)?;
    let launchable = validate_executor(task, resources, framework, agent)?;
    let total = launchable.total();
    refuse_if_with(!available.contains(&total), || {
        format!(
            "Total resources {total} required by task and its executor is more than available \
             {available}"
        )
    })?;
    let shares_cgroups = task.container.as_ref().and_then(|info| info.linux_info.as_ref()?.share_cgroups);
    refuse_if(
        shares_cgroups == Some(false),
        "Only tasks in a task group may have 'share_cgroups' set to 'false'",
    )?;
    Ok(launchable)
}

/// What holds for a task in a group, too; its resources (upstream: `task::internal::validateTask`).
///
/// # Errors
/// In upstream's words.
pub(super) fn validate_alone(
    task: &v1::TaskInfo,
    framework: &Framework,
    agent: &Agent,
) -> Result<Resources, Invalid> {
    validate_ids(task, framework, agent)?;
    validate_times(task)?;
    if let Some(check) = &task.check {
        health::validate_check(check).map_err(|error| error.within("Task uses invalid check"))?;
    }
    if let Some(check) = &task.health_check {
        health::validate_health_check(check)
            .map_err(|error| error.within("Task uses invalid health check"))?;
    }
    let resources = validate_resources(task)?;
    if let Some(command) = &task.command {
        validate_command(command)
            .map_err(|error| Invalid::from(error).within("Task's `CommandInfo` is invalid"))?;
    }
    if let Some(info) = &task.container {
        container::validate_container(info)
            .map_err(|error| error.within("Task's `ContainerInfo` is invalid"))?;
    }
    validate_limits(task, &resources, agent)?;
    Ok(resources)
}

fn validate_ids(task: &v1::TaskInfo, framework: &Framework, agent: &Agent) -> Checked {
    let task_id = task.task_id.value.as_str();
    id(task_id)?;
    refuse_if_with(framework.tasks.contains_key(task_id), || format!("Task has duplicate ID: {task_id}"))?;
    refuse_if_with(framework.has_unreachable_task(task_id), || {
        format!("Task reuses the ID of an unreachable task: {task_id}")
    })?;
    refuse_if_with(task.agent_id.value != agent.id.as_str(), || {
        format!("Task uses invalid agent {} while agent {} is expected", task.agent_id.value, agent.id)
    })
}

fn validate_times(task: &v1::TaskInfo) -> Checked {
    let grace = task.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref());
    refuse_if(
        grace.is_some_and(|grace| grace.nanoseconds < 0),
        "Task's 'kill_policy.grace_period' must be non-negative",
    )?;
    refuse_if(
        task.max_completion_time.as_ref().is_some_and(|time| time.nanoseconds < 0),
        "Task's `max_completion_time` must be non-negative",
    )
}

fn validate_resources(task: &v1::TaskInfo) -> Result<Resources, Invalid> {
    refuse_if(task.resources.is_empty(), "Task uses no resources")?;
    let resources =
        resource::parse(&task.resources).map_err(|error| error.within("Task uses invalid resources"))?;
    resource::validate_unique_persistence_ids(&resources)
        .map_err(|error| error.within("Task uses duplicate persistence ID"))?;
    resource::validate_single_role(&task.resources)
        .map_err(|error| error.within("Invalid task resources"))?;
    resource::validate_revocability(&resources)
        .map_err(|error| error.within("Task mixes revocable and non-revocable resources"))?;
    Ok(resources)
}

fn validate_limits(task: &v1::TaskInfo, resources: &Resources, agent: &Agent) -> Checked {
    if task.limits.is_empty() {
        return Ok(());
    }
    refuse_if(
        !agent.capabilities.task_resource_limits,
        "Agent is not capable of handling task resource limits",
    )?;
    refuse_if(
        task.limits.keys().any(|name| name != "cpus" && name != "mem"),
        "Only cpus and mem may be included in a task's resource limits",
    )?;
    if let Some(limit) = task.limits.get("cpus") {
        let Some(request) = resources.cpus() else {
            return Err("When a CPU limit is specified, a CPU request must also be specified".into());
        };
        refuse_if(
            limit.value.is_nan() || limit.value < request.to_f64(),
            "The cpu limit must be greater than or equal to the cpu request",
        )?;
    }
    // What is no number has no JSON, either. Upstream looks at whole megabytes, and lets a limit be less than what is asked
    // for by a part of one.
    if let Some(limit) = task.limits.get("mem") {
        let Some(request) = resources.mem() else {
            return Err("When a memory limit is specified, a memory request must also be specified".into());
        };
        refuse_if(
            limit.value.is_nan() || limit.value < request.to_f64(),
            "The memory limit must be greater than or equal to the memory request",
        )?;
    }
    Ok(())
}

fn validate_executor(
    task: &v1::TaskInfo,
    resources: Resources,
    framework: &Framework,
    agent: &Agent,
) -> Result<Launchable, Invalid> {
    refuse_if(
        task.executor.is_some() == task.command.is_some(),
        "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
    )?;
    let Some(info) = &task.executor else {
        return Ok(Launchable { task: resources, new_executor: None });
    };
    let executor_resources = executor::validate_launch(info, framework, agent)?;
    refuse_if(
        info.r#type.is_some() && info.r#type() != v1::executor_info::Type::Custom,
        "'ExecutorInfo.type' must be 'CUSTOM'",
    )?;
    refuse_if(info.command.is_none(), "'ExecutorInfo.command' must be set")?;
    refuse_if_with(!executor_resources.shared().is_empty(), || {
        format!("Executor resources {executor_resources} should not contain any shared resources")
    })?;
    let shares_cgroups = info.container.as_ref().and_then(|info| info.linux_info.as_ref()?.share_cgroups);
    refuse_if(
        shares_cgroups == Some(true),
        "The 'share_cgroups' field cannot be set to 'true' on executor containers",
    )?;
    validate_together(&resources, &executor_resources)?;
    let runs = agent.has_executor(&framework.id, &ExecutorId::from(&info.executor_id));
    Ok(Launchable { task: resources, new_executor: (!runs).then_some(executor_resources) })
}

/// A task and its executor must not claim the same port, or the same volume.
fn validate_together(task: &Resources, executor: &Resources) -> Checked {
    // Quantities add up unless ranges or sets overlap.
    let apart = ResourceQuantities::from_resources(task) + &ResourceQuantities::from_resources(executor);
    let together = task + executor;
    refuse_if_with(apart != ResourceQuantities::from_resources(&together), || {
        format!(
            "There are overlapping resources in the task resources {task} and executor resources {executor}"
        )
    })?;
    resource::validate_unique_persistence_ids(&together)
        .map_err(|error| error.within("Task and its executor use duplicate persistence ID"))?;
    resource::validate_revocability(&together)
        .map_err(|error| error.within("Task and its executor mix revocable and non-revocable resources"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing;
    use crate::validation::operation::testing::{allocated, shared, volume};

    fn check(task: &v1::TaskInfo, available: &str) -> Result<Launchable, String> {
        let (framework, agent) = (testing::framework("f"), testing::agent("a", "cpus:4;mem:1024"));
        validate(task, &framework, &agent, &testing::allocated(available)).map_err(|error| error.0)
    }

    #[test]
    fn a_command_task_takes_its_own_resources() {
        let task = testing::command_task("t", "a", "cpus:1;mem:32");
        let launchable = check(&task, "cpus:4;mem:1024").unwrap();
        assert_eq!(launchable.total(), testing::allocated("cpus:1;mem:32"));
    }

    #[test]
    fn a_task_too_big_for_its_offer_is_refused_with_both_amounts() {
        let task = testing::command_task("t", "a", "cpus:5");
        let text = check(&task, "cpus:4").unwrap_err();
        assert!(text.starts_with("Total resources "), "{text}");
        assert!(text.contains(" is more than available "), "{text}");
    }

    fn sharing_cgroups(share: bool) -> Option<v1::ContainerInfo> {
        let json = format!(r#"{{"type":"MESOS","linux_info":{{"share_cgroups":{share}}}}}"#);
        Some(mesos::json::from_slice(json.as_bytes()).unwrap())
    }

    /// Gives the command a variable without a value.
    fn variable_without_value(command: &mut v1::CommandInfo) {
        let variable = v1::environment::Variable { name: "KEY".into(), ..Default::default() };
        command.environment = Some(v1::Environment { variables: vec![variable] });
    }

    /// Upstream: `TaskValidationTest.ExecutorUsesInvalidFrameworkID`, `ExecutorEnvironmentInvalid`,
    /// `TaskUsesCommandInfoAndExecutorInfo`, `TaskUsesExecutorInfoWithoutCommandInfo`,
    /// `TaskUsesDefaultExecutor`, `TaskUsesNoResources`, `KillPolicyGracePeriodIsNonNegative`,
    /// `TaskEnvironmentInvalid`, `NestedCgroupInLaunchOperation`, `SharedCgroupOnExecutor`.
    #[test]
    fn a_task_is_refused_with_what_is_wrong_with_it() {
        let task = |change: fn(&mut v1::TaskInfo)| {
            let mut task = testing::command_task("t", "a", "cpus:1");
            change(&mut task);
            check(&task, "cpus:4").unwrap_err()
        };
        assert_eq!(task(|task| task.resources.clear()), "Task uses no resources");
        assert_eq!(task(|task| task.task_id.value.clear()), "ID must not be empty");
        assert_eq!(
            task(|task| task.agent_id.value = "b".into()),
            "Task uses invalid agent b while agent a is expected"
        );
        assert_eq!(
            task(|task| task.command = None),
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"
        );
        assert_eq!(
            task(|task| {
                task.kill_policy =
                    Some(v1::KillPolicy { grace_period: Some(v1::DurationInfo { nanoseconds: -1 }) });
            }),
            "Task's 'kill_policy.grace_period' must be non-negative"
        );
        assert_eq!(
            task(|task| task.max_completion_time = Some(v1::DurationInfo { nanoseconds: -1 })),
            "Task's `max_completion_time` must be non-negative"
        );
        let both = "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present";
        assert_eq!(
            task(|task| task.executor = testing::executor_task("t", "a", "e", "cpus:1", "cpus:1").executor),
            both
        );
        let with_executor = |change: fn(&mut v1::ExecutorInfo)| {
            let mut task = testing::executor_task("t", "a", "e", "cpus:1", "cpus:1");
            change(task.executor.as_mut().unwrap());
            check(&task, "cpus:4").unwrap_err()
        };
        assert_eq!(with_executor(|executor| executor.command = None), "'ExecutorInfo.command' must be set");
        assert_eq!(
            with_executor(|executor| {
                executor.command = None;
                executor.r#type = Some(v1::executor_info::Type::Default.into());
            }),
            "'ExecutorInfo.type' must be 'CUSTOM'"
        );
        assert_eq!(
            with_executor(|executor| executor.framework_id = Some(v1::FrameworkId { value: "g".into() })),
            "ExecutorInfo has an invalid FrameworkID (Actual: g vs Expected: f)"
        );
        assert_eq!(
            with_executor(|executor| executor.container = sharing_cgroups(true)),
            "The 'share_cgroups' field cannot be set to 'true' on executor containers"
        );
        assert_eq!(
            with_executor(|executor| variable_without_value(executor.command.as_mut().unwrap())),
            "Executor's `CommandInfo` is invalid: Environment variable 'KEY' of type 'VALUE' must have a value set"
        );
        assert_eq!(
            task(|task| variable_without_value(task.command.as_mut().unwrap())),
            "Task's `CommandInfo` is invalid: Environment variable 'KEY' of type 'VALUE' must have a value set"
        );
        assert_eq!(
            task(|task| task.container = sharing_cgroups(false).map(Box::new)),
            "Only tasks in a task group may have 'share_cgroups' set to 'false'"
        );
        assert_eq!(
            task(|task| {
                task.limits.insert("cpus".into(), v1::value::Scalar { value: 2.0 });
            }),
            "Agent is not capable of handling task resource limits"
        );
    }

    /// An agent that knows limits.
    fn limiting_agent() -> Agent {
        let mut agent = testing::agent("a", "cpus:4;mem:1024");
        agent.capabilities.task_resource_limits = true;
        agent
    }

    /// Upstream: `TaskValidationTest.ResourceLimitLessThanRequest`, `LimitOtherThanCpuOrMem`.
    #[test]
    fn a_limit_is_at_least_what_is_asked_for_of_cpus_or_memory() {
        let check = |name: &str, value: f64, resources: &str| {
            let mut task = testing::command_task("t", "a", resources);
            task.limits.insert(name.into(), v1::value::Scalar { value });
            let framework = testing::framework("f");
            let offered = testing::allocated("cpus:4;mem:1024");
            validate(&task, &framework, &limiting_agent(), &offered).map(|_| ()).map_err(|error| error.0)
        };
        assert_eq!(check("cpus", 1.0, "cpus:1"), Ok(()));
        assert_eq!(check("mem", f64::INFINITY, "mem:32"), Ok(()));
        for (name, value, resources, text) in [
            ("cpus", 0.5, "cpus:1", "The cpu limit must be greater than or equal to the cpu request"),
            ("cpus", f64::NAN, "cpus:1", "The cpu limit must be greater than or equal to the cpu request"),
            ("mem", 16.0, "mem:32", "The memory limit must be greater than or equal to the memory request"),
            (
                "mem",
                f64::NAN,
                "mem:32",
                "The memory limit must be greater than or equal to the memory request",
            ),
            ("cpus", 1.0, "mem:32", "When a CPU limit is specified, a CPU request must also be specified"),
            (
                "mem",
                32.0,
                "cpus:1",
                "When a memory limit is specified, a memory request must also be specified",
            ),
            ("disk", 128.0, "cpus:1", "Only cpus and mem may be included in a task's resource limits"),
        ] {
            assert_eq!(check(name, value, resources), Err(text.to_owned()));
        }
    }

    fn revocable(resources: &[v1::Resource]) -> Vec<v1::Resource> {
        let revocable = |resource: &v1::Resource| v1::Resource {
            revocable: Some(v1::resource::RevocableInfo::default()),
            ..resource.clone()
        };
        resources.iter().map(revocable).collect()
    }

    /// Upstream: `TaskValidationTest.TaskUsesRevocableResources`, `TaskAndExecutorUseRevocableResources`.
    #[test]
    fn revocable_resources_are_used_alone_by_a_task_and_by_its_executor() {
        let mixed = |resources: Vec<v1::Resource>| {
            validate_resources(&v1::TaskInfo { resources, ..Default::default() }).map_err(|error| error.0)
        };
        let cpus = testing::allocated("cpus:2").to_protos();
        assert!(mixed(cpus.clone()).is_ok());
        assert!(mixed(revocable(&cpus)).is_ok());
        let text = "Task mixes revocable and non-revocable resources: Cannot use both revocable and \
                    non-revocable 'cpus' at the same time";
        assert_eq!(mixed([cpus.clone(), revocable(&cpus)].concat()).unwrap_err(), text);

        let together = |task: &[v1::Resource], executor: &[v1::Resource]| {
            let parsed = |resources: &[v1::Resource]| Resources::try_from_protos(resources).unwrap();
            validate_together(&parsed(task), &parsed(executor)).map_err(|error| error.0)
        };
        assert_eq!(together(&cpus, &cpus), Ok(()));
        assert_eq!(together(&revocable(&cpus), &revocable(&cpus)), Ok(()));
        for (task, executor) in [(&revocable(&cpus), &cpus), (&cpus, &revocable(&cpus))] {
            let text = together(task, executor).unwrap_err();
            assert!(text.starts_with("Task and its executor mix revocable"), "{text}");
        }
    }

    #[test]
    fn a_volume_is_used_once_unless_it_is_shared() {
        let uses = |volume: &v1::Resource, task: usize, executor: usize| {
            let mut info = testing::executor_task("t", "a", "e", "cpus:1", "cpus:1");
            let executor = vec![allocated(volume.clone(), "*"); executor];
            info.resources.extend(vec![allocated(volume.clone(), "*"); task]);
            info.executor.as_mut().unwrap().resources.extend(executor);
            let offered = [testing::allocated("cpus:4").to_protos(), info.resources.clone()].concat();
            let offered = Resources::try_from_protos(&offered).unwrap();
            let (framework, agent) = (testing::framework("f"), testing::agent("a", "cpus:4"));
            validate(&info, &framework, &agent, &offered).map(|_| ()).map_err(|error| error.0)
        };
        let volume = volume("r", "v", 8.0);
        for ((task, executor), text) in [
            ((2, 0), "Task uses duplicate persistence ID: Persistence ID 'v' is not unique"),
            ((0, 2), "Executor uses duplicate persistence ID: Persistence ID 'v' is not unique"),
            ((1, 1), "Task and its executor use duplicate persistence ID: Persistence ID 'v' is not unique"),
        ] {
            assert_eq!(uses(&volume, task, executor), Err(text.to_owned()));
        }
        let share = shared(volume);
        assert_eq!(uses(&share, 2, 0), Ok(()));
        let text = uses(&share, 0, 1).unwrap_err();
        assert!(text.ends_with("should not contain any shared resources"), "{text}");
    }

    /// Upstream: `TaskValidationTest.TaskInfoAllocatedResources`.
    #[test]
    fn a_task_uses_what_is_allocated_to_one_role() {
        let of = |resources: Vec<v1::Resource>| {
            validate_resources(&v1::TaskInfo { resources, ..Default::default() }).map_err(|error| error.0)
        };
        let parsed = |text: &str| Resources::parse(text, "*").unwrap();
        assert!(of(parsed("cpus:1;mem:1").allocated_to("r").to_protos()).is_ok());
        assert_eq!(
            of(parsed("cpus:1;mem:1").to_protos()).unwrap_err(),
            "Invalid task resources: The resources are not allocated to a role"
        );
        let two = [parsed("cpus:1").allocated_to("r"), parsed("mem:1").allocated_to("s")];
        let text = of(two.iter().flat_map(Resources::to_protos).collect()).unwrap_err();
        assert!(text.contains("multiple allocation roles"), "{text}");
    }

    /// Upstream: `TaskValidationTest.TaskReusesUnreachableTaskID`.
    #[test]
    fn ids_of_live_and_of_unreachable_tasks_cannot_be_used_again() {
        let agent = testing::agent("a", "cpus:4");
        let mut framework = testing::framework("f");
        let live = testing::task("t", "cpus:1");
        framework.tasks.insert_mut(live.id.clone(), live.clone().into());
        let task = testing::command_task("t", "a", "cpus:1");
        let offered = testing::allocated("cpus:4");
        let text = |framework: &Framework| validate(&task, framework, &agent, &offered).unwrap_err().0;
        assert_eq!(text(&framework), "Task has duplicate ID: t");
        framework.tasks.remove_mut(&live.id);
        framework.unreachable_tasks.push(live.into());
        assert_eq!(text(&framework), "Task reuses the ID of an unreachable task: t");
    }

    /// Upstream: `TaskValidationTest.ExecutorInfoDiffersOnSameSlave`, `ExecutorInfoDiffersOnDifferentSlaves`.
    #[test]
    fn a_second_task_of_a_running_executor_takes_only_its_own_resources() {
        let framework = testing::framework("f");
        let mut agent = testing::agent("a", "cpus:4");
        let task = testing::executor_task("t", "a", "e", "cpus:1", "cpus:0.5");
        let offered = testing::allocated("cpus:4");
        let first = validate(&task, &framework, &agent, &offered).unwrap();
        assert_eq!(first.total(), testing::allocated("cpus:1.5"));
        let executor = crate::cluster::Executor {
            info: task.executor.clone().unwrap(),
            resources: first.new_executor.unwrap(),
        };
        agent.executors.insert_mut(("f".into(), "e".into()), executor.into());
        let second = validate(&task, &framework, &agent, &offered).unwrap();
        assert_eq!(second.total(), testing::allocated("cpus:1"));
        let mut other = testing::executor_task("t", "a", "e", "cpus:1", "cpus:0.7");
        let text = validate(&other, &framework, &agent, &offered).unwrap_err().0;
        assert!(text.starts_with("ExecutorInfo is not compatible"), "{text}");
        // On another agent an executor of the same id may be another one.
        other.agent_id.value = "b".into();
        let elsewhere = testing::agent("b", "cpus:4");
        let launchable = validate(&other, &framework, &elsewhere, &offered).unwrap();
        assert_eq!(launchable.total(), testing::allocated("cpus:1.7"));
    }

    /// Upstream: `ResourceValidationTest.OverlappingSetsAndRanges`.
    #[test]
    fn a_task_and_its_executor_cannot_share_a_port() {
        let refused = |task: &str, executor: &str| {
            let task = testing::executor_task("t", "a", "e", task, executor);
            check(&task, "ports:[1-9];zones:{a,b,c,d};cpus:4").err()
        };
        for (task, executor) in [
            ("ports:[1-2]", "ports:[1-2]"),
            ("ports:[1-2]", "ports:[2-3]"),
            ("ports:[1-2];cpus:1", "ports:[2-3];cpus:1"),
            ("zones:{a,b}", "zones:{a,b}"),
            ("zones:{a,b}", "zones:{b,c}"),
        ] {
            let text = refused(task, executor).unwrap();
            assert!(text.starts_with("There are overlapping resources"), "{text}");
        }
        assert_eq!(refused("ports:[1-2]", "ports:[3-4]"), None);
        assert_eq!(refused("zones:{a,b}", "zones:{c,d}"), None);
    }
}
