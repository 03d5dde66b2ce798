//! A [`Bundle`]: resources of one agent, split into what is only a number and everything else.
//!
//! Most of what a cluster hands out is plain: unreserved, irrevocable cpus and memory, of which one is
//! as good as another. That part is an [`Amounts`]. The rest (ports and other ranges and sets,
//! reservations, disks with a source, volumes, revocable and shared resources, those of resource
//! providers) stays `mesos::Resources`, whose copy costs one counter, with what the pass asks of it
//! worked out once. Both parts together behave as the resources that they came from: the identities in
//! them never meet.
//!
//! Whose a bundle is (framework, role) is written beside it, never in it: resources are stored without
//! allocation info, and get it back in [`Bundle::join`].

use std::collections::VecDeque;
use std::sync::Arc;

use mesos::{Resource, Resources, Scalar};

use super::amounts::Amounts;
use super::ids::{NameIdx, Names};

/// Resources of one agent. See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bundle {
    /// Plain scalars.
    pub plain: Amounts,
    /// Everything else.
    pub rest: Rest,
}

/// The part of a bundle that is not only numbers.
#[derive(Clone, Debug, Default)]
pub struct Rest {
    /// `None` when there is nothing.
    parts: Option<Arc<Parts>>,
    /// What a pass asks of every agent, beside the pointer: what it points to is seldom in the cache.
    has: Has,
}

/// What kinds of resources are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Has {
    reserved: bool,
    refined: bool,
    revocable: bool,
    shared: bool,
    /// A scalar.
    scalar: bool,
    /// Something that counts against a quota.
    loose: bool,
    /// Something under a standard name, as its part in a minimum.
    standard: bool,
    /// Something under another name.
    other: bool,
}

#[derive(Clone, Debug)]
struct Parts {
    resources: Resources,
    /// Of all scalars in `resources`; a shared one once.
    scalars: Amounts,
    /// As `scalars`, and of each range and set how many numbers or items it has, in thousandths as well:
    /// what a minimum is compared with.
    counted: Amounts,
    /// Of those that count against a quota when allocated: unreserved and irrevocable.
    loose: Amounts,
    /// Of those that are reserved.
    reserved: Amounts,
}

impl Has {
    fn in_parts(parts: &Parts) -> Has {
        let any = |kind: fn(&Resource) -> bool| parts.resources.iter().any(kind);
        Has {
            reserved: any(|resource| !resource.is_unreserved()),
            refined: any(Resource::has_refined_reservations),
            revocable: any(Resource::is_revocable),
            shared: any(Resource::is_shared),
            scalar: any(|resource| resource.scalar().is_some()),
            loose: !parts.loose.is_zero(),
            standard: parts.counted.has_standard(),
            other: parts.counted.has_other(),
        }
    }
}

/// The rests that agents came with lately. Most agents of a cluster are alike, and equal rests that are
/// one take less memory, stay in the cache, and are compared by pointer.
#[derive(Debug, Default)]
pub(crate) struct Rests {
    lately: VecDeque<Rest>,
}

impl Rests {
    const KEPT: usize = 16;

    /// A bundle whose rest is one with an equal one that came before.
    pub(crate) fn unite(&mut self, bundle: Bundle) -> Bundle {
        if bundle.rest.is_empty() {
            return bundle;
        }
        if let Some(known) = self.lately.iter().find(|known| **known == bundle.rest) {
            return Bundle { rest: known.clone(), ..bundle };
        }
        if self.lately.len() == Rests::KEPT {
            self.lately.pop_front();
        }
        self.lately.push_back(bundle.rest.clone());
        bundle
    }
}

/// What a framework is not able to use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unusable {
    pub(crate) shared: bool,
    pub(crate) revocable: bool,
    pub(crate) refined: bool,
}

/// Whether a resource is nothing but a name and a number.
fn is_plain(resource: &Resource) -> bool {
    resource.scalar().is_some()
        && resource.is_unreserved()
        && !resource.is_revocable()
        && !resource.is_shared()
        && resource.disk().is_none()
        && resource.provider_id().is_none()
}

/// Whether allocating a resource consumes quota (upstream: `quotaResources`).
fn is_loose(resource: &Resource) -> bool {
    resource.scalar().is_some() && resource.is_unreserved() && !resource.is_revocable()
}

fn millis(resource: &Resource) -> i64 {
    resource.scalar().map_or(0, Scalar::millis)
}

impl Rest {
    fn new(resources: Resources, names: &Names) -> Rest {
        if resources.is_empty() {
            return Rest::default();
        }
        let mut parts = Parts {
            scalars: Amounts::ZERO,
            counted: Amounts::ZERO,
            loose: Amounts::ZERO,
            reserved: Amounts::ZERO,
            resources,
        };
        for resource in parts.resources.iter() {
            // What came in through `Bundle::split` has its name interned.
            let Some(name) = names.find(resource.name()) else { continue };
            parts.counted.increase(name, resource.quantity().millis());
            if resource.scalar().is_none() {
                continue;
            }
            let amount = millis(resource);
            parts.scalars.increase(name, amount);
            if is_loose(resource) {
                parts.loose.increase(name, amount);
            }
            if !resource.is_unreserved() {
                parts.reserved.increase(name, amount);
            }
        }
        let has = Has::in_parts(&parts);
        Rest { parts: Some(Arc::new(parts)), has }
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.parts.is_none()
    }

    /// The resources, without allocation info.
    pub fn resources(&self) -> Resources {
        self.parts.as_ref().map(|parts| parts.resources.clone()).unwrap_or_default()
    }

    /// Whether something in it is shared.
    pub(crate) fn has_shared(&self) -> bool {
        self.has.shared
    }

    /// Whether it has anything under a standard name, as its part in a minimum.
    pub(crate) fn counts_standard(&self) -> bool {
        self.has.standard
    }

    /// Whether it has anything under another name.
    pub(crate) fn counts_other(&self) -> bool {
        self.has.other
    }

    fn filter(&self, names: &Names, keep: impl Fn(&Resource) -> bool) -> Rest {
        let Some(parts) = &self.parts else { return Rest::default() };
        if parts.resources.iter().all(&keep) {
            return self.clone();
        }
        Rest::new(parts.resources.filter(keep), names)
    }

    pub(crate) fn shared(&self, names: &Names) -> Rest {
        if self.has_shared() { self.filter(names, Resource::is_shared) } else { Rest::default() }
    }

    pub(crate) fn non_shared(&self, names: &Names) -> Rest {
        if self.has_shared() { self.filter(names, |resource| !resource.is_shared()) } else { self.clone() }
    }

    pub(crate) fn plus(&self, other: &Rest, names: &Names) -> Rest {
        match (&self.parts, &other.parts) {
            (_, None) => self.clone(),
            (None, _) => other.clone(),
            (Some(mine), Some(theirs)) => Rest::new(&mine.resources + &theirs.resources, names),
        }
    }

    /// What is left without `other`; what is not there is not missed.
    pub(crate) fn minus(&self, other: &Rest, names: &Names) -> Rest {
        match (&self.parts, &other.parts) {
            (None, _) | (_, None) => self.clone(),
            // All of it is taken, as whole offers do. (Shared resources are counted: one copy of each is taken.)
            (Some(mine), Some(theirs)) if Arc::ptr_eq(mine, theirs) && !self.has_shared() => Rest::default(),
            (Some(mine), Some(theirs)) => Rest::new(&mine.resources - &theirs.resources, names),
        }
    }

    /// Takes `less` away, all of which is there, and puts `more` in its place; neither is shared. This
    /// changes what there is instead of counting it anew.
    fn exchange(&mut self, less: &Rest, more: &Rest, names: &Names) {
        let Some(mine) = &mut self.parts else {
            *self = more.clone();
            return;
        };
        let mine = Arc::make_mut(mine);
        if let Some(less) = &less.parts {
            mine.resources -= &less.resources;
            mine.scalars -= &less.scalars;
            mine.loose -= &less.loose;
            mine.reserved -= &less.reserved;
        }
        if let Some(more) = &more.parts {
            mine.resources += &more.resources;
            mine.scalars += &more.scalars;
            mine.loose += &more.loose;
            mine.reserved += &more.reserved;
        }
        // Ranges of one identity may overlap: how many numbers they have is not the sum.
        mine.counted = mine.scalars.clone();
        for resource in mine.resources.iter().filter(|resource| resource.scalar().is_none()) {
            if let Some(name) = names.find(resource.name()) {
                mine.counted.increase(name, resource.quantity().millis());
            }
        }
        self.has = Has::in_parts(mine);
        if mine.resources.is_empty() {
            self.parts = None;
        }
    }

    fn contains(&self, other: &Rest) -> bool {
        match (&self.parts, &other.parts) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(mine), Some(theirs)) => {
                Arc::ptr_eq(mine, theirs) || mine.resources.contains(&theirs.resources)
            }
        }
    }

    /// Whether there is at least one copy of a shared resource, however many copies are asked for.
    pub(crate) fn has_copy(&self, resource: &Resource) -> bool {
        self.parts.as_ref().is_some_and(|parts| parts.resources.count(resource) > 0)
    }

    fn amounts(&self, of: impl Fn(&Parts) -> &Amounts) -> Option<&Amounts> {
        self.parts.as_ref().map(|parts| of(parts)).filter(|amounts| !amounts.is_zero())
    }
}

impl PartialEq for Rest {
    fn eq(&self, other: &Rest) -> bool {
        match (&self.parts, &other.parts) {
            (None, None) => true,
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs) || mine.resources == theirs.resources,
            _ => false,
        }
    }
}

impl Bundle {
    /// Splits resources, forgetting whom they are allocated to.
    pub fn split(resources: &Resources, names: &mut Names) -> Bundle {
        let mut plain = Amounts::ZERO;
        for resource in resources.iter() {
            let name = names.intern(resource.name());
            if is_plain(resource) {
                plain.increase(name, millis(resource));
            }
        }
        let mut rest = resources.filter(|resource| !is_plain(resource));
        rest.unallocate();
        Bundle { plain, rest: Rest::new(rest, names) }
    }

    /// The resources again, without allocation info.
    pub fn join(&self, names: &Names) -> Resources {
        let plain = self
            .plain
            .iter()
            .map(|(name, amount)| Resource::from_scalar(names.name(name), Scalar::from_millis(amount)));
        let mut resources: Resources = plain.collect();
        resources += self.rest.resources();
        resources
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.plain.is_zero() && self.rest.is_empty()
    }

    /// The amounts of all scalars; a shared resource once, however many copies there are.
    pub fn amounts(&self) -> Amounts {
        if !self.rest.has.scalar {
            return self.plain.clone();
        }
        self.with_plain(self.rest.amounts(|parts| &parts.scalars))
    }

    /// The amounts that count against a quota when they are allocated.
    pub fn loose(&self) -> Amounts {
        if !self.rest.has.loose {
            return self.plain.clone();
        }
        self.with_plain(self.rest.amounts(|parts| &parts.loose))
    }

    fn with_plain(&self, more: Option<&Amounts>) -> Amounts {
        let mut sum = self.plain.clone();
        if let Some(more) = more {
            sum += more;
        }
        sum
    }

    /// Whether at least `quantities` are there; of ranges and sets their members count (upstream:
    /// `Resources::contains(ResourceQuantities)`).
    pub(crate) fn reaches(&self, quantities: &Amounts) -> bool {
        if self.plain.contains(quantities) {
            return true;
        }
        match self.rest.amounts(|parts| &parts.counted) {
            None => false,
            Some(more) => {
                let reached = |(name, want)| self.plain.get(name).saturating_add(more.get(name)) >= want;
                quantities.iter().all(reached)
            }
        }
    }

    /// Whether all of `other` is in it.
    pub fn contains(&self, other: &Bundle) -> bool {
        self.plain.contains(&other.plain) && self.rest.contains(&other.rest)
    }

    /// Both together.
    pub fn plus(&self, other: &Bundle, names: &Names) -> Bundle {
        Bundle { plain: self.plain.clone() + &other.plain, rest: self.rest.plus(&other.rest, names) }
    }

    /// All together.
    pub(crate) fn sum<'a>(bundles: impl Iterator<Item = &'a Bundle>, names: &Names) -> Bundle {
        let mut plain = Amounts::ZERO;
        let mut rests = Vec::new();
        for bundle in bundles {
            plain += &bundle.plain;
            rests.extend((!bundle.rest.is_empty()).then_some(&bundle.rest));
        }
        let rest = match rests.as_slice() {
            [] => Rest::default(),
            [only] => (*only).clone(),
            // Added up at once: agents with hundreds of reservations have given them to hundreds of members.
            many => {
                let resources = many.iter().filter_map(|rest| rest.parts.as_ref());
                Rest::new(resources.flat_map(|parts| parts.resources.iter()).cloned().collect(), names)
            }
        };
        Bundle { plain, rest }
    }

    /// What is left without `other`; what is not there is not missed.
    pub fn minus(&self, other: &Bundle, names: &Names) -> Bundle {
        Bundle { plain: self.plain.minus(&other.plain), rest: self.rest.minus(&other.rest, names) }
    }

    /// Takes `less` away, all of which is there, and puts `more` in its place; neither is shared. In the
    /// time of these two, not of what there is.
    pub(crate) fn exchange(&mut self, less: &Bundle, more: &Bundle, names: &Names) {
        self.plain = self.plain.minus(&less.plain) + &more.plain;
        self.rest.exchange(&less.rest, &more.rest, names);
    }

    /// Whether both are as much of each resource, however it is reserved.
    pub(crate) fn is_as_much_as(&self, other: &Bundle) -> bool {
        let counted = |bundle: &Bundle| bundle.with_plain(bundle.rest.amounts(|parts| &parts.counted));
        counted(self) == counted(other)
    }

    /// What a role may be offered: the unreserved, and what is reserved for it or for one above it.
    pub fn allocatable_to(&self, role: &str, names: &Names) -> Bundle {
        if !self.rest.has.reserved {
            return self.clone();
        }
        let rest = self.rest.filter(names, |resource| resource.is_allocatable_to(role));
        Bundle { plain: self.plain.clone(), rest }
    }

    /// What is left of it for a framework that cannot use some kinds.
    pub(crate) fn without(self, unusable: Unusable, names: &Names) -> Bundle {
        let has = self.rest.has;
        let affected = has.shared && unusable.shared
            || has.revocable && unusable.revocable
            || has.refined && unusable.refined;
        if !affected {
            return self;
        }
        let rest = self.rest.filter(names, |resource| {
            !(resource.is_shared() && unusable.shared
                || resource.is_revocable() && unusable.revocable
                || resource.has_refined_reservations() && unusable.refined)
        });
        Bundle { plain: self.plain, rest }
    }

    /// All that does not count against a quota, and of the rest at most `allowed`.
    ///
    /// Plain scalars are cut first. A disk with a source is cut if it can be, else taken whole or not at
    /// all (upstream: `shrinkResources`, which takes them in random order).
    pub(crate) fn cut_to(&self, allowed: &Amounts, names: &Names) -> Bundle {
        let plain = self.plain.min(allowed);
        if !self.rest.has.loose {
            return Bundle { plain, rest: self.rest.clone() };
        }
        let mut left = allowed.minus(&plain);
        let resources = self.rest.resources();
        let kept = resources.iter().filter_map(|resource| {
            if !is_loose(resource) {
                return Some(resource.clone());
            }
            let name = names.find(resource.name())?;
            let cut = resource.shrunk_to(Scalar::from_millis(left.get(name)))?;
            left.increase(name, -millis(&cut));
            Some(cut)
        });
        let kept: Resources = kept.collect();
        Bundle { plain, rest: Rest::new(kept, names) }
    }

    /// The amounts of what is not shared.
    pub(crate) fn non_shared_amounts(&self, names: &Names) -> Amounts {
        Bundle { plain: self.plain.clone(), rest: self.rest.non_shared(names) }.amounts()
    }

    /// Reserved amounts by the role that they are reserved for.
    pub(crate) fn reservations(&self, names: &Names) -> Vec<(String, Amounts)> {
        if self.rest.amounts(|parts| &parts.reserved).is_none() {
            return Vec::new();
        }
        let by_role = self.rest.resources().reservations();
        by_role.into_iter().map(|(role, resources)| (role, Rest::new(resources, names).scalars())).collect()
    }

    /// Whether it has this scalar resource at all.
    pub(crate) fn has(&self, name: NameIdx) -> bool {
        self.amounts().get(name) > 0
    }
}

impl Rest {
    fn scalars(&self) -> Amounts {
        self.amounts(|parts| &parts.scalars).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Resources {
        Resources::parse(text, "*").unwrap()
    }

    fn split(text: &str, names: &mut Names) -> Bundle {
        Bundle::split(&parse(text), names)
    }

    #[test]
    fn splitting_and_joining_gives_the_same_resources() {
        let mut names = Names::new();
        for text in [
            "cpus:2;mem:1024",
            "cpus:2.5;mem:1024;ports:[31000-32000];disk(eng):512;cpus(eng):1",
            "tokens:3;zones:{a,b}",
            "",
        ] {
            let bundle = split(text, &mut names);
            assert_eq!(bundle.join(&names), parse(text), "{text}");
        }
        let allocated = parse("cpus:1;ports:[1-2]").allocated_to("eng");
        assert_eq!(Bundle::split(&allocated, &mut names).join(&names), parse("cpus:1;ports:[1-2]"));
    }

    #[test]
    fn reserved_scalars_count_in_shares_and_not_in_what_consumes_quota() {
        let mut names = Names::new();
        let bundle = split("cpus:2;cpus(eng):1;mem(eng):64", &mut names);
        assert_eq!(bundle.amounts(), split("cpus:3;mem:64", &mut names).plain);
        assert_eq!(bundle.loose(), split("cpus:2", &mut names).plain);
        assert_eq!(
            bundle.reservations(&names),
            [("eng".to_owned(), split("cpus:1;mem:64", &mut names).plain)]
        );
    }

    #[test]
    fn a_role_is_offered_its_own_and_its_ancestors_reservations() {
        let mut names = Names::new();
        let bundle = split("cpus:1;cpus(a):2;cpus(a/b):4;cpus(c):8", &mut names);
        assert_eq!(bundle.allocatable_to("a/b", &names), split("cpus:1;cpus(a):2;cpus(a/b):4", &mut names));
        assert_eq!(bundle.allocatable_to("a", &names), split("cpus:1;cpus(a):2", &mut names));
        assert_eq!(bundle.allocatable_to("d", &names), split("cpus:1", &mut names));
    }

    #[test]
    fn cutting_leaves_what_no_quota_counts() {
        let mut names = Names::new();
        let bundle = split("cpus:4;mem:512;ports:[1-9];cpus(a):2", &mut names);
        let allowed = split("cpus:1;mem:1024", &mut names).plain;
        assert_eq!(
            bundle.cut_to(&allowed, &names),
            split("cpus:1;mem:512;ports:[1-9];cpus(a):2", &mut names)
        );
    }

    #[test]
    fn containment_and_subtraction_look_at_both_parts() {
        let mut names = Names::new();
        let whole = split("cpus:4;mem:512;ports:[1-9]", &mut names);
        let part = split("cpus:1;ports:[1-3]", &mut names);
        assert!(whole.contains(&part) && !part.contains(&whole));
        assert!(!whole.contains(&split("cpus(a):1", &mut names)));
        let left = whole.minus(&part, &names);
        assert_eq!(left, split("cpus:3;mem:512;ports:[4-9]", &mut names));
        assert_eq!(left.plus(&part, &names), whole);
        assert!(whole.minus(&whole.clone(), &names).is_empty());
    }
}
