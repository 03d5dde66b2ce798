//! Checks `UPSTREAM_TESTS.md`: no case of upstream's has got lost, and every test that it names exists.
//!
//! Upstream's sources are not in this repository. What stands for them is the table itself, and how many
//! cases each of upstream's files has.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const TABLE: &str = "UPSTREAM_TESTS.md";

/// How many cases there are in each of upstream's files: lines that begin with `TEST` or `TEST_F` in
/// `apache/mesos/src/tests` at upstream's last commit.
const CASES: [(&str, usize); 3] =
    [("group_tests.cpp", 12), ("zookeeper_url_tests.cpp", 1), ("master_contender_detector_tests.cpp", 14)];

/// What begins the reason of a row without a test.
const REASON: &str = "none: ";

/// A row: upstream's test, `Suite.Name`, and what stands beside it.
#[derive(Debug)]
struct Row {
    upstream: String,
    ours: String,
}

#[derive(Debug, PartialEq)]
enum Ours {
    /// Paths of files, from this crate, each with the name of a function in it.
    Tests(Vec<(String, String)>),
    Reason,
}

impl Row {
    /// `None` if it is none of them.
    fn ours(&self) -> Option<Ours> {
        if let Some(reason) = self.ours.strip_prefix(REASON) {
            return (reason.trim().len() > 10).then_some(Ours::Reason);
        }
        // Tests stand in back quotes; a remark may follow them.
        let quoted = self.ours.split('`').skip(1).step_by(2);
        let tests = quoted.filter_map(|text| text.split_once("::"));
        let tests: Vec<_> = tests.map(|(path, name)| (path.to_owned(), name.to_owned())).collect();
        (self.ours.starts_with('`') && !tests.is_empty()).then_some(Ours::Tests(tests))
    }
}

/// The rows of each section, by the heading's file name.
fn sections() -> BTreeMap<String, Vec<Row>> {
    let mut sections: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let mut section = None;
    for line in read(TABLE).lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = Some(heading.trim().to_owned());
            continue;
        }
        let Some(row) = line.strip_prefix("| `") else { continue };
        let (upstream, ours) = row.split_once("` | ").unwrap();
        let row = Row { upstream: upstream.into(), ours: ours.trim_end_matches('|').trim().into() };
        sections.entry(section.clone().unwrap()).or_default().push(row);
    }
    sections
}

/// The text of a file, from this crate.
fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn no_case_of_upstreams_is_lost_or_there_twice() {
    let sections = sections();
    assert_eq!(sections.len(), CASES.len());
    for (file, cases) in CASES {
        let rows = sections.get(file).unwrap_or_else(|| panic!("no section for {file}"));
        let names: BTreeSet<&str> = rows.iter().map(|row| &*row.upstream).collect();
        assert_eq!(names.len(), rows.len(), "{file} has a case twice");
        assert_eq!(rows.len(), cases, "cases of {file}");
        assert!(names.iter().all(|name| name.contains('.')), "{file}: a case is `Suite.Name`");
    }
}

#[test]
fn every_row_names_tests_that_exist_or_gives_a_reason() {
    let mut mistakes = Vec::new();
    for row in sections().into_values().flatten() {
        match row.ours() {
            None => mistakes.push(format!("{}: neither a test nor a reason: {}", row.upstream, row.ours)),
            Some(Ours::Reason) => {}
            Some(Ours::Tests(tests)) => {
                for (path, name) in tests {
                    let source = read(&path);
                    let is_test = comment_above(&source, &name).contains("#[test]");
                    if !source.contains(&format!("fn {name}(")) || !is_test {
                        mistakes.push(format!("{}: no test {name} in {path}", row.upstream));
                    }
                }
            }
        }
    }
    assert!(mistakes.is_empty(), "{mistakes:#?}");
}

/// From upstream's name to ours there is the table; from ours to upstream's a comment at the test.
#[test]
fn every_test_of_the_table_says_which_of_upstreams_it_is() {
    let mut mistakes = Vec::new();
    for row in sections().into_values().flatten() {
        let Some(Ours::Tests(tests)) = row.ours() else { continue };
        let name = row.upstream.split_once('.').unwrap().1.to_owned();
        for (path, test) in tests {
            let comments = comment_above(&read(&path), &test);
            if ![format!("`{name}`"), format!("`{}`", row.upstream)].iter().any(|it| comments.contains(it)) {
                mistakes.push(format!("{path}::{test} does not mention `{name}`"));
            }
        }
    }
    assert!(mistakes.is_empty(), "{mistakes:#?}");
}

/// The lines above a function, down from the empty line before its comment.
fn comment_above(source: &str, name: &str) -> String {
    let before = source.split(&format!("fn {name}(")).next().unwrap_or_default();
    before.rsplit("\n\n").next().unwrap_or_default().to_owned()
}
