//! A framework of the failure test (`integration/tests/chaos.rs`), which starts, kills and restarts this program.

fn main() {
    let orders = std::env::args().nth(1).expect("the test gives orders");
    integration::chaos::scheduler::main(&orders);
}
