//! Whether maintenance can be planned so (upstream: `master/maintenance.cpp`).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use mesos::v1::maintenance::Schedule;
use mesos::{MachineKey, v1};

use super::{Checked, Invalid, refuse_if, size_of};
use crate::registrar::Maintenance;

/// How large a schedule may be. It is one record of the registry, and what ZooKeeper and etcd take at a time is about 1 MB:
/// a master that could not store it would have to end. (Upstream has no limit.)
const LARGEST: usize = 512 * 1024;

/// It can be kept.
///
/// # Errors
/// When it is too large.
pub fn size(schedule: &Schedule) -> Checked {
    let size = size_of(schedule);
    refuse_if(
        size > LARGEST,
        format!("The schedule has {size} bytes; at most {LARGEST} are kept (some 9,000 machines)"),
    )
}

/// Every machine appears once, and none that is down is left out.
///
/// # Errors
/// With upstream's text.
pub fn schedule(schedule: &Schedule, present: &Maintenance) -> Checked {
    let mut planned = BTreeSet::new();
    for window in &schedule.windows {
        refuse_if(window.machine_ids.is_empty(), "List of machines in the maintenance window is empty")?;
        let negative = window.unavailability.duration.is_some_and(|duration| duration.nanoseconds < 0);
        refuse_if(negative, "Unavailability 'duration' is negative")?;
        each(&window.machine_ids, &mut planned)?;
    }
    for (key, info) in &present.machines {
        refuse_if(
            present.is_down(key) && !planned.contains(key),
            format!("Machine '{}' is deactivated and cannot be removed from the schedule", text(&info.id)),
        )?;
    }
    Ok(())
}

/// There is a machine, and each is named once.
///
/// # Errors
/// With upstream's text.
pub fn machines(ids: &[v1::MachineId]) -> Checked {
    refuse_if(ids.is_empty(), "List of machines is empty")?;
    each(ids, &mut BTreeSet::new())
}

fn each(ids: &[v1::MachineId], seen: &mut BTreeSet<MachineKey>) -> Checked {
    for id in ids {
        machine(id)?;
        refuse_if(
            !seen.insert(id.into()),
            format!("Machine '{}' appears more than once in the schedule", text(id)),
        )?;
    }
    Ok(())
}

fn machine(id: &v1::MachineId) -> Checked {
    let nameless = id.hostname().is_empty() && id.ip().is_empty();
    refuse_if(nameless, "Both 'hostname' and 'ip' for a machine are empty")?;
    super::name("The hostname", id.hostname())?;
    if !id.ip().is_empty() && id.ip().parse::<Ipv4Addr>().is_err() {
        return Err(Invalid(format!("Failed to parse the IP '{}': expecting an IPv4 address", id.ip())));
    }
    Ok(())
}

/// A machine as upstream's texts show it.
pub fn text(id: &v1::MachineId) -> String {
    mesos::json::to_value(id).to_string()
}

#[cfg(test)]
mod tests {
    use mesos::v1::maintenance::Window;

    use super::*;

    fn id(hostname: &str, ip: &str) -> v1::MachineId {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        v1::MachineId { hostname: some(hostname), ip: some(ip) }
    }

    fn plan(windows: &[&[v1::MachineId]], duration: Option<i64>) -> Schedule {
        let unavailability = v1::Unavailability {
            start: v1::TimeInfo { nanoseconds: 0 },
            duration: duration.map(|nanoseconds| v1::DurationInfo { nanoseconds }),
        };
        let windows = windows.iter().map(|ids| Window { machine_ids: ids.to_vec(), unavailability });
        Schedule { windows: windows.collect() }
    }

    #[test]
    fn machines_have_names_and_addresses_and_are_named_once() {
        let refused = |ids: &[v1::MachineId]| machines(ids).unwrap_err().0;
        assert!(machines(&[id("a", ""), id("", "10.0.0.1"), id("a", "10.0.0.1")]).is_ok());
        assert_eq!(refused(&[]), "List of machines is empty");
        assert_eq!(refused(&[id("", "")]), "Both 'hostname' and 'ip' for a machine are empty");
        assert!(refused(&[id("a", "10.0.0")]).contains("'10.0.0'"));
        let twice = refused(&[id("a", ""), id("A", "")]);
        assert_eq!(twice, r#"Machine '{"hostname":"A"}' appears more than once in the schedule"#);
        assert!(refused(&[id(&"h".repeat(1_025), "")]).contains("has 1025 bytes; at most 1024 are kept"));
    }

    #[test]
    fn a_schedule_has_windows_with_machines_and_keeps_those_that_are_down() {
        let mut present = Maintenance::default();
        let refused = |plan: &Schedule, present: &Maintenance| schedule(plan, present).unwrap_err().0;
        assert!(schedule(&plan(&[], None), &present).is_ok());
        let empty = "List of machines in the maintenance window is empty";
        assert_eq!(refused(&plan(&[&[]], None), &present), empty);
        let negative = "Unavailability 'duration' is negative";
        assert_eq!(refused(&plan(&[&[id("a", "")]], Some(-1)), &present), negative);
        let twice = plan(&[&[id("a", "")], &[id("a", "")]], Some(1));
        assert!(refused(&twice, &present).contains("more than once"));

        let many: Vec<_> = (0..30_000).map(|n| id(&format!("host-{n}.example.org"), "")).collect();
        assert!(size(&plan(&[&many], None)).unwrap_err().0.contains("at most 524288 are kept"));
        assert!(size(&plan(&[&many[..9_000]], None)).is_ok());

        present.plan(plan(&[&[id("a", "")]], None));
        assert!(schedule(&plan(&[], None), &present).is_ok(), "it only drains");
        present.start(&[id("a", "")]);
        assert_eq!(
            refused(&plan(&[], None), &present),
            r#"Machine '{"hostname":"a"}' is deactivated and cannot be removed from the schedule"#
        );
    }
}
