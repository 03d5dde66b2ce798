//! An allocator that runs as an actor, and a master that notes what it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use allocator::messages::*;
use allocator::{Allocator, Options, Quota};
use libprocess::{Address, Node, Pid, Recipient, testing};
use mesos::v1;

use super::*;

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

/// What was offered, and when.
pub(crate) type Heard = Vec<(Duration, Vec<Offer>)>;

/// An allocator, and a master that notes what is offered and when.
pub(crate) struct Setup {
    pub(crate) node: Node,
    pub(crate) allocator: Address<Allocator>,
    heard: Arc<Mutex<Heard>>,
}

impl Setup {
    pub(crate) async fn new(options: Options) -> Setup {
        let node = Node::builder().offline().start().await.unwrap();
        let allocator = node.spawn_numbered(Allocator::new());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (notes, clock) = (Arc::clone(&heard), node.clone());
        let offers = Recipient::from_fn(Pid::nobody(), move |MakeOffers(offers): MakeOffers, _: &Pid| {
            notes.lock().unwrap().push((clock.elapsed(), list(&offers)));
        });
        allocator.tell(Initialize { options, offers, inverse_offers: None });
        testing::settle().await;
        Setup { node, allocator, heard }
    }

    pub(crate) fn add_framework(&self, name: &str, role: &str) {
        self.add_framework_of(name, framework_info(&[role]));
    }

    pub(crate) fn add_framework_of(&self, name: &str, info: v1::FrameworkInfo) {
        self.allocator.tell(AddFramework {
            id: framework_id(name),
            info,
            used: BTreeMap::new(),
            active: true,
            options: FrameworkOptions::default(),
        });
    }

    pub(crate) fn add_agent(&self, name: &str) {
        self.add_agent_using(name, "cpus:4;mem:1024", &[]);
    }

    /// `used`: framework, role, resources.
    pub(crate) fn add_agent_using(&self, name: &str, total: &str, used: &[(&str, &str, &str)]) {
        let used = used
            .iter()
            .map(|(framework, role, text)| (framework_id(framework), resources(text).allocated_to(role)));
        self.allocator.tell(AddAgent {
            id: agent_id(name),
            info: agent_info(name),
            capabilities: agent_capabilities(),
            unavailability: None,
            total: resources(total),
            used: used.collect(),
        });
    }

    pub(crate) fn set_quota(&self, role: &str, quota: Quota) {
        self.allocator.tell(UpdateQuota { role: role.into(), quota });
    }

    pub(crate) fn recover(&self, offer: &Offer, text: &str, is_allocated: bool, refuse_seconds: Option<f64>) {
        self.allocator.tell(RecoverResources {
            framework: framework_id(&offer.framework),
            agent: agent_id(&offer.agent),
            resources: resources(text).allocated_to(&offer.role),
            filters: refuse_seconds.map(refuse),
            is_allocated,
        });
    }

    /// What was offered since the last call.
    pub(crate) fn heard(&self) -> Heard {
        std::mem::take(&mut self.heard.lock().unwrap())
    }

    /// The only offer that was made since the last call.
    #[track_caller]
    pub(crate) fn only_heard(&self) -> Offer {
        let offers: Vec<Offer> = self.heard().into_iter().flat_map(|(_, offers)| offers).collect();
        assert_eq!(offers.len(), 1, "{offers:?}");
        offers[0].clone()
    }

    pub(crate) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
        testing::settle().await;
    }

    pub(crate) fn runs(&self) -> f64 {
        self.node.metrics().value("allocator/mesos/allocation_runs").unwrap()
    }

    /// A metric of the allocator.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        self.node.metrics().value(&format!("allocator/mesos/{name}"))
    }
}
