//! A real etcd behind TLS that asks everybody for a certificate: who leads, the registry, and who is kept out. The nodes
//! of the cluster speak plain HTTP to each other, which is another matter.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use election::etcd::api::{Range, RangeRequest};
use election::etcd::{Client, EtcdError, EtcdGroup};
use election::group::{Group, GroupError};
use integration::etcd::Etcd;
use integration::secrets::Secrets;
use integration::{AgentSpec, Cluster, beside, binary, command};
use libprocess::tls::Identity;
use serde_json::Value;

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(20);

/// The URL of an etcd with the authority, and perhaps with what we show.
fn url(etcd: &Etcd, authority: &Path, identity: Option<&Identity>) -> String {
    let shown = identity.map(|Identity { certificate, key }| {
        format!("&cert={}&key={}", certificate.display(), key.display())
    });
    format!("{}?cacert={}{}", etcd.url(), authority.display(), shown.unwrap_or_default())
}

/// Runs `mesos` with these words, and no variables of the developer's shell.
async fn mesos(words: &[&str]) -> Output {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    beside(move || command(binary::mesos()).args(&words).output().unwrap()).await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Why no session with etcd begins at this URL.
async fn refusal(url: &str) -> GroupError {
    EtcdGroup::new(url.parse().unwrap(), SOON).connect().await.err().unwrap()
}

#[test]
fn a_cluster_is_found_and_kept_in_an_etcd_that_wants_certificates() {
    libprocess::run(async {
        let secrets = Secrets::new();
        let Some(etcd) = Etcd::secured(&secrets.settings()).await else { return };
        let authority = secrets.file("ca.pem");
        let ours = url(&etcd, &authority, Some(&secrets.identity("ours", Some("mesos"))));
        let mut cluster = Cluster::found_at(&ours);
        cluster.add_master(&[]).await;
        cluster.add_agent(&AgentSpec::new("cpus:2;mem:512"));
        cluster.wait_for_agents(1).await;
        let flags = cluster.get_at(cluster.master(), "/flags").await.unwrap();
        assert_eq!(flags["flags"]["zk"], etcd.url());

        // Our scheduler library finds the leader there, and a tool the registry.
        let master = format!("--master={ours}");
        let ran = mesos(&["execute", &master, "--name=t", "--command=true"]).await;
        assert!(text(&ran.stdout).contains("TASK_FINISHED"), "{}{}", text(&ran.stdout), text(&ran.stderr));
        let shown = mesos(&["registry", "show", &format!("--zk={ours}")]).await;
        let registry: Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!(registry["slaves"]["slaves"].as_array().map(Vec::len), Some(1), "{registry}");

        // Who has no certificate learns what to do.
        let file = secrets.file("registry.json");
        std::fs::write(&file, &shown.stdout).unwrap();
        let nobody = format!("--zk={}", url(&etcd, &authority, None));
        let refused = mesos(&["registry", "import", file.to_str().unwrap(), &nobody]).await;
        let said = text(&refused.stderr);
        assert!(!refused.status.success() && said.contains("etcds://host/path?cert=FILE&key=FILE"), "{said}");
        // So does who names a file that is not there, before anything is asked.
        let gone = format!("--zk={}", url(&etcd, &secrets.file("gone.pem"), None));
        for words in [["registry", "show", &gone], ["master", "--port=0", &gone]] {
            let refused = mesos(&words).await;
            let said = text(&refused.stderr) + &text(&refused.stdout);
            assert!(!refused.status.success() && said.contains("gone.pem': No such file"), "{said}");
        }
    });
}

#[test]
fn nobody_speaks_to_an_etcd_that_is_not_the_one_that_is_meant() {
    libprocess::run(async {
        let (secrets, others) = (Secrets::new(), Secrets::new());
        let Some(etcd) = Etcd::secured(&secrets.settings()).await else { return };
        let (authority, ours) = (secrets.file("ca.pem"), secrets.identity("ours", None));
        let right = url(&etcd, &authority, Some(&ours));
        for (url, part) in [
            (url(&etcd, &others.file("ca.pem"), Some(&ours)), "; name the authority"),
            (url(&etcd, &authority, Some(&others.identity("theirs", None))), "?cert=FILE&key=FILE"),
            (right.replace("127.0.0.1", "localhost"), "not valid for name \"localhost\""),
            (etcd.url().replace("etcds://", "etcd://"), "begin the URL with etcds://"),
        ] {
            let refused = refusal(&url).await;
            // Another certificate, or another server, may come.
            assert!(matches!(&refused, GroupError::Retry(text) if text.contains(part)), "{url}: {refused}");
        }
        let Some(plain) = Etcd::start().await else { return };
        let refused = refusal(&url(&plain, &authority, None).replace("etcd://", "etcds://")).await;
        assert!(refused.to_string().contains("does it speak TLS?"), "{refused}");
    });
}

#[test]
fn a_certificate_that_is_renewed_is_shown_without_a_new_start() {
    libprocess::run(async {
        let (secrets, others) = (Secrets::new(), Secrets::new());
        let Some(mut etcd) = Etcd::secured(&secrets.settings()).await else { return };
        let ours = secrets.identity("ours", None);
        let client = Client::new(&url(&etcd, &secrets.file("ca.pem"), Some(&ours)).parse().unwrap(), SOON);
        let request = RangeRequest::all(Range::key("x"));
        client.range(&request).await.unwrap();
        // It is as if it had expired; a connection that there is lives on.
        let theirs = others.identity("theirs", None);
        std::fs::copy(&theirs.certificate, &ours.certificate).unwrap();
        std::fs::copy(&theirs.key, &ours.key).unwrap();
        client.range(&request).await.unwrap();
        // The first call finds no server, the second one no server that believes what is on disk now.
        etcd.process(0).crash();
        let away = client.range(&request).await.unwrap_err();
        assert!(matches!(away, EtcdError::Unavailable(_)), "{away}");
        etcd.process(0).restart();
        etcd.wait_for(0).await;
        let refused = client.range(&request).await.unwrap_err();
        assert!(refused.to_string().contains("?cert=FILE&key=FILE"), "{refused}");
        secrets.identity("ours", None);
        client.range(&request).await.unwrap();
    });
}

#[test]
fn etcd_may_want_a_password_on_top_and_then_no_common_name() {
    libprocess::run(async {
        let secrets = Secrets::new();
        let Some(etcd) = Etcd::secured(&secrets.settings()).await else { return };
        let authority = secrets.file("ca.pem");
        etcd.ask_for("secret").await;
        let with = |identity: Identity, user: &str| {
            url(&etcd, &authority, Some(&identity)).replace("etcds://", &format!("etcds://{user}"))
        };
        let (nameless, named) =
            (secrets.identity("nameless", None), secrets.identity("named", Some("mesos")));
        let group = EtcdGroup::new(with(nameless.clone(), "root:secret@").parse().unwrap(), SOON);
        let session = group.connect().await.unwrap();
        session.join("json.info", b"a".to_vec()).await.unwrap();
        let refused = refusal(&with(named, "root:secret@")).await;
        assert!(refused.to_string().contains("ours must have no common name"), "{refused}");
        let refused = refusal(&with(nameless, "")).await;
        assert!(refused.to_string().contains("etcd://user:password@host/path"), "{refused}");
    });
}
