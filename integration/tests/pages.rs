//! The web pages (`web/`) in a browser, Debian's Chromium: what a person sees of a cluster. `./test` installs it.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use integration::api_scheduler::{ApiScheduler, command_task, framework, scalars};
use integration::etcd::Etcd;
use integration::{AgentSpec, Cluster, beside, command, wait};
use libprocess::http::ClientRequest;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use tempfile::TempDir;

fn browser() -> Option<OsString> {
    let browser = std::env::var_os("MESOS_TEST_BROWSER");
    if browser.is_none() {
        println!("skipped: MESOS_TEST_BROWSER names no Chromium (./test installs one)");
    }
    browser
}

/// What the browser makes of a page of the master, as HTML.
async fn see(cluster: &Cluster, browser: &OsString, page: &str) -> String {
    see_at(cluster.master(), browser, page).await
}

/// The same of this master: after ten seconds, which pass at once where nobody is waited for.
async fn see_at(master: SocketAddr, browser: &OsString, page: &str) -> String {
    let folder = TempDir::new().unwrap();
    let mut command = command("timeout");
    command.arg("60").arg(browser);
    command.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
    ]);
    command.arg(format!("--user-data-dir={}", folder.path().display()));
    command.args(["--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom"]);
    command.arg(format!("http://{master}/{page}"));
    let output = beside(move || command.output().unwrap()).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{page}: {}\n{errors}", output.status);
    // What scripts and the page's own rules complain of.
    assert!(!errors.contains("CONSOLE"), "{page}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_browser_shows_the_cluster_and_what_its_tasks_print() {
    libprocess::run(async {
        let Some(browser) = browser() else { return };
        let cluster = Cluster::start(&["--cluster=Köln"], &[AgentSpec::new("cpus:2;mem:512")]).await;
        // Names are shown as they are, whatever they would be as HTML.
        let mut scheduler =
            ApiScheduler::subscribe(cluster.master(), framework("<b>prints", Duration::ZERO)).await;
        let offer = scheduler.offer().await;
        let (number, agent) = (scheduler.framework_id.clone(), offer["agent_id"]["value"].as_str().unwrap());
        let command = "seq 1 30000; echo 'the <end>'; sleep 1000";
        scheduler.launch(&offer, &[command_task("<i>t", &offer, 1.0, 64.0, command)], 1000.0).await;
        scheduler.state("<i>t", "TASK_RUNNING").await;

        let overview = see(&cluster, &browser, "").await;
        let framework = format!("<a href=\"#/frameworks/{number}\">&lt;b&gt;prints</a>");
        for part in [
            "<title>Köln</title>",
            "<strong id=\"cluster\">Köln</strong>",
            "class=\"live\">live</span>",
            "<h2>Active tasks</h2><span class=\"quiet\">1 task</span>",
            &framework,
            "<td>&lt;i&gt;t</td>",
            "<span class=\"state running\">running</span></td><td>cpus 1, mem 64 MB</td>",
            "<strong>cpus</strong> 2",
            "1 used, 1 free",
            "running</span></dt><dd>1</dd>",
        ] {
            assert!(overview.contains(part), "'{part}' is not in {overview}");
        }

        // By the rest of the address. What is said of files comes from the agent, which is of another origin.
        let sandbox = format!("/frameworks/{number}/executors/<i>t/runs/latest");
        let at = |page: &str, path: &str| {
            format!("#/{page}?agent={agent}&path={}", utf8_percent_encode(path, NON_ALPHANUMERIC))
        };
        let pages: [(String, &[&str]); 10] = [
            ("#/frameworks".to_owned(), &[&framework, "<td>active</td>"]),
            (
                format!("#/frameworks/{number}?explain"),
                &[
                    "<h1>&lt;b&gt;prints</h1>",
                    "Offers to role *",
                    "1 of 1 agent: refused by it; the last filter ends in 16 min",
                ],
            ),
            ("#/agents".to_owned(), &["1 agent</span>", "1 of 2</td>", "64 MB of 512 MB</td>"]),
            (
                format!("#/agents/{agent}"),
                &[
                    "<h2>Executors</h2><span class=\"quiet\">1 executor</span>",
                    ">Command Executor (Task: &lt;i&gt;t)",
                ],
            ),
            ("#/roles".to_owned(), &["<td>*</td><td class=\"number\">1</td>", "<td>cpus 1, mem 64 MB</td>"]),
            ("#/offers".to_owned(), &["0 offers"]),
            ("#/maintenance".to_owned(), &["0 windows", "0 machines"]),
            (at("directory", &sandbox), &["2 files", ">stdout</a>", ">stderr</a>", ">download</a>"]),
            (
                at("file", &format!("{sandbox}/stdout")),
                // The last 64 KB, and where there is more.
                &[
                    "29999\n30000\nthe &lt;end&gt;\n</pre>",
                    "the last 64 KB of 164.9 KB",
                    "<button type=\"button\">Earlier",
                ],
            ),
            (at("file", "/nowhere"), &["/nowhere could not be read: 404 Not Found"]),
        ];
        for (page, parts) in pages {
            let seen = see(&cluster, &browser, &page).await;
            for part in parts {
                assert!(seen.contains(part), "'{part}' is not in {page}: {seen}");
            }
        }
    });
}

/// Those of `mesos local` and `mesos demo`, for example.
#[test]
fn agents_on_one_host_are_told_apart_by_their_ports() {
    libprocess::run(async {
        let Some(browser) = browser() else { return };
        let agents = [AgentSpec::new("cpus:2;mem:512"), AgentSpec::new("cpus:2;mem:512")];
        let cluster = Cluster::start(&[], &agents).await;
        let mut scheduler =
            ApiScheduler::subscribe(cluster.master(), framework("holds", Duration::ZERO)).await;
        let offer = scheduler.offer().await;
        let at = |port: String| format!(">localhost:{port}</a></td>");
        let offers = see(&cluster, &browser, "#/offers").await;
        for agent in [0, 1] {
            let name = at(cluster.agent_at(agent).port().to_string());
            assert!(offers.contains(&name), "'{name}' is not in {offers}");
        }
        scheduler.launch(&offer, &[command_task("t", &offer, 1.0, 64.0, "sleep 1000")], 1000.0).await;
        scheduler.state("t", "TASK_RUNNING").await;
        let overview = see(&cluster, &browser, "").await;
        let name = at(offer["url"]["address"]["port"].to_string());
        assert!(overview.contains(&name), "'{name}' is not in {overview}");
    });
}

#[test]
fn a_standby_shows_the_cluster_and_says_where_its_leader_is() {
    libprocess::run(async {
        let Some(browser) = browser() else { return };
        let Some(etcd) = Etcd::start().await else { return };
        let mut cluster = Cluster::found_at(&etcd.url());
        cluster.add_master(&[]).await;
        cluster.add_master(&[]).await;
        cluster.add_agent(&AgentSpec::new("cpus:2;mem:512"));
        cluster.wait_for_agents(1).await;
        let leader = cluster.leader_index().await;
        let (leader, standby) = (cluster.master_at(leader), cluster.master_at(1 - leader));
        wait::until("the standby to know who leads", async || {
            match cluster.get_text(standby, "/state").await? {
                (307, _) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        let seen = see_at(standby, &browser, "#/agents").await;
        let notice = "role=\"alert\">This is not the leading master. Shown is the state of <a href=\"http://";
        let link = format!(":{}/master/</a>.", leader.port());
        for part in [notice, &link, "<h2>Agents</h2><span class=\"quiet\">1 agent</span>"] {
            assert!(seen.contains(part), "'{part}' is not in {seen}");
        }
    });
}

/// The master takes a machine for that of an agent only by both, its host name and its address.
#[test]
fn planned_maintenance_is_shown_with_the_agents_that_it_concerns() {
    libprocess::run(async {
        let Some(browser) = browser() else { return };
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:2;mem:512")]).await;
        let ip = cluster.agent_at(0).ip().to_string();
        let machines = json!([{ "ip": ip }, { "hostname": "LOCALHOST", "ip": ip }]);
        let start = json!({ "nanoseconds": 1_700_000_000_000_000_000_i64 });
        let window = json!({ "machine_ids": machines, "unavailability": { "start": start } });
        let request = ClientRequest::post(format!("http://{}/maintenance/schedule", cluster.master()))
            .body(json!({ "windows": [window] }).to_string());
        let response = cluster.client().send(request).await.unwrap();
        assert!(response.status.is_success(), "{}", response.text(1 << 20).await.unwrap());
        let seen = see(&cluster, &browser, "#/maintenance").await;
        for part in [
            format!("<td>{ip}</td><td>draining</td><td><ul></ul></td>"),
            format!("<td>LOCALHOST {ip}</td><td>draining</td><td><ul><li><a href=\"#/agents/"),
        ] {
            assert!(seen.contains(&part), "'{part}' is not in {seen}");
        }
    });
}

/// An executor that says "running" of its task `t`, at a time that no calendar has.
const IN_ANOTHER_AGE: &str = r#"exec bash -c '
post() {
    printf "POST /api/v1/executor HTTP/1.1\r\nHost: agent\r\nContent-Type: application/json\r\n" >&"$1"
    printf "Accept: application/json\r\nContent-Length: %d\r\n\r\n%s" "${#2}" "$2" >&"$1"
}
exec 3<>/dev/tcp/"${MESOS_AGENT_ENDPOINT/:/\/}" 4<>/dev/tcp/"${MESOS_AGENT_ENDPOINT/:/\/}"
who="\"framework_id\": {\"value\": \"$MESOS_FRAMEWORK_ID\"}, \"executor_id\": {\"value\": \"$MESOS_EXECUTOR_ID\"}"
post 3 "{\"type\": \"SUBSCRIBE\", $who, \"subscribe\": {}}"
grep -m 1 "\"type\":\"LAUNCH\"" <&3
status="\"task_id\": {\"value\": \"t\"}, \"state\": \"TASK_RUNNING\", \"source\": \"SOURCE_EXECUTOR\""
status="$status, \"timestamp\": 1e300, \"uuid\": \"AAAAAAAAQACAAAAAAAAAAA==\""
post 4 "{\"type\": \"UPDATE\", $who, \"update\": {\"status\": {$status}}}"
cat <&4'"#;

/// What one executor says must not keep everybody from seeing the cluster.
#[test]
fn a_time_that_no_calendar_has_is_left_out() {
    libprocess::run(async {
        let Some(browser) = browser() else { return };
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:2;mem:512")]).await;
        let mut scheduler =
            ApiScheduler::subscribe(cluster.master(), framework("ages", Duration::ZERO)).await;
        let offer = scheduler.offer().await;
        let mut task = command_task("t", &offer, 1.0, 64.0, "");
        task.as_object_mut().unwrap().remove("command");
        task["executor"] = json!({
            "executor_id": { "value": "e" }, "framework_id": { "value": scheduler.framework_id },
            "resources": scalars(0.1, 32.0), "command": { "value": IN_ANOTHER_AGE },
        });
        scheduler.launch(&offer, &[task], 1000.0).await;
        let status = scheduler.state("t", "TASK_RUNNING").await;
        assert_eq!(status["timestamp"], 1e300, "{status}");
        for page in [String::new(), format!("#/frameworks/{}", scheduler.framework_id)] {
            let seen = see(&cluster, &browser, &page).await;
            for part in ["<h2>Active tasks</h2><span class=\"quiet\">1 task</span>", "<td>t</td><td>t</td>"] {
                assert!(seen.contains(part), "'{part}' is not in {page}: {seen}");
            }
        }
    });
}
