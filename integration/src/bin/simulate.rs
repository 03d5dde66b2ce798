//! Runs simulated clusters: `cargo run --release -p integration --bin simulate -- --seeds 1000`.

use std::process::ExitCode;

fn main() -> ExitCode {
    integration::simulation::command::main(std::env::args().skip(1))
}
