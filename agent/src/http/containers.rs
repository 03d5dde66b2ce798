//! `/containers` and `/monitor/statistics`: what the containerizer says of the executors' containers.
//!
//! The agent says which executors there are, and waits for nobody: the containerizer's answers are
//! gathered beside it. Upstream: `Http::__containers`, `Http::_statistics`, `Slave::usage`.

use libprocess::Context;
use libprocess::http::{Query, Reply, Request, Response};
use mesos::{ContainerId, v1};
use serde_json::{Map, Value};

use crate::agent::Agent;
use crate::containerizer::Containerizer;
use crate::executors::executor::ExecutorPhase;

/// An executor's container, with what is said of it before the containerizer is asked.
struct Entry {
    container: ContainerId,
    fields: Map<String, Value>,
}

/// Which containers are wanted; an absent key wants all.
fn is_wanted(query: &Query, framework: &str, executor: &str, container: &str) -> bool {
    let fits = |key: &str, value: &str| query.get(key).is_none_or(|wanted| wanted == value);
    fits("framework_id", framework) && fits("executor_id", executor) && fits("container_id", container)
}

fn entries(agent: &Agent, query: &Query) -> Vec<Entry> {
    let mut entries = Vec::new();
    for framework in agent.frameworks.values() {
        let live = framework.executors.values();
        for executor in live.filter(|executor| executor.phase != ExecutorPhase::Terminated) {
            let container = executor.container.to_string();
            if !is_wanted(query, framework.id.as_str(), executor.id.as_str(), &container) {
                continue;
            }
            let fields = [
                ("framework_id", framework.id.as_str()),
                ("executor_id", executor.id.as_str()),
                ("executor_name", executor.info.name()),
                ("source", executor.info.source()),
            ];
            let fields = fields.map(|(key, value)| (key.to_owned(), Value::from(value)));
            entries
                .push(Entry { container: executor.container.clone(), fields: fields.into_iter().collect() });
        }
    }
    entries
}

async fn statistics_of(containerizer: &Containerizer, container: &ContainerId) -> Option<Value> {
    let usage = containerizer.usage(container.clone()).await.ok()??;
    mesos::json::to_value::<v1::ResourceStatistics>(&usage).into()
}

async fn status_of(containerizer: &Containerizer, container: &ContainerId) -> Option<Value> {
    let status = containerizer.status(container.clone()).await.ok()??;
    mesos::json::to_value::<v1::ContainerStatus>(&status).into()
}

fn array(query: &Query, values: Vec<Value>) -> Response {
    Response::jsonp(query, Value::from(values).to_string())
}

/// `/containers`.
pub(super) fn containers(agent: &mut Agent, request: Request, _: &mut Context<Agent>) -> Reply {
    let entries = entries(agent, &request.query);
    let containerizer = agent.colleagues.containerizer.clone();
    Reply::later(async move {
        let mut values = Vec::with_capacity(entries.len());
        for Entry { container, mut fields } in entries {
            fields.insert("container_id".to_owned(), Value::from(container.to_string()));
            if let Some(status) = status_of(&containerizer, &container).await {
                fields.insert("status".to_owned(), status);
            }
            if let Some(statistics) = statistics_of(&containerizer, &container).await {
                fields.insert("statistics".to_owned(), statistics);
            }
            values.push(Value::from(fields));
        }
        array(&request.query, values)
    })
}

/// `/monitor/statistics`.
pub(super) fn statistics(agent: &mut Agent, request: Request, _: &mut Context<Agent>) -> Reply {
    let entries = entries(agent, &Query::default());
    let containerizer = agent.colleagues.containerizer.clone();
    Reply::later(async move {
        let mut values = Vec::with_capacity(entries.len());
        for Entry { container, mut fields } in entries {
            if let Some(statistics) = statistics_of(&containerizer, &container).await {
                fields.insert("statistics".to_owned(), statistics);
                values.push(Value::from(fields));
            }
        }
        array(&request.query, values)
    })
}
