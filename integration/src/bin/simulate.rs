//! Runs simulated clusters: `cargo run --release -p integration --bin simulate -- --seeds 1000`.

use std::process::ExitCode;

/// What the daemons have.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    integration::simulation::command::main(std::env::args().skip(1))
}
