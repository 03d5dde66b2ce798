//! HTTP behind TLS: the client, streams, pipelines, and certificates that are not good enough.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::Bytes;
use libprocess::StartError;
use libprocess::http::{Client, ClientRequest, Proxies};
use libprocess::tls::Identity;
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};

use super::*;

async fn get(client: &Client, url: String) -> Result<String, String> {
    let response = client.send(ClientRequest::get(url)).await.map_err(|error| error.to_string())?;
    response.text(1 << 20).await.map_err(|error| error.to_string())
}

/// What a client says who asks a server.
async fn asks(client: TlsSettings, server: TlsSettings) -> Result<String, String> {
    let host = Host::with_tls(server).await;
    let said = soon(get(&Client::secured(&client).unwrap(), host.url("/ear/hello"))).await;
    host.node.shutdown().await;
    said
}

#[test]
fn a_client_with_a_certificate_is_answered_and_keeps_its_connection() {
    libprocess::run(async {
        let authority = Authority::new("of all");
        let host = Host::with_tls(authority.strict()).await;
        // The node's own client has the node's settings.
        let client = host.node.client();
        let first = soon(get(client, host.url("/ear/peer"))).await.unwrap();
        for _ in 0..3 {
            assert_eq!(soon(get(client, host.url("/ear/peer"))).await.unwrap(), first);
        }
        let large = Bytes::from(vec![b'x'; 3 << 20]);
        let echo = ClientRequest::post(host.url("/ear/echo")).body(large.clone());
        let response = soon(client.send(echo)).await.unwrap();
        assert_eq!(soon(response.bytes(4 << 20)).await.unwrap(), large);
        host.node.shutdown().await;
    });
}

/// A proxy for one client, and what it is asked for.
fn proxy() -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, asked) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut said = [0; 4096];
        let length = client.read(&mut said).unwrap();
        let said = String::from_utf8_lossy(&said[..length]).into_owned();
        let server = said.split(' ').nth(1).unwrap().to_owned();
        sender.send(said).unwrap();
        let mut server = TcpStream::connect(server).unwrap();
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from_server, &mut to_client));
        let _ = std::io::copy(&mut client, &mut server);
    });
    (address, asked)
}

#[test]
fn a_proxy_passes_on_what_it_cannot_read() {
    libprocess::run(async {
        let authority = Authority::new("of all");
        let host = Host::with_tls(authority.strict()).await;
        let (proxy, mut asked) = proxy();
        let variable = format!("http://me:secret@{proxy}");
        let proxies = Proxies::of(|name| (name == "https_proxy").then(|| variable.clone()));
        let client = host.node.client().through(proxies);
        // The second goes through the same tunnel: this proxy makes one only.
        for _ in 0..2 {
            assert_eq!(soon(get(&client, host.url("/ear/hello"))).await.unwrap(), "hello");
        }
        let address = host.node.address();
        assert_eq!(
            soon(asked.recv()).await.unwrap(),
            format!(
                "CONNECT {address} HTTP/1.1\r\nHost: {address}\r\nproxy-authorization: Basic bWU6c2VjcmV0\r\n\r\n"
            )
        );
        host.node.shutdown().await;
    });
}

#[test]
fn a_stream_comes_piece_by_piece() {
    libprocess::run(async {
        let authority = Authority::new("of all");
        let mut host = Host::with_tls(authority.strict()).await;
        let request = ClientRequest::post(host.url("/ear/stream")).body("first").without_timeout();
        let mut response = soon(host.node.client().send(request)).await.unwrap();
        let sender = host.stream().await;
        assert_eq!(soon(response.chunk()).await.unwrap(), Some(Bytes::from("first")));
        for piece in ["second", "third"] {
            sender.send(piece).unwrap();
            assert_eq!(soon(response.chunk()).await.unwrap(), Some(Bytes::from(piece)));
        }
        drop(response);
        soon(sender.closed()).await;
        host.node.shutdown().await;
    });
}

#[test]
fn a_pipeline_is_answered_in_order() {
    libprocess::run(async {
        let authority = Authority::new("of all");
        let host = Host::with_tls(authority.strict()).await;
        let pipeline = host.node.client().pipeline(host.url(""));
        let asked: Vec<_> = (0..100)
            .map(|number| pipeline.send(ClientRequest::post("/ear/echo").body(number.to_string())))
            .collect();
        for (number, answer) in asked.into_iter().enumerate() {
            assert_eq!(soon(answer).await.unwrap().body, Bytes::from(number.to_string()));
        }
        let plain = host.node.client().pipeline(host.node.address().to_string());
        let refused = soon(plain.send(ClientRequest::get("/ear/hello"))).await.unwrap();
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        host.node.shutdown().await;
    });
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_asked_for() {
    libprocess::run(async {
        let authority = Authority::new("of all");
        let said = asks(authority.believer(), authority.strict()).await.unwrap_err();
        assert!(said.contains("CertificateRequired"), "{said}");
        let open = TlsSettings { require_client_cert: false, ..authority.strict() };
        assert_eq!(asks(authority.believer(), open).await.unwrap(), "hello");
    });
}

#[test]
fn a_client_says_what_is_wrong_with_a_servers_certificate() {
    libprocess::run(async {
        let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
        let with = |identity: Identity| TlsSettings { identity: Some(identity), ..TlsSettings::default() };
        let here: &[&str] = &["127.0.0.1"];
        for (identity, part) in [
            (theirs.identity(here), "UnknownIssuer"),
            (ours.identity(&["127.0.0.2", "localhost"]), "not valid for name"),
            (ours.identity_with(here, |params| params.not_after = date_time_ymd(2020, 1, 1)), "expired"),
            (
                ours.identity_with(here, |params| params.not_before = date_time_ymd(4000, 1, 1)),
                "not valid yet",
            ),
            (
                ours.identity_with(here, |params| {
                    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                }),
                "RequiredEkuNotFound",
            ),
        ] {
            let said = asks(ours.believer(), with(identity)).await.unwrap_err();
            assert!(
                said.starts_with("cannot connect to 127.0.0.1:") && said.contains(part),
                "{part}: {said}"
            );
        }
        // Who does not check does not find it.
        let unchecked = TlsSettings::default();
        assert_eq!(asks(unchecked, with(theirs.identity(here))).await.unwrap(), "hello");
    });
}

#[test]
fn a_host_may_be_asked_for_by_name() {
    libprocess::run(async {
        let authority = Authority::new("of all");
        let named = TlsSettings { identity: Some(authority.identity(&["localhost"])), ..authority.strict() };
        let host = Host::with_tls(TlsSettings { require_client_cert: false, ..named }).await;
        let client = Client::secured(&TlsSettings { verify_ipadd: false, ..authority.believer() }).unwrap();
        let url = format!("https://localhost:{}/ear/hello", host.node.address().port());
        assert_eq!(soon(get(&client, url)).await.unwrap(), "hello");
        host.node.shutdown().await;
    });
}

#[test]
fn as_many_authorities_may_stand_between_as_the_settings_say() {
    libprocess::run(async {
        let root = Authority::new("root");
        let third = root.below("first").below("second").below("third");
        let server =
            || TlsSettings { identity: Some(third.identity(&["127.0.0.1"])), ..TlsSettings::default() };
        let deep = |verification_depth| TlsSettings { verification_depth, ..root.believer() };
        assert_eq!(asks(deep(3), server()).await.unwrap(), "hello");
        let said = asks(deep(2), server()).await.unwrap_err();
        assert!(said.contains("MaximumPathDepthExceeded"), "{said}");
    });
}

/// As in upstream's docs/ssl.md: one certificate for everything, which nobody else vouches for.
#[test]
fn a_certificate_that_signs_itself_is_believed_by_who_has_it() {
    libprocess::run(async {
        let key = KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(certificates::owned(&["127.0.0.1"])).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        let keeper = Authority::new("keeps files");
        let identity = keeper.write(certificate, &key.serialize_pem());
        let all = || TlsSettings {
            ca_file: Some(identity.certificate.clone()),
            identity: Some(identity.clone()),
            ..keeper.strict()
        };
        assert_eq!(asks(all(), all()).await.unwrap(), "hello");
        let said = asks(keeper.believer(), all()).await.unwrap_err();
        assert!(said.contains("CaUsedAsEndEntity"), "{said}");
    });
}

#[test]
fn authorities_are_found_in_a_directory() {
    libprocess::run(async {
        let authority = Authority::new("of all");
        let client =
            TlsSettings { ca_file: None, ca_dir: Some(authority.directory()), ..authority.believer() };
        let server = TlsSettings { require_client_cert: false, ..authority.strict() };
        assert_eq!(asks(client, server).await.unwrap(), "hello");
    });
}

#[test]
fn a_node_does_not_start_with_files_that_are_no_good_and_says_which() {
    libprocess::run(async {
        let authority = Authority::new("of all");
        let good = authority.identity(&["127.0.0.1"]);
        let other = authority.identity(&["127.0.0.1"]);
        let nothing = authority.directory().join("README");
        let secret = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let locked = authority.write(std::fs::read_to_string(&good.certificate).unwrap(), secret);
        let with = |identity: Identity| TlsSettings { identity: Some(identity), ..TlsSettings::default() };
        for (settings, part) in [
            (TlsSettings::default(), "a node that listens needs a certificate"),
            (with(Identity { certificate: "/nowhere.pem".into(), ..good.clone() }), "'/nowhere.pem'"),
            (with(Identity { certificate: nothing.clone(), ..good.clone() }), "no certificate in it"),
            (with(Identity { key: nothing.clone(), ..good.clone() }), "no key in it"),
            (with(locked), "protected by a password"),
            (with(Identity { key: other.key, ..good.clone() }), "do not go together"),
            (TlsSettings { ca_file: Some(nothing), ..authority.strict() }, "CA file"),
            (
                TlsSettings { ca_dir: Some("/nowhere".into()), ca_file: None, ..authority.strict() },
                "'/nowhere'",
            ),
        ] {
            let error = loopback().tls(settings).start().await.map(|_| ()).unwrap_err();
            assert!(matches!(error, StartError::Tls(_)), "{error}");
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    });
}
