//! Clusters of real processes whose every connection is behind TLS, and executors on a Unix socket.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::path::Path;
use std::process::Output;

use integration::secrets::Secrets;
use integration::{AgentSpec, Cluster, beside, binary, command};
use libprocess::http::{Client, ClientRequest};

/// Runs `mesos execute` with these variables; blocks until it ends.
fn execute(binary: &Path, master: &str, environment: Vec<(String, String)>) -> Output {
    command(binary)
        .args(["execute", master, "--name=t", "--command=echo hello"])
        .envs(environment)
        .output()
        .unwrap()
}

/// A task runs to its end, and its sandbox can be read at the URL that is printed.
async fn runs_a_task(cluster: &Cluster, secrets: &Secrets) {
    let (master, environment) = (format!("--master={}", cluster.master()), secrets.environment());
    let output = beside(move || execute(&binary::mesos(), &master, environment)).await;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("TASK_FINISHED"), "{printed}");
    let agent = cluster.agent_at(0);
    let url = printed.split_whitespace().find(|word| word.contains("/files/")).unwrap();
    let path = url.split_once(&agent.to_string()).unwrap().1.trim_end_matches(['\'', '"', '.']);
    assert!(url.contains("https://"), "{url}");
    let (status, content) = cluster.get_text(agent, path).await.unwrap();
    assert!(status == 200 && content.contains("hello"), "{content}");
}

/// Upstream: `SchedulerSSLTest.RunTaskAndTeardown`.
#[test]
fn a_cluster_behind_tls_runs_a_task_whose_executor_speaks_tls() {
    libprocess::run(async {
        let secrets = Secrets::new();
        let mut cluster = secrets.cluster();
        cluster.add_master(&[]).await;
        let told = serde_json::Map::from_iter(
            secrets.environment().into_iter().map(|(name, value)| (name, value.into())),
        );
        let told = serde_json::Value::Object(told);
        let spec = AgentSpec::new("cpus:2;mem:512");
        cluster.add_agent(&spec.with(&format!("--executor_environment_variables={told}")));
        cluster.wait_for_agents(1).await;
        runs_a_task(&cluster, &secrets).await;

        // Nobody else is let in.
        let stranger = Client::new();
        let ask = |scheme| ClientRequest::get(format!("{scheme}://{}/state", cluster.master()));
        assert_eq!(stranger.send(ask("http")).await.unwrap().status.as_u16(), 400);
        assert!(stranger.send(ask("https")).await.unwrap_err().to_string().contains("TLS"));
    });
}

/// Upstream: `CommandExecutorTest.ExecutorDomainSockets`.
#[test]
fn executors_that_know_nothing_of_tls_speak_through_a_unix_socket() {
    libprocess::run(async {
        let secrets = Secrets::new();
        let mut cluster = secrets.cluster();
        cluster.add_master(&[]).await;
        cluster.add_agent(&AgentSpec::new("cpus:2;mem:512").with("--http_executor_domain_sockets"));
        cluster.wait_for_agents(1).await;
        runs_a_task(&cluster, &secrets).await;
        assert!(cluster.agent_work_dir(0).join("agent.sock").exists());
    });
}

#[test]
fn a_daemon_does_not_start_with_variables_that_are_no_good_and_says_why() {
    let secrets = Secrets::new();
    for (name, value, part) in [
        ("LIBPROCESS_SSL_KEY_FILE", "/nowhere/key.pem", "/nowhere/key.pem"),
        ("LIBPROCESS_SSL_ENABLE_TLS_V1_0", "true", "RFC 8996"),
        ("LIBPROCESS_SSL_VERIFY_CLIENT", "true", "there is no variable LIBPROCESS_SSL_VERIFY_CLIENT"),
    ] {
        let mut environment = secrets.environment();
        environment.retain(|(known, _)| known != name);
        environment.push((name.to_owned(), value.to_owned()));
        let output = execute(&binary::mesos(), "--master=127.0.0.1:1", environment);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && errors.contains(part), "{errors}");
    }
}
