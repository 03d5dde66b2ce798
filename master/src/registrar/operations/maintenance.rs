//! Planned maintenance of machines. A machine that is not named anywhere is up; one in the schedule is draining, or
//! down while its maintenance is under way.
//!
//! What is planned is plain data with its transitions ([`Maintenance`]): the registry has it, and the leading master
//! has a copy, which changes in the same way once a change is stored.

use std::collections::{BTreeMap, BTreeSet};

use mesos::v1::machine_info::Mode;
use mesos::v1::maintenance::Schedule;
use mesos::{MachineKey, v1};

use super::super::entries::Entries;

/// All that is planned, and the machines that are named in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Maintenance {
    /// The windows; `None` if nothing was planned, or all of it is over.
    pub schedule: Option<Schedule>,
    /// Every machine in the schedule: draining or down, with its time.
    pub machines: BTreeMap<MachineKey, v1::MachineInfo>,
}

impl Maintenance {
    /// A schedule takes the place of the one before it. Machines that are in both keep their mode; new ones are draining.
    pub fn plan(&mut self, schedule: Schedule) {
        let mut planned = BTreeMap::new();
        for window in &schedule.windows {
            for id in &window.machine_ids {
                let key = MachineKey::from(id);
                let known = self.machines.get(&key);
                let info = v1::MachineInfo {
                    id: known.map_or(id, |known| &known.id).clone(),
                    mode: known.map_or(Some(Mode::Draining.into()), |known| known.mode),
                    unavailability: Some(window.unavailability),
                };
                planned.insert(key, info);
            }
        }
        self.machines = planned;
        self.schedule = Some(schedule);
    }

    /// Machines go down. Whether any of them is in the schedule.
    pub fn start(&mut self, machines: &[v1::MachineId]) -> bool {
        let mut any = false;
        for key in machines.iter().map(MachineKey::from) {
            if let Some(info) = self.machines.get_mut(&key) {
                info.set_mode(Mode::Down);
                any = true;
            }
        }
        any
    }

    /// Machines are up again. A window that has no machine any more goes, and so does a schedule without windows.
    /// Whether any of them was in the schedule.
    pub fn stop(&mut self, machines: &[v1::MachineId]) -> bool {
        let up: BTreeSet<MachineKey> = machines.iter().map(MachineKey::from).collect();
        let before = self.machines.len();
        self.machines.retain(|key, _| !up.contains(key));
        if let Some(schedule) = &mut self.schedule {
            for window in &mut schedule.windows {
                window.machine_ids.retain(|id| !up.contains(&MachineKey::from(id)));
            }
            schedule.windows.retain(|window| !window.machine_ids.is_empty());
            self.schedule.take_if(|schedule| schedule.windows.is_empty());
        }
        self.machines.len() < before
    }

    /// Makes one plan of what a leader has left that died while it stored a change. A change that was too large even to be
    /// noted takes several transactions: machines that come or change first, then the schedule, then machines that go
    /// (`registrar::batches`). So the schedule says what holds.
    pub fn settle(&mut self) {
        match self.schedule.take() {
            Some(schedule) => self.plan(schedule),
            None => self.machines.clear(),
        }
    }

    /// When a machine will be unavailable, if that is planned.
    pub fn unavailability(&self, machine: &MachineKey) -> Option<v1::Unavailability> {
        self.machines.get(machine)?.unavailability
    }

    /// Whether a machine is down for its maintenance.
    pub fn is_down(&self, machine: &MachineKey) -> bool {
        self.machines.get(machine).is_some_and(|info| info.mode() == Mode::Down)
    }
}

/// Maintenance is planned. Who planned may not have known of a machine that has just gone down: it is not left out.
pub(super) fn update(schedule: Schedule, entries: &mut Entries) -> bool {
    let before = entries.maintenance();
    let mut maintenance = before.clone();
    maintenance.plan(schedule);
    let possible =
        before.machines.keys().all(|key| !before.is_down(key) || maintenance.machines.contains_key(key));
    if possible {
        entries.set_maintenance(maintenance);
    }
    possible
}

/// Maintenance begins.
pub(super) fn start(machines: &[v1::MachineId], entries: &mut Entries) -> bool {
    let mut maintenance = entries.maintenance().clone();
    let possible = maintenance.start(machines);
    entries.set_maintenance(maintenance);
    possible
}

/// Maintenance is over.
pub(super) fn stop(machines: &[v1::MachineId], entries: &mut Entries) -> bool {
    let mut maintenance = entries.maintenance().clone();
    let possible = maintenance.stop(machines);
    entries.set_maintenance(maintenance);
    possible
}

#[cfg(test)]
mod tests {
    use mesos::v1::maintenance::Window;

    use super::*;
    use crate::registrar::batches::{Limits, batches, settled};
    use crate::registrar::{Change, Operation};

    fn one() -> v1::MachineId {
        v1::MachineId { hostname: None, ip: Some("0.0.0.1".into()) }
    }

    fn two() -> v1::MachineId {
        v1::MachineId { hostname: Some("two".into()), ip: None }
    }

    fn three() -> v1::MachineId {
        v1::MachineId { hostname: Some("three".into()), ip: Some("0.0.0.3".into()) }
    }

    fn unavailability(start: i64) -> v1::Unavailability {
        v1::Unavailability { start: v1::TimeInfo { nanoseconds: start }, duration: None }
    }

    fn schedule(windows: &[&[v1::MachineId]]) -> Schedule {
        let window =
            |ids: &&[v1::MachineId]| Window { machine_ids: ids.to_vec(), unavailability: unavailability(1) };
        Schedule { windows: windows.iter().map(window).collect() }
    }

    /// How many machines each window of the schedule has; `None` without a schedule.
    fn windows(entries: &Entries) -> Option<Vec<usize>> {
        let sizes =
            |schedule: &Schedule| schedule.windows.iter().map(|window| window.machine_ids.len()).collect();
        entries.maintenance().schedule.as_ref().map(sizes)
    }

    fn modes(entries: &Entries) -> Vec<Mode> {
        entries.maintenance().machines.values().map(v1::MachineInfo::mode).collect()
    }

    /// `RegistrarTest.UpdateMaintenanceSchedule`.
    #[test]
    fn a_schedule_takes_the_place_of_the_last_one() {
        let mut entries = Entries::default();
        let mut check = |next: Schedule, machines: usize| {
            assert!(update(next.clone(), &mut entries));
            assert_eq!(entries.maintenance().schedule.as_ref(), Some(&next));
            assert_eq!(modes(&entries), vec![Mode::Draining; machines]);
        };
        check(schedule(&[&[one()]]), 1);
        check(schedule(&[&[one()], &[two()]]), 2);
        check(schedule(&[&[one()], &[two(), three()]]), 3);
        check(schedule(&[&[one(), two(), three()]]), 3);
        check(schedule(&[&[two(), three()]]), 2);
        check(schedule(&[]), 0);
    }

    /// `RegistrarTest.StartMaintenance`.
    #[test]
    fn a_machine_keeps_its_mode_when_its_time_changes() {
        let mut entries = Entries::default();
        assert!(update(schedule(&[&[one(), two()]]), &mut entries));
        assert!(start(&[two()], &mut entries));
        let mut later = schedule(&[&[one(), two(), three()]]);
        later.windows[0].unavailability = unavailability(2);
        entries.take_changes();
        assert!(update(later.clone(), &mut entries));
        let mode = |id: &v1::MachineId| entries.maintenance().machines[&id.into()].mode();
        assert_eq!(
            (mode(&one()), mode(&two()), mode(&three())),
            (Mode::Draining, Mode::Down, Mode::Draining)
        );
        let starts = entries.maintenance().machines.values().map(|info| info.unavailability);
        assert!(starts.into_iter().all(|known| known == Some(unavailability(2))));
        entries.take_changes();
        // What stays as it is is not stored again.
        assert!(update(later, &mut entries));
        assert!(entries.take_changes().is_empty());
    }

    #[test]
    fn a_machine_that_is_down_cannot_leave_the_schedule() {
        let mut entries = Entries::default();
        let both = schedule(&[&[one(), two()]]);
        assert!(update(both.clone(), &mut entries) && start(&[two()], &mut entries));
        assert!(!update(schedule(&[&[one()]]), &mut entries));
        assert_eq!(entries.maintenance().schedule, Some(both));
        assert_eq!(entries.maintenance().machines.len(), 2);
        assert!(update(schedule(&[&[two()]]), &mut entries));
        assert_eq!(modes(&entries), [Mode::Down]);
    }

    /// `RegistrarTest.StartMaintenance`.
    #[test]
    fn only_machines_in_the_schedule_go_down() {
        let mut entries = Entries::default();
        assert!(!start(&[one()], &mut entries));
        assert!(update(schedule(&[&[one(), two()]]), &mut entries));
        assert!(start(&[one(), two(), three()], &mut entries));
        assert_eq!(modes(&entries), [Mode::Down, Mode::Down]);
    }

    /// `RegistrarTest.StopMaintenance`.
    #[test]
    fn machines_that_are_up_again_leave_the_schedule() {
        let mut entries = Entries::default();
        assert!(update(schedule(&[&[one(), two()], &[three()]]), &mut entries));
        assert!(start(&[three()], &mut entries) && stop(&[three()], &mut entries));
        assert_eq!(windows(&entries), Some(vec![2]));
        assert_eq!(modes(&entries), [Mode::Draining, Mode::Draining]);
        assert!(!stop(&[three()], &mut entries), "it is up already");

        assert!(start(&[one(), two()], &mut entries) && stop(&[one(), two()], &mut entries));
        assert_eq!(windows(&entries), None);
        assert!(entries.maintenance().machines.is_empty());
    }

    /// Whatever an operator had changed, after whichever of the transactions that takes, and whether the change could be
    /// noted or not.
    #[test]
    fn what_a_leader_that_died_has_stored_of_a_large_change_is_one_plan_for_the_next() {
        let ids = |numbers: std::ops::Range<u32>| -> Vec<v1::MachineId> {
            let id = |number: u32| v1::MachineId { hostname: Some(format!("h{number:02}")), ip: None };
            numbers.map(id).collect()
        };
        let store = |records: &mut BTreeMap<String, Vec<u8>>, changes: Vec<Change>| {
            for Change { key, value } in changes {
                match value {
                    Some(value) => drop(records.insert(key, value)),
                    None => drop(records.remove(&key)),
                }
            }
        };
        let mut first = Entries::default();
        let (draining, down) = (ids(0..10), ids(10..20));
        assert!(update(schedule(&[draining.as_slice(), down.as_slice()]), &mut first));
        assert!(start(&down, &mut first));
        let mut before = BTreeMap::new();
        store(&mut before, first.take_changes());

        let later = ids(5..30);
        let mut other = schedule(&[later.as_slice()]);
        other.windows[0].unavailability = unavailability(2);
        let operations = [
            Operation::UpdateSchedule { schedule: other },
            Operation::StartMaintenance { machines: draining },
            Operation::StopMaintenance { machines: down },
        ];
        for (operation, bytes) in
            operations.iter().flat_map(|operation| [(operation, 300), (operation, 10_000)])
        {
            let mut after = first.clone();
            assert!(operation.clone().apply(&mut after));
            let limits = Limits { changes: 4, bytes, overhead: 0, key_byte: 1 };
            let transactions = batches(after.take_changes(), limits).unwrap();
            assert!(transactions.len() > 2, "{operation:?}");
            assert_eq!(transactions[0][0].key == "pending", bytes == 10_000, "{operation:?}");
            for stored in 0..=transactions.len() {
                let mut records = before.clone();
                for transaction in &transactions[..stored] {
                    store(&mut records, transaction.clone());
                }
                let (records, _) = settled(records.into_iter().collect()).unwrap();
                let mut found = Entries::from_records(records).unwrap();
                found.settle_maintenance();
                let Maintenance { schedule, machines } = found.maintenance();
                let mut planned = BTreeMap::new();
                for window in &schedule.as_ref().unwrap().windows {
                    let time = Some(window.unavailability);
                    planned.extend(window.machine_ids.iter().map(|id| (MachineKey::from(id), time)));
                }
                let known: BTreeMap<MachineKey, Option<v1::Unavailability>> =
                    machines.iter().map(|(key, info)| (key.clone(), info.unavailability)).collect();
                let told = format!("{stored} of {} transactions of {operation:?}", transactions.len());
                assert_eq!(known, planned, "{told}");
                let either = [first.maintenance(), after.maintenance()].map(|plan| &plan.schedule);
                assert!(either.contains(&schedule), "{told}: {schedule:?}");
                if stored == 0 {
                    assert_eq!(found.maintenance(), first.maintenance());
                } else if stored == transactions.len() {
                    assert_eq!(found.maintenance(), after.maintenance());
                }
            }
        }
    }
}
