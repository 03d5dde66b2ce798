//! Whether an executor may be launched as it is described.

use mesos::v1::{self, ExecutorInfo, executor_info::Type};
use mesos::validation::validate_command;
use mesos::{ExecutorId, Resources};

use super::same_executor::is_same_but_resources;
use super::{Checked, Invalid, container, id, refuse_if, resource};
use crate::cluster::{Agent, Executor, Framework};

/// The rules that hold wherever an executor is named, also by a re-registering agent.
pub fn validate(executor: &ExecutorInfo) -> Checked {
    validate_type(executor)?;
    id(&executor.executor_id.value)?;
    let grace = executor.shutdown_grace_period.as_ref();
    refuse_if(
        grace.is_some_and(|grace| grace.nanoseconds < 0),
        "ExecutorInfo's 'shutdown_grace_period' must be non-negative",
    )?;
    if let Some(command) = &executor.command {
        validate_command(command)
            .map_err(|error| Invalid::from(error).within("Executor's `CommandInfo` is invalid"))?;
    }
    if let Some(info) = &executor.container {
        container::validate_container(info)
            .map_err(|error| error.within("Executor's `ContainerInfo` is invalid"))?;
    }
    Ok(())
}

fn validate_type(executor: &ExecutorInfo) -> Checked {
    match executor.r#type() {
        Type::Default => {
            refuse_if(
                executor.command.is_some(),
                "'ExecutorInfo.command' must not be set for 'DEFAULT' executor",
            )?;
            let Some(container) = &executor.container else { return Ok(()) };
            refuse_if(
                container.r#type() != v1::container_info::Type::Mesos,
                "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor",
            )?;
            refuse_if(
                container.mesos.as_ref().is_some_and(|mesos| mesos.image.is_some()),
                "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor",
            )
        }
        Type::Custom => {
            refuse_if(executor.command.is_none(), "'ExecutorInfo.command' must be set for 'CUSTOM' executor")
        }
        // No type, or one that is newer than this master.
        Type::Unknown => Ok(()),
    }
}

/// The rules for a launch; the resources, ready for arithmetic.
///
/// # Errors
/// In upstream's words.
pub fn validate_launch(
    executor: &ExecutorInfo,
    framework: &Framework,
    agent: &Agent,
) -> Result<Resources, Invalid> {
    validate(executor)?;
    let owner = executor.framework_id.as_ref().map(|id| id.value.as_str());
    match owner {
        None => return Err("'ExecutorInfo.framework_id' must be set".into()),
        Some(owner) if owner != framework.id.as_str() => {
            return Err(Invalid(format!(
                "ExecutorInfo has an invalid FrameworkID (Actual: {owner} vs Expected: {})",
                framework.id
            )));
        }
        Some(_) => {}
    }
    let resources = resource::parse(&executor.resources)
        .map_err(|error| error.within("Executor uses invalid resources"))?;
    resource::validate_unique_persistence_ids(&resources)
        .map_err(|error| error.within("Executor uses duplicate persistence ID"))?;
    resource::validate_single_role(&executor.resources)
        .map_err(|error| error.within("Invalid executor resources"))?;
    resource::validate_revocability(&resources)
        .map_err(|error| error.within("Executor mixes revocable and non-revocable resources"))?;
    let key = (framework.id.clone(), ExecutorId::from(&executor.executor_id));
    match agent.executors.get(&key) {
        Some(existing) if !is_same(existing, executor, &resources) => {
            Err(incompatible(&existing.info, executor))
        }
        _ => Ok(resources),
    }
}

/// Whether a running executor is the one described.
fn is_same(existing: &Executor, info: &ExecutorInfo, resources: &Resources) -> bool {
    existing.info == *info
        || (existing.resources == *resources && is_same_but_resources(&existing.info, info))
}

fn incompatible(existing: &ExecutorInfo, new: &ExecutorInfo) -> Invalid {
    let line = "-".repeat(60);
    Invalid(format!(
        "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n{line}\n\
         Existing ExecutorInfo:\n{}\n{line}\nExecutorInfo:\n{}\n{line}\n",
        mesos::json::to_string(existing),
        mesos::json::to_string(new)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executor(json: &str) -> ExecutorInfo {
        let json = format!(r#"{{"executor_id":{{"value":"e"}},{json}}}"#);
        mesos::json::from_slice(json.as_bytes()).unwrap()
    }

    /// Upstream: `ExecutorValidationTest.ExecutorType`.
    #[test]
    fn a_default_executor_has_no_command_and_a_custom_one_has() {
        assert!(validate(&executor(r#""type":"DEFAULT""#)).is_ok());
        assert_eq!(
            validate(&executor(r#""type":"DEFAULT","command":{"value":"x"}"#)).unwrap_err().0,
            "'ExecutorInfo.command' must not be set for 'DEFAULT' executor"
        );
        assert!(validate(&executor(r#""type":"CUSTOM","command":{"value":"x"}"#)).is_ok());
        assert_eq!(
            validate(&executor(r#""type":"CUSTOM""#)).unwrap_err().0,
            "'ExecutorInfo.command' must be set for 'CUSTOM' executor"
        );
        assert_eq!(
            validate(&executor(r#""type":"DEFAULT","container":{"type":"DOCKER"}"#)).unwrap_err().0,
            "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor"
        );
        let image = r#"{"type":"MESOS","mesos":{"image":{"type":"APPC","appc":{"name":"x"}}}}"#;
        assert_eq!(
            validate(&executor(&format!(r#""type":"DEFAULT","container":{image}"#))).unwrap_err().0,
            "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor"
        );
    }

    /// Upstream: `ExecutorValidationTest.ExecutorID`.
    #[test]
    fn an_executors_id_could_be_the_name_of_a_directory() {
        let with_id = |id: &str| {
            let executor_id = v1::ExecutorId { value: id.into() };
            validate(&ExecutorInfo { executor_id, ..Default::default() })
        };
        for good in ["abc", "ab c", "a.b"] {
            assert_eq!(with_id(good), Ok(()), "{good}");
        }
        for bad in ["", "ab/c", ".", ".."] {
            assert!(with_id(bad).is_err(), "{bad}");
        }
    }

    /// Upstream: `ExecutorValidationTest.ExecutorInfoAllocatedResources`.
    #[test]
    fn an_executors_resources_are_none_or_allocated_to_one_role() {
        use crate::cluster::testing;

        let launched = |resources: Vec<v1::Resource>| {
            let info = ExecutorInfo {
                executor_id: v1::ExecutorId { value: "e".into() },
                framework_id: Some(v1::FrameworkId { value: "f".into() }),
                resources,
                ..Default::default()
            };
            validate_launch(&info, &testing::framework("f"), &testing::agent("a", "cpus:4"))
                .map_err(|error| error.0)
        };
        let parsed = |text: &str| Resources::parse(text, "*").unwrap();
        assert!(launched(Vec::new()).is_ok());
        assert!(launched(parsed("cpus:1;mem:128").allocated_to("r").to_protos()).is_ok());
        assert_eq!(
            launched(parsed("cpus:1;mem:128").to_protos()).unwrap_err(),
            "Invalid executor resources: The resources are not allocated to a role"
        );
        let two = [parsed("cpus:1").allocated_to("r"), parsed("mem:1").allocated_to("s")];
        let text = launched(two.iter().flat_map(Resources::to_protos).collect()).unwrap_err();
        assert!(text.contains("multiple allocation roles"), "{text}");
    }

    /// Upstream: `TaskValidationTest.ExecutorShutdownGracePeriodIsNonNegative`.
    #[test]
    fn a_negative_grace_period_is_refused() {
        let bad = executor(r#""shutdown_grace_period":{"nanoseconds":-1}"#);
        assert!(validate(&bad).unwrap_err().0.contains("non-negative"));
    }
}
