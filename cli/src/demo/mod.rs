//! `mesos demo`: a cluster on this machine, three programs on it, and where to look.
//!
//! It starts a master and agents as processes of their own, with the files of `config/`, waits until the agents
//! are registered, runs the example frameworks, compares their results with the truth, and ends everything.
//! It is a user of the cluster like any other: it knows the daemons by their command lines and endpoints, and
//! the frameworks by their public functions.

mod children;
mod cluster;
mod programs;
mod progress;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::commands::{Environment, client_node, run};
use crate::settings::{Call, Failure};
use crate::{logging, signals};
use cluster::DemoCluster;

pub(crate) const COMMAND: &str = "demo";

mesos::settings! {
    /// How to show the demo.
    struct Settings for "mesos demo" {
        "Demo" {
            /// Leave the cluster running until Ctrl-C.
            keep: bool = false,
            /// Where master.toml and agent-1.toml, agent-2.toml, ... are. Without it: config/ here, or that of
            /// the sources that this program was built from.
            config_dir: Option<PathBuf>,
            /// Ports instead of those in the files: the master's and each agent's, separated by commas.
            ports: Option<String>,
        }
    }
}

/// Shows the demo.
pub(crate) fn main(call: Call) -> Result<ExitCode, Failure> {
    let settings = match call.load_tool::<Settings>(COMMAND, &[])? {
        Ok(loaded) => loaded.settings,
        Err(code) => return Ok(code),
    };
    let ports = settings.ports.as_deref().map(parse_ports).transpose()?;
    let folder = config_dir(settings.config_dir)?;
    // The frameworks run in this process: what they have to say goes through the progress line.
    logging::start_tool("ERROR");
    run(async {
        // Before there is a folder to remove, and the same to the end: no signal falls between two.
        let mut interrupted = std::pin::pin!(signals::interrupted());
        let node = client_node(COMMAND, &Environment::new()).await?;
        let mut cluster = DemoCluster::prepare(node.client().clone(), &folder, ports.as_deref())?;
        let result = tokio::select! {
            biased;
            () = &mut interrupted => Err(Failure::of(COMMAND, "interrupted; everything is stopped")),
            result = show(&node, &mut cluster) => result,
        };
        if result.is_ok() && settings.keep {
            say!("\nThe cluster runs until Ctrl-C.");
            interrupted.await;
        }
        cluster.stop().await;
        node.shutdown().await;
        if result.is_ok() {
            say!("\nEverything is stopped.");
        }
        result.map(|()| ExitCode::SUCCESS)
    })
}

async fn show(node: &libprocess::Node, cluster: &mut DemoCluster) -> Result<(), Failure> {
    cluster.start().await?;
    cluster.watching(programs::run_all(node, cluster.master_address())).await??;
    cluster.print_where_to_look();
    Ok(())
}

/// `5050,5051,5052`
fn parse_ports(text: &str) -> Result<Vec<u16>, Failure> {
    let parse = |port: &str| {
        port.trim().parse().map_err(|_| Failure::of(COMMAND, format!("bad --ports: '{port}' is not a port")))
    };
    text.split(',').map(parse).collect()
}

/// The folder with the configuration files.
fn config_dir(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let candidates = match given {
        Some(folder) => vec![folder],
        None => vec![PathBuf::from("config"), Path::new(env!("CARGO_MANIFEST_DIR")).join("../config")],
    };
    candidates.iter().find(|folder| folder.join("master.toml").is_file()).cloned().ok_or_else(|| {
        let looked: Vec<_> = candidates.iter().map(|folder| folder.display().to_string()).collect();
        Failure::of(
            COMMAND,
            format!("no master.toml in {}; name its folder with --config_dir", looked.join(" or ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_and_a_wrong_one_is_named() {
        assert_eq!(parse_ports("1, 2,3").unwrap(), [1, 2, 3]);
        assert!(parse_ports("1,x").unwrap_err().to_string().contains("'x'"));
    }

    #[test]
    fn the_sources_bring_a_configuration() {
        let folder = config_dir(None).unwrap();
        assert!(folder.join("agent-3.toml").is_file());
        let error = config_dir(Some("/nowhere".into())).unwrap_err().to_string();
        assert!(error.contains("/nowhere") && error.contains("--config_dir"), "{error}");
    }
}
