//! What a person types: a cluster by hand, `mesos execute`, `mesos run`, and what they are told
//! when something is wrong.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use harness::example::example;
use integration::api_scheduler::{ApiScheduler, framework};
use integration::ports::Port;
use integration::{AgentSpec, Cluster, beside, binary, command, wait};
use libprocess::http::ClientRequest;
use libprocess::subprocess::{kill_tree, session_of};
use rustix::process::Signal;
use tempfile::TempDir;

/// Runs the binary with these words in a bare environment; blocks until it ends.
fn mesos(words: &[&str]) -> Output {
    called_as(&binary::mesos(), words, &[])
}

fn called_as(program: &Path, words: &[&str], environment: &[(&str, &str)]) -> Output {
    command(program).args(words).envs(environment.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asserts that a command ended with one line on stderr that has all these parts.
fn refused(output: &Output, parts: &[&str]) {
    let errors = text(&output.stderr);
    assert!(!output.status.success(), "it ended well: {}", text(&output.stdout));
    let lines: Vec<&str> = errors.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "one line was expected: {errors}");
    for part in parts {
        assert!(errors.contains(part), "'{part}' is not in: {errors}");
    }
}

#[test]
fn execute_runs_a_command_and_shows_where_its_output_is() {
    libprocess::run(async {
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:2;mem:512")]).await;
        let master = format!("--master={}", cluster.master());
        let output = beside(move || mesos(&["execute", &master, "--name=t", "--command=echo hello"])).await;
        let printed = text(&output.stdout);
        assert!(output.status.success(), "{printed}{}", text(&output.stderr));
        for state in ["TASK_RUNNING", "TASK_FINISHED"] {
            assert!(printed.contains(state), "{printed}");
        }
        // The sandbox can be read at the URL that it prints.
        let url = printed
            .split_whitespace()
            .find(|word| word.starts_with("http://") && word.contains("/files/"))
            .unwrap();
        let path = url
            .split_once(&cluster.agent_at(0).to_string())
            .map(|(_, path)| path.trim_end_matches(['\'', '"', '.']))
            .unwrap();
        let (status, content) = cluster.get_text(cluster.agent_at(0), path).await.unwrap();
        assert_eq!(status, 200, "{content}");
        assert!(content.contains("hello"), "{content}");

        let master = format!("--master={}", cluster.master());
        let output = beside(move || mesos(&["execute", &master, "--name=t", "--command=exit 3"])).await;
        assert!(!output.status.success());
        let printed = text(&output.stdout);
        assert!(printed.contains("TASK_FAILED") && printed.contains("status 3"), "{printed}");
    });
}

#[test]
fn the_binary_behaves_as_the_name_it_is_called_by() {
    libprocess::run(async {
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:2;mem:512")]).await;
        let folder = TempDir::new().unwrap();
        for name in ["mesos-master", "mesos-agent", "mesos-execute"] {
            std::os::unix::fs::symlink(binary::mesos(), folder.path().join(name)).unwrap();
        }
        for (name, part) in
            [("mesos-master", "--zk"), ("mesos-agent", "--containerizers"), ("mesos-execute", "--command")]
        {
            let help = called_as(&folder.path().join(name), &["--help"], &[]);
            assert!(text(&help.stdout).contains(part), "{name}: {}", text(&help.stdout));
        }
        let program = folder.path().join("mesos-execute");
        let master = format!("--master={}", cluster.master());
        let output = beside(move || called_as(&program, &[&master, "--name=t", "--command=true"], &[])).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
    });
}

#[test]
fn a_cluster_starts_from_files_from_the_environment_and_from_flags() {
    libprocess::run(async {
        let folder = TempDir::new().unwrap();
        let (master, agent) = (Port::reserve().unwrap(), Port::reserve().unwrap());
        let config = folder.path().join("master.toml");
        let work = folder.path().join("master");
        // The port of the file is wrong and the environment's is right: the later wins.
        std::fs::write(
            &config,
            format!("ip = \"127.0.0.1\"\nport = 1\nwork_dir = {work:?}\ncluster = \"from the file\"\n"),
        )
        .unwrap();
        let _master = integration::Daemon::start(
            "master",
            &binary::mesos(),
            vec!["master".into(), format!("--config={}", config.display())],
            vec![("MESOS_PORT".into(), master.address().port().to_string())],
            folder.path(),
        );
        let _agent = integration::Daemon::start(
            "agent",
            &binary::mesos(),
            vec!["agent".into(), format!("--port={}", agent.address().port())],
            vec![
                ("MESOS_MASTER".into(), master.address().to_string()),
                ("MESOS_IP".into(), "127.0.0.1".into()),
                ("MESOS_WORK_DIR".into(), folder.path().join("agent").display().to_string()),
                ("MESOS_RESOURCES".into(), "cpus:3;mem:300".into()),
                ("MESOS_ATTRIBUTES".into(), "rack:7".into()),
            ],
            folder.path(),
        );
        let cluster = Cluster::empty();
        let state = wait::until("the agent to be registered", async || {
            let state = cluster.get_at(master.address(), "/state").await?;
            if state["activated_slaves"] == 1.0 { Ok(state) } else { Err("no agent".to_owned()) }
        })
        .await;
        assert_eq!(state["cluster"], "from the file");
        assert_eq!(state["slaves"][0]["resources"]["cpus"], 3.0);
        assert_eq!(state["slaves"][0]["attributes"]["rack"], 7.0);
    });
}

#[test]
fn local_is_a_cluster_in_one_process() {
    libprocess::run(async {
        let folder = TempDir::new().unwrap();
        let port = Port::reserve().unwrap();
        let mut local = integration::Daemon::start(
            "local",
            &binary::mesos(),
            vec![
                "local".into(),
                "--agents=3".into(),
                "--ip=127.0.0.1".into(),
                format!("--port={}", port.address().port()),
                format!("--work_dir={}", folder.path().display()),
            ],
            Vec::new(),
            folder.path(),
        );
        let cluster = Cluster::empty();
        wait::until("three agents", async || {
            let state = cluster.get_at(port.address(), "/state").await?;
            if state["activated_slaves"] == 3.0 { Ok(()) } else { Err(state["activated_slaves"].to_string()) }
        })
        .await;
        // Without an agent that is told to end the others go on.
        let state = cluster.get_at(port.address(), "/state").await.unwrap();
        let gone = serde_json::json!({
            "type": "MARK_AGENT_GONE", "mark_agent_gone": { "agent_id": { "value": state["slaves"][0]["id"] } }
        });
        let request = ClientRequest::post(format!("http://{}/api/v1", port.address()))
            .header("Content-Type", "application/json")
            .body(gone.to_string());
        assert_eq!(cluster.client().send(request).await.unwrap().status, 200);
        wait::until("two agents and the master", async || {
            let state = cluster.get_at(port.address(), "/state").await?;
            if state["activated_slaves"] == 2.0 { Ok(()) } else { Err(state["activated_slaves"].to_string()) }
        })
        .await;
        let master = format!("--master={}", port.address());
        let output = beside(move || mesos(&["run", "sum", &master, "--tasks=4", "--terms=4000"])).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("7998000"), "{}", text(&output.stdout));
        // It has said where the pages are.
        let pages = format!("See http://{}/\n", port.address());
        assert!(local.log().contains(&pages), "{}", local.log());
        // A result that could not be written must not look like one.
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let master = format!("--master={}", port.address());
        let output = beside(move || {
            let words: [&str; 5] = ["run", "sum", &master, "--tasks=1", "--terms=10"];
            command(binary::mesos()).args(words).stdout(full).output().unwrap()
        })
        .await;
        let errors = text(&output.stderr);
        assert!(!output.status.success() && errors.contains("standard output: No space left"), "{errors}");
        assert_eq!(beside(move || local.terminate()).await, Some(0));
    });
}

/// Its agents have the ports that they had: with others, they would be other agents.
#[test]
fn local_goes_on_in_its_work_directory() {
    libprocess::run(async {
        let folder = TempDir::new().unwrap();
        let port = Port::reserve().unwrap();
        let words = vec![
            "local".into(),
            "--ip=127.0.0.1".into(),
            format!("--port={}", port.address().port()),
            format!("--work_dir={}", folder.path().display()),
        ];
        let mut local =
            integration::Daemon::start("local", &binary::mesos(), words, Vec::new(), folder.path());
        let words = ["execute", "--name=t", "--checkpoint", "--resources=cpus:0.1;mem:32"];
        let mut words: Vec<String> = words.map(str::to_owned).into();
        words.push(format!("--master={}", port.address()));
        let noted = folder.path().join("pid");
        words.push(format!("--command=echo $$ > {}; exec sleep 1000", noted.display()));
        let _execute =
            integration::Daemon::start("execute", &binary::mesos(), words, Vec::new(), folder.path());
        let pid = wait::until("the task", async || {
            let noted = std::fs::read_to_string(&noted).unwrap_or_default();
            noted.trim().parse::<i32>().map_err(|error| error.to_string())
        })
        .await;
        let cluster = Cluster::empty();
        let running = async || {
            let state = cluster.get_at(port.address(), "/state").await?;
            let (agent, task) = (&state["slaves"][0], &state["frameworks"][0]["tasks"][0]);
            if agent["active"] == true && task["state"] == "TASK_RUNNING" {
                Ok((agent["id"].clone(), agent["pid"].clone()))
            } else {
                Err(state.to_string())
            }
        };
        let before = wait::until("the agent with its task", async || running().await).await;
        let (mut local, ended) = beside(move || {
            let ended = local.terminate();
            (local, ended)
        })
        .await;
        assert_eq!(ended, Some(0));
        local.restart();
        let after = wait::until("the agent with its task again", async || running().await).await;
        assert_eq!(after, before);
        // The executor is the leader of its session.
        let executor = session_of(pid).unwrap();
        assert!(kill_tree(executor, Signal::KILL) >= 2);
        assert_eq!(beside(move || local.terminate()).await, Some(0));
    });
}

/// Also of a framework that checkpoints: its executor would wait for its agent to come back.
#[test]
fn what_runs_on_a_cluster_that_keeps_nothing_ends_with_it() {
    libprocess::run(async {
        let folder = TempDir::new().unwrap();
        let port = Port::reserve().unwrap();
        let mut local = integration::Daemon::start(
            "local",
            &binary::mesos(),
            vec!["local".into(), "--ip=127.0.0.1".into(), format!("--port={}", port.address().port())],
            Vec::new(),
            folder.path(),
        );
        let noted = folder.path().join("pid");
        let words = ["execute", "--name=t", "--checkpoint", "--resources=cpus:0.1;mem:32"];
        let mut words: Vec<String> = words.map(str::to_owned).into();
        words.push(format!("--master={}", port.address()));
        words.push(format!("--command=echo $$ > {}; exec sleep 1000", noted.display()));
        let _execute =
            integration::Daemon::start("execute", &binary::mesos(), words, Vec::new(), folder.path());
        let pid = wait::until("the task", async || {
            let noted = std::fs::read_to_string(&noted).unwrap_or_default();
            noted.trim().parse::<i32>().map_err(|error| error.to_string())
        })
        .await;
        assert_eq!(beside(move || local.terminate()).await, Some(0));
        let task = format!("/proc/{pid}/stat");
        wait::until("the end of the task", async || {
            let stat = std::fs::read_to_string(&task).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z") { Ok(()) } else { Err(stat) }
        })
        .await;
    });
}

#[test]
fn pi_comes_out_of_a_cluster_and_a_bad_expression_does_not_go_in() {
    libprocess::run(async {
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:4;mem:2048")]).await;
        let master = format!("--master={}", cluster.master());
        let again = master.clone();
        let output = beside(move || {
            mesos(&[
                "run",
                "integrate",
                &master,
                "--expression",
                "4*sqrt(1-x*x)",
                "--from",
                "0",
                "--to",
                "1",
                "--steps",
                "1000000",
            ])
        })
        .await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("3.14159"), "{}", text(&output.stdout));
        let output = beside(move || {
            mesos(&[
                "run",
                "integrate",
                &again,
                "--expression",
                "4*sqroot(x",
                "--from",
                "0",
                "--to",
                "1",
                "--steps",
                "10",
            ])
        })
        .await;
        refused(&output, &["4*sqroot(x"]);
        let state = cluster.leader_state().await.unwrap();
        assert_eq!(
            state["completed_frameworks"].as_array().unwrap().len(),
            1,
            "the second was never launched"
        );
    });
}

/// What a framework author reads first.
#[test]
fn the_example_of_a_framework_runs() {
    libprocess::run(async {
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:2;mem:512")]).await;
        let master = cluster.master().to_string();
        let output = beside(move || example("minimal").arg(master).output().unwrap()).await;
        let printed = text(&output.stdout);
        assert!(output.status.success(), "{printed}{}", text(&output.stderr));
        for line in ["mesos -> sosem", "actor -> rotca", "offer -> reffo", "mesos: TASK_RUNNING"] {
            assert!(printed.lines().any(|printed| printed == line), "'{line}' is not in:\n{printed}");
        }
    });
}

#[test]
fn explain_says_why_a_framework_gets_no_offers() {
    libprocess::run(async {
        let spec = AgentSpec::new("cpus:2;mem:512");
        let cluster = Cluster::start(&[], &[spec.clone(), spec]).await;
        let master = format!("--master={}", cluster.master());
        let explain = |words: &[&str]| {
            let words: Vec<String> = ["explain"]
                .iter()
                .chain(words)
                .chain([&master.as_str()])
                .map(|word| (*word).to_owned())
                .collect();
            beside(move || mesos(&words.iter().map(String::as_str).collect::<Vec<_>>()))
        };
        let mut batch = ApiScheduler::subscribe(cluster.master(), framework("batch", Duration::ZERO)).await;
        let mut offers = Vec::new();
        while offers.len() < 2 {
            let mut event = batch.event("OFFERS").await;
            offers.extend(std::mem::take(event["offers"]["offers"].as_array_mut().unwrap()));
        }
        batch.decline(&offers[0], 1000.0).await;
        batch.decline(&offers[1], 5000.0).await;
        let output = explain(&["batch"]).await;
        let printed = text(&output.stdout);
        assert!(output.status.success(), "{printed}{}", text(&output.stderr));
        let headline = format!("Framework 'batch' ({}), role '*': no offers, because", batch.framework_id);
        assert_eq!(printed.lines().next(), Some(headline.as_str()), "{printed}");
        let reason = "  2 of 2 agents  refused by it; the first filter ends in 16m";
        assert!(printed.contains(reason) && printed.contains("the last in 1h 23m"), "{printed}");
        assert!(printed.contains("cpus:4") && printed.contains("REVIVE"), "{printed}");

        // Another one takes them all, and answers nothing.
        let mut hoarder =
            ApiScheduler::subscribe(cluster.master(), framework("hoarder", Duration::ZERO)).await;
        hoarder.event("OFFERS").await;
        let id = batch.framework_id.clone();
        let printed = wait::until("the hoarder to hold all", async || {
            let printed = text(&explain(&[&id, "--role=*", "--agents=1"]).await.stdout);
            if printed.contains("2 of 2 agents  nothing free") { Ok(printed) } else { Err(printed) }
        })
        .await;
        let holder = "held by 'hoarder' (…-0001) in role '*' on 2 agents: ";
        assert!(printed.contains(holder) && printed.contains("offered and not answered yet"), "{printed}");
        assert!(printed.contains("One by one:"), "{printed}");
        let output = explain(&["batch", "--json"]).await;
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["roles"][0]["reasons"][0]["reason"], "nothing_free", "{answer:#}");

        refused(&explain(&["nobody"]).await, &["mesos explain: ", "'nobody'", "'batch'", "'hoarder'"]);
        refused(&explain(&["batch", "--role=a//b"]).await, &["role=a//b"]);
        refused(&explain(&[]).await, &["which framework?", "mesos explain FRAMEWORK"]);
        refused(&explain(&["--role=*", "batch"]).await, &["'batch'", "mesos explain FRAMEWORK"]);
        let (status, help) = cluster.get_text(cluster.master(), "/help/master").await.unwrap();
        assert!(status == 200 && help.contains("/allocator/explain"), "{help}");
    });
}

#[test]
fn what_stops_a_start_is_named_in_one_line() {
    let folder = TempDir::new().unwrap();
    let work = format!("--work_dir={}", folder.path().join("w").display());

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let port = format!("--port={}", address.port());
    refused(&mesos(&["master", "--ip=127.0.0.1", &port, &work]), &[&address.to_string(), "in use"]);

    let config = folder.path().join("master.toml");
    std::fs::write(&config, "wrok_dir = \"/tmp\"\n").unwrap();
    let named = format!("--config={}", config.display());
    refused(&mesos(&["master", &named]), &["wrok_dir", "work_dir", "master.toml"]);
    refused(&mesos(&["master", "--prot=5050"]), &["prot", "port"]);
    refused(&mesos(&["master", "--ip=127.0.0.1", "--port=notanumber", &work]), &["port", "notanumber"]);
    refused(
        &mesos(&["master", "--ip=127.0.0.1", "--port=0", "--registry=replicated_log", &work]),
        &["replicated_log", "local"],
    );
    refused(&mesos(&["master", "--ip=127.0.0.1", "--port=0", "--quorum=1", &work]), &["quorum"]);
    refused(&mesos(&["master", "--ip=127.0.0.1", "--port=0", "--modules=x.json", &work]), &["modules"]);
    refused(
        &mesos(&["agent", "--ip=127.0.0.1", "--port=0", "--master=127.0.0.1:1", "--work_dir=/proc/nothing"]),
        &["/proc/nothing", "work_dir"],
    );
    refused(&mesos(&["agent", "--ip=127.0.0.1", "--port=0", &work]), &["master"]);
    refused(
        &mesos(&[
            "agent",
            "--ip=127.0.0.1",
            "--port=0",
            "--master=127.0.0.1:1",
            "--resources=cpus:many",
            &work,
        ]),
        &["resources", "cpus:many"],
    );
    refused(&mesos(&["flie"]), &["flie"]);
}

/// As the agent that started it reads it, to say which of several files it was.
#[test]
fn a_fetcher_says_with_a_tab_what_it_could_not_fetch_and_why() {
    let sandbox = TempDir::new().unwrap();
    let path = sandbox.path().display();
    let orders = format!(
        r#"{{"sandbox_directory": "{path}", "items": [{{"uri": {{"value": "/no/such/file"}}, "action": "BYPASS_CACHE"}}]}}"#
    );
    let output = called_as(&binary::mesos(), &["fetcher"], &[("MESOS_FETCHER_INFO", &orders)]);
    assert_eq!(output.status.code(), Some(1));
    let told = "/no/such/file\t'/no/such/file': No such file or directory (os error 2)\n";
    assert_eq!(text(&output.stderr), told);
}

/// As where the log of a daemon is on a full disk: it has failed, and not panicked.
#[test]
fn what_cannot_say_why_it_failed_has_failed() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let status =
        command(binary::mesos()).args(["master", "--no-such-setting"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(1));
}
