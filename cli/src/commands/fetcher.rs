//! `mesos fetcher`, also called `mesos-fetcher`: brings the files of one task into its sandbox, as the user that it runs
//! as. Agents start it; it learns what to fetch from its environment.

use std::process::ExitCode;

use agent::fetcher::{ENVIRONMENT, fetch_all};
use libprocess::Node;
use libprocess::http::Proxies;
use mesos::fetcher::FetcherInfo;

use super::{Environment, run, start_node};
use crate::settings::{Call, Failure};

const COMMAND: &str = "fetcher";

const HELP: &str = "\
Brings the files of one task into its sandbox. Agents start it, as the task's user, and tell it what to fetch by the
environment variable MESOS_FETCHER_INFO.";

/// Fetches, and says in one line what could not be fetched.
pub(crate) fn main(call: Call) -> Result<ExitCode, Failure> {
    if call.words.iter().any(|word| word == "--help" || word == "-h") {
        say!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let orders = call.environment.get(ENVIRONMENT);
    let orders =
        orders.ok_or_else(|| Failure::of(COMMAND, format!("expecting {ENVIRONMENT} in the environment")))?;
    let info: FetcherInfo = mesos::json::from_slice(orders.as_bytes())
        .map_err(|error| Failure::of(COMMAND, format!("cannot read {ENVIRONMENT}: {error}")))?;
    run(async {
        let node = start_node(COMMAND, Node::builder().offline(), &Environment::new()).await?;
        let proxies = Proxies::of(|name| call.environment.get(name).cloned());
        let fetched = fetch_all(&node.client().through(proxies), &info).await;
        node.shutdown().await;
        Ok(match fetched {
            Ok(()) => ExitCode::SUCCESS,
            // The agent reads this line, and knows its parts by the tab: not as a `Failure`, which escapes that.
            Err(error) => {
                complain!("{}", error.to_line());
                ExitCode::FAILURE
            }
        })
    })
}
