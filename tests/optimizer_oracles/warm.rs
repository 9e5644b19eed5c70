//! A kept session on small problems: the same workload changed in the case and in the session, then brute force again.

use std::collections::BTreeMap;

use plimsoll::domain::clock::{StopRule, Stopped as StoppedClock};
use plimsoll::domain::plan::{NodeState, Plan};
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
                change.came.push(self.pod(workload, &name, node));
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

    fn pod(&self, workload: usize, name: &str, node: Option<usize>) -> Pod {
        Pod {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            uid: String::new(),
            workload: id(workload),
            template: workload,
            node: node.map(|node| format!("node-{node}")),
            ready: node.is_some(),
            deleting: false,
            do_not_evict: false,
            deletion_cost: 0,
            created_ms: None,
            scheduled_ms: None,
            ready_ms: None,
            scheduler_message: None,
        }
    }

    /// Cost of leaving all but the workload as it was planned, and putting its pods, as many as stand, where they were
    /// planned or stand, and else first-fit. `None` where that breaks a rule.
    fn greedily(&self, workload: usize, plan: &Plan) -> Option<f64> {
        let case = &self.case;
        let workload = workload % case.workloads.len();
        let offer_of = |name: &str| name.strip_prefix("offer-").and_then(|n| n.parse::<usize>().ok());
        let (mut shelves, mut numbers) = (Vec::new(), BTreeMap::new());
        for state in [NodeState::Keep, NodeState::Add] {
            for node in plan.nodes.iter().filter(|n| n.state == state) {
                numbers.insert(node.name.clone(), shelves.len());
                shelves.push(Shelf::new(case, offer_of(&node.offer)?, state == NodeState::Keep));
            }
        }
        let mut removed = plan.nodes.iter().filter(|n| n.state == NodeState::Remove).count();
        let mut cost = 0.0;
        let mut moves = 0;
        for (index, other) in case.workloads.iter().enumerate() {
            let planned = plan.workloads.iter().find(|w| w.id == id(index))?;
            let replicas = if index == workload { other.pods.len() as u32 } else { planned.replicas };
            cost += other.menu.iter().find(|(r, _)| *r == replicas)?.1;
        }
        let mut first_fit = Vec::new();
        let own = &case.workloads[workload];
        for (name, now) in self.names[workload].iter().zip(&own.pods) {
            let planned = plan.placements.iter().find(|p| p.pod == *name).map(|p| p.node.clone());
            let planned = planned.and_then(|node| numbers.get(&node).copied());
            let home = now.map(|node| format!("node-{node}"));
            match (planned, home) {
                (Some(shelf), home) => {
                    let stays = home.is_none_or(|home| numbers.get(&home) == Some(&shelf));
                    moves += u32::from(!stays);
                    cost += if stays { 0.0 } else { own.move_price() };
                    shelves[shelf].put(case, workload);
                }
                (None, Some(home)) => {
                    let shelf = *numbers.entry(home).or_insert_with(|| {
                        removed -= 1;
                        shelves.push(Shelf::new(case, case.nodes[now.unwrap_or(0)], true));
                        shelves.len() - 1
                    });
                    shelves[shelf].put(case, workload);
                }
                (None, None) => first_fit.push(()),
            }
        }
        for (index, other) in case.workloads.iter().enumerate().filter(|(index, _)| *index != workload) {
            let label = format!("Deployment/w{index}");
            for placement in plan.placements.iter().filter(|p| p.workload == label) {
                shelves[*numbers.get(&placement.node)?].put(case, index);
                let moved = placement.from.is_some();
                moves += u32::from(moved);
                cost += if moved { other.move_price() } else { 0.0 };
            }
            let unplaced = plan.unplaced.iter().filter(|u| u.workload == label);
            cost += UNPLACED * unplaced.map(|u| f64::from(u.count)).sum::<f64>();
        }
        let broken = |shelf: &Shelf| {
            shelf.quarter_cores < 0
                || shelf.gib < 0
                || shelf.pods.iter().zip(&case.workloads).any(|(pods, w)| w.exclusive && *pods > 1)
        };
        if moves > case.moves || shelves.iter().any(broken) {
            return None;
        }
        for () in first_fit {
            if let Some(shelf) = shelves.iter_mut().find(|shelf| shelf.admits(case, workload)) {
                shelf.put(case, workload);
                continue;
            }
            let offer = (0..case.offers.len()).find(|offer| {
                let have = shelves.iter().filter(|s| s.offer == *offer).count() as u32;
                Shelf::new(case, *offer, false).admits(case, workload)
                    && case.offers[*offer].quota.is_none_or(|quota| have < quota)
            });
            match offer {
                Some(offer) => {
                    let mut shelf = Shelf::new(case, offer, false);
                    shelf.put(case, workload);
                    shelves.push(shelf);
                }
                None => cost += UNPLACED,
            }
        }
        let bought = shelves.iter().filter(|s| !s.stands).count();
        let prices: f64 = shelves.iter().map(|s| case.offers[s.offer].price).sum();
        Some(cost + prices + NODE_CHANGE / AMORTISE_HOURS * (bought + removed) as f64)
    }
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
            let greedy = twin.greedily(workload, &plan);
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
            if let Some(greedy) = greedy {
                prop_assert!(cost <= greedy + 1e-9, "cost {cost}, placed greedily {greedy}");
            }
        }
    }
}
