//! Who may call a route: over HTTP, and as genuine Mesos answered (`data/auth.jsonl`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use futures::FutureExt;
use futures::future::BoxFuture;
use libprocess::NodeBuilder;
use libprocess::http::access::{Authenticator, AuthorizationHook, Basic, Bearer, Combined, Refusal, jwt};
use libprocess::http::{ClientResponse, Principal, Realm};

use super::*;

/// An actor whose routes say who called them.
struct Vault;

impl Process for Vault {
    const NAME: &'static str = "vault";

    fn install(install: &mut Install<Self>) {
        let who = |_: &mut Self, request: Request, _: &mut Context<Self>| {
            let who = request.principal.map_or("nobody".to_owned(), |principal| principal.to_string());
            Response::ok("text/plain", who).into()
        };
        install.get("/open", "Open to all.\n", who);
        install.get("/gold", "Shows the gold.\n", who).realm(Realm::ReadOnly);
        install.post("/gold", "Adds gold.\n", who).realm(Realm::ReadWrite);
        install.get("/jewels", "Shows the jewels.\n", who).realm(Realm::Named("crown"));
    }
}

/// Runs a test against a node with a vault.
fn guarded<F: Future<Output = ()>>(
    configure: impl FnOnce(NodeBuilder) -> NodeBuilder,
    test: impl FnOnce(Caller) -> F,
) {
    libprocess::run(async {
        let builder = Node::builder().bind(SocketAddr::from(([127, 0, 0, 1], 0))).delegate("vault");
        let node = configure(builder.realms("look", "touch")).start().await.unwrap();
        node.spawn(Vault);
        node.spawn(libprocess::files::Files::new());
        patient(test(Caller { node: node.clone() })).await;
        node.shutdown().await;
    });
}

struct Caller {
    node: Node,
}

impl Caller {
    async fn send(&self, method: Method, path: &str, authorization: Option<&str>) -> ClientResponse {
        let url = format!("http://{}{path}", self.node.address());
        let mut request = ClientRequest::new(method, url).header("user-agent", "curl/8");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        self.node.client().send(request).await.unwrap()
    }

    /// The status, the challenge and the body.
    async fn get(&self, path: &str, authorization: Option<&str>) -> (u16, Option<String>, String) {
        let response = self.send(Method::GET, path, authorization).await;
        let challenge = response.header("www-authenticate").map(str::to_owned);
        (response.status.as_u16(), challenge, response.text(1 << 20).await.unwrap())
    }
}

const ALICE: &str = "Basic YWxpY2U6c2VjcmV0";

fn basic(realm: &str) -> Basic {
    let passwords = [("alice", "secret"), ("bob", "bobsecret")];
    Basic::new(realm, passwords.map(|(name, password)| (name.to_owned(), password.to_owned())).into())
}

fn ok(body: &str) -> (u16, Option<String>, String) {
    (200, None, body.to_owned())
}

fn challenged(challenge: &str) -> (u16, Option<String>, String) {
    (401, Some(challenge.to_owned()), "401 Unauthorized.".to_owned())
}

/// Takes a while, and then finds everybody to be what it was made with.
struct Slow(Result<Principal, Refusal>);

impl Authenticator for Slow {
    fn scheme(&self) -> String {
        "Slow".to_owned()
    }
    fn authenticate<'a>(
        &'a self,
        _: &'a Request,
        _: SystemTime,
    ) -> BoxFuture<'a, Result<Principal, Refusal>> {
        async move {
            tokio::task::yield_now().await;
            self.0.clone()
        }
        .boxed()
    }
}

/// Upstream: `FilesTest.AuthenticationTest`, `LoggingTest.ToggleAuthenticationEnabled`,
/// `LoggingTest.ToggleAuthorizationEnabled`.
#[test]
fn recorded_requests_are_let_in_or_refused_as_genuine_mesos_did() {
    for (name, allows) in [("master", true), ("agent", false)] {
        // The recorded master had an authorizer, the agent none.
        let only_alice: AuthorizationHook = Arc::new(|request| {
            let name = request.principal.as_ref().and_then(Principal::value).unwrap_or_default().to_owned();
            async move { Ok(name == "alice") }.boxed()
        });
        let configure = |builder: NodeBuilder| {
            let realms = [format!("mesos-{name}-readonly"), format!("mesos-{name}-readwrite")];
            let [look, touch] = &realms;
            let builder = builder
                .realms(look, touch)
                .authenticator(look, basic(look))
                .authenticator(touch, basic(touch))
                .log_control(libprocess::system::LogControl::new(|_| Ok(())));
            let paths = ["/metrics/snapshot", "/logging/toggle"].iter().filter(|_| allows);
            paths.fold(builder, |builder, path| builder.authorization(*path, only_alice.clone()))
        };
        guarded(configure, |caller| async move {
            let mut compared = 0;
            for line in include_str!("../data/auth.jsonl").lines() {
                let pair: Value = serde_json::from_str(line).unwrap();
                if pair["node"] == name {
                    compare(&caller, &pair).await;
                    compared += 1;
                }
            }
            assert!(compared > 10, "{compared}");
        });
    }
}

async fn compare(caller: &Caller, pair: &Value) {
    let name = pair["name"].as_str().unwrap();
    let headers = pair["headers"].as_array().unwrap().iter();
    let authorization = headers.filter_map(|header| header.as_str()?.strip_prefix("Authorization: ")).next();
    let response = caller.send(Method::GET, pair["path"].as_str().unwrap(), authorization).await;
    let status = format!("HTTP/1.1 {}", response.status);
    assert_eq!(status, pair["status"].as_str().unwrap(), "{name}");
    for header in pair["response_headers"].as_array().unwrap() {
        let (header, value) = header.as_str().unwrap().split_once(": ").unwrap();
        assert_eq!(response.header(header), Some(value), "{name}: {header}");
    }
    let refused = !response.status.is_success();
    let body = response.text(1 << 20).await.unwrap();
    assert!(!refused || pair["response"] == body.as_str(), "{name}: {body}");
}

#[test]
fn a_route_of_a_realm_is_told_who_calls_it() {
    let configure = |builder: NodeBuilder| {
        builder.authenticator("look", basic("look")).authenticator("touch", Slow(Ok(Principal::named("ops"))))
    };
    guarded(configure, |caller| async move {
        assert_eq!(caller.get("/gold", None).await, challenged("Basic realm=\"look\""));
        assert_eq!(caller.get("/vault/gold/ring", Some("Basic !")).await, challenged("Basic realm=\"look\""));
        assert_eq!(caller.get("/gold", Some(ALICE)).await, ok("alice"));
        // Each method has the realm of its own route.
        let posted = caller.send(Method::POST, "/gold", None).await;
        assert_eq!(posted.text(100).await.unwrap(), "ops");
        // Who is not known is not even told what the route takes.
        assert_eq!(caller.send(Method::PUT, "/gold", None).await.status.as_u16(), 401);
        assert_eq!(caller.send(Method::PUT, "/gold", Some(ALICE)).await.status.as_u16(), 405);
        // No realm, and a realm without an authenticator.
        assert_eq!(caller.get("/open", Some(ALICE)).await, ok("nobody"));
        assert_eq!(caller.get("/jewels", Some(ALICE)).await, ok("nobody"));
    });
}

#[test]
fn an_authenticator_may_forbid_or_fail() {
    let configure = |builder: NodeBuilder| {
        builder
            .authenticator("look", Slow(Err(Refusal::forbidden())))
            .authenticator("crown", Slow(Err(Refusal::Failed("the dragon sleeps".to_owned()))))
    };
    guarded(configure, |caller| async move {
        assert_eq!(caller.get("/gold", None).await, (403, None, "403 Forbidden.".to_owned()));
        assert_eq!(caller.get("/jewels", None).await, (500, None, "the dragon sleeps".to_owned()));
    });
}

#[test]
fn a_realm_may_take_passwords_and_tokens() {
    let both: Vec<Box<dyn Authenticator>> =
        vec![Box::new(basic("crown")), Box::new(Bearer::new("crown", "secret"))];
    guarded(
        |builder| builder.authenticator("crown", Combined::new(both)),
        |caller| async move {
            let (status, challenge, body) = caller.get("/jewels", None).await;
            assert_eq!(status, 401);
            assert_eq!(challenge.as_deref(), Some("Basic realm=\"crown\",Bearer realm=\"crown\""));
            assert_eq!(body.matches("authenticator returned:\n401 Unauthorized.").count(), 2);
            assert_eq!(caller.get("/jewels", Some(ALICE)).await, ok("alice"));

            // A token's time is the node's.
            let now = caller.node.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            let bearer = |exp: u64| {
                let claims = json!({"fid": "f-1", "exp": exp});
                format!("Bearer {}", jwt::sign(claims.as_object().unwrap(), b"secret"))
            };
            let valid = caller.get("/jewels", Some(&bearer(now + 600))).await;
            assert_eq!(valid, ok(&format!(r#"{{"claims":{{"exp":"{}","fid":"f-1"}}}}"#, now + 600)));
            let (status, challenge, _) = caller.get("/jewels", Some(&bearer(now - 600))).await;
            assert_eq!(status, 401);
            assert!(challenge.unwrap().contains("error_description=\"Invalid JWT: Token has expired: exp("));
        },
    );
}

#[test]
fn a_hook_guards_its_route_however_the_path_is_written() {
    for path in ["vault/open", "/vault/open/", "//vault//open"] {
        let hook: AuthorizationHook = Arc::new(|_| async { Ok(false) }.boxed());
        guarded(
            |builder| builder.authorization(path, hook),
            |caller| async move {
                let refused = caller.get("/open", None).await;
                assert_eq!(refused, (403, None, "403 Forbidden.".to_owned()), "{path}");
            },
        );
    }
}

#[test]
fn a_hook_decides_when_it_likes_and_sees_the_request() {
    let (asked, mut questions) = mpsc::unbounded_channel();
    let hook: AuthorizationHook = Arc::new(move |request| {
        let (answer, decision) = tokio::sync::oneshot::channel();
        asked.send((request.path.clone(), answer)).unwrap();
        async move { decision.await.map_err(|_| "nobody decides".to_owned()) }.boxed()
    });
    guarded(
        |builder| builder.authorization("/vault/open", hook),
        |caller| async move {
            let get = caller.get("/open/wide?x", None);
            let mut decide = async |decision: Option<bool>| {
                let (path, answer) = questions.recv().await.unwrap();
                // The hook is the route's; the path is the request's.
                assert_eq!(path, "/vault/open/wide");
                if let Some(decision) = decision {
                    answer.send(decision).unwrap();
                }
            };
            assert_eq!(tokio::join!(get, decide(Some(true))).0, ok("nobody"));
            let refused = tokio::join!(caller.get("/open/wide", None), decide(Some(false))).0;
            assert_eq!(refused, (403, None, "403 Forbidden.".to_owned()));
            let failed = tokio::join!(caller.get("/open/wide", None), decide(None)).0;
            assert_eq!(failed, (500, None, "nobody decides".to_owned()));
            assert_eq!(caller.get("/gold", None).await, ok("nobody"));
        },
    );
}

#[test]
fn requests_of_one_connection_are_answered_in_order_however_long_the_hook_takes() {
    let hook: AuthorizationHook = Arc::new(|request| {
        let slow = request.query.contains("slow");
        async move {
            if slow {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(true)
        }
        .boxed()
    });
    guarded(
        |builder| builder.authorization("/vault/open", hook),
        |caller| async move {
            let mut socket = TcpStream::connect(caller.node.address()).await.unwrap();
            let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            let last = "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            let all = [request("/open?slow"), request("/gold/x"), request("/open"), last.to_owned()].concat();
            socket.write_all(all.as_bytes()).await.unwrap();
            let mut answers = String::new();
            socket.read_to_string(&mut answers).await.unwrap();
            let statuses: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
            assert_eq!(statuses, ["200", "200", "200", "404"]);
        },
    );
}

#[test]
fn help_says_who_may_call_a_route() {
    let hook: AuthorizationHook = Arc::new(|_| async { Ok(true) }.boxed());
    let configure = |builder: NodeBuilder| {
        builder.authenticator("look", basic("look")).authorization("/vault/gold", hook)
    };
    guarded(configure, |caller| async move {
        let expected = "### USAGE ###\n>        /gold\n>        /vault/gold\n\nShows the gold.\n\nAdds gold.\n\n\
            ### AUTHENTICATION ###\nWho calls it must be known in the realm `look` (Basic).\n\n\
            ### AUTHORIZATION ###\nEach request must be allowed.\n";
        assert_eq!(caller.get("/help/vault/gold", None).await, ok(expected));
        let open = caller.get("/help/vault/open", None).await.2;
        assert!(open.ends_with("\n### AUTHENTICATION ###\nAnybody may call it.\n"), "{open}");
        let jewels = caller.get("/help/vault/jewels", None).await.2;
        assert!(jewels.contains("realm is `crown`, in which this node authenticates nobody"), "{jewels}");

        // Every route of every actor is there, in either form.
        let everything: Value = serde_json::from_str(&caller.get("/help?format=json", None).await.2).unwrap();
        let mut shown: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for process in everything["processes"].as_array().unwrap() {
            let endpoints = process["endpoints"].as_array().unwrap().iter();
            let names = endpoints.map(|endpoint| {
                assert!(endpoint["text"].as_str().unwrap().contains("### AUTHENTICATION ###"));
                endpoint["name"].as_str().unwrap()
            });
            shown.insert(process["id"].as_str().unwrap(), names.collect());
        }
        assert_eq!(shown["vault"], ["/gold", "/jewels", "/open"]);
        assert_eq!(shown["files"], ["/browse", "/debug", "/download", "/read"]);
        for (id, route) in [
            ("__processes__", "/"),
            ("help", "/"),
            ("logging", "/toggle"),
            ("metrics", "/snapshot"),
            ("system", "/stats.json"),
            ("version", "/"),
        ] {
            assert!(shown[id].contains(&route), "{id}{route} is not in {shown:?}");
        }
        for (id, names) in &shown {
            let list = caller.get(&format!("/help/{id}"), None).await.2;
            for name in names {
                let path = format!("/{id}{}", name.trim_end_matches('/'));
                assert!(list.contains(&format!("[{path}](/help{path})")), "{path} is not in {list}");
            }
        }
    });
}
