//! What the older endpoints answer is what `/openapi.json` says of it. That nothing else is answered, every test sees to that
//! reads one of them ([`super::Cluster::get`]).

use serde_json::Value;

use crate::openapi::check::Found;

/// Upstream's answers are as ours are described: what genuine Mesos answered was recorded (`integration/recorded`).
#[test]
fn what_upstream_answers_is_described_too() {
    let mut found = Found::default();
    let mut looked_at = 0;
    for file in ["endpoints", "auth", "mutating", "scheduler"] {
        let path = format!("{}/../integration/recorded/{file}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let recorded = std::fs::read_to_string(path).unwrap();
        for step in recorded.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            let is_read = step["node"] == "master" && step["method"] == "GET";
            let is_ok = step["status"].as_str().is_some_and(|status| status.contains(" 200 "));
            let Some(Ok(answer)) = step["response"].as_str().map(serde_json::from_str::<Value>) else {
                continue;
            };
            if is_read && is_ok {
                looked_at += usize::from(found.look_at(step["path"].as_str().unwrap(), &answer));
            }
        }
    }
    assert!(looked_at > 100, "{looked_at}");
    // Version 1 has no such field; upstream's JSON lets it through from version 0 (`differences.tsv`).
    found.wrong.retain(|wrong| !wrong.ends_with("/info/checkpoint: mesos.v1.AgentInfo has no such property"));
    assert_eq!(found.wrong, Vec::<String>::new());
}
