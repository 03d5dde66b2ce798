//! Messages and links between nodes.

use std::io::Read as _;

use super::*;

/// Messages go both ways, in order and with their sender, and a link breaks when the other node goes.
async fn they_talk(mut a: Host, mut b: Host) {
    a.ear.tell(Link(b.pid().clone()));
    a.ear.tell(Post(b.pid().clone(), 5_000));
    for number in 0..5_000 {
        assert_eq!(b.note().await, (number.to_string(), a.pid().clone()));
    }
    b.ear.tell(Post(a.pid().clone(), 1));
    assert_eq!(a.note().await, ("0".to_owned(), b.pid().clone()));
    b.node.shutdown().await;
    assert_eq!(a.exited().await, *b.pid());
    a.node.shutdown().await;
}

/// A message does not arrive, and who has sent it is told that the link broke.
async fn they_do_not_talk(mut from: Host, to: Host) {
    from.ear.tell(Link(to.pid().clone()));
    from.ear.tell(Post(to.pid().clone(), 1));
    assert_eq!(from.exited().await, *to.pid());
    from.node.shutdown().await;
    let mut to = to;
    to.node.shutdown().await;
    assert!(to.events.try_recv().is_err(), "nothing has arrived");
}

#[test]
fn nodes_that_know_each_others_authority_talk_in_either_version() {
    for (enable_tls_v1_2, enable_tls_v1_3) in [(true, false), (false, true)] {
        libprocess::run(async {
            let authority = Authority::new("of all");
            let settings = || TlsSettings { enable_tls_v1_2, enable_tls_v1_3, ..authority.strict() };
            they_talk(Host::with_tls(settings()).await, Host::with_tls(settings()).await).await;
        });
    }
}

#[test]
fn nodes_without_a_common_version_do_not_talk() {
    libprocess::run(async {
        let authority = Authority::new("of all");
        let old = TlsSettings { enable_tls_v1_3: false, ..authority.strict() };
        let new = TlsSettings { enable_tls_v1_2: false, ..authority.strict() };
        they_do_not_talk(Host::with_tls(old).await, Host::with_tls(new).await).await;
    });
}

#[test]
fn nodes_that_check_nothing_talk_whoever_vouches_for_them() {
    libprocess::run(async {
        let lax = |name| {
            let authority = Authority::new(name);
            let settings =
                TlsSettings { identity: Some(authority.identity(&["somebody"])), ..TlsSettings::default() };
            (authority, settings)
        };
        let ((_one, a), (_other, b)) = (lax("one"), lax("other"));
        they_talk(Host::with_tls(a).await, Host::with_tls(b).await).await;
    });
}

#[test]
fn a_node_is_not_believed_that_another_authority_vouches_for() {
    libprocess::run(async {
        let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
        // As a server.
        let (a, stranger) = (Host::with_tls(ours.strict()).await, Host::with_tls(theirs.strict()).await);
        they_do_not_talk(a, stranger).await;
        // As a client, which would believe our server.
        let stranger = TlsSettings { ca_file: Some(ours.file()), ..theirs.strict() };
        they_do_not_talk(Host::with_tls(stranger).await, Host::with_tls(ours.strict()).await).await;
    });
}

#[test]
fn a_node_must_be_who_it_is_asked_for_as() {
    libprocess::run(async {
        let authority = Authority::new("of all");
        let other = TlsSettings { identity: Some(authority.identity(&["127.0.0.2"])), ..authority.strict() };
        they_do_not_talk(Host::with_tls(authority.strict()).await, Host::with_tls(other).await).await;
        // With addresses left out of it, nobody can be asked for by address.
        let by_name = TlsSettings { verify_ipadd: false, ..authority.strict() };
        they_do_not_talk(Host::with_tls(by_name).await, Host::with_tls(authority.strict()).await).await;
    });
}

#[test]
fn in_the_legacy_scheme_the_name_of_the_address_counts() {
    let name = dns_lookup::lookup_addr(&[127, 0, 0, 1].into()).unwrap();
    let legacy = |authority: &Authority, names: &[&str], verify_ipadd: bool| TlsSettings {
        identity: Some(authority.identity(names)),
        verify_ipadd,
        hostname_validation: libprocess::tls::HostnameValidation::Legacy,
        ..authority.strict()
    };
    libprocess::run(async {
        let authority = Authority::new("of all");
        let named = || legacy(&authority, &[&name], false);
        they_talk(Host::with_tls(named()).await, Host::with_tls(named()).await).await;
        let nameless = || legacy(&authority, &["elsewhere.example", "127.0.0.1"], false);
        they_do_not_talk(Host::with_tls(named()).await, Host::with_tls(nameless()).await).await;
        they_do_not_talk(Host::with_tls(nameless()).await, Host::with_tls(named()).await).await;
        let addressed = || legacy(&authority, &["127.0.0.1"], true);
        they_talk(Host::with_tls(addressed()).await, Host::with_tls(addressed()).await).await;
    });
}

#[test]
fn one_that_speaks_in_the_clear_is_talked_to_only_where_a_downgrade_is_allowed() {
    libprocess::run(async {
        let authority = Authority::new("of all");
        let identity = || Some(authority.identity(&["127.0.0.1"]));
        let tls = || TlsSettings { identity: identity(), ..TlsSettings::default() };
        they_do_not_talk(Host::with_tls(tls()).await, Host::in_the_clear().await).await;
        they_do_not_talk(Host::in_the_clear().await, Host::with_tls(tls()).await).await;
        let either = || TlsSettings { support_downgrade: true, ..tls() };
        they_talk(Host::with_tls(either()).await, Host::in_the_clear().await).await;
        they_talk(Host::in_the_clear().await, Host::with_tls(either()).await).await;
        they_talk(Host::with_tls(either()).await, Host::with_tls(tls()).await).await;
    });
}

/// Somebody on the way sees a handshake and no word.
#[test]
fn nothing_that_is_said_can_be_read_on_the_wire() {
    libprocess::run(async {
        let authority = Authority::new("of all");
        let (a, mut b) = (Host::with_tls(authority.strict()).await, Host::with_tls(authority.strict()).await);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (on_the_way, behind) = (listener.local_addr().unwrap(), b.node.address());
        let listening = std::thread::spawn(move || {
            let (mut from, _) = listener.accept().unwrap();
            let mut to = std::net::TcpStream::connect(behind).unwrap();
            let (mut answers, mut back) = (to.try_clone().unwrap(), from.try_clone().unwrap());
            let answering = std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
            let mut heard = Vec::new();
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut piece) {
                heard.extend_from_slice(&piece[..length]);
                std::io::Write::write_all(&mut to, &piece[..length]).unwrap();
            }
            let _ = to.shutdown(std::net::Shutdown::Both);
            let _ = answering.join().unwrap();
            heard
        });
        let far = Pid::new("ear", on_the_way);
        a.node.post(a.pid(), &far, Note("a word in confidence".into()));
        assert_eq!(b.note().await, ("a word in confidence".to_owned(), a.pid().clone()));
        a.node.shutdown().await;
        b.node.shutdown().await;
        let heard = listening.join().unwrap();
        assert_eq!(heard[0], 0x16);
        for word in ["confidence", "POST", "Libprocess-From"] {
            assert!(!heard.windows(word.len()).any(|piece| piece == word.as_bytes()), "{word}");
        }
    });
}
