//! How many tasks an offer has room for: the arithmetic of a framework whose tasks are all alike and
//! share one executor on each agent. Pure.

use mesos::{Resources, v1};

/// What is left of an offer.
pub struct Room {
    free: Resources,
    /// What the executor takes with the first task; nothing if it runs on that agent already.
    executor: Resources,
}

impl Room {
    /// The room that an offer gives. What cannot be understood counts as nothing, and reserved
    /// resources are left to who reserved them.
    pub fn of(offer: &v1::Offer, executor: &v1::ExecutorInfo) -> Room {
        let resources = |protos: &[v1::Resource]| Resources::try_from_protos(protos).unwrap_or_default();
        let runs = offer.executor_ids.contains(&executor.executor_id);
        Room {
            free: resources(&offer.resources).unreserved().unallocated(),
            executor: if runs { Resources::default() } else { resources(&executor.resources) },
        }
    }

    /// Takes the room of one task, if there is as much.
    pub fn take(&mut self, task: &Resources) -> bool {
        let needed = &self.executor + task;
        let fits = self.free.contains(&needed);
        if fits {
            self.free -= needed;
            self.executor = Resources::default();
        }
        fits
    }
}

/// What an agent must offer for the first task on it: the task and its executor.
pub fn needed(executor: &v1::ExecutorInfo, task: &Resources) -> Resources {
    task + &Resources::try_from_protos(&executor.resources).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(text: &str) -> Resources {
        Resources::parse(text, "*").unwrap()
    }

    fn offer(text: &str) -> v1::Offer {
        v1::Offer { resources: resources(text).to_protos(), ..Default::default() }
    }

    fn executor() -> v1::ExecutorInfo {
        v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: "e".into() },
            resources: resources("cpus:0.5;mem:32").to_protos(),
            ..Default::default()
        }
    }

    fn fitting(offer: &v1::Offer) -> usize {
        let (mut room, task) = (Room::of(offer, &executor()), resources("cpus:1;mem:32"));
        (0..100).take_while(|_| room.take(&task)).count()
    }

    #[test]
    fn the_executor_takes_its_part_once() {
        assert_eq!(fitting(&offer("cpus:4;mem:2048")), 3);
        assert_eq!(fitting(&offer("cpus:1.5;mem:64")), 1);
        assert_eq!(fitting(&offer("cpus:1.4;mem:64")), 0);
    }

    #[test]
    fn an_executor_that_runs_already_takes_nothing() {
        let mut offer = offer("cpus:4;mem:2048");
        offer.executor_ids = vec![executor().executor_id];
        assert_eq!(fitting(&offer), 4);
    }

    #[test]
    fn each_resource_counts() {
        assert_eq!(fitting(&offer("cpus:100;mem:100")), 2);
        assert_eq!(fitting(&offer("cpus:100")), 0);
        assert_eq!(fitting(&offer("cpus(ads):100;mem(ads):1000")), 0);
    }

    #[test]
    fn resources_that_were_allocated_to_a_role_count() {
        let mut offer = offer("cpus:4;mem:2048");
        for resource in &mut offer.resources {
            resource.allocation_info = Some(v1::resource::AllocationInfo { role: Some("*".into()) });
        }
        assert_eq!(fitting(&offer), 3);
    }
}
