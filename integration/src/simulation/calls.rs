//! What a framework says now and then beside what it makes of offers and of updates: it describes itself anew, sends
//! something to an executor or shuts one down, asks what became of its operations, says what would be welcome, answers who
//! wants to free an agent, and ends.

use std::collections::BTreeMap;
use std::time::Duration;

use frameworks::scheduler::{Driver, Options};
use mesos::tasks::framework_roles;
use mesos::v1::scheduler::{
    AttributeConstraint, Call, OfferConstraints, attribute_constraint, call, offer_constraints,
};
use mesos::v1::{self, TaskState};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use super::configuration::{NAME_ATTRIBUTE, framework};
use super::workload::{Book, Style, Workload, roles, roles_now};

/// What was offered before a scheduler has subscribed may come so long after it.
const ON_ITS_WAY: Duration = Duration::from_secs(10);
/// One in so many looks at the clock it says something.
const SELDOM: u32 = 4;
/// One in so many times when it says something, its framework is over.
const SELDOMEST: u32 = 60;
/// One in so many times when it describes itself, its scheduler must not be away for long:
const BRIEF: u32 = 3;
/// for so many seconds at most.
const ABSENCES: std::ops::Range<u64> = 0..15;
/// One in so many times when it describes itself, it does without one of its roles.
const GIVES_UP: u32 = 3;
/// How long a task gets to end, in nanoseconds.
const GRACE: i64 = 2_000_000_000;

/// Says something, or not; nothing any more when everything is mended.
pub fn say(workload: &mut Workload, driver: &mut Driver<Workload>) {
    if workload.network.elapsed() > workload.until || workload.random.random_range(0..SELDOM) > 0 {
        return;
    }
    if workload.random.random_range(0..SELDOMEST) == 0 {
        return tear_down(workload, driver);
    }
    match workload.random.random_range(0..12) {
        0..=3 => describe(workload, driver),
        4..=6 => ask_for_operations(workload, driver),
        7 | 8 => {
            if let Some((_, executor, agent)) = running(workload) {
                driver.message(&agent, &executor, b"are you there?".to_vec());
                workload.truth.count("messages to executors");
            }
        }
        9 => {
            if let Some((_, executor, agent)) = running(workload) {
                driver.shutdown(&executor, &agent);
                workload.truth.count("executors shut down");
            }
        }
        _ => driver.request(vec![v1::Request::default()]),
    }
}

/// TEARDOWN: another framework takes its place, when its master says that this one is over.
fn tear_down(workload: &Workload, driver: &mut Driver<Workload>) {
    let Some(id) = driver.framework().filter(|id| workload.book.lock().framework.as_ref() == Some(*id))
    else {
        return;
    };
    workload.truth.tears_down(id);
    workload.truth.count("frameworks torn down by themselves");
    driver.teardown();
}

/// A task that runs, as far as it knows, its executor and its agent.
fn running(workload: &mut Workload) -> Option<(String, v1::ExecutorId, v1::AgentId)> {
    let book = workload.book.lock();
    let running = book.tasks.iter().filter(|(_, entry)| entry.state == Some(TaskState::TaskRunning));
    let running: Vec<_> = running.filter_map(|(id, entry)| Some((id, entry.agent.as_ref()?))).collect();
    let (id, agent) = running.choose(&mut workload.random)?;
    Some(((*id).clone(), workload.executor_of(id), (*agent).clone()))
}

/// SHUTDOWN of its executors on agents where all its tasks are over, as far as it knows.
pub fn release(workload: &Workload, driver: &mut Driver<Workload>) {
    let book = workload.book.lock();
    let mut idle = BTreeMap::new();
    for entry in book.tasks.values() {
        if let Some(agent) = &entry.agent {
            *idle.entry(agent.value.clone()).or_insert(true) &= entry.is_over();
        }
    }
    drop(book);
    for (value, _) in idle.into_iter().filter(|(_, idle)| *idle) {
        // All its tasks share one.
        driver.shutdown(&workload.executor_of(""), &v1::AgentId { value });
        workload.truth.count("idle executors shut down");
    }
}

/// UPDATE_FRAMEWORK: another address of its pages each time, other roles suppressed, and sometimes one of several roles less,
/// an agent that it does not want to be offered, or a failover time-out that may be over before its scheduler is back from
/// wherever it is.
fn describe(workload: &mut Workload, driver: &mut Driver<Workload>) {
    let avoided = (workload.random.random_range(0..2) == 0)
        .then(|| format!("a{}", workload.random.random_range(0..workload.agents)));
    let is_brief = workload.random.random_range(0..BRIEF) == 0;
    let brief = is_brief.then(|| workload.random.random_range(ABSENCES));
    let may_give_up = workload.random.random_range(0..GIVES_UP) == 0;
    let roles = Some(roles(workload.number)).filter(|roles| may_give_up && roles.len() > 1);
    let given_up = roles.and_then(|roles| roles.choose(&mut workload.random).copied());
    let mut book = workload.book.lock();
    book.described += 1;
    book.given_up = given_up;
    book.avoided = avoided;
    book.brief = brief.map(Duration::from_secs);
    drop(book);
    send_description(workload, driver);
    workload.truth.count("frameworks described anew");
    if given_up.is_some() {
        workload.truth.count("frameworks that gave up a role");
    }
    if is_brief {
        workload.truth.count("frameworks with a brief failover time-out");
    }
}

/// What it has said of itself last: its call may have been lost, or was that of an earlier scheduler that has been taken
/// over from without having noticed.
pub fn send_description(workload: &Workload, driver: &mut Driver<Workload>) {
    let book = workload.book.lock();
    if book.described == 0 {
        return;
    }
    let roles = roles_now(workload.number, &book);
    let suppressed = book.described as usize % roles.len();
    let suppressed_roles = match workload.style.suppresses && !workload.is_due_in(&book) {
        true => roles[..=suppressed].iter().map(ToString::to_string).collect(),
        false => Vec::new(),
    };
    let framework_info = framework(workload.number, workload.style, &book);
    let update = call::UpdateFramework {
        offer_constraints: book.avoided.as_deref().map(|host| without(host, &framework_info)),
        framework_info,
        suppressed_roles,
    };
    driver.call(Call {
        r#type: Some(call::Type::UpdateFramework.into()),
        update_framework: Some(update),
        ..Default::default()
    });
}

/// What a scheduler says when it subscribes, beside its framework's description: as long as it has said nothing else since,
/// it must be heeded.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Roles that want no offers.
    pub suppressed: Vec<String>,
    /// A host that it does not want to be offered.
    pub avoided: Option<String>,
    /// How often the framework had described itself before: not since, or something else holds.
    described: u32,
    /// When it was subscribed first.
    pub heard: Option<Duration>,
}

impl Said {
    /// What a new scheduler of a framework says. What the framework has said of itself before goes on.
    pub fn draw(number: usize, style: Style, book: &Book, agents: usize, random: &mut SmallRng) -> Said {
        let suppresses = random.random() && style.suppresses && book.described == 0;
        let count = random.random_range(1..=roles(number).len());
        let host = format!("a{}", random.random_range(0..agents));
        let avoided = match book.described {
            0 => Some(host).filter(|_| random.random_range(0..3) == 0),
            _ => book.avoided.clone(),
        };
        let suppressed = roles(number).iter().take(count).filter(|_| suppresses);
        Said {
            suppressed: suppressed.map(ToString::to_string).collect(),
            avoided,
            described: book.described,
            heard: None,
        }
    }

    /// The same, for the library.
    pub fn tell(&self, options: &mut Options) {
        options.suppressed_roles = self.suppressed.clone();
        options.offer_constraints = self.avoided.as_deref().map(|host| without(host, &options.framework));
    }

    /// What of an offer for a role is not as it was said, if it is not one of before.
    pub fn contradicts(&self, offer: &v1::Offer, role: &str, book: &Book, now: Duration) -> Option<String> {
        let is_late = self.heard.is_some_and(|heard| now - heard > ON_ITS_WAY);
        if !is_late || book.described != self.described {
            return None;
        }
        if self.suppressed.iter().any(|suppressed| suppressed == role) {
            return Some(format!("for {role}, which it has suppressed when it subscribed"));
        }
        let avoided = self.avoided.as_ref().filter(|host| **host == offer.hostname);
        avoided.map(|host| format!("of {host}, which it has excluded when it subscribed"))
    }
}

/// No offers of this host, in any role of a framework that describes itself so. There are several ways to say it.
fn without(host: &str, framework: &v1::FrameworkInfo) -> OfferConstraints {
    use attribute_constraint::predicate::{Exists, NotExists, TextNotEquals, TextNotMatches};
    use attribute_constraint::selector::PseudoattributeType;
    use attribute_constraint::{Predicate, Selector};
    let pseudo = |which: PseudoattributeType| Selector {
        pseudoattribute_type: Some(which.into()),
        ..Default::default()
    };
    let name = Selector { attribute_name: Some(NAME_ATTRIBUTE.to_owned()), ..Default::default() };
    let is_not = TextNotEquals { value: host.to_owned() };
    let is_not = Predicate { text_not_equals: Some(is_not), ..Default::default() };
    let fits_not = TextNotMatches { regex: host.to_owned() };
    let fits_not = Predicate { text_not_matches: Some(fits_not), ..Default::default() };
    let is_there = Predicate { exists: Some(Exists {}), ..Default::default() };
    let is_nowhere = Predicate { not_exists: Some(NotExists {}), ..Default::default() };
    let (hostname, zone) = (pseudo(PseudoattributeType::Hostname), pseudo(PseudoattributeType::Zone));
    let groups = match host.bytes().last().unwrap_or_default() % 4 {
        0 => vec![vec![(hostname, is_not)]],
        1 => vec![vec![(hostname, fits_not)]],
        2 => vec![vec![(name, is_not)]],
        // Wherever else it is, or is said not to be.
        _ => vec![
            vec![(zone.clone(), is_there), (hostname, is_not)],
            vec![(zone, is_nowhere), (name, fits_not)],
        ],
    };
    let constraint = |(selector, predicate)| AttributeConstraint { selector, predicate };
    let group = |all: Vec<_>| offer_constraints::role_constraints::Group {
        attribute_constraints: all.into_iter().map(constraint).collect(),
    };
    let of_role = offer_constraints::RoleConstraints { groups: groups.into_iter().map(group).collect() };
    let roles = framework_roles(framework).into_iter();
    let role_constraints = roles.map(|role| (role, of_role.clone())).collect();
    OfferConstraints { role_constraints }
}

/// RECONCILE_OPERATIONS: of one that it has sent or of none by that name, and of those that it was not answered before;
/// or of all.
fn ask_for_operations(workload: &mut Workload, driver: &mut Driver<Workload>) {
    let mut book = workload.book.lock();
    if workload.random.random_range(0..3) > 0 && book.names > 0 {
        let name = format!("o{}.{}", workload.number, workload.random.random_range(0..=book.names));
        book.ask([name], workload.network.elapsed());
        drop(book);
        return repeat_questions(workload, driver);
    }
    drop(book);
    reconcile_operations(Vec::new(), driver);
}

/// Operations whose state it has asked for without an answer: the question or the answer may have been lost. Every other time
/// it says which agents they were for, as far as it knows.
pub fn repeat_questions(workload: &Workload, driver: &mut Driver<Workload>) {
    let book = workload.book.lock();
    let open = book.asked.keys().filter(|name| name.starts_with('o'));
    let open = open.map(|name| call::reconcile_operations::Operation {
        operation_id: v1::OperationId { value: name.clone() },
        agent_id: workload.ledger.agent_of(name).filter(|_| workload.ticks.is_multiple_of(2)),
        ..Default::default()
    });
    let open: Vec<_> = open.collect();
    drop(book);
    if !open.is_empty() {
        reconcile_operations(open, driver);
    }
}

fn reconcile_operations(
    operations: Vec<call::reconcile_operations::Operation>,
    driver: &mut Driver<Workload>,
) {
    driver.call(Call {
        r#type: Some(call::Type::ReconcileOperations.into()),
        reconcile_operations: Some(call::ReconcileOperations { operations }),
        ..Default::default()
    });
}

/// ACCEPT_INVERSE_OFFERS or DECLINE_INVERSE_OFFERS.
pub fn answer(workload: &mut Workload, driver: &mut Driver<Workload>, offers: Vec<v1::InverseOffer>) {
    let inverse_offer_ids = offers.into_iter().map(|offer| offer.id).collect();
    let filters = Some(v1::Filters { refuse_seconds: Some(20.0) });
    driver.call(if workload.random.random() {
        Call {
            r#type: Some(call::Type::AcceptInverseOffers.into()),
            accept_inverse_offers: Some(call::AcceptInverseOffers { inverse_offer_ids, filters }),
            ..Default::default()
        }
    } else {
        Call {
            r#type: Some(call::Type::DeclineInverseOffers.into()),
            decline_inverse_offers: Some(call::DeclineInverseOffers { inverse_offer_ids, filters }),
            ..Default::default()
        }
    });
    workload.truth.count("inverse offers answered");
}

/// How much time a task gets to end that is killed: what it says itself, or this.
pub fn policy(workload: &mut Workload) -> Option<v1::KillPolicy> {
    let grace_period = Some(v1::DurationInfo { nanoseconds: GRACE });
    let is_said: bool = workload.random.random();
    is_said.then_some(v1::KillPolicy { grace_period })
}
