//! `/allocator/explain`: what it answers, and how it refuses.

use libprocess::http::{Request, dispatch};
use libprocess::{Node, testing};
use serde_json::{Value, json};

use super::{Cluster, info};
use crate::Settings;

/// Status and text of a request without a socket.
async fn get(node: &Node, path: &str) -> (u16, String) {
    let response = dispatch(node, Request::new(http::Method::GET, path)).await;
    let status = response.status.as_u16();
    (status, String::from_utf8(response.body.collect().await.to_vec()).unwrap())
}

fn named(name: &str) -> Value {
    let mut info = info();
    info["name"] = json!(name);
    info
}

#[test]
fn who_holds_what_and_what_was_refused_is_told_with_names() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut hoarder = cluster.subscribe(named("hoarder")).await;
        let offer = hoarder.offer().await;
        let waiting = cluster.subscribe(named("waiting")).await;
        let path = format!("/allocator/explain?framework={}", waiting.id);
        let told = cluster.get(&path).await;
        assert_eq!(told["framework_id"], waiting.id);
        assert_eq!(told["names"][&waiting.id], "waiting");
        assert_eq!(told["names"][&hoarder.id], "hoarder");
        let role = &told["roles"][0];
        assert_eq!((&role["role"], &role["agents_in_all"]), (&json!("*"), &json!(1)));
        let reason = &role["reasons"][0];
        assert_eq!(reason["reason"], "nothing_free");
        assert_eq!((&reason["agents"], &reason["offered"]["cpus"]), (&json!(1), &json!(4.0)));
        assert_eq!(reason["holders"][0]["framework_id"], hoarder.id);
        assert_eq!(role["agents"][0]["agent_id"], agent.id());
        // The name will do, and the path may say which actor is meant.
        assert_eq!(cluster.get("/master/allocator/explain?framework=waiting").await, told);
        // The offer's owner refuses it; the other one gets it.
        let body =
            json!({ "offer_ids": [{ "value": offer.id.value }], "filters": { "refuse_seconds": 100.0 } });
        assert_eq!(hoarder.call("DECLINE", body).await.0, 202);
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let told = cluster.get("/allocator/explain?framework=hoarder&role=*&limit=0").await;
        assert_eq!(told["roles"][0]["reasons"][0]["reason"], "nothing_free", "{told:#}");
        assert_eq!(told["roles"][0]["reasons"][0]["holders"][0]["framework_id"], waiting.id);
        assert_eq!(told["roles"][0]["agents"], json!([]));
        assert_eq!(waiting.call("SUPPRESS", Value::Null).await.0, 202);
        assert_eq!(waiting.call("TEARDOWN", Value::Null).await.0, 202);
        let told = cluster.get("/allocator/explain?framework=hoarder").await;
        let reason = &told["roles"][0]["reasons"][0];
        assert_eq!(reason["reason"], "filtered");
        let left = reason["seconds_left"].as_f64().unwrap();
        assert!((97.0..=98.5).contains(&left), "{left}");
        assert!(reason["advice"].as_str().unwrap().contains("REVIVE"));
    });
}

#[test]
fn twenty_roles_are_explained_one_after_the_other_if_none_is_named() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let _agent = cluster.agent("cpus:4;mem:1024").await;
        let roles: Vec<String> = (10..32).map(|number| format!("r{number}")).collect();
        let mut info = named("many");
        info["roles"] = json!(roles);
        let many = cluster.subscribe(info).await;
        let told = cluster.get("/allocator/explain?framework=many").await;
        let explained: Vec<&str> =
            told["roles"].as_array().unwrap().iter().map(|role| role["role"].as_str().unwrap()).collect();
        assert_eq!(explained, roles[..20]);
        assert_eq!(told["more_roles"], 2);
        let one = cluster.get("/allocator/explain?framework=many&role=r11").await;
        assert_eq!(told["roles"][1], one["roles"][0]);
        assert_eq!(told["names"][&many.id], "many");
    });
}

#[test]
fn a_question_that_cannot_be_answered_is_refused_with_what_is_wrong() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let node = &cluster.node;
        let (status, text) = get(node, "/allocator/explain?framework=x").await;
        assert_eq!(
            (status, text.as_str()),
            (404, "there is no framework with the id or the name 'x': no framework is registered")
        );
        let one = cluster.subscribe(named("one")).await;
        let (first, second) =
            (cluster.subscribe(named("twin")).await, cluster.subscribe(named("twin")).await);
        for (query, status, expected) in [
            ("", 400, "the parameter 'framework' is missing: the id or the name of a framework".to_owned()),
            ("?framework=", 400, "the parameter 'framework' is missing".to_owned()),
            (
                "?framwork=x",
                400,
                "there is no parameter 'framwork'; allowed are framework, role, limit, offset, jsonp"
                    .to_owned(),
            ),
            (
                "?framework=one&limit=many",
                400,
                "bad parameter 'limit=many': allowed are whole numbers from 0 to 10000".to_owned(),
            ),
            ("?framework=one&limit=10001", 400, "from 0 to 10000".to_owned()),
            ("?framework=one&limit=501", 400, "without 'role' at most 500 are allowed".to_owned()),
            (
                "?framework=one&offset=-1",
                400,
                "bad parameter 'offset=-1': a whole number is allowed".to_owned(),
            ),
            ("?framework=one&role=a//b", 400, "bad parameter 'role=a//b': ".to_owned()),
            ("?framework=x", 404, format!("'x'; there are 'one' ({}), 'twin' (", one.id)),
            (
                "?framework=twin",
                400,
                format!(
                    "bad parameter 'framework=twin': 2 frameworks have this name; give one's id: {}, {}",
                    first.id, second.id
                ),
            ),
        ] {
            let (got, text) = get(node, &format!("/allocator/explain{query}")).await;
            assert_eq!(got, status, "{query}: {text}");
            assert!(text.contains(&expected), "{query}: {text}");
        }
        assert_eq!(one.call("TEARDOWN", Value::Null).await.0, 202);
        let (status, text) = get(node, "/allocator/explain?framework=one").await;
        assert_eq!(status, 404);
        assert!(text.starts_with(&format!("framework 'one' ({}) is completed", one.id)), "{text}");
        let mut post = Request::new(http::Method::POST, "/allocator/explain?framework=one");
        post.body = "x".into();
        assert_eq!(dispatch(node, post).await.status, 405);
    });
}

#[test]
fn a_disabled_path_is_not_served() {
    testing::run(async {
        let guarded = Node::builder()
            .offline()
            .delegate("master")
            .firewall(vec!["/master/allocator/explain".to_owned()])
            .start()
            .await
            .unwrap();
        let _running = crate::start(&guarded, Settings::default()).await.unwrap();
        testing::settle().await;
        for path in ["/allocator/explain?framework=x", "/master/allocator/explain"] {
            let (status, text) = get(&guarded, path).await;
            assert_eq!((status, text.as_str()), (403, "Endpoint '/master/allocator/explain' is disabled"));
        }
        assert_eq!(get(&guarded, "/state").await.0, 200);
    });
}
