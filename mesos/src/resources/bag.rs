//! [`Resources`]: the bag, its construction and its simple questions. Arithmetic is in
//! `arithmetic.rs`, containment and search in `search.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Resource, ResourceError, ResourceValue, validate};
use crate::{
    v1::{self, resource::ReservationInfo},
    values::{Ranges, Scalar, Set},
};

/// More resources than this in one message are refused: no agent has so many.
pub(super) const MAX_IN_MESSAGE: usize = 10_000;

/// A bag of resources; entries of one identity are one entry. Cloning costs one counter: a change
/// copies the list of entries only when it is shared.
#[derive(Clone, Default)]
pub struct Resources {
    /// `None` when empty, so that an empty bag costs nothing.
    entries: Option<Arc<Vec<Resource>>>,
}

impl Resources {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: None }
    }

    /// Checks and adds up messages, in either reservation format.
    ///
    /// # Errors
    /// [`ResourceError::InList`] for the first invalid one; empty ones are left out.
    /// [`ResourceError::TooMany`] for more than 10,000.
    pub fn try_from_protos(protos: &[v1::Resource]) -> Result<Self, ResourceError> {
        if protos.len() > MAX_IN_MESSAGE {
            return Err(ResourceError::TooMany(protos.len()));
        }
        let mut role = None;
        let read = |proto| Resource::read(proto, &mut role).map_err(|error| validate::in_list(proto, error));
        protos.iter().map(read).collect()
    }

    /// Adds up messages that were validated before; an invalid one would be left out, as upstream's
    /// constructor does.
    #[must_use]
    pub fn from_valid_protos(protos: &[v1::Resource]) -> Self {
        let mut role = None;
        protos.iter().filter_map(|proto| Resource::read(proto, &mut role).ok()).collect()
    }

    /// The protocol's messages, in the format after reservation refinement.
    #[must_use]
    pub fn to_protos(&self) -> Vec<v1::Resource> {
        self.iter().map(Resource::to_proto).collect()
    }

    /// The entries.
    pub fn iter(&self) -> std::slice::Iter<'_, Resource> {
        self.entries().iter()
    }

    pub(super) fn entries(&self) -> &[Resource] {
        self.entries.as_ref().map_or(&[], |entries| entries)
    }

    pub(super) fn entries_mut(&mut self) -> &mut Vec<Resource> {
        Arc::make_mut(self.entries.get_or_insert_default())
    }

    /// For entries that are known to be valid, not empty and of different identities.
    pub(super) fn from_entries(entries: Vec<Resource>) -> Self {
        Self { entries: (!entries.is_empty()).then(|| Arc::new(entries)) }
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// How often a resource is in the bag: the copies of a shared one, at most 1 for others.
    #[must_use]
    pub fn count(&self, resource: &Resource) -> u32 {
        let same = |entry: &Resource| entry.value == resource.value && entry.same_identity(resource);
        self.place_of(resource, same).map_or(0, |place| self.entries()[place].copies())
    }

    // ---- amounts

    /// The sum of the scalars of this name; `None` when there is none.
    #[must_use]
    pub fn get_scalar(&self, name: &str) -> Option<Scalar> {
        let amounts = self.iter().filter(|r| r.name() == name).filter_map(Resource::scalar);
        amounts.fold(None, |sum, amount| Some(sum.unwrap_or(Scalar::ZERO) + amount))
    }

    /// The sum of the scalars of this name; zero when there is none.
    #[must_use]
    pub fn scalar(&self, name: &str) -> Scalar {
        self.get_scalar(name).unwrap_or(Scalar::ZERO)
    }

    /// The union of the ranges of this name; `None` when there is none.
    #[must_use]
    pub fn ranges(&self, name: &str) -> Option<Ranges> {
        let ranges = self.iter().filter(|r| r.name() == name).filter_map(Resource::ranges);
        ranges.fold(None, |sum, ranges| Some(&sum.unwrap_or_default() + ranges))
    }

    /// The union of the sets of this name; `None` when there is none.
    #[must_use]
    pub fn set(&self, name: &str) -> Option<Set> {
        let mut union: Option<Set> = None;
        for resource in self.iter().filter(|r| r.name() == name) {
            if let ResourceValue::Set(set) = resource.value() {
                *union.get_or_insert_default() += set;
            }
        }
        union
    }

    /// Number of cpus.
    #[must_use]
    pub fn cpus(&self) -> Option<Scalar> {
        self.get_scalar("cpus")
    }

    /// Number of gpus.
    #[must_use]
    pub fn gpus(&self) -> Option<Scalar> {
        self.get_scalar("gpus")
    }

    /// Memory, in MB.
    #[must_use]
    pub fn mem(&self) -> Option<Scalar> {
        self.get_scalar("mem")
    }

    /// Disk, in MB.
    #[must_use]
    pub fn disk(&self) -> Option<Scalar> {
        self.get_scalar("disk")
    }

    /// Ports for tasks.
    #[must_use]
    pub fn ports(&self) -> Option<Ranges> {
        self.ranges("ports")
    }

    /// Ports for outgoing connections of containers.
    #[must_use]
    pub fn ephemeral_ports(&self) -> Option<Ranges> {
        self.ranges("ephemeral_ports")
    }

    /// The names that occur.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        self.iter().map(|r| r.name().to_owned()).collect()
    }

    // ---- parts

    /// The entries for which the question is answered with yes.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&Resource) -> bool) -> Self {
        let kept: Vec<&Resource> = self.iter().filter(|resource| keep(resource)).collect();
        if kept.len() == self.len() {
            self.clone()
        } else {
            Self::from_entries(kept.into_iter().cloned().collect())
        }
    }

    /// The entries with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Self {
        self.filter(|r| r.name() == name)
    }

    /// What is reserved, for the role if one is given.
    #[must_use]
    pub fn reserved(&self, role: Option<&str>) -> Self {
        self.filter(|r| r.is_reserved(role))
    }

    /// What is reserved for nobody.
    #[must_use]
    pub fn unreserved(&self) -> Self {
        self.filter(Resource::is_unreserved)
    }

    /// What is reserved, by role.
    #[must_use]
    pub fn reservations(&self) -> BTreeMap<String, Self> {
        self.group_by(Resource::reservation_role)
    }

    /// What is allocated, by role; what is not allocated is left out.
    #[must_use]
    pub fn allocations(&self) -> BTreeMap<String, Self> {
        self.group_by(Resource::allocation_role)
    }

    fn group_by(&self, role: impl Fn(&Resource) -> Option<&str>) -> BTreeMap<String, Self> {
        let mut groups: BTreeMap<String, Vec<Resource>> = BTreeMap::new();
        for resource in self.iter() {
            if let Some(role) = role(resource) {
                groups.entry(role.to_owned()).or_default().push(resource.clone());
            }
        }
        groups.into_iter().map(|(role, entries)| (role, Self::from_entries(entries))).collect()
    }

    /// What a framework in the role can be offered: unreserved, or reserved for it or above it.
    #[must_use]
    pub fn allocatable_to(&self, role: &str) -> Self {
        self.filter(|r| r.is_allocatable_to(role))
    }

    /// What is allocated to the role or one below it.
    #[must_use]
    pub fn allocated_to_role_subtree(&self, role: &str) -> Self {
        self.filter(|r| r.is_allocated_to_role_subtree(role))
    }

    /// What is reserved for the role or one below it.
    #[must_use]
    pub fn reserved_to_role_subtree(&self, role: &str) -> Self {
        self.filter(|r| r.is_reserved_to_role_subtree(role))
    }

    /// What may be taken back at any time.
    #[must_use]
    pub fn revocable(&self) -> Self {
        self.filter(Resource::is_revocable)
    }

    /// What may not be taken back.
    #[must_use]
    pub fn non_revocable(&self) -> Self {
        self.filter(|r| !r.is_revocable())
    }

    /// What several tasks may use at once.
    #[must_use]
    pub fn shared(&self) -> Self {
        self.filter(Resource::is_shared)
    }

    /// What only one task may use at once.
    #[must_use]
    pub fn non_shared(&self) -> Self {
        self.filter(|r| !r.is_shared())
    }

    /// The persistent volumes.
    #[must_use]
    pub fn persistent_volumes(&self) -> Self {
        self.filter(Resource::is_persistent_volume)
    }

    /// The scalars.
    #[must_use]
    pub fn scalars(&self) -> Self {
        self.filter(|r| r.scalar().is_some())
    }

    // ---- changed identities

    /// Marks everything as allocated to the role.
    pub fn allocate(&mut self, role: &str) {
        if self.iter().all(|r| r.allocation_role() == Some(role)) {
            return;
        }
        let role: Arc<str> = role.into();
        self.map(|r| Resource { allocation: Some(Arc::clone(&role)), ..r.clone() });
    }

    /// Everything, allocated to the role.
    #[must_use]
    pub fn allocated_to(&self, role: &str) -> Self {
        let mut allocated = self.clone();
        allocated.allocate(role);
        allocated
    }

    /// Forgets the roles that things are allocated to.
    pub fn unallocate(&mut self) {
        if self.iter().any(|r| r.allocation.is_some()) {
            self.map(|r| Resource { allocation: None, ..r.clone() });
        }
    }

    /// Everything, without the roles that it is allocated to.
    #[must_use]
    pub fn unallocated(&self) -> Self {
        let mut unallocated = self.clone();
        unallocated.unallocate();
        unallocated
    }

    /// Everything, with one more reservation.
    ///
    /// # Errors
    /// When the result is not valid: the role is not below the present one, say.
    pub fn push_reservation(&self, reservation: &ReservationInfo) -> Result<Self, ResourceError> {
        let mut reserved = Self::new();
        for resource in self.iter() {
            let reservations = [resource.reservations(), std::slice::from_ref(reservation)].concat();
            validate::refinement(&reservations)?;
            reserved.add_one(resource.with_reservations(reservations));
        }
        Ok(reserved)
    }

    /// Everything, with its innermost reservation taken away; `None` when something is unreserved.
    #[must_use]
    pub fn pop_reservation(&self) -> Option<Self> {
        self.iter()
            .map(|resource| {
                let (_, outer) = resource.reservations().split_last()?;
                Some(resource.with_reservations(outer.to_vec()))
            })
            .collect()
    }

    /// Everything, reserved for nobody.
    #[must_use]
    pub fn to_unreserved(&self) -> Self {
        if self.iter().all(Resource::is_unreserved) {
            return self.clone();
        }
        self.iter().map(Resource::to_unreserved).collect()
    }

    /// The bare amounts of the scalars: no roles, no disks, nothing but name and number.
    #[must_use]
    pub fn create_stripped_scalar_quantity(&self) -> Self {
        self.iter().filter_map(|r| Some(Resource::from_scalar(r.name(), r.scalar()?))).collect()
    }

    /// Different identities can become one, so that the entries are added up anew.
    fn map(&mut self, change: impl Fn(&Resource) -> Resource) {
        *self = self.iter().map(change).collect();
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = &'a Resource;
    type IntoIter = std::slice::Iter<'a, Resource>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
