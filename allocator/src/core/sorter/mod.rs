//! Dominant resource fairness: who is next.
//!
//! A sorter keeps *clients* in a tree by their paths: the roles `eng`, `eng/search` and `ops` make a
//! node for `eng` with two children, its own virtual leaf `.` and `search`. Every node has what is
//! allocated to it and everything below it, and a share:
//!
//! ```text
//! share(node) = max over scalar resources r (allocated(node, r) / total(r)) / weight(node)
//! ```
//!
//! Siblings stand in the order of share, then of how often they were chosen, then of name; the order
//! of clients is the walk of the tree that takes children in that order. Inactive clients keep their
//! allocation (it counts for their parents) and are left out of the walk.
//!
//! Unlike upstream's (`sorter/drf/sorter.cpp`), whose order is sorted anew after each change that is
//! not an allocation, this one stays in order: a changed node is moved to its new place by binary
//! search. Only a change of what everything is divided by (the total of all agents, a weight) makes
//! the tree dirty, and it is sorted when the next walk begins.
//!
//! Knows paths and amounts; does not know agents, filters or what a client is.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::amounts::Amounts;
use super::ids::{Index, NameIdx, Slab};

#[cfg(test)]
mod tests;

/// The weight of a node for which none was set.
pub const DEFAULT_WEIGHT: f64 = 1.0;

/// The name of the leaf that stands for a client which also has clients below it.
const VIRTUAL: &str = ".";

/// What shares are fractions of.
#[derive(Debug, Default)]
pub struct Basis {
    total: Amounts,
    excluded: Vec<NameIdx>,
    /// Differs whenever the shares computed before are no longer right.
    version: u64,
}

impl Basis {
    /// No agents yet. `excluded` names do not count towards shares
    /// (upstream: `--fair_sharing_excluded_resource_names`).
    pub fn new(excluded: Vec<NameIdx>) -> Self {
        Basis { total: Amounts::ZERO, excluded, version: 0 }
    }

    /// All agents' scalar resources.
    pub fn total(&self) -> &Amounts {
        &self.total
    }

    /// Changes the total from `old` of something to `new` of it.
    pub fn replace(&mut self, old: &Amounts, new: &Amounts) {
        self.total -= old;
        self.total += new;
        self.version += 1;
    }

    fn share(&self, node: &Node) -> f64 {
        let share = node.allocated.dominant_share(&self.total, |name| !self.excluded.contains(&name));
        share / node.weight
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct NodeIdx(u32);

impl Index for NodeIdx {
    fn from_position(position: usize) -> Self {
        NodeIdx(u32::try_from(position).expect("a sorter has fewer than 2^32 nodes"))
    }
    fn position(self) -> usize {
        self.0 as usize
    }
}

const ROOT: NodeIdx = NodeIdx(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A client that is offered nothing.
    Inactive,
    /// A client that takes part.
    Active,
    /// A path with clients below it.
    Internal,
}

#[derive(Debug)]
struct Node {
    /// The last part of the path; [`VIRTUAL`] for a virtual leaf.
    name: Box<str>,
    parent: Option<NodeIdx>,
    kind: Kind,
    /// The client's key, in leaves.
    client: u32,
    weight: f64,
    share: f64,
    /// How often something was allocated to this node. Breaks ties, so that equals take turns.
    chosen: u64,
    allocated: Amounts,
    children: BTreeMap<Box<str>, NodeIdx>,
    /// The children without the inactive leaves, in order (unless the tree is dirty).
    order: Vec<NodeIdx>,
}

impl Node {
    fn compare(&self, other: &Node) -> Ordering {
        self.share
            .total_cmp(&other.share)
            .then_with(|| self.chosen.cmp(&other.chosen))
            // Siblings differ in their names only, so this compares paths.
            .then_with(|| self.name.cmp(&other.name))
    }
}

/// How a node's allocation changes.
enum Change<'a> {
    Add(&'a Amounts),
    Take(&'a Amounts),
    Replace { old: &'a Amounts, new: &'a Amounts },
}

impl Change<'_> {
    fn apply(&self, node: &mut Node) {
        match *self {
            Change::Add(amounts) => {
                node.allocated += amounts;
                node.chosen += 1;
            }
            Change::Take(amounts) => node.allocated -= amounts,
            Change::Replace { old, new } => {
                node.allocated -= old;
                node.allocated += new;
            }
        }
    }
}

/// A place in a walk over the active clients. Valid until the order changes.
#[derive(Debug, Default)]
pub struct Cursor {
    /// From the root down: a node, and how many of its children were visited.
    path: Vec<(NodeIdx, usize)>,
}

/// Clients in the order of their dominant shares. See the module.
#[derive(Debug)]
pub struct Sorter {
    nodes: Slab<NodeIdx, Node>,
    clients: BTreeMap<u32, NodeIdx>,
    /// All weights that were set, by path; also of paths that have no node now.
    weights: BTreeMap<Box<str>, f64>,
    dirty: bool,
    /// The basis that the shares were computed with.
    version: u64,
}

impl Default for Sorter {
    fn default() -> Self {
        Sorter::new()
    }
}

impl Sorter {
    /// A sorter without clients.
    pub fn new() -> Self {
        let mut sorter = Sorter {
            nodes: Slab::new(),
            clients: BTreeMap::new(),
            weights: BTreeMap::new(),
            dirty: false,
            version: 0,
        };
        let root = sorter.new_node("", None, Kind::Internal, 0, DEFAULT_WEIGHT);
        debug_assert_eq!(root, ROOT);
        sorter
    }

    /// Adds a client, inactive and with nothing allocated. Its key must be new, as must its path.
    pub fn add(&mut self, client: u32, path: &str) {
        debug_assert!(!self.clients.contains_key(&client), "client {client} is added twice");
        let mut current = ROOT;
        let mut walked = String::with_capacity(path.len());
        for part in path.split('/') {
            if self.nodes[current].kind != Kind::Internal {
                self.make_internal(current, &walked);
            }
            if !walked.is_empty() {
                walked.push('/');
            }
            walked.push_str(part);
            current = match self.nodes[current].children.get(part) {
                Some(child) => *child,
                None => self.add_child(current, part, Kind::Internal, 0, &walked),
            };
        }
        if self.nodes[current].children.is_empty() {
            // The path was not there: its last node is the client's leaf, not a step of others' paths.
            self.leave_order(current);
            let node = &mut self.nodes[current];
            node.kind = Kind::Inactive;
            node.client = client;
        } else {
            walked.push('/');
            walked.push_str(VIRTUAL);
            current = self.add_child(current, VIRTUAL, Kind::Inactive, client, &walked);
        }
        self.clients.insert(client, current);
    }

    /// Removes a client with all that is allocated to it.
    pub fn remove(&mut self, client: u32, basis: &Basis) {
        let Some(leaf) = self.clients.remove(&client) else { return };
        let allocated = self.nodes[leaf].allocated.clone();
        self.change(leaf, basis, &Change::Take(&allocated));
        let mut current = leaf;
        while let Some(parent) = self.nodes[current].parent {
            if self.nodes[current].children.is_empty() {
                self.leave_order(current);
                if let Some(node) = self.nodes.remove(current) {
                    self.nodes[parent].children.remove(&node.name);
                }
            } else {
                self.collapse(current);
                // Whoever is above has this node as a child, and stays.
                break;
            }
            current = parent;
        }
    }

    /// Lets a client take part.
    pub fn activate(&mut self, client: u32, basis: &Basis) {
        let Some(leaf) = self.leaf(client) else { return };
        if self.nodes[leaf].kind == Kind::Inactive {
            self.nodes[leaf].kind = Kind::Active;
            self.nodes[leaf].share = basis.share(&self.nodes[leaf]);
            self.join_order(leaf);
        }
    }

    /// Leaves a client out of the walk. What it has goes on counting for its parents.
    pub fn deactivate(&mut self, client: u32) {
        let Some(leaf) = self.leaf(client) else { return };
        if self.nodes[leaf].kind == Kind::Active {
            self.leave_order(leaf);
            self.nodes[leaf].kind = Kind::Inactive;
        }
    }

    /// Sets the weight of a path, whether or not a client is there now or later.
    ///
    /// The weight is that of the whole subtree. It must be greater than 0; anything else is the default.
    pub fn update_weight(&mut self, path: &str, weight: f64) {
        let weight = if weight > 0.0 && weight.is_finite() { weight } else { DEFAULT_WEIGHT };
        if weight == DEFAULT_WEIGHT {
            self.weights.remove(path);
        } else {
            self.weights.insert(path.into(), weight);
        }
        let mut current = ROOT;
        for part in path.split('/') {
            let Some(child) = self.nodes[current].children.get(part) else { return };
            current = *child;
        }
        self.nodes[current].weight = weight;
        self.dirty = true;
    }

    /// A client was chosen and given `amounts`.
    pub fn allocated(&mut self, client: u32, amounts: &Amounts, basis: &Basis) {
        if let Some(leaf) = self.leaf(client) {
            self.change(leaf, basis, &Change::Add(amounts));
        }
    }

    /// A client gave back `amounts` of what it had.
    pub fn unallocated(&mut self, client: u32, amounts: &Amounts, basis: &Basis) {
        if let Some(leaf) = self.leaf(client) {
            self.change(leaf, basis, &Change::Take(amounts));
        }
    }

    /// A client's `old` turned into `new` without its being chosen.
    pub fn update(&mut self, client: u32, old: &Amounts, new: &Amounts, basis: &Basis) {
        if let Some(leaf) = self.leaf(client) {
            self.change(leaf, basis, &Change::Replace { old, new });
        }
    }

    /// What is allocated to a client itself, without what is below its path.
    pub fn allocation(&self, client: u32) -> Option<&Amounts> {
        Some(&self.nodes[self.leaf(client)?].allocated)
    }

    /// What is allocated to all clients together.
    pub fn allocation_of_all(&self) -> &Amounts {
        &self.nodes[ROOT].allocated
    }

    /// A client's dominant share, divided by its weight.
    pub fn share(&self, client: u32, basis: &Basis) -> Option<f64> {
        Some(basis.share(&self.nodes[self.leaf(client)?]))
    }

    /// Whether the client is there.
    pub fn contains(&self, client: u32) -> bool {
        self.clients.contains_key(&client)
    }

    /// How many clients there are, active or not.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether there is no client.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Begins a walk over the active clients, with the tree in order. A cursor may be used again.
    pub fn start(&mut self, cursor: &mut Cursor, basis: &Basis) {
        if self.dirty || self.version != basis.version {
            self.sort_below(ROOT, basis);
            self.dirty = false;
            self.version = basis.version;
        }
        cursor.path.clear();
        cursor.path.push((ROOT, 0));
    }

    /// The next active client of a walk.
    pub fn next(&self, cursor: &mut Cursor) -> Option<u32> {
        while let Some((node, visited)) = cursor.path.last_mut() {
            let Some(child) = self.nodes[*node].order.get(*visited) else {
                cursor.path.pop();
                continue;
            };
            *visited += 1;
            let node = &self.nodes[*child];
            if node.kind == Kind::Internal {
                cursor.path.push((*child, 0));
            } else {
                return Some(node.client);
            }
        }
        None
    }

    /// The rest of a walk, for a caller that is about to change the order and wants to go on with the
    /// old one.
    pub fn rest(&self, cursor: &mut Cursor) -> Vec<u32> {
        std::iter::from_fn(|| self.next(cursor)).collect()
    }

    /// All active clients in order.
    pub fn sorted(&mut self, basis: &Basis) -> Vec<u32> {
        let mut cursor = Cursor::default();
        self.start(&mut cursor, basis);
        self.rest(&mut cursor)
    }

    fn leaf(&self, client: u32) -> Option<NodeIdx> {
        self.clients.get(&client).copied()
    }

    fn new_node(
        &mut self,
        name: &str,
        parent: Option<NodeIdx>,
        kind: Kind,
        client: u32,
        weight: f64,
    ) -> NodeIdx {
        self.nodes.insert(Node {
            name: name.into(),
            parent,
            kind,
            client,
            weight,
            share: 0.0,
            chosen: 0,
            allocated: Amounts::ZERO,
            children: BTreeMap::new(),
            order: Vec::new(),
        })
    }

    fn add_child(&mut self, parent: NodeIdx, name: &str, kind: Kind, client: u32, path: &str) -> NodeIdx {
        let weight = self.weights.get(path).copied().unwrap_or(DEFAULT_WEIGHT);
        let child = self.new_node(name, Some(parent), kind, client, weight);
        self.nodes[parent].children.insert(name.into(), child);
        if kind != Kind::Inactive {
            self.join_order(child);
        }
        child
    }

    /// A client at `leaf` gets company below: a virtual leaf takes its place.
    fn make_internal(&mut self, leaf: NodeIdx, path: &str) {
        let node = &self.nodes[leaf];
        let (kind, client, chosen) = (node.kind, node.client, node.chosen);
        let allocated = node.allocated.clone();
        self.nodes[leaf].kind = Kind::Internal;
        if kind == Kind::Inactive {
            self.join_order(leaf);
        }
        let virtual_leaf =
            self.add_child(leaf, VIRTUAL, Kind::Inactive, client, &format!("{path}/{VIRTUAL}"));
        let node = &mut self.nodes[virtual_leaf];
        node.allocated = allocated;
        node.chosen = chosen;
        if kind == Kind::Active {
            self.nodes[virtual_leaf].kind = Kind::Active;
            self.join_order(virtual_leaf);
        }
        self.clients.insert(client, virtual_leaf);
        self.dirty = true;
    }

    /// A node whose only child is its virtual leaf becomes that leaf again.
    fn collapse(&mut self, node: NodeIdx) {
        let children = &self.nodes[node].children;
        let Some(only) = children.get(VIRTUAL).copied().filter(|_| children.len() == 1) else { return };
        let Some(leaf) = self.nodes.remove(only) else { return };
        self.leave_order(node);
        let collapsed = &mut self.nodes[node];
        collapsed.children.clear();
        collapsed.order.clear();
        collapsed.kind = leaf.kind;
        collapsed.client = leaf.client;
        if leaf.kind == Kind::Active {
            self.join_order(node);
        }
        self.clients.insert(leaf.client, node);
    }

    /// Applies a change to a leaf and everything above it, and moves each to its new place. A tree that
    /// will be sorted anyway is not kept in order.
    fn change(&mut self, leaf: NodeIdx, basis: &Basis, change: &Change<'_>) {
        let in_order = !self.dirty && basis.version == self.version;
        let mut current = Some(leaf);
        while let Some(index) = current {
            let node = &self.nodes[index];
            current = node.parent;
            match node.parent {
                Some(parent) if in_order && node.kind != Kind::Inactive => {
                    let from = self.position(parent, index);
                    let node = &mut self.nodes[index];
                    change.apply(node);
                    node.share = basis.share(node);
                    self.move_to_its_place(parent, from);
                }
                _ => change.apply(&mut self.nodes[index]),
            }
        }
    }

    /// Where a child stands in its parent's order, which must be in order.
    fn position(&self, parent: NodeIdx, child: NodeIdx) -> usize {
        let node = &self.nodes[child];
        let order = &self.nodes[parent].order;
        let found = order.partition_point(|other| self.nodes[*other].compare(node) == Ordering::Less);
        debug_assert_eq!(order.get(found), Some(&child), "the sorter's order is broken");
        found
    }

    /// Moves the child at `from`, whose key has changed, to where it belongs among its siblings.
    fn move_to_its_place(&mut self, parent: NodeIdx, from: usize) {
        let order = &self.nodes[parent].order;
        let Some(child) = order.get(from) else { return };
        let node = &self.nodes[*child];
        let before = |other: &NodeIdx| self.nodes[*other].compare(node) == Ordering::Less;
        let right = order[from + 1..].partition_point(before);
        if right > 0 {
            self.nodes[parent].order[from..=from + right].rotate_left(1);
            return;
        }
        let to = order[..from].partition_point(before);
        if to < from {
            self.nodes[parent].order[to..=from].rotate_right(1);
        }
    }

    /// Puts a child that takes part into its parent's order: at its place, or anywhere in a dirty tree.
    fn join_order(&mut self, child: NodeIdx) {
        let Some(parent) = self.nodes[child].parent else { return };
        let order = &self.nodes[parent].order;
        let at = if self.dirty {
            order.len()
        } else {
            let node = &self.nodes[child];
            order.partition_point(|other| self.nodes[*other].compare(node) == Ordering::Less)
        };
        self.nodes[parent].order.insert(at, child);
    }

    fn leave_order(&mut self, child: NodeIdx) {
        let Some(parent) = self.nodes[child].parent else { return };
        let node = &self.nodes[child];
        let order = &self.nodes[parent].order;
        let expected = order.partition_point(|other| self.nodes[*other].compare(node) == Ordering::Less);
        // A dirty tree is in no order: look everywhere.
        let at = match order.get(expected) {
            Some(found) if *found == child => Some(expected),
            _ => order.iter().position(|other| *other == child),
        };
        if let Some(at) = at {
            self.nodes[parent].order.remove(at);
        }
    }

    fn sort_below(&mut self, parent: NodeIdx, basis: &Basis) {
        let mut order = std::mem::take(&mut self.nodes[parent].order);
        for child in &order {
            self.nodes[*child].share = basis.share(&self.nodes[*child]);
        }
        order.sort_by(|left, right| self.nodes[*left].compare(&self.nodes[*right]));
        for child in &order {
            if self.nodes[*child].kind == Kind::Internal {
                self.sort_below(*child, basis);
            }
        }
        self.nodes[parent].order = order;
    }
}
