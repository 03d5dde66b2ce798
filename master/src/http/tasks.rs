//! `/tasks`: the tasks of all frameworks in the order of their first status, a page at a time.

use libprocess::breath;
use libprocess::http::Query;
use mesos::views;
use serde::Serialize;

use crate::cluster::{Snapshot, Task};

/// Tasks on a page unless the query says otherwise (upstream: `TASK_LIMIT`).
const DEFAULT_LIMIT: usize = 100;

/// What a query asks for. Numbers that are none count as not given, as in upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Page {
    limit: Option<usize>,
    offset: usize,
    ascending: bool,
    framework: Option<String>,
    task: Option<String>,
}

impl Page {
    /// Reads `limit`, `offset`, `order`, `framework_id` and `task_id`.
    pub(super) fn of(query: &Query) -> Self {
        // Below zero is more than there are tasks: upstream reads numbers with a sign into ones without.
        let number = |key| {
            let number = query.get(key)?.parse::<i32>().ok()?;
            Some(usize::try_from(number).unwrap_or(usize::MAX))
        };
        Self {
            limit: number("limit"),
            offset: number("offset").unwrap_or(0),
            ascending: query.get("order") == Some("asc"),
            framework: query.get("framework_id").map(str::to_owned),
            task: query.get("task_id").map(str::to_owned),
        }
    }
}

/// The body of `/tasks`.
#[derive(Serialize)]
pub(super) struct Tasks<'a> {
    tasks: Vec<views::Task<'a>>,
}

impl<'a> Tasks<'a> {
    /// The tasks of `page`: live, unreachable and completed ones, of registered and completed frameworks.
    pub(super) fn of(snapshot: &'a Snapshot, page: &Page) -> Self {
        let frameworks = snapshot.frameworks.values().chain(snapshot.completed_frameworks.iter());
        let mut tasks: Vec<&Task> = frameworks
            .filter(|framework| page.framework.as_deref().is_none_or(|id| id == framework.id.as_str()))
            .flat_map(|framework| {
                let over = framework.unreachable_tasks.iter().chain(framework.completed_tasks.iter());
                framework.tasks.values().chain(over)
            })
            .inspect(|_| breath::spend(1))
            .filter(|task| page.task.as_deref().is_none_or(|id| id == task.id.as_str()))
            .map(|task| &**task)
            .collect();
        // The id decides between equal times, so that pages do not overlap.
        tasks.sort_by(|a, b| {
            breath::spend(1);
            let order = first_status(a).total_cmp(&first_status(b)).then_with(|| a.id.cmp(&b.id));
            if page.ascending { order } else { order.reverse() }
        });
        let page = tasks.into_iter().skip(page.offset).take(page.limit.unwrap_or(DEFAULT_LIMIT));
        let shown = page.inspect(|_| breath::spend(1));
        Self { tasks: shown.map(|task| views::Task::with(&task.proto, task.resources.clone())).collect() }
    }
}

/// Time of a task's first status; a task without one comes first.
fn first_status(task: &Task) -> f64 {
    task.proto.statuses.first().and_then(|status| status.timestamp).unwrap_or(0.0)
}
