//! The bytes on the wire: what is written, what is taken and how it is answered.

use std::time::Duration;

use libprocess::Pid;
use libprocess::http::ClientRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::host::{Event, Host, Note, Post, answers, request, rest, soon};

#[test]
fn a_message_leaves_with_upstreams_bytes() {
    libprocess::run(async {
        let a = Host::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = Pid::new("far(1)", listener.local_addr().unwrap());
        a.node.post(a.ear.pid(), &far, Note("hello".into()));
        a.node.post(a.ear.pid(), &far, Note(String::new()));
        let (mut stream, _) = soon(listener.accept()).await.unwrap();
        let from = a.ear.pid();
        let head = format!(
            "POST /far(1)/test.Note HTTP/1.1\r\nUser-Agent: libprocess/{from}\r\nLibprocess-From: {from}\r\n\
             Connection: Keep-Alive\r\nHost: \r\n"
        );
        let expected = format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{head}\r\n");
        let mut bytes = vec![0; expected.len()];
        soon(stream.read_exact(&mut bytes)).await.unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        a.node.shutdown().await;
    });
}

#[test]
fn upstreams_bytes_are_taken_in_every_cut_and_answered_202_or_404() {
    libprocess::run(async {
        let mut a = Host::start().await;
        let bytes = request("ear", "hello");
        for cut in 1..bytes.len() {
            let mut stream = a.socket().await;
            stream.set_nodelay(true).unwrap();
            stream.write_all(&bytes.as_bytes()[..cut]).await.unwrap();
            tokio::task::yield_now().await;
            stream.write_all(&bytes.as_bytes()[cut..]).await.unwrap();
            assert_eq!(a.event().await, Event::Note("hello".into(), "x@127.0.0.1:1".parse().unwrap()));
            assert_eq!(answers(&mut stream, 1).await, ["HTTP/1.1 202 Accepted"]);
        }
        let mut stream = a.socket().await;
        let pipelined = [request("ear", "1"), request("nobody", "2"), request("ear", "3")].concat();
        stream.write_all(pipelined.as_bytes()).await.unwrap();
        let expected = ["HTTP/1.1 202 Accepted", "HTTP/1.1 404 Not Found", "HTTP/1.1 202 Accepted"];
        assert_eq!(answers(&mut stream, 3).await, expected);
        assert_eq!((a.note().await, a.note().await), ("1".into(), "3".into()));
        a.node.shutdown().await;
    });
}

/// As a node of our own kind writes it.
fn announcing(request: &str) -> String {
    request.replacen("\r\n", "\r\nLibprocess-Schema: 1\r\n", 1)
}

/// The same, on a connection that it has opened after so many others.
fn nth(number: u32, request: &str) -> String {
    announcing(request).replacen("\r\n", &format!("\r\nLibprocess-Connection: 2a.{number}\r\n"), 1)
}

#[test]
fn what_comes_on_an_earlier_connection_after_a_later_one_has_spoken_is_not_heard() {
    libprocess::run(async {
        let mut a = Host::with(|builder| builder.schema("1")).await;
        let (mut first, mut second, mut third) = (a.socket().await, a.socket().await, a.socket().await);
        first.write_all(nth(7, &request("ear", "1")).as_bytes()).await.unwrap();
        assert_eq!(a.note().await, "1");
        second.write_all(nth(8, &request("ear", "2")).as_bytes()).await.unwrap();
        assert_eq!(a.note().await, "2");
        first.write_all(request("ear", "late").as_bytes()).await.unwrap();
        third.write_all(nth(6, &request("ear", "later")).as_bytes()).await.unwrap();
        assert!(rest(&mut first).await.is_ok() && rest(&mut third).await.is_ok());
        second.write_all(request("ear", "3").as_bytes()).await.unwrap();
        assert_eq!(a.note().await, "3");
        // Who does not count is heard on all of them.
        for number in ["4", "5"] {
            let mut uncounted = a.socket().await;
            uncounted.write_all(announcing(&request("ear", number)).as_bytes()).await.unwrap();
            assert_eq!(a.note().await, number);
        }
        a.node.shutdown().await;
    });
}

#[test]
fn a_node_of_our_kind_is_answered_in_order_as_well_later_or_with_what_cannot_wait() {
    libprocess::run(async {
        let mut a = Host::with(|builder| builder.schema("1")).await;
        let mut stream = a.socket().await;
        stream.write_all(announcing(&request("ear", "first")).as_bytes()).await.unwrap();
        assert_eq!(answers(&mut stream, 1).await, ["HTTP/1.1 202 Accepted"]);
        stream.write_all(request("ear", "alone").as_bytes()).await.unwrap();
        assert_eq!(answers(&mut stream, 1).await, ["HTTP/1.1 202 Accepted"]);
        for name in ["ear", "ear", "nobody"] {
            stream.write_all(request(name, "more").as_bytes()).await.unwrap();
        }
        let expected = ["HTTP/1.1 202 Accepted", "HTTP/1.1 202 Accepted", "HTTP/1.1 404 Not Found"];
        assert_eq!(answers(&mut stream, 3).await, expected);
        for note in ["first", "alone", "more", "more"] {
            assert_eq!(a.note().await, note);
        }
        a.node.shutdown().await;
    });
}

#[test]
fn answers_that_wait_are_written_before_either_side_leaves() {
    libprocess::run(async {
        let mut a = Host::with(|builder| builder.schema("1")).await;
        let mut streams = [a.socket().await, a.socket().await];
        for stream in &mut streams {
            stream.write_all(announcing(&request("ear", "first")).as_bytes()).await.unwrap();
            assert_eq!(answers(stream, 1).await, ["HTTP/1.1 202 Accepted"]);
            stream.write_all(request("ear", "second").as_bytes()).await.unwrap();
            assert_eq!((a.note().await, a.note().await), ("first".into(), "second".into()));
        }
        let [mut leaving, mut staying] = streams;
        leaving.shutdown().await.unwrap();
        assert_eq!(answers(&mut leaving, 1).await, ["HTTP/1.1 202 Accepted"]);
        a.node.shutdown().await;
        assert_eq!(answers(&mut staying, 1).await, ["HTTP/1.1 202 Accepted"]);
        assert_eq!(soon(staying.read(&mut [0; 1])).await.unwrap(), 0);
    });
}

#[test]
fn a_length_serves_as_well_as_chunks_and_an_unknown_message_is_accepted_and_dropped() {
    libprocess::run(async {
        let mut a = Host::start().await;
        let mut stream = a.socket().await;
        let head = "HTTP/1.1\r\nLibprocess-From: x@127.0.0.1:1\r\n";
        let text =
            format!("POST /ear/no.Such {head}\r\nPOST /ear/test.Note {head}Content-Length: 2\r\n\r\nhi");
        stream.write_all(text.as_bytes()).await.unwrap();
        assert_eq!(answers(&mut stream, 2).await, ["HTTP/1.1 202 Accepted", "HTTP/1.1 202 Accepted"]);
        assert_eq!(a.note().await, "hi");
        a.node.shutdown().await;
    });
}

#[test]
fn a_body_that_is_no_message_does_not_disturb_the_next() {
    libprocess::run(async {
        let mut a = Host::start().await;
        let mut stream = a.socket().await;
        let mut bytes = request("ear", "??").into_bytes();
        let at = bytes.windows(2).position(|pair| pair == b"??").unwrap();
        bytes[at..at + 2].copy_from_slice(&[0xff, 0xfe]);
        bytes.extend_from_slice(request("ear", "next").as_bytes());
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(a.note().await, "next");
        a.node.shutdown().await;
    });
}

#[test]
fn a_peer_that_speaks_nonsense_is_answered_400_and_left() {
    libprocess::run(async {
        let mut a = Host::start().await;
        let mut stream = a.socket().await;
        let text = format!("{}POST nonsense\r\n\r\n", request("ear", "1"));
        stream.write_all(text.as_bytes()).await.unwrap();
        assert_eq!(answers(&mut stream, 2).await, ["HTTP/1.1 202 Accepted", "HTTP/1.1 400 Bad Request"]);
        assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap(), 0);
        assert_eq!(a.note().await, "1");
        a.node.shutdown().await;
    });
}

#[test]
fn an_ordinary_client_can_send_messages_among_other_requests() {
    libprocess::run(async {
        let mut a = Host::start().await;
        let mut stream = a.socket().await;
        let head = "HTTP/1.1\r\nHost: here\r\nUser-Agent: curl/8\r\nLibprocess-From: me@127.0.0.1:1\r\n";
        let message = |body: &str| format!("POST /ear/test.Note {head}Content-Length: 2\r\n\r\n{body}");
        let bytes = [message("hi"), format!("GET /nowhere {head}\r\n"), message("ho")].concat();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let me: Pid = "me@127.0.0.1:1".parse().unwrap();
        assert_eq!(a.event().await, Event::Note("hi".into(), me.clone()));
        assert_eq!(a.event().await, Event::Note("ho".into(), me));
        let heads = answers(&mut stream, 3).await;
        assert_eq!(heads[0], "HTTP/1.1 202 Accepted");
        // Behind the body of the 404.
        assert!(heads[2].ends_with("HTTP/1.1 202 Accepted"), "{heads:?}");
        a.node.shutdown().await;
    });
}

#[test]
fn a_path_without_an_actor_is_the_delegates() {
    libprocess::run(async {
        let a = Host::with(|builder| builder.delegate("ear")).await;
        for (path, status) in [("/ear/hello", "200 OK"), ("/hello", "200 OK"), ("/else", "404 Not Found")] {
            let mut stream = a.socket().await;
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
            assert_eq!(answers(&mut stream, 1).await[0], format!("HTTP/1.1 {status}"), "{path}");
        }
        a.node.shutdown().await;
    });
}

#[test]
fn a_message_that_comes_too_slowly_ends_the_conversation() {
    for (begin, most) in [
        ("POST /ear/test.Note HTTP/1.1\r\nUser-Agent: libprocess/x@127.0.0.1:1\r\nHo", 21),
        (
            "POST /ear/test.Note HTTP/1.1\r\nUser-Agent: libprocess/x@127.0.0.1:1\r\nContent-Length: 9\r\n\r\nx",
            61,
        ),
    ] {
        // Under a paused clock, which jumps whenever nothing happens.
        libprocess::testing::run(async {
            let a = Host::start().await;
            let mut stream = a.socket().await;
            // A whole message first: between two of them there is no limit.
            stream.write_all(request("ear", "1").as_bytes()).await.unwrap();
            assert_eq!(answers(&mut stream, 1).await.len(), 1);
            tokio::time::sleep(Duration::from_secs(3600)).await;
            stream.write_all(begin.as_bytes()).await.unwrap();
            let began = tokio::time::Instant::now();
            assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 0);
            let waited = began.elapsed();
            assert!(waited > Duration::from_secs(15) && waited < Duration::from_secs(most), "{waited:?}");
            a.node.shutdown().await;
        });
    }
}

#[test]
fn equal_schemas_speak_bincode_after_the_first_answer_and_others_never() {
    libprocess::run(async {
        let a = Host::with(|builder| builder.schema("1")).await;
        let mut same = Host::with(|builder| builder.schema("1")).await;
        let mut other = Host::with(|builder| builder.schema("2")).await;
        let mut none = Host::start().await;
        a.node.post(a.ear.pid(), same.ear.pid(), Note("first".into()));
        assert_eq!(same.note().await, "first");
        // The answer comes some time after the message.
        let switched = async {
            loop {
                a.node.post(a.ear.pid(), same.ear.pid(), Note("later".into()));
                if same.note().await == "bincode:later" {
                    break;
                }
            }
        };
        soon(switched).await;
        for host in [&mut other, &mut none] {
            for _ in 0..20 {
                a.node.post(a.ear.pid(), host.ear.pid(), Note("plain".into()));
                assert_eq!(host.note().await, "plain");
            }
        }
        for node in [a.node, same.node, other.node, none.node] {
            node.shutdown().await;
        }
    });
}

#[test]
fn bincode_of_a_schema_that_was_not_announced_is_refused() {
    libprocess::run(async {
        let a = Host::with(|builder| builder.schema("1")).await;
        for announced in ["", "Libprocess-Schema: 2\r\n"] {
            let mut stream = a.socket().await;
            let text = format!(
                "POST /ear/test.Note HTTP/1.1\r\nUser-Agent: libprocess/x@127.0.0.1:1\r\n{announced}\
                 Content-Type: application/x-bincode\r\nContent-Length: 1\r\n\r\nx"
            );
            stream.write_all(text.as_bytes()).await.unwrap();
            assert_eq!(answers(&mut stream, 1).await, ["HTTP/1.1 400 Bad Request"]);
        }
        a.node.shutdown().await;
    });
}

#[test]
fn who_must_live_where_its_connection_comes_from_cannot_speak_for_others() {
    libprocess::run(async {
        let mut a = Host::with(|builder| builder.require_peer_address_ip_match(true)).await;
        let mut b = Host::start().await;
        // Nodes of this host are believed, over whatever connection.
        b.ear.tell(Post(a.ear.pid().clone(), 1));
        assert_eq!(a.note().await, "0");
        let mut socket = a.socket().await;
        let forged = request("ear", "forged").replace("127.0.0.1:", "10.1.2.3:");
        assert!(forged.contains("10.1.2.3:"), "{forged}");
        socket.write_all(forged.as_bytes()).await.unwrap();
        socket.write_all(request("ear", "honest").as_bytes()).await.unwrap();
        let answers = answers(&mut socket, 2).await;
        assert!(answers[0].starts_with("HTTP/1.1 400"), "{answers:?}");
        assert!(answers[1].starts_with("HTTP/1.1 202"), "{answers:?}");
        assert_eq!(a.note().await, "honest");
        // The way of ordinary clients.
        let url = format!("http://{}/ear/test.Note", a.node.address());
        let post =
            ClientRequest::post(url).header("user-agent", "curl").header("libprocess-from", "x@10.1.2.3:4");
        let response = b.node.client().send(post.body("x")).await.unwrap();
        assert_eq!(response.status.as_u16(), 400);
        let text = response.text(1000).await.unwrap();
        assert!(
            text.starts_with(
                "UPID IP address validation failed: Message from x@10.1.2.3:4 was sent from IP 127.0.0.1:"
            ),
            "{text}"
        );
        a.node.shutdown().await;
        b.node.shutdown().await;
        assert!(b.events.try_recv().is_err());
    });
}
