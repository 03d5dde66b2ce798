//! What somebody may not see is not shown. (Upstream's tests of it are of ACLs, which are not there yet.)

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use libprocess::http::Principal;
use libprocess::testing;
use mesos::Enum;
use mesos::v1::master::call::Type as Call;

use super::authorization::Denied;
use super::*;
use crate::authorization::Action;
use crate::reads::of_call;

/// The calls that show something, and what is asked for each.
const CALLS: &[(&str, &[&str])] = &[
    ("GET_HEALTH", &["GET_ENDPOINT_WITH_PATH '/health'"]),
    ("GET_FLAGS", &["VIEW_FLAGS"]),
    ("GET_VERSION", &["GET_ENDPOINT_WITH_PATH '/version'"]),
    ("GET_METRICS", &["GET_ENDPOINT_WITH_PATH '/metrics/snapshot'"]),
    ("GET_LOGGING_LEVEL", &["GET_ENDPOINT_WITH_PATH '/logging/toggle'"]),
    ("LIST_FILES", &["ACCESS_MESOS_LOG"]),
    ("READ_FILE", &["ACCESS_MESOS_LOG"]),
    ("GET_STATE", &["VIEW_FRAMEWORK", "VIEW_TASK", "VIEW_EXECUTOR", "VIEW_ROLE"]),
    ("GET_AGENTS", &["VIEW_ROLE"]),
    ("GET_FRAMEWORKS", &["VIEW_FRAMEWORK"]),
    ("GET_EXECUTORS", &["VIEW_FRAMEWORK", "VIEW_EXECUTOR"]),
    ("GET_OPERATIONS", &["VIEW_ROLE"]),
    ("GET_TASKS", &["VIEW_FRAMEWORK", "VIEW_TASK"]),
    ("GET_ROLES", &["VIEW_ROLE"]),
    ("GET_WEIGHTS", &["VIEW_ROLE"]),
    ("GET_MASTER", &["GET_ENDPOINT_WITH_PATH '/redirect'"]),
    ("SUBSCRIBE", &["VIEW_FRAMEWORK", "VIEW_TASK", "VIEW_EXECUTOR", "VIEW_ROLE"]),
    ("GET_MAINTENANCE_STATUS", &["GET_MAINTENANCE_STATUS"]),
    ("GET_MAINTENANCE_SCHEDULE", &["GET_MAINTENANCE_SCHEDULE"]),
    ("GET_QUOTA", &["GET_QUOTA"]),
];

/// The paths of a master's node, and what is asked for each.
const PATHS: &[(&str, &[&str])] = &[
    ("/", &["GET_ENDPOINT_WITH_PATH '/'"]),
    ("/app", &["GET_ENDPOINT_WITH_PATH '/app'"]),
    ("/assets", &["GET_ENDPOINT_WITH_PATH '/assets'"]),
    ("/health", &["GET_ENDPOINT_WITH_PATH '/health'"]),
    ("/redirect", &["GET_ENDPOINT_WITH_PATH '/redirect'"]),
    ("/openapi.json", &["GET_ENDPOINT_WITH_PATH '/openapi.json'"]),
    ("/state", &["VIEW_FLAGS", "VIEW_FRAMEWORK", "VIEW_TASK", "VIEW_EXECUTOR", "VIEW_ROLE"]),
    ("/state-summary", &["VIEW_FRAMEWORK", "VIEW_ROLE"]),
    ("/slaves", &["VIEW_ROLE"]),
    ("/frameworks", &["VIEW_FRAMEWORK", "VIEW_TASK", "VIEW_EXECUTOR"]),
    ("/tasks", &["VIEW_FRAMEWORK", "VIEW_TASK"]),
    ("/roles", &["VIEW_ROLE"]),
    ("/flags", &["VIEW_FLAGS"]),
    ("/allocator/explain", &["VIEW_FRAMEWORK", "VIEW_ROLE"]),
    ("/allocator/offer_constraints_debug", &["VIEW_FRAMEWORK"]),
    ("/quota", &["GET_QUOTA"]),
    ("/weights", &["VIEW_ROLE"]),
    ("/maintenance/schedule", &["GET_MAINTENANCE_SCHEDULE"]),
    ("/maintenance/status", &["GET_MAINTENANCE_STATUS"]),
    // They show nothing: who may see them is told 405.
    ("/api/v1", &["GET_ENDPOINT_WITH_PATH '/api/v1'"]),
    ("/api/v1/scheduler", &["GET_ENDPOINT_WITH_PATH '/api/v1/scheduler'"]),
    ("/teardown", &["GET_ENDPOINT_WITH_PATH '/teardown'"]),
    ("/machine/down", &["GET_ENDPOINT_WITH_PATH '/machine/down'"]),
    ("/machine/up", &["GET_ENDPOINT_WITH_PATH '/machine/up'"]),
    ("/reserve", &["GET_ENDPOINT_WITH_PATH '/reserve'"]),
    ("/unreserve", &["GET_ENDPOINT_WITH_PATH '/unreserve'"]),
    ("/create-volumes", &["GET_ENDPOINT_WITH_PATH '/create-volumes'"]),
    ("/destroy-volumes", &["GET_ENDPOINT_WITH_PATH '/destroy-volumes'"]),
    // Those of other actors.
    ("/registrar(1)/registry", &["GET_ENDPOINT_WITH_PATH '/registrar(1)/registry'"]),
    ("/hierarchical-allocator(1)/offer_constraints_debug", &["VIEW_FRAMEWORK"]),
    ("/files/browse", &["ACCESS_MESOS_LOG"]),
    ("/files/read", &["ACCESS_MESOS_LOG"]),
    ("/files/download", &["ACCESS_MESOS_LOG"]),
    ("/files/debug", &["GET_ENDPOINT_WITH_PATH '/files/debug'"]),
    ("/metrics", &["GET_ENDPOINT_WITH_PATH '/metrics/snapshot'"]),
    ("/metrics/snapshot", &["GET_ENDPOINT_WITH_PATH '/metrics/snapshot'"]),
    ("/logging/toggle", &["GET_ENDPOINT_WITH_PATH '/logging/toggle'"]),
    ("/version", &["GET_ENDPOINT_WITH_PATH '/version'"]),
    ("/system/stats.json", &["GET_ENDPOINT_WITH_PATH '/system/stats.json'"]),
    ("/help", &["GET_ENDPOINT_WITH_PATH '/help'"]),
    ("/__processes__", &["GET_ENDPOINT_WITH_PATH '/__processes__'"]),
    // Those of libprocess's features.
    ("/profiler/start", &["GET_ENDPOINT_WITH_PATH '/profiler/start'"]),
    ("/profiler/stop", &["GET_ENDPOINT_WITH_PATH '/profiler/stop'"]),
    ("/memory-profiler/statistics", &["GET_ENDPOINT_WITH_PATH '/memory-profiler/statistics'"]),
];

/// Below a path is what that path shows, or has a part of its own.
const BELOW: &[(&str, &str)] = &[
    ("/master/state", "VIEW_FLAGS"),
    ("/state/whatever", "VIEW_FLAGS"),
    ("//tasks/", "VIEW_TASK"),
    ("/app/app.js", "GET_ENDPOINT_WITH_PATH '/app'"),
    ("/quota/role", "GET_QUOTA"),
    ("/files/browse/log", "ACCESS_MESOS_LOG"),
    ("/help/master", "GET_ENDPOINT_WITH_PATH '/help/*'"),
    ("/__processes__/master", "GET_ENDPOINT_WITH_PATH '/__processes__/*'"),
];

/// A master on a node with all that a daemon's has, and rules for both.
async fn guarded(authorizer: Arc<dyn Authorizer>) -> Cluster {
    let ip = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let settings = Settings { ip, port: 0, ..Settings::default() };
    let node = crate::node_with_authorizer(&settings, &authorizer).start().await.unwrap();
    Cluster::of(node, settings, authorizer).await
}

impl Cluster {
    /// The status for this principal, and why it is 403.
    async fn status_of(
        &self,
        who: Option<&str>,
        method: http::Method,
        path: &str,
        body: &str,
    ) -> (u16, String) {
        let mut request = Request::new(method, path);
        request.body = body.to_owned().into();
        request.headers.insert("content-type", "application/json".parse().unwrap());
        request.principal = who.map(Principal::named);
        let response = dispatch(&self.node, request).await;
        let refused = response.status == http::StatusCode::FORBIDDEN;
        let text = if refused { response.body.collect().await.to_vec() } else { Vec::new() };
        (response.status.as_u16(), String::from_utf8(text).unwrap())
    }

    async fn looked_at(&self, path: &str) -> (u16, String) {
        self.status_of(Some("ops"), http::Method::GET, path, "").await
    }
}

/// The Master says why; before other actors stands their node, which says what upstream's says.
fn refusals(action: &str) -> [(u16, String); 2] {
    [format!("Principal 'ops' is not authorized to perform {action}"), "403 Forbidden.".to_owned()]
        .map(|text| (403, text))
}

#[test]
fn a_call_that_shows_something_is_403_until_all_of_it_may_be_seen() {
    let shows =
        |name: &str| ["GET_", "LIST_", "READ_", "SUBSCRIBE"].iter().any(|kind| name.starts_with(kind));
    let names = Call::descriptor().values.iter().map(|(name, _)| *name);
    let of_reads: BTreeSet<&str> = names.clone().filter(|name| shows(name)).collect();
    assert_eq!(of_reads, CALLS.iter().map(|(name, _)| *name).collect());
    let changes = names.filter(|name| !shows(name)).map(|name| Call::from_name(name).unwrap());
    assert!(changes.into_iter().all(|kind| of_call(kind).is_empty()));
    testing::run(async {
        let denied = Denied::default();
        let cluster = denied.master().await;
        let ask = async |call: &Value| {
            cluster.status_of(Some("ops"), http::Method::POST, "/api/v1", &call.to_string()).await
        };
        for (kind, actions) in CALLS {
            let call = json!({
                "type": kind, "list_files": { "path": "/none" }, "read_file": { "path": "/none", "offset": 0 },
                "get_metrics": {}
            });
            for action in *actions {
                denied.only(action);
                assert_eq!(ask(&call).await, refusals(action)[0], "{kind}");
            }
            if *kind == "SUBSCRIBE" {
                let subscribers = cluster.node.metrics().value("master/operator_event_stream_subscribers");
                assert_eq!(subscribers, Some(0.0));
            }
            denied.nothing();
            let status = if kind.ends_with("FILES") || kind.ends_with("FILE") { 404 } else { 200 };
            assert_eq!(ask(&call).await.0, status, "{kind}");
            // Nothing else is asked for.
            let others = CALLS.iter().chain(PATHS).flat_map(|(_, actions)| *actions);
            for other in others.filter(|other| !actions.contains(other)) {
                denied.only(other);
                assert_eq!(ask(&call).await.0, status, "{kind}: {other}");
            }
        }
    });
}

#[test]
fn a_path_is_403_until_all_that_it_shows_may_be_seen() {
    testing::run(async {
        let denied = Denied::default();
        let cluster = guarded(Arc::new(denied.rules())).await;
        let served: BTreeSet<String> =
            cluster.node.endpoints().into_iter().map(|endpoint| endpoint.path).collect();
        let said: BTreeSet<String> = PATHS.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert!(served.is_subset(&said), "{:?}", served.difference(&said));
        let missing = said.difference(&served);
        assert!(missing.clone().all(|path| path.contains("profiler")), "{missing:?}");
        let below = BELOW.iter().map(|(path, action)| (*path, std::slice::from_ref(action)));
        let here =
            PATHS.iter().map(|(path, actions)| (*path, *actions)).filter(|(path, _)| served.contains(*path));
        for (path, actions) in here.chain(below) {
            for action in actions {
                denied.only(action);
                let refused = cluster.looked_at(path).await;
                assert!(refusals(action).contains(&refused), "{path}: {refused:?}");
            }
            denied.nothing();
            let seen = cluster.looked_at(path).await;
            assert!([200, 307, 400, 404, 405].contains(&seen.0), "{path}: {seen:?}");
        }
    });
}

/// Upstream's paths that show something do so with every method; those that change something are asked for the change.
#[test]
fn who_may_not_see_something_may_still_change_it_and_does_not_see_it_by_another_method() {
    testing::run(async {
        let denied = Denied::default();
        let cluster = denied.master().await;
        let (post, put, head) = (http::Method::POST, http::Method::PUT, http::Method::HEAD);
        for (method, path, action, is_read) in [
            (&post, "/state", "VIEW_FLAGS", true),
            (&put, "/flags", "VIEW_FLAGS", true),
            (&head, "/tasks", "VIEW_TASK", true),
            (&head, "/quota", "GET_QUOTA", true),
            (&put, "/weights", "VIEW_ROLE", false),
            (&post, "/quota", "GET_QUOTA", false),
            (&post, "/maintenance/schedule", "GET_MAINTENANCE_SCHEDULE", false),
            (&post, "/teardown", "GET_ENDPOINT_WITH_PATH", false),
            (&post, "/api/v1/scheduler", "GET_ENDPOINT_WITH_PATH", false),
        ] {
            denied.only(action);
            let status = cluster.status_of(Some("ops"), method.clone(), path, "[]").await.0;
            assert_eq!(status == 403, is_read, "{method} {path}: {status}");
        }
    });
}

/// SET_LOGGING_LEVEL's other form.
#[test]
fn who_may_see_how_much_is_logged_may_not_yet_change_it() {
    testing::run(async {
        let denied = Denied::default();
        let cluster = guarded(Arc::new(denied.rules())).await;
        let change = "/logging/toggle?level=1&duration=1secs";
        denied.only("SET_LOG_LEVEL");
        assert_eq!(cluster.looked_at("/logging/toggle").await.0, 200);
        assert_eq!(cluster.looked_at(change).await, refusals("")[1]);
        denied.only("GET_ENDPOINT_WITH_PATH");
        assert_eq!(cluster.looked_at(change).await, refusals("")[1]);
        denied.nothing();
        // This program's log cannot be changed.
        assert_eq!(cluster.looked_at(change).await.0, 501);
    });
}

#[test]
fn who_has_no_name_is_asked_for_as_nobody() {
    testing::run(async {
        let named = |who: Option<&str>, _: &Action<'_>| who.is_some();
        let cluster = guarded(Arc::new(named)).await;
        let text = "Somebody without a principal is not authorized to perform VIEW_FLAGS".to_owned();
        assert_eq!(cluster.status_of(None, http::Method::GET, "/flags", "").await, (403, text));
        assert_eq!(cluster.status_of(None, http::Method::GET, "/files/debug", "").await.0, 403);
        assert_eq!(cluster.looked_at("/flags").await.0, 200);
        assert_eq!(cluster.looked_at("/files/debug").await.0, 200);
    });
}

/// Upstream: `Http::flags`.
#[test]
fn who_is_known_by_claims_alone_is_not_nobody_but_refused() {
    testing::run(async {
        let cluster = guarded(Arc::new(permits_all)).await;
        for path in ["/flags", "/files/debug"] {
            let mut request = Request::new(http::Method::GET, path);
            assert_eq!(dispatch(&cluster.node, request.clone()).await.status.as_u16(), 200, "{path}");
            request.principal = Principal::claiming([("fid".to_owned(), "f".to_owned())].into());
            assert_eq!(dispatch(&cluster.node, request).await.status.as_u16(), 403, "{path}");
        }
    });
}
