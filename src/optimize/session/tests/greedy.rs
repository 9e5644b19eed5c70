//! A changed workload against the plainest plan for it, made from plan documents and the whole checker alone.

use super::*;
use crate::domain::plan::{NodePlan, NodeState, Placement, PlacementState, Unplaced};

/// Everything as it was planned, and the workload's own pods that wait put one by one on the first node that the checker
/// lets them go to, else on a new node of the first offer that it lets them go to. Which pods go because there are too
/// many of them is as in the plan `after`.
struct Greedy<'c> {
    cluster: &'c Cluster,
    plan: Plan,
    bought: usize,
}

impl<'c> Greedy<'c> {
    fn new(cluster: &'c Cluster, id: &WorkloadId, before: &Plan, after: &Plan) -> Self {
        let label = format!("{}/{}", id.kind, id.name);
        let mut plan = before.clone();
        let own = after.workloads.iter().find(|w| w.id == *id).expect("planned").clone();
        let replicas = own.replicas as usize;
        *plan.workloads.iter_mut().find(|w| w.id == *id).expect("planned") = own;
        plan.removals.retain(|r| (&r.namespace, &r.workload) != (&id.namespace, &label));
        plan.removals.extend(after.removals.iter().filter(|r| r.workload == label).cloned());
        let (own, others) =
            plan.placements.into_iter().partition(|p| (&p.namespace, &p.workload) == (&id.namespace, &label));
        let own: Vec<Placement> = own;
        plan.placements = others;
        plan.unplaced.retain(|u| (&u.namespace, &u.workload) != (&id.namespace, &label));
        let mut greedy = Self { cluster, plan, bought: 0 };
        let planned = |name: &str| own.iter().find(|p| p.pod == name);
        let existing: Vec<&Pod> = cluster.snapshot.pods.iter().filter(|pod| pod.workload == *id).collect();
        let stays = |pod: &&&Pod| greedy.plan.removals.iter().all(|r| r.pod != pod.name);
        let staying: Vec<&Pod> = existing.iter().filter(stays).copied().collect();
        let mut waiting: Vec<Placement> = Vec::new();
        let place = |pod: &str, node: &str, state, from| Placement {
            namespace: id.namespace.clone(),
            pod: pod.to_owned(),
            workload: label.clone(),
            node: node.to_owned(),
            state,
            from,
        };
        for pod in &staying {
            let node = planned(&pod.name).map(|p| p.node.as_str());
            match (&pod.node, node) {
                (Some(home), Some(node)) if home != node => {
                    greedy.plan.placements.push(place(&pod.name, node, PlacementState::Move, Some(home.clone())));
                }
                (Some(home), _) => {
                    greedy.plan.placements.push(place(&pod.name, home, PlacementState::Stay, None));
                    let home = greedy.plan.nodes.iter_mut().find(|n| n.name == *home).expect("planned");
                    home.state = NodeState::Keep;
                }
                (None, Some(node)) => greedy.plan.placements.push(place(&pod.name, node, PlacementState::New, None)),
                (None, None) => waiting.push(place(&pod.name, "", PlacementState::New, None)),
            }
        }
        let to_come = replicas.saturating_sub(staying.len());
        let known = own.iter().filter(|p| p.state == PlacementState::New && existing.iter().all(|e| e.name != p.pod));
        let known: Vec<Placement> = known.take(to_come).cloned().collect();
        let new =
            (known.len()..to_come).map(|number| place(&format!("greedy-{number}"), "", PlacementState::New, None));
        waiting.extend(new);
        greedy.plan.placements.extend(known);
        let unplaced =
            Unplaced { namespace: id.namespace.clone(), workload: label.clone(), count: 0, reasons: Vec::new() };
        greedy.plan.unplaced.push(Unplaced { count: waiting.len() as u32, ..unplaced });
        for pod in waiting {
            greedy.fit(&pod);
        }
        greedy.plan.unplaced.retain(|unplaced| unplaced.count > 0);
        greedy
    }

    fn is_sound(&self) -> bool {
        let Cluster { snapshot, catalog, policy, menus } = self.cluster;
        check(snapshot, catalog, policy, menus, &self.plan).violations.is_empty()
    }

    /// Puts the pod on the node, unless the checker finds anything.
    fn tries(&mut self, pod: &Placement, node: &str) -> bool {
        let waiting = self.plan.unplaced.len() - 1;
        self.plan.placements.push(Placement { node: node.to_owned(), ..pod.clone() });
        self.plan.unplaced[waiting].count -= 1;
        let sound = self.is_sound();
        if !sound {
            self.plan.placements.pop();
            self.plan.unplaced[waiting].count += 1;
        }
        sound
    }

    fn fit(&mut self, pod: &Placement) {
        let mut nodes: Vec<String> =
            self.plan.nodes.iter().filter(|n| n.state != NodeState::Remove).map(|n| n.name.clone()).collect();
        nodes.sort_by_key(|name| (name.starts_with("new-") || name.starts_with("bought-"), name.len(), name.clone()));
        if nodes.iter().any(|node| self.tries(pod, node)) || self.cluster.snapshot.workloads.iter().any(|w| w.daemon) {
            return;
        }
        for offer in &self.cluster.catalog.offers {
            for zone in &offer.zones {
                self.bought += 1;
                let name = format!("bought-{}", self.bought);
                self.plan.nodes.push(NodePlan {
                    name: name.clone(),
                    offer: offer.name.clone(),
                    zone: zone.clone(),
                    capacity_type: offer.capacity_type,
                    state: NodeState::Add,
                    price_per_hour: offer.price_per_hour,
                    allocatable: offer.allocatable.clone(),
                    used_now: Resources::default(),
                    used: Resources::default(),
                });
                if self.tries(pod, &name) {
                    return;
                }
                self.plan.nodes.pop();
            }
        }
    }
}

#[test]
fn a_changed_workload_never_costs_more_than_as_it_was_and_placed_greedily() {
    let (mut compared, mut cheaper) = (0, 0);
    for seed in 0..cases(60) {
        // What is compared is one choice: what the workload declares.
        let mut cluster = Cluster { menus: Vec::new(), ..cluster(seed) };
        // Volumes are found pod by pod, as kube-scheduler does; the checker is content if each claim could have one.
        cluster.snapshot.templates.iter_mut().for_each(|template| template.rules.volumes.to_bind.clear());
        // No plan gives away what pods of a DaemonSet leave of a quota on nodes that go; the checker would let it.
        if cluster.snapshot.workloads.iter().any(|workload| workload.daemon) {
            cluster.snapshot.quotas.clear();
        }
        let (mut session, mut before) = begin(&cluster);
        let mut rng = Pcg64Mcg::seed_from_u64(seed ^ 0x9e);
        for step in 0..8 {
            let change = change(&mut rng, &session);
            if change.menu.is_some() {
                continue;
            }
            session.change(&change).expect("a change that fits");
            cluster.snapshot = session.snapshot().clone();
            let after = session.plan();
            let greedy = Greedy::new(&cluster, &change.workload, &before, &after);
            let Cluster { snapshot, catalog, policy, menus } = &cluster;
            let report = check(snapshot, catalog, policy, menus, &greedy.plan);
            if before.certificate.feasible && report.violations.is_empty() {
                let certificate = &after.certificate;
                let (cost, plain) = (certificate.cost_per_hour + certificate.unplaceable_per_hour, report.cost.total());
                assert!(certificate.feasible, "seed {seed}, step {step}: {change:?}");
                assert!(
                    cost <= plain + 1e-9,
                    "seed {seed}, step {step}: {cost} is more than {plain}: {change:?}\n{:?}\n{:?}",
                    certificate.cost,
                    report.cost
                );
                compared += 1;
                cheaper += usize::from(cost < plain - 1e-6);
            }
            before = after;
        }
    }
    assert!(compared > 100 && cheaper > 10, "{compared} compared, {cheaper} of them cheaper");
}
