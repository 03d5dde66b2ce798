//! Maintenance of the machines that agents are on (upstream: `Master::updateUnavailability` and the handlers of
//! maintenance in `master/http.cpp`).
//!
//! While it is planned, the offers of its agents say so, and frameworks that have something there are asked to leave
//! (`inverse_offers`). When it begins, its agents are told to end and leave the books, and none may register until it is
//! over. The registry is written before any of this.

use libprocess::{Context, Pid};
use mesos::v1::machine_info::Mode;
use mesos::v1::maintenance::Schedule;
use mesos::{AgentId, MachineKey, v1};

use super::remove::{self, Cause};
use super::shut_down;
use crate::cluster::{Agent, planned_for};
use crate::master::Master;
use crate::registrar::Maintenance;
use crate::{inverse_offers, offers};

/// The registry has it: this is planned, in place of what was planned before.
pub(crate) fn plan(master: &mut Master, schedule: Schedule, ctx: &mut Context<Master>) {
    let before = master.cluster.maintenance().clone();
    let mut maintenance = (*before).clone();
    maintenance.plan(schedule);
    master.cluster.set_maintenance(maintenance.clone());
    let concerned = before.machines.keys().chain(maintenance.machines.keys());
    let changed = concerned.filter(|key| before.unavailability(key) != maintenance.unavailability(key));
    for key in changed.collect::<std::collections::BTreeSet<_>>() {
        tell(master, key, maintenance.unavailability(key), ctx);
    }
}

/// The unavailability of a machine is another: its agents' offers are taken back, since they do not say so.
fn tell(
    master: &mut Master,
    machine: &MachineKey,
    unavailability: Option<v1::Unavailability>,
    ctx: &mut Context<Master>,
) {
    for agent in agents_on(master, machine) {
        tracing::info!(agent_id = %agent, ?unavailability, "the unavailability of an agent changed");
        offers::rescind_of_agent(master, &agent, ctx);
        inverse_offers::rescind_of_agent(master, &agent, ctx);
        // Last, so that the allocator begins anew with it.
        master.allocation.update_unavailability(&agent, unavailability);
    }
}

/// The registry has it: machines are down. Their agents are told so; those that do not hear it are removed all the same.
pub(crate) fn start(master: &mut Master, machines: &[v1::MachineId], ctx: &mut Context<Master>) {
    let mut maintenance = (**master.cluster.maintenance()).clone();
    maintenance.start(machines);
    master.cluster.set_maintenance(maintenance);
    for machine in machines {
        for agent in agents_on(master, &machine.into()) {
            if let Some(state) = master.cluster.agent(&agent) {
                shut_down(&state.pid, Cause::MachineDown.text(), ctx);
            }
            remove::remove(master, &agent, Cause::MachineDown, ctx);
        }
    }
}

/// The registry has it: machines are up again, and agents on them may register.
pub(crate) fn stop(master: &mut Master, machines: &[v1::MachineId]) {
    let mut maintenance = (**master.cluster.maintenance()).clone();
    maintenance.stop(machines);
    master.cluster.set_maintenance(maintenance);
}

/// When an agent will be unavailable, if that is planned.
pub(crate) fn unavailability(agent: &Agent, maintenance: &Maintenance) -> Option<v1::Unavailability> {
    agent.planned(maintenance)?.unavailability
}

fn is_down(planned: Option<&v1::MachineInfo>) -> bool {
    planned.is_some_and(|machine| machine.mode() == Mode::Down)
}

/// An agent on a machine that is down is told to end. Whether that was so.
pub(super) fn refuse_if_down(
    master: &Master,
    info: &v1::AgentInfo,
    pid: &Pid,
    ctx: &Context<Master>,
) -> bool {
    let down = is_down(planned_for(info, pid, master.cluster.maintenance()));
    if down {
        tracing::warn!(agent = %pid, hostname = info.hostname, "refusing an agent: its machine is down for maintenance");
        shut_down(pid, "Machine is `DOWN`", ctx);
    }
    down
}

/// An agent that has just come into the books leaves them again if its machine has gone down since it asked.
pub(super) fn leave_if_down(master: &mut Master, agent: &AgentId, ctx: &mut Context<Master>) {
    let Some(state) = master.cluster.agent(agent) else { return };
    if is_down(state.planned(master.cluster.maintenance())) {
        shut_down(&state.pid, Cause::MachineDown.text(), ctx);
        remove::remove(master, agent, Cause::MachineDown, ctx);
    }
}

/// The registered agents on a machine.
fn agents_on(master: &Master, machine: &MachineKey) -> Vec<AgentId> {
    master.cluster.machines().agents_on(machine).cloned().collect()
}
