//! `/frameworks`: a framework with its tasks, offers and executors, as `/state` shows it too.

use std::sync::Arc;

use libprocess::http::Query;
use mesos::views::{Sums, names, optional, seconds};
use mesos::{MediaType, Resources, v1};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::V0;
use crate::cluster::{Framework, Offer, Snapshot};
use crate::rendering::document::Document;
use crate::rendering::parts::{Parts, Tasks};
use crate::rendering::{Pieces, Renderings};

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

/// A framework without its tasks, executors and offers, which are rendered apart.
pub(super) struct Description<'a>(pub(super) &'a Framework);

impl Serialize for Description<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let framework = self.0;
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
        optional(&mut map, "labels", info.labels.as_ref().map(v1::Labels::list))?;
        map.serialize_entry("offer_constraints", &*framework.offer_constraints)?;
        map.end()
    }
}

/// An outstanding offer.
pub(super) struct OfferView<'a>(pub(super) &'a Offer);

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

/// A framework with everything that belongs to it.
pub(super) fn whole(parts: &mut Parts<V0>, framework: &Arc<Framework>, snapshot: &Snapshot) -> Pieces {
    let mut body = Document::beginning_with(MediaType::Json, &parts.framework(framework));
    body.list(("offers", 0), [parts.offers(framework, snapshot)]);
    body.list(("tasks", 0), [parts.tasks(framework, Tasks::Live)]);
    body.list(("unreachable_tasks", 0), [parts.tasks(framework, Tasks::Unreachable)]);
    body.list(("completed_tasks", 0), [parts.tasks(framework, Tasks::Completed)]);
    body.list(("executors", 0), [parts.executors(framework)]);
    body.complete()
}

/// `/frameworks`: all frameworks, or the one whose id is the query's `framework_id`, which waits for no rendering of all.
pub(super) fn render(renderings: &Renderings, snapshot: &Snapshot, query: &Query) -> Pieces {
    let wanted = query.get("framework_id");
    let (mut shared, mut apart);
    let parts: &mut Parts<V0> = if wanted.is_none() {
        shared = renderings.v0.lock();
        &mut shared
    } else if let Some(free) = renderings.v0.try_lock() {
        shared = free;
        &mut shared
    } else {
        apart = Parts::new(V0::Plain);
        &mut apart
    };
    parts.forget_others(snapshot);
    let accepted = |framework: &&Arc<Framework>| wanted.is_none_or(|id| id == framework.id.as_str());
    let mut body = Document::new(MediaType::Json);
    let registered = snapshot.frameworks.values().filter(accepted);
    body.list(("frameworks", 0), registered.map(|framework| whole(parts, framework, snapshot)));
    let completed = snapshot.completed_frameworks.iter().filter(accepted);
    body.list(("completed_frameworks", 0), completed.map(|framework| whole(parts, framework, snapshot)));
    // Always empty, as in upstream.
    body.list(("unregistered_frameworks", 0), []);
    body.complete()
}
