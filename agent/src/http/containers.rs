//! `/containers`, `/monitor/statistics` and GET_CONTAINERS: what the containerizer says of the executors' containers.
//!
//! The agent says which executors there are, and waits for nobody: the containerizer's answers are
//! gathered beside it. Upstream: `Http::__containers`, `Http::_statistics`, `Slave::usage`.

use libprocess::Context;
use libprocess::http::{Query, Reply, Request, Response};
use mesos::operator::respond;
use mesos::v1::agent::response::{GetContainers, Type, get_containers};
use mesos::{ContainerId, ExecutorId, FrameworkId, MediaType, json, v1};
use serde_json::{Map, Value};

use crate::agent::Agent;
use crate::containerizer::Containerizer;
use crate::executors::executor::ExecutorPhase;

/// An executor's container, with what is said of it before the containerizer is asked.
struct Entry {
    container: ContainerId,
    framework: String,
    executor: String,
    name: String,
    source: String,
}

impl Entry {
    fn fields(&self) -> Map<String, Value> {
        let fields = [
            ("framework_id", &self.framework),
            ("executor_id", &self.executor),
            ("executor_name", &self.name),
            ("source", &self.source),
        ];
        fields.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value.as_str()))).collect()
    }
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
            entries.push(Entry {
                container: executor.container.clone(),
                framework: framework.id.to_string(),
                executor: executor.id.to_string(),
                name: executor.info.name().to_owned(),
                source: executor.info.source().to_owned(),
            });
        }
    }
    entries
}

async fn statistics_of(containerizer: &Containerizer, entry: &Entry) -> Option<v1::ResourceStatistics> {
    containerizer.usage(entry.container.clone()).await.ok()?
}

async fn status_of(containerizer: &Containerizer, entry: &Entry) -> Option<v1::ContainerStatus> {
    containerizer.status(entry.container.clone()).await.ok()?
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
        for entry in entries {
            let mut fields = entry.fields();
            fields.insert("container_id".to_owned(), Value::from(entry.container.to_string()));
            if let Some(status) = status_of(&containerizer, &entry).await {
                fields.insert("status".to_owned(), json::to_value(&status));
            }
            if let Some(statistics) = statistics_of(&containerizer, &entry).await {
                fields.insert("statistics".to_owned(), json::to_value(&statistics));
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
        for entry in entries {
            if let Some(statistics) = statistics_of(&containerizer, &entry).await {
                let mut fields = entry.fields();
                fields.insert("statistics".to_owned(), json::to_value(&statistics));
                values.push(Value::from(fields));
            }
        }
        array(&request.query, values)
    })
}

/// GET_CONTAINERS. There are no nested and no standalone ones that could be shown as well.
pub(super) fn get_containers(agent: &Agent, media: MediaType) -> Reply {
    let entries = entries(agent, &Query::default());
    let containerizer = agent.colleagues.containerizer.clone();
    Reply::later(async move {
        let mut containers = Vec::with_capacity(entries.len());
        for entry in entries {
            containers.push(get_containers::Container {
                container_status: status_of(&containerizer, &entry).await,
                resource_statistics: statistics_of(&containerizer, &entry).await,
                framework_id: Some(FrameworkId::from(entry.framework).to_proto()),
                executor_id: Some(ExecutorId::from(entry.executor).to_proto()),
                executor_name: Some(entry.name),
                container_id: entry.container.to_proto(),
            });
        }
        // Upstream leaves an empty list's message out.
        let get_containers = (!containers.is_empty()).then_some(GetContainers { containers });
        let r#type = Some(Type::GetContainers.into());
        respond(media, &v1::agent::Response { r#type, get_containers, ..Default::default() })
    })
}
