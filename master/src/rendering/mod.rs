//! From a snapshot to the bytes of an answer, without doing anything twice.
//!
//! | file | what is there |
//! |---|---|
//! | `pieces` | a body made of parts that others share |
//! | `list` | a list of entities; what has not changed since the last time is shared or copied, not rendered |
//! | `document` | an object or a message made of rendered fields |
//! | `parts` | the lists that the cluster consists of, in one form: v0, JSON or protobuf of v1 |
//!
//! [`Renderings`] is shared by all readers. Equal questions about one version of the cluster get the same bytes, also
//! when they are asked at the same moment: they are rendered once, and compressed once ([`SharedBytes`]). The master does
//! nothing of this: it gives a snapshot away. Where the cluster is large, rendering is done on threads that give way to all
//! others ([`Node::beside`], [`libprocess::breath`]), so that it does not hold up who asks for little. Which questions
//! there are, and how an answer looks, is the affair of `http` and `operator`.

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
use tokio::sync::OnceCell;

pub(crate) use pieces::Pieces;

use crate::cluster::Snapshot;
use crate::http::V0;
use crate::master::Master;
use crate::operator::V1;
use parts::Parts;

/// Answers to different questions that are kept of one version.
const KEPT: usize = 32;

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

/// What an answer depends on beside the question: the version of the cluster, and which master leads.
#[derive(Debug, Clone, PartialEq, Default)]
struct Edition {
    version: u64,
    leader: Option<v1::MasterInfo>,
}

impl Edition {
    fn of(snapshot: &Snapshot) -> Self {
        Self { version: snapshot.version, leader: snapshot.master.leader.clone() }
    }
}

/// The answers of one edition.
#[derive(Default)]
struct Answers {
    edition: Edition,
    /// Each is made by who asked for it first, while others wait for it.
    bodies: IndexMap<Question, Arc<OnceCell<SharedBytes>>, FixedState>,
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

    /// The answer to a question: what is there, or what somebody else makes already, or what `make` makes.
    async fn body(
        &self,
        question: Question,
        edition: Edition,
        make: impl AsyncFnOnce() -> SharedBytes,
    ) -> SharedBytes {
        let place = self.place(question, edition);
        let mut is_new = false;
        let body = place
            .get_or_init(async || {
                is_new = true;
                make().await
            })
            .await
            .clone();
        if !is_new {
            self.shared.increment();
        }
        body
    }

    /// Where the answer is, or will be.
    fn place(&self, question: Question, edition: Edition) -> Arc<OnceCell<SharedBytes>> {
        let mut answers = self.answers.lock();
        if answers.edition != edition {
            // A reader that took its time does not drive out what is newer.
            if edition.version < answers.edition.version {
                return Arc::default();
            }
            *answers = Answers { edition, bodies: IndexMap::default() };
        }
        if answers.bodies.len() >= KEPT && !answers.bodies.contains_key(&question) {
            answers.bodies.shift_remove_index(0);
        }
        answers.bodies.entry(question).or_default().clone()
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
        let edition = Edition::of(&snapshot);
        let answers = renderings.clone();
        let make = async move || {
            node.beside(snapshot.size(), move || render(&renderings, &snapshot).complete()).await
        };
        answers.body(question, edition, make).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    fn question(name: &'static str) -> Question {
        Question::endpoint(name, &Query::default())
    }

    /// What takes its time to be rendered.
    async fn rendered(text: &'static str, count: &Counter) -> SharedBytes {
        count.increment();
        yield_now().await;
        SharedBytes::new([Bytes::from(text)])
    }

    #[tokio::test]
    async fn equal_questions_at_one_moment_are_rendered_once() {
        let (shared, made) = (Counter::default(), &Counter::default());
        let renderings = Renderings::new(shared.clone());
        let ask = |name, version, text| {
            let edition = Edition { version, leader: None };
            renderings.body(question(name), edition, async move || rendered(text, made).await)
        };
        let (first, second, other) =
            tokio::join!(ask("/state", 1, "a"), ask("/state", 1, "b"), ask("/slaves", 1, "c"));
        assert_eq!([&first, &second, &other].map(|body| body.pieces()[0].clone()), ["a", "a", "c"]);
        assert_eq!((made.value(), shared.value()), (2, 1));
        // A late reader gets what it has asked for, and drives out nothing.
        assert_eq!(ask("/state", 0, "d").await.pieces()[0], "d");
        assert_eq!(ask("/state", 1, "e").await.pieces()[0], "a");
        assert_eq!((made.value(), shared.value()), (3, 2));
    }

    #[tokio::test]
    async fn who_leaves_while_it_renders_leaves_it_to_the_next() {
        let made = &Counter::default();
        let renderings = Renderings::new(Counter::default());
        let ask = |text| {
            renderings.body(question("/state"), Edition::default(), async move || rendered(text, made).await)
        };
        let mut gone = Box::pin(ask("a"));
        assert!(futures::poll!(&mut gone).is_pending());
        let (body, ()) = tokio::join!(ask("b"), async { drop(gone) });
        assert_eq!((body.pieces()[0].clone(), made.value()), (Bytes::from("b"), 2));
    }

    #[tokio::test]
    async fn so_many_answers_are_kept_and_the_oldest_go_first() {
        let made = Counter::default();
        let renderings = Renderings::new(Counter::default());
        for number in (0..=KEPT).chain([KEPT, 0]) {
            let query = number.to_string();
            let question = Question { query, ..question("/tasks") };
            renderings.body(question, Edition::default(), async || rendered("x", &made).await).await;
        }
        assert_eq!(made.value(), KEPT as u64 + 2);
    }
}
