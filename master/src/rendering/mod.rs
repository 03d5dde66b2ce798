//! From a snapshot to the bytes of an answer, without doing anything twice.
//!
//! | file | what is there |
//! |---|---|
//! | `pieces` | a body made of parts that others share |
//! | `list` | a list of entities; what has not changed since the last time is copied, not rendered |
//! | `document` | an object or a message made of rendered fields |
//! | `parts` | the lists that the cluster consists of, in one form: v0, JSON or protobuf of v1 |
//!
//! [`Renderings`] is shared by all readers. Equal questions about one version of the cluster get the same bytes; they
//! are rendered once, and compressed once ([`SharedBytes`]). The master does nothing of this: it gives a snapshot away.
//! Where the cluster is large, rendering has a thread of its own, so that it does not hold up who asks for little. Which
//! questions there are, and how an answer looks, is the affair of `http` and `operator`.

pub(crate) mod document;
pub(crate) mod list;
pub(crate) mod parts;
pub(crate) mod pieces;

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use libprocess::http::{Query, Reply, Response, SharedBytes};
use libprocess::metrics::Counter;
use libprocess::{Context, FixedState, Node};
use mesos::{MediaType, v1};
use parking_lot::Mutex;

pub(crate) use pieces::Pieces;

use crate::cluster::Snapshot;
use crate::http::V0;
use crate::master::Master;
use crate::operator::V1;
use parts::Parts;

/// Answers to different questions that are kept of one version.
const KEPT: usize = 32;

/// Entities from which on rendering is not done between other requests: it takes a millisecond, or more.
const LARGE: usize = 1000;

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    /// The endpoint or the call.
    pub(crate) name: &'static str,
    /// What the answer depends on beside the cluster: the query.
    pub(crate) query: String,
    pub(crate) media: MediaType,
}

impl Question {
    /// An operator's call without parameters.
    pub(crate) fn call(name: &'static str, media: MediaType) -> Self {
        Self { name, query: String::new(), media }
    }

    /// An endpoint with its query. Its answer is wrapped for `jsonp` afterwards.
    pub(crate) fn endpoint(name: &'static str, query: &Query) -> Self {
        let pairs = query.iter().filter(|(key, _)| *key != "jsonp").map(|pair| format!("{pair:?}"));
        Self { name, query: pairs.collect(), media: MediaType::Json }
    }
}

/// The answers to one version of the cluster.
#[derive(Default)]
struct Answers {
    version: u64,
    leader: Option<v1::MasterInfo>,
    bodies: IndexMap<Question, SharedBytes, FixedState>,
}

impl Answers {
    fn is_of(&self, snapshot: &Snapshot) -> bool {
        self.version == snapshot.version && self.leader == snapshot.master.leader
    }
}

/// See the module.
pub struct Renderings {
    answers: Mutex<Answers>,
    /// `master/http_cache_hits`: answers that were there already.
    shared: Counter,
    /// For the v0 endpoints.
    pub(crate) v0: Mutex<Parts<V0>>,
    /// For `/slaves`.
    pub(crate) v0_detailed: Mutex<Parts<V0>>,
    json: Mutex<Parts<V1>>,
    protobuf: Mutex<Parts<V1>>,
}

impl Renderings {
    /// Nothing rendered yet. `shared` counts the answers that were there already.
    pub fn new(shared: Counter) -> Self {
        Self {
            answers: Mutex::default(),
            shared,
            v0: Mutex::new(Parts::new(V0::Plain)),
            v0_detailed: Mutex::new(Parts::new(V0::Detailed)),
            json: Mutex::new(Parts::new(V1(MediaType::Json))),
            protobuf: Mutex::new(Parts::new(V1(MediaType::Protobuf))),
        }
    }

    /// The body of `/state`, in pieces.
    pub fn state(&self, snapshot: &Snapshot) -> Vec<Bytes> {
        crate::http::state::render(self, snapshot, &Query::default()).into_pieces()
    }

    /// The body of the answer to GET_STATE, in pieces.
    pub fn get_state(&self, snapshot: &Snapshot, media: MediaType) -> Vec<Bytes> {
        crate::operator::get_state(self, snapshot, media).into_pieces()
    }

    /// For calls of the v1 API.
    pub(crate) fn v1(&self, media: MediaType) -> &Mutex<Parts<V1>> {
        match media {
            MediaType::Json => &self.json,
            MediaType::Protobuf => &self.protobuf,
        }
    }

    /// The answer, if it is there.
    fn known(&self, question: &Question, snapshot: &Snapshot) -> Option<SharedBytes> {
        let answers = self.answers.lock();
        let body = answers.bodies.get(question).filter(|_| answers.is_of(snapshot))?.clone();
        self.shared.increment();
        Some(body)
    }

    /// Keeps an answer. Gives what is shared from now on: the same, unless somebody else was first.
    fn keep(&self, question: Question, snapshot: &Snapshot, body: SharedBytes) -> SharedBytes {
        let mut answers = self.answers.lock();
        if !answers.is_of(snapshot) {
            // A reader that took its time does not drive out what is newer.
            if snapshot.version < answers.version {
                return body;
            }
            let leader = snapshot.master.leader.clone();
            *answers = Answers { version: snapshot.version, leader, bodies: IndexMap::default() };
        }
        if let Some(first) = answers.bodies.get(&question) {
            return first.clone();
        }
        if answers.bodies.len() >= KEPT {
            answers.bodies.shift_remove_index(0);
        }
        answers.bodies.insert(question, body.clone());
        body
    }
}

/// A question, and whoever answers it.
pub(crate) struct Reader {
    node: Node,
    renderings: Arc<Renderings>,
    snapshot: Arc<Snapshot>,
}

impl Reader {
    /// A reader of the cluster as it is now.
    pub(crate) fn of(master: &mut Master, ctx: &Context<Master>) -> Self {
        let snapshot = master.snapshot(ctx.now());
        Self { node: ctx.node().clone(), renderings: master.renderings.clone(), snapshot }
    }

    /// The reply to a question: the same bytes that others got who asked it about this version, or what `render` makes.
    /// `finish` makes an answer of it.
    pub(crate) fn answer(
        self,
        question: Question,
        render: impl FnOnce(&Renderings, &Snapshot) -> Pieces + Send + 'static,
        finish: impl FnOnce(SharedBytes) -> Response + Send + 'static,
    ) -> Reply {
        Reply::later(async move { finish(self.body(question, render).await) })
    }

    /// The body of the answer.
    async fn body(
        self,
        question: Question,
        render: impl FnOnce(&Renderings, &Snapshot) -> Pieces + Send + 'static,
    ) -> SharedBytes {
        let Self { node, renderings, snapshot } = self;
        if let Some(body) = renderings.known(&question, &snapshot) {
            return body;
        }
        let is_large = snapshot.size() >= LARGE;
        let work = move || {
            let body = render(&renderings, &snapshot).complete();
            renderings.keep(question, &snapshot, body)
        };
        if is_large { node.blocking(work).await } else { work() }
    }
}
