#![allow(warnings)]
#[path = "../benches/allocation/cluster.rs"]
mod cluster;
#[path = "../tests/model/mod.rs"]
mod model;
struct Settings {
    full: bool,
}
#[inline(never)]
fn the_cycle(core: &mut allocator::Core, now: std::time::Duration) -> Vec<allocator::core::Grant> {
    core.allocate(now, allocator::core::Scope::All)
}
fn main() {
    let a: Vec<usize> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let mut c = cluster::Cluster::new().free(a[0], a[1]);
    for round in 0..a[2] {
        c.now += std::time::Duration::from_secs(1);
        let t = std::time::Instant::now();
        let g = the_cycle(&mut c.core, c.now);
        let took = t.elapsed();
        let t = std::time::Instant::now();
        let o = c.core.offers(&g);
        let o_took = t.elapsed();
        drop(g);
        let t = std::time::Instant::now();
        for (f, roles) in &o {
            for (_r, agents) in roles {
                for (agent, res) in agents {
                    c.core.recover_resources(f, agent, res, None, false, c.now).unwrap();
                }
            }
        }
        println!("{round}: {took:?} offers {o_took:?} back {:?}", t.elapsed());
    }
}
