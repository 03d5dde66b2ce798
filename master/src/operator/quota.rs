//! Quotas: what roles are guaranteed, and what they may have at most (upstream: `master/quota_handler.cpp`).
//!
//! UPDATE_QUOTA sets guarantees and limits of several roles at once, all or none. The older SET_QUOTA and
//! `POST /quota` set one role's guarantee, which is its limit, too; REMOVE_QUOTA and `DELETE /quota/<role>`
//! take it away. What would guarantee more than there is, or limit a role to less than it has, is refused
//! unless the call says `force`.
//!
//! A quota that is stored goes to the allocator, and then outstanding offers are taken back, so that it shows
//! soon: first told, then rescinded, or what comes back would be offered by the old quota. This is best
//! effort; tasks are never touched.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ::http::{Method, StatusCode};
use allocator::Quota;
use libprocess::Context;
use libprocess::breath::{self, RENDERED};
use libprocess::http::{Reply, Request, Response};
use mesos::roles::is_strict_subrole_of;
use mesos::v1::master::call::UpdateQuota;
use mesos::v1::quota::{QuotaConfig, QuotaInfo, QuotaRequest, QuotaStatus};
use mesos::v1::{self, master::response};
use mesos::{MediaType, ResourceQuantities, codec, json, resources};

use super::body::Body;
use super::{is_whitelisted, store};
use crate::authorization::Action;
use crate::calls::http::principal;
use crate::cluster::{Books, Offer};
use crate::master::Master;
use crate::offers;
use crate::registrar::Operation;
use crate::validation::quota as validation;

/// `/quota`.
pub(super) fn endpoint(
    master: &mut Master,
    request: Request,
    set_quota: Result<QuotaRequest, Response>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    match request.method {
        Method::GET => {
            let quotas = master.cluster.quotas().clone();
            let things = size(&quotas);
            let make = move || Response::jsonp(&request.query, json::to_vec(&status(&quotas)));
            Ok(Reply::render_many(ctx.node(), things, make))
        }
        Method::POST => set(master, set_quota?, principal(&request)?, ctx),
        Method::DELETE => remove_at(master, &request.path, principal(&request)?, ctx),
        ref other => {
            Err(Response::method_not_allowed_for(&[Method::GET, Method::POST, Method::DELETE], other))
        }
    }
}

/// GET_QUOTA.
pub(super) fn get(master: &Master, media: MediaType, ctx: &Context<Master>) -> Reply {
    let quotas = master.cluster.quotas().clone();
    Reply::render_many(ctx.node(), size(&quotas), move || {
        let response = v1::master::Response {
            r#type: Some(response::Type::GetQuota.into()),
            get_quota: Some(response::GetQuota { status: status(&quotas) }),
            ..Default::default()
        };
        Response::ok(media.as_str(), codec::encode(media, &response))
    })
}

/// How many amounts, roles and forms are shown, about.
fn size(quotas: &BTreeMap<String, Quota>) -> usize {
    4 * quotas.len()
}

/// All quotas, in the older form and in the new one.
fn status(quotas: &BTreeMap<String, Quota>) -> QuotaStatus {
    let info = |(role, quota): (&String, &Quota)| QuotaInfo {
        role: Some(role.clone()),
        guarantee: quota.guarantees.iter().map(|(name, amount)| scalar(name, amount)).collect(),
        ..Default::default()
    };
    let config = |(role, quota): (&String, &Quota)| QuotaConfig {
        role: role.clone(),
        guarantees: quota.guarantees.to_protos(),
        limits: quota.limits.to_protos(),
    };
    let all = || quotas.iter().inspect(|_| breath::spend(RENDERED));
    QuotaStatus { infos: all().map(info).collect(), configs: all().map(config).collect() }
}

fn scalar(name: &str, amount: mesos::Scalar) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(amount.into()),
        ..Default::default()
    }
}

fn bad(text: impl Into<String>) -> Response {
    Response::bad_request(text)
}

/// UPDATE_QUOTA.
pub(super) fn update(
    master: &mut Master,
    call: UpdateQuota,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    let invalid = |text: String| bad(format!("Invalid QuotaConfig: {text}"));
    let (forced, mut configs) = (call.force(), call.quota_configs);
    // Of too many no more than these are looked at: whether the sender may set quotas comes before how many.
    let named = configs.len();
    configs.truncate(MAX_CONFIGS);
    few_names(master, &configs).map_err(&invalid)?;
    for config in &configs {
        let role = &config.role;
        if !is_whitelisted(master, role) {
            return Err(invalid(format!("'{role}' is not on the roles whitelist")));
        }
        if role.contains('/') {
            return Err(bad(format!("Updating quota on nested role '{role}' is not supported yet")));
        }
        validation::config(config).map_err(|error| invalid(error.0))?;
    }
    let books = Books::of(master.cluster.agents());
    if !forced {
        for config in &configs {
            limits_hold(&books, config).map_err(&invalid)?;
        }
        let guarantees = guarantees_with(master, &configs);
        if !books.capacity().contains(&guarantees) {
            return Err(invalid(format!(
                "total quota guarantees '{guarantees}' exceed cluster capacity '{}' (use 'force' flag to bypass \
                 this check)",
                books.capacity()
            )));
        }
    }
    master.authorize(principal, configs.iter().map(|config| Action::UpdateQuota(&config.role)))?;
    if named > MAX_CONFIGS {
        let text = format!("{named} quotas are set in one call; at most {MAX_CONFIGS} are allowed");
        return Err(invalid(text));
    }
    for config in &configs {
        let quota = Some(Quota::from(config)).filter(|quota| is_kept(master, &config.role, quota));
        master.quotas_under_way.begin(&config.role, quota);
    }
    let operation = Operation::UpdateQuota { configs: configs.clone() };
    Ok(store(master, operation, ctx, move |master, ctx| {
        for config in &configs {
            master.quotas_under_way.end(&config.role);
            tell(master, &config.role, config.into());
        }
        let books = Books::of(master.cluster.agents());
        let mut taken = BTreeMap::new();
        for config in &configs {
            rescind_for(master, config, &books, &mut taken, ctx);
        }
    }))
}

/// Quotas that are set or removed, and not stored yet. Nobody is shown them before: another leader might not find them. (In
/// upstream the books are ahead of the registry.)
#[derive(Default)]
pub(crate) struct UnderWay {
    /// The quota that each role will have, if any, after one change and the next: they are stored in this order.
    changes: BTreeMap<String, VecDeque<Option<Quota>>>,
}

impl UnderWay {
    fn begin(&mut self, role: &str, quota: Option<Quota>) {
        self.changes.entry(role.to_owned()).or_default().push_back(quota);
    }

    /// The first change of a role is stored. (If one cannot be, this master ends.)
    fn end(&mut self, role: &str) {
        let Some(changes) = self.changes.get_mut(role) else { return };
        changes.pop_front();
        if changes.is_empty() {
            self.changes.remove(role);
        }
    }

    /// What each role will have when all of it is stored.
    fn outcome(&self) -> impl Iterator<Item = (&String, &Option<Quota>)> {
        self.changes.iter().filter_map(|(role, changes)| Some((role, changes.back()?)))
    }
}

/// Whether a role has a quota, or will have one when what is under way is stored: a second request to set it, or to remove
/// it, is refused meanwhile.
fn has_quota(master: &Master, role: &str) -> bool {
    let mut under_way = master.quotas_under_way.outcome();
    let will_have = under_way.find(|(changed, _)| *changed == role).map(|(_, quota)| quota.is_some());
    will_have.unwrap_or_else(|| is_stored(master, role))
}

fn is_stored(master: &Master, role: &str) -> bool {
    master.cluster.quotas().contains_key(role)
}

/// The most roles of one call.
const MAX_CONFIGS: usize = 1_000;
/// The most names of resources in all quotas together: each amount in the allocator's books is as long as there are
/// names.
const MAX_NAMES: usize = 64;

/// Keeps what is known of quotas within a bound that no operator comes near.
fn few_names(master: &Master, configs: &[QuotaConfig]) -> Result<(), String> {
    let of = |quota: &Quota| -> Vec<String> {
        let guarantees = quota.guarantees.iter().map(|(name, _)| name.to_owned());
        guarantees.chain(quota.limits.iter().map(|(name, _)| name.to_owned())).collect()
    };
    let mut names: BTreeSet<String> = master.cluster.quotas().values().flat_map(of).collect();
    for config in configs {
        names.extend(config.guarantees.keys().chain(config.limits.keys()).cloned());
    }
    if names.len() > MAX_NAMES {
        return Err(format!(
            "quotas name {} different resources; at most {MAX_NAMES} are allowed",
            names.len()
        ));
    }
    Ok(())
}

/// Whether a role has no more than it shall have at most from now on.
fn limits_hold(books: &Books, config: &QuotaConfig) -> Result<(), String> {
    let (role, limits, consumed) = (&config.role, Quota::from(config).limits, books.consumed(&config.role));
    if limits.contains_quantities(&consumed) {
        return Ok(());
    }
    Err(format!(
        "Role '{role}' is already consuming '{consumed}'; this is more than the requested limits '{limits}' (use \
         'force' flag to bypass this check)"
    ))
}

/// All that is guaranteed once these configurations hold, and what is under way before them: two requests at once may
/// not guarantee together what neither of them could alone. Quotas stand on top-level roles only, so nothing is counted
/// twice.
fn guarantees_with(master: &Master, configs: &[QuotaConfig]) -> ResourceQuantities {
    let mut quotas = (**master.cluster.quotas()).clone();
    for (role, quota) in master.quotas_under_way.outcome() {
        match quota {
            Some(quota) => quotas.insert(role.clone(), quota.clone()),
            None => quotas.remove(role),
        };
    }
    quotas.extend(configs.iter().map(|config| (config.role.clone(), config.into())));
    quotas.into_values().map(|quota| quota.guarantees).sum()
}

/// Upstream keeps quotas that were reset, and shows them; of roles that never had one there is nothing to keep.
fn is_kept(master: &Master, role: &str, quota: &Quota) -> bool {
    *quota != Quota::default() || is_stored(master, role)
}

/// A quota is stored: from now on it holds.
fn tell(master: &mut Master, role: &str, quota: Quota) {
    tracing::info!(role, guarantees = %quota.guarantees, limits = %quota.limits, "the quota of a role is set");
    if is_kept(master, role, &quota) {
        master.cluster.set_quota(role.to_owned(), quota.clone());
    }
    master.allocation.update_quota(role.to_owned(), quota);
}

/// Takes back offers of the role and of those below it until it is within its limits, and then offers of others
/// until it can have what it is guaranteed. What is free is not counted on: it may be on its way to others. The books are
/// of the time before all quotas of a call: on a large cluster they take long to make, and a call may set a thousand. `taken`
/// is what was taken back since, by top-level role, of which quotas are.
fn rescind_for(
    master: &mut Master,
    config: &QuotaConfig,
    books: &Books,
    taken: &mut BTreeMap<String, ResourceQuantities>,
    ctx: &mut Context<Master>,
) {
    let quota = Quota::from(config);
    if quota == Quota::default() {
        return;
    }
    // What is reserved and offered is in both; more may be taken back than needed.
    let mut held = books.consumed(&config.role) + books.offered(&config.role);
    if let Some(taken) = taken.get(&config.role) {
        held -= taken;
    }
    let own = |offer: &Offer| offer.role == config.role || is_strict_subrole_of(&offer.role, &config.role);
    if !quota.limits.contains_quantities(&held) {
        for offer in outstanding(master, own) {
            held -= take_back(master, &offer, taken, ctx);
            if quota.limits.contains_quantities(&held) {
                break;
            }
        }
    }
    if !held.contains(&quota.guarantees) {
        for offer in outstanding(master, |offer| !own(offer)) {
            held += take_back(master, &offer, taken, ctx);
            if held.contains(&quota.guarantees) {
                break;
            }
        }
    }
}

/// Takes an offer back, and notes that its role has it no more. What that is.
fn take_back(
    master: &mut Master,
    offer: &Offer,
    taken: &mut BTreeMap<String, ResourceQuantities>,
    ctx: &mut Context<Master>,
) -> ResourceQuantities {
    let amount = ResourceQuantities::from_resources(&offer.resources);
    let top = offer.role.split_once('/').map_or(offer.role.as_str(), |(top, _)| top);
    *taken.entry(top.to_owned()).or_default() += &amount;
    offers::rescind(master, &offer.id, ctx);
    amount
}

/// The outstanding offers that `wanted` picks, agent by agent.
fn outstanding(master: &Master, wanted: impl Fn(&Offer) -> bool) -> Vec<Arc<Offer>> {
    let ids = master.cluster.agents().values().flat_map(|agent| agent.offers.keys());
    ids.filter_map(|id| master.cluster.offer(id.as_str())).filter(|offer| wanted(offer)).cloned().collect()
}

/// The body of `POST /quota`. The Master is not asked.
pub(super) fn read(request: &Request) -> Result<QuotaRequest, Response> {
    let body = Body::new("set quota", &request.body);
    let value = body.object()?;
    json::from_value(&value).map_err(|error| body.refused("Failed to validate set quota request JSON", error))
}

/// SET_QUOTA and `POST /quota`.
pub(super) fn set(
    master: &mut Master,
    request: QuotaRequest,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    let invalid = |text: String| bad(format!("Failed to validate set quota request: {text}"));
    let forced = request.force();
    let role = request.role().to_owned();
    let mut guarantee = request.guarantee;
    resources::validate_all(&guarantee)
        .map_err(|error| invalid(format!("QuotaInfo with invalid resource: {error}")))?;
    resources::upgrade_all(&mut guarantee);
    validation::guarantee(&role, &guarantee).map_err(|error| invalid(error.0))?;
    if !is_whitelisted(master, &role) {
        return Err(invalid(format!("Unknown role '{role}'")));
    }
    if has_quota(master, &role) {
        return Err(invalid(format!("Cannot set quota for role '{role}' which already has quota")));
    }
    if role.contains('/') {
        return Err(bad(format!("Setting quota on nested role '{role}' is not supported yet")));
    }
    // The guarantee is the limit as well, as it was before there were limits.
    let amounts = guarantee.iter().filter_map(|resource| Some((resource.name.clone(), resource.scalar?)));
    let amounts: BTreeMap<_, _> = amounts.collect();
    let config = QuotaConfig { role: role.clone(), guarantees: amounts.clone(), limits: amounts };
    few_names(master, std::slice::from_ref(&config)).map_err(&invalid)?;
    validation::config(&config).map_err(|error| invalid(error.0))?;
    if !forced {
        fits(master, &config)?;
    }
    master.authorize(principal, [Action::UpdateQuota(&role)])?;
    master.quotas_under_way.begin(&role, Some((&config).into()));
    let operation = Operation::UpdateQuota { configs: vec![config.clone()] };
    Ok(store(master, operation, ctx, move |master, ctx| {
        master.quotas_under_way.end(&role);
        tell(master, &role, (&config).into());
        rescind_agents_for(master, &config, ctx);
    }))
}

fn fits(master: &Master, config: &QuotaConfig) -> Result<(), Response> {
    let books = Books::of(master.cluster.agents());
    let guarantees = guarantees_with(master, std::slice::from_ref(config));
    if books.capacity().contains(&guarantees) {
        return Ok(());
    }
    Err(Response::text(
        StatusCode::CONFLICT,
        format!(
            "Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total quota guarantees \
             '{guarantees}' exceed cluster capacity '{}'",
            books.capacity()
        ),
    ))
}

/// Takes back all offers of one agent after the other, until what came back is what is guaranteed, and of as
/// many agents as there are connected frameworks in the role.
fn rescind_agents_for(master: &mut Master, config: &QuotaConfig, ctx: &mut Context<Master>) {
    let wanted = Quota::from(config).guarantees;
    let in_role = |framework: &crate::cluster::Framework| framework.roles.contains(&config.role);
    let frameworks = master.cluster.frameworks().values();
    let members = frameworks.filter(|framework| framework.is_active() && in_role(framework)).count();
    let mut rescinded = ResourceQuantities::default();
    let agents: Vec<_> = master.cluster.agents().values().cloned().collect();
    let offered = agents.iter().filter(|agent| agent.connected && agent.active && !agent.offers.is_empty());
    for (visited, agent) in offered.enumerate() {
        if rescinded.contains(&wanted) && visited >= members {
            return;
        }
        // What is reserved for others, or may be taken away, fills no guarantee.
        rescinded += ResourceQuantities::from_scalar_resources(&agent.offered.unreserved().non_revocable());
        offers::rescind_of_agent(master, &agent.id, ctx);
    }
}

/// `DELETE /quota/<role>`. The role may hold slashes.
fn remove_at(
    master: &mut Master,
    path: &str,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    // Upstream's texts show the path with the actor's name, whether it was asked for or not.
    let path = if path.starts_with("/master/") { path.to_owned() } else { format!("/master{path}") };
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.len() < 3 {
        return Err(bad(format!(
            "Failed to parse remove quota request for path '{path}': expected 3 tokens, found {} tokens",
            segments.len()
        )));
    }
    let role = segments[2..].join("/");
    if !is_whitelisted(master, &role) {
        return Err(bad(format!(
            "Failed to validate remove quota request for path '{path}': Unknown role '{role}'"
        )));
    }
    if !has_quota(master, &role) {
        return Err(bad(format!("Failed to remove quota for path '{path}': Role '{role}' has no quota set")));
    }
    remove(master, role, principal, ctx)
}

/// REMOVE_QUOTA. Upstream dies of a role that has none; here that is a bad request.
pub(super) fn remove(
    master: &mut Master,
    role: String,
    principal: Option<&str>,
    ctx: &mut Context<Master>,
) -> Result<Reply, Response> {
    if !has_quota(master, &role) {
        return Err(bad(format!("Failed to remove quota: Role '{role}' has no quota set")));
    }
    master.authorize(principal, [Action::UpdateQuota(&role)])?;
    master.quotas_under_way.begin(&role, None);
    let config = QuotaConfig { role: role.clone(), ..Default::default() };
    let operation = Operation::UpdateQuota { configs: vec![config] };
    Ok(store(master, operation, ctx, move |master, _| {
        master.quotas_under_way.end(&role);
        tracing::info!(role, "the quota of a role is removed");
        master.cluster.remove_quota(&role);
        master.allocation.update_quota(role, Quota::default());
    }))
}
