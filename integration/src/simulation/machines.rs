//! Maintenance, as the [caretaker](super::caretaker) does it: it plans it, takes machines of the schedule down, and brings
//! them up again, which takes them off the schedule. An agent on a machine that is down ends as often as it is started,
//! and its tasks are lost; when its machine is up, it is back as the same agent.

use std::collections::BTreeSet;
use std::time::Duration;

use mesos::v1::maintenance::{Schedule, Window};
use mesos::{json, v1};
use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::Value;
use tokio::time::sleep;

use super::caretaker::Caretaker;
use super::decisions::{Ask, Setting};
use super::invariant::Invariant;
use super::operator::{RETRY, decide, send};

/// The largest schedule, in bytes of JSON, that an answer is read for.
const LARGEST: usize = 1 << 16;
/// One in so many machines, at most, is ever down.
const DOWN: usize = 7;
/// What was asked for may come to pass so late without an answer.
const LATE: Duration = Duration::from_secs(60);

/// What it knows of the machines.
#[derive(Default)]
pub(super) struct Machines {
    /// By the numbers of their agents: those that may be down.
    down: BTreeSet<usize>,
    /// Those that were asked to go down.
    ever: BTreeSet<usize>,
    /// Until when another schedule may come to pass than the one that is known.
    unsure_until: Duration,
}

impl Caretaker {
    /// Plans something, or takes a machine down or up.
    pub(super) async fn maintain(&mut self) {
        let down = !self.machines.down.is_empty();
        match self.random.random_range(0..2) {
            _ if down => self.bring_up().await,
            0 => self.plan().await,
            _ => self.take_down().await,
        }
    }

    /// Whether a machine may be down.
    pub(super) fn has_machines_down(&self) -> bool {
        !self.machines.down.is_empty()
    }

    /// Plans the maintenance of a few machines, in place of what it has planned before.
    async fn plan(&mut self) {
        let hosts = self.cluster.agents().len();
        let count = self.random.random_range(0..3);
        let machines = (0..count).map(|_| self.random.random_range(0..hosts)).collect::<BTreeSet<_>>();
        let window = |host: usize| Window {
            machine_ids: vec![self.machine(host)],
            unavailability: v1::Unavailability {
                start: v1::TimeInfo {
                    nanoseconds: 1_700_000_000_000_000_000 + i64::try_from(host).unwrap_or(0),
                },
                duration: Some(v1::DurationInfo { nanoseconds: 3_600_000_000_000 }),
            },
        };
        let schedule = Schedule { windows: machines.into_iter().map(window).collect() };
        let ask = Ask::schedule(&schedule, self.random.random());
        if self.decide_schedule(schedule, ask).await == Some(200) {
            self.cluster.truth.count("maintenance planned");
        }
    }

    /// One of the machines that maintenance is planned for.
    async fn take_down(&mut self) {
        let is_full = self.machines.ever.len() >= (self.cluster.agents().len() / DOWN).max(1);
        if is_full || self.cluster.network.elapsed() < self.machines.unsure_until {
            return;
        }
        let Some(planned) = self.what_is_planned().await else { return };
        let hosts = 0..self.cluster.agents().len();
        let hosts: Vec<usize> = hosts.filter(|host| is_in(&planned, &self.machine(*host))).collect();
        let Some(host) = hosts.choose(&mut self.random).copied() else { return };
        self.machines.down.insert(host);
        self.machines.ever.insert(host);
        self.cluster.truth.may_go_down(&format!("a{host}"));
        let ask = Ask::start_maintenance(&self.machine(host), self.random.random());
        match send(&self.cluster, &self.node, &ask).await.map(|answer| answer.status.as_u16()) {
            Some(200) => {
                self.cluster.network.note(format!("the machine of a{host} is down"));
                self.cluster.truth.count("machines down");
            }
            Some(400..500) => drop(self.machines.down.remove(&host)),
            _ => {}
        }
    }

    /// All machines that may be down.
    async fn bring_up(&mut self) {
        for host in self.machines.down.clone() {
            if self.is_up_again(host).await {
                self.machines.down.remove(&host);
            }
        }
    }

    /// Asks for it, and answers whether it is so. (It may go down after all if its way there was not answered.)
    async fn is_up_again(&mut self, host: usize) -> bool {
        let Some(planned) = self.what_is_planned().await else { return false };
        let machine = self.machine(host);
        if !is_in(&planned, &machine) {
            return true;
        }
        let ask = Ask::stop_maintenance(&machine, self.random.random());
        let status = self.decide_schedule(without(planned, &machine), ask).await;
        if status == Some(200) {
            self.cluster.network.note(format!("the machine of a{host} is up"));
            self.cluster.truth.count("machines up again");
        }
        status.is_some_and(|status| status < 500)
    }

    /// Everything is mended: all machines are up, and what was planned is there.
    pub(super) async fn settle_machines(&mut self) {
        for host in self.machines.ever.clone() {
            while !self.is_up_again(host).await {
                sleep(RETRY).await;
            }
        }
        let found = loop {
            match self.what_is_planned().await {
                Some(found) => break found,
                None => sleep(RETRY).await,
            }
        };
        let mut right = true;
        let found = Setting::Schedule(found);
        self.cluster.registry.told(|told| right = told.may_be(&found));
        if !right {
            let text = format!("{found:?} is planned, an operator was told otherwise");
            self.cluster.truth.violation(Invariant::AcknowledgedIsFound, text);
        }
    }

    async fn decide_schedule(&mut self, schedule: Schedule, ask: Ask) -> Option<u16> {
        let status = decide(&self.cluster, &self.node, &[Setting::Schedule(schedule)], ask).await;
        if status.is_none_or(|status| status >= 500) {
            self.machines.unsure_until = self.cluster.network.elapsed() + LATE;
        }
        status
    }

    async fn what_is_planned(&self) -> Option<Schedule> {
        let answer = send(&self.cluster, &self.node, &Ask::what_is_planned()).await?;
        let text = answer.text(LARGEST).await.ok()?;
        let value: Value = serde_json::from_str(&text).ok()?;
        json::from_value(value.get("get_maintenance_schedule")?.get("schedule")?).ok()
    }

    /// The machine of an agent, as its master knows it: by its host name and its address, both.
    fn machine(&self, number: usize) -> v1::MachineId {
        let ip = self.cluster.agents()[number].ip();
        v1::MachineId { hostname: Some(format!("a{number}")), ip: Some(ip.to_string()) }
    }
}

fn is_in(schedule: &Schedule, machine: &v1::MachineId) -> bool {
    schedule.windows.iter().any(|window| window.machine_ids.contains(machine))
}

/// A machine is up again: it is not planned for any more, and what is left without machines goes.
fn without(mut schedule: Schedule, machine: &v1::MachineId) -> Schedule {
    for window in &mut schedule.windows {
        window.machine_ids.retain(|id| id != machine);
    }
    schedule.windows.retain(|window| !window.machine_ids.is_empty());
    schedule
}
