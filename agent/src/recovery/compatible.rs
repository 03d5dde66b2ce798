//! Whether an agent that comes back with other settings is still the same agent.
//!
//! Pure. Upstream: `slave/compatibility.cpp` (`--reconfiguration_policy`).

use mesos::v1::AgentInfo;
use mesos::{Attributes, Resources};

/// Which changes an agent may come back with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// None.
    #[default]
    Equal,
    /// More resources and attributes, not fewer.
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
        return Err(changed("domain", &format!("{:?}", before.domain), &format!("{:?}", now.domain)));
    }
    let resources = Resources::from_valid_protos;
    let (old, new) = (resources(&before.resources), resources(&now.resources));
    let fits = match policy {
        Policy::Equal => old == new,
        Policy::Additive => new.contains(&old),
    };
    if !fits {
        return Err(changed("resources", &old, &new));
    }
    let attributes = |info: &AgentInfo| Attributes::try_from_protos(&info.attributes).unwrap_or_default();
    let (old, new) = (attributes(before), attributes(now));
    let fits = match policy {
        Policy::Equal => old.to_protos() == new.to_protos(),
        Policy::Additive => {
            let new = new.to_protos();
            old.to_protos().iter().all(|attribute| new.contains(attribute))
        }
    };
    if !fits {
        return Err(changed("attributes", &format!("{old:?}"), &format!("{new:?}")));
    }
    Ok(())
}

fn changed(what: &str, before: &dyn std::fmt::Display, now: &dyn std::fmt::Display) -> String {
    format!("the agent's {what} changed from '{before}' to '{now}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(resources: &str) -> AgentInfo {
        AgentInfo {
            hostname: "host".into(),
            port: Some(5051),
            resources: Resources::parse(resources, "*").unwrap().to_protos(),
            ..AgentInfo::default()
        }
    }

    #[test]
    fn the_same_agent_is_compatible() {
        assert_eq!(compatible(Policy::Equal, &info("cpus:4;mem:10"), &info("mem:10;cpus:4")), Ok(()));
    }

    #[test]
    fn more_resources_are_compatible_only_where_that_is_allowed() {
        let (less, more) = (info("cpus:4"), info("cpus:5;mem:10"));
        assert!(compatible(Policy::Equal, &less, &more).unwrap_err().contains("resources"));
        assert_eq!(compatible(Policy::Additive, &less, &more), Ok(()));
        assert!(compatible(Policy::Additive, &more, &less).is_err());
    }

    #[test]
    fn another_port_is_another_agent() {
        let other = AgentInfo { port: Some(5052), ..info("cpus:4") };
        let error = compatible(Policy::Additive, &info("cpus:4"), &other).unwrap_err();
        assert!(error.contains("'5051' to '5052'"), "{error}");
    }
}
