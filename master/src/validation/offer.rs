//! Whether the offers of an ACCEPT can be taken together.

use std::collections::BTreeSet;

use mesos::{FrameworkId, v1};

use super::{Checked, Invalid, refuse_if};
use crate::cluster::{Cluster, Offer};

/// All offers must be outstanding, different, this framework's, of one role and of one agent.
pub fn validate(ids: &[v1::OfferId], framework: &FrameworkId, cluster: &Cluster) -> Checked {
    refuse_if(ids.is_empty(), "No offers specified")?;
    let mut seen = BTreeSet::new();
    for id in ids {
        refuse_if(!seen.insert(id.value.as_str()), format!("Duplicate offer {} in offer list", id.value))?;
    }
    let mut offers = Vec::with_capacity(ids.len());
    for id in ids {
        match cluster.offer(&id.value) {
            Some(offer) => offers.push(offer.as_ref()),
            None => return Err(Invalid(format!("Offer {} is no longer valid", id.value))),
        }
    }
    validate_owner(&offers, framework)?;
    validate_role(&offers)?;
    validate_agent(&offers)
}

fn validate_owner(offers: &[&Offer], framework: &FrameworkId) -> Checked {
    match offers.iter().find(|offer| &offer.framework != framework) {
        Some(offer) => Err(Invalid(format!(
            "Offer {} has invalid framework {} while framework {framework} is expected",
            offer.id, offer.framework
        ))),
        None => Ok(()),
    }
}

fn validate_role(offers: &[&Offer]) -> Checked {
    let Some(first) = offers.first() else { return Ok(()) };
    match offers.iter().find(|offer| offer.role != first.role) {
        Some(offer) => Err(Invalid(format!(
            "Aggregated offers must be allocated to the same role. Offer {} uses role '{} but \
             another is using role '{}",
            offer.id, offer.role, first.role
        ))),
        None => Ok(()),
    }
}

fn validate_agent(offers: &[&Offer]) -> Checked {
    let Some(first) = offers.first() else { return Ok(()) };
    match offers.iter().find(|offer| offer.agent != first.agent) {
        Some(offer) => Err(Invalid(format!(
            "Aggregated offers must belong to one single agent. Offer {} uses agent {} and agent {}",
            offer.id, offer.agent, first.agent
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing;

    fn ids(ids: &[&str]) -> Vec<v1::OfferId> {
        ids.iter().map(|id| v1::OfferId { value: (*id).to_owned() }).collect()
    }

    #[test]
    fn offers_are_taken_together_only_if_they_belong_together() {
        let mut cluster = testing::cluster(&["f", "g"], &["a", "b"]);
        for (id, framework, agent) in [("1", "f", "a"), ("2", "f", "a"), ("3", "f", "b"), ("4", "g", "a")] {
            cluster.add_offer(testing::offer(id, framework, agent, "cpus:1"));
        }
        let check =
            |list: &[&str]| validate(&ids(list), &FrameworkId::from("f"), &cluster).map_err(|error| error.0);
        assert_eq!(check(&["1", "2"]), Ok(()));
        assert_eq!(check(&[]).unwrap_err(), "No offers specified");
        assert_eq!(check(&["1", "1"]).unwrap_err(), "Duplicate offer 1 in offer list");
        assert_eq!(check(&["1", "9"]).unwrap_err(), "Offer 9 is no longer valid");
        assert!(check(&["1", "3"]).unwrap_err().contains("one single agent"));
        assert_eq!(
            check(&["4"]).unwrap_err(),
            "Offer 4 has invalid framework g while framework f is expected"
        );
    }
}
