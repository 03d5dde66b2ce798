//! Whether an agent that comes back with other settings is still the same agent.
//!
//! Pure. Upstream: `slave/compatibility.cpp` (`--reconfiguration_policy`).

use mesos::attributes::{Attribute, AttributeValue};
use mesos::v1::AgentInfo;
use mesos::{Attributes, Resource, Resources};

/// Which changes an agent may come back with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// None.
    #[default]
    Equal,
    /// More resources and attributes, not fewer; a domain where there was none.
    Additive,
}

/// Checks what an agent comes back with against what it was.
///
/// # Errors
/// What has changed that must not, with both values.
pub fn compatible(policy: Policy, before: &AgentInfo, now: &AgentInfo) -> Result<(), String> {
    if before.hostname != now.hostname {
        return Err(changed("hostname", &before.hostname, &now.hostname));
    }
    if before.port() != now.port() {
        return Err(changed("port", &before.port(), &now.port()));
    }
    if before.domain != now.domain && (policy == Policy::Equal || before.domain.is_some()) {
        return Err(changed("domain", &domain(before), &domain(now)));
    }
    let resources = Resources::from_valid_protos;
    let (old, new) = (resources(&before.resources), resources(&now.resources));
    let fits = match policy {
        Policy::Equal => old == new,
        Policy::Additive => old.iter().all(|old| has_as_much(&new, old)),
    };
    if !fits {
        return Err(changed("resources", &old, &new));
    }
    let attributes = |info: &AgentInfo| Attributes::from_valid_protos(&info.attributes);
    let (old, new) = (attributes(before), attributes(now));
    let fits = match policy {
        Policy::Equal => old == new,
        Policy::Additive => old.iter().all(|old| says_as_much(&new, old)),
    };
    if !fits {
        let text = |attributes: &Attributes| {
            attributes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        return Err(changed("attributes", &text(&old), &text(&new)));
    }
    Ok(())
}

/// Whether the same resource is there, and as much of it or more. A disk of its own may have grown, too.
fn has_as_much(resources: &Resources, before: &Resource) -> bool {
    resources.iter().any(|now| now.same_identity(before) && now.value().contains(before.value()))
}

/// Whether an attribute of this name says the same; ranges may have grown. Names may repeat. (Upstream looks at the
/// first of a name, so that an agent with such a name does not start again under `additive`.)
fn says_as_much(attributes: &Attributes, before: &Attribute) -> bool {
    let mut of_name = attributes.iter().filter(|now| now.name == before.name);
    of_name.any(|now| match (&now.value, &before.value) {
        (AttributeValue::Ranges(now), AttributeValue::Ranges(before)) => now.contains(before),
        (now, before) => now == before,
    })
}

/// As `--domain` takes it.
fn domain(info: &AgentInfo) -> String {
    info.domain.as_ref().map_or_else(|| "none".to_owned(), mesos::json::to_string)
}

fn changed(what: &str, before: &dyn std::fmt::Display, now: &dyn std::fmt::Display) -> String {
    format!("the agent's {what} changed from '{before}' to '{now}'")
}

#[cfg(test)]
mod tests {
    use mesos::v1;

    use super::*;

    fn info(resources: &str) -> AgentInfo {
        with(resources, "")
    }

    fn with(resources: &str, attributes: &str) -> AgentInfo {
        AgentInfo {
            hostname: "host".into(),
            port: Some(5051),
            resources: Resources::parse(resources, "*").unwrap().to_protos(),
            attributes: Attributes::parse(attributes).unwrap().to_protos(),
            ..AgentInfo::default()
        }
    }

    /// Whether the policies allow this change: equal, additive.
    fn allowed(before: &AgentInfo, now: &AgentInfo) -> (bool, bool) {
        let allows = |policy| compatible(policy, before, now).is_ok();
        (allows(Policy::Equal), allows(Policy::Additive))
    }

    const ALWAYS: (bool, bool) = (true, true);
    const MORE: (bool, bool) = (false, true);
    const NEVER: (bool, bool) = (false, false);

    /// Upstream: `SlaveCompatibilityTest.Equal`, `SlaveCompatibilityTest.Additive`,
    /// `SlaveCompatibilityTest.AdditiveWithReservations`.
    #[test]
    fn resources_may_be_said_in_other_words_or_become_more() {
        for (before, now, expected) in [
            ("cpus:4;mem:10", "mem:10;cpus:4", ALWAYS),
            ("cpus:500", "cpus:250;cpus:250", ALWAYS),
            ("cpus:50", "cpus:30;cpus:30", MORE),
            ("cpus:50", "cpus:50;mem:100", MORE),
            ("cpus:50;mem:100", "cpus:50", NEVER),
            ("cpus:50", "cpus:[100-200]", NEVER),
            ("cpus:100", "cpus:50", NEVER),
            ("range:[100-200]", "range:[100-300]", MORE),
            ("range:[100-300]", "range:[100-200]", NEVER),
            ("set:{a}", "set:{a,b}", MORE),
            ("set:{a,b}", "set:{a}", NEVER),
            ("foo(A):10;foo(B):20", "foo(A):20;foo(B):30", MORE),
            ("foo(A):10;foo(B):20", "foo(A):5;foo(B):50", NEVER),
        ] {
            assert_eq!(allowed(&info(before), &info(now)), expected, "{before} -> {now}");
        }
    }

    /// Upstream: `SlaveCompatibilityTest.Equal`, `SlaveCompatibilityTest.Additive`.
    #[test]
    fn attributes_may_be_added_and_their_ranges_may_grow() {
        for (before, now, expected) in [
            ("os:lucid;dc:a", "dc:a;os:lucid", ALWAYS),
            ("os:lucid", "os:lucid;dc:amsterdam", MORE),
            ("os:lucid;dc:amsterdam", "os:lucid", NEVER),
            ("os:lucid", "os:4", NEVER),
            ("os:lucid", "os:trusty", NEVER),
            ("rack:1", "rack:2", NEVER),
            ("range:[100-200]", "range:[100-300]", MORE),
            ("range:[100-300]", "range:[100-200]", NEVER),
            ("rack:a;rack:b", "rack:b;rack:a", ALWAYS),
            ("rack:a;rack:b", "rack:a;rack:b;rack:c", MORE),
            ("rack:a;rack:b", "rack:a;rack:c", NEVER),
        ] {
            let (before_info, now_info) = (with("cpus:1", before), with("cpus:1", now));
            assert_eq!(allowed(&before_info, &now_info), expected, "{before} -> {now}");
        }
    }

    #[test]
    fn attributes_are_named_as_operators_write_them() {
        let (before, now) = (with("cpus:1", "os:lucid;dc:a"), with("cpus:1", "os:lucid"));
        let error = compatible(Policy::Equal, &before, &now).unwrap_err();
        assert_eq!(error, "the agent's attributes changed from 'os=lucid; dc=a' to 'os=lucid'");
    }

    /// Upstream: `SlaveCompatibilityTest.Disks`.
    #[test]
    fn a_disk_may_be_added_and_an_own_one_may_grow() {
        let disk = r#"{"name":"disk","type":"SCALAR","scalar":{"value":868000}}"#;
        let mount = |size: u32| {
            format!(
                r#"{{"name":"disk","type":"SCALAR","scalar":{{"value":{size}}},
                    "disk":{{"source":{{"type":"MOUNT","mount":{{"root":"/srv/mesos/volumes/a"}}}}}}}}"#
            )
        };
        let [without, small, large] = [
            format!("[{disk}]"),
            format!("[{disk},{}]", mount(1_830_000)),
            format!("[{disk},{}]", mount(1_900_000)),
        ]
        .map(|json| info(&json));
        assert_eq!(allowed(&without, &small), MORE);
        assert_eq!(allowed(&small, &small), ALWAYS);
        assert_eq!(allowed(&small, &large), MORE);
        assert_eq!(allowed(&large, &small), NEVER);
        assert_eq!(allowed(&small, &without), NEVER);
    }

    #[test]
    fn labels_of_a_disk_may_come_in_another_order() {
        let disk = |labels: [&str; 2]| {
            let source = format!(
                r#"{{"type":"PATH","path":{{"root":"/p"}},"metadata":{{"labels":[{}]}}}}"#,
                labels.join(",")
            );
            info(&format!(
                r#"[{{"name":"disk","type":"SCALAR","scalar":{{"value":8}},"disk":{{"source":{source}}}}}]"#
            ))
        };
        let (one, other) = (r#"{"key":"a"}"#, r#"{"key":"b","value":"1"}"#);
        assert_eq!(allowed(&disk([one, other]), &disk([other, one])), ALWAYS);
        assert_eq!(allowed(&disk([one, other]), &disk([one, one])), NEVER);
    }

    /// Upstream: `SlaveCompatibilityTest.Equal`.
    #[test]
    fn another_host_or_port_is_another_agent() {
        let before = info("cpus:4");
        let other = AgentInfo { port: Some(5052), ..info("cpus:4") };
        let error = compatible(Policy::Additive, &before, &other).unwrap_err();
        assert!(error.contains("'5051' to '5052'"), "{error}");
        assert_eq!(allowed(&before, &other), NEVER);
        assert_eq!(allowed(&before, &AgentInfo { hostname: "other".into(), ..info("cpus:4") }), NEVER);
    }

    /// Upstream: `SlaveTest.ReconfigurationPolicy`.
    #[test]
    fn a_domain_may_be_given_but_not_changed() {
        let zone = |name: &str| v1::DomainInfo {
            fault_domain: Some(v1::domain_info::FaultDomain {
                region: v1::domain_info::fault_domain::RegionInfo { name: "region".into() },
                zone: v1::domain_info::fault_domain::ZoneInfo { name: name.into() },
            }),
        };
        let inside = |name: &str| AgentInfo { domain: Some(zone(name)), ..info("cpus:4") };
        assert_eq!(allowed(&info("cpus:4"), &inside("a")), MORE);
        assert_eq!(allowed(&inside("a"), &inside("a")), ALWAYS);
        assert_eq!(allowed(&inside("a"), &inside("b")), NEVER);
        assert_eq!(allowed(&inside("a"), &info("cpus:4")), NEVER);
        let error = compatible(Policy::Additive, &inside("a"), &info("cpus:4")).unwrap_err();
        let domain = r#"{"fault_domain":{"region":{"name":"region"},"zone":{"name":"a"}}}"#;
        assert_eq!(error, format!("the agent's domain changed from '{domain}' to 'none'"));
    }
}
