//! The ids that a master gives: its own, and those made of it (upstream: `newFrameworkId` etc.).

use mesos::{AgentId, FrameworkId, OfferId};

/// Numbers what this master admits; every id begins with the master's.
pub(crate) struct Ids {
    master: String,
    frameworks: u64,
    agents: u64,
    offers: u64,
}

impl Ids {
    /// For the master with this id.
    pub(crate) fn new(master: impl Into<String>) -> Self {
        Self { master: master.into(), frameworks: 0, agents: 0, offers: 0 }
    }

    /// `<master>-0000`, and more digits from 10,000 on.
    pub(crate) fn framework(&mut self) -> FrameworkId {
        FrameworkId::from(format!("{}-{:04}", self.master, take(&mut self.frameworks)))
    }

    /// `<master>-S0`.
    pub(crate) fn agent(&mut self) -> AgentId {
        AgentId::from(format!("{}-S{}", self.master, take(&mut self.agents)))
    }

    /// `<master>-O0`.
    pub(crate) fn offer(&mut self) -> OfferId {
        OfferId::from(format!("{}-O{}", self.master, take(&mut self.offers)))
    }
}

fn take(next: &mut u64) -> u64 {
    let number = *next;
    *next += 1;
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_begin_with_the_master_and_count() {
        let mut ids = Ids::new("m");
        assert_eq!(ids.framework().as_str(), "m-0000");
        assert_eq!(ids.framework().as_str(), "m-0001");
        assert_eq!(ids.agent().as_str(), "m-S0");
        assert_eq!(ids.offer().as_str(), "m-O0");
    }
}
