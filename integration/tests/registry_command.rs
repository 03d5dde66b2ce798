//! `mesos registry`: a registry moves from one store to another, and masters go on with it.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs::File;
use std::path::{Path, PathBuf};

use integration::etcd::Etcd;
use integration::zookeeper::ZooKeeper;
use integration::{AgentSpec, Cluster, beside, binary, command, wait};
use libprocess::http::ClientRequest;
use serde_json::{Value, json};

/// What `mesos registry` printed, or what it said when it failed.
async fn registry(words: &[&str]) -> Result<String, String> {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    beside(move || {
        let output = command(binary::mesos()).arg("registry").args(&words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    })
    .await
}

/// Ids of agents, roles with quotas and roles with weights.
fn content(registry: &str) -> [Vec<String>; 3] {
    let registry: Value = serde_json::from_str(registry).unwrap();
    let all = |list: &Value, pointer: &str| {
        let list = list.as_array().cloned().unwrap_or_default();
        list.iter().map(|entry| entry.pointer(pointer).unwrap().as_str().unwrap().to_owned()).collect()
    };
    [
        all(&registry["slaves"]["slaves"], "/info/id/value"),
        all(&registry["quota_configs"], "/role"),
        all(&registry["weights"], "/info/role"),
    ]
}

async fn set_quota_and_weight(cluster: &Cluster) {
    let config = json!({ "role": "eng", "limits": { "cpus": { "value": 2.0 } } });
    let weight = json!({ "role": "eng/ops", "weight": 2.5 });
    for call in [
        json!({ "type": "UPDATE_QUOTA", "update_quota": { "force": true, "quota_configs": [config] } }),
        json!({ "type": "UPDATE_WEIGHTS", "update_weights": { "weight_infos": [weight] } }),
    ] {
        let request = ClientRequest::post(format!("http://{}/api/v1", cluster.master()))
            .header("Content-Type", "application/json")
            .body(call.to_string());
        let response = cluster.client().send(request).await.unwrap();
        assert!(response.status.is_success(), "{}", response.text(1 << 20).await.unwrap());
    }
}

/// A master knows what was moved to where it keeps its registry.
async fn a_master_knows(cluster: &mut Cluster, flags: &[&str], moved: &[Vec<String>; 3]) {
    cluster.add_master(flags).await;
    let master = cluster.master();
    let shown = wait::until("the master to know its registry", async || {
        let (_, text) = cluster.get_text(master, "/registrar(1)/registry").await?;
        if text.contains("\"master\"") { Ok(text) } else { Err(text) }
    })
    .await;
    assert_eq!(content(&shown), *moved);
}

/// A backup that is not there must not look like one.
#[test]
fn a_registry_that_could_not_be_shown_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (file, work_dir) = (folder.path().join("file"), folder.path().join("work"));
    std::fs::write(&file, "{}").unwrap();
    let call = |words: &[&str]| {
        let mut command = command(binary::mesos());
        command.arg("registry").args(words).arg(format!("--work_dir={}", work_dir.display()));
        command
    };
    assert!(call(&["import", file.to_str().unwrap()]).status().unwrap().success());
    // Exported into a pipe it is the registry, and nothing else.
    let output = call(&["export", "/dev/stdout"]).output().unwrap();
    let exported: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && exported.is_object(), "{exported}");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = call(&["show"]).stdout(full).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("standard output: No space left"), "{errors}");
}

/// What is not one is neither shown as an empty registry nor made one.
#[test]
fn nothing_becomes_a_registry_that_was_none() {
    let folder = tempfile::tempdir().unwrap();
    let (text, work_dir) = (folder.path().join("text"), folder.path().join("work"));
    let call = |words: &[&str]| {
        let mut command = command(binary::mesos());
        let output =
            command.arg("registry").args(words).arg(format!("--work_dir={}", work_dir.display())).output();
        let output = output.unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    std::fs::write(&text, r#"{"weights":[{"info":{"role":"a","weight":-1}}]}"#).unwrap();
    let refused = call(&["import", text.to_str().unwrap()]);
    assert!(refused.contains("text: 'weight/a' is not valid: Invalid weight '-1'"), "{refused}");
    assert!(!work_dir.exists());
    assert!(call(&["show"]).contains("(no file registry.redb)"));

    let file = work_dir.join("registry.redb");
    std::fs::create_dir(&work_dir).unwrap();
    File::create(&file).unwrap();
    assert!(call(&["show"]).contains("(registry.redb is empty)"));
    assert!(call(&["export", text.to_str().unwrap()]).contains("(registry.redb is empty)"));
    assert_eq!(file.metadata().unwrap().len(), 0);
}

async fn moves_and_comes_back(store: &str) {
    let (mut first, folder) = (Cluster::empty(), tempfile::tempdir().unwrap());
    let file = |name: &str| -> String { folder.path().join(name).display().to_string() };
    first.add_master(&[]).await;
    first.add_agent(&AgentSpec::new("cpus:1;mem:64"));
    first.wait_for_agents(1).await;
    set_quota_and_weight(&first).await;
    let old = format!("--work_dir={}", first.folder().join("master-1").display());

    // Its master runs.
    let refused = registry(&["show", &old]).await.unwrap_err();
    assert!(refused.contains("another master uses it"), "{refused}");
    first.master_process(0).terminate();
    let shown = registry(&["show", &old]).await.unwrap();
    let moved = content(&shown);
    assert_eq!(moved.each_ref().map(Vec::len), [1, 1, 1], "{shown}");
    let said = registry(&["export", &file("a"), &old]).await.unwrap();
    assert!(said.contains("agents: 1,") && said.contains("weights: 1, quotas: 1"), "{said}");

    let (there, misspelt) = (format!("--zk={store}"), format!("--zk={store}x"));
    // Nothing that looks like a copy is made of what is not there.
    for words in [vec!["show", &misspelt], vec!["export", &file("none"), &misspelt]] {
        let refused = registry(&words).await.unwrap_err();
        assert!(refused.contains(&format!("there is no registry in {store}x")), "{refused}");
    }
    assert!(!folder.path().join("none").exists());
    registry(&["import", &file("a"), &there]).await.unwrap();
    assert_eq!(content(&registry(&["show", &there]).await.unwrap()), moved);
    let refused = registry(&["import", &file("a"), &there]).await.unwrap_err();
    assert!(refused.contains("is not empty") && refused.contains("--replace"), "{refused}");
    registry(&["import", &file("a"), &there, "--replace"]).await.unwrap();

    let mut second = Cluster::found_at(store);
    a_master_knows(&mut second, &["--zk_session_timeout=2secs"], &moved).await;
    let refused = registry(&["import", &file("a"), &there, "--replace"]).await.unwrap_err();
    assert!(refused.contains("masters use"), "{refused}");
    // It may be read all the same.
    registry(&["export", &file("b"), &there]).await.unwrap();
    second.master_process(0).terminate();

    let exported = std::fs::read_to_string(folder.path().join("b")).unwrap();
    assert_eq!(content(&exported), moved);
    let mut third = Cluster::empty();
    let into = format!("--work_dir={}", third.folder().join("master-1").display());
    registry(&["import", &file("b"), &into]).await.unwrap();
    a_master_knows(&mut third, &[], &moved).await;
}

#[test]
fn a_registry_moves_to_zookeeper_and_back() {
    libprocess::run(async {
        let Some(zookeeper) = ZooKeeper::start().await else { return };
        moves_and_comes_back(&zookeeper.url()).await;
    });
}

#[test]
fn a_registry_moves_to_etcd_and_back() {
    libprocess::run(async {
        let Some(etcd) = Etcd::start().await else { return };
        moves_and_comes_back(&etcd.url()).await;
    });
}

#[test]
fn what_cannot_be_done_is_said_in_one_line() {
    libprocess::run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| -> PathBuf { folder.path().join(name) };
        let flag = |path: &Path| format!("--work_dir={}", path.display());
        std::fs::write(path("bad"), r#"{"slaves":{"slaves":[]},"colour":"red"}"#).unwrap();
        let (bad, here) = (path("bad").display().to_string(), flag(&path("none")));
        for (words, said) in [
            (vec!["show", &here], "there is no registry in"),
            (vec!["show"], "--work_dir=DIR, or --zk=URL"),
            (vec!["show", "--work_dir=/x", "--zk=zk://h/m"], "either --work_dir or --zk"),
            (vec!["show", "--zk=h:1"], "expected zk://"),
            (vec!["show", &here, "--replace"], "--replace is only for import"),
            (vec!["import", &here], "which file?"),
            (vec!["export", &here, "/nowhere/file"], "(mesos registry export FILE, "),
            (vec!["import", "/nowhere/file", &here], "/nowhere/file: "),
            (vec!["import", &bad, &here], "does not know what 'colour' is"),
            (vec!["burn"], "there is no 'burn'"),
        ] {
            let error = registry(&words).await.unwrap_err();
            assert!(error.contains(said) && error.trim().lines().count() == 1, "{words:?}: {error}");
        }
        // Nothing was made by looking.
        assert!(!path("none").exists());
    });
}
