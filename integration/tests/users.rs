//! Tasks of other users than the agent's: what they run as, and what they cannot reach. Needs root.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use integration::api_scheduler::{ApiScheduler, command_task, framework};
use integration::{AgentSpec, Cluster, binary};
use serde_json::{Value, json};

const NOBODY: u32 = 65534;

fn with_uris(mut task: Value, uris: &[&Path]) -> Value {
    task["command"]["uris"] = uris.iter().map(|path| json!({ "value": path, "extract": true })).collect();
    task
}

/// Upstream: `SlaveTest.ROOT_UNPRIVILEGED_USER_RunTaskWithCommandInfoWithUser`,
/// `FetcherTest.ROOT_UNPRIVILEGED_USER_RootProtectedFileURI`.
#[test]
fn a_task_fetches_and_writes_only_what_its_user_may() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can run tasks as another user");
        return;
    }
    libprocess::run(async {
        // Programs and files where that user can reach them.
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mode =
            |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        mode(folder.path(), 0o755);
        std::fs::copy(binary::mesos(), at("mesos")).unwrap();
        mode(&at("mesos"), 0o755);
        symlink("mesos", at("mesos-executor")).unwrap();
        symlink("mesos", at("mesos-fetcher")).unwrap();
        std::fs::write(at("public"), "for all\n").unwrap();
        mode(&at("public"), 0o644);
        std::fs::write(at("secret"), "for root\n").unwrap();
        mode(&at("secret"), 0o600);
        // A tar file that puts a link to the secret where the task's output goes.
        let trap = at("trap");
        std::fs::create_dir(&trap).unwrap();
        symlink(at("secret"), trap.join("stdout")).unwrap();
        let packed = std::process::Command::new("tar")
            .args([
                "-C".as_ref(),
                trap.as_os_str(),
                "-cf".as_ref(),
                at("trap.tar").as_os_str(),
                "stdout".as_ref(),
            ])
            .status();
        assert!(packed.unwrap().success());
        mode(&at("trap.tar"), 0o644);

        let launcher = format!("--launcher_dir={}", folder.path().display());
        let agent = AgentSpec::new("cpus:4;mem:2048").with(&launcher);
        let cluster = Cluster::start(&[], &[agent]).await;
        mode(cluster.folder(), 0o755);
        let mut info = framework("of nobody", Duration::ZERO);
        info["user"] = json!("nobody");
        let mut scheduler = ApiScheduler::subscribe(cluster.master(), info).await;

        let offer = scheduler.offer().await;
        let task = |id: &str, command: &str| command_task(id, &offer, 0.5, 32.0, command);
        let tasks = [
            with_uris(task("may", "id -un > who; cat public > copy"), &[&at("public")]),
            with_uris(task("may-not", "true"), &[&at("public"), &at("secret")]),
            with_uris(task("trapped", "echo mine now"), &[&at("trap.tar")]),
        ];
        scheduler.launch(&offer, &tasks, 3600.0).await;
        let mut ended = std::collections::BTreeMap::new();
        while ended.len() < 3 {
            let status = scheduler.event("UPDATE").await["update"]["status"].take();
            scheduler.acknowledge(&status).await;
            if !["TASK_STARTING", "TASK_RUNNING"].contains(&status["state"].as_str().unwrap()) {
                ended.insert(status["task_id"]["value"].as_str().unwrap().to_owned(), status);
            }
        }
        assert_eq!(ended["may"]["state"], "TASK_FINISHED", "{ended:?}");
        for refused in ["may-not", "trapped"] {
            assert_eq!(ended[refused]["state"], "TASK_FAILED", "{ended:?}");
        }
        let message = ended["may-not"]["message"].as_str().unwrap();
        let secret = at("secret").display().to_string();
        let expected = format!(
            "Failed to launch container: failed to fetch '{secret}': '{secret}': Permission denied (os error 13)"
        );
        assert_eq!(message, expected);
        let message = ended["trapped"]["message"].as_str().unwrap();
        assert!(message.contains("stdout"), "{message}");

        let secret = std::fs::metadata(at("secret")).unwrap();
        assert_eq!((secret.uid(), secret.mode() & 0o777), (0, 0o600));
        assert_eq!(std::fs::read_to_string(at("secret")).unwrap(), "for root\n");
        let sandbox = cluster.sandbox(0, "may").await;
        assert_eq!(std::fs::read_to_string(sandbox.join("who")).unwrap(), "nobody\n");
        assert_eq!(std::fs::read_to_string(sandbox.join("copy")).unwrap(), "for all\n");
        let directory = std::fs::metadata(&sandbox).unwrap();
        assert_eq!((directory.uid(), directory.mode() & 0o777), (NOBODY, 0o750));
        assert_eq!(std::fs::metadata(sandbox.join("public")).unwrap().uid(), NOBODY);
    });
}
