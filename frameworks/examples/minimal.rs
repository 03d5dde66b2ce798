//! A whole framework in one file: its scheduler, its executor, and the `main` of both.
//!
//! ```sh
//! cargo run -p frameworks --example minimal -- 127.0.0.1:5050      # against a cluster that runs
//! ```
//!
//! The scheduler launches three tasks, each with a word; the executor turns the word round; the answer comes back in
//! the task's last status update, which is sent again until the scheduler has it. The same program is both: agents
//! start it with the argument `executor`. (On a cluster of several hosts it would have to be on all of them, or be
//! fetched: `CommandInfo.uris`.) What is left out here, such as tasks that fail and are tried again, is in
//! `frameworks/src/sum`.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use frameworks::executor::{self, Executor, ExecutorEnvironment, status};
use frameworks::scheduler::{self, Options, Scheduler};
use libprocess::Node;
use mesos::v1::{self, TaskState};
use mesos::{FrameworkId, Resources};

/// Launches a task for each word, and collects the answers.
struct Words {
    waiting: Vec<&'static str>,
    answers: BTreeMap<String, String>,
    /// How agents start the executor. Tasks that name the same one share it on each agent.
    executor: v1::ExecutorInfo,
}

impl Scheduler for Words {
    /// The executor belongs to the framework, whose id is known from now on.
    fn subscribed(&mut self, _: &mut scheduler::Driver<Self>, framework: &FrameworkId) {
        self.executor.framework_id = Some(framework.to_proto());
    }

    /// An offer is what an agent has free. Each must be answered: what `launch` does not use goes back.
    fn offers(&mut self, driver: &mut scheduler::Driver<Self>, offers: Vec<v1::Offer>) {
        for offer in offers {
            // These offers are of whole agents: one task on each, for simplicity.
            let word = self.waiting.pop();
            let task = word.map(|word| v1::TaskInfo {
                name: format!("turn {word} round"),
                task_id: v1::TaskId { value: word.to_owned() },
                agent_id: offer.agent_id.clone(),
                resources: resources("cpus:0.5;mem:32"),
                executor: Some(self.executor.clone()),
                data: Some(word.into()),
                ..Default::default()
            });
            driver.launch(&offer.id, task.into_iter().collect(), Duration::from_secs(1));
        }
    }

    /// The library acknowledges the update after this call.
    fn update(&mut self, driver: &mut scheduler::Driver<Self>, status: v1::TaskStatus) {
        println!("{}: {}", status.task_id.value, status.state().as_str_name());
        match status.state() {
            TaskState::TaskFinished => {
                let answer = String::from_utf8_lossy(&status.data.unwrap_or_default()).into_owned();
                self.answers.insert(status.task_id.value, answer);
                if self.answers.len() == 3 {
                    // Ends the framework: its executors are shut down, and `scheduler::run` returns.
                    driver.teardown();
                }
            }
            TaskState::TaskStaging | TaskState::TaskStarting | TaskState::TaskRunning => {}
            // A real framework would launch it again.
            _ => driver.teardown(),
        }
    }
}

/// Turns words round.
struct Turner;

impl Executor for Turner {
    fn launch(&mut self, driver: &mut executor::Driver<Self>, task: v1::TaskInfo) {
        driver.update(status(&task.task_id, TaskState::TaskRunning));
        let word = String::from_utf8_lossy(&task.data.unwrap_or_default()).into_owned();
        // Whatever takes time happens beside the actor, which goes on to hear the agent.
        driver.blocking(
            move || word.chars().rev().collect::<String>(),
            move |_, driver, turned| {
                let finished = status(&task.task_id, TaskState::TaskFinished);
                driver.update(v1::TaskStatus { data: Some(turned.into_bytes()), ..finished });
            },
        );
    }

    fn kill(&mut self, driver: &mut executor::Driver<Self>, task: v1::TaskId, _: Option<v1::KillPolicy>) {
        driver.update(status(&task, TaskState::TaskKilled));
    }
}

fn resources(text: &str) -> Vec<v1::Resource> {
    Resources::parse(text, "*").expect("a constant that parses").to_protos()
}

async fn schedule(node: &Node, master: &str) -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?.display().to_string();
    let executor = v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: "turner".into() },
        command: Some(v1::CommandInfo {
            shell: Some(false),
            value: Some(program.clone()),
            // The first argument is the program's name, as for `execve`.
            arguments: vec![program, "executor".into()],
            ..Default::default()
        }),
        resources: resources("cpus:0.1;mem:32"),
        ..Default::default()
    };
    let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
    let framework = v1::FrameworkInfo { user, name: "minimal".into(), ..Default::default() };
    let words = Words { waiting: vec!["mesos", "actor", "offer"], answers: BTreeMap::new(), executor };
    // Returns when the scheduler has ended, and gives it back.
    let words = scheduler::run(node, Options::new(master.parse()?, framework), words).await?;
    for (word, answer) in words.answers {
        println!("{word} -> {answer}");
    }
    Ok(())
}

async fn execute(node: &Node) -> Result<(), Box<dyn Error>> {
    // What the agent says of itself and of the framework is in the environment.
    let environment = ExecutorEnvironment::from_map(&std::env::vars().collect())?;
    executor::run(node, environment, Turner).await?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args().nth(1).ok_or("usage: minimal HOST:PORT")?;
    // Everything that is an actor runs on a node, and a node runs inside of this.
    libprocess::run(async {
        let node = Node::builder().bind(([127, 0, 0, 1], 0).into()).start().await?;
        let result =
            if argument == "executor" { execute(&node).await } else { schedule(&node, &argument).await };
        node.shutdown().await;
        result
    })
}
