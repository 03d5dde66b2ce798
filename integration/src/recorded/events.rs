//! How the events of a stream differ from those that genuine Mesos sent on it.
//!
//! The first is the answer to SUBSCRIBE, and is compared as other answers are ([`super::compare`]). Of those behind it
//! are compared the keys and their types, what a status or an error says, and the place:
//!
//! | events | what is compared of their number and order |
//! |---|---|
//! | HEARTBEAT | Whether there is one. They come by the clock, and steps take another time than they did. |
//! | OFFERS | Whether there is one. How many there are depends on how often the allocator has been there. |
//! | an UPDATE that came before | Nothing: it comes again by the clock, until it is acknowledged. |
//! | UPDATE, TASK_UPDATED | All of a task, in order, and that its framework is there. Agents and executors send them when they are so far, so that those of different tasks come in any order. |
//! | others | All, in order: the master sends them when a call is done, and each call waits for the one before. |

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::compare::shapes;
use super::shape::Shape;
use super::translation::Translation;

/// Kinds of which the number says nothing.
pub const ANY_NUMBER: &[&str] = &["HEARTBEAT", "OFFERS"];

/// What was told: an event, or all events of a kind of which the number says nothing.
struct Told<'a> {
    kind: &'a str,
    /// Its kind, whom it is about, and the state of a task.
    label: String,
    events: Vec<&'a Value>,
    task: Option<&'a str>,
    framework: Option<&'a str>,
}

impl<'a> Told<'a> {
    fn new(event: &'a Value) -> Self {
        let (kind, what) = (kind(event), what(event));
        let text = |pointer: &str| what.pointer(pointer).and_then(Value::as_str);
        let task = text("/task/task_id/value").or(text("/status/task_id/value"));
        let framework = text("/framework/framework_info/name").or(text("/framework_info/name"));
        let parts = [Some(kind), framework, task, text("/status/state")];
        let label = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        Self { kind, label, events: vec![event], task, framework }
    }

    fn any_number(&self) -> bool {
        ANY_NUMBER.contains(&self.kind)
    }

    /// Sent by the master when it does what a call asks for.
    fn by_a_call(&self) -> bool {
        !self.any_number() && !["UPDATE", "TASK_UPDATED"].contains(&self.kind)
    }

    /// A task's life, within that of its framework.
    fn of_task(&self, task: &str) -> bool {
        self.task == Some(task) || self.framework.is_some()
    }
}

/// The kind of an event.
pub fn kind(event: &Value) -> &str {
    event["type"].as_str().unwrap_or_default()
}

/// The kind of an event, whom it is about, and the state of a task.
pub fn label(event: &Value) -> String {
    Told::new(event).label
}

/// What an event says beside its kind.
fn what(event: &Value) -> &Value {
    &event[kind(event).to_lowercase()]
}

/// What differs, in short; empty if nothing does.
pub fn differences(theirs: &[Value], ours: &[Value], translation: &Translation) -> Vec<String> {
    let (theirs, ours) = (told(theirs), told(ours));
    let ((theirs, lacking), (ours, more)) = (split(&theirs, &ours), split(&ours, &theirs));
    let mut found = Vec::new();
    for (word, list) in [("lacks", lacking), ("more", more)] {
        if !list.is_empty() {
            found.push(format!("{word} {}", labels(&list)));
        }
    }
    found.extend(order(&theirs, &ours));
    found.extend(contents(&theirs, &ours, translation));
    found
}

fn told(events: &[Value]) -> Vec<Told<'_>> {
    let mut list: Vec<Told<'_>> = Vec::new();
    let mut updates = BTreeSet::new();
    for event in events {
        let new = Told::new(event);
        let uuid = what(event)["status"]["uuid"].as_str();
        if new.kind == "UPDATE" && uuid.is_some_and(|uuid| !updates.insert(uuid)) {
            continue;
        }
        match list.iter_mut().find(|told| told.any_number() && told.kind == new.kind) {
            Some(told) => told.events.push(event),
            None => list.push(new),
        }
    }
    list
}

/// Those of `these` that are among `those` as well, and those that are not, or more often.
fn split<'b, 'a>(these: &'b [Told<'a>], those: &[Told<'_>]) -> (Vec<&'b Told<'a>>, Vec<&'b Told<'a>>) {
    let mut left: Vec<&str> = those.iter().map(|told| told.label.as_str()).collect();
    these.iter().partition(|told| {
        let found = left.iter().position(|label| *label == told.label);
        found.map(|at| left.swap_remove(at)).is_some()
    })
}

fn labels(list: &[&Told<'_>]) -> String {
    list.iter().map(|told| told.label.as_str()).collect::<Vec<_>>().join(", ")
}

/// Where one comes that should come later. Both sides have the same events.
fn order(theirs: &[&Told<'_>], ours: &[&Told<'_>]) -> BTreeSet<String> {
    let between = |belongs: &dyn Fn(&Told<'_>) -> bool| {
        let of = |list: &[&Told<'_>]| -> Vec<String> {
            list.iter().filter(|told| belongs(told)).map(|told| told.label.clone()).collect()
        };
        let (theirs, ours) = (of(theirs), of(ours));
        let (expected, early) = theirs.iter().zip(&ours).find(|(theirs, ours)| theirs != ours)?;
        Some(format!("{early} comes before {expected}"))
    };
    let tasks: BTreeSet<&str> = theirs.iter().filter_map(|told| told.task).collect();
    let of_tasks = tasks.into_iter().filter_map(|task| between(&|told| told.of_task(task)));
    of_tasks.chain(between(&|told| told.by_a_call())).collect()
}

/// What events have otherwise. Those that have the same otherwise are named together.
fn contents(theirs: &[&Told<'_>], ours: &[&Told<'_>], translation: &Translation) -> Vec<String> {
    let mut ours = ours.to_vec();
    let mut found: BTreeMap<String, Vec<&Told<'_>>> = BTreeMap::new();
    for &theirs in theirs {
        let Some(at) = ours.iter().position(|ours| ours.label == theirs.label) else { continue };
        let ours = ours.remove(at);
        let shape = |told: &Told<'_>| Shape::of_all(told.events.iter().copied());
        let mut differs = shapes(&shape(theirs), &shape(ours));
        if !theirs.any_number() {
            differs.extend(words(theirs.events[0], ours.events[0], translation));
        }
        if !differs.is_empty() {
            found.entry(differs.join("; ")).or_default().push(theirs);
        }
    }
    found.into_iter().map(|(differs, list)| format!("{}: {differs}", labels(&list))).collect()
}

/// What an error, or the status of a task, says otherwise: to the letter, but for ids and addresses. (That it says nothing
/// is told by its keys.)
pub fn words(theirs: &Value, ours: &Value, translation: &Translation) -> Vec<String> {
    let mut found = Vec::new();
    for pointer in ["/message", "/status/message", "/status/source", "/status/reason"] {
        let text = |event: &Value| what(event).pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        if let (Some(theirs), Some(ours)) = (text(theirs), text(ours).map(|ours| translation.back(&ours)))
            && theirs != ours
        {
            found.push(format!("'{ours}', not '{theirs}'"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn between(theirs: &[Value], ours: &[Value]) -> Vec<String> {
        differences(theirs, ours, &Translation::default())
    }

    fn framework(kind: &str, name: &str) -> Value {
        let info = json!({ "framework_info": { "name": name } });
        match kind {
            "FRAMEWORK_REMOVED" => json!({ "type": kind, "framework_removed": info }),
            _ => json!({ "type": kind, kind.to_lowercase(): { "framework": info } }),
        }
    }

    fn added(task: &str) -> Value {
        json!({ "type": "TASK_ADDED", "task_added": { "task": { "task_id": { "value": task } } } })
    }

    fn updated(task: &str, state: &str) -> Value {
        let status = json!({ "task_id": { "value": task }, "state": state });
        json!({ "type": "TASK_UPDATED", "task_updated": { "status": status } })
    }

    fn update(uuid: &str, state: &str) -> Value {
        let status = json!({ "task_id": { "value": "t" }, "state": state, "uuid": uuid });
        json!({ "type": "UPDATE", "update": { "status": status } })
    }

    fn offers(key: &str) -> Value {
        json!({ "type": "OFFERS", "offers": { "offers": [{ key: 1 }] } })
    }

    fn life() -> Vec<Value> {
        vec![
            framework("FRAMEWORK_ADDED", "f"),
            added("a"),
            added("b"),
            updated("a", "TASK_RUNNING"),
            updated("b", "TASK_RUNNING"),
            updated("a", "TASK_FINISHED"),
            framework("FRAMEWORK_REMOVED", "f"),
        ]
    }

    #[test]
    fn the_updates_of_different_tasks_come_in_any_order() {
        let mut ours = life();
        ours.swap(3, 4);
        assert_eq!(between(&life(), &ours), Vec::<String>::new());
        ours = life();
        ours.swap(2, 3);
        assert_eq!(between(&life(), &ours), Vec::<String>::new());
    }

    #[test]
    fn what_calls_do_and_what_a_task_does_stands_in_order() {
        let swapped = |one: usize, other: usize| {
            let mut ours = life();
            ours.swap(one, other);
            between(&life(), &ours)
        };
        assert_eq!(swapped(1, 2), ["TASK_ADDED b comes before TASK_ADDED a"]);
        let late = ["TASK_UPDATED a TASK_FINISHED comes before TASK_UPDATED a TASK_RUNNING"];
        assert_eq!(swapped(3, 5), late);
        assert_eq!(swapped(5, 6), ["FRAMEWORK_REMOVED f comes before TASK_UPDATED a TASK_FINISHED"]);
    }

    #[test]
    fn what_lacks_and_what_is_more_is_named() {
        let mut ours = life();
        ours.remove(5);
        ours.push(updated("c", "TASK_LOST"));
        ours.push(added("b"));
        let found = ["lacks TASK_UPDATED a TASK_FINISHED", "more TASK_UPDATED c TASK_LOST, TASK_ADDED b"];
        assert_eq!(between(&life(), &ours), found);
    }

    #[test]
    fn what_comes_by_the_clock_is_not_counted() {
        let beat = json!({ "type": "HEARTBEAT" });
        let theirs = [beat.clone(), offers("id"), update("1", "TASK_RUNNING")];
        let mut ours = vec![offers("id"), offers("id"), beat.clone(), beat.clone()];
        ours.extend([update("2", "TASK_RUNNING"), beat, update("2", "TASK_RUNNING")]);
        assert_eq!(between(&theirs, &ours), Vec::<String>::new());
        ours.push(update("3", "TASK_RUNNING"));
        assert_eq!(between(&theirs, &ours), ["more UPDATE t TASK_RUNNING"]);
        assert_eq!(between(&theirs, &ours[2..5]), ["lacks OFFERS"]);
        assert_eq!(between(&theirs[..1], &ours[..3]), ["more OFFERS"]);
    }

    #[test]
    fn keys_and_words_of_each_event_are_compared() {
        let mut ours = [added("a"), update("1", "TASK_LOST"), added("b"), offers("id"), offers("name")];
        let mut theirs = ours.clone();
        theirs[4] = offers("id");
        for task in [0, 2] {
            theirs[task]["task_added"]["task"]["x"] = json!(1);
        }
        theirs[1]["update"]["status"]["reason"] = json!("ONE");
        ours[1]["update"]["status"]["reason"] = json!("OTHER");
        let found = [
            "UPDATE t TASK_LOST: 'OTHER', not 'ONE'",
            "TASK_ADDED a, TASK_ADDED b: lacks task_added.task.x",
            "OFFERS: more offers.offers[].name",
        ];
        assert_eq!(between(&theirs, &ours), found);
    }
}
