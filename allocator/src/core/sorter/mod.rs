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
//! Whoever walks often looks for some of the active clients only. The sorter keeps several orders at
//! once, the [`Lane`]s: one of all active clients, and others of those that were put into them, so that
//! a walk does not pass thousands of clients to find the three it wants.
//!
//! Unlike upstream's (`sorter/drf/sorter.cpp`), whose order is sorted anew after each change that is
//! not an allocation, this one stays in order: a changed node is moved to its new place by binary
//! search. Only a change of what everything is divided by (the total of all agents, a weight) makes
//! the tree dirty, and it is sorted when the next walk begins.
//!
//! The random sorter (`--role_sorter=random`) is another walk over the same tree: `random.rs`.
//!
//! Knows paths and amounts; does not know agents, filters or what a client is.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};

use indexmap::IndexMap;

use super::amounts::Amounts;
use super::ids::{Index, NameIdx, Slab, Spread};

#[cfg(test)]
mod cases;
mod random;
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

/// One of the orders that a sorter keeps. What the lanes after the first mean is the caller's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane(usize);

impl Lane {
    /// All active clients.
    pub const ACTIVE: Lane = Lane(0);
    /// Some of them.
    pub const SECOND: Lane = Lane(1);
    /// Some of them.
    pub const THIRD: Lane = Lane(2);

    const COUNT: usize = 3;

    fn bit(self) -> u8 {
        1 << self.0
    }
}

/// The lanes of a set, in order.
fn lanes(mask: u8) -> impl Iterator<Item = Lane> {
    (0..Lane::COUNT).map(Lane).filter(move |lane| mask & lane.bit() != 0)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A client.
    Leaf {
        /// The caller's number for it.
        client: u32,
        /// Whether it takes part.
        active: bool,
        /// The lanes that it was put into. They count while it is active.
        lanes: u8,
    },
    /// A path with clients below it.
    Internal,
}

impl Kind {
    fn inactive(client: u32) -> Kind {
        Kind::Leaf { client, active: false, lanes: Lane::ACTIVE.bit() }
    }

    fn is_internal(self) -> bool {
        self == Kind::Internal
    }

    /// The lanes in which a leaf stands.
    fn lanes(self) -> u8 {
        match self {
            Kind::Leaf { active: true, lanes, .. } => lanes,
            _ => 0,
        }
    }
}

#[derive(Debug)]
struct Node {
    /// The last part of the path; [`VIRTUAL`] for a virtual leaf.
    name: Box<str>,
    parent: Option<NodeIdx>,
    kind: Kind,
    weight: f64,
    share: f64,
    /// How often something was allocated to this node. Breaks ties, so that equals take turns.
    chosen: u64,
    allocated: Amounts,
    children: BTreeMap<Box<str>, NodeIdx>,
    /// By lane: the children that are in it or have something in it below them, in order (unless the
    /// tree is dirty).
    ///
    /// A deque: who is chosen mostly goes from the front to the end, which moves nobody else.
    order: [VecDeque<NodeIdx>; Lane::COUNT],
    /// The lanes of its parent's order in which it stands.
    stands_in: u8,
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

/// A place in a walk over the clients of a lane. Valid until the order changes, but for the changes that
/// [`Sorter::go_on`] allows.
#[derive(Debug)]
pub struct Cursor {
    lane: Lane,
    /// The node among whose children the walk is, and how many of them were visited.
    at: (NodeIdx, usize),
    /// The same for the nodes above it, from the root down.
    above: Vec<(NodeIdx, usize)>,
    /// The leaf that was visited last.
    last: NodeIdx,
    /// Nodes that were visited and stand further behind since.
    moved: Vec<NodeIdx>,
}

impl Default for Cursor {
    fn default() -> Self {
        Cursor {
            lane: Lane::ACTIVE,
            at: (ROOT, usize::MAX),
            above: Vec::new(),
            last: ROOT,
            moved: Vec::new(),
        }
    }
}

/// Clients in the order of their dominant shares. See the module.
#[derive(Debug)]
pub struct Sorter {
    nodes: Slab<NodeIdx, Node>,
    clients: IndexMap<u32, NodeIdx, Spread>,
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
            clients: IndexMap::default(),
            weights: BTreeMap::new(),
            dirty: false,
            version: 0,
        };
        let root = sorter.new_node("", None, Kind::Internal, DEFAULT_WEIGHT);
        debug_assert_eq!(root, ROOT);
        sorter
    }

    /// Adds a client, inactive and with nothing allocated. Its key must be new, as must its path.
    pub fn add(&mut self, client: u32, path: &str) {
        debug_assert!(!self.clients.contains_key(&client), "client {client} is added twice");
        let mut current = ROOT;
        let mut walked = String::with_capacity(path.len());
        for part in path.split('/') {
            if !self.nodes[current].kind.is_internal() {
                self.make_internal(current, &walked);
            }
            if !walked.is_empty() {
                walked.push('/');
            }
            walked.push_str(part);
            current = match self.nodes[current].children.get(part) {
                Some(child) => *child,
                None => self.add_child(current, part, Kind::Internal, &walked),
            };
        }
        if self.nodes[current].children.is_empty() {
            // The path was not there: its last node is the client's leaf, not a step of others' paths.
            self.nodes[current].kind = Kind::inactive(client);
        } else {
            walked.push('/');
            walked.push_str(VIRTUAL);
            current = self.add_child(current, VIRTUAL, Kind::inactive(client), &walked);
        }
        self.clients.insert(client, current);
    }

    /// Removes a client with all that is allocated to it.
    pub fn remove(&mut self, client: u32, basis: &Basis) {
        let Some(leaf) = self.clients.swap_remove(&client) else { return };
        let allocated = self.nodes[leaf].allocated.clone();
        self.change(leaf, basis, &Change::Take(&allocated));
        self.stand_in(leaf, 0, basis);
        let mut current = leaf;
        while let Some(parent) = self.nodes[current].parent {
            if self.nodes[current].children.is_empty() {
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
        self.set(client, basis, |active, _| *active = true);
    }

    /// Leaves a client out of the walk. What it has goes on counting for its parents.
    pub fn deactivate(&mut self, client: u32, basis: &Basis) {
        self.set(client, basis, |active, _| *active = false);
    }

    /// Puts a client into a lane other than that of all active ones, or takes it out.
    pub fn set_lane(&mut self, client: u32, lane: Lane, is_in: bool, basis: &Basis) {
        self.set(client, basis, |_, lanes| {
            *lanes = if is_in { *lanes | lane.bit() } else { *lanes & !lane.bit() };
        });
    }

    fn set(&mut self, client: u32, basis: &Basis, change: impl FnOnce(&mut bool, &mut u8)) {
        let Some(leaf) = self.leaf(client) else { return };
        if let Kind::Leaf { active, lanes, .. } = &mut self.nodes[leaf].kind {
            change(active, lanes);
        }
        self.stand_in(leaf, self.nodes[leaf].kind.lanes(), basis);
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

    /// An inner node's `old` turns into `new`, without a change of anything below or above it: what several
    /// clients below it share counts once for it. The root's path is empty.
    pub fn update_inner(&mut self, path: &str, old: &Amounts, new: &Amounts, basis: &Basis) {
        let mut node = ROOT;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let Some(child) = self.nodes[node].children.get(part) else { return };
            node = *child;
        }
        self.change_one(node, basis, &Change::Replace { old, new });
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

    /// Begins a walk over the clients of a lane, with the tree in order. A cursor may be used again.
    pub fn start(&mut self, cursor: &mut Cursor, lane: Lane, basis: &Basis) {
        if self.dirty || self.version != basis.version {
            self.sort_below(ROOT, basis);
            self.dirty = false;
            self.version = basis.version;
        }
        cursor.lane = lane;
        cursor.at = (ROOT, 0);
        cursor.above.clear();
        cursor.moved.clear();
    }

    /// The next client of a walk.
    pub fn next(&self, cursor: &mut Cursor) -> Option<u32> {
        loop {
            let (node, visited) = &mut cursor.at;
            let Some(child) = self.nodes[*node].order[cursor.lane.0].get(*visited) else {
                cursor.at = cursor.above.pop()?;
                continue;
            };
            *visited += 1;
            if cursor.moved.contains(child) {
                continue;
            }
            match self.nodes[*child].kind {
                Kind::Leaf { client, .. } => {
                    cursor.last = *child;
                    return Some(client);
                }
                Kind::Internal => cursor.above.push(std::mem::replace(&mut cursor.at, (*child, 0))),
            }
        }
    }

    /// Lets a walk go on as if nothing had changed, after its last client was given something, or left the
    /// lane for it. (No other client may have changed: see [`Sorter::rest`].)
    pub fn go_on(&self, cursor: &mut Cursor) {
        let lane = cursor.lane;
        let mut child = cursor.last;
        for (node, visited) in std::iter::once(&mut cursor.at).chain(cursor.above.iter_mut().rev()) {
            // It can only have moved behind those that the walk comes to next, or away.
            let stayed = self.nodes[*node].order[lane.0].get(visited.wrapping_sub(1)) == Some(&child);
            if !stayed && !cursor.moved.contains(&child) {
                *visited -= 1;
                cursor.moved.push(child);
            }
            child = *node;
        }
    }

    /// The rest of a walk, for a caller that is about to change the order and wants to go on with the
    /// old one.
    pub fn rest(&self, cursor: &mut Cursor) -> Vec<u32> {
        std::iter::from_fn(|| self.next(cursor)).collect()
    }

    /// All active clients in order.
    pub fn sorted(&mut self, basis: &Basis) -> Vec<u32> {
        let mut cursor = Cursor::default();
        self.start(&mut cursor, Lane::ACTIVE, basis);
        self.rest(&mut cursor)
    }

    fn leaf(&self, client: u32) -> Option<NodeIdx> {
        self.clients.get(&client).copied()
    }

    fn new_node(&mut self, name: &str, parent: Option<NodeIdx>, kind: Kind, weight: f64) -> NodeIdx {
        self.nodes.insert(Node {
            name: name.into(),
            parent,
            kind,
            weight,
            share: 0.0,
            chosen: 0,
            allocated: Amounts::ZERO,
            children: BTreeMap::new(),
            order: Default::default(),
            stands_in: 0,
        })
    }

    /// Adds a child, which stands in no order yet.
    fn add_child(&mut self, parent: NodeIdx, name: &str, kind: Kind, path: &str) -> NodeIdx {
        let weight = self.weights.get(path).copied().unwrap_or(DEFAULT_WEIGHT);
        let child = self.new_node(name, Some(parent), kind, weight);
        self.nodes[parent].children.insert(name.into(), child);
        child
    }

    /// A client at `leaf` gets company below: a virtual leaf takes its place.
    fn make_internal(&mut self, leaf: NodeIdx, path: &str) {
        let kind = std::mem::replace(&mut self.nodes[leaf].kind, Kind::Internal);
        let virtual_leaf = self.add_child(leaf, VIRTUAL, kind, &format!("{path}/{VIRTUAL}"));
        let (allocated, chosen) = (self.nodes[leaf].allocated.clone(), self.nodes[leaf].chosen);
        let node = &mut self.nodes[virtual_leaf];
        node.allocated = allocated;
        node.chosen = chosen;
        if let Kind::Leaf { client, .. } = kind {
            self.clients.insert(client, virtual_leaf);
        }
        // The node above goes on standing where the leaf stood.
        for lane in lanes(kind.lanes()) {
            self.nodes[leaf].order[lane.0].push_back(virtual_leaf);
        }
        self.nodes[virtual_leaf].stands_in = kind.lanes();
        self.dirty = true;
    }

    /// A node whose only child is its virtual leaf becomes that leaf again.
    fn collapse(&mut self, node: NodeIdx) {
        let children = &self.nodes[node].children;
        let Some(only) = children.get(VIRTUAL).copied().filter(|_| children.len() == 1) else { return };
        let Some(leaf) = self.nodes.remove(only) else { return };
        let collapsed = &mut self.nodes[node];
        collapsed.children.clear();
        collapsed.order = Default::default();
        collapsed.kind = leaf.kind;
        if let Kind::Leaf { client, .. } = leaf.kind {
            self.clients.insert(client, node);
        }
    }

    /// Applies a change to a leaf and everything above it.
    fn change(&mut self, leaf: NodeIdx, basis: &Basis, change: &Change<'_>) {
        let mut current = Some(leaf);
        while let Some(index) = current {
            self.change_one(index, basis, change);
            current = self.nodes[index].parent;
        }
    }

    /// Applies a change to a node, and moves it to its new places. A tree that will be sorted anyway is not
    /// kept in order.
    fn change_one(&mut self, index: NodeIdx, basis: &Basis, change: &Change<'_>) {
        let in_order = !self.dirty && basis.version == self.version;
        let node = &self.nodes[index];
        match node.parent {
            Some(parent) if in_order && node.stands_in != 0 => {
                let stands_in = node.stands_in;
                let mut from = [0; Lane::COUNT];
                for lane in lanes(stands_in) {
                    from[lane.0] = self.position(parent, index, lane);
                }
                let node = &mut self.nodes[index];
                change.apply(node);
                node.share = basis.share(node);
                for lane in lanes(stands_in) {
                    self.move_to_its_place(parent, from[lane.0], lane);
                }
            }
            _ => change.apply(&mut self.nodes[index]),
        }
    }

    /// Where a child stands, or belongs, among its siblings of a lane that is in order.
    fn position(&self, parent: NodeIdx, child: NodeIdx, lane: Lane) -> usize {
        let node = &self.nodes[child];
        let order = &self.nodes[parent].order[lane.0];
        // Who is chosen is mostly the first.
        if order.front() == Some(&child) {
            return 0;
        }
        order.partition_point(|other| self.nodes[*other].compare(node) == Ordering::Less)
    }

    /// Moves the child at `from`, whose key has changed, to where it belongs among its siblings.
    fn move_to_its_place(&mut self, parent: NodeIdx, from: usize, lane: Lane) {
        let Some(child) = self.nodes[parent].order[lane.0].remove(from) else { return };
        let node = &self.nodes[child];
        let before = |other: &NodeIdx| self.nodes[*other].compare(node) == Ordering::Less;
        let others = &self.nodes[parent].order[lane.0];
        // Who was just chosen mostly becomes the last.
        let to = match others.back() {
            Some(last) if before(last) => others.len(),
            _ => others.partition_point(before),
        };
        self.nodes[parent].order[lane.0].insert(to, child);
    }

    /// Lets a child stand in some lanes of its parent's order and in no others. A parent stands wherever
    /// one of its children does.
    fn stand_in(&mut self, child: NodeIdx, wanted: u8, basis: &Basis) {
        let Some(parent) = self.nodes[child].parent else { return };
        let stands_in = std::mem::replace(&mut self.nodes[child].stands_in, wanted);
        if stands_in == wanted {
            return;
        }
        if stands_in == 0 {
            // Nobody kept it up to date while it stood nowhere.
            self.nodes[child].share = basis.share(&self.nodes[child]);
        }
        for lane in lanes(stands_in ^ wanted) {
            let expected = self.position(parent, child, lane);
            let order = &mut self.nodes[parent].order[lane.0];
            if wanted & lane.bit() != 0 {
                // In a dirty tree any place will do.
                order.insert(expected, child);
                continue;
            }
            let at = match order.get(expected) {
                Some(found) if *found == child => Some(expected),
                _ => order.iter().position(|other| *other == child),
            };
            if let Some(at) = at {
                order.remove(at);
            }
        }
        let occupied = (0..Lane::COUNT).map(Lane).filter(|lane| !self.nodes[parent].order[lane.0].is_empty());
        let occupied = occupied.fold(0, |mask, lane| mask | lane.bit());
        self.stand_in(parent, occupied, basis);
    }

    fn sort_below(&mut self, parent: NodeIdx, basis: &Basis) {
        let mut order = std::mem::take(&mut self.nodes[parent].order);
        for child in &order[Lane::ACTIVE.0] {
            self.nodes[*child].share = basis.share(&self.nodes[*child]);
        }
        for order in &mut order {
            order.make_contiguous().sort_by(|left, right| self.nodes[*left].compare(&self.nodes[*right]));
        }
        for child in &order[Lane::ACTIVE.0] {
            if self.nodes[*child].kind.is_internal() {
                self.sort_below(*child, basis);
            }
        }
        self.nodes[parent].order = order;
    }
}
