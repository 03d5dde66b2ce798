//! Whether an agent may register or re-register with what it says of itself.

use std::collections::BTreeSet;

use mesos::internal::{RegisterSlaveMessage, ReregisterSlaveMessage};
use mesos::resources::validate_all;
use mesos::v1::{self, TaskState};
use mesos::{ResourceError, Resources};

use crate::cluster::AgentResources;

use super::{Checked, Invalid, executor, framework, id, refuse_if, refuse_if_with, size_of};

/// Agents older than this are ignored (upstream: `MINIMUM_AGENT_VERSION`).
const MINIMUM_VERSION: (u64, u64, u64) = (1, 0, 0);

/// How large an agent's information may be. It is a record of the registry, and what ZooKeeper and etcd take at a time is
/// about 1 MB: a master that could not store it would have to end. (Upstream has no limit.)
const LARGEST_INFO: usize = 256 * 1024;

impl From<ResourceError> for Invalid {
    fn from(error: ResourceError) -> Self {
        Self(error.to_string())
    }
}

/// Checks a registration. What is checkpointed is looked at by whoever needs it: see [`resources`].
pub fn validate_registration(message: &RegisterSlaveMessage) -> Checked {
    validate_info(&message.slave)
}

/// What an agent has, and what of it it has checkpointed.
///
/// # Errors
/// When the two do not fit together.
pub fn resources(info: &v1::AgentInfo, checkpointed: &[v1::Resource]) -> Result<AgentResources, Invalid> {
    let checkpointed = Resources::try_from_protos(checkpointed)?;
    let total = Resources::try_from_protos(&info.resources)?.apply_checkpointed(&checkpointed)?;
    Ok(AgentResources { checkpointed, total })
}

fn validate_info(info: &v1::AgentInfo) -> Checked {
    if let Some(agent) = &info.id {
        id(&agent.value)?;
    }
    Resources::try_from_protos(&info.resources)?;
    let size = size_of(info);
    refuse_if_with(size > LARGEST_INFO, || {
        format!("AgentInfo has {size} bytes; at most {LARGEST_INFO} are kept of an agent")
    })
}

/// Checks a re-registration: everything in it must belong together. As for what is checkpointed, see [`resources`].
pub fn validate_reregistration(message: &ReregisterSlaveMessage) -> Checked {
    validate_info(&message.slave)?;
    refuse_if(message.slave.id.is_none(), "the agent has no id")?;
    let frameworks = validate_frameworks(&message.frameworks)?;
    let executors = validate_executors(&message.executor_infos, &frameworks)?;
    let agent = message.slave.id.as_ref().map_or("", |id| &id.value);
    for task in &message.tasks {
        validate_task(task, agent, &frameworks, &executors)?;
    }
    Ok(())
}

fn validate_frameworks(infos: &[v1::FrameworkInfo]) -> Result<BTreeSet<&str>, Invalid> {
    let mut ids = BTreeSet::new();
    for info in infos {
        framework::validate(info)?;
        let id = info.id.as_ref().map_or("", |id| id.value.as_str());
        refuse_if(id.is_empty(), "Framework has no FrameworkID")?;
        refuse_if(!ids.insert(id), format!("Framework has a duplicate FrameworkID: '{id}'"))?;
    }
    Ok(ids)
}

type ExecutorKey<'a> = (&'a str, &'a str);

fn validate_executors<'a>(
    infos: &'a [v1::ExecutorInfo],
    frameworks: &BTreeSet<&str>,
) -> Result<BTreeSet<ExecutorKey<'a>>, Invalid> {
    let mut keys = BTreeSet::new();
    for info in infos {
        executor::validate(info)?;
        Resources::try_from_protos(&info.resources)?;
        let framework = info.framework_id.as_ref().map_or("", |id| id.value.as_str());
        refuse_if(
            !frameworks.contains(framework),
            format!("Executor has an invalid FrameworkID '{framework}'"),
        )?;
        let id = info.executor_id.value.as_str();
        refuse_if(
            !keys.insert((framework, id)),
            format!("Framework '{framework}' has a duplicate ExecutorID '{id}'"),
        )?;
    }
    Ok(keys)
}

fn validate_task(
    task: &v1::Task,
    agent: &str,
    frameworks: &BTreeSet<&str>,
    executors: &BTreeSet<ExecutorKey<'_>>,
) -> Checked {
    id(&task.task_id.value).map_err(|error| error.within("Task has an invalid TaskID"))?;
    refuse_if(
        task.agent_id.value != agent,
        format!("Task has an invalid SlaveID '{}'", task.agent_id.value),
    )?;
    let framework = task.framework_id.value.as_str();
    refuse_if(!frameworks.contains(framework), format!("Task has an invalid FrameworkID '{framework}'"))?;
    // A command task has no executor id. Only a running task is sure to have its executor.
    if let Some(executor) = &task.executor_id {
        refuse_if(
            task.state() == TaskState::TaskRunning
                && !executors.contains(&(framework, executor.value.as_str())),
            format!("Task has an invalid ExecutorID '{}'", executor.value),
        )?;
    }
    validate_all(&task.resources)
        .map_err(|error| Invalid(format!("Task uses invalid resources: {error}")))?;
    Ok(())
}

/// Checks an agent's version: three numbers, and what may follow them.
pub fn validate_version(version: &str) -> Checked {
    let Some(parsed) = parse_version(version) else {
        return Err(Invalid(format!("failed to parse version '{version}'")));
    };
    refuse_if(
        parsed < MINIMUM_VERSION,
        format!("agent version is {version}, minimum supported agent version is 1.0.0"),
    )
}

fn parse_version(version: &str) -> Option<(u64, u64, u64)> {
    let numbers = version.split(['-', '+']).next()?;
    let mut parts = numbers.split('.').map(|part| part.parse().ok());
    let major = parts.next()??;
    let minor = parts.next().unwrap_or(Some(0))?;
    let patch = parts.next().unwrap_or(Some(0))?;
    parts.next().is_none().then_some((major, minor, patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_1_0_0_are_refused() {
        for good in ["1.0.0", "1.11.0", "1.12.0-rc1", "2"] {
            assert_eq!(validate_version(good), Ok(()), "{good}");
        }
        for bad in ["0.28.2", "", "x", "1.x", "1.2.3.4"] {
            assert!(validate_version(bad).is_err(), "{bad}");
        }
    }

    fn reregistration(json: &str) -> Result<(), String> {
        let json = format!(
            r#"{{"slave":{{"hostname":"h","id":{{"value":"a"}}}},"frameworks":
            [{{"user":"u","name":"n","id":{{"value":"f"}}}}],{json}}}"#
        );
        let message = mesos::json::from_slice(json.as_bytes()).unwrap();
        validate_reregistration(&message).map_err(|error| error.0)
    }

    #[test]
    fn an_agent_that_no_registry_could_keep_is_refused() {
        let registration = |length: usize| {
            let rack = v1::Attribute {
                name: "rack".into(),
                r#type: v1::value::Type::Text.into(),
                text: Some(v1::value::Text { value: "x".repeat(length) }),
                ..Default::default()
            };
            let slave = v1::AgentInfo { hostname: "h".into(), attributes: vec![rack], ..Default::default() };
            validate_registration(&RegisterSlaveMessage { slave, ..Default::default() })
        };
        assert_eq!(registration(LARGEST_INFO - 100), Ok(()));
        let refused = registration(LARGEST_INFO).unwrap_err();
        assert!(refused.0.contains("at most 262144 are kept of an agent"), "{refused:?}");
    }

    #[test]
    fn what_an_agent_has_checkpointed_must_fit_what_it_has() {
        let parse = |text: &str| Resources::parse(text, "*").unwrap().to_protos();
        let slave =
            v1::AgentInfo { hostname: "h".into(), resources: parse("cpus:2;mem:10"), ..Default::default() };
        let checked = |checkpointed: &str| {
            resources(&slave, &[mesos::json::from_slice(checkpointed.as_bytes()).unwrap()])
                .map(|has| format!("{} of {}", has.checkpointed, has.total))
                .map_err(|error| error.0)
        };
        let reserved = |cpus: u32| {
            format!(
                r#"{{"name":"cpus","type":"SCALAR","scalar":{{"value":{cpus}}},
                "reservations":[{{"type":"DYNAMIC","role":"r"}}]}}"#
            )
        };
        let fits = checked(&reserved(1)).unwrap();
        assert!(fits.starts_with("cpus(reservations: [(DYNAMIC,r)]):1 of "), "{fits}");
        assert!(fits.contains("mem:10"), "{fits}");
        assert!(checked(&reserved(3)).unwrap_err().contains("Incompatible agent resources"));
        let free = r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1}}"#;
        assert!(checked(free).unwrap_err().contains("Unexpected checkpointed resources"));
    }

    /// Upstream: `RegisterSlaveValidationTest.DuplicateExecutorID`.
    #[test]
    fn what_an_agent_reports_must_belong_together() {
        let executor = r#"{"executor_id":{"value":"e"},"framework_id":{"value":"f"}}"#;
        let task = |framework: &str, agent: &str, executor: &str| {
            format!(
                r#"{{"name":"t","task_id":{{"value":"t"}},"framework_id":{{"value":"{framework}"}},
                "agent_id":{{"value":"{agent}"}},"executor_id":{{"value":"{executor}"}},
                "state":"TASK_RUNNING"}}"#
            )
        };
        let both =
            |task: String| reregistration(&format!(r#""executor_infos":[{executor}],"tasks":[{task}]"#));
        assert_eq!(both(task("f", "a", "e")), Ok(()));
        assert_eq!(both(task("f", "b", "e")).unwrap_err(), "Task has an invalid SlaveID 'b'");
        assert_eq!(both(task("g", "a", "e")).unwrap_err(), "Task has an invalid FrameworkID 'g'");
        assert_eq!(both(task("f", "a", "x")).unwrap_err(), "Task has an invalid ExecutorID 'x'");
        assert_eq!(
            both(task("f", "a", "e").replace(r#"{"value":"t"}"#, r#"{"value":"t/"}"#)).unwrap_err(),
            "Task has an invalid TaskID: 't/' contains invalid characters"
        );
        let negative = r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":-1}}]"#;
        let using =
            |task: String| task.replace(r#""name":"t","#, &format!(r#""name":"t","resources":{negative},"#));
        let text = both(using(task("f", "a", "e"))).unwrap_err();
        assert!(text.starts_with("Task uses invalid resources: Resource 'cpus"), "{text}");
        assert_eq!(
            reregistration(&format!(r#""executor_infos":[{executor},{executor}]"#)).unwrap_err(),
            "Framework 'f' has a duplicate ExecutorID 'e'"
        );
        assert_eq!(
            reregistration(&format!(r#""executor_infos":[{}]"#, executor.replace(r#""f""#, r#""g""#)))
                .unwrap_err(),
            "Executor has an invalid FrameworkID 'g'"
        );
        // Executors of two frameworks may have the same id.
        let of = |id: &str| v1::FrameworkInfo {
            user: "u".into(),
            name: "n".into(),
            id: Some(v1::FrameworkId { value: id.into() }),
            ..Default::default()
        };
        let its = |framework: &str| v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: "e".into() },
            framework_id: Some(v1::FrameworkId { value: framework.into() }),
            ..Default::default()
        };
        let message = ReregisterSlaveMessage {
            slave: v1::AgentInfo {
                hostname: "h".into(),
                id: Some(v1::AgentId { value: "a".into() }),
                ..Default::default()
            },
            frameworks: vec![of("f"), of("g")],
            executor_infos: vec![its("f"), its("g")],
            ..Default::default()
        };
        assert_eq!(validate_reregistration(&message), Ok(()));
        let twice = ReregisterSlaveMessage { frameworks: vec![of("f"), of("f")], ..message };
        let text = validate_reregistration(&twice).unwrap_err().0;
        assert_eq!(text, "Framework has a duplicate FrameworkID: 'f'");
    }
}
