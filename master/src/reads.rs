//! Who may read what: what each read shows, and that it is asked for.
//!
//! | what | is asked for |
//! |---|---|
//! | calls of `POST /api/v1` | when they are valid, by [`of_call`] |
//! | the Master's paths | before their handler sees the request: [`Routes`] declares them all |
//! | paths of the other actors of its node | before the actor sees the request, if the node has a [`guard`] |
//!
//! All are asked of the [`Authorizer`], as changes are ([`crate::authorization`]), once for each request and before
//! anything is looked up; who is refused is answered with 403. A path of which nothing is said here is asked for by its
//! name (GET_ENDPOINT_WITH_PATH), so that no new one is open to everybody.
//!
//! What is asked is whether somebody may see *all* that an answer may hold. Upstream asks so for flags, the log and a few
//! paths; otherwise it asks for each framework, task or role, and leaves out those that may not be seen.

use std::future::ready;
use std::sync::Arc;

use ::http::Method;
use libprocess::http::access::AuthorizationHook;
use libprocess::http::{Reply, Request, Response};
use libprocess::{Context, Declared, Install, NodeBuilder};
use mesos::v1::master::call::Type;

use crate::authorization::{Action, Authorizer, authorize};
use crate::calls::http::principal;
use crate::master::Master;

/// What a call of the operator API shows; nothing if it changes something: then its handler asks.
pub(crate) fn of_call(kind: Type) -> &'static [Action<'static>] {
    use Action::{
        AccessMesosLog, GetEndpoint, GetMaintenanceSchedule, GetMaintenanceStatus, GetQuota, ViewExecutor,
        ViewFlags, ViewFramework, ViewRole, ViewTask,
    };
    match kind {
        Type::GetHealth => &[GetEndpoint("/health")],
        Type::GetVersion => &[GetEndpoint("/version")],
        // Who it is that leads.
        Type::GetMaster => &[GetEndpoint("/redirect")],
        Type::GetMetrics => &[GetEndpoint("/metrics/snapshot")],
        Type::GetLoggingLevel => &[GetEndpoint("/logging/toggle")],
        Type::GetFlags => &[ViewFlags],
        Type::ListFiles | Type::ReadFile => &[AccessMesosLog],
        Type::GetState | Type::Subscribe => &[ViewFramework, ViewTask, ViewExecutor, ViewRole],
        Type::GetFrameworks => &[ViewFramework],
        Type::GetExecutors => &[ViewFramework, ViewExecutor],
        Type::GetTasks => &[ViewFramework, ViewTask],
        Type::GetAgents | Type::GetOperations | Type::GetRoles | Type::GetWeights => &[ViewRole],
        Type::GetQuota => &[GetQuota],
        Type::GetMaintenanceSchedule => &[GetMaintenanceSchedule],
        Type::GetMaintenanceStatus => &[GetMaintenanceStatus],
        Type::Unknown
        | Type::SetLoggingLevel
        | Type::UpdateWeights
        | Type::ReserveResources
        | Type::UnreserveResources
        | Type::CreateVolumes
        | Type::DestroyVolumes
        | Type::GrowVolume
        | Type::ShrinkVolume
        | Type::UpdateMaintenanceSchedule
        | Type::StartMaintenance
        | Type::StopMaintenance
        | Type::DrainAgent
        | Type::DeactivateAgent
        | Type::ReactivateAgent
        | Type::UpdateQuota
        | Type::SetQuota
        | Type::RemoveQuota
        | Type::Teardown
        | Type::MarkAgentGone => &[],
    }
}

/// What is shown at a path of the master's node.
fn of_path(path: &'static str) -> Vec<Action<'static>> {
    use Action::{
        AccessMesosLog, GetEndpoint, GetMaintenanceSchedule, GetMaintenanceStatus, GetQuota, ViewExecutor,
        ViewFlags, ViewFramework, ViewRole, ViewTask,
    };
    match path {
        "/state" => vec![ViewFlags, ViewFramework, ViewTask, ViewExecutor, ViewRole],
        "/state-summary" | "/allocator/explain" => vec![ViewFramework, ViewRole],
        "/frameworks" => vec![ViewFramework, ViewTask, ViewExecutor],
        "/tasks" => vec![ViewFramework, ViewTask],
        "/slaves" | "/roles" | "/weights" => vec![ViewRole],
        "/allocator/offer_constraints_debug" | ALLOCATORS => vec![ViewFramework],
        "/flags" => vec![ViewFlags],
        "/quota" => vec![GetQuota],
        "/maintenance/schedule" => vec![GetMaintenanceSchedule],
        "/maintenance/status" => vec![GetMaintenanceStatus],
        // The log is all that a master shows of files.
        "/files/browse" | "/files/read" | "/files/download" => vec![AccessMesosLog],
        // The same in two forms.
        "/metrics" => vec![GetEndpoint("/metrics/snapshot")],
        _ => vec![GetEndpoint(path)],
    }
}

/// Declares the Master's paths.
pub(crate) struct Routes<'a>(&'a mut Install<Master>);

impl Routes<'_> {
    /// Those of this actor.
    pub(crate) fn of(install: &mut Install<Master>) -> Routes<'_> {
        Routes(install)
    }

    /// A path that shows something with these methods; none means every method, as most of upstream's. Whoever may not
    /// see it is refused.
    pub(crate) fn read(
        &mut self,
        methods: &[Method],
        path: &'static str,
        help: &'static str,
        handler: impl Fn(&mut Master, Request, &mut Context<Master>) -> Reply + Send + Sync + 'static,
    ) -> Declared<'_> {
        let shown = of_path(path);
        self.0.route(methods, path, help, move |master, request, ctx| match ask(master, &request, &shown) {
            Ok(()) => handler(master, request, ctx),
            Err(refusal) => refusal.into(),
        })
    }

    /// A path that changes something, and shows something at most with GET. Whoever may not see it is refused then; for
    /// changes the handler asks. A request may be large: what `read` makes of it is there when its turn comes, and was not
    /// made on the Master's thread ([`Install::prepared`]).
    pub(crate) fn change<T: Send + 'static>(
        &mut self,
        path: &'static str,
        help: &'static str,
        read: impl Fn(&Request) -> T + Send + Sync + 'static,
        handler: impl Fn(&mut Master, Request, T, &mut Context<Master>) -> Reply + Send + Sync + 'static,
    ) -> Declared<'_> {
        let shown = of_path(path);
        self.0.prepared(&[], path, help, read, move |master: &mut Master, request, ready, ctx| {
            let is_read = [Method::GET, Method::HEAD].contains(&request.method);
            match ask(master, &request, if is_read { &shown } else { &[] }) {
                Ok(()) => handler(master, request, ready, ctx),
                Err(refusal) => refusal.into(),
            }
        })
    }
}

fn ask(master: &Master, request: &Request, shown: &[Action<'_>]) -> Result<(), Response> {
    if shown.is_empty() {
        return Ok(());
    }
    Ok(master.authorize(principal(request)?, shown.iter().copied())?)
}

/// The allocator's own path, to which the Master passes on `/allocator/offer_constraints_debug`.
const ALLOCATORS: &str = "/hierarchical-allocator(1)/offer_constraints_debug";
/// Shows how much is logged, and changes it.
const LOGGING: &str = "/logging/toggle";

/// The paths of the other actors on a master's node: its own ones, and those that every node has
/// (`libprocess::system`).
const OF_OTHERS: [&str; 18] = [
    "/registrar(1)/registry",
    ALLOCATORS,
    "/files/browse",
    "/files/read",
    "/files/download",
    "/files/debug",
    LOGGING,
    "/metrics/snapshot",
    "/metrics",
    "/version",
    "/system/stats.json",
    "/help",
    "/help/*",
    "/__processes__",
    "/__processes__/*",
    "/profiler/start",
    "/profiler/stop",
    "/memory-profiler/statistics",
];

/// Has this node ask for the paths of the other actors.
pub(crate) fn guard(node: NodeBuilder, authorizer: &Arc<dyn Authorizer>) -> NodeBuilder {
    OF_OTHERS.iter().fold(node, |node, path| node.authorization(*path, hook(path, Arc::clone(authorizer))))
}

fn hook(path: &'static str, authorizer: Arc<dyn Authorizer>) -> AuthorizationHook {
    let shown = of_path(path);
    Arc::new(move |request| {
        let sets_level = path == LOGGING && request.query.contains("level");
        let actions = shown.iter().copied().chain(sets_level.then_some(Action::SetLogLevel));
        let permitted = principal(request).is_ok_and(|who| authorize(&*authorizer, who, actions).is_ok());
        Box::pin(ready(Ok(permitted)))
    })
}
