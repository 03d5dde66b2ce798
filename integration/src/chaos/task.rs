//! The task of all frameworks under fire: a command that writes down when it starts and when it ends, in a file that
//! has the task's name. Whoever started it twice would be seen there.

use std::collections::BTreeMap;
use std::path::Path;

/// What a task takes.
pub const RESOURCES: &str = "cpus:0.2;mem:32";

/// How long tasks take, in seconds: most are short, some live through several faults.
const SECONDS: [f64; 5] = [0.5, 1.0, 2.0, 4.0, 8.0];

/// One in so many fails.
const FAILS: usize = 11;

/// The command of the task with this number; it writes to `file`.
pub fn command(file: &Path, number: usize) -> String {
    let (seconds, file) = (SECONDS[number % SECONDS.len()], file.display());
    let exit = usize::from(number % FAILS == FAILS - 1);
    format!(
        "echo started $(date +%s.%N) >> {file}; sleep {seconds}; echo ended $(date +%s.%N) >> {file}; exit {exit}"
    )
}

/// What a task has done, with the times in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ran {
    /// When it started; more than once if somebody has started it again.
    pub started: Vec<f64>,
    /// When its command had done what it had to.
    pub ended: Vec<f64>,
}

/// What all tasks whose files are in this folder have done.
pub fn read(folder: &Path) -> BTreeMap<String, Ran> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            (entry.file_name().to_string_lossy().into_owned(), parse(&text))
        })
        .collect()
}

fn parse(text: &str) -> Ran {
    let mut ran = Ran::default();
    for line in text.lines() {
        let (what, at) = line.split_once(' ').unwrap_or((line, ""));
        let times = if what == "started" { &mut ran.started } else { &mut ran.ended };
        times.push(at.parse().unwrap_or(f64::NAN));
    }
    ran
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_writes_down_what_it_does() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for _ in 0..2 {
            let command = command(&folder.path().join("t"), 0);
            let status = std::process::Command::new("sh").args(["-c", &command]).status();
            assert!(status.expect("there is a shell").success());
        }
        let ran = &read(folder.path())["t"];
        assert_eq!((ran.started.len(), ran.ended.len()), (2, 2));
        assert!(ran.started[0] < ran.ended[0] && ran.ended[0] < ran.started[1]);
    }
}
