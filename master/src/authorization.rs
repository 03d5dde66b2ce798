//! Who may do what: the one place that every call passes.
//!
//! A call that changes something is validated, then its [`Action`]s are named, each with its object, and
//! `Master::authorize` asks the [`Authorizer`] whether their principal may do all of them. Only then is it applied. Of a
//! framework the principal is the one that it subscribed with, of an operator the one of the request. What is refused has
//! happened in no part: a task becomes TASK_ERROR with REASON_TASK_UNAUTHORIZED, an operation ends in OPERATION_ERROR, a
//! subscription in ERROR, a request is answered with 403, and an agent is not answered.
//!
//! What is read is asked for in the same way, before anything is looked up; what each read shows, `crate::reads` says.
//!
//! Today [`permits_all`] is the authorizer: there are no ACLs yet, and agents have no principals. Names and objects are
//! upstream's (`authorizer.proto`, `master/authorization.cpp`), but for reads: those have no objects. Who may see some
//! frameworks only is not shown those by leaving out the others, as upstream does; answers are shared by all readers
//! (`crate::rendering`), which must end when some may see less.

use std::fmt;

use libprocess::http::Response;
use mesos::tasks::framework_roles;
use mesos::v1::offer::{Operation, operation};
use mesos::v1::{self, FrameworkInfo, TaskInfo};
use mesos::{AgentId, Resource};

use crate::master::Master;

/// Decides. It is asked by the master and, for the paths of other actors of its node, by the HTTP workers.
pub trait Authorizer: Send + Sync + 'static {
    /// Whether somebody may do this; `None` is somebody without a name. It must not wait: the master does not either.
    fn permits(&self, principal: Option<&str>, action: &Action<'_>) -> bool;
}

impl<F: Fn(Option<&str>, &Action<'_>) -> bool + Send + Sync + 'static> Authorizer for F {
    fn permits(&self, principal: Option<&str>, action: &Action<'_>) -> bool {
        self(principal, action)
    }
}

/// Everybody may do everything.
pub fn permits_all(_: Option<&str>, _: &Action<'_>) -> bool {
    true
}

/// What somebody wants to do, and to what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action<'a> {
    /// Be an agent, or be it again.
    RegisterAgent(&'a v1::AgentInfo),
    /// Be a framework, be it again, or describe itself anew.
    RegisterFramework(&'a FrameworkInfo),
    /// End a framework that is another's.
    TeardownFramework(&'a FrameworkInfo),
    /// Launch a task, alone or in a group.
    RunTask(&'a TaskInfo, &'a FrameworkInfo),
    /// Reserve for this role.
    ReserveResources(&'a str, &'a v1::Resource),
    /// Undo the reservation of this principal; `None` if nobody is named in it.
    UnreserveResources(Option<&'a str>, &'a v1::Resource),
    /// Create a volume on what is reserved for this role.
    CreateVolume(&'a str, &'a v1::Resource),
    /// Destroy the volume of this principal; `None` if nobody is named in it.
    DestroyVolume(Option<&'a str>, &'a v1::Resource),
    /// Grow or shrink a volume on what is reserved for this role.
    ResizeVolume(&'a str, &'a v1::Resource),
    /// Set or remove the quota of this role.
    UpdateQuota(&'a str),
    /// Set the weight of this role.
    UpdateWeight(&'a str),
    /// Plan maintenance of this machine.
    UpdateMaintenanceSchedule(&'a v1::MachineId),
    /// Take this machine down.
    StartMaintenance(&'a v1::MachineId),
    /// Bring this machine up.
    StopMaintenance(&'a v1::MachineId),
    /// Drain this agent.
    DrainAgent(&'a AgentId),
    /// Offer nothing of this agent any more.
    DeactivateAgent(&'a AgentId),
    /// Offer what this agent has again.
    ReactivateAgent(&'a AgentId),
    /// Give this agent up for ever.
    MarkAgentGone(&'a AgentId),
    /// Change what this master logs.
    SetLogLevel,
    /// Read what is shown at this path. Upstream asks so for `/files/debug`, `/logging/toggle` and `/metrics/snapshot` and
    /// shows the others, `/health` among them, to everybody.
    GetEndpoint(&'a str),
    /// See the flags.
    ViewFlags,
    /// See all frameworks.
    ViewFramework,
    /// See all tasks.
    ViewTask,
    /// See all executors.
    ViewExecutor,
    /// See all roles, and what is reserved for them or allocated to them.
    ViewRole,
    /// See all quotas.
    GetQuota,
    /// See the maintenance that is planned, of all machines.
    GetMaintenanceSchedule,
    /// See which machines are draining or down, of all.
    GetMaintenanceStatus,
    /// Read the master's log.
    AccessMesosLog,
}

impl Action<'_> {
    /// Upstream's name of it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RegisterAgent(_) => "REGISTER_AGENT",
            Self::RegisterFramework(_) => "REGISTER_FRAMEWORK",
            Self::TeardownFramework(_) => "TEARDOWN_FRAMEWORK",
            Self::RunTask(..) => "RUN_TASK",
            Self::ReserveResources(..) => "RESERVE_RESOURCES",
            Self::UnreserveResources(..) => "UNRESERVE_RESOURCES",
            Self::CreateVolume(..) => "CREATE_VOLUME",
            Self::DestroyVolume(..) => "DESTROY_VOLUME",
            Self::ResizeVolume(..) => "RESIZE_VOLUME",
            Self::UpdateQuota(_) => "UPDATE_QUOTA_WITH_CONFIG",
            Self::UpdateWeight(_) => "UPDATE_WEIGHT",
            Self::UpdateMaintenanceSchedule(_) => "UPDATE_MAINTENANCE_SCHEDULE",
            Self::StartMaintenance(_) => "START_MAINTENANCE",
            Self::StopMaintenance(_) => "STOP_MAINTENANCE",
            Self::DrainAgent(_) => "DRAIN_AGENT",
            Self::DeactivateAgent(_) => "DEACTIVATE_AGENT",
            Self::ReactivateAgent(_) => "REACTIVATE_AGENT",
            Self::MarkAgentGone(_) => "MARK_AGENT_GONE",
            Self::SetLogLevel => "SET_LOG_LEVEL",
            Self::GetEndpoint(_) => "GET_ENDPOINT_WITH_PATH",
            Self::ViewFlags => "VIEW_FLAGS",
            Self::ViewFramework => "VIEW_FRAMEWORK",
            Self::ViewTask => "VIEW_TASK",
            Self::ViewExecutor => "VIEW_EXECUTOR",
            Self::ViewRole => "VIEW_ROLE",
            Self::GetQuota => "GET_QUOTA",
            Self::GetMaintenanceSchedule => "GET_MAINTENANCE_SCHEDULE",
            Self::GetMaintenanceStatus => "GET_MAINTENANCE_STATUS",
            Self::AccessMesosLog => "ACCESS_MESOS_LOG",
        }
    }
}

/// With its object: `RESERVE_RESOURCES for role 'r': cpus(...):1`.
impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |resource: &v1::Resource| {
            Resource::try_from(resource)
                .map_or_else(|_| resource.name.clone(), |resource| resource.to_string())
        };
        f.write_str(self.name())?;
        match *self {
            Self::RegisterAgent(info) => write!(f, " on '{}'", info.hostname),
            Self::RegisterFramework(info) => {
                let roles: Vec<String> = framework_roles(info).into_iter().collect();
                write!(f, " '{}' with roles '{}'", info.name, roles.join(", "))
            }
            Self::TeardownFramework(info) => {
                write!(f, " {}", info.id.as_ref().map_or("", |id| id.value.as_str()))
            }
            Self::RunTask(task, framework) => {
                write!(f, " '{}' under user '{}'", task.task_id.value, user_of(task, framework))
            }
            Self::ReserveResources(role, resource)
            | Self::CreateVolume(role, resource)
            | Self::ResizeVolume(role, resource) => write!(f, " for role '{role}': {}", text(resource)),
            Self::UnreserveResources(Some(principal), resource)
            | Self::DestroyVolume(Some(principal), resource) => {
                write!(f, " of principal '{principal}': {}", text(resource))
            }
            Self::UnreserveResources(None, resource) | Self::DestroyVolume(None, resource) => {
                write!(f, " of nobody: {}", text(resource))
            }
            Self::UpdateQuota(role) | Self::UpdateWeight(role) => write!(f, " for role '{role}'"),
            Self::UpdateMaintenanceSchedule(machine)
            | Self::StartMaintenance(machine)
            | Self::StopMaintenance(machine) => {
                write!(f, " of machine '{}' ({})", machine.hostname(), machine.ip())
            }
            Self::DrainAgent(agent)
            | Self::DeactivateAgent(agent)
            | Self::ReactivateAgent(agent)
            | Self::MarkAgentGone(agent) => write!(f, " {agent}"),
            Self::GetEndpoint(path) => write!(f, " '{path}'"),
            Self::SetLogLevel
            | Self::ViewFlags
            | Self::ViewFramework
            | Self::ViewTask
            | Self::ViewExecutor
            | Self::ViewRole
            | Self::GetQuota
            | Self::GetMaintenanceSchedule
            | Self::GetMaintenanceStatus
            | Self::AccessMesosLog => Ok(()),
        }
    }
}

/// As whom a task runs.
fn user_of<'a>(task: &'a TaskInfo, framework: &'a FrameworkInfo) -> &'a str {
    let executor = task.executor.as_ref().and_then(|executor| executor.command.as_ref());
    let commands = task.command.iter().chain(executor);
    commands.filter_map(|command| command.user.as_deref()).next().unwrap_or(&framework.user)
}

/// The actions of an operation that is valid and in today's form. Launches have others: [`Action::RunTask`] for each task.
pub(crate) fn actions(operation: &Operation) -> Vec<Action<'_>> {
    let role_of = |resource| role(resource, usize::MAX);
    let create = operation.create.iter().flat_map(|create| &create.volumes);
    let destroy = operation.destroy.iter().flat_map(|destroy| &destroy.volumes);
    let unreserve = operation.unreserve.iter().flat_map(|unreserve| &unreserve.resources);
    let grown = operation.grow_volume.iter().map(|grow| &grow.volume);
    let resized = grown.chain(operation.shrink_volume.iter().map(|shrink| &shrink.volume));
    let mut actions: Vec<Action<'_>> = operation.reserve.iter().flat_map(reserve).collect();
    actions.extend(
        unreserve.map(|resource| Action::UnreserveResources(reserved_by(resource, usize::MAX), resource)),
    );
    actions.extend(create.map(|volume| Action::CreateVolume(role_of(volume), volume)));
    actions.extend(destroy.map(|volume| Action::DestroyVolume(created_by(volume), volume)));
    actions.extend(resized.map(|volume| Action::ResizeVolume(role_of(volume), volume)));
    actions
}

/// The actions of an agent that registers, with resources that are valid and in today's form. What it has reserved by its
/// settings it reserves; what was reserved since was authorized when that was asked for.
pub(crate) fn registration(info: &v1::AgentInfo) -> Vec<Action<'_>> {
    let reserved = info.resources.iter().filter(|resource| !resource.reservations.is_empty());
    let mut actions: Vec<Action<'_>> =
        reserved.map(|resource| Action::ReserveResources(role(resource, usize::MAX), resource)).collect();
    actions.push(Action::RegisterAgent(info));
    actions
}

/// Without a source, what is on top of each resource is reserved. With one, reservations of the source that the target
/// does not have are undone, and those are made that it has not.
fn reserve(reserve: &operation::Reserve) -> Vec<Action<'_>> {
    let made = |resource, level| Action::ReserveResources(role(resource, level), resource);
    let (Some(source), Some(target)) = (reserve.source.first(), reserve.resources.first()) else {
        return reserve.resources.iter().map(|resource| made(resource, usize::MAX)).collect();
    };
    let pairs = source.reservations.iter().zip(&target.reservations);
    let shared = pairs.take_while(|(source, target)| source == target).count();
    let undone = (shared..source.reservations.len()).rev().flat_map(|level| {
        let of = move |resource| Action::UnreserveResources(reserved_by(resource, level), resource);
        reserve.source.iter().map(of)
    });
    let made = (shared..target.reservations.len())
        .flat_map(|level| reserve.resources.iter().map(move |resource| made(resource, level)));
    undone.chain(made).collect()
}

/// The reservation at this level, or the topmost if there are fewer.
fn reservation(resource: &v1::Resource, level: usize) -> Option<&v1::resource::ReservationInfo> {
    resource.reservations.get(level).or(resource.reservations.last())
}

fn role(resource: &v1::Resource, level: usize) -> &str {
    reservation(resource, level).map_or(mesos::roles::UNRESERVED, |reservation| reservation.role())
}

fn reserved_by(resource: &v1::Resource, level: usize) -> Option<&str> {
    reservation(resource, level)?.principal.as_deref()
}

fn created_by(volume: &v1::Resource) -> Option<&str> {
    volume.disk.as_ref()?.persistence.as_ref()?.principal.as_deref()
}

/// Somebody may not do something.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{who} is not authorized to perform {action}")]
pub(crate) struct NotAuthorized {
    who: String,
    action: String,
}

impl From<NotAuthorized> for Response {
    fn from(error: NotAuthorized) -> Self {
        Response::forbidden(error.to_string())
    }
}

impl Master {
    /// Whether somebody may do all of this.
    ///
    /// # Errors
    /// The first thing that they may not do.
    pub(crate) fn authorize<'a>(
        &self,
        principal: Option<&str>,
        actions: impl IntoIterator<Item = Action<'a>>,
    ) -> Result<(), NotAuthorized> {
        authorize(&*self.authorizer, principal, actions)
    }
}

/// Whether somebody may do all of this.
///
/// # Errors
/// The first thing that they may not do.
pub(crate) fn authorize<'a>(
    authorizer: &dyn Authorizer,
    principal: Option<&str>,
    actions: impl IntoIterator<Item = Action<'a>>,
) -> Result<(), NotAuthorized> {
    for action in actions {
        if !authorizer.permits(principal, &action) {
            let who = principal.map_or_else(
                || "Somebody without a principal".to_owned(),
                |principal| format!("Principal '{principal}'"),
            );
            tracing::warn!(principal, %action, "not authorized");
            return Err(NotAuthorized { who, action: action.to_string() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn asked(operation: Value) -> Vec<String> {
        let operation: Operation = mesos::json::from_slice(operation.to_string().as_bytes()).unwrap();
        let text = |action: &Action<'_>| match *action {
            Action::UnreserveResources(whose, _) | Action::DestroyVolume(whose, _) => {
                format!("{} {}", action.name(), whose.unwrap_or("-"))
            }
            Action::ReserveResources(role, _) | Action::CreateVolume(role, _) => {
                format!("{} {role}", action.name())
            }
            _ => action.name().to_owned(),
        };
        actions(&operation).iter().map(text).collect()
    }

    fn reserved(reservations: &[(&str, &str)]) -> Value {
        let of = |(role, principal): &(&str, &str)| json!({ "type": "DYNAMIC", "role": role, "principal": principal });
        json!({
            "name": "disk", "type": "SCALAR", "scalar": { "value": 1.0 },
            "reservations": reservations.iter().map(of).collect::<Vec<_>>()
        })
    }

    /// Upstream: `ActionObject::reserve`.
    #[test]
    fn a_reservation_concerns_what_is_on_top_and_with_a_source_what_differs_from_it() {
        let refined = reserved(&[("a", "p"), ("a/b", "q")]);
        let plain = json!({ "type": "RESERVE", "reserve": { "resources": [refined] } });
        assert_eq!(asked(plain), ["RESERVE_RESOURCES a/b"]);
        let from = |source: &[(&str, &str)]| {
            let parts = json!({ "source": [reserved(source)], "resources": [refined] });
            asked(json!({ "type": "RESERVE", "reserve": parts }))
        };
        assert_eq!(from(&[]), ["RESERVE_RESOURCES a", "RESERVE_RESOURCES a/b"]);
        assert_eq!(from(&[("a", "p")]), ["RESERVE_RESOURCES a/b"]);
        assert_eq!(
            from(&[("a", "p"), ("a/c", "r"), ("a/c/d", "s")]),
            ["UNRESERVE_RESOURCES s", "UNRESERVE_RESOURCES r", "RESERVE_RESOURCES a/b"]
        );
        let undo = json!({ "type": "UNRESERVE", "unreserve": { "resources": [refined] } });
        assert_eq!(asked(undo), ["UNRESERVE_RESOURCES q"]);
    }

    /// Upstream: `ActionObject::createVolume`, `destroyVolume`.
    #[test]
    fn a_volume_is_created_for_a_role_and_destroyed_for_whom_it_was_created() {
        let volume = |persistence: Value| {
            let mut volume = reserved(&[("a", "p")]);
            volume["disk"] = json!({ "persistence": persistence });
            volume
        };
        let of_somebody = volume(json!({ "id": "v", "principal": "o" }));
        let create = json!({ "type": "CREATE", "create": { "volumes": [of_somebody] } });
        assert_eq!(asked(create), ["CREATE_VOLUME a"]);
        let volumes = [of_somebody, volume(json!({ "id": "w" }))];
        let destroy = json!({ "type": "DESTROY", "destroy": { "volumes": volumes } });
        assert_eq!(asked(destroy), ["DESTROY_VOLUME o", "DESTROY_VOLUME -"]);
    }

    #[test]
    fn a_task_runs_as_its_command_says_or_its_executor_or_its_framework() {
        let framework = FrameworkInfo { user: "f".into(), ..Default::default() };
        let command =
            |user: Option<&str>| v1::CommandInfo { user: user.map(str::to_owned), ..Default::default() };
        let task = |of: Option<&str>, by: Option<&str>| TaskInfo {
            command: Some(command(of)),
            executor: Some(v1::ExecutorInfo { command: Some(command(by)), ..Default::default() }),
            ..Default::default()
        };
        for (task, user) in
            [(task(Some("t"), Some("e")), "t"), (task(None, Some("e")), "e"), (task(None, None), "f")]
        {
            assert_eq!(user_of(&task, &framework), user);
        }
    }
}
