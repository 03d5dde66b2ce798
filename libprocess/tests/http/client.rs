//! The client: pooled, pipelined, redirected.

use super::*;

#[test]
fn the_pipeline_client_keeps_order_and_reports_the_end() {
    with_node(|f| async move {
        let pipeline = f.node.client().pipeline(f.address().to_string());
        let answers: Vec<_> = (0..500)
            .map(|n| {
                let path = if n % 2 == 0 { "/echo" } else { "/api/v1" };
                (n, pipeline.send(ClientRequest::post(path).body(n.to_string())))
            })
            .collect();
        for (n, answer) in answers {
            let answer = answer.await.unwrap();
            if n % 2 == 0 {
                assert_eq!((answer.status.as_u16(), answer.body), (200, Bytes::from(n.to_string())));
            } else {
                assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0));
            }
        }
        assert_eq!(pipeline.ended(), None);
        let closing = pipeline.send(ClientRequest::get("/path").header("connection", "close"));
        let lost = pipeline.send(ClientRequest::get("/path"));
        assert_eq!(closing.await.unwrap().status.as_u16(), 200);
        assert!(lost.await.unwrap_err().to_string().contains(&f.address().to_string()));
        pipeline.closed().await;
        assert!(pipeline.send(ClientRequest::get("/path")).await.is_err());
    });
}

#[test]
fn a_pipeline_to_nobody_says_so() {
    with_node(|f| async move {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let pipeline = f.node.client().pipeline(port.to_string());
        let error = pipeline.send(ClientRequest::get("/x")).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot connect to {port}: Connection refused (os error 111)"));
        assert_eq!(pipeline.closed().await, error);
    });
}

#[test]
fn the_client_streams_reuses_connections_and_names_what_failed() {
    with_node(|mut f| async move {
        let client = f.node.client().clone();
        let mut response =
            client.send(ClientRequest::post(f.url("/api/v1/scheduler")).body("first")).await.unwrap();
        let sender = patient(f.streams.recv()).await.unwrap();
        assert_eq!(response.chunk().await.unwrap(), Some(Bytes::from("first")));
        sender.send("second").unwrap();
        assert_eq!(response.chunk().await.unwrap(), Some(Bytes::from("second")));
        sender.close();
        assert_eq!(response.chunk().await.unwrap(), None);

        let over = client.send(ClientRequest::get(f.url("/state?size=5000"))).await.unwrap();
        assert_eq!(
            over.bytes(100).await.unwrap_err().to_string(),
            format!("the answer of {} is larger than 100 bytes", f.address())
        );
        for (url, text) in [
            (
                "ftp://x/",
                "cannot use the URL 'ftp://x/': only http://, https:// and http+unix:// are supported",
            ),
            (
                "nonsense",
                "cannot use the URL 'nonsense': only http://, https:// and http+unix:// are supported",
            ),
        ] {
            assert_eq!(client.send(ClientRequest::get(url)).await.unwrap_err().to_string(), text);
        }
        let bad = ClientRequest::get(f.url("/")).header("x", "a\r\nb");
        assert_eq!(client.send(bad).await.unwrap_err().to_string(), "cannot send the header 'x'");
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = ClientRequest::get(format!("http://{}/", nobody.local_addr().unwrap()))
            .timeout(Duration::from_millis(50));
        assert!(
            client.send(silent).await.unwrap_err().to_string().ends_with("took more than 50ms (answering)")
        );
    });
}

/// Redirects to wherever its query says.
struct Redirector;

impl Process for Redirector {
    const NAME: &'static str = "redirector";
    fn install(install: &mut Install<Self>) {
        install.route(&[], "/to", "", |_, request: Request, _| {
            Response::temporary_redirect(request.query.get("where").unwrap_or("")).into()
        });
    }
}

#[test]
fn redirects_are_followed_when_asked_for() {
    with_node(|f| async move {
        f.node.spawn(Redirector);
        let client = f.node.client();
        let address = f.address();
        let to = |place: &str| f.url(&format!("/redirector/to?where={place}"));
        let plain = client.send(ClientRequest::get(to("/path"))).await.unwrap();
        assert_eq!((plain.status.as_u16(), plain.header("location")), (307, Some("/path")));
        for place in ["/path".to_owned(), format!("//{address}/path"), format!("http://{address}/path")] {
            let response = client.send(ClientRequest::get(to(&place)).follow_redirects(3)).await.unwrap();
            assert_eq!(response.text(100).await.unwrap(), "/master/path", "{place}");
        }
        let post = ClientRequest::post(to("/echo")).body("again").follow_redirects(1);
        assert_eq!(client.send(post).await.unwrap().text(100).await.unwrap(), "again");
        let socket = ClientRequest::get(to("http%2Bunix://%252Frun%252Fdocker.sock/")).follow_redirects(3);
        let error = client.send(socket).await.unwrap_err().to_string();
        assert!(error.contains("http+unix://") && error.contains("must not lead to a socket"), "{error}");
        let circle = ClientRequest::get(to("/redirector/to%3Fwhere=/redirector/to")).follow_redirects(2);
        assert!(client.send(circle).await.unwrap_err().to_string().starts_with("too many redirects"));
    });
}

#[test]
fn many_connections_do_not_mix_their_answers() {
    with_node(|f| async move {
        let client = f.node.client().clone();
        let url = f.url("/echo");
        let requests = (0..300).map(|n| {
            let (client, url) = (client.clone(), url.clone());
            async move {
                let request = ClientRequest::post(url).body(n.to_string());
                client.send(request).await.unwrap().text(100).await.unwrap() == n.to_string()
            }
        });
        assert!(futures::future::join_all(requests).await.into_iter().all(|right| right));
    });
}
