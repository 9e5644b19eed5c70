//! The optimizer against brute force on small problems: bound ≤ optimum ≤ cost, always; cost = optimum, mostly.

#![expect(clippy::print_stdout, reason = "measurements are shown, not asserted")]

use std::time::Duration;

use plimsoll::domain::catalog::{CapacityType, Catalog, NodeOffer, PriceSource};
use plimsoll::domain::clock::{StopRule, Stopped as StoppedClock};
use plimsoll::domain::menu::{Basis, DeclaredReason, Menu, MenuEntry};
use plimsoll::domain::plan::{NodeState, Plan};
use plimsoll::domain::policy::{
    Behavior, Costs, DisruptionLimits, MetricMapping, Mode, Objective, Planning, Policy, Target, WorkloadSelector,
};
use plimsoll::domain::resources::{CPU, MEMORY, PODS, Resources};
use plimsoll::domain::rules::{HOSTNAME_LABEL, INSTANCE_TYPE_LABEL, LabelSelector, PodAffinityTerm, ZONE_LABEL};
use plimsoll::domain::snapshot::{Amount, Node, Pod, PodTemplate, Snapshot, Workload, WorkloadId};
use plimsoll::optimize;
use proptest::prelude::*;

/// A cluster small enough to enumerate.
#[derive(Debug, Clone)]
struct Case {
    /// Offer of each node that stands.
    nodes: Vec<usize>,
    offers: Vec<SmallOffer>,
    workloads: Vec<SmallWorkload>,
    moves: u32,
    drains: u32,
}

#[derive(Debug, Clone)]
struct SmallOffer {
    cores: i64,
    gib: i64,
    price: f64,
    spot: bool,
    quota: Option<u32>,
}

#[derive(Debug, Clone)]
struct SmallWorkload {
    quarter_cores: i64,
    gib: i64,
    /// Nodes its pods have now; `None` is pending.
    pods: Vec<Option<usize>>,
    /// `(replicas, risk cost)`; the first keeps what is there.
    menu: Vec<(u32, f64)>,
    exclusive: bool,
    no_spot: bool,
}

impl SmallWorkload {
    fn move_price(&self) -> f64 {
        MOVE_PER_CORE * (self.quarter_cores as f64 / 4.0).max(0.1) / AMORTISE_HOURS
    }
}

const MOVE_PER_CORE: f64 = 0.02;
const NODE_CHANGE: f64 = 0.1;
const AMORTISE_HOURS: f64 = 2.0;
const UNPLACED: f64 = 50.0;

fn case() -> impl Strategy<Value = Case> {
    let offer = (1i64..=6, 1i64..=8, 1u32..40, any::<bool>(), proptest::option::weighted(0.3, 0u32..3)).prop_map(
        |(cores, gib, cents, spot, quota)| SmallOffer { cores, gib, price: f64::from(cents) / 20.0, spot, quota },
    );
    let workload = (
        1i64..=12,
        1i64..=4,
        proptest::collection::vec(proptest::option::of(0usize..3), 0..=3),
        proptest::collection::vec((0u32..=3, 0u32..30), 0..=2),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(quarter_cores, gib, pods, menu, exclusive, no_spot)| {
            let mut entries = vec![(pods.len() as u32, 0.5)];
            for (replicas, cost) in menu {
                if entries.iter().all(|(r, _)| *r != replicas) {
                    entries.push((replicas, f64::from(cost) / 20.0));
                }
            }
            SmallWorkload { quarter_cores, gib, pods, menu: entries, exclusive, no_spot }
        });
    (
        proptest::collection::vec(0usize..3, 0..=3),
        proptest::collection::vec(offer, 1..=3),
        proptest::collection::vec(workload, 1..=3),
        0u32..=4,
        0u32..=3,
    )
        .prop_map(|(nodes, offers, workloads, moves, drains)| {
            let nodes = nodes.into_iter().map(|offer| offer % offers.len()).collect();
            settle(Case { nodes, offers, workloads, moves, drains })
        })
}

/// Keeps pods only where they may be and where there is room, as a scheduler would have put them.
fn settle(mut case: Case) -> Case {
    let offers = &case.offers;
    let mut room: Vec<(i64, i64)> = case.nodes.iter().map(|o| (offers[*o].cores * 4, offers[*o].gib)).collect();
    for workload in &mut case.workloads {
        let mut taken = Vec::new();
        for pod in &mut workload.pods {
            *pod = pod.filter(|node| {
                let Some(offer) = case.nodes.get(*node) else { return false };
                let (cpu, gib) = room[*node];
                let stays = workload.quarter_cores <= cpu
                    && workload.gib <= gib
                    && !(workload.no_spot && offers[*offer].spot)
                    && !(workload.exclusive && taken.contains(node));
                if stays {
                    room[*node] = (cpu - workload.quarter_cores, gib - workload.gib);
                    taken.push(*node);
                }
                stays
            });
        }
    }
    case
}

fn id(index: usize) -> WorkloadId {
    WorkloadId { namespace: "default".to_owned(), kind: "Deployment".to_owned(), name: format!("w{index}") }
}

fn requests(workload: &SmallWorkload) -> Resources {
    Resources::of([(CPU, workload.quarter_cores * 250), (MEMORY, workload.gib << 30)])
}

fn allocatable(offer: &SmallOffer) -> Resources {
    Resources::of([(CPU, offer.cores * 1000), (MEMORY, offer.gib << 30), (PODS, 10)])
}

fn capacity_type(offer: &SmallOffer) -> CapacityType {
    if offer.spot { CapacityType::Spot } else { CapacityType::OnDemand }
}

fn snapshot(case: &Case) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (index, offer_index) in case.nodes.iter().enumerate() {
        let offer = &case.offers[*offer_index];
        let name = format!("node-{index}");
        let instance_type = format!("offer-{offer_index}");
        let labels = [
            (HOSTNAME_LABEL, name.clone()),
            (INSTANCE_TYPE_LABEL, instance_type.clone()),
            (ZONE_LABEL, "a".to_owned()),
            ("spot", offer.spot.to_string()),
        ];
        snapshot.nodes.push(Node {
            name,
            labels: labels.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
            taints: Vec::new(),
            unschedulable: false,
            ready: true,
            allocatable: allocatable(offer),
            zone: "a".to_owned(),
            instance_type,
            capacity_type: capacity_type(offer),
            created_ms: None,
            do_not_disrupt: false,
        });
    }
    for (index, workload) in case.workloads.iter().enumerate() {
        add_workload(&mut snapshot, index, workload);
    }
    snapshot
}

fn add_workload(snapshot: &mut Snapshot, index: usize, workload: &SmallWorkload) {
    let mut template =
        PodTemplate { namespace: "default".to_owned(), requests: requests(workload), ..PodTemplate::default() };
    template.labels.insert("app".to_owned(), format!("w{index}"));
    let selector = LabelSelector { match_labels: template.labels.clone(), match_expressions: Vec::new() };
    if workload.exclusive {
        template.rules.pod_anti_affinity.push(PodAffinityTerm {
            topology_key: HOSTNAME_LABEL.to_owned(),
            selector: Some(selector.clone()),
            namespaces: Vec::new(),
            namespace_selector: None,
        });
    }
    if workload.no_spot {
        template.rules.node_selector.insert("spot".to_owned(), "false".to_owned());
    }
    snapshot.templates.push(template);
    snapshot.workloads.push(Workload {
        id: id(index),
        replicas: workload.pods.len() as u32,
        labels: std::collections::BTreeMap::new(),
        selector,
        template: Some(index),
        scalable: true,
        daemon: false,
        batch: false,
    });
    for (number, node) in workload.pods.iter().enumerate() {
        snapshot.pods.push(Pod {
            namespace: "default".to_owned(),
            name: format!("w{index}-{number}"),
            uid: String::new(),
            workload: id(index),
            template: index,
            node: node.map(|n| format!("node-{n}")),
            ready: node.is_some(),
            deleting: false,
            do_not_evict: false,
            deletion_cost: 0,
            created_ms: None,
            scheduled_ms: None,
            ready_ms: None,
            scheduler_message: None,
        });
    }
}

fn catalog(case: &Case) -> Catalog {
    let offers = case.offers.iter().enumerate().map(|(index, offer)| NodeOffer {
        name: format!("offer-{index}"),
        zones: vec!["a".to_owned()],
        capacity_type: capacity_type(offer),
        price_per_hour: offer.price,
        allocatable: allocatable(offer),
        labels: [("spot".to_owned(), offer.spot.to_string())].into_iter().collect(),
        taints: Vec::new(),
        quota: offer.quota,
        boot_time_s: 60.0,
    });
    Catalog { name: "test".to_owned(), prices: PriceSource::Listed, offers: offers.collect() }
}

fn menus(case: &Case) -> Vec<Menu> {
    let entry = |workload: &SmallWorkload, (replicas, cost): (u32, f64)| MenuEntry {
        replicas,
        requests: requests(workload),
        risk: None,
        risk_cost_per_hour: cost,
        basis: Basis::Declared { reason: DeclaredReason::Current },
    };
    let menus = case.workloads.iter().enumerate().map(|(index, workload)| Menu {
        workload: id(index),
        entries: workload.menu.iter().map(|choice| entry(workload, *choice)).collect(),
        current: Some(0),
    });
    menus.collect()
}

fn policy(case: &Case) -> Policy {
    let target = Target {
        name: "all".to_owned(),
        selects: WorkloadSelector::default(),
        min_replicas: 0,
        max_replicas: 100,
        scale_replicas: true,
        resize_requests: false,
        min_requests: Resources::default(),
        max_requests: Resources::default(),
        objective: Objective::Utilisation { share: 0.6 },
        max_risk: 1.0,
        behavior: Behavior::default(),
        spread: None,
        max_spot_share: None,
        zone_loss: None,
        max_unavailable: None,
    };
    Policy {
        name: "test".to_owned(),
        source: "test".to_owned(),
        mode: Mode::Recommend,
        targets: vec![target],
        disruption: DisruptionLimits {
            max_moves: Amount::Count(case.moves),
            max_drains: Amount::Count(case.drains),
            max_waves: 10,
            remove_nodes: true,
            add_nodes: true,
        },
        costs: Costs {
            move_per_core: MOVE_PER_CORE,
            node_change: NODE_CHANGE,
            breach_per_replica_hour: 1.0,
            unplaced_per_hour: UNPLACED,
            amortise_hours: AMORTISE_HOURS,
        },
        planning: Planning {
            step_ms: 60_000,
            horizon_s: 3600,
            lead_time_s: 300,
            memory_margin: 0.1,
            estimate_per_core_hour: 0.03,
            estimate_per_gib_hour: 0.004,
            estimate_per_gpu_hour: 1.0,
        },
        metrics: MetricMapping::default(),
        events: Vec::new(),
        places: std::collections::BTreeMap::new(),
    }
}

fn solve(case: &Case) -> Plan {
    let (snapshot, catalog, policy, menus) = (snapshot(case), catalog(case), policy(case), menus(case));
    let stop = StopRule { time_limit: Duration::from_mins(1), gap: 0.0, seed: 7, threads: 1 };
    optimize::plan(&snapshot, &catalog, &policy, &menus, &stop, &StoppedClock, &mut |_| ()).expect("prices are sound")
}

/// A node in the enumeration.
#[derive(Clone)]
struct Shelf {
    offer: usize,
    stands: bool,
    quarter_cores: i64,
    gib: i64,
    /// Pods of each workload on it.
    pods: Vec<u32>,
}

impl Shelf {
    fn new(case: &Case, offer: usize, stands: bool) -> Self {
        let facts = &case.offers[offer];
        let pods = vec![0; case.workloads.len()];
        Self { offer, stands, quarter_cores: facts.cores * 4, gib: facts.gib, pods }
    }

    fn admits(&self, case: &Case, workload: usize) -> bool {
        let facts = &case.workloads[workload];
        facts.quarter_cores <= self.quarter_cores
            && facts.gib <= self.gib
            && !(facts.no_spot && case.offers[self.offer].spot)
            && !(facts.exclusive && self.pods[workload] > 0)
    }

    fn put(&mut self, case: &Case, workload: usize) {
        self.quarter_cores -= case.workloads[workload].quarter_cores;
        self.gib -= case.workloads[workload].gib;
        self.pods[workload] += 1;
    }

    fn take(&mut self, case: &Case, workload: usize) {
        self.quarter_cores += case.workloads[workload].quarter_cores;
        self.gib += case.workloads[workload].gib;
        self.pods[workload] -= 1;
    }
}

/// The optimum by enumeration: every menu choice, every pod on every node that stands or is bought, or nowhere.
struct Enumeration<'a> {
    case: &'a Case,
    shelves: Vec<Shelf>,
    /// `(workload, node now)` in order; those to come have none.
    pods: Vec<(usize, Option<usize>)>,
    surplus: Vec<u32>,
    moves: u32,
    best: f64,
}

fn optimum(case: &Case) -> f64 {
    let mut best = f64::INFINITY;
    let mut choice = vec![0; case.workloads.len()];
    loop {
        let risk: f64 = case.workloads.iter().zip(&choice).map(|(w, c)| w.menu[*c].1).sum();
        let mut pods = Vec::new();
        let mut surplus = Vec::new();
        for (index, workload) in case.workloads.iter().enumerate() {
            let replicas = workload.menu[choice[index]].0 as usize;
            pods.extend(workload.pods.iter().map(|node| (index, *node)));
            pods.extend((workload.pods.len()..replicas).map(|_| (index, None)));
            surplus.push(workload.pods.len().saturating_sub(replicas) as u32);
        }
        let shelves = case.nodes.iter().map(|offer| Shelf::new(case, *offer, true)).collect();
        let mut enumeration = Enumeration { case, shelves, pods, surplus, moves: 0, best };
        enumeration.descend(0, risk);
        best = enumeration.best;
        let Some(digit) = (0..choice.len()).find(|d| choice[*d] + 1 < case.workloads[*d].menu.len()) else {
            return best;
        };
        choice[digit] += 1;
        choice[..digit].fill(0);
    }
}

impl Enumeration<'_> {
    fn descend(&mut self, next: usize, cost: f64) {
        if cost + self.least_standing_cost() >= self.best {
            return;
        }
        let Some(&(workload, now)) = self.pods.get(next) else {
            self.best = cost + self.least_standing_cost();
            return;
        };
        if self.surplus[workload] > 0 {
            self.surplus[workload] -= 1;
            self.descend(next + 1, cost);
            self.surplus[workload] += 1;
        }
        for node in 0..self.shelves.len() {
            self.put(node, next, now.is_some_and(|n| n != node), cost);
        }
        for (offer, facts) in self.case.offers.iter().enumerate() {
            let have = self.shelves.iter().filter(|s| s.offer == offer).count() as u32;
            if facts.quota.is_none_or(|quota| have < quota) {
                self.shelves.push(Shelf::new(self.case, offer, false));
                let price = facts.price + NODE_CHANGE / AMORTISE_HOURS;
                self.put(self.shelves.len() - 1, next, now.is_some(), cost + price);
                self.shelves.pop();
            }
        }
        if now.is_none() {
            self.descend(next + 1, cost + UNPLACED);
        }
    }

    fn put(&mut self, node: usize, pod: usize, moves: bool, cost: f64) {
        let workload = self.pods[pod].0;
        if moves && self.moves >= self.case.moves || !self.shelves[node].admits(self.case, workload) {
            return;
        }
        let price = if moves { self.case.workloads[workload].move_price() } else { 0.0 };
        self.moves += u32::from(moves);
        self.shelves[node].put(self.case, workload);
        self.descend(pod + 1, cost + price);
        self.shelves[node].take(self.case, workload);
        self.moves -= u32::from(moves);
    }

    /// Prices of the nodes that stand, the empty ones given back where that pays, as far as drains go. Nodes only
    /// fill up further down, so it is a bound there and exact at the end.
    fn least_standing_cost(&self) -> f64 {
        let standing = || self.shelves.iter().filter(|s| s.stands);
        let cost: f64 = standing().map(|s| self.case.offers[s.offer].price).sum();
        let empty = standing().filter(|s| s.pods.iter().all(|count| *count == 0));
        let mut savings: Vec<f64> = empty
            .map(|s| self.case.offers[s.offer].price - NODE_CHANGE / AMORTISE_HOURS)
            .filter(|saving| *saving > 0.0)
            .collect();
        savings.sort_by(|a, b| b.total_cmp(a));
        cost - savings.iter().take(self.case.drains as usize).sum::<f64>()
    }
}

/// Cost of putting every waiting pod first-fit on what stands, and else on a new node of the first offer that holds it.
fn first_fit(case: &Case) -> f64 {
    let mut shelves: Vec<Shelf> = case.nodes.iter().map(|offer| Shelf::new(case, *offer, true)).collect();
    let mut cost: f64 = case.workloads.iter().map(|w| w.menu[0].1).sum();
    for (index, workload) in case.workloads.iter().enumerate() {
        for node in workload.pods.iter().flatten() {
            shelves[*node].put(case, index);
        }
    }
    for (index, workload) in case.workloads.iter().enumerate() {
        for _ in workload.pods.iter().filter(|p| p.is_none()) {
            if let Some(shelf) = shelves.iter_mut().find(|s| s.admits(case, index)) {
                shelf.put(case, index);
                continue;
            }
            let offer = (0..case.offers.len()).find(|o| {
                let have = shelves.iter().filter(|s| s.offer == *o).count() as u32;
                Shelf::new(case, *o, false).admits(case, index)
                    && case.offers[*o].quota.is_none_or(|quota| have < quota)
            });
            match offer {
                Some(offer) => {
                    shelves.push(Shelf::new(case, offer, false));
                    shelves.last_mut().expect("just pushed").put(case, index);
                }
                None => cost += UNPLACED,
            }
        }
    }
    let price = |s: &Shelf| case.offers[s.offer].price + if s.stands { 0.0 } else { NODE_CHANGE / AMORTISE_HOURS };
    cost + shelves.iter().map(price).sum::<f64>()
}

/// The whole cost, with what no plan can place.
fn cost_of(plan: &Plan) -> f64 {
    plan.certificate.cost_per_hour + plan.certificate.unplaceable_per_hour
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_bound_is_below_the_optimum_and_the_cost_is_not(case in case()) {
        let plan = solve(&case);
        let optimum = optimum(&case);
        let certificate = &plan.certificate;
        prop_assert!(certificate.feasible, "{:?}", certificate.violations);
        // What no plan can place is part of the enumeration's cost, and left out of the certificate's.
        let left_out = certificate.unplaceable_per_hour;
        let (bound, cost) = (certificate.bound_per_hour + left_out, certificate.cost_per_hour + left_out);
        prop_assert!(bound <= optimum + 1e-9, "bound {bound} above the optimum {optimum}");
        prop_assert!(cost >= optimum - 1e-9, "cost {cost} below the optimum {optimum}");
    }

    #[test]
    fn no_plan_is_worse_than_first_fit(case in case()) {
        prop_assert!(cost_of(&solve(&case)) <= first_fit(&case) + 1e-9);
    }

    #[test]
    fn equal_inputs_give_equal_plans(case in case()) {
        prop_assert_eq!(solve(&case), solve(&case));
    }
}

#[test]
fn most_small_problems_are_solved_to_the_optimum() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut reached, mut total, mut excess) = (0, 0, 0.0);
    for _ in 0..200 {
        let case = case().new_tree(&mut runner).expect("a case").current();
        let (plan, optimum) = (solve(&case), optimum(&case));
        let over = cost_of(&plan) - optimum;
        total += 1;
        reached += i32::from(over < 1e-6);
        excess += over.max(0.0) / optimum.max(1e-9);
        assert!(plan.nodes.iter().all(|n| n.state != NodeState::Add || n.name.starts_with("new-offer-")));
    }
    println!("{reached} of {total} at the optimum, mean excess {:.4}", excess / f64::from(total));
    assert!(reached * 10 >= total * 9, "{reached} of {total}");
}

/// Plans a real dump with the built-in policy and a catalog of its own shapes.
fn plan_of_dump(name: &str) -> Option<Plan> {
    use plimsoll::ingest::{Source, catalog, kubernetes};
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/kubernetes").join(name);
    let Ok(source) = Source::read(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    let begun = std::time::Instant::now();
    let snapshot = kubernetes::snapshot(&[source]).expect("a sound dump");
    let policy = plimsoll::policy::default_policy();
    let catalog = catalog::estimated(&snapshot, &policy.planning);
    println!("read in {:.1?}", begun.elapsed());
    let begun = Begun(std::time::Instant::now());
    let mut note = |progress: optimize::Progress| println!("{:.1?} {progress}", begun.0.elapsed());
    let stop = StopRule::default();
    let plan = optimize::plan(&snapshot, &catalog, &policy, &[], &stop, &begun, &mut note).expect("prices are sound");
    println!("planned in {:.1?}: {:#?}", begun.0.elapsed(), plan.certificate);
    Some(plan)
}

struct Begun(std::time::Instant);

impl plimsoll::domain::Clock for Begun {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[test]
fn a_small_dump_of_a_real_cluster_is_planned() {
    let Some(plan) = plan_of_dump("small.json.gz") else { return };
    println!("{:#?} {:#?} {:#?}", plan.unplaced, plan.nodes, plan.binding);
    assert!(plan.certificate.feasible);
    assert!(plan.certificate.bound_per_hour <= plan.certificate.cost_per_hour);
}

#[test]
fn a_large_dump_of_a_real_cluster_is_planned() {
    let Some(plan) = plan_of_dump("openb_default.json.gz") else { return };
    let count = |state| plan.nodes.iter().filter(|n| n.state == state).count();
    println!("added {}, removed {}", count(NodeState::Add), count(NodeState::Remove));
    println!("{:#?} {:#?}", plan.unplaced, plan.binding);
    assert!(plan.certificate.feasible);
    assert!(plan.unplaced.is_empty());
}

/// Pods that wait, nodes of none, offers in three zones: what is bought must keep the spread.
#[test]
fn what_is_bought_from_nothing_keeps_zones_even() {
    use plimsoll::domain::plan::PlacementState;
    use plimsoll::domain::rules::TopologySpread;
    let small = |quarter_cores: i64, pods: usize| SmallWorkload {
        quarter_cores,
        gib: 1,
        pods: vec![None; pods],
        menu: vec![(pods as u32, 0.0)],
        exclusive: false,
        no_spot: false,
    };
    let offer = |cores: i64, price: f64| SmallOffer { cores, gib: 16, price, spot: false, quota: None };
    let case = Case {
        nodes: Vec::new(),
        offers: vec![offer(4, 1.0), offer(8, 1.8)],
        workloads: vec![small(4, 7), small(2, 5), small(6, 4)],
        moves: 0,
        drains: 0,
    };
    let (mut snapshot, mut catalog) = (snapshot(&case), catalog(&case));
    for template in &mut snapshot.templates[..2] {
        let selector = LabelSelector { match_labels: template.labels.clone(), match_expressions: Vec::new() };
        template.rules.topology_spread.push(TopologySpread {
            max_skew: 1,
            topology_key: ZONE_LABEL.to_owned(),
            hard: true,
            selector: Some(selector),
            min_domains: None,
            honor_affinity: true,
            honor_taints: false,
        });
    }
    for offer in &mut catalog.offers {
        offer.zones = ["a", "b", "c"].map(str::to_owned).to_vec();
    }
    let stop = StopRule::default();
    let plan = optimize::plan(&snapshot, &catalog, &policy(&case), &menus(&case), &stop, &StoppedClock, &mut |_| ())
        .expect("prices are sound");
    println!("{:#?}", plan.certificate);
    assert!(plan.certificate.feasible, "{:?}", plan.certificate.violations);
    assert!(plan.unplaced.is_empty(), "{:?}", plan.unplaced);
    assert_eq!(plan.placements.iter().filter(|p| p.state == PlacementState::New).count(), 16);
}
