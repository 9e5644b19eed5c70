//! A kept session on small problems: the same workload changed in the case and in the session, then brute force again.

use plimsoll::domain::clock::{StopRule, Stopped as StoppedClock};
use plimsoll::domain::snapshot::Pod;
use plimsoll::optimize::check::check;
use plimsoll::optimize::session::{Change, Session};
use proptest::prelude::*;

use super::case::*;
use super::enumeration::*;

/// What happens to a workload.
#[derive(Debug, Clone)]
enum Step {
    /// Its menu beside what stands: replicas and risk cost in twentieths.
    Menu(Vec<(u32, u32)>),
    /// A pod comes, on a node if it has room.
    Came(Option<usize>),
    /// One of its pods goes.
    Gone(usize),
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let step = prop_oneof![
        proptest::collection::vec((0u32..=4, 0u32..30), 0..=3).prop_map(Step::Menu),
        proptest::option::of(0usize..3).prop_map(Step::Came),
        (0usize..4).prop_map(Step::Gone),
    ];
    (0usize..3, step)
}

/// A case with the names that the session's pods have.
struct Twin {
    case: Case,
    names: Vec<Vec<String>>,
    made: usize,
}

impl Twin {
    fn new(case: Case) -> Self {
        let names = |(index, workload): (usize, &SmallWorkload)| {
            (0..workload.pods.len()).map(|number| format!("w{index}-{number}")).collect()
        };
        let names = case.workloads.iter().enumerate().map(names).collect();
        Self { case, names, made: 0 }
    }

    /// Does the step to the case; the change that tells the session of it.
    fn take(&mut self, workload: usize, step: &Step) -> Change {
        let workload = workload % self.case.workloads.len();
        let mut change = Change::of(id(workload));
        match step {
            Step::Menu(entries) => {
                let own = &mut self.case.workloads[workload];
                own.menu.truncate(1);
                for &(replicas, cost) in entries {
                    if own.menu.iter().all(|(r, _)| *r != replicas) {
                        own.menu.push((replicas, f64::from(cost) / 20.0));
                    }
                }
            }
            // Enumeration takes too long with more.
            Step::Came(_) if self.case.workloads.iter().map(|w| w.pods.len()).sum::<usize>() >= 7 => {}
            Step::Came(node) => {
                let node = node.filter(|node| self.has_room(workload, *node));
                let name = format!("w{workload}-came-{}", self.made);
                self.made += 1;
                change.came.push(pod(workload, &name, node));
                self.names[workload].push(name);
                self.case.workloads[workload].pods.push(node);
            }
            Step::Gone(pod) => {
                let pods = &mut self.case.workloads[workload].pods;
                if !pods.is_empty() {
                    let pod = pod % pods.len();
                    pods.remove(pod);
                    change.gone.push(self.names[workload].remove(pod));
                }
            }
        }
        let own = &mut self.case.workloads[workload];
        let declared = own.pods.len() as u32;
        own.menu[0].0 = declared;
        let mut first = true;
        own.menu.retain(|(replicas, _)| std::mem::take(&mut first) || *replicas != declared);
        change.replicas = Some(declared);
        change.menu = Some(menus(&self.case).swap_remove(workload));
        change
    }

    fn has_room(&self, workload: usize, node: usize) -> bool {
        let Some(&offer) = self.case.nodes.get(node) else { return false };
        let mut shelf = Shelf::new(&self.case, offer, true);
        for (index, other) in self.case.workloads.iter().enumerate() {
            other.pods.iter().filter(|pod| **pod == Some(node)).for_each(|_| shelf.put(&self.case, index));
        }
        shelf.admits(&self.case, workload)
    }
}

fn pod(workload: usize, name: &str, node: Option<usize>) -> Pod {
    Pod::plain(id(workload), name, workload, node.map(|node| format!("node-{node}")).as_deref())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_each_change_the_plan_keeps_every_rule_and_the_bound_is_below_the_optimum(
        case in case(),
        steps in proptest::collection::vec(step(), 1..=6),
    ) {
        let (catalog, policy) = (catalog(&case), policy(&case));
        let stop = StopRule { gap: 0.0, seed: 7, threads: 1, ..StopRule::default() };
        let begun = Session::new(
            snapshot(&case), catalog.clone(), policy.clone(), menus(&case), &stop, &StoppedClock, &mut |_| (),
        );
        let (mut session, mut plan) = begun.expect("prices are sound");
        let mut twin = Twin::new(case);
        for (workload, step) in steps {
            let change = twin.take(workload, &step);
            let changes = session.change(&change).expect("a change that fits");
            changes.apply(&mut plan);
            let certificate = &changes.certificate;
            let report = check(session.snapshot(), &catalog, &policy, session.menus(), &plan);
            prop_assert!(report.violations.is_empty() && certificate.feasible, "{:?}", report.violations);
            let left_out = certificate.unplaceable_per_hour;
            let (bound, cost) = (certificate.bound_per_hour + left_out, certificate.cost_per_hour + left_out);
            prop_assert!((cost - report.cost.total()).abs() < 1e-9, "{cost} is not {:?}", report.cost);
            let optimum = optimum(&twin.case);
            prop_assert!(bound <= optimum + 1e-9, "bound {bound} above the optimum {optimum}");
            prop_assert!(cost >= optimum - 1e-9, "cost {cost} below the optimum {optimum}");
        }
    }
}
