//! Planned maintenance of machines. A machine that is not named anywhere is up; one in the schedule is draining, or
//! down while its maintenance is under way.

use std::collections::{BTreeMap, BTreeSet};

use mesos::v1::machine_info::Mode;
use mesos::v1::maintenance::Schedule;
use mesos::{MachineKey, v1};

use super::super::entries::Entries;

/// A schedule takes the place of the one before it. Machines that are in both keep their mode.
pub(super) fn update(schedule: Schedule, entries: &mut Entries) -> bool {
    let mut planned: BTreeMap<MachineKey, v1::MachineInfo> = BTreeMap::new();
    for window in &schedule.windows {
        for id in &window.machine_ids {
            let key = MachineKey::from(id);
            let known = entries.machines().get(&key).map(|machine| &machine.info);
            let info = v1::MachineInfo {
                id: known.map_or(id, |known| &known.id).clone(),
                mode: known.map_or(Some(Mode::Draining.into()), |known| known.mode),
                unavailability: Some(window.unavailability),
            };
            planned.insert(key, info);
        }
    }
    let left: Vec<_> = entries.machines().keys().filter(|key| !planned.contains_key(*key)).cloned().collect();
    for key in left {
        entries.remove_machine(&key);
    }
    for (key, info) in planned {
        if entries.machines().get(&key).is_none_or(|machine| machine.info != info) {
            entries.put_machine(key, info);
        }
    }
    entries.set_schedule(Some(schedule));
    true
}

/// Machines go down.
pub(super) fn start(machines: &[v1::MachineId], entries: &mut Entries) -> bool {
    let mut any = false;
    for key in machines.iter().map(MachineKey::from) {
        let Some(mut info) = entries.machines().get(&key).map(|machine| machine.info.clone()) else {
            continue;
        };
        info.set_mode(Mode::Down);
        entries.put_machine(key, info);
        any = true;
    }
    any
}

/// Machines are up again. A window that has no machine any more goes, and so does a schedule without windows.
pub(super) fn stop(machines: &[v1::MachineId], entries: &mut Entries) -> bool {
    let up: BTreeSet<MachineKey> = machines.iter().map(MachineKey::from).collect();
    let mut any = false;
    for key in &up {
        any |= entries.remove_machine(key);
    }
    if let Some(mut schedule) = entries.schedule().cloned() {
        for window in &mut schedule.windows {
            window.machine_ids.retain(|id| !up.contains(&MachineKey::from(id)));
        }
        schedule.windows.retain(|window| !window.machine_ids.is_empty());
        let left = (!schedule.windows.is_empty()).then_some(schedule);
        if left.as_ref() != entries.schedule() {
            entries.set_schedule(left);
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use mesos::v1::maintenance::Window;

    use super::*;

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
        entries.schedule().map(sizes)
    }

    fn modes(entries: &Entries) -> Vec<Mode> {
        entries.machines().values().map(|machine| machine.info.mode()).collect()
    }

    #[test]
    fn a_schedule_takes_the_place_of_the_last_one() {
        let mut entries = Entries::default();
        let mut check = |next: Schedule, machines: usize| {
            assert!(update(next.clone(), &mut entries));
            assert_eq!(entries.schedule(), Some(&next));
            assert_eq!(modes(&entries), vec![Mode::Draining; machines]);
        };
        check(schedule(&[&[one()]]), 1);
        check(schedule(&[&[one()], &[two()]]), 2);
        check(schedule(&[&[one()], &[two(), three()]]), 3);
        check(schedule(&[&[one(), two(), three()]]), 3);
        check(schedule(&[&[two(), three()]]), 2);
        check(schedule(&[]), 0);
    }

    #[test]
    fn a_machine_keeps_its_mode_when_its_time_changes() {
        let mut entries = Entries::default();
        assert!(update(schedule(&[&[one(), two()]]), &mut entries));
        assert!(start(&[two()], &mut entries));
        let mut later = schedule(&[&[one(), two(), three()]]);
        later.windows[0].unavailability = unavailability(2);
        entries.take_changes();
        assert!(update(later.clone(), &mut entries));
        let mode = |id: &v1::MachineId| entries.machines()[&id.into()].info.mode();
        assert_eq!(
            (mode(&one()), mode(&two()), mode(&three())),
            (Mode::Draining, Mode::Down, Mode::Draining)
        );
        let starts = entries.machines().values().map(|machine| machine.info.unavailability);
        assert!(starts.into_iter().all(|known| known == Some(unavailability(2))));
        entries.take_changes();
        // What stays as it is is not stored again.
        assert!(update(later, &mut entries));
        let changed: Vec<String> = entries.take_changes().into_iter().map(|change| change.key).collect();
        assert_eq!(changed, ["schedule"]);
    }

    #[test]
    fn only_machines_in_the_schedule_go_down() {
        let mut entries = Entries::default();
        assert!(!start(&[one()], &mut entries));
        assert!(update(schedule(&[&[one(), two()]]), &mut entries));
        assert!(start(&[one(), two(), three()], &mut entries));
        assert_eq!(modes(&entries), [Mode::Down, Mode::Down]);
    }

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
        assert!(entries.machines().is_empty());
    }
}
