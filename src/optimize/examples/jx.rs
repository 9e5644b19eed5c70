#[path = "../../../benches/optimize/joint.rs"]
mod joint;
use std::time::{Duration, Instant};
use plimsoll_domain::clock::{Clock, StopRule};
struct Begun(Instant);
impl Clock for Begun { fn elapsed(&self) -> Duration { self.0.elapsed() } }
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let n = |i: usize, d: usize| a.get(i).and_then(|s| s.parse().ok()).unwrap_or(d);
    let size = joint::Size { services: n(1, 50), types: n(2, 20), zones: n(3, 3) };
    let case = joint::joint(size, n(4, 1) as u64);
    let policy = joint::policy();
    println!("{} nodes {} pods", case.snapshot.nodes.len(), case.snapshot.pods.len());
    let begun = Begun(Instant::now());
    let stop = StopRule { time_limit: Duration::from_secs(n(5, 30) as u64), gap: 0.001 * n(6, 5) as f64, seed: 1, threads: 2 };
    let plan = plimsoll_optimize::plan(&case.snapshot, &case.catalog, &policy, &case.menus, &stop, &begun,
        &mut |p| println!("{:6.2} {p}", begun.elapsed().as_secs_f64())).unwrap();
    let c = &plan.certificate;
    println!("cost {:.3} bound {:.3} gap {:.2}% model {:.2}% packing {:.2}% feasible {} {:?} now {:.3} parts {:?} {:.1}s",
        c.cost_per_hour, c.bound_per_hour, 100.0*c.gap, 100.0*c.model_gap, 100.0*c.packing_gap, c.feasible, c.stopped, c.cost_now.total(), c.cost, begun.elapsed().as_secs_f64());
    let count = |s| plan.nodes.iter().filter(|n| n.state == s).count();
    use plimsoll_domain::plan::*;
    println!("keep {} add {} remove {} moves {} new {} unplaced {:?} {:?}", count(NodeState::Keep), count(NodeState::Add), count(NodeState::Remove),
        plan.placements.iter().filter(|p| p.state==PlacementState::Move).count(), plan.placements.iter().filter(|p| p.state==PlacementState::New).count(), plan.unplaced.len(), c.violations.iter().take(3).collect::<Vec<_>>());
}
