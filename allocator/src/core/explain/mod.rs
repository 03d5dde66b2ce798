//! "Why does my framework get no offers?" The core's answer, agent by agent and summed up.
//!
//! Nothing is kept for it: it is worked out from the books when somebody asks, in time linear in the
//! agents. What is said of an agent is what the allocation pass would say of it now, since the same
//! predicates are asked in the same order (`examine.rs`); what can be said is in `answer.rs`. Upstream has
//! nothing like it.
//!
//! What is free but for a reason stays free, so that the reasons of most agents hold until something
//! happens. Two do not last: "it is in line" and "it would be offered" are about the next run, which is
//! at most an interval away.

mod answer;
mod examine;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesos::FrameworkId;

use super::Core;
use super::amounts::Amounts;
use super::constraints::Violation;
use super::ids::{AgentIdx, FrameworkIdx, MemberIdx, RoleIdx};
use super::lack::Lack;
use super::pass::Pass;
use crate::options::SorterKind;
use examine::{Examiner, Kind, Kinds, Turn, Verdict};

pub use answer::{
    AbsentAgents, AgentExplanation, AgentView, ExplainError, Explanation, Figures, Group, Holder, Limit,
    Line, Maintenance, MinimumOf, Missing, Obstacle, Question, Reason, Rival, RoleExplanation, Violated,
};

/// How many roles of a framework are explained at once.
const MAX_ROLES: usize = 20;
/// How many are listed of those who hold something, are asked before, or lack something.
const MAX_LISTED: usize = 5;
/// How often others may be asked whether they want an agent too, in one explanation: some ten
/// milliseconds' worth. When it is used up, an agent counts as one that others may want.
const MAX_RIVALS_ASKED: usize = 100_000;

impl Core {
    /// Why a framework gets offers or does not. Changes nothing (`&mut` because the order of fair sharing
    /// is sorted if it is not).
    ///
    /// # Errors
    /// [`ExplainError::UnknownFramework`].
    pub fn explain(&mut self, question: &Question, now: Duration) -> Result<Explanation, ExplainError> {
        let found = self.frameworks.find(&question.framework);
        let framework = found.ok_or_else(|| ExplainError::UnknownFramework(question.framework.clone()))?;
        let (wanted, more_roles) = match &question.role {
            Some(role) => (vec![role.clone()], 0),
            None => self.roles_to_explain(framework),
        };
        let line = self.line();
        let pass = Pass::new(self, now);
        let mut writer =
            Writer { pass: &pass, line: &line, framework, now, questions_left: MAX_RIVALS_ASKED };
        let roles = wanted.iter().map(|role| writer.role(role, question)).collect();
        Ok(Explanation {
            framework_id: question.framework.clone(),
            roles,
            more_roles,
            names: BTreeMap::new(),
            absent_agents: AbsentAgents::default(),
        })
    }

    /// The roles that are explained where none is named, and how many more there are.
    ///
    /// # Errors
    /// [`ExplainError::UnknownFramework`].
    pub fn explained_roles(&self, id: &FrameworkId) -> Result<(Vec<String>, usize), ExplainError> {
        let found = self.frameworks.find(id);
        let framework = found.ok_or_else(|| ExplainError::UnknownFramework(id.clone()))?;
        Ok(self.roles_to_explain(framework))
    }

    /// The roles that a framework subscribes to, by path; all that it holds something in, if it subscribes to none.
    fn roles_to_explain(&self, framework: FrameworkIdx) -> (Vec<String>, usize) {
        let members = &self.frameworks[framework].members;
        let any = members.values().any(|member| self.members[*member].subscribed);
        let wanted = members.iter().filter(|(_, member)| !any || self.members[**member].subscribed);
        let mut roles: Vec<String> = wanted.map(|(role, _)| self.roles[*role].path.to_string()).collect();
        roles.sort();
        let more = roles.len().saturating_sub(MAX_ROLES);
        roles.truncate(MAX_ROLES);
        (roles, more)
    }

    /// All members that take part, in the order of fair sharing.
    fn line(&mut self) -> Vec<MemberIdx> {
        let mut line = Vec::new();
        for role in self.role_sorter.sorted(&self.basis) {
            let members = &mut self.roles[RoleIdx(role)].members;
            line.extend(members.sorted(&self.basis).into_iter().map(MemberIdx));
        }
        line
    }
}

/// What is known of the agents with one kind of verdict.
struct Tally {
    agents: usize,
    example: AgentIdx,
    verdict: Verdict,
    turn: Option<Turn>,
    free: Amounts,
    details: Details,
}

/// What of the reasons of several agents is summed up.
#[derive(Default)]
struct Details {
    held: Amounts,
    offered: Amounts,
    /// By member: on how many agents, what, and what of it is only offered.
    holders: BTreeMap<MemberIdx, (usize, Amounts, Amounts)>,
    reserved: BTreeMap<String, Amounts>,
    regions: BTreeSet<String>,
    /// The end of the last filter.
    last: Duration,
}

impl Details {
    fn add(&mut self, core: &Core, agent: AgentIdx, verdict: &Verdict) {
        match verdict {
            Verdict::NothingFree => self.add_holders(core, agent),
            Verdict::ReservedForOthers => {
                for (role, amounts) in core.agents[agent].free().reservations(&core.names) {
                    *self.reserved.entry(role).or_default() += &amounts;
                }
            }
            Verdict::Lacks(Lack::Region) => {
                self.regions.extend(core.agents[agent].region().map(str::to_owned));
            }
            Verdict::Filtered(until) => self.last = self.last.max(*until),
            _ => {}
        }
    }

    fn add_holders(&mut self, core: &Core, agent: AgentIdx) {
        for (member, held, offered) in held_of(core, agent) {
            self.held += &held;
            self.offered += &offered;
            let sums = self.holders.entry(member).or_default();
            sums.0 += 1;
            sums.1 += &held;
            sums.2 += &offered;
        }
    }
}

/// Who holds what of an agent, and what of it is certainly only offered: the books count what tasks use
/// by role, so that of several members of a role each may be the one that uses it.
fn held_of(core: &Core, agent: AgentIdx) -> impl Iterator<Item = (MemberIdx, Amounts, Amounts)> {
    let entry = &core.agents[agent];
    entry.given().iter().map(move |given| {
        let role = core.members[given.member].role;
        let used = entry.allocated().iter().find(|(of, _)| *of == role).map(|(_, used)| used);
        let loose = given.bundle.loose();
        let offered = used.map_or_else(|| loose.clone(), |used| loose.minus(used));
        (given.member, given.bundle.amounts(), offered)
    })
}

/// Writes the explanation of one framework.
struct Writer<'a, 'core> {
    pass: &'a Pass<'core>,
    line: &'a [MemberIdx],
    framework: FrameworkIdx,
    now: Duration,
    questions_left: usize,
}

impl Writer<'_, '_> {
    fn core(&self) -> &Core {
        self.pass.core
    }

    fn role(&mut self, path: &str, question: &Question) -> RoleExplanation {
        let core = self.core();
        let member = core.find_member(self.framework, path);
        let obstacles = self.obstacles(member);
        let subscribed = member.filter(|member| core.members[*member].subscribed);
        let mut answer = RoleExplanation {
            role: path.to_owned(),
            holds: self.holds(path, member),
            line: self.place_in_line(path, member),
            agents_in_all: core.agents.len(),
            reasons: Vec::new(),
            agents: Vec::new(),
            obstacles,
        };
        if let Some(member) = subscribed {
            self.agents(member, question, &mut answer);
        }
        answer
    }

    fn obstacles(&self, member: Option<MemberIdx>) -> Vec<Obstacle> {
        let core = self.core();
        let framework = &core.frameworks[self.framework];
        let mut obstacles = Vec::new();
        if !framework.added {
            return vec![Obstacle::NotReturned];
        }
        if !framework.active {
            obstacles.push(Obstacle::Disconnected);
        }
        match member.map(|member| &core.members[member]).filter(|member| member.subscribed) {
            None => {
                let members = framework.members.values().map(|member| &core.members[*member]);
                let subscribed = members.filter(|member| member.subscribed);
                let paths = subscribed.map(|member| core.roles[member.role].path.to_string());
                obstacles.push(Obstacle::NotSubscribed { subscribed: paths.take(MAX_ROLES).collect() });
            }
            Some(member) if member.suppressed => obstacles.push(Obstacle::Suppressed),
            Some(_) => {}
        }
        if let Some(hold) = core.hold.as_ref().filter(|_| core.is_held(self.now)) {
            obstacles.push(Obstacle::Held {
                seconds_left: self.seconds_until(hold.until),
                agents_awaited: hold.agents.saturating_sub(core.agents.len()),
            });
        }
        if core.is_paused() {
            obstacles.push(Obstacle::Paused);
        }
        if core.agents.len() == 0 {
            obstacles.push(Obstacle::NoAgents);
        }
        obstacles
    }

    /// What a member holds on all agents.
    fn holds(&self, path: &str, member: Option<MemberIdx>) -> Holder {
        let core = self.core();
        let mut holder = Holder {
            framework_id: core.frameworks[self.framework].id.clone(),
            role: path.to_owned(),
            agents: 0,
            held: Figures::new(),
            offered: Figures::new(),
        };
        let Some(member) = member.filter(|member| core.members[*member].holdings > 0) else { return holder };
        let (mut held, mut offered) = (Amounts::ZERO, Amounts::ZERO);
        for (agent, _) in core.agents.iter() {
            for (_, of_agent, open) in held_of(core, agent).filter(|(holder, _, _)| *holder == member) {
                holder.agents += 1;
                held += &of_agent;
                offered += &open;
            }
        }
        holder.held = self.figures(&held);
        holder.offered = self.figures(&offered);
        holder
    }

    fn place_in_line(&self, path: &str, member: Option<MemberIdx>) -> Line {
        let core = self.core();
        let by_lot = self.by_lot();
        let place = self.line.iter().position(|other| Some(*other) == member).filter(|_| !by_lot);
        let ahead = &self.line[..place.unwrap_or(0).min(MAX_LISTED)];
        let role = core.roles.find(path);
        let share = member
            .and_then(|member| core.roles[core.members[member].role].members.share(member.0, &core.basis));
        Line {
            position: place.map(|place| place + 1),
            by_lot,
            length: self.line.len(),
            share: share.unwrap_or(0.0),
            role_share: role.map_or(0.0, |role| self.role_share(role)),
            role_weight: role.map_or(super::sorter::DEFAULT_WEIGHT, |role| core.roles[role].weight()),
            ahead: ahead.iter().map(|member| self.rival(*member)).collect(),
        }
    }

    /// Whether roles, or the frameworks of a role, are asked in random order.
    fn by_lot(&self) -> bool {
        let options = &self.core().options;
        options.role_sorter == SorterKind::Random || options.framework_sorter == SorterKind::Random
    }

    fn role_share(&self, role: RoleIdx) -> f64 {
        self.core().role_sorter.share(role.0, &self.core().basis).unwrap_or(0.0)
    }

    fn rival(&self, member: MemberIdx) -> Rival {
        let core = self.core();
        let entry = &core.members[member];
        let role = &core.roles[entry.role];
        Rival {
            framework_id: core.frameworks[entry.framework].id.clone(),
            role: role.path.to_string(),
            share: role.members.share(member.0, &core.basis).unwrap_or(0.0),
            role_share: self.role_share(entry.role),
        }
    }

    /// Looks at all agents, and writes the sums and the page that was asked for.
    fn agents(&mut self, member: MemberIdx, question: &Question, answer: &mut RoleExplanation) {
        let core = self.core();
        let is_free = answer.obstacles.is_empty();
        let role = core.members[member].role;
        let mut examiner = Examiner {
            pass: self.pass,
            member,
            role,
            now: self.now,
            line: self.line,
            place: self.line.iter().position(|other| *other == member).unwrap_or(self.line.len()),
            by_lot: self.by_lot(),
            questions_left: self.questions_left,
        };
        let mut tallies: BTreeMap<Kind, Tally> = BTreeMap::new();
        let end = question.offset.saturating_add(question.limit);
        for (number, (agent, entry)) in core.agents.iter().enumerate() {
            let verdict = match examiner.examine(agent) {
                // A filter of the master's own is no refusal of the framework.
                Verdict::Filtered(_) | Verdict::Eligible(..) if question.full.contains(&entry.id) => {
                    Verdict::Full
                }
                verdict => verdict,
            };
            let turn = match &verdict {
                Verdict::Eligible(stage, _) if is_free => Some(examiner.turn(agent, *stage)),
                _ => None,
            };
            if (question.offset..end).contains(&number) {
                let mut details = Details::default();
                details.add(core, agent, &verdict);
                let reason = self.reason(agent, member, &verdict, turn.as_ref(), &details);
                answer.agents.push(AgentExplanation { agent: self.view(agent), reason });
            }
            let tally = tallies.entry(kind(&verdict, turn.as_ref())).or_insert_with(|| Tally {
                agents: 0,
                example: agent,
                verdict: verdict.clone(),
                turn: turn.clone(),
                free: Amounts::ZERO,
                details: Details::default(),
            });
            tally.agents += 1;
            tally.free += &match verdict {
                Verdict::ReservedForOthers => entry.free().amounts(),
                _ => self.pass.free_for(agent, role).amounts(),
            };
            tally.details.add(core, agent, &verdict);
            // The filter that ends first is the example.
            if let (Verdict::Filtered(first), Verdict::Filtered(until)) = (&tally.verdict, &verdict)
                && until < first
            {
                tally.example = agent;
                tally.verdict = verdict;
            }
        }
        self.questions_left = examiner.questions_left;
        answer.reasons = tallies.values().map(|tally| self.group(member, tally)).collect();
        answer.reasons.sort_by_key(|group| std::cmp::Reverse(group.agents));
    }

    fn group(&self, member: MemberIdx, tally: &Tally) -> Group {
        let reason = self.reason(tally.example, member, &tally.verdict, tally.turn.as_ref(), &tally.details);
        Group {
            advice: reason.advice().to_owned(),
            reason,
            agents: tally.agents,
            free: self.figures(&tally.free),
            example: self.view(tally.example),
        }
    }

    fn view(&self, agent: AgentIdx) -> AgentView {
        let core = self.core();
        let seconds = |nanoseconds: i64| nanoseconds as f64 / 1e9;
        let maintenance = core.maintenance.unavailability(agent).map(|planned| Maintenance {
            start_seconds: seconds(planned.start.nanoseconds),
            duration_seconds: planned.duration.as_ref().map(|duration| seconds(duration.nanoseconds)),
        });
        let agent = &core.agents[agent];
        AgentView {
            agent_id: agent.id.clone(),
            hostname: agent.info.hostname.clone(),
            free: text(agent.free().join(&core.names)),
            maintenance,
        }
    }

    /// A verdict about an agent, or about several of which it is the example, with its figures.
    fn reason(
        &self,
        agent: AgentIdx,
        member: MemberIdx,
        verdict: &Verdict,
        turn: Option<&Turn>,
        details: &Details,
    ) -> Reason {
        let core = self.core();
        match verdict {
            Verdict::Inactive => Reason::AgentInactive,
            Verdict::NotListed => Reason::NotWhitelisted,
            Verdict::NothingFree => self.nothing_free(details),
            Verdict::ReservedForOthers => {
                let reserved = details.reserved.iter().take(MAX_ROLES);
                let reserved = reserved.map(|(role, amounts)| (role.clone(), self.figures(amounts)));
                Reason::ReservedForOthers { reserved: reserved.collect() }
            }
            Verdict::BelowMinimum => {
                let own = core.members[member].minimums.as_ref();
                let minimums = own.unwrap_or(&core.minimums).0.iter();
                Reason::BelowMinimum {
                    minimums: minimums.map(|minimum| self.figures(minimum)).collect(),
                    set_by: if own.is_some() { MinimumOf::Framework } else { MinimumOf::Cluster },
                }
            }
            Verdict::Lacks(lack) => self.lacks(agent, member, *lack, details),
            Verdict::Unusable(kinds) => unusable(*kinds),
            Verdict::LimitReached(cut) => self.limit_reached(core.members[member].role, cut),
            Verdict::Headroom => self.headroom(),
            Verdict::Filtered(until) => Reason::Filtered {
                seconds_left: self.seconds_until(*until),
                last_seconds_left: self.seconds_until(details.last),
            },
            Verdict::Full => Reason::ExecutorLimit,
            Verdict::Eligible(_, offer) => match turn {
                None => Reason::NothingElse,
                Some(Turn::Own) => Reason::WouldBeOffered { resources: offer.join(&core.names).to_string() },
                Some(Turn::After(ahead, more)) => {
                    let ahead = ahead.iter().map(|rival| self.rival(*rival)).collect();
                    Reason::InLine { ahead, more: *more }
                }
            },
        }
    }

    fn nothing_free(&self, details: &Details) -> Reason {
        let core = self.core();
        let mut most: Vec<_> = details.holders.iter().collect();
        // By dominant share, the measure of this crate; it does not matter what the total is if it is nothing.
        let share = |held: &Amounts| held.dominant_share(core.basis.total(), |_| true);
        most.sort_by(|left, right| share(&right.1.1).total_cmp(&share(&left.1.1)));
        let more_holders = most.len().saturating_sub(MAX_LISTED);
        most.truncate(MAX_LISTED);
        let holder = |(member, (agents, held, offered)): (&MemberIdx, &(usize, Amounts, Amounts))| {
            let entry = &core.members[*member];
            Holder {
                framework_id: core.frameworks[entry.framework].id.clone(),
                role: core.roles[entry.role].path.to_string(),
                agents: *agents,
                held: self.figures(held),
                offered: self.figures(offered),
            }
        };
        Reason::NothingFree {
            held: self.figures(&details.held),
            offered: self.figures(&details.offered),
            holders: most.into_iter().map(holder).collect(),
            more_holders,
        }
    }

    fn lacks(&self, agent: AgentIdx, member: MemberIdx, lack: Lack, details: &Details) -> Reason {
        let of_framework = |capability: &str| Reason::FrameworkLacks {
            capabilities: BTreeSet::from([capability.to_owned()]),
            regions: details.regions.clone(),
        };
        let of_agent = |capability: &str| Reason::AgentLacks { capability: capability.to_owned() };
        match lack {
            Lack::Gpu => of_framework("GPU_RESOURCES"),
            Lack::Region => of_framework("REGION_AWARE"),
            Lack::AgentMultiRole => of_agent("MULTI_ROLE"),
            Lack::AgentHierarchicalRole => of_agent("HIERARCHICAL_ROLE"),
            Lack::Constraints => self.excluded(agent, member),
        }
    }

    fn excluded(&self, agent: AgentIdx, member: MemberIdx) -> Reason {
        let core = self.core();
        let constraints = core.members[member].constraints.as_ref();
        let excluded = constraints.and_then(|constraints| constraints.why_excluded(&core.agents[agent].info));
        let violations = excluded.map(|excluded| excluded.violations).unwrap_or_default();
        let violated = |violation: Violation| Violated {
            subject: violation.subject,
            rule: violation.rule,
            found: violation.found,
        };
        Reason::ExcludedByConstraints {
            violations: violations.into_iter().take(MAX_LISTED).map(violated).collect(),
        }
    }

    fn limit_reached(&self, role: RoleIdx, cut: &Amounts) -> Reason {
        let core = self.core();
        let role = &core.roles[role];
        let consumed = role.offered_or_consumed();
        let reached = role.quota().limits.iter().filter(|(name, _)| cut.get(*name) > 0);
        let limits = reached.map(|(name, limit)| {
            let limit = Limit { consumed: units(consumed.get(name)), limit: units(limit) };
            (core.names.name(name).to_owned(), limit)
        });
        Reason::LimitReached { role: role.path.to_string(), limits: limits.collect() }
    }

    fn headroom(&self) -> Reason {
        let core = self.core();
        let lacking = core.roles.iter().map(|(_, role)| (role.path.to_string(), role.missing()));
        let mut lacking: Vec<_> = lacking.filter(|(_, missing)| !missing.is_zero()).collect();
        let share = |missing: &Amounts| missing.dominant_share(core.basis.total(), |_| true);
        lacking.sort_by(|left, right| {
            share(&right.1).total_cmp(&share(&left.1)).then_with(|| left.0.cmp(&right.0))
        });
        let more_roles = lacking.len().saturating_sub(MAX_LISTED);
        lacking.truncate(MAX_LISTED);
        let missing = |(role, missing): (String, Amounts)| Missing { role, missing: self.figures(&missing) };
        Reason::Headroom {
            available: self.figures(&self.pass.available),
            required: self.figures(&self.pass.required),
            held_for: lacking.into_iter().map(missing).collect(),
            more_roles,
        }
    }

    fn seconds_until(&self, until: Duration) -> f64 {
        until.saturating_sub(self.now).as_secs_f64()
    }

    fn figures(&self, amounts: &Amounts) -> Figures {
        let names = &self.core().names;
        amounts.iter().map(|(name, amount)| (names.name(name).to_owned(), units(amount))).collect()
    }
}

/// Resources as they are written everywhere, and nothing as no text.
fn text(resources: mesos::Resources) -> String {
    if resources.is_empty() { String::new() } else { resources.to_string() }
}

fn units(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

fn kind(verdict: &Verdict, turn: Option<&Turn>) -> Kind {
    match verdict {
        Verdict::Inactive => Kind::Inactive,
        Verdict::NotListed => Kind::NotListed,
        Verdict::NothingFree => Kind::NothingFree,
        Verdict::ReservedForOthers => Kind::ReservedForOthers,
        Verdict::BelowMinimum => Kind::BelowMinimum,
        Verdict::Lacks(lack) => Kind::Lacks(*lack),
        Verdict::Unusable(kinds) => Kind::Unusable(*kinds),
        Verdict::LimitReached(_) => Kind::LimitReached,
        Verdict::Headroom => Kind::Headroom,
        Verdict::Filtered(_) => Kind::Filtered,
        Verdict::Full => Kind::Full,
        Verdict::Eligible(..) => match turn {
            None => Kind::NothingElse,
            Some(Turn::After(..)) => Kind::InLine,
            Some(Turn::Own) => Kind::WouldBeOffered,
        },
    }
}

fn unusable(kinds: Kinds) -> Reason {
    let all = [
        ("SHARED_RESOURCES", kinds.shared),
        ("REVOCABLE_RESOURCES", kinds.revocable),
        ("RESERVATION_REFINEMENT", kinds.refined),
    ];
    let lacking = all.into_iter().filter(|(_, lacks)| *lacks).map(|(name, _)| name.to_owned());
    Reason::FrameworkLacks { capabilities: lacking.collect(), regions: BTreeSet::new() }
}
