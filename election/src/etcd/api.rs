//! The messages of etcd's v3 API as its JSON gateway has them, as far as they are used here.
//!
//! Written by hand after `api/etcdserverpb/rpc.proto` of etcd. The gateway's dialect: bytes are base64, 64-bit numbers
//! are texts (numbers are read, too), and what is zero, empty or false is left out. It knows no connections.

use serde::{Deserialize, Serialize};

/// Bytes as base64.
mod bytes {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A 64-bit number as a text.
mod int64 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Number(i64),
    }

    pub(super) fn serialize<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Text(text) => text.parse().map_err(D::Error::custom),
            Form::Number(number) => Ok(number),
        }
    }
}

/// What every answer begins with.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Header {
    /// The store's revision when the answer was made.
    #[serde(default, with = "int64")]
    pub revision: i64,
}

/// Keys from `key` to just before `range_end`; one key, if there is no `range_end`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Range {
    /// The first.
    #[serde(with = "bytes")]
    pub key: Vec<u8>,
    /// The first that does not belong to it.
    #[serde(with = "bytes", skip_serializing_if = "Vec::is_empty")]
    pub range_end: Vec<u8>,
}

impl Range {
    /// One key.
    pub fn key(key: impl Into<Vec<u8>>) -> Range {
        Range { key: key.into(), range_end: Vec::new() }
    }

    /// All keys that begin so. The prefix must not be empty.
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Range {
        let key = prefix.into();
        // Behind them all comes the prefix with its last byte increased (0xff has no next: shorten).
        let mut range_end = key.clone();
        while range_end.pop_if(|last| *last == u8::MAX).is_some() {}
        if let Some(last) = range_end.last_mut() {
            *last += 1;
        }
        Range { key, range_end }
    }

    /// The part of it behind a key that belongs to it.
    #[must_use]
    pub fn behind(&self, key: &[u8]) -> Range {
        Range { key: [key, &[0]].concat(), range_end: self.range_end.clone() }
    }
}

/// `/v3/kv/range`. Without `serializable` a read is linearizable: it sees what any server has acknowledged before.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RangeRequest {
    /// Which keys.
    #[serde(flatten)]
    pub range: Range,
    /// At most so many; 0: all.
    #[serde(with = "int64")]
    pub limit: i64,
    /// As they were in this revision; 0: now.
    #[serde(with = "int64")]
    pub revision: i64,
    /// Only how many there are.
    pub count_only: bool,
}

impl RangeRequest {
    /// All of a range, now.
    pub fn all(range: Range) -> RangeRequest {
        RangeRequest { range, ..RangeRequest::default() }
    }
}

/// The answer to [`RangeRequest`].
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RangeResponse {
    /// With the revision that was read.
    #[serde(default)]
    pub header: Header,
    /// In the order of their keys.
    #[serde(default)]
    pub kvs: Vec<KeyValue>,
    /// There are more than the limit.
    #[serde(default)]
    pub more: bool,
}

/// A key and what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct KeyValue {
    /// The key.
    #[serde(default, with = "bytes")]
    pub key: Vec<u8>,
    /// The revision in which it was created; a key that was deleted and made again has another.
    #[serde(default, with = "int64")]
    pub create_revision: i64,
    /// The revision of its last change.
    #[serde(default, with = "int64")]
    pub mod_revision: i64,
    /// The value.
    #[serde(default, with = "bytes")]
    pub value: Vec<u8>,
    /// The lease that it goes with; 0: none.
    #[serde(default, with = "int64")]
    pub lease: i64,
}

/// `/v3/kv/txn`: all of `success` if every comparison holds, else all of `failure`. At most 128 of each (etcd's
/// `--max-txn-ops`), and 1.5 MiB altogether (`--max-request-bytes`).
#[derive(Clone, Debug, Default, Serialize)]
pub struct TxnRequest {
    /// What must hold.
    pub compare: Vec<Compare>,
    /// Done if it does.
    pub success: Vec<Operation>,
    /// Done if it does not.
    pub failure: Vec<Operation>,
}

/// What must hold of one key.
#[derive(Clone, Debug, Serialize)]
pub struct Compare {
    #[serde(with = "bytes")]
    key: Vec<u8>,
    result: &'static str,
    #[serde(flatten)]
    target: Target,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "target")]
enum Target {
    #[serde(rename = "CREATE")]
    Create {
        #[serde(with = "int64")]
        create_revision: i64,
    },
    #[serde(rename = "MOD")]
    Mod {
        #[serde(with = "int64")]
        mod_revision: i64,
    },
    #[serde(rename = "LEASE")]
    Lease {
        #[serde(with = "int64")]
        lease: i64,
    },
}

impl Compare {
    /// It was created in this revision; 0: it does not exist.
    pub fn created(key: impl Into<Vec<u8>>, create_revision: i64) -> Compare {
        Compare { key: key.into(), result: "EQUAL", target: Target::Create { create_revision } }
    }

    /// It was last changed in this revision; 0: it does not exist.
    pub fn changed(key: impl Into<Vec<u8>>, mod_revision: i64) -> Compare {
        Compare { key: key.into(), result: "EQUAL", target: Target::Mod { mod_revision } }
    }

    /// It goes with this lease; 0: with none. A key that does not exist has none.
    pub fn leased(key: impl Into<Vec<u8>>, lease: i64) -> Compare {
        Compare { key: key.into(), result: "EQUAL", target: Target::Lease { lease } }
    }
}

/// One step of a transaction.
#[derive(Clone, Debug, Serialize)]
pub enum Operation {
    /// Reads.
    #[serde(rename = "request_range")]
    Range(RangeRequest),
    /// Writes.
    #[serde(rename = "request_put")]
    Put(PutRequest),
    /// Deletes; nothing happens where there is nothing.
    #[serde(rename = "request_delete_range")]
    Delete(Range),
}

/// Sets a key.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PutRequest {
    /// The key.
    #[serde(with = "bytes")]
    pub key: Vec<u8>,
    /// The value.
    #[serde(with = "bytes")]
    pub value: Vec<u8>,
    /// The lease that it goes with; 0: none.
    #[serde(with = "int64")]
    pub lease: i64,
}

/// The answer to [`TxnRequest`].
#[derive(Clone, Debug, Default, Deserialize)]
pub struct TxnResponse {
    /// With the revision of what was written.
    #[serde(default)]
    pub header: Header,
    /// Whether the comparisons held.
    #[serde(default)]
    pub succeeded: bool,
    /// One for each operation that was done.
    #[serde(default)]
    pub responses: Vec<OperationResponse>,
}

impl TxnResponse {
    /// The first key that its operations have read.
    pub fn first_read(&self) -> Option<&KeyValue> {
        self.responses.iter().find_map(|response| response.response_range.as_ref()?.kvs.first())
    }
}

/// The answer to one [`Operation`].
#[derive(Clone, Debug, Default, Deserialize)]
pub struct OperationResponse {
    /// If it was a range.
    pub response_range: Option<RangeResponse>,
}

/// `/v3/lease/grant`
#[derive(Clone, Debug, Serialize)]
pub(super) struct LeaseGrantRequest {
    /// Seconds.
    #[serde(rename = "TTL", with = "int64")]
    pub(super) ttl: i64,
}

/// Of `/v3/lease/grant` and `/v3/lease/keepalive`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct LeaseResponse {
    #[serde(default, rename = "ID", with = "int64")]
    pub(super) id: i64,
    /// Seconds that it has still; 0: there is no such lease.
    #[serde(default, rename = "TTL", with = "int64")]
    pub(super) ttl: i64,
}

/// `/v3/lease/keepalive` and `/v3/lease/revoke`
#[derive(Clone, Debug, Serialize)]
pub(super) struct LeaseRequest {
    #[serde(rename = "ID", with = "int64")]
    pub(super) id: i64,
}

/// `/v3/kv/compaction`
#[derive(Clone, Debug, Serialize)]
pub(super) struct CompactionRequest {
    /// What is older can be read no more.
    #[serde(with = "int64")]
    pub(super) revision: i64,
}

/// `/v3/auth/authenticate`
#[derive(Clone, Serialize)]
pub(super) struct AuthenticateRequest<'a> {
    pub(super) name: &'a str,
    pub(super) password: &'a str,
}

/// The answer to [`AuthenticateRequest`].
#[derive(Clone, Deserialize)]
pub(super) struct AuthenticateResponse {
    pub(super) token: String,
}

/// `/v3/watch`, to begin one.
#[derive(Clone, Debug, Serialize)]
pub(super) struct WatchRequest {
    pub(super) create_request: WatchCreateRequest,
}

/// Which changes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct WatchCreateRequest {
    #[serde(flatten)]
    pub(super) range: Range,
    /// From this revision on, past ones too.
    #[serde(with = "int64")]
    pub(super) start_revision: i64,
}

/// One piece of a watch's answer.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct WatchResponse {
    /// The watch is over.
    #[serde(default)]
    pub(super) canceled: bool,
    /// Why, sometimes.
    #[serde(default)]
    pub(super) cancel_reason: String,
    /// Set if it began before what is still known.
    #[serde(default, with = "int64")]
    pub(super) compact_revision: i64,
    /// What has changed; nobody looks closer.
    #[serde(default)]
    pub(super) events: Vec<serde::de::IgnoredAny>,
}

/// One piece of a streamed answer.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Streamed<T> {
    pub(super) result: Option<T>,
    pub(super) error: Option<Refusal>,
}

/// Nothing that anybody reads.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Done {}

/// What etcd answers instead.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Refusal {
    /// gRPC's code; in a streamed answer it is called otherwise.
    #[serde(default, alias = "grpc_code")]
    pub(super) code: i32,
    #[serde(default)]
    pub(super) message: String,
}

/// The body of an answer whose status is an error's.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum RefusalBody {
    /// To a call whose answer is streamed: as in the stream.
    Streamed { error: Refusal },
    /// To another call. There, `error` is the message once more.
    Plain(Refusal),
}

impl RefusalBody {
    /// What it says.
    pub(super) fn into_refusal(self) -> Refusal {
        match self {
            RefusalBody::Streamed { error } | RefusalBody::Plain(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use serde_json::json;

    #[test]
    fn requests_are_written_as_the_gateway_reads_them() {
        let request = TxnRequest {
            compare: vec![Compare::created("a", 0), Compare::changed("b", 7), Compare::leased("c", 5)],
            success: vec![
                Operation::Put(PutRequest { key: b"a".to_vec(), value: b"x".to_vec(), lease: 5 }),
                Operation::Delete(Range::key("c")),
            ],
            failure: vec![Operation::Range(RangeRequest::all(Range::prefix("a/")))],
        };
        assert_eq!(
            serde_json::to_value(&request).unwrap(),
            json!({
                "compare": [
                    { "key": "YQ==", "result": "EQUAL", "target": "CREATE", "create_revision": "0" },
                    { "key": "Yg==", "result": "EQUAL", "target": "MOD", "mod_revision": "7" },
                    { "key": "Yw==", "result": "EQUAL", "target": "LEASE", "lease": "5" },
                ],
                "success": [
                    { "request_put": { "key": "YQ==", "value": "eA==", "lease": "5" } },
                    { "request_delete_range": { "key": "Yw==" } },
                ],
                "failure": [{ "request_range": {
                    "key": "YS8=", "range_end": "YTA=", "limit": "0", "revision": "0", "count_only": false,
                } }],
            })
        );
    }

    #[test]
    fn answers_are_read_as_the_gateway_writes_them() {
        // As etcd 3.4 wrote it, but for the number without quotes.
        let text = r#"{"header":{"cluster_id":"324952591200643719","revision":"3","raft_term":"2"},"responses":
            [{"response_put":{"header":{"revision":"3"}}},{"response_range":{"header":{"revision":"3"},"kvs":
            [{"key":"L20vYw==","create_revision":"3","mod_revision":4,"version":"1","value":"eA==",
            "lease":"1234"}],"count":"1"}}]}"#;
        let answer: TxnResponse = serde_json::from_str(text).unwrap();
        assert!(!answer.succeeded);
        assert_eq!(answer.header.revision, 3);
        let read = KeyValue {
            key: b"/m/c".to_vec(),
            create_revision: 3,
            mod_revision: 4,
            value: b"x".to_vec(),
            lease: 1234,
        };
        assert_eq!(answer.first_read(), Some(&read));
    }

    /// As etcd 3.4 has answered a range and, without a leader, the keep-alive of a lease.
    #[test]
    fn a_refusal_says_why_also_where_the_answer_would_have_been_streamed() {
        let read = |text: &str| {
            let Refusal { code, message } = serde_json::from_str::<RefusalBody>(text).unwrap().into_refusal();
            (code, message)
        };
        let plain =
            r#"{"error":"etcdserver: permission denied","message":"etcdserver: permission denied","code":7}"#;
        assert_eq!(read(plain), (7, "etcdserver: permission denied".to_owned()));
        let streamed = r#"{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader",
            "http_status":"Service Unavailable"}}"#;
        assert_eq!(read(streamed), (14, "etcdserver: no leader".to_owned()));
    }

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(Range::prefix("/mesos/").range_end, b"/mesos0");
        assert_eq!(Range::prefix([b'a', 0xff]).range_end, b"b");
        let behind = Range::prefix("a").behind(b"ab");
        assert_eq!((behind.key.as_slice(), behind.range_end.as_slice()), (&b"ab\0"[..], &b"b"[..]));
    }
}
