//! Who leads, and what this master does about it (upstream: `contended`, `detected`, `recover`).
//!
//! A master that is elected reads the registry and serves from then on. One that was elected and is
//! so no longer ends: it must not go on with a state that another master has taken over. One that
//! follows sends HTTP clients to the leader.
//!
//! In a group a master is elected by one node only: that of its present candidacy, whose end it
//! hears of before another may lead. A standby that has lost its session stands again, and the node
//! of the lost one stays until the service has noticed. Should that node be the first now, nobody
//! leads until it is gone. (Upstream compares who leads, not by which node: `Master::detected`.)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use allocator::Quota;
use election::{CandidacyEnded, CandidacyObtained, LeaderChanged};
use libprocess::http::{Request, Response};
use libprocess::{Address, Context, promise};
use mesos::internal::Registry;
use mesos::sabotage::{Bug, is_on};
use mesos::text::in_url;
use mesos::{AgentId, v1};

use crate::cluster::MasterView;
use crate::master::{EndReason, Master, Timeout};
use crate::pulse::{self, Pulse, StoodStill, Watch};
use crate::registrar::{Activation, Maintenance, Operation, Recover, RegistrarError};

/// What a master knows of the election.
#[derive(Default)]
pub(crate) struct Leadership {
    /// As the detector says.
    detected: LeaderChanged,
    /// This master's own node in the group of masters, and its session's time, while it is a candidate.
    candidacy: Option<CandidacyObtained>,
    /// Who leads, as this master sees it.
    leader: Option<v1::MasterInfo>,
    elected: Option<SystemTime>,
    /// The registry is read.
    recovered: bool,
    /// Whether this process has stood still since it was elected, if others could lead since.
    watch: Option<Watch>,
    /// Notes that it runs, for the watch.
    pulse: Option<Address<Pulse>>,
}

impl Leadership {
    /// Whether this master leads.
    pub(crate) fn is_elected(&self) -> bool {
        self.elected.is_some()
    }

    /// Whether this master leads and knows the registry.
    pub(crate) fn is_serving(&self) -> bool {
        self.recovered && !self.is_in_doubt()
    }

    /// Whether another master may lead by now, because this one has stood still.
    fn is_in_doubt(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::has_stood_still) && !is_on(Bug::LeadsOn)
    }

    /// This master ends.
    pub(crate) fn stop(&mut self) {
        if let Some(pulse) = self.pulse.take() {
            pulse.kill();
        }
    }
}

/// The detector says who leads.
pub(crate) fn leader_changed(master: &mut Master, message: LeaderChanged, ctx: &mut Context<Master>) {
    master.leadership.detected = message;
    follow_or_lead(master, ctx);
}

/// This master is a candidate. The detector may have been faster.
pub(crate) fn candidacy_obtained(
    master: &mut Master,
    candidacy: CandidacyObtained,
    ctx: &mut Context<Master>,
) {
    let leads = master.leadership.detected.node.as_ref() == Some(&candidacy.node);
    master.leadership.candidacy = Some(candidacy);
    if leads {
        follow_or_lead(master, ctx);
    }
}

fn follow_or_lead(master: &mut Master, ctx: &mut Context<Master>) {
    let was_elected = master.leadership.is_elected();
    let LeaderChanged { leader, node } = &master.leadership.detected;
    let is_us = leader.as_ref().is_some_and(|leader| leader.id == master.info.id);
    // Without a group there is no node, and nobody else who could lead.
    let own = master.leadership.candidacy.as_ref().map(|candidacy| &candidacy.node);
    let is_elected = is_us && (node.is_none() || node.as_ref() == own);
    if is_us && !is_elected {
        tracing::info!(?node, "a node of this master is the first, but not that of a known candidacy");
    }
    master.leadership.leader = leader.clone().filter(|_| is_elected || !is_us);
    match (was_elected, is_elected) {
        (false, true) => {
            tracing::info!(master_id = %master.info.id, "elected as the leading master");
            master.leadership.elected = Some(ctx.now());
            master.metrics.set_elected();
            if let (Some(_), Some(candidacy)) =
                (&master.leadership.detected.node, &master.leadership.candidacy)
            {
                let timeout = candidacy.session_timeout;
                let (watch, pulse) = pulse::watch(ctx.node(), timeout, ctx.address().recipient());
                master.leadership.watch = Some(watch);
                master.leadership.pulse = Some(pulse);
            }
            recover(master, ctx);
        }
        (true, false) if !is_on(Bug::LeadsOn) => {
            let reason = match &master.leadership.leader {
                Some(leader) => format!("master {} leads", leader.pid()),
                None => "nobody leads".to_owned(),
            };
            master.end(EndReason::LostLeadership(reason), ctx);
        }
        (true, _) => tracing::info!("elected again as the leading master"),
        (false, false) => match &master.leadership.leader {
            Some(leader) => tracing::info!(leader = leader.pid(), "another master leads"),
            None => tracing::info!("no master leads"),
        },
    }
}

/// The candidacy ended. A leader ends with it: another may lead already. A standby whose candidacy was lost
/// (its session has expired, say) stands again; one that could not stand at all ends.
pub(crate) fn candidacy_ended(master: &mut Master, message: CandidacyEnded, ctx: &mut Context<Master>) {
    match message.failure {
        _ if is_on(Bug::LeadsOn) => {}
        None if !master.leadership.is_elected() => {
            master.leadership.candidacy = None;
            tracing::info!("lost the candidacy as a standby; standing for election again");
            master.contend(ctx);
        }
        Some(failure) if !master.leadership.is_elected() => {
            master.end(EndReason::CannotStand(failure), ctx);
        }
        failure => {
            let reason = failure.unwrap_or_else(|| "the candidacy was lost".to_owned());
            master.end(EndReason::LostLeadership(reason), ctx);
        }
    }
}

/// This process was stopped: another master leads by now, or will soon.
pub(crate) fn stood_still(master: &mut Master, _: StoodStill, ctx: &mut Context<Master>) {
    if master.leadership.is_in_doubt() {
        let reason = "this process has stood still for longer than its session lives".to_owned();
        master.end(EndReason::LostLeadership(reason), ctx);
    }
}

fn recover(master: &mut Master, ctx: &mut Context<Master>) {
    tracing::info!("recovering from the registry");
    let (reply, answer) = promise::<Result<Registry, RegistrarError>>();
    let node = master.leadership.detected.node.clone();
    master.registrar().recover.tell(Recover { info: master.info.clone(), node, reply });
    ctx.defer(answer, |master, answer, ctx| match answer {
        Ok(Ok(registry)) => recovered(master, registry, ctx),
        Ok(Err(error)) => master.end(EndReason::Registry(error.to_string()), ctx),
        Err(error) => master.end(EndReason::Registry(error.to_string()), ctx),
    });
}

/// The registry is read: agents that it knows are awaited, and this master serves.
fn recovered(master: &mut Master, registry: Registry, ctx: &mut Context<Master>) {
    let known = registry.slaves.map_or_else(Vec::new, |agents| agents.slaves);
    let count = known.len();
    for agent in known {
        if let Some(id) = agent.info.id.as_ref().map(AgentId::from) {
            recover_activation(master, &id, agent.drain_info, agent.deactivated());
            master.cluster.add_recovered_agent(id, agent.info);
        }
    }
    for agent in registry.unreachable.map_or_else(Vec::new, |agents| agents.slaves) {
        let id = AgentId::from(&agent.id);
        recover_activation(master, &id, agent.drain_info, agent.deactivated());
        master.cluster.add_unreachable_agent(id, agent.timestamp);
    }
    for agent in registry.gone.map_or_else(Vec::new, |agents| agents.slaves) {
        master.cluster.add_gone_agent(AgentId::from(&agent.id), agent.timestamp);
    }
    let machines = registry.machines.map_or_else(Vec::new, |machines| machines.machines);
    let machines = machines.into_iter().map(|machine| ((&machine.info.id).into(), machine.info));
    let schedule = registry.schedules.into_iter().next().filter(|_| !is_on(Bug::ForgetsSchedule));
    master.cluster.set_maintenance(Maintenance { schedule, machines: machines.collect() });
    let timeout = master.settings.agent_reregister_timeout;
    ctx.after(timeout, Timeout::Recovery { known: count });
    ctx.every(master.settings.registry_gc_interval, Timeout::PruneRegistry);
    let mut quotas: BTreeMap<String, Quota> =
        registry.quota_configs.iter().map(|config| (config.role.clone(), config.into())).collect();
    if is_on(Bug::ForgetsQuotas) {
        quotas.clear();
    }
    master.cluster.set_quotas(quotas.clone());
    master.allocation.recover(count, quotas);
    recover_weights(master, registry.weights.into_iter().map(|weight| weight.info).collect(), ctx);
    master.leadership.recovered = true;
    tracing::info!(agents = count, ?timeout, "recovered from the registry; agents may re-register");
}

/// What operators decided of an agent holds for this master, too.
fn recover_activation(master: &mut Master, id: &AgentId, drain: Option<v1::DrainInfo>, deactivated: bool) {
    let activation = Activation { drain, deactivated };
    if activation != Activation::default() && !is_on(Bug::ForgetsActivations) {
        master.cluster.set_activation(id, activation);
    }
}

/// Weights in the registry take precedence over `--weights`; without any, those are stored.
fn recover_weights(master: &mut Master, stored: Vec<v1::WeightInfo>, ctx: &mut Context<Master>) {
    let by_flag = &master.settings.weights.0;
    let weights = if stored.is_empty() {
        let infos = by_flag.iter();
        infos.map(|(role, weight)| v1::WeightInfo { role: Some(role.clone()), weight: *weight }).collect()
    } else {
        if !by_flag.is_empty() {
            tracing::warn!("ignoring --weights: the registry has weights");
        }
        stored.clone()
    };
    let known: BTreeMap<String, f64> =
        weights.iter().map(|info| (info.role().to_owned(), info.weight)).collect();
    master.cluster.set_weights(known);
    master.allocation.update_weights(weights.clone());
    if stored.is_empty() && !weights.is_empty() {
        master.apply(Operation::UpdateWeights { weights }, ctx, |_, _, _| {});
    }
}

/// How readers see this master.
pub(crate) fn view(master: &Master) -> MasterView {
    MasterView {
        info: master.info.clone(),
        leader: master.leadership.leader.clone(),
        started: master.started,
        elected: master.leadership.elected,
        cluster: master.settings.cluster.clone(),
        role_whitelist: master.settings.roles.clone().map(|roles| Arc::new(roles.0)),
        flags: master.flags.clone(),
        log_dir: master.settings.log_dir.clone(),
    }
}

/// What a master answers that does not lead, or has not read the registry yet; `None` if it serves.
pub(crate) fn refusal(master: &Master, request: &Request) -> Option<Response> {
    if !master.leadership.is_elected() {
        return (!is_on(Bug::StandbysAnswer)).then(|| redirect(master, request));
    }
    if master.leadership.is_in_doubt() {
        return Some(Response::service_unavailable("This master has stood still: another may lead"));
    }
    let serves = master.leadership.is_serving();
    (!serves).then(|| Response::service_unavailable("Master has not finished recovery"))
}

/// The answer of a master that does not lead: 307 to the leader, or 503 without one.
pub(crate) fn redirect(master: &Master, request: &Request) -> Response {
    let Some(leader) = &master.leadership.leader else {
        return Response::service_unavailable("No leader elected");
    };
    let base = format!("//{}:{}", host_of(leader), leader.port);
    let own = |suffix: &str| [format!("/redirect{suffix}"), format!("/master/redirect{suffix}")];
    if own("").contains(&request.path) {
        return Response::temporary_redirect(base);
    }
    if own("/").iter().any(|prefix| request.path.starts_with(prefix)) {
        return Response::not_found();
    }
    Response::temporary_redirect(format!("{base}{}{}", request.path, query_of(request)))
}

/// What stands for the leader in a URL.
fn host_of(leader: &v1::MasterInfo) -> String {
    match leader.hostname.as_deref().filter(|hostname| !hostname.is_empty()) {
        // With --no-hostname_lookup it is an address.
        Some(hostname) => in_url(hostname).into_owned(),
        // `ip` holds the address in network order, read as a little-endian number (MESOS-1201).
        None => std::net::Ipv4Addr::from(leader.ip.to_le_bytes()).to_string(),
    }
}

fn query_of(request: &Request) -> String {
    let pairs: Vec<String> =
        request.query.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// Percent-encodes what may not stand in a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
