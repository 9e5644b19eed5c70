//! The optimum by enumeration, and first fit.

use super::case::*;

/// A node in the enumeration.
#[derive(Clone)]
pub(super) struct Shelf {
    pub(super) offer: usize,
    pub(super) stands: bool,
    pub(super) quarter_cores: i64,
    pub(super) gib: i64,
    /// Pods of each workload on it.
    pub(super) pods: Vec<u32>,
    /// Those of them that come and had no node.
    new: Vec<u32>,
}

impl Shelf {
    pub(super) fn new(case: &Case, offer: usize, stands: bool) -> Self {
        let facts = &case.offers[offer];
        let pods = vec![0; case.workloads.len()];
        Self { offer, stands, quarter_cores: facts.cores * 4, gib: facts.gib, new: pods.clone(), pods }
    }

    pub(super) fn admits(&self, case: &Case, workload: usize) -> bool {
        let facts = &case.workloads[workload];
        facts.quarter_cores <= self.quarter_cores
            && facts.gib <= self.gib
            && !(facts.no_spot && case.offers[self.offer].spot)
            && !(facts.exclusive && self.pods[workload] > 0)
            && (!facts.volume || self.volumes(case) < self.most_volumes(case))
    }

    fn volumes(&self, case: &Case) -> i64 {
        let pods = self.pods.iter().zip(&case.workloads).filter(|(_, workload)| workload.volume);
        pods.map(|(pods, _)| i64::from(*pods)).sum()
    }

    /// What a node of the offer's kind that stands holds is what one that is bought will.
    fn most_volumes(&self, case: &Case) -> i64 {
        if case.nodes.contains(&self.offer) { most_volumes(self.offer) } else { i64::MAX }
    }

    /// Price an hour of the preferences that its pods miss.
    fn unmet(&self, case: &Case) -> f64 {
        let spot = case.offers[self.offer].spot;
        let of = |(pods, workload): (&u32, &SmallWorkload)| {
            let node = workload.rather_no_spot.filter(|_| spot).unwrap_or(0);
            let others = workload.rather_apart.filter(|_| *pods > 1).unwrap_or(0);
            f64::from(*pods) * f64::from(node + others)
        };
        self.pods.iter().zip(&case.workloads).map(of).sum::<f64>() * case.preference / 100.0
    }

    pub(super) fn put(&mut self, case: &Case, workload: usize) {
        self.quarter_cores -= case.workloads[workload].quarter_cores;
        self.gib -= case.workloads[workload].gib;
        self.pods[workload] += 1;
    }

    pub(super) fn take(&mut self, case: &Case, workload: usize) {
        self.quarter_cores += case.workloads[workload].quarter_cores;
        self.gib += case.workloads[workload].gib;
        self.pods[workload] -= 1;
    }
}

/// The optimum by enumeration: every menu choice, every pod on every node that stands or is bought, or nowhere.
pub(super) struct Enumeration<'a> {
    pub(super) case: &'a Case,
    pub(super) shelves: Vec<Shelf>,
    /// `(workload, node now)` in order; those to come have none.
    pub(super) pods: Vec<(usize, Option<usize>)>,
    pub(super) surplus: Vec<u32>,
    /// Workloads that do not shrink.
    keeps: Vec<bool>,
    pub(super) moves: u32,
    /// Workload and node of each pod that is stopped for others.
    stopped: Vec<(usize, usize)>,
    /// Pods of each workload that come to a node.
    pub(super) came: Vec<u32>,
    /// Quarters of a core that pods ask for that exist and stay, or come.
    pub(super) charged: i64,
    pub(super) best: f64,
}

pub(super) fn optimum(case: &Case) -> f64 {
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
        let came = vec![0; case.workloads.len()];
        let charged = now(case);
        let keeps = surplus.iter().map(|surplus| *surplus == 0).collect();
        let mut enumeration =
            Enumeration { case, keeps, shelves, pods, surplus, moves: 0, came, charged, best, stopped: Vec::new() };
        enumeration.descend(0, risk);
        best = enumeration.best;
        let Some(digit) = (0..choice.len()).find(|d| choice[*d] + 1 < case.workloads[*d].menu.len()) else {
            return best;
        };
        choice[digit] += 1;
        choice[..digit].fill(0);
    }
}

/// What is charged to the quota now.
fn now(case: &Case) -> i64 {
    case.workloads.iter().map(|w| w.quarter_cores * w.pods.len() as i64).sum()
}

impl Enumeration<'_> {
    /// Whether as many pods went as are too many, and the quota and the gangs let the others be where they are.
    fn is_allowed(&self) -> bool {
        let most = self.case.quota.unwrap_or(i64::MAX).max(now(self.case));
        let placed = |workload: usize| self.shelves.iter().map(|s| s.pods[workload]).sum::<u32>();
        let complete = |(index, workload): (usize, &SmallWorkload)| {
            self.came[index] == 0 || workload.gang.is_none_or(|least| placed(index) >= least)
        };
        // Whoever is stopped makes room for a more important pod that comes there.
        let takes = |(workload, node): (usize, usize)| {
            let workloads = &self.case.workloads;
            let mut new = self.shelves[node].new.iter().zip(workloads);
            new.any(|(new, other)| *new > 0 && !other.never_preempts && other.priority > workloads[workload].priority)
        };
        if !self.stopped.iter().copied().all(takes) {
            return false;
        }
        let shrunk = self.surplus.iter().all(|surplus| *surplus == 0);
        shrunk && self.charged <= most && self.case.workloads.iter().enumerate().all(complete)
    }

    pub(super) fn descend(&mut self, next: usize, cost: f64) {
        if cost + self.least_standing_cost() >= self.best {
            return;
        }
        let Some(&(workload, now)) = self.pods.get(next) else {
            let unmet: f64 = self.shelves.iter().map(|shelf| shelf.unmet(self.case)).sum();
            if self.is_allowed() {
                self.best = self.best.min(cost + unmet + self.least_standing_cost());
            }
            return;
        };
        let size = self.case.workloads[workload].quarter_cores;
        if self.surplus[workload] > 0 {
            self.surplus[workload] -= 1;
            self.charged -= size;
            self.descend(next + 1, cost);
            self.charged += size;
            self.surplus[workload] += 1;
        }
        for node in 0..self.shelves.len() {
            self.put(node, next, now != Some(node), cost);
        }
        for (offer, facts) in self.case.offers.iter().enumerate() {
            let have = self.shelves.iter().filter(|s| s.offer == offer).count() as u32;
            if facts.quota.is_none_or(|quota| have < quota) {
                self.shelves.push(Shelf::new(self.case, offer, false));
                let price = facts.price + NODE_CHANGE / AMORTISE_HOURS;
                self.put(self.shelves.len() - 1, next, true, cost + price);
                self.shelves.pop();
            }
        }
        if now.is_none() {
            self.descend(next + 1, cost + self.case.workloads[workload].unplaced_price());
        }
        if let Some(node) = now
            && self.may_stop(workload)
        {
            let facts = &self.case.workloads[workload];
            let price = facts.unplaced_price() + facts.move_price();
            self.stopped.push((workload, node));
            self.moves += 1;
            self.descend(next + 1, cost + price);
            self.moves -= 1;
            self.stopped.pop();
        }
    }

    /// Whether a pod of the workload may be stopped at all: it counts as a move, gangs stay together, and of a workload
    /// that shrinks others would be taken away in its stead.
    fn may_stop(&self, workload: usize) -> bool {
        let keeps = self.keeps[workload];
        self.case.preempts && self.moves < self.case.moves && keeps && self.case.workloads[workload].gang.is_none()
    }

    pub(super) fn put(&mut self, node: usize, pod: usize, comes: bool, cost: f64) {
        let Case { workloads, .. } = self.case;
        let (workload, now) = self.pods[pod];
        let moves = comes && now.is_some();
        // Pods to come are those after the ones that exist.
        let exists = self.pods[..pod].iter().filter(|(of, _)| *of == workload).count() < workloads[workload].pods.len();
        let size = if exists { 0 } else { workloads[workload].quarter_cores };
        if moves && self.moves >= self.case.moves || !self.shelves[node].admits(self.case, workload) {
            return;
        }
        let price = if moves { self.case.workloads[workload].move_price() } else { 0.0 };
        self.moves += u32::from(moves);
        self.came[workload] += u32::from(comes);
        self.charged += size;
        self.shelves[node].put(self.case, workload);
        self.shelves[node].new[workload] += u32::from(now.is_none());
        self.descend(pod + 1, cost + price);
        self.shelves[node].new[workload] -= u32::from(now.is_none());
        self.shelves[node].take(self.case, workload);
        self.charged -= size;
        self.came[workload] -= u32::from(comes);
        self.moves -= u32::from(moves);
    }

    /// Prices of the nodes that stand, the empty ones given back where that pays, as far as drains go. Nodes only
    /// fill up further down, so it is a bound there and exact at the end.
    pub(super) fn least_standing_cost(&self) -> f64 {
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
pub(super) fn first_fit(case: &Case) -> f64 {
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
                None => cost += workload.unplaced_price(),
            }
        }
    }
    let price = |s: &Shelf| case.offers[s.offer].price + if s.stands { 0.0 } else { NODE_CHANGE / AMORTISE_HOURS };
    cost + shelves.iter().map(price).sum::<f64>()
}
