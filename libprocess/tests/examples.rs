//! The example that the README sends newcomers to: it is short, it runs, and it ends by itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use harness::example::example;

#[test]
fn two_actors_play_ping_pong() {
    let output = example("ping_pong").output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = printed.lines().collect();
    for (hits, line) in (1..=10).zip(&lines) {
        let player = if hits % 2 == 1 { "ping" } else { "pong" };
        assert!(line.starts_with(&format!("{player} {hits}, from player@127.0.0.1:")), "{printed}");
    }
    assert_eq!(lines[10], "pong: Terminated");
    assert!(lines[11].starts_with("ping: player@") && lines[11].ends_with(" is gone"), "{printed}");
    assert_eq!((lines[12], lines.len()), ("ping: Terminated", 13));
}

#[test]
fn the_example_is_short() {
    let lines = include_str!("../examples/ping_pong.rs").lines().count();
    assert!(lines <= 60, "{lines} lines");
}
