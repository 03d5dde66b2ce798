//! [`Client`]: asks etcd through its JSON gateway, one server after the other until one answers.
//!
//! It owns no connection and no task: those are libprocess's HTTP client's, and each call is a future of its caller. A
//! server that cannot be used (out of reach, slow, without a leader) makes the next one the *current* one, where all
//! further calls begin; a watch ends with the server that it hears, and when a call found no server that answers.
//! Whether a call whose answer was lost has happened cannot be known, and it may happen once more at the next server:
//! what writes must be guarded by comparisons.
//!
//! It knows no masters and no members: see [`super::group`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use libprocess::http::{ClientError, ClientRequest, ClientResponse};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::sync::watch;
use tracing::warn;

use super::api::{
    AuthenticateRequest, AuthenticateResponse, CompactionRequest, Done, LeaseGrantRequest, LeaseRequest,
    LeaseResponse, RangeRequest, RangeResponse, Refusal, RefusalBody, Streamed, TxnRequest, TxnResponse,
};
use super::tls::Door;
use super::url::{Credentials, EtcdUrl};

/// Answers are at most so large. What is read here comes in pages.
const LARGEST_ANSWER: usize = 64 << 20;

/// What etcd says when a token is none, or not any more (a restarted server knows none).
const TOKEN_IS_OLD: [&str; 2] = ["invalid auth token", "revision of auth store is old"];

/// Why etcd did not do what was asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EtcdError {
    /// No server has answered in a way that could be used. Worth another try.
    #[error("etcd does not answer: {0}")]
    Unavailable(String),
    /// etcd has answered, and will answer the same again.
    #[error("etcd at {server} refuses {call}: {message}")]
    Refused {
        /// `host:port`.
        server: String,
        /// The path of the call.
        call: &'static str,
        /// Of which kind.
        code: Code,
        /// In etcd's words, with a hint where they need one.
        message: String,
    },
}

/// The kinds of refusals (gRPC's codes, as far as they matter here).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// 3: something in the request, as a wrong password.
    InvalidArgument,
    /// 5: no such lease.
    NotFound,
    /// 7: this user may not.
    PermissionDenied,
    /// 8: etcd's space is used up.
    ResourceExhausted,
    /// 9: not in this state of etcd's.
    FailedPrecondition,
    /// 11: the revision is compacted, or has not been yet.
    OutOfRange,
    /// 16: nobody without a user.
    Unauthenticated,
}

impl Code {
    /// `None` for what may pass by itself.
    fn of(refusal: &Refusal) -> Option<Code> {
        match refusal.code {
            3 => Some(Code::InvalidArgument),
            5 => Some(Code::NotFound),
            7 => Some(Code::PermissionDenied),
            // The same number says that a server is busy.
            8 => (!refusal.message.contains("too many requests")).then_some(Code::ResourceExhausted),
            9 => Some(Code::FailedPrecondition),
            11 => Some(Code::OutOfRange),
            16 => Some(Code::Unauthenticated),
            _ => None,
        }
    }
}

/// What one server has done with one request.
pub(super) enum Failure {
    /// The next one may do better.
    Passing(String),
    /// etcd has spoken.
    Refused(EtcdError),
}

/// Asks etcd. Clones share what they have learnt.
#[derive(Clone, Debug)]
pub struct Client {
    door: Door,
    servers: Arc<[String]>,
    /// The server that has answered last. Watches end when it changes, or has not answered.
    pub(super) current: watch::Sender<usize>,
    credentials: Option<Credentials>,
    /// What stands for the credentials, from the first call on.
    token: Arc<Mutex<Option<String>>>,
    /// That they are not asked for was said: it is found out anew with each call.
    has_warned: Arc<AtomicBool>,
    /// How long one server may take before the next one is asked.
    patience: Duration,
}

impl Client {
    /// Asks the servers of `url`; each may take `patience`.
    pub fn new(url: &EtcdUrl, patience: Duration) -> Client {
        Client {
            door: Door::new(url.tls.clone()),
            servers: url.servers.clone().into(),
            current: watch::Sender::new(0),
            credentials: url.credentials.clone(),
            token: Arc::default(),
            has_warned: Arc::default(),
            patience,
        }
    }

    /// Reads.
    ///
    /// # Errors
    /// [`EtcdError`]; [`Code::OutOfRange`] if the revision was compacted.
    pub async fn range(&self, request: &RangeRequest) -> Result<RangeResponse, EtcdError> {
        self.call("/v3/kv/range", request).await
    }

    /// Compares and writes. Happens as a whole or not at all, but perhaps twice: see the head of this file.
    ///
    /// # Errors
    /// [`EtcdError`]. A comparison that does not hold is an answer.
    pub async fn txn(&self, request: &TxnRequest) -> Result<TxnResponse, EtcdError> {
        self.call("/v3/kv/txn", request).await
    }

    /// Forgets what is older than a revision; that it is forgotten already is no error.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub async fn compact(&self, revision: i64) -> Result<(), EtcdError> {
        match self.call::<Done>("/v3/kv/compaction", &CompactionRequest { revision }).await {
            Ok(Done {}) | Err(EtcdError::Refused { code: Code::OutOfRange, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A new lease that lives at least so long without being kept alive. (etcd counts in seconds.)
    ///
    /// # Errors
    /// [`EtcdError`]. If the answer was lost there may be a lease that nobody keeps alive.
    pub async fn grant(&self, time: Duration) -> Result<i64, EtcdError> {
        let ttl = i64::try_from(time.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
        let lease: LeaseResponse = self.call("/v3/lease/grant", &LeaseGrantRequest { ttl }).await?;
        Ok(lease.id)
    }

    /// Lets a lease live on; `false` when there is no such lease any more.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub async fn keep_alive(&self, lease: i64) -> Result<bool, EtcdError> {
        const CALL: &str = "/v3/lease/keepalive";
        let answer: Streamed<LeaseResponse> = self.call(CALL, &LeaseRequest { id: lease }).await?;
        match answer {
            Streamed { result: Some(lease), .. } => Ok(lease.ttl > 0),
            Streamed { error, .. } => {
                // It was the one that has answered last.
                let server = *self.current.borrow();
                match self.refused(server, CALL, error.unwrap_or_default()) {
                    Failure::Passing(why) => Err(EtcdError::Unavailable(why)),
                    Failure::Refused(error) => Err(error),
                }
            }
        }
    }

    /// Ends a lease; its keys go with it. That it has ended already is no error.
    ///
    /// # Errors
    /// [`EtcdError`]
    pub async fn revoke(&self, lease: i64) -> Result<(), EtcdError> {
        match self.call::<Done>("/v3/lease/revoke", &LeaseRequest { id: lease }).await {
            Ok(Done {}) | Err(EtcdError::Refused { code: Code::NotFound, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Asks the servers in turn, the current one first. A single server is asked twice: the first request may have
    /// taken a connection that was just being closed.
    async fn call<A: DeserializeOwned>(
        &self,
        path: &'static str,
        request: &impl Serialize,
    ) -> Result<A, EtcdError> {
        let first = *self.current.borrow();
        let mut failures = Vec::new();
        for turn in 0..self.servers.len().max(2) {
            let server = (first + turn) % self.servers.len();
            match self.ask(server, path, request).await {
                Ok(answer) => {
                    self.turn_to(server);
                    return Ok(answer);
                }
                Err(Failure::Refused(error)) => {
                    self.turn_to(server);
                    return Err(error);
                }
                Err(Failure::Passing(why)) => {
                    if !failures.contains(&why) {
                        failures.push(why);
                    }
                }
            }
        }
        // Watches must not rely on a server that does not answer, even if there is no other.
        self.current.send_replace((first + 1) % self.servers.len());
        self.door.closed();
        Err(EtcdError::Unavailable(failures.join("; ")))
    }

    fn turn_to(&self, server: usize) {
        self.current.send_if_modified(|current| std::mem::replace(current, server) != server);
    }

    /// Asks one server.
    async fn ask<A: DeserializeOwned>(
        &self,
        server: usize,
        path: &'static str,
        request: &impl Serialize,
    ) -> Result<A, Failure> {
        let response = self.send(server, path, request).await?;
        let body = response.bytes(LARGEST_ANSWER).await.map_err(passing)?;
        self.read(server, path, &body)
    }

    pub(super) fn read<A: DeserializeOwned>(
        &self,
        server: usize,
        path: &str,
        body: &[u8],
    ) -> Result<A, Failure> {
        serde_json::from_slice(body).map_err(|error| {
            Failure::Passing(format!(
                "{} answered {path} with what is not etcd's: {error}",
                self.servers[server]
            ))
        })
    }

    /// Sends a request with the token that it needs; with a new one, if the old one is not taken.
    pub(super) async fn send(
        &self,
        server: usize,
        path: &'static str,
        request: &impl Serialize,
    ) -> Result<ClientResponse, Failure> {
        let token = self.token(server).await?;
        let refusal = match self.post(server, path, request, token.as_deref()).await? {
            Ok(response) => return Ok(response),
            Err(refusal) => refusal,
        };
        if token.is_none() || !TOKEN_IS_OLD.iter().any(|text| refusal.message.contains(text)) {
            return Err(self.refused(server, path, refusal));
        }
        *self.token.lock() = None;
        let token = self.token(server).await?;
        let response = self.post(server, path, request, token.as_deref()).await?;
        response.map_err(|refusal| self.refused(server, path, refusal))
    }

    /// The token that goes with each request, if there is a user.
    async fn token(&self, server: usize) -> Result<Option<String>, Failure> {
        const CALL: &str = "/v3/auth/authenticate";
        let Some(Credentials { user, password }) = &self.credentials else { return Ok(None) };
        if let Some(token) = self.token.lock().clone() {
            return Ok(Some(token));
        }
        let response =
            match self.post(server, CALL, &AuthenticateRequest { name: user, password }, None).await? {
                Ok(response) => response,
                Err(refusal) if refusal.message.contains("authentication is not enabled") => {
                    if !self.has_warned.swap(true, Relaxed) {
                        warn!(
                            server = self.servers[server],
                            user, "etcd asks nobody for a password: everybody may write there"
                        );
                    }
                    return Ok(None);
                }
                Err(refusal) => return Err(self.refused(server, CALL, refusal)),
            };
        let body = response.bytes(LARGEST_ANSWER).await.map_err(passing)?;
        let AuthenticateResponse { token } = self.read(server, CALL, &body)?;
        *self.token.lock() = Some(token.clone());
        Ok(Some(token))
    }

    /// Sends a request and waits for the head of its answer, or for all of a refusal.
    async fn post(
        &self,
        server: usize,
        path: &str,
        request: &impl Serialize,
        token: Option<&str>,
    ) -> Result<Result<ClientResponse, Refusal>, Failure> {
        let body = serde_json::to_vec(request).map_err(passing)?;
        let url = format!("{}://{}{path}", self.door.scheme(), self.servers[server]);
        let mut request = ClientRequest::post(url)
            .header("Content-Type", "application/json")
            .timeout(self.patience)
            .body(body);
        if let Some(token) = token {
            request = request.header("Authorization", token);
        }
        let unreachable = |error: ClientError| {
            let text = error.to_string();
            Failure::Passing(format!("{text}{}", self.door.hint(&text)))
        };
        let response = self.door.open().map_err(passing)?.send(request).await.map_err(unreachable)?;
        if response.status.is_success() {
            return Ok(Ok(response));
        }
        let status = response.status;
        let body = response.bytes(LARGEST_ANSWER).await.map_err(passing)?;
        let refusal = serde_json::from_slice::<RefusalBody>(&body).map_err(|_| {
            let text = String::from_utf8_lossy(&body).trim().chars().take(200).collect::<String>();
            let hint = match status.as_u16() {
                404 => "; has it a JSON gateway (etcd 3.4 or later, with --enable-grpc-gateway)?",
                400 if text.contains("CommonName") => {
                    "; where etcd asks for a user and for a certificate, ours must have no common name"
                }
                _ => "",
            };
            Failure::Passing(format!("{} answered {path} with {status}: {text}{hint}", self.servers[server]))
        })?;
        Ok(Err(refusal.into_refusal()))
    }

    /// What a refusal means, and what to do about it where etcd does not say.
    pub(super) fn refused(&self, server: usize, call: &'static str, refusal: Refusal) -> Failure {
        let server = self.servers[server].clone();
        let Some(code) = Code::of(&refusal) else {
            let hint = self.door.hint(&refusal.message);
            return Failure::Passing(format!("{server} answered {call}: {}{hint}", refusal.message));
        };
        let hint = match refusal.message.as_str() {
            // Behind TLS those who name no user are taken for whom the server's own certificate names.
            text if text.contains("user name is empty")
                || (self.credentials.is_none() && code == Code::PermissionDenied) =>
            {
                "; put a user into the URL: etcd://user:password@host/path"
            }
            text if text.contains("database space exceeded") => {
                "; compact and defragment it, raise its --quota-backend-bytes, and take back the alarm (etcdctl alarm disarm)"
            }
            text if text.contains("request is too large") => {
                "; raise its --max-request-bytes to 1572864 at least, which is its default"
            }
            text if text.contains("too many operations") => "; raise its --max-txn-ops to 128 at least",
            _ => "",
        };
        let message = format!("{}{hint}", refusal.message);
        Failure::Refused(EtcdError::Refused { server, call, code, message })
    }
}

pub(super) fn passing(error: impl std::fmt::Display) -> Failure {
    Failure::Passing(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::AtomicUsize;

    use tracing::{Event, Level, Metadata, Subscriber, span};

    use super::super::api::Range;
    use super::super::testing::{answer, next_path};
    use super::*;

    /// Counts what is warned about.
    struct Warnings(Arc<AtomicUsize>);

    impl Subscriber for Warnings {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == Level::WARN
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Relaxed);
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    /// An etcd, at revision 7, that asks nobody for a password.
    fn serve(stream: &TcpStream) {
        while let Some(path) = next_path(stream) {
            let (status, body) = match path.as_str() {
                "/v3/auth/authenticate" => {
                    ("400 Bad Request", r#"{"code":9,"message":"etcdserver: authentication is not enabled"}"#)
                }
                _ => ("200 OK", r#"{"header":{"revision":"7"}}"#),
            };
            answer(stream, status, body);
        }
    }

    /// Both are etcd's flags; a leader may come across them only when many agents register at once.
    #[test]
    fn what_etcd_does_not_take_in_one_request_is_told_with_the_flag_that_says_so() {
        let client = Client::new(&"etcd://host/mesos".parse().unwrap(), Duration::from_secs(1));
        for (message, flag) in [
            ("etcdserver: request is too large", "--max-request-bytes to 1572864"),
            ("etcdserver: too many operations in txn request", "--max-txn-ops to 128"),
        ] {
            let refusal = Refusal { code: 3, message: message.to_owned() };
            let Failure::Refused(error) = client.refused(0, "/v3/kv/txn", refusal) else {
                panic!("it does not pass by itself")
            };
            let expected =
                format!("etcd at host:2379 refuses /v3/kv/txn: {message}; raise its {flag} at least");
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
    }

    /// It is found out with each call, some of which come all the time.
    #[test]
    fn that_nobody_is_asked_for_a_password_is_said_once() {
        let warnings = Arc::<AtomicUsize>::default();
        tracing::subscriber::with_default(Warnings(warnings.clone()), || {
            libprocess::run(async {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                std::thread::spawn(move || {
                    for stream in listener.incoming() {
                        std::thread::spawn(move || serve(&stream.unwrap()));
                    }
                });
                let url = format!("etcd://jake:secret@{address}/mesos").parse().unwrap();
                let client = Client::new(&url, Duration::from_secs(10));
                for _ in 0..3 {
                    let answer = client.range(&RangeRequest::all(Range::key("/mesos/a"))).await;
                    assert_eq!(answer.unwrap().header.revision, 7);
                }
            });
        });
        assert_eq!(warnings.load(Relaxed), 1);
    }
}
