//! The client: pooled, pipelined, redirected.

use std::io::Write as _;

use libprocess::http::{Client, Proxies};

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

/// What one client says to a proxy that answers like this.
fn told(answer: &'static str) -> (SocketAddr, std::thread::JoinHandle<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut said = [0; 4096];
        let length = stream.read(&mut said).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&said[..length]).into_owned()
    });
    (address, proxy)
}

fn through(variable: &str, proxy: &str) -> Client {
    Client::new().through(Proxies::of(|name| (name == variable).then(|| proxy.to_owned())))
}

#[test]
fn a_proxy_is_told_the_whole_url_and_who_asks() {
    libprocess::run(async {
        let (address, proxy) = told("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        let client = through("http_proxy", &format!("http://me:secret@{address}"));
        let request = ClientRequest::get("http://you:word@files.example:8080/a?b=c");
        let answer = patient(client.send(request)).await.unwrap();
        assert_eq!(answer.text(100).await.unwrap(), "hello");
        let said = proxy.join().unwrap();
        let line = "GET http://files.example:8080/a?b=c HTTP/1.1\r\nHost: files.example:8080\r\n";
        assert!(said.starts_with(line), "{said}");
        assert!(said.contains("proxy-authorization: Basic bWU6c2VjcmV0\r\n"), "{said}");
        assert!(said.contains("\r\nauthorization: Basic eW91OndvcmQ=\r\n"), "{said}");
    });
}

#[test]
fn what_a_proxy_refuses_and_one_that_is_not_there_are_named() {
    libprocess::run(async {
        let failed = async |client: Client, url: &str| {
            patient(client.send(ClientRequest::get(url))).await.unwrap_err().to_string()
        };
        let (address, proxy) = told("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        let client = through("https_proxy", &address.to_string());
        assert_eq!(
            failed(client, "https://h.example/x").await,
            format!("cannot connect to h.example:443: its proxy {address}: it answered 403 Forbidden")
        );
        let said = proxy.join().unwrap();
        assert_eq!(said, "CONNECT h.example:443 HTTP/1.1\r\nHost: h.example:443\r\n\r\n");
        // Its listener has gone.
        let client = through("all_proxy", &address.to_string());
        assert_eq!(
            failed(client, "http://h.example/x").await,
            format!("cannot connect to h.example:80: its proxy {address}: Connection refused (os error 111)")
        );
        assert_eq!(
            failed(through("all_proxy", "socks5://p"), "http://h.example/x").await,
            "cannot connect to h.example:80: the proxy of all_proxy cannot be used: it is reached by socks5://, and only \
             http:// is supported"
        );
    });
}

/// As one behind a firewall: it is not the server that does not answer.
#[test]
fn a_proxy_that_says_nothing_is_mentioned() {
    libprocess::testing::run(async {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = through("https_proxy", &silent.local_addr().unwrap().to_string());
        let error = client.send(ClientRequest::get("https://h.example/x")).await.unwrap_err();
        assert_eq!(error.to_string(), "h.example:443 took more than 10s (connecting through its proxy)");
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
