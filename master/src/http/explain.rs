//! `/allocator/explain`: why a framework gets offers or does not (not in upstream).
//!
//! The Master only finds the framework and passes the question on; the allocator answers it, and the HTTP
//! worker, or a thread beside it if there is much, puts in what the allocator does not know: names, and the agents that are
//! away. The Master waits for nothing.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use allocator::core::explain::{AbsentAgents, ExplainError, Explanation, Question};
use libprocess::http::{Query, Reply, Request, Response};
use libprocess::{Context, breath};
use mesos::{AgentId, FrameworkId, roles};

use super::json;
use crate::cluster::{Framework, Snapshot};
use crate::leadership;
use crate::master::Master;

/// Agents that are listed one by one unless the query says otherwise, as of tasks in `/tasks`.
const DEFAULT_LIMIT: usize = 100;
/// The most that are listed of one role: some megabytes.
const LIMITS: RangeInclusive<usize> = 0..=10_000;
/// The most that are listed of each role of a framework, when all are asked for.
const LIMIT_OF_EACH: usize = 500;
/// How many frameworks a refusal names.
const NAMED: usize = 10;
/// What a query may hold.
const PARAMETERS: [&str; 5] = ["framework", "role", "limit", "offset", "jsonp"];

pub(super) fn explain(master: &mut Master, request: Request, ctx: &mut Context<Master>) -> Reply {
    if let Some(refusal) = leadership::refusal(master, &request) {
        return refusal.into();
    }
    let snapshot = master.snapshot(ctx.now());
    let question = match question(&request.query, &snapshot) {
        Ok(question) => question,
        Err(refusal) => return refusal.into(),
    };
    let (allocation, most) = (master.allocation.clone(), master.settings.max_executors_per_agent);
    let node = ctx.node().clone();
    Reply::later(async move {
        let full = match most {
            Some(most) => {
                let seen = Arc::clone(&snapshot);
                node.beside(snapshot.agents.size(), move || full(&seen, most)).await
            }
            None => BTreeSet::new(),
        };
        match allocation.explain(Question { full, ..question }).await {
            Ok(Ok(explanation)) => {
                let listed: usize = explanation.roles.iter().map(|role| role.agents.len()).sum();
                let make = move || Response::jsonp(&request.query, json(&complete(explanation, &snapshot)));
                node.beside(listed, make).await
            }
            // It was removed while the question was on its way.
            Ok(Err(error @ ExplainError::UnknownFramework(_))) => {
                Response::text(http::StatusCode::NOT_FOUND, error.to_string())
            }
            Ok(Err(error @ ExplainError::NotInitialized)) => Response::service_unavailable(error.to_string()),
            Err(gone) => Response::service_unavailable(format!("the allocator: {gone}")),
        }
    })
}

/// The agents that the master makes no offers of (`offers::is_full`): on a large cluster too many to look at on its thread.
fn full(snapshot: &Snapshot, most: usize) -> BTreeSet<AgentId> {
    let agents = snapshot.agents.values().inspect(|_| breath::spend(1));
    let full = agents.filter(|agent| agent.executors.size() >= most);
    full.map(|agent| agent.id.clone()).collect()
}

/// Reads a query, or says what is wrong with it.
fn question(query: &Query, snapshot: &Snapshot) -> Result<Question, Response> {
    if let Some((name, _)) = query.iter().find(|(name, _)| !PARAMETERS.contains(name)) {
        let allowed = PARAMETERS.join(", ");
        return Err(Response::bad_request(format!("there is no parameter '{name}'; allowed are {allowed}")));
    }
    let Some(framework) = query.get("framework").filter(|text| !text.is_empty()) else {
        return Err(Response::bad_request(
            "the parameter 'framework' is missing: the id or the name of a framework",
        ));
    };
    let role = query.get("role").map(str::to_owned);
    if let Some(role) = &role
        && let Err(error) = roles::validate(role)
    {
        return Err(Response::bad_request(format!("bad parameter 'role={role}': {error}")));
    }
    let limit = number(query, "limit", DEFAULT_LIMIT, &LIMITS)?;
    if role.is_none() && limit > LIMIT_OF_EACH {
        return Err(Response::bad_request(format!(
            "bad parameter 'limit={limit}': without 'role' at most {LIMIT_OF_EACH} are allowed for each role"
        )));
    }
    Ok(Question {
        limit,
        offset: number(query, "offset", 0, &(0..=usize::MAX))?,
        framework: find(framework, snapshot)?,
        role,
        full: BTreeSet::new(),
    })
}

fn number(
    query: &Query,
    name: &str,
    default: usize,
    allowed: &RangeInclusive<usize>,
) -> Result<usize, Response> {
    let Some(text) = query.get(name) else { return Ok(default) };
    match text.parse() {
        Ok(number) if allowed.contains(&number) => Ok(number),
        _ if *allowed.end() == usize::MAX => {
            Err(Response::bad_request(format!("bad parameter '{name}={text}': a whole number is allowed")))
        }
        _ => Err(Response::bad_request(format!(
            "bad parameter '{name}={text}': allowed are whole numbers from {} to {}",
            allowed.start(),
            allowed.end()
        ))),
    }
}

/// The framework with an id, or the only one with a name.
fn find(text: &str, snapshot: &Snapshot) -> Result<FrameworkId, Response> {
    let id = FrameworkId::from(text);
    if snapshot.frameworks.get(&id).is_some() {
        return Ok(id);
    }
    let mut named = snapshot.frameworks.values().filter(|framework| framework.info.name == text);
    match (named.next(), named.next()) {
        (Some(framework), None) => Ok(framework.id.clone()),
        (Some(_), Some(_)) => {
            let all = snapshot.frameworks.values().filter(|framework| framework.info.name == text);
            let ids: Vec<&str> = all.map(|framework| framework.id.as_str()).collect();
            Err(Response::bad_request(format!(
                "bad parameter 'framework={text}': {} frameworks have this name; give one's id: {}",
                ids.len(),
                listed(&ids)
            )))
        }
        (None, _) => Err(Response::text(http::StatusCode::NOT_FOUND, unknown(text, snapshot))),
    }
}

/// What is said of a framework that is not there.
fn unknown(text: &str, snapshot: &Snapshot) -> String {
    let is_it = |framework: &&Framework| framework.id.as_str() == text || framework.info.name == text;
    if let Some(over) = snapshot.completed_frameworks.iter().map(|framework| &**framework).find(is_it) {
        return format!(
            "framework '{}' ({}) is completed: it was removed, and gets no offers any more",
            over.info.name, over.id
        );
    }
    let there: Vec<String> = snapshot
        .frameworks
        .values()
        .map(|framework| format!("'{}' ({})", framework.info.name, framework.id))
        .collect();
    if there.is_empty() {
        return format!("there is no framework with the id or the name '{text}': no framework is registered");
    }
    let there: Vec<&str> = there.iter().map(String::as_str).collect();
    format!("there is no framework with the id or the name '{text}'; there are {}", listed(&there))
}

fn listed(all: &[&str]) -> String {
    let shown = &all[..all.len().min(NAMED)];
    match all.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Puts in what the allocator does not know.
fn complete(mut explanation: Explanation, snapshot: &Snapshot) -> Explanation {
    let named = |id: FrameworkId| {
        let name = snapshot.frameworks.get(&id)?.info.name.clone();
        Some((id, name))
    };
    explanation.names = explanation.mentioned().into_iter().filter_map(named).collect();
    explanation.absent_agents = AbsentAgents {
        not_returned: snapshot.recovered_agents.size(),
        unreachable: snapshot.unreachable_agents.size(),
    };
    explanation
}
