//! An explanation in words. Pure: what `mesos explain` prints is a function of the master's answer.
//!
//! For each role: what stands in the way of everything, then the agents summed up by reason, then what the
//! framework holds and where it stands in line. Below each reason, after an arrow, what can be done.

use std::fmt::Write as _;

use allocator::core::explain::{
    AbsentAgents, Explanation, Figures, Group, Holder, Limit, Line, MinimumOf, Obstacle, Reason, Rival,
    RoleExplanation, Violated,
};
use mesos::FrameworkId;

/// All of it, without a newline at its end.
pub(super) fn of(explanation: &Explanation) -> String {
    let writer = Writer { explanation };
    let mut parts: Vec<String> = explanation.roles.iter().map(|role| writer.role(role)).collect();
    if explanation.roles.is_empty() {
        parts.push(format!("{}: no offers, because it subscribes to no role", writer.title()));
    }
    if explanation.more_roles > 0 {
        parts.push(format!(
            "It subscribes to {}; --role explains one of them.",
            many(explanation.more_roles, "more role")
        ));
    }
    if let Some(absent) = absent(explanation.absent_agents) {
        parts.push(absent);
    }
    parts.join("\n\n")
}

struct Writer<'a> {
    explanation: &'a Explanation,
}

impl Writer<'_> {
    /// `Framework 'batch' (47a6…-0001)`
    fn title(&self) -> String {
        let id = &self.explanation.framework_id;
        match self.explanation.names.get(id) {
            Some(name) => format!("Framework '{name}' ({id})"),
            None => format!("Framework {id}"),
        }
    }

    /// `'batch' (…-0001)`, or the whole id of one without a name.
    fn framework(&self, id: &FrameworkId) -> String {
        if *id == self.explanation.framework_id {
            return "the framework itself".to_owned();
        }
        let number = id.as_str().rsplit_once('-').map(|(_, number)| number);
        match (self.explanation.names.get(id), number) {
            (Some(name), Some(number)) => format!("'{name}' (…-{number})"),
            (Some(name), None) => format!("'{name}' ({id})"),
            (None, _) => id.to_string(),
        }
    }

    fn role(&self, role: &RoleExplanation) -> String {
        let mut text = format!("{}, role '{}': ", self.title(), role.role);
        let possible =
            |group: &&Group| matches!(group.reason, Reason::WouldBeOffered { .. } | Reason::InLine { .. });
        let offered: usize = role.reasons.iter().filter(possible).map(|group| group.agents).sum();
        if offered == 0 && role.holds.offered.is_empty() {
            text.push_str("no offers, because");
        } else if offered == 0 {
            text.push_str("no more offers, because");
        } else {
            let _ =
                write!(text, "the next run may offer it {offered} of {}", many(role.agents_in_all, "agent"));
        }
        for obstacle in &role.obstacles {
            let _ = write!(text, "\n  {}\n    -> {}", obstacle_in_words(obstacle), obstacle.advice());
        }
        let counts: Vec<String> = role
            .reasons
            .iter()
            .map(|group| format!("{} of {}", group.agents, many(role.agents_in_all, "agent")))
            .collect();
        let width = counts.iter().map(|count| count.chars().count()).max().unwrap_or(0);
        let margin = " ".repeat(width + 4);
        for (group, count) in role.reasons.iter().zip(&counts) {
            let _ = write!(text, "\n  {count:>width$}  {}", self.reason(&group.reason));
            for detail in self.details(group) {
                let _ = write!(text, "\n{margin}  {detail}");
            }
            let _ = write!(text, "\n{margin}  -> {}", group.advice);
        }
        if !role.agents.is_empty() {
            text.push_str("\n  One by one:");
        }
        for agent in &role.agents {
            let view = &agent.agent;
            let free = if view.free.is_empty() { "nothing" } else { &view.free };
            let reason = self.reason(&agent.reason);
            let planned = if view.maintenance.is_some() { "; maintenance is planned" } else { "" };
            let (host, id) = (&view.hostname, &view.agent_id);
            let _ = write!(text, "\n    {host} ({id}), free: {free}{planned}\n      {reason}");
        }
        if let Some(holds) = holds(&role.holds) {
            let _ = write!(text, "\n  {holds}");
        }
        if let Some(place) = self.place(&role.line, &role.role) {
            let _ = write!(text, "\n  {place}");
        }
        text
    }

    fn reason(&self, reason: &Reason) -> String {
        match reason {
            Reason::AgentInactive => "out of service: disconnected, deactivated or draining".to_owned(),
            Reason::NotWhitelisted => "not on the master's whitelist".to_owned(),
            Reason::NothingFree { held, .. } if held.is_empty() => {
                "nothing there: no resources at all".to_owned()
            }
            Reason::NothingFree { held, offered, .. } => {
                format!("nothing free: {} held{}", amounts(held), unanswered(offered, held))
            }
            Reason::ReservedForOthers { reserved } => {
                let parts: Vec<String> =
                    reserved.iter().map(|(role, of)| format!("for role '{role}' {}", amounts(of))).collect();
                format!("what is free is reserved: {}", parts.join(", "))
            }
            Reason::BelowMinimum { minimums, set_by } => {
                let minimums: Vec<String> = minimums.iter().map(amounts).collect();
                let set_by = match set_by {
                    MinimumOf::Cluster => "the master",
                    MinimumOf::Framework => "the framework itself",
                };
                format!("less is free than the minimum of {}, set by {set_by}", minimums.join(" or "))
            }
            Reason::FrameworkLacks { capabilities, regions } => lacks(
                &capabilities.iter().map(String::as_str).collect::<Vec<_>>(),
                &regions.iter().map(|region| format!("'{region}'")).collect::<Vec<_>>(),
            ),
            Reason::AgentLacks { capability } => format!("too old: without the capability {capability}"),
            Reason::ExcludedByConstraints { violations } => {
                let violations: Vec<String> = violations.iter().map(violated).collect();
                format!("excluded by its offer constraints: {}", violations.join("; or "))
            }
            Reason::LimitReached { role, limits } => {
                let used = |(name, Limit { consumed, limit }): (&String, &Limit)| {
                    format!("{name} {consumed} of {limit}")
                };
                let used: Vec<String> = limits.iter().map(used).collect();
                format!("the quota of role '{role}' allows no more: {} used", used.join(", "))
            }
            Reason::Headroom { available, required, .. } => format!(
                "held back for the guarantees of others: they lack {}, and {} free in the cluster",
                amounts(required),
                if available.is_empty() {
                    "nothing is".to_owned()
                } else {
                    format!("{} is", amounts(available))
                }
            ),
            Reason::Filtered { seconds_left, last_seconds_left } => {
                let (first, last) = (duration(*seconds_left), duration(*last_seconds_left));
                if first == last {
                    format!("refused by it; the filter ends in {first}")
                } else {
                    format!("refused by it; the first filter ends in {first}, the last in {last}")
                }
            }
            Reason::ExecutorLimit => "as many executors as the master allows are there".to_owned(),
            Reason::NothingElse => "nothing else stands in the way".to_owned(),
            Reason::InLine { ahead, more } => self.in_line(ahead, *more),
            Reason::WouldBeOffered { .. } => "free, and nobody else can have it".to_owned(),
        }
    }

    fn in_line(&self, ahead: &[Rival], more: bool) -> String {
        match (ahead, more) {
            ([], false) => "free, and it is asked first".to_owned(),
            ([], true) => "free, and others may be asked before it".to_owned(),
            _ => format!("free, but asked before it: {}", self.rivals(ahead, more)),
        }
    }

    fn rivals(&self, rivals: &[Rival], more: bool) -> String {
        let named = |rival: &Rival| {
            format!(
                "{} in role '{}' (share {})",
                self.framework(&rival.framework_id),
                rival.role,
                percent(rival.share)
            )
        };
        let mut named: Vec<String> = rivals.iter().map(named).collect();
        if more {
            named.push("and others".to_owned());
        }
        named.join(", ")
    }

    /// What is said below a reason.
    fn details(&self, group: &Group) -> Vec<String> {
        let mut lines = Vec::new();
        match &group.reason {
            Reason::NothingFree { holders, more_holders, .. } => {
                for holder in holders {
                    let on = many(holder.agents, "agent");
                    let whose = self.framework(&holder.framework_id);
                    let offered = unanswered(&holder.offered, &holder.held);
                    lines.push(format!(
                        "held by {whose} in role '{}' on {on}: {}{offered}",
                        holder.role,
                        amounts(&holder.held)
                    ));
                }
                if *more_holders > 0 {
                    lines.push(format!("and by {more_holders} more"));
                }
            }
            Reason::Headroom { held_for, more_roles, .. } => {
                for lacking in held_for {
                    lines.push(format!("role '{}' lacks {}", lacking.role, amounts(&lacking.missing)));
                }
                if *more_roles > 0 {
                    let lack = if *more_roles == 1 { "lacks" } else { "lack" };
                    lines.push(format!("and {} {lack} something", many(*more_roles, "more role")));
                }
            }
            _ => {}
        }
        if !group.free.is_empty() {
            let example = &group.example;
            let of_example = match group.agents {
                1 => format!(" on {}", example.hostname),
                _ => format!(", for example {} on {}", example.free, example.hostname),
            };
            lines.push(format!("free there: {}{of_example}", amounts(&group.free)));
        } else {
            let of_several = if group.agents == 1 { "on" } else { "for example" };
            lines.push(format!("{of_several} {}", group.example.hostname));
        }
        lines
    }

    fn place(&self, line: &Line, role: &str) -> Option<String> {
        if line.by_lot {
            return Some("The order in which frameworks are asked is drawn by lot.".to_owned());
        }
        let position = line.position.filter(|_| line.length > 1)?;
        let mut text = format!(
            "In the order of fair sharing it is number {position} of {}: its share is {}, that of role '{role}' {}",
            line.length,
            percent(line.share),
            percent(line.role_share),
        );
        if line.role_weight != 1.0 {
            let _ = write!(text, " (divided by its weight, {})", line.role_weight);
        }
        text.push('.');
        if !line.ahead.is_empty() {
            let _ =
                write!(text, "\n  Before it: {}.", self.rivals(&line.ahead, position - 1 > line.ahead.len()));
        }
        Some(text)
    }
}

fn obstacle_in_words(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::NotReturned => {
            "it has not subscribed since this master leads; only its tasks are known".to_owned()
        }
        Obstacle::Disconnected => "it is not connected".to_owned(),
        Obstacle::NotSubscribed { subscribed } if subscribed.is_empty() => {
            "it does not subscribe to this role, nor to any other".to_owned()
        }
        Obstacle::NotSubscribed { subscribed } => {
            let roles: Vec<String> = subscribed.iter().map(|role| format!("'{role}'")).collect();
            format!("it does not subscribe to this role, but to {}", roles.join(", "))
        }
        Obstacle::Suppressed => "it has suppressed offers for this role".to_owned(),
        Obstacle::Held { seconds_left, agents_awaited } => format!(
            "the master has taken over, and waits until {} {} back, or {} have passed",
            many(*agents_awaited, "more agent"),
            if *agents_awaited == 1 { "is" } else { "are" },
            duration(*seconds_left)
        ),
        Obstacle::Paused => "allocation is paused".to_owned(),
        Obstacle::NoAgents => "there is no agent".to_owned(),
    }
}

/// `attribute 'rack' must be 'a', and is 'b'`
fn violated(constraint: &Violated) -> String {
    let Violated { subject, rule, found } = constraint;
    match found {
        Some(found) => format!("{subject} {rule}, and is {found}"),
        None => format!("{subject} {rule}, and is missing"),
    }
}

fn lacks(capabilities: &[&str], regions: &[String]) -> String {
    match capabilities {
        ["GPU_RESOURCES"] => "with GPUs, which are offered to frameworks with GPU_RESOURCES only".to_owned(),
        ["REGION_AWARE"] => format!(
            "in another region ({}), which is offered to frameworks with REGION_AWARE only",
            regions.join(", ")
        ),
        _ => format!("what is free is offered to frameworks with {} only", capabilities.join(" and ")),
    }
}

/// What of something held is only offered.
fn unanswered(offered: &Figures, held: &Figures) -> String {
    if offered.is_empty() {
        String::new()
    } else if offered == held {
        ", all offered and not answered yet".to_owned()
    } else {
        format!(", of which {} are offered and not answered yet", amounts(offered))
    }
}

fn holds(holder: &Holder) -> Option<String> {
    if holder.agents == 0 {
        return None;
    }
    let on = many(holder.agents, "agent");
    let offered = unanswered(&holder.offered, &holder.held);
    Some(format!("It holds {} on {on}{offered}.", amounts(&holder.held)))
}

fn absent(agents: AbsentAgents) -> Option<String> {
    let mut parts = Vec::new();
    if agents.not_returned > 0 {
        parts.push(format!("{} not back since this master leads", many(agents.not_returned, "agent")));
    }
    if agents.unreachable > 0 {
        parts.push(format!("{} unreachable", many(agents.unreachable, "agent")));
    }
    (!parts.is_empty()).then(|| format!("Not counted above: {}.", parts.join(", ")))
}

/// `cpus:4; mem:1024`, as resources are written everywhere.
fn amounts(figures: &Figures) -> String {
    let parts: Vec<String> = figures.iter().map(|(name, amount)| format!("{name}:{amount}")).collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") }
}

/// `1 agent`, `2 agents`
fn many(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// The two largest units that matter: `3d 4h`, `4m 12s`.
fn duration(seconds: f64) -> String {
    if seconds < 1.0 {
        return "less than 1s".to_owned();
    }
    let seconds = seconds as u64;
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let at = units.iter().position(|(length, _)| seconds >= *length).unwrap_or(units.len() - 1);
    let (length, name) = units[at];
    let mut text = format!("{}{name}", seconds / length);
    if let Some((next, name)) = units.get(at + 1)
        && seconds % length / next > 0
    {
        let _ = write!(text, " {}{name}", seconds % length / next);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn group(agents: usize, free: Value, mut reason: Value) -> Value {
        reason["agents"] = json!(agents);
        reason["free"] = free;
        reason["advice"] = json!("Do something.");
        reason["example"] = json!({ "agent_id": "m-S7", "hostname": "host7", "free": "cpus:1; mem:512" });
        reason
    }

    fn holder(framework: &str, agents: usize, held: Value, offered: Value) -> Value {
        json!({ "framework_id": framework, "role": "ops", "agents": agents, "held": held, "offered": offered })
    }

    fn role(obstacles: Value, agents: usize, reasons: Value) -> Value {
        json!({
            "role": "eng", "obstacles": obstacles, "agents_in_all": agents, "reasons": reasons, "agents": [],
            "holds": holder("m-0001", 0, json!({}), json!({})),
            "line": {
                "position": null, "length": 1, "share": 0.0, "role_share": 0.0, "role_weight": 1.0, "ahead": []
            }
        })
    }

    fn told(roles: Value) -> String {
        let names = json!({ "m-0001": "batch", "m-0002": "spark" });
        let answer = json!({ "framework_id": "m-0001", "roles": roles, "more_roles": 0, "names": names });
        of(&serde_json::from_value(answer).unwrap())
    }

    #[test]
    fn reasons_are_told_with_the_most_frequent_first_and_what_can_be_done() {
        let mut role = role(
            json!([]),
            1000,
            json!([
                group(
                    812,
                    json!({ "cpus": 812.5, "mem": 415_744.0 }),
                    json!({ "reason": "filtered", "seconds_left": 252.4, "last_seconds_left": 7_300.0 })
                ),
                group(
                    188,
                    json!({}),
                    json!({
                        "reason": "nothing_free", "held": { "cpus": 752.0 }, "offered": { "cpus": 80.0 },
                        "holders": [
                            holder("m-0002", 180, json!({ "cpus": 672.0 }), json!({})),
                            holder("m-0001", 20, json!({ "cpus": 80.0 }), json!({ "cpus": 80.0 })),
                        ],
                        "more_holders": 3
                    })
                ),
            ]),
        );
        role["holds"] = holder("m-0001", 20, json!({ "cpus": 80.0 }), json!({ "cpus": 80.0 }));
        role["line"] = json!({
            "position": 2, "length": 3, "share": 0.125, "role_share": 0.4, "role_weight": 2.0,
            "ahead": [{ "framework_id": "m-0002", "role": "ops", "share": 0.3, "role_share": 0.3 }]
        });
        let expected = "\
Framework 'batch' (m-0001), role 'eng': no more offers, because
  812 of 1000 agents  refused by it; the first filter ends in 4m 12s, the last in 2h 1m
                        free there: cpus:812.5; mem:415744, for example cpus:1; mem:512 on host7
                        -> Do something.
  188 of 1000 agents  nothing free: cpus:752 held, of which cpus:80 are offered and not answered yet
                        held by 'spark' (…-0002) in role 'ops' on 180 agents: cpus:672
                        held by the framework itself in role 'ops' on 20 agents: cpus:80, all offered and not answered yet
                        and by 3 more
                        for example host7
                        -> Do something.
  It holds cpus:80 on 20 agents, all offered and not answered yet.
  In the order of fair sharing it is number 2 of 3: its share is 12.5%, that of role 'eng' 40.0% (divided by its weight, 2).
  Before it: 'spark' (…-0002) in role 'ops' (share 30.0%).";
        assert_eq!(told(json!([role])), expected);
    }

    #[test]
    fn each_obstacle_is_a_sentence_with_advice() {
        let role = role(
            json!([
                { "obstacle": "disconnected" },
                { "obstacle": "suppressed" },
                { "obstacle": "held", "seconds_left": 570.0, "agents_awaited": 1 },
            ]),
            1,
            json!([group(1, json!({ "cpus": 1.0, "mem": 512.0 }), json!({ "reason": "nothing_else" }))]),
        );
        let expected = "\
Framework 'batch' (m-0001), role 'eng': no offers, because
  it is not connected
    -> Start its scheduler, or look why it has lost its connection.
  it has suppressed offers for this role
    -> The framework asks for offers again with REVIVE.
  the master has taken over, and waits until 1 more agent is back, or 9m 30s have passed
    -> Wait; if agents stay away, look why they do not re-register.
  1 of 1 agent  nothing else stands in the way
                  free there: cpus:1; mem:512 on host7
                  -> Do something.";
        assert_eq!(told(json!([role])), expected);
        for (obstacle, words) in [
            (
                json!({ "obstacle": "not_returned" }),
                "it has not subscribed since this master leads; only its tasks are known",
            ),
            (
                json!({ "obstacle": "not_subscribed", "subscribed": [] }),
                "it does not subscribe to this role, nor to any other",
            ),
            (
                json!({ "obstacle": "not_subscribed", "subscribed": ["a", "b/c"] }),
                "it does not subscribe to this role, but to 'a', 'b/c'",
            ),
            (json!({ "obstacle": "no_agents" }), "there is no agent"),
        ] {
            let obstacle: Obstacle = serde_json::from_value(obstacle).unwrap();
            assert_eq!(obstacle_in_words(&obstacle), words);
        }
    }

    #[test]
    fn each_reason_is_a_line() {
        let rival = |framework: &str| json!({ "framework_id": framework, "role": "ops", "share": 0.25, "role_share": 0.5 });
        for (reason, words) in [
            (json!({ "reason": "agent_inactive" }), "out of service: disconnected, deactivated or draining"),
            (json!({ "reason": "not_whitelisted" }), "not on the master's whitelist"),
            (json!({ "reason": "executor_limit" }), "as many executors as the master allows are there"),
            (
                json!({ "reason": "nothing_free", "held": {}, "offered": {}, "holders": [], "more_holders": 0 }),
                "nothing there: no resources at all",
            ),
            (
                json!({ "reason": "nothing_free", "held": { "cpus": 1.0 }, "offered": { "cpus": 1.0 }, "holders": [], "more_holders": 0 }),
                "nothing free: cpus:1 held, all offered and not answered yet",
            ),
            (
                json!({ "reason": "reserved_for_others", "reserved": { "x": { "cpus": 4.0 }, "y": { "mem": 64.0 } } }),
                "what is free is reserved: for role 'x' cpus:4, for role 'y' mem:64",
            ),
            (
                json!({ "reason": "below_minimum", "minimums": [{ "cpus": 0.01 }, { "mem": 32.0 }], "set_by": "cluster" }),
                "less is free than the minimum of cpus:0.01 or mem:32, set by the master",
            ),
            (
                json!({ "reason": "below_minimum", "minimums": [{ "cpus": 2.0, "mem": 32.0 }], "set_by": "framework" }),
                "less is free than the minimum of cpus:2; mem:32, set by the framework itself",
            ),
            (
                json!({ "reason": "framework_lacks", "capabilities": ["GPU_RESOURCES"] }),
                "with GPUs, which are offered to frameworks with GPU_RESOURCES only",
            ),
            (
                json!({ "reason": "framework_lacks", "capabilities": ["REGION_AWARE"], "regions": ["eu"] }),
                "in another region ('eu'), which is offered to frameworks with REGION_AWARE only",
            ),
            (
                json!({ "reason": "framework_lacks", "capabilities": ["REVOCABLE_RESOURCES", "SHARED_RESOURCES"] }),
                "what is free is offered to frameworks with REVOCABLE_RESOURCES and SHARED_RESOURCES only",
            ),
            (
                json!({ "reason": "excluded_by_constraints", "violations": [
                    { "subject": "attribute 'rack'", "rule": "must be 'a'", "found": "'b'" },
                    { "subject": "zone", "rule": "must exist" }
                ] }),
                "excluded by its offer constraints: attribute 'rack' must be 'a', and is 'b'; or zone must exist, and is missing",
            ),
            (
                json!({ "reason": "agent_lacks", "capability": "HIERARCHICAL_ROLE" }),
                "too old: without the capability HIERARCHICAL_ROLE",
            ),
            (
                json!({ "reason": "limit_reached", "role": "eng", "limits": { "cpus": { "consumed": 3.995, "limit": 4.0 } } }),
                "the quota of role 'eng' allows no more: cpus 3.995 of 4 used",
            ),
            (
                json!({ "reason": "headroom", "available": { "cpus": 4.0 }, "required": { "cpus": 6.0 }, "held_for": [], "more_roles": 0 }),
                "held back for the guarantees of others: they lack cpus:6, and cpus:4 is free in the cluster",
            ),
            (
                json!({ "reason": "filtered", "seconds_left": 0.4, "last_seconds_left": 0.4 }),
                "refused by it; the filter ends in less than 1s",
            ),
            (json!({ "reason": "in_line", "ahead": [], "more": false }), "free, and it is asked first"),
            (
                json!({ "reason": "in_line", "ahead": [], "more": true }),
                "free, and others may be asked before it",
            ),
            (
                json!({ "reason": "in_line", "ahead": [rival("m-0002"), rival("m-0009")], "more": true }),
                "free, but asked before it: 'spark' (…-0002) in role 'ops' (share 25.0%), m-0009 in role 'ops' (share 25.0%), and others",
            ),
            (
                json!({ "reason": "would_be_offered", "resources": "cpus:1" }),
                "free, and nobody else can have it",
            ),
        ] {
            let all = told(json!([role(json!([]), 1, json!([group(1, json!({}), reason)]))]));
            let line = all.lines().nth(1).unwrap().trim_start_matches("  1 of 1 agent  ");
            assert_eq!(line, words);
        }
    }

    #[test]
    fn what_is_held_back_is_told_with_whom_it_is_for() {
        let reason = json!({
            "reason": "headroom", "available": {}, "required": { "cpus": 6.0 },
            "held_for": [{ "role": "web", "missing": { "cpus": 5.0 } }], "more_roles": 1
        });
        let all = told(json!([role(json!([]), 2, json!([group(2, json!({ "cpus": 2.0 }), reason)]))]));
        assert!(all.contains("they lack cpus:6, and nothing is free in the cluster"), "{all}");
        assert!(all.contains("\n                   role 'web' lacks cpus:5\n"), "{all}");
        assert!(all.contains("and 1 more role lacks something"), "{all}");
    }

    #[test]
    fn agents_are_listed_one_by_one_when_asked_for() {
        let reason = json!({ "reason": "filtered", "seconds_left": 90.0, "last_seconds_left": 90.0 });
        let mut one = reason.clone();
        one["agent_id"] = json!("m-S7");
        one["hostname"] = json!("host7");
        one["free"] = json!("");
        one["maintenance"] = json!({ "start_seconds": 1.7e9 });
        let mut role = role(json!([]), 1, json!([group(1, json!({}), reason)]));
        role["agents"] = json!([one]);
        let all = told(json!([role]));
        let expected = "\n  One by one:\n    host7 (m-S7), free: nothing; maintenance is planned\n      refused by it; the filter ends in 1m 30s";
        assert!(all.ends_with(expected), "{all}");
    }

    #[test]
    fn a_framework_without_roles_and_agents_that_are_away_are_told_too() {
        let answer = json!({
            "framework_id": "m-0001", "roles": [], "more_roles": 0,
            "absent_agents": { "not_returned": 1, "unreachable": 2 }
        });
        let answer: Explanation = serde_json::from_value(answer).unwrap();
        assert_eq!(
            of(&answer),
            "Framework m-0001: no offers, because it subscribes to no role\n\n\
             Not counted above: 1 agent not back since this master leads, 2 agents unreachable."
        );
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, words) in [
            (0.999, "less than 1s"),
            (1.9, "1s"),
            (60.0, "1m"),
            (252.0, "4m 12s"),
            (3_600.0, "1h"),
            (3_659.0, "1h"),
            (7_300.0, "2h 1m"),
            (86_400.0 * 365.0, "365d"),
            (90_000.0, "1d 1h"),
        ] {
            assert_eq!(duration(seconds), words);
        }
    }
}
