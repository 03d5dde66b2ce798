//! What a master's answer to a reader says of the cluster, in whichever form, and whether it agrees with itself
//! ([`Invariant::ReadsAgree`](super::invariant::Invariant::ReadsAgree)).

use std::collections::{BTreeMap, BTreeSet};

use mesos::Enum;
use mesos::tasks::is_terminal;
use mesos::v1::master::Response;
use mesos::v1::{self, TaskState};
use serde_json::Value;

/// Amounts of resources that are numbers, by name, in thousandths; none that is zero.
type Amounts = BTreeMap<String, i64>;

/// Volumes that are shared, by their ids, and how large each is, in thousandths.
type Shared = BTreeMap<String, i64>;

/// The name of the only resource that can be shared.
const DISK: &str = "disk";

/// What is said of the cluster. What an answer does not speak of is `None`.
#[derive(Debug, Default)]
pub struct Reading {
    /// Registered agents.
    agents: Option<Vec<Holder>>,
    /// Agents that are awaited.
    recovered: Vec<String>,
    /// Agents of the registry: admitted ones, unreachable ones, and gone ones.
    registered: Vec<String>,
    /// Registered frameworks.
    frameworks: Option<Vec<Holder>>,
    /// Frameworks that are over.
    completed: Vec<String>,
    /// Tasks, with those that are over or unreachable.
    tasks: Option<Vec<Held>>,
    executors: Option<Vec<Held>>,
    /// Agents by whether they are active, as they were counted.
    counted: Option<(i64, i64)>,
    /// It does not tell what is shared from what is not: in sums that counts once, however many hold it.
    blurs_shared: bool,
}

/// An agent or a framework.
#[derive(Debug, Default)]
struct Holder {
    id: String,
    used: Uses,
    offered: Uses,
    is_active: bool,
    /// Of a framework: its offers, by their agents.
    offers: Vec<(String, Uses)>,
}

/// Resources that are used or offered.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Uses {
    alone: Amounts,
    /// Where that is told apart.
    shared: Shared,
}

/// A task or an executor.
#[derive(Debug, Default)]
struct Held {
    framework: String,
    agent: String,
    id: String,
    /// None of a task that is over or unreachable.
    uses: Uses,
}

impl Reading {
    /// The answer to a call.
    pub fn of_call(response: Response) -> Reading {
        let mut reading = Reading::default();
        let state = response.get_state.unwrap_or_default();
        if let Some(agents) = response.get_agents.or(state.get_agents) {
            reading.agents = Some(agents.agents.iter().map(agent).collect());
            let recovered = agents.recovered_agents.into_iter();
            reading.recovered = recovered.filter_map(|info| Some(info.id?.value)).collect();
        }
        if let Some(frameworks) = response.get_frameworks.or(state.get_frameworks) {
            reading.frameworks = Some(frameworks.frameworks.iter().map(framework).collect());
            let completed = frameworks.completed_frameworks.into_iter();
            reading.completed =
                completed.filter_map(|framework| Some(framework.framework_info.id?.value)).collect();
        }
        if let Some(tasks) = response.get_tasks.or(state.get_tasks) {
            let over = tasks.unreachable_tasks.iter().chain(&tasks.completed_tasks);
            let over = over.map(|task| Held { uses: Uses::default(), ..held(task) });
            reading.tasks = Some(tasks.tasks.iter().map(held).chain(over).collect());
        }
        if let Some(executors) = response.get_executors.or(state.get_executors) {
            let executors = executors.executors.into_iter().map(|executor| Held {
                framework: executor.executor_info.framework_id.map(|id| id.value).unwrap_or_default(),
                agent: executor.agent_id.value,
                id: executor.executor_info.executor_id.value,
                uses: uses(&executor.executor_info.resources),
            });
            reading.executors = Some(executors.collect());
        }
        reading
    }

    /// The answer of an older endpoint.
    pub fn of_endpoint(answer: &Value) -> Reading {
        let mut reading = Reading { blurs_shared: true, ..Reading::default() };
        if let Some(agents) = answer["slaves"].as_array() {
            reading.agents = Some(agents.iter().map(holder).collect());
            reading.recovered = list(answer, "recovered_slaves").map(|agent| text(agent, "id")).collect();
        }
        if let Some(frameworks) = answer["frameworks"].as_array() {
            reading.frameworks = Some(frameworks.iter().map(holder).collect());
            reading.completed = list(answer, "completed_frameworks").map(|of| text(of, "id")).collect();
            let all = || frameworks.iter().chain(list(answer, "completed_frameworks"));
            // The summary does not list them.
            if all().all(|framework| framework["tasks"].is_array()) {
                reading.tasks = Some(all().flat_map(tasks_of).collect());
                let executors = all().flat_map(|framework| list(framework, "executors"));
                reading.executors =
                    Some(executors.map(|executor| held_in(executor, "executor_id")).collect());
            }
        } else if let Some(tasks) = answer["tasks"].as_array() {
            reading.tasks = Some(tasks.iter().map(|task| held_in(task, "id")).collect());
        }
        for kind in ["slaves", "unreachable", "gone"] {
            let of_kind = list(&answer[kind], "slaves");
            let id = |agent: &Value| {
                agent["info"]["id"]["value"].as_str().or(agent["id"]["value"].as_str()).map(str::to_owned)
            };
            reading.registered.extend(of_kind.filter_map(id));
        }
        if let (Some(active), Some(inactive)) =
            (answer["activated_slaves"].as_f64(), answer["deactivated_slaves"].as_f64())
        {
            reading.counted = Some((active as i64, inactive as i64));
        }
        reading
    }

    /// The first thing in which it does not agree with itself.
    pub fn contradiction(&self) -> Option<String> {
        self.repetition().or_else(|| self.miscount()).or_else(|| self.wrong_sum())
    }

    /// Something that is listed twice.
    fn repetition(&self) -> Option<String> {
        let ids = |holders: &'_ Option<Vec<Holder>>| -> Vec<String> {
            holders.iter().flatten().map(|holder| holder.id.clone()).collect()
        };
        let whole = |held: &Held| format!("{} of {}", held.id, held.framework);
        let executors = self.executors.iter().flatten();
        let lists: [(&str, Vec<String>); 5] = [
            ("registered agent", self.registered.clone()),
            ("agent", ids(&self.agents).into_iter().chain(self.recovered.iter().cloned()).collect()),
            ("framework", ids(&self.frameworks).into_iter().chain(self.completed.iter().cloned()).collect()),
            ("task", self.tasks.iter().flatten().map(whole).collect()),
            ("executor", executors.map(|held| format!("{} on {}", whole(held), held.agent)).collect()),
        ];
        lists.into_iter().find_map(|(kind, ids)| {
            let mut seen = BTreeSet::new();
            let again = ids.into_iter().find(|id| !seen.insert(id.clone()))?;
            Some(format!("the {kind} {again} is listed twice"))
        })
    }

    /// Agents that were counted, and are not listed so.
    fn miscount(&self) -> Option<String> {
        let ((active, inactive), agents) = (self.counted?, self.agents.as_ref()?);
        let listed = agents.iter().filter(|agent| agent.is_active).count() as i64;
        let all = agents.len() as i64;
        (listed != active || all != active + inactive).then(|| {
            format!(
                "{active} agents are active and {inactive} are not, {listed} of {all} are listed as active"
            )
        })
    }

    /// An agent or a framework that does not hold what its tasks and executors do, or is not offered what its offers are.
    fn wrong_sum(&self) -> Option<String> {
        let (agents, frameworks) = (self.agents.as_ref()?, self.frameworks.as_ref()?);
        let (tasks, executors) = (self.tasks.as_ref()?, self.executors.as_ref()?);
        let (mut used, mut offered) = (BTreeMap::<&str, Uses>::new(), BTreeMap::<&str, Uses>::new());
        for held in tasks.iter().chain(executors) {
            used.entry(&held.agent).or_default().add(&held.uses);
            used.entry(&held.framework).or_default().add(&held.uses);
        }
        for framework in frameworks {
            for (agent, resources) in &framework.offers {
                offered.entry(agent).or_default().add(resources);
                offered.entry(&framework.id).or_default().add(resources);
            }
        }
        let none = Uses::default();
        agents.iter().chain(frameworks).find_map(|holder| {
            let id = holder.id.as_str();
            let (used, offered) = (used.get(id).unwrap_or(&none), offered.get(id).unwrap_or(&none));
            if !self.is_sum(&holder.used, used) {
                return Some(format!("{id} uses {:?}, its tasks and executors {used:?}", holder.used));
            }
            (!self.is_sum(&holder.offered, offered))
                .then(|| format!("{id} has {:?} in offers, its offers have {offered:?}", holder.offered))
        })
    }

    /// Whether the parts add up to this.
    fn is_sum(&self, whole: &Uses, parts: &Uses) -> bool {
        if !self.blurs_shared {
            return whole == parts;
        }
        let disk = |of: &Uses| of.alone.get(DISK).copied().unwrap_or_default();
        let others =
            |of: &Uses| of.alone.iter().filter(|(name, _)| *name != DISK).map(own).collect::<Amounts>();
        let (least, most) = (i64::from(disk(parts) > 0), disk(parts));
        others(whole) == others(parts) && (least..=most).contains(&disk(whole))
    }
}

fn own((name, amount): (&String, &i64)) -> (String, i64) {
    (name.clone(), *amount)
}

impl Uses {
    fn add(&mut self, other: &Uses) {
        for (name, amount) in &other.alone {
            *self.alone.entry(name.clone()).or_default() += amount;
        }
        self.shared.extend(other.shared.iter().map(own));
    }
}

fn thousandths(amount: f64) -> i64 {
    (amount * 1000.0).round() as i64
}

// ---- calls

fn uses(resources: &[v1::Resource]) -> Uses {
    let mut uses = Uses::default();
    for resource in resources {
        let Some(scalar) = &resource.scalar else { continue };
        let amount = thousandths(scalar.value);
        let volume = resource.disk.as_ref().and_then(|disk| disk.persistence.as_ref());
        match volume.filter(|_| resource.shared.is_some()) {
            Some(volume) => drop(uses.shared.insert(volume.id.clone(), amount)),
            None => *uses.alone.entry(resource.name.clone()).or_default() += amount,
        }
    }
    uses.alone.retain(|_, amount| *amount != 0);
    uses
}

fn agent(of: &v1::master::response::get_agents::Agent) -> Holder {
    Holder {
        id: of.agent_info.id.as_ref().map(|id| id.value.clone()).unwrap_or_default(),
        used: uses(&of.allocated_resources),
        offered: uses(&of.offered_resources),
        is_active: of.active,
        offers: Vec::new(),
    }
}

fn framework(of: &v1::master::response::get_frameworks::Framework) -> Holder {
    let offers = of.offers.iter().map(|offer| (offer.agent_id.value.clone(), uses(&offer.resources)));
    Holder {
        id: of.framework_info.id.as_ref().map(|id| id.value.clone()).unwrap_or_default(),
        used: uses(&of.allocated_resources),
        offered: uses(&of.offered_resources),
        is_active: of.active,
        offers: offers.collect(),
    }
}

fn held(task: &v1::Task) -> Held {
    Held {
        framework: task.framework_id.value.clone(),
        agent: task.agent_id.value.clone(),
        id: task.task_id.value.clone(),
        uses: if is_terminal(task.state()) { Uses::default() } else { uses(&task.resources) },
    }
}

// ---- endpoints

fn list<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of[key].as_array().into_iter().flatten()
}

fn text(of: &Value, key: &str) -> String {
    of[key].as_str().unwrap_or_default().to_owned()
}

/// Resources that are no numbers are texts.
fn numbers(resources: &Value) -> Uses {
    let numbers = resources.as_object().into_iter().flatten();
    let numbers = numbers.filter_map(|(name, amount)| Some((name.clone(), thousandths(amount.as_f64()?))));
    Uses { alone: numbers.filter(|(_, amount)| *amount != 0).collect(), shared: Shared::new() }
}

fn holder(of: &Value) -> Holder {
    let offers = list(of, "offers").map(|offer| (text(offer, "slave_id"), numbers(&offer["resources"])));
    Holder {
        id: text(of, "id"),
        used: numbers(&of["used_resources"]),
        offered: numbers(&of["offered_resources"]),
        is_active: of["active"].as_bool().unwrap_or_default(),
        offers: offers.collect(),
    }
}

fn held_in(of: &Value, id: &str) -> Held {
    let state = of["state"].as_str().and_then(TaskState::from_name);
    let uses = if state.is_some_and(is_terminal) { Uses::default() } else { numbers(&of["resources"]) };
    Held { framework: text(of, "framework_id"), agent: text(of, "slave_id"), id: text(of, id), uses }
}

/// All tasks of a framework.
fn tasks_of(framework: &Value) -> impl Iterator<Item = Held> {
    let over = list(framework, "unreachable_tasks").chain(list(framework, "completed_tasks"));
    let over = over.map(|task| Held { uses: Uses::default(), ..held_in(task, "id") });
    list(framework, "tasks").map(|task| held_in(task, "id")).chain(over)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// One agent, on which a task and its executor run, and which is offered to their framework.
    fn state() -> Value {
        json!({
            "activated_slaves": 1.0, "deactivated_slaves": 0.0,
            "slaves": [{ "id": "a", "active": true,
                "used_resources": { "cpus": 0.3, "mem": 32.0, "ports": "[1-2]" },
                "offered_resources": { "cpus": 2.0, "mem": 0.0 } }],
            "frameworks": [{ "id": "f", "active": true,
                "used_resources": { "cpus": 0.3, "mem": 32.0 },
                "offered_resources": { "cpus": 2.0 },
                "offers": [{ "slave_id": "a", "resources": { "cpus": 2.0 } }],
                "tasks": [
                    { "id": "1", "framework_id": "f", "slave_id": "a", "state": "TASK_RUNNING", "resources": { "cpus": 0.2 } },
                    { "id": "2", "framework_id": "f", "slave_id": "a", "state": "TASK_FAILED", "resources": { "cpus": 0.2 } },
                ],
                "unreachable_tasks": [], "completed_tasks": [],
                "executors": [{ "executor_id": "e", "framework_id": "f", "slave_id": "a", "resources": { "cpus": 0.1, "mem": 32.0 } }],
            }],
        })
    }

    fn wrong(change: impl FnOnce(&mut Value)) -> Option<String> {
        let mut state = state();
        change(&mut state);
        Reading::of_endpoint(&state).contradiction()
    }

    #[test]
    fn an_answer_that_contradicts_itself_is_noticed() {
        assert_eq!(wrong(|_| ()), None);
        let is_wrong = |change: &dyn Fn(&mut Value), said: &str| {
            let found = wrong(|state| change(state)).unwrap_or_default();
            assert!(found.contains(said), "{found:?} does not say {said:?}");
        };
        let task = state()["frameworks"][0]["tasks"][0].clone();
        is_wrong(
            &|state| state["frameworks"][0]["completed_tasks"] = json!([task]),
            "task 1 of f is listed twice",
        );
        is_wrong(&|state| state["completed_frameworks"] = json!([{ "id": "f", "tasks": [] }]), "framework f");
        is_wrong(&|state| state["recovered_slaves"] = json!([{ "id": "a" }]), "agent a is listed twice");
        is_wrong(&|state| state["deactivated_slaves"] = json!(1.0), "1 of 1 are listed as active");
        let registry = json!({
            "slaves": { "slaves": [{ "info": { "id": { "value": "a" } } }] },
            "gone": { "slaves": [{ "id": { "value": "b" } }, { "id": { "value": "a" } }] },
        });
        let found = Reading::of_endpoint(&registry).contradiction();
        assert_eq!(found.as_deref(), Some("the registered agent a is listed twice"));
        is_wrong(&|state| state["slaves"][0]["used_resources"]["cpus"] = json!(0.5), "a uses");
        is_wrong(&|state| state["frameworks"][0]["used_resources"]["mem"] = json!(0), "f uses");
        is_wrong(&|state| state["slaves"][0]["offered_resources"]["mem"] = json!(1), "a has");
        is_wrong(&|state| state["frameworks"][0]["offers"] = json!([]), "a has");
    }

    /// Two tasks with one volume: whoever holds both has it once.
    #[test]
    fn what_is_shared_counts_once() {
        let shares = |disk: i64| {
            wrong(|state| {
                let task = &mut state["frameworks"][0]["tasks"][0];
                task["resources"]["disk"] = json!(64);
                let mut other = task.clone();
                other["id"] = json!("3");
                other["resources"] = json!({ "disk": 64 });
                state["frameworks"][0]["tasks"].as_array_mut().unwrap().push(other);
                state["frameworks"][0]["used_resources"]["disk"] = json!(disk);
                state["slaves"][0]["used_resources"]["disk"] = json!(disk);
            })
        };
        assert_eq!((shares(64), shares(128)), (None, None));
        assert!(shares(0).unwrap().contains("uses"));
        assert!(shares(129).unwrap().contains("uses"));
        // A call tells it apart.
        let volume = |id: &str| {
            let mut volume = super::super::reserving::volume_on(&super::super::reserving::disk(), id);
            volume.shared = Some(v1::resource::SharedInfo::default());
            volume
        };
        let once = uses(&[volume("v"), volume("v")]);
        assert_eq!((once.alone.len(), once.shared.len()), (0, 1));
        let mut sum = Uses::default();
        for id in ["v", "v", "w"] {
            sum.add(&uses(&[volume(id)]));
        }
        assert_eq!(sum, uses(&[volume("v"), volume("w")]));
        let exactly = Reading::default();
        assert!(exactly.is_sum(&once, &uses(&[volume("v")])) && !exactly.is_sum(&once, &sum));
    }

    #[test]
    fn what_a_call_answers_is_read_as_what_an_endpoint_does() {
        use v1::master::response::{GetAgents, GetTasks, get_agents};
        let cpus = v1::Resource {
            name: "cpus".into(),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value: 0.2 }),
            ..Default::default()
        };
        let info = v1::AgentInfo { id: Some(v1::AgentId { value: "a".into() }), ..Default::default() };
        let of = get_agents::Agent {
            agent_info: info,
            allocated_resources: vec![cpus.clone()],
            ..Default::default()
        };
        let task =
            v1::Task { resources: vec![cpus], state: TaskState::TaskRunning.into(), ..Default::default() };
        let twice = vec![task.clone(), task.clone()];
        let of_tasks = |tasks| Response {
            get_tasks: Some(GetTasks { tasks, ..Default::default() }),
            ..Default::default()
        };
        assert_eq!(Reading::of_call(of_tasks(vec![task.clone()])).contradiction(), None);
        assert!(Reading::of_call(of_tasks(twice)).contradiction().is_some());
        let agents = GetAgents { agents: vec![of.clone(), of], ..Default::default() };
        let response = Response { get_agents: Some(agents), ..Default::default() };
        assert!(Reading::of_call(response).contradiction().is_some());
        assert_eq!(held(&task).uses.alone, Amounts::from([("cpus".to_owned(), 200)]));
    }
}
