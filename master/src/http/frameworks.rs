//! `/frameworks`: a framework with its tasks, offers and executors, as `/state` shows it too.

use std::collections::BTreeSet;

use mesos::views::{self, Sums, names, optional, seconds};
use mesos::{Resources, v1};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::cluster::{Framework, Offer, Snapshot};

/// The part of a framework that `/state-summary` shows as well.
pub(super) fn summary<M: SerializeMap>(map: &mut M, framework: &Framework) -> Result<(), M::Error> {
    let info = &framework.info;
    map.serialize_entry("id", framework.id.as_str())?;
    map.serialize_entry("name", &info.name)?;
    optional(map, "pid", framework.pid.as_ref().map(ToString::to_string))?;
    map.serialize_entry("used_resources", &Sums(&framework.used))?;
    map.serialize_entry("offered_resources", &Sums(&framework.offered))?;
    let capabilities = info.capabilities.iter().filter_map(|capability| capability.r#type);
    map.serialize_entry("capabilities", &names::<v1::framework_info::capability::Type>(capabilities))?;
    map.serialize_entry("hostname", info.hostname.as_deref().unwrap_or_default())?;
    map.serialize_entry("webui_url", info.webui_url.as_deref().unwrap_or_default())?;
    map.serialize_entry("active", &framework.is_active())?;
    map.serialize_entry("connected", &framework.is_connected())?;
    map.serialize_entry("recovered", &framework.is_recovered())
}

/// A framework with everything that belongs to it.
pub(super) struct Full<'a> {
    pub(super) framework: &'a Framework,
    pub(super) snapshot: &'a Snapshot,
}

impl Serialize for Full<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let framework = self.framework;
        let info = &framework.info;
        let mut map = serializer.serialize_map(None)?;
        summary(&mut map, framework)?;
        map.serialize_entry("user", &info.user)?;
        map.serialize_entry("failover_timeout", &info.failover_timeout())?;
        map.serialize_entry("checkpoint", &info.checkpoint())?;
        map.serialize_entry("registered_time", &seconds(framework.registered))?;
        map.serialize_entry("unregistered_time", &framework.unregistered.map_or(0.0, seconds))?;
        optional(&mut map, "principal", info.principal.as_ref())?;
        let both: Resources = &framework.used + &framework.offered;
        map.serialize_entry("resources", &Sums(&both))?;
        if framework.registered != framework.reregistered {
            map.serialize_entry("reregistered_time", &seconds(framework.reregistered))?;
        }
        if framework.capabilities.multi_role {
            map.serialize_entry("roles", &info.roles)?;
        } else {
            map.serialize_entry("role", info.role())?;
        }
        self.tasks(&mut map)?;
        let offers = framework.offers.keys().filter_map(|id| self.snapshot.offers.get(id));
        map.serialize_entry("offers", &offers.map(|offer| OfferView(offer)).collect::<Vec<_>>())?;
        let executors: Vec<_> = framework
            .executors
            .iter()
            .map(|((agent, _), executor)| views::Executor {
                info: &executor.info,
                agent: Some(agent.as_str()),
            })
            .collect();
        map.serialize_entry("executors", &executors)?;
        optional(&mut map, "labels", info.labels.as_ref().map(|labels| &labels.labels))?;
        map.serialize_entry("offer_constraints", &*framework.offer_constraints)?;
        map.end()
    }
}

impl Full<'_> {
    fn tasks<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let framework = self.framework;
        // The book is hashed; a reader wants an order.
        let mut tasks: Vec<_> = framework.tasks.values().collect();
        tasks.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let tasks: Vec<_> = tasks.into_iter().map(|task| views::Task(&task.proto)).collect();
        map.serialize_entry("tasks", &tasks)?;
        for (key, history) in [
            ("unreachable_tasks", &framework.unreachable_tasks),
            ("completed_tasks", &framework.completed_tasks),
        ] {
            let tasks: Vec<_> = history.iter().map(|task| views::Task(&task.proto)).collect();
            map.serialize_entry(key, &tasks)?;
        }
        Ok(())
    }
}

/// An outstanding offer.
struct OfferView<'a>(&'a Offer);

impl Serialize for OfferView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let offer = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", offer.id.as_str())?;
        map.serialize_entry("framework_id", offer.framework.as_str())?;
        let unset = v1::resource::AllocationInfo::default();
        map.serialize_entry("allocation_info", offer.proto.allocation_info.as_ref().unwrap_or(&unset))?;
        map.serialize_entry("slave_id", offer.agent.as_str())?;
        map.serialize_entry("resources", &Sums(&offer.resources))?;
        map.end()
    }
}

/// The body of `/frameworks`: all of them, or the one that was asked for.
#[derive(Serialize)]
pub(super) struct Frameworks<'a> {
    frameworks: Vec<Full<'a>>,
    completed_frameworks: Vec<Full<'a>>,
    /// Always empty, as in upstream.
    unregistered_frameworks: [(); 0],
}

impl<'a> Frameworks<'a> {
    /// `wanted` is the query's `framework_id`.
    pub(super) fn of(snapshot: &'a Snapshot, wanted: Option<&str>) -> Self {
        let accepted = |framework: &&'a Framework| wanted.is_none_or(|id| id == framework.id.as_str());
        let full = |framework: &'a Framework| Full { framework, snapshot };
        Self {
            frameworks: snapshot.frameworks.values().map(|f| &**f).filter(accepted).map(full).collect(),
            completed_frameworks: snapshot
                .completed_frameworks
                .iter()
                .map(|f| &**f)
                .filter(accepted)
                .map(full)
                .collect(),
            unregistered_frameworks: [],
        }
    }
}

/// The frameworks that subscribe in `role`.
pub(super) fn subscribed_in<'a>(snapshot: &'a Snapshot, role: &str) -> Vec<&'a str> {
    let of_role = snapshot.frameworks.values().filter(|framework| framework.roles.contains(role));
    of_role.map(|framework| framework.id.as_str()).collect()
}

/// All roles that some framework subscribes in.
pub(super) fn roles(snapshot: &Snapshot) -> BTreeSet<String> {
    snapshot.frameworks.values().flat_map(|framework| framework.roles.iter().cloned()).collect()
}
