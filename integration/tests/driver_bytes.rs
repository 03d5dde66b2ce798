//! The bytes of upstream's scheduler driver, as they were captured from it, against a real master: an empty `Host`, a
//! chunked body, one connection in each direction.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use integration::wait::{self, PATIENCE};
use integration::{AgentSpec, Cluster};
use mesos::internal::{
    FrameworkErrorMessage, FrameworkRegisteredMessage, FrameworkReregisteredMessage, LostSlaveMessage,
    ResourceOffersMessage,
};
use mesos::{Message, v0, v1};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

fn info() -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "root".into(),
        name: "bytes".into(),
        failover_timeout: Some(600.0),
        ..Default::default()
    }
}

/// As the driver asks for it: with the id twice, and without taking over.
fn subscribe(info: v1::FrameworkInfo) -> v0::scheduler::Call {
    v0::scheduler::Call {
        framework_id: info.id.clone(),
        r#type: Some(v1::scheduler::call::Type::Subscribe.into()),
        subscribe: Some(v0::scheduler::call::Subscribe { framework_info: info, ..Default::default() }),
        ..Default::default()
    }
}

/// Whether the only framework is connected.
async fn is_connected(cluster: &Cluster) -> bool {
    let state = cluster.leader_state().await.unwrap();
    state["frameworks"][0]["connected"].as_bool().unwrap()
}

/// Two ends of what a driver has with its master.
struct Driver {
    pid: String,
    listener: TcpListener,
    to_master: BufReader<TcpStream>,
    from_master: BufReader<TcpStream>,
}

impl Driver {
    /// Subscribes; the master opens a connection of its own for what it has to say.
    async fn subscribe(cluster: &Cluster, info: v1::FrameworkInfo) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pid = format!("scheduler-2efa2ce3@{}", listener.local_addr().unwrap());
        let mut to_master = BufReader::new(TcpStream::connect(cluster.master()).await.unwrap());
        send(&mut to_master, &pid, &subscribe(info)).await;
        let from_master = accept(&listener).await;
        Self { pid, listener, to_master, from_master }
    }

    /// The master's connection breaks, and the driver does not end of it.
    async fn break_off(&mut self) {
        self.from_master.get_mut().shutdown().await.unwrap();
        self.from_master = accept(&self.listener).await;
    }

    async fn call(&mut self, call: v0::scheduler::Call) {
        send(&mut self.to_master, &self.pid, &call).await;
    }

    async fn chunk(&mut self) -> Vec<u8> {
        let mut length = String::new();
        self.from_master.read_line(&mut length).await.unwrap();
        let length = usize::from_str_radix(length.trim_end(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        self.from_master.read_exact(&mut chunk).await.unwrap();
        chunk.truncate(length);
        chunk
    }

    /// The next message of the master, which must be this one.
    async fn hears<M: Message>(&mut self) -> M {
        let head = head(&mut self.from_master).await;
        let actor = self.pid.split('@').next().unwrap();
        assert_eq!(head[0], format!("POST /{actor}/{} HTTP/1.1", M::FULL_NAME));
        assert!(head.iter().any(|line| line.starts_with("Libprocess-From: master@")), "{head:?}");
        assert!(head.contains(&"Transfer-Encoding: chunked".to_owned()), "{head:?}");
        let body = self.chunk().await;
        assert_eq!(self.chunk().await, b"", "a message is one chunk");
        let answer =
            b"HTTP/1.1 202 Accepted\r\nDate: Mon, 23 Nov 2026 21:48:03 GMT\r\nContent-Length: 0\r\n\r\n";
        self.from_master.get_mut().write_all(answer).await.unwrap();
        mesos::wire::decode(&body).unwrap()
    }
}

async fn accept(listener: &TcpListener) -> BufReader<TcpStream> {
    let (connection, _) = timeout(PATIENCE, listener.accept()).await.expect("the master connects").unwrap();
    BufReader::new(connection)
}

/// A message as libprocess writes it, and its answer.
async fn send(stream: &mut BufReader<TcpStream>, pid: &str, call: &v0::scheduler::Call) {
    let body = mesos::wire::encode(call);
    let mut request = format!(
        "POST /master/mesos.scheduler.Call HTTP/1.1\r\nUser-Agent: libprocess/{pid}\r\nLibprocess-From: {pid}\r\n\
         Connection: Keep-Alive\r\nHost: \r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body);
    request.extend(b"\r\n0\r\n\r\n");
    stream.get_mut().write_all(&request).await.unwrap();
    assert_eq!(head(stream).await[0], "HTTP/1.1 202 Accepted");
}

/// The lines up to an empty one.
async fn head(stream: &mut BufReader<TcpStream>) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        timeout(PATIENCE, stream.read_line(&mut line)).await.expect("something comes").unwrap();
        match line.trim_end() {
            "" if lines.is_empty() && line.is_empty() => panic!("the connection ended"),
            "" => return lines,
            text => lines.push(text.to_owned()),
        }
    }
}

#[test]
fn a_driver_is_answered_on_a_connection_of_the_masters_and_missed_when_that_ends() {
    libprocess::run(async {
        let cluster = Cluster::start(&[], &[AgentSpec::new("cpus:2;mem:512")]).await;
        let mut driver = Driver::subscribe(&cluster, info()).await;
        let registered: FrameworkRegisteredMessage = driver.hears().await;
        let offers: ResourceOffersMessage = driver.hears().await;
        assert_eq!(offers.pids, [format!("slave(1)@{}", cluster.agent_at(0))]);
        assert_eq!(offers.offers[0].framework_id, registered.framework_id);

        // An agent that is gone for good is heard of on the same connection.
        let agent_id = offers.offers[0].agent_id.clone();
        let gone = serde_json::json!({
            "type": "MARK_AGENT_GONE", "mark_agent_gone": { "agent_id": { "value": agent_id.value } }
        });
        let request = libprocess::http::ClientRequest::post(format!("http://{}/api/v1", cluster.master()))
            .header("Content-Type", "application/json")
            .body(gone.to_string());
        assert_eq!(cluster.client().send(request).await.unwrap().status, 200);
        let _: mesos::internal::RescindResourceOfferMessage = driver.hears().await;
        let lost: LostSlaveMessage = driver.hears().await;
        assert_eq!(lost.slave_id, agent_id);

        // What is no call is answered, and dropped.
        driver.call(v0::scheduler::Call::default()).await;
        assert!(is_connected(&cluster).await);
        drop(driver);
        wait::until("the driver to be missed", async || {
            if is_connected(&cluster).await { Err("it is connected") } else { Ok(()) }
        })
        .await;
    });
}

/// Nothing else would tell the driver: it gets no heartbeats, and its own connection to the master is well.
#[test]
fn a_driver_whose_connection_broke_is_told_to_abort_and_may_subscribe_again() {
    libprocess::run(async {
        let cluster = Cluster::start(&[], &[]).await;
        let mut driver = Driver::subscribe(&cluster, info()).await;
        let registered: FrameworkRegisteredMessage = driver.hears().await;
        driver.break_off().await;
        let error: FrameworkErrorMessage = driver.hears().await;
        assert_eq!(error.message, "Framework disconnected");
        assert!(!is_connected(&cluster).await);

        let revive = v0::scheduler::Call {
            framework_id: Some(registered.framework_id.clone()),
            r#type: Some(v1::scheduler::call::Type::Revive.into()),
            ..Default::default()
        };
        driver.call(revive).await;
        let error: FrameworkErrorMessage = driver.hears().await;
        assert_eq!(error.message, "Framework disconnected");

        let info = v1::FrameworkInfo { id: Some(registered.framework_id.clone()), ..info() };
        driver.call(subscribe(info)).await;
        let reregistered: FrameworkReregisteredMessage = driver.hears().await;
        assert_eq!(reregistered.framework_id, registered.framework_id);
        assert!(is_connected(&cluster).await);
    });
}
