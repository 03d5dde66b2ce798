//! What the tasks of a framework use, once for all that use the same.
//!
//! A framework runs many tasks of few kinds, and the books remember of each what it uses, in the form that one calculates
//! with. Tasks of one kind share that.

use mesos::Resources;

/// Kinds that are remembered. One that is forgotten is there a second time when it comes back, and nothing worse.
const KINDS: usize = 8;

/// What the latest kinds of a framework's tasks use, the latest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Kinds(Vec<Resources>);

impl Kinds {
    /// The same resources, shared with the tasks of this kind.
    pub(super) fn share(&mut self, resources: Resources) -> Resources {
        match self.0.iter().position(|kind| kind.is_alike(&resources)) {
            Some(place) => self.0[..=place].rotate_right(1),
            None => {
                self.0.truncate(KINDS - 1);
                self.0.insert(0, resources);
            }
        }
        self.0[0].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing;

    fn is_shared(left: &Resources, right: &Resources) -> bool {
        std::ptr::eq(left.iter().as_slice(), right.iter().as_slice())
    }

    #[test]
    fn tasks_of_one_kind_share_what_they_use_and_others_do_not() {
        let mut kinds = Kinds::default();
        let mut share = |text: &str| kinds.share(testing::allocated(text));
        let (web, batch) = (share("cpus:1;mem:64"), share("cpus:4;mem:64"));
        assert!(is_shared(&share("cpus:1;mem:64"), &web));
        assert!(is_shared(&share("cpus:4;mem:64"), &batch));
        assert_eq!(web, testing::allocated("cpus:1;mem:64"));
        assert_eq!(batch, testing::allocated("cpus:4;mem:64"));
        // The same amounts for another role, or of what is reserved.
        let other = kinds.share(testing::allocated("cpus:1;mem:64").allocated_to("other"));
        assert!(!is_shared(&other, &web));
        let reserved = testing::allocated("cpus(r):1;mem(r):64");
        assert_eq!(kinds.share(reserved.clone()), reserved);
    }

    #[test]
    fn few_kinds_are_remembered() {
        let mut kinds = Kinds::default();
        for number in 1..100 {
            kinds.share(testing::allocated(&format!("cpus:{number}")));
        }
        assert_eq!(kinds.0.len(), KINDS);
        let latest = kinds.0[0].clone();
        assert!(is_shared(&kinds.share(testing::allocated("cpus:99")), &latest));
    }
}
