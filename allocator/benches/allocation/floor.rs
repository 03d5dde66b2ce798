//! The floor: a cycle of dominant resource fairness over plain arrays, and nothing else.
//!
//! The agents are shuffled, and each goes whole to the framework with the lowest dominant share (then to
//! the one that was chosen less often, then to the first). There are no roles, weights, quotas,
//! reservations, capabilities, filters or names: what this costs, any allocator costs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use harness::bench::{self, median};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use crate::cluster::milliseconds;

/// Thousandths of cpus, mem, disk and gpus.
type Amounts = [i64; 4];

/// A framework's place: the bits of its share (which order as the shares do, since none is negative), how
/// often it was chosen, its index.
type Place = Reverse<(u64, u32, u32)>;

/// A cluster of equal agents, all free.
pub(crate) struct Floor {
    agents: Vec<Amounts>,
    order: Vec<u32>,
    total: Amounts,
    frameworks: Vec<(Amounts, u32)>,
    queue: BinaryHeap<Place>,
    random: SmallRng,
}

impl Floor {
    pub(crate) fn new(agents: usize, frameworks: usize) -> Floor {
        let agent = [24_000, 4_096_000, 4_096_000, 0];
        let mut floor = Floor {
            agents: vec![agent; agents],
            order: Vec::new(),
            total: agent.map(|amount| amount * agents as i64),
            frameworks: vec![([0; 4], 0); frameworks],
            queue: BinaryHeap::new(),
            random: SmallRng::seed_from_u64(0),
        };
        floor.give_back();
        floor
    }

    /// Everything is free again.
    pub(crate) fn give_back(&mut self) {
        self.order = (0..self.agents.len() as u32).collect();
        for framework in &mut self.frameworks {
            framework.0 = [0; 4];
        }
        let places = self.frameworks.iter().enumerate();
        self.queue = places.map(|(at, (_, chosen))| Reverse((0, *chosen, at as u32))).collect();
    }

    /// A cycle, and everything given back: milliseconds of the cycle alone.
    pub(crate) fn cycle_and_back(&mut self) -> f64 {
        let began = bench::now();
        let offers = self.cycle();
        let took = milliseconds(began);
        std::hint::black_box(offers);
        self.give_back();
        took
    }

    /// One cycle: framework, agent and what is offered, for each offer.
    pub(crate) fn cycle(&mut self) -> Vec<(u32, u32, Amounts)> {
        let mut offers = Vec::with_capacity(self.agents.len());
        self.order.shuffle(&mut self.random);
        for agent in &self.order {
            let Some(mut first) = self.queue.peek_mut() else { break };
            let Reverse((share, chosen, framework)) = &mut *first;
            let offer = self.agents[*agent as usize];
            let (has, times) = &mut self.frameworks[*framework as usize];
            let mut dominant: f64 = 0.0;
            for resource in 0..4 {
                has[resource] += offer[resource];
                if self.total[resource] > 0 {
                    dominant = dominant.max(has[resource] as f64 / self.total[resource] as f64);
                }
            }
            *times += 1;
            (*share, *chosen) = (dominant.to_bits(), *times);
            offers.push((*framework, *agent, offer));
        }
        offers
    }
}

/// Milliseconds of a cycle of this size: the median of a few.
pub(crate) fn of(agents: usize, frameworks: usize) -> f64 {
    let mut floor = Floor::new(agents, frameworks);
    median(&(0..7).map(|_| floor.cycle_and_back()).collect::<Vec<_>>())
}
