//! The list of what may differ: `integration/recorded/differences.tsv`.
//!
//! A line for each pair: group, name, kind, reason, what differs. The last column is written by the test
//! (`UPDATE_DOCS=1`), and must be what it sees.

use std::collections::BTreeMap;
use std::path::PathBuf;

use parking_lot::Mutex;

/// A pair that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `on purpose`, or `pending` if it will be as upstream's one day.
    pub kind: String,
    /// A sentence.
    pub reason: String,
    /// In short.
    pub what: String,
}

/// Group and name of a pair.
pub type Id = (String, String);

/// All listed pairs.
pub type Differences = BTreeMap<Id, Difference>;

const KINDS: &[&str] = &["on purpose", "pending"];
const UNKNOWN: &str = "?";
const HEAD: &str = "group\tname\tkind\treason\twhat differs\n";

fn path() -> PathBuf {
    super::folder().join("differences.tsv")
}

/// The list as it is written.
///
/// # Panics
/// When a line has not five columns.
pub fn read() -> Differences {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    let parse = |line: &str| {
        let columns: [&str; 5] = line.split('\t').collect::<Vec<_>>().try_into().expect("five columns");
        let [group, name, kind, reason, what] = columns.map(str::to_owned);
        ((group, name), Difference { kind, reason, what })
    };
    text.lines().skip(1).map(parse).collect()
}

fn write(list: &Differences) {
    let mut text = HEAD.to_owned();
    for ((group, name), Difference { kind, reason, what }) in list {
        text.push_str(&format!("{group}\t{name}\t{kind}\t{reason}\t{what}\n"));
    }
    std::fs::write(path(), text).expect("the repository is ours");
}

/// What a run saw: all pairs that were sent, and how they differ (empty if not).
pub type Seen = BTreeMap<Id, Vec<String>>;

/// What is wrong with the list after this run: pairs that differ and are not listed, are listed and do not differ, or
/// differ otherwise than it says. With `UPDATE_DOCS` the list is brought up to date first; reasons remain to be written.
pub fn check(seen: &Seen) -> Vec<String> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    let mut list = read();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        update(&mut list, seen);
        write(&list);
    }
    wrong(&list, seen)
}

fn short(found: &[String]) -> String {
    found.join("; ").replace(['\t', '\n', '\r'], " ")
}

fn update(list: &mut Differences, seen: &Seen) {
    for (id, found) in seen {
        if found.is_empty() {
            list.remove(id);
            continue;
        }
        let unknown = Difference { kind: UNKNOWN.into(), reason: UNKNOWN.into(), what: String::new() };
        list.entry(id.clone()).or_insert(unknown).what = short(found);
    }
}

fn wrong(list: &Differences, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((group, name), found) in seen {
        let id = format!("{group} {name}");
        match list.get(&(group.clone(), name.clone())) {
            None if found.is_empty() => {}
            None => wrong.push(format!("{id} is not listed: {}", short(found))),
            Some(_) if found.is_empty() => wrong.push(format!("{id} does not differ any more")),
            Some(listed) if listed.what != short(found) => {
                wrong.push(format!("{id}: {}\n    listed: {}", short(found), listed.what));
            }
            Some(listed) if !KINDS.contains(&listed.kind.as_str()) => {
                wrong.push(format!("{id}: say why, {}: {}", KINDS.join(" or "), listed.what));
            }
            Some(_) => {}
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> Id {
        ("g".to_owned(), name.to_owned())
    }

    fn listed(kind: &str, what: &str) -> Difference {
        Difference { kind: kind.into(), reason: "because".into(), what: what.into() }
    }

    #[test]
    fn the_list_must_be_exact() {
        let list = Differences::from([
            (id("gone"), listed("pending", "x")),
            (id("right"), listed("on purpose", "x; y")),
            (id("other"), listed("pending", "x")),
            (id("without reason"), listed("?", "x")),
        ]);
        let seen = Seen::from([
            (id("gone"), vec![]),
            (id("right"), vec!["x".into(), "y".into()]),
            (id("other"), vec!["z".into()]),
            (id("without reason"), vec!["x".into()]),
            (id("new"), vec!["x".into()]),
            (id("equal"), vec![]),
        ]);
        let wrong = wrong(&list, &seen);
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        assert!(wrong.iter().all(|line| !line.contains("right") && !line.contains("equal")), "{wrong:?}");
    }

    #[test]
    fn bringing_it_up_to_date_keeps_the_reasons() {
        let mut list =
            Differences::from([(id("a"), listed("pending", "x")), (id("b"), listed("pending", "x"))]);
        update(&mut list, &Seen::from([(id("a"), vec!["y".into()]), (id("b"), vec![])]));
        assert_eq!(list, Differences::from([(id("a"), listed("pending", "y"))]));
    }
}
