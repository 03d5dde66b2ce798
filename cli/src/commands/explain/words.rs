//! An explanation in words. Pure: what `mesos explain` prints is a function of the master's answer.
//!
//! For each role: what stands in the way of everything, then the agents summed up by reason, then what the
//! framework holds and where it stands in line. Below each reason, after an arrow, what can be done.

use std::fmt::Write as _;

use allocator::core::explain::{
    AbsentAgents, Explanation, Figures, Group, Holder, Limit, Line, MinimumOf, Obstacle, Reason, Rival,
    RoleExplanation,
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
            return "itself".to_owned();
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
        if offered == 0 {
            text.push_str("no offers, because");
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
            let _ = write!(text, "\n    {} ({}), free: {free}\n      {reason}", view.hostname, view.agent_id);
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
                    lines.push(format!("and {} lack something", many(*more_roles, "more role")));
                }
            }
            _ => {}
        }
        if !group.free.is_empty() {
            let example = &group.example;
            let of_example = match group.agents {
                1 => format!(" on {}", example.hostname),
                _ => format!(", such as {} on {}", example.free, example.hostname),
            };
            lines.push(format!("free there: {}{of_example}", amounts(&group.free)));
        } else {
            lines.push(format!("such as {}", group.example.hostname));
        }
        lines
    }

    fn place(&self, line: &Line, role: &str) -> Option<String> {
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
                write!(text, " Before it: {}.", self.rivals(&line.ahead, position - 1 > line.ahead.len()));
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
            "the master has taken over, and waits until {} are back, or {} have passed",
            many(*agents_awaited, "more agent"),
            duration(*seconds_left)
        ),
        Obstacle::NoAgents => "there is no agent".to_owned(),
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
        ", all of it offered and not answered yet".to_owned()
    } else {
        format!(", of which {} offered and not answered yet", amounts(offered))
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
