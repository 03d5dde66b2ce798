//! Two nodes in one process: one actor pings, the other answers, over a real connection.
//!
//! Run it with `cargo run -p libprocess --example ping_pong`.

use std::net::SocketAddr;
use std::time::Duration;

use libprocess::{
    Context, DecodeError, Encoding, Handle, Install, Node, Pid, Process, WireMessage, messages,
};

#[derive(Clone)]
struct Ping(u32);
struct Pong(u32);
#[derive(Clone)]
struct Tick;

messages! { Ping; Pong; Tick; }

// A real message is generated from protobuf; these write their number as text.
macro_rules! number_on_the_wire {
    ($message:ident) => {
        impl WireMessage for $message {
            const NAME: &'static str = concat!("example.", stringify!($message));
            fn encode(&self, _: Encoding) -> Vec<u8> {
                self.0.to_string().into_bytes()
            }
            fn decode(_: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
                let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
                number.map($message).ok_or_else(|| DecodeError::new("expected a number"))
            }
        }
    };
}
number_on_the_wire!(Ping);
number_on_the_wire!(Pong);

/// Answers.
struct Ponger;

impl Process for Ponger {
    const NAME: &'static str = "ponger";
    fn install(install: &mut Install<Self>) {
        install.message::<Ping>();
    }
}

impl Handle<Ping> for Ponger {
    fn handle(&mut self, Ping(number): Ping, from: &Pid, ctx: &mut Context<Self>) {
        ctx.post(from, Pong(number));
    }
}

/// Asks every 100 ms, and ends after the fifth answer.
struct Pinger {
    ponger: Pid,
    sent: u32,
}

impl Process for Pinger {
    const NAME: &'static str = "pinger";
    fn install(install: &mut Install<Self>) {
        install.message::<Pong>();
    }
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.link(&self.ponger);
        ctx.every(Duration::from_millis(100), Tick);
    }
    fn exited(&mut self, pid: &Pid, ctx: &mut Context<Self>) {
        println!("lost {pid}");
        ctx.terminate();
    }
}

impl Handle<Tick> for Pinger {
    fn handle(&mut self, _: Tick, _: &Pid, ctx: &mut Context<Self>) {
        self.sent += 1;
        ctx.post(&self.ponger, Ping(self.sent));
    }
}

impl Handle<Pong> for Pinger {
    fn handle(&mut self, Pong(number): Pong, from: &Pid, ctx: &mut Context<Self>) {
        println!("pong {number} from {from}");
        if number == 5 {
            ctx.terminate();
        }
    }
}

fn main() -> Result<(), libprocess::StartError> {
    libprocess::run(async {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let (near, far) =
            (Node::builder().bind(anywhere).start().await?, Node::builder().bind(anywhere).start().await?);
        let ponger = far.spawn(Ponger);
        let pinger = near.spawn(Pinger { ponger: ponger.pid().clone(), sent: 0 });
        println!("the pinger ended: {:?}", pinger.wait().await);
        near.shutdown().await;
        far.shutdown().await;
        Ok(())
    })
}
