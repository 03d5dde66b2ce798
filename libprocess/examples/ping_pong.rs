//! Two actors play ping-pong. Each lives on a node of its own; the ball goes to and fro over loopback.
//!
//! Run it with `cargo run -p libprocess --example ping_pong`. `libprocess/README.md` explains what it uses.

use std::net::SocketAddr;

use libprocess::{Context, DecodeError, Encoding, Handle, Install, Node, Pid, Process, WireMessage};

/// The ball: how often it was hit.
struct Ball(u32);
libprocess::messages! { Ball; }

impl WireMessage for Ball {
    const NAME: &'static str = "example.Ball";
    // Real messages are protobuf. This one is a number, as text.
    fn encode(&self, _: Encoding) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }
    fn decode(_: Encoding, bytes: &[u8]) -> Result<Ball, DecodeError> {
        let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
        number.map(Ball).ok_or_else(|| DecodeError::new("expected a number"))
    }
}

/// An actor. What it says when it hits the ball is all its state.
struct Player(&'static str);

impl Process for Player {
    const NAME: &'static str = "player";
    fn install(install: &mut Install<Self>) {
        install.message::<Ball>();
    }
    fn exited(&mut self, other: &Pid, ctx: &mut Context<Self>) {
        println!("{}: {other} is gone", self.0);
        ctx.terminate();
    }
}

impl Handle<Ball> for Player {
    fn handle(&mut self, Ball(hits): Ball, from: &Pid, ctx: &mut Context<Self>) {
        println!("{} {hits}, from {from}", self.0);
        ctx.link(from); // To be told when the other is gone. A second link changes nothing.
        if hits == 10 { ctx.terminate() } else { ctx.post(from, Ball(hits + 1)) }
    }
}

fn main() -> Result<(), libprocess::StartError> {
    libprocess::run(async {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let here = Node::builder().bind(loopback).start().await?;
        let there = Node::builder().bind(loopback).start().await?;
        let (ping, pong) = (here.spawn(Player("ping")), there.spawn(Player("pong")));
        there.post(pong.pid(), ping.pid(), Ball(1)); // Pong serves.
        println!("pong: {:?}", pong.wait().await);
        there.shutdown().await; // Its connections close, and that breaks ping's link.
        println!("ping: {:?}", ping.wait().await);
        here.shutdown().await;
        Ok(())
    })
}
