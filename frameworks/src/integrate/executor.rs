//! The executor of `integrate`: adds the steps of its tasks, each on a thread of its own.
//!
//! It owns nothing. A task of at most 500,000 steps takes a fraction of a second, so that a kill
//! takes effect by its result being thrown away.

use std::collections::BTreeSet;

use libprocess::Node;
use mesos::v1::{self, TaskState};

use super::{Partial, Steps, expression::Expression};
use crate::executor::{self, Driver, Executor, ExecutorEnvironment, status};

/// Runs the executor until the agent ends it.
///
/// # Errors
/// See [`executor::Error`].
pub async fn run(node: &Node, environment: ExecutorEnvironment) -> Result<(), executor::Error> {
    executor::run(node, environment, Integrator::default()).await.map(drop)
}

/// Integrates.
#[derive(Default)]
pub struct Integrator {
    /// The tasks that run. One that was killed is gone from here, and its result is not wanted.
    running: BTreeSet<String>,
}

impl Executor for Integrator {
    fn launch(&mut self, driver: &mut Driver<Self>, task: v1::TaskInfo) {
        let (id, data) = (task.task_id, task.data.unwrap_or_default());
        driver.update(status(&id, TaskState::TaskRunning));
        self.running.insert(id.value.clone());
        driver.blocking(
            move || integrate(&data),
            move |integrator, driver, area| integrator.done(driver, &id, area),
        );
    }

    fn kill(&mut self, driver: &mut Driver<Self>, task: v1::TaskId, _: Option<v1::KillPolicy>) {
        if self.running.remove(&task.value) {
            driver.update(status(&task, TaskState::TaskKilled));
        }
    }
}

impl Integrator {
    /// The answer goes by message, and again with the update in case that the message is lost.
    fn done(&mut self, driver: &mut Driver<Self>, task: &v1::TaskId, area: Result<f64, String>) {
        if !self.running.remove(&task.value) {
            return;
        }
        let state = if area.is_ok() { TaskState::TaskFinished } else { TaskState::TaskFailed };
        let (area, error) = (area.as_ref().ok().copied(), area.err());
        let partial = Partial { task: task.value.clone(), area, error: error.clone() };
        let data = serde_json::to_vec(&partial).unwrap_or_default();
        driver.message(data.clone());
        driver.update(v1::TaskStatus { data: Some(data), message: error, ..status(task, state) });
    }
}

/// The area of a task's steps, from its data.
fn integrate(data: &[u8]) -> Result<f64, String> {
    let steps: Steps =
        serde_json::from_slice(data).map_err(|error| format!("the task's data are no steps: {error}"))?;
    let expression = Expression::parse(&steps.expression).map_err(|error| error.to_string())?;
    steps.area(&expression)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integrate::Rule;
    use std::collections::BTreeMap;

    fn driver() -> Driver<Integrator> {
        let variables = ["MESOS_AGENT_ENDPOINT", "MESOS_FRAMEWORK_ID", "MESOS_EXECUTOR_ID"];
        let variables: BTreeMap<_, _> = variables.iter().map(|name| ((*name).into(), "x:1".into())).collect();
        Driver::detached(ExecutorEnvironment::from_map(&variables).unwrap())
    }

    #[test]
    fn a_tasks_data_say_what_to_do() {
        let steps = Steps {
            expression: "2*x".into(),
            rule: Rule::Trapezoid,
            from: 0.0,
            to: 1.0,
            of: 10,
            first: 0,
            end: 10,
        };
        let area = integrate(&serde_json::to_vec(&steps).unwrap()).unwrap();
        assert!((area - 1.0).abs() < 1e-12);
        assert!(integrate(b"what?").unwrap_err().contains("no steps"));
    }

    #[test]
    fn an_answer_goes_by_message_and_with_the_update() {
        let (mut integrator, mut driver, id) =
            (Integrator::default(), driver(), v1::TaskId { value: "t".into() });
        integrator.running.insert("t".into());
        integrator.done(&mut driver, &id, Ok(1.5));
        let update = driver.updates().next().unwrap();
        assert_eq!(update.state(), TaskState::TaskFinished);
        assert_eq!(update.data.as_deref(), driver.messages().next());
        assert_eq!(update.data.as_deref(), Some(&b"{\"task\":\"t\",\"area\":1.5}"[..]));
    }

    #[test]
    fn a_killed_task_answers_nothing_more() {
        let (mut integrator, mut driver, id) =
            (Integrator::default(), driver(), v1::TaskId { value: "t".into() });
        integrator.running.insert("t".into());
        integrator.kill(&mut driver, id.clone(), None);
        integrator.done(&mut driver, &id, Ok(1.5));
        let states: Vec<_> = driver.updates().map(v1::TaskStatus::state).collect();
        assert_eq!(states, [TaskState::TaskKilled]);
    }
}
