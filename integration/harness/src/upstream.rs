//! `UPSTREAM_TESTS.md` of a crate: no case of upstream's has got lost, and every test that it names exists.
//!
//! Upstream's sources are not in this repository. What stands for them is the table itself, and how many cases each of
//! upstream's files has. It reads files and fails the test that calls it.

#![allow(clippy::panic, reason = "it fails a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const TABLE: &str = "UPSTREAM_TESTS.md";

/// What begins the reason of a row without a test.
const REASON: &str = "none: ";

/// A table, and what it must have.
#[derive(Debug, Clone)]
pub struct Table {
    /// The crate's directory: `env!("CARGO_MANIFEST_DIR")`.
    pub directory: PathBuf,
    /// How many rows each of upstream's files has.
    pub cases: &'static [(&'static str, usize)],
    /// A case may be a whole file: a benchmark, or one that names the case at its beginning.
    pub whole_files: bool,
}

/// The tests of a crate's table: `upstream_table!(CASES, whole_files: false)`, with what [`Table`] has under these names.
#[macro_export]
macro_rules! upstream_table {
    ($cases:expr, whole_files: $whole_files:expr) => {
        fn table() -> $crate::upstream::Table {
            let directory = env!("CARGO_MANIFEST_DIR").into();
            $crate::upstream::Table { directory, cases: $cases, whole_files: $whole_files }
        }

        #[test]
        fn no_case_of_upstreams_is_lost_or_there_twice() {
            table().check_cases();
        }

        #[test]
        fn every_row_names_tests_that_exist_or_gives_a_reason() {
            table().check_tests();
        }

        #[test]
        fn every_test_of_the_table_says_which_of_upstreams_it_is() {
            table().check_comments();
        }
    };
}

/// A row: upstream's test, `Suite.Name`, and what stands beside it.
#[derive(Debug)]
pub struct Row {
    /// Upstream's.
    pub upstream: String,
    /// The cell with ours.
    pub ours: String,
}

/// What stands beside a case.
#[derive(Debug, PartialEq, Eq)]
pub enum Ours {
    /// Paths of files, from the crate, each with the name of a function in it.
    Tests(Vec<(String, String)>),
    /// Why there is none.
    Reason,
}

impl Row {
    /// `None` if it is none of them.
    pub fn ours(&self) -> Option<Ours> {
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

impl Table {
    /// Every case has one row, and each file its number of them.
    ///
    /// # Panics
    /// If not.
    pub fn check_cases(&self) {
        let sections = self.sections();
        assert_eq!(sections.len(), self.cases.len());
        for (file, cases) in self.cases {
            let rows = sections.get(*file).unwrap_or_else(|| panic!("no section for {file}"));
            let names: BTreeSet<&str> = rows.iter().map(|row| &*row.upstream).collect();
            assert_eq!(names.len(), rows.len(), "{file} has a case twice");
            assert_eq!(rows.len(), *cases, "cases of {file}");
            assert!(names.iter().all(|name| name.contains('.')), "{file}: a case is `Suite.Name`");
        }
    }

    /// Every row names tests that exist, or gives a reason.
    ///
    /// # Panics
    /// If not, with all that do not.
    pub fn check_tests(&self) {
        let mut mistakes = Vec::new();
        for row in self.rows() {
            match row.ours() {
                None => mistakes.push(format!("{}: neither a test nor a reason: {}", row.upstream, row.ours)),
                Some(Ours::Reason) => {}
                Some(Ours::Tests(tests)) => {
                    for (path, name) in tests {
                        let source = self.read(&path);
                        let above = comment_above(&source, &name);
                        let is_test = (self.whole_files && path.starts_with("benches/"))
                            || ["#[test]", "#[tokio::test]"].iter().any(|it| above.contains(it));
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
    ///
    /// # Panics
    /// If one is missing, with all that are.
    pub fn check_comments(&self) {
        let mut mistakes = Vec::new();
        for row in self.rows() {
            let Some(Ours::Tests(tests)) = row.ours() else { continue };
            let name = row.upstream.split_once('.').map_or("", |(_, name)| name);
            for (path, test) in tests {
                let source = self.read(&path);
                let mut comments = comment_above(&source, &test);
                if self.whole_files {
                    comments += source.split("\n\n").next().unwrap_or_default();
                }
                if ![format!("`{name}`"), format!("`{}`", row.upstream)]
                    .iter()
                    .any(|it| comments.contains(it))
                {
                    mistakes.push(format!("{path}::{test} does not mention `{name}`"));
                }
            }
        }
        assert!(mistakes.is_empty(), "{mistakes:#?}");
    }

    fn rows(&self) -> impl Iterator<Item = Row> {
        self.sections().into_values().flatten()
    }

    /// The rows of each section, by the heading's file name.
    fn sections(&self) -> BTreeMap<String, Vec<Row>> {
        let mut sections: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        let mut section = None;
        for line in self.read(TABLE).lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                section = Some(heading.trim().to_owned());
                continue;
            }
            let Some(row) = line.strip_prefix("| `") else { continue };
            let (Some((upstream, ours)), Some(section)) = (row.split_once("` | "), &section) else {
                panic!("not a row of a section: {line}")
            };
            let row = Row { upstream: upstream.into(), ours: ours.trim_end_matches('|').trim().into() };
            sections.entry(section.clone()).or_default().push(row);
        }
        sections
    }

    /// The text of a file, from the crate.
    fn read(&self, path: &str) -> String {
        let path = Path::new(&self.directory).join(path);
        #[allow(clippy::disallowed_methods, reason = "it is no actor")]
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

/// The lines above a function, down from the empty line before its comment.
fn comment_above(source: &str, name: &str) -> String {
    let before = source.split(&format!("fn {name}(")).next().unwrap_or_default();
    before.rsplit("\n\n").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_tests_or_reasons() {
        let ours = |text: &str| Row { upstream: "Suite.Case".into(), ours: text.into() }.ours();
        let test = |path: &str, name: &str| (path.to_owned(), name.to_owned());
        assert_eq!(ours("`tests/a.rs::b`"), Some(Ours::Tests(vec![test("tests/a.rs", "b")])));
        let two = Some(Ours::Tests(vec![test("tests/a.rs", "b"), test("src/c.rs", "d")]));
        assert_eq!(ours("`tests/a.rs::b`, `src/c.rs::d`; `e` differs"), two);
        assert_eq!(ours("none: upstream never runs it"), Some(Ours::Reason));
        for mistaken in ["", "none: ", "none", "pending", "b", "see `tests/a.rs::b`", "`tests/a.rs`"] {
            assert_eq!(ours(mistaken), None, "{mistaken}");
        }
    }
}
