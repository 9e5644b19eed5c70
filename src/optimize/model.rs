//! Stage 2, the program: replicas × sizes × pools in one model. `docs/model.md` states each row and why it holds for
//! every concrete plan.

use std::collections::BTreeMap;

use crate::domain::problem::{Constraint, GroupSummary, PoolSummary, Problem, Quantity, Sense, Variable};
use crate::domain::resources::{CPU, MEMORY};

use super::instance::Instance;
use super::pools::Pool;
use super::relations::Relations;
use super::rules;

/// The program for the instance.
pub(super) fn build(instance: &Instance<'_>, pools: &[Pool], relations: &Relations) -> Problem {
    let mut model = Model::new(instance, pools);
    model.nodes();
    for group in 0..instance.groups.len() {
        model.group(group);
    }
    model.capacity();
    model.changes();
    rules::add(&mut model, relations);
    model.problem
}

/// The program in the making, with its variables found by what they count.
pub(super) struct Model<'a> {
    pub(super) instance: &'a Instance<'a>,
    pub(super) pools: &'a [Pool],
    pub(super) problem: Problem,
    index: BTreeMap<Quantity, usize>,
    /// Replica variables of each group: `(template, size, pool, variable)`.
    pub(super) replicas: Vec<Vec<(usize, usize, usize, usize)>>,
}

impl<'a> Model<'a> {
    fn new(instance: &'a Instance<'a>, pools: &'a [Pool]) -> Self {
        let groups = instance.groups.iter().map(|g| GroupSummary {
            workload: g.id.clone(),
            options: g
                .options
                .iter()
                .map(|o| {
                    (o.replicas, g.template.map_or_else(Default::default, |t| instance.named(g.demand(t, o.size))))
                })
                .collect(),
        });
        let summaries = pools.iter().map(|p| PoolSummary {
            name: p.name.clone(),
            zone: instance.sites[p.site].zone.clone(),
            capacity_type: instance.sites[p.site].capacity_type,
            purchasable: p.purchasable,
            standing: p.nodes.len() as u32,
            price_per_hour: p.price_per_hour,
        });
        let problem = Problem { groups: groups.collect(), pools: summaries.collect(), ..Problem::default() };
        Self { instance, pools, problem, index: BTreeMap::new(), replicas: vec![Vec::new(); instance.groups.len()] }
    }

    pub(super) fn variable(&mut self, quantity: Quantity, lower: f64, upper: f64, integer: bool, cost: f64) -> usize {
        let index = self.problem.variables.len();
        self.problem.variables.push(Variable { quantity, lower, upper: upper.max(lower), integer, cost });
        self.index.insert(quantity, index);
        index
    }

    pub(super) fn find(&self, quantity: Quantity) -> Option<usize> {
        self.index.get(&quantity).copied()
    }

    pub(super) fn row(&mut self, name: String, terms: Vec<(usize, f64)>, sense: Sense, right: f64) -> &mut Constraint {
        let rows = &mut self.problem.constraints;
        rows.push(Constraint { name, rule: None, unit: "unit".to_owned(), terms, sense, right });
        let last = rows.len() - 1;
        &mut rows[last]
    }

    /// Terms of `Σ_k amount(replicas of k) · y_k` over the group's options of a size (all sizes if `None`), with the
    /// constant that stands for them where the group has but one option.
    pub(super) fn per_choice(
        &self,
        group: usize,
        size: Option<usize>,
        amount: impl Fn(u32) -> f64,
    ) -> (Vec<(usize, f64)>, f64) {
        let options = &self.instance.groups[group].options;
        if let [only] = options.as_slice() {
            let value = if size.is_none_or(|s| s == only.size) { amount(only.replicas) } else { 0.0 };
            return (Vec::new(), value);
        }
        let taken = options.iter().enumerate().filter(|(_, o)| size.is_none_or(|s| s == o.size));
        let terms = taken
            .filter_map(|(option, o)| self.find(Quantity::Choice { group, option }).map(|y| (y, amount(o.replicas))));
        (terms.collect(), 0.0)
    }

    fn nodes(&mut self) {
        let change = self.instance.node_change_price();
        let most_pods: u32 =
            self.instance.groups.iter().map(super::instance::Group::most_replicas).fold(0, u32::saturating_add);
        for (index, pool) in self.pools.iter().enumerate() {
            let standing = pool.nodes.len() as f64;
            let quantity = Quantity::Nodes { pool: index };
            if pool.purchasable {
                // A quota also counts nodes that stand, which may go: the row below says so.
                let upper = f64::from(most_pods);
                self.variable(quantity, 0.0, upper, true, pool.price_per_hour + change);
            } else if pool.elastic {
                let kept = self.variable(quantity, 0.0, standing, true, pool.price_per_hour - change);
                self.problem.constant += change * standing;
                let mut terms = vec![(kept, 1.0)];
                for content in &pool.contents {
                    let quantity = Quantity::Drained { node: content.nodes[0] };
                    terms.push((self.variable(quantity, 0.0, content.nodes.len() as f64, true, 0.0), 1.0));
                }
                self.row(format!("nodes/{}", pool.name), terms, Sense::Equal, standing);
            } else {
                self.problem.constant += pool.price_per_hour * standing;
            }
        }
        for (index, pool) in self.pools.iter().enumerate().filter(|(_, p)| p.purchasable) {
            let Some(left) = pool.most else { continue };
            let site = &self.instance.sites[pool.site];
            let same: Vec<(usize, f64)> = self
                .pools
                .iter()
                .enumerate()
                .filter(|(_, p)| !p.purchasable && p.elastic)
                .filter(|(_, p)| {
                    let other = &self.instance.sites[p.site];
                    other.offer == site.offer && other.zone == site.zone && other.capacity_type == site.capacity_type
                })
                .filter_map(|(i, p)| Some((self.find(Quantity::Nodes { pool: i })?, p.nodes.len() as f64)))
                .collect();
            let right = f64::from(left) + same.iter().map(|(_, n)| n).sum::<f64>();
            let own = self.find(Quantity::Nodes { pool: index });
            let terms = same.iter().map(|(v, _)| (*v, 1.0)).chain(own.map(|v| (v, 1.0))).collect();
            let name = format!("quota/{}/{}/{}", site.offer, site.zone, site.capacity_type);
            let row = self.row(name.clone(), terms, Sense::AtMost, right);
            row.rule = Some(name);
            "node".clone_into(&mut row.unit);
        }
    }

    fn group(&mut self, index: usize) {
        let instance = self.instance;
        let group = &instance.groups[index];
        if let [only] = group.options.as_slice() {
            self.problem.constant += only.risk_cost_per_hour;
        } else {
            let mut terms = Vec::new();
            for (option, choice) in group.options.iter().enumerate() {
                let quantity = Quantity::Choice { group: index, option };
                terms.push((self.variable(quantity, 0.0, 1.0, true, choice.risk_cost_per_hour), 1.0));
            }
            self.row(format!("menu/{}/{}", group.id.namespace, group.label()), terms, Sense::Equal, 1.0);
        }
        if group.most_replicas() == 0 && group.pods.is_empty() {
            return;
        }
        for &template in &group.templates {
            for size in 0..group.sizes.len() {
                self.replica_variables(index, template, size);
            }
        }
        let full_name = format!("{}/{}", group.id.namespace, group.label());
        let price = group.templates.iter().map(|t| instance.unplaced_price(*t)).fold(f64::INFINITY, f64::min);
        let price = if price.is_finite() { price } else { instance.policy.costs.unplaced_per_hour };
        for size in 0..group.sizes.len() {
            let quantity = Quantity::Unplaced { group: index, size };
            let unplaced = self.variable(quantity, 0.0, f64::from(group.most_replicas()), true, price);
            let placed = self.replicas[index].iter().filter(|(_, s, _, _)| *s == size).map(|(_, _, _, v)| (*v, 1.0));
            let mut terms: Vec<(usize, f64)> = placed.chain([(unplaced, 1.0)]).collect();
            let placed = |replicas: u32| f64::from(replicas.saturating_sub(group.elsewhere));
            let (chosen, right) = self.per_choice(index, Some(size), placed);
            terms.extend(chosen.into_iter().map(|(v, a)| (v, -a)));
            self.row(format!("replicas/{full_name}/{size}"), terms, Sense::Equal, right);
        }
        if group.templates.len() > 1 {
            for &template in group.templates.iter().filter(|t| Some(**t) != group.template) {
                let pods = group.pods.iter().filter(|p| instance.pods[**p].template == template).count();
                let terms = self.replicas[index].iter().filter(|(t, ..)| *t == template).map(|(.., v)| (*v, 1.0));
                let terms = terms.collect();
                self.row(format!("template/{full_name}/{template}"), terms, Sense::AtMost, pods as f64);
            }
        }
    }

    /// A variable for each pool that admits the pods, or that has some of them.
    fn replica_variables(&mut self, group_index: usize, template: usize, size: usize) {
        let instance = self.instance;
        let group = &instance.groups[group_index];
        let demand = group.demand(template, size);
        let most = f64::from(group.most_replicas());
        let may_move_in = group.template == Some(template)
            || group.pods.iter().any(|p| {
                let pod = &instance.pods[*p];
                pod.template == template && pod.standing != super::instance::Standing::Fixed
            });
        // With nothing but fixed pods no pod ever goes elsewhere.
        let settled = group.fixed >= group.most_replicas();
        for (pool_index, pool) in self.pools.iter().enumerate().filter(|(_, p)| p.joins.is_none()) {
            let key = (group_index, template);
            let standing = f64::from(pool.standing.get(&key).copied().unwrap_or(0));
            let fixed = f64::from(pool.fixed.get(&key).copied().unwrap_or(0));
            let open = may_move_in
                && !settled
                && instance.sites[pool.site].accepts_new
                && demand.iter().zip(&pool.largest).all(|(d, room)| *d <= 0 || d <= room)
                && self.pool_admits(pool, template);
            if !open && standing == 0.0 {
                continue;
            }
            let upper = if open { most } else { standing };
            let lower = if group.sizes.len() == 1 { fixed } else { 0.0 };
            let quantity = Quantity::Replicas { group: group_index, size, template, pool: pool_index };
            let variable = self.variable(quantity, lower, upper, true, 0.0);
            self.replicas[group_index].push((template, size, pool_index, variable));
        }
    }

    /// Whether any node of the pool admits the template.
    pub(super) fn pool_admits(&self, pool: &Pool, template: usize) -> bool {
        let instance = self.instance;
        let admits = |site: usize| instance.shapes.admits(instance.snapshot, template, &instance.sites[site]);
        if instance.shapes.names_nodes(template) && !pool.nodes.is_empty() {
            pool.nodes.iter().any(|n| admits(*n))
        } else {
            admits(pool.site)
        }
    }

    /// Whether every node of the pool admits the template.
    pub(super) fn pool_admits_all(&self, pool: &Pool, template: usize) -> bool {
        let instance = self.instance;
        let admits = |site: usize| instance.shapes.admits(instance.snapshot, template, &instance.sites[site]);
        if instance.shapes.names_nodes(template) { pool.nodes.iter().all(|n| admits(*n)) } else { admits(pool.site) }
    }

    /// Numbers of nodes whose pods are counted in the pool: its own, and those bought that are just like them.
    pub(super) fn nodes_of(&self, pool: usize) -> impl Iterator<Item = usize> {
        let joining = (pool..self.pools.len()).filter(move |p| *p == pool || self.pools[*p].joins == Some(pool));
        joining.filter_map(|pool| self.find(Quantity::Nodes { pool }))
    }

    fn capacity(&mut self) {
        let mut terms: Vec<Vec<Vec<(usize, f64)>>> =
            vec![vec![Vec::new(); self.instance.resources.len()]; self.pools.len()];
        for (index, group) in self.instance.groups.iter().enumerate() {
            for &(template, size, pool, variable) in &self.replicas[index] {
                for (resource, amount) in group.demand(template, size).iter().enumerate().filter(|(_, a)| **a > 0) {
                    terms[pool][resource].push((variable, *amount as f64));
                }
            }
        }
        for (index, rows) in terms.into_iter().enumerate() {
            let pool = &self.pools[index];
            for (resource, mut terms) in rows.into_iter().enumerate().filter(|(_, terms)| !terms.is_empty()) {
                let name = self.instance.resources[resource];
                let (scale, unit) = scale_of(name);
                for term in &mut terms {
                    term.1 /= scale;
                }
                let room = pool.room[resource] as f64 / scale;
                let right = if pool.elastic {
                    terms.extend(self.nodes_of(index).map(|v| (v, -room)));
                    0.0
                } else {
                    room
                };
                let rule = format!("{name} of pool {}", pool.name);
                let row = self.row(format!("capacity/{}/{name}", pool.name), terms, Sense::AtMost, right);
                row.rule = Some(rule);
                row.unit = format!("{unit} in pool {}", pool.name);
            }
        }
    }

    /// The group's pods on nodes that are given back leave them, though perhaps for others of the pool.
    fn displaced(&mut self, group: usize, pool: &Pool, gone: usize, name: &str) {
        let mut terms: Vec<(usize, f64)> = Vec::new();
        for content in &pool.contents {
            let drained = self.find(Quantity::Drained { node: content.nodes[0] });
            let held = content.pods.get(&group).copied().unwrap_or(0);
            terms.extend(drained.filter(|_| held > 0).map(|v| (v, -f64::from(held))));
        }
        if !terms.is_empty() {
            terms.push((gone, 1.0));
            self.row(format!("displaced/{name}/{}", pool.name), terms, Sense::AtLeast, 0.0);
        }
    }

    /// Moves, drains and the budgets on them.
    fn changes(&mut self) {
        let instance = self.instance;
        let limits = &instance.limits;
        let mut all_moves = Vec::new();
        let mut by_budget: Vec<Vec<(usize, f64)>> = vec![Vec::new(); limits.budgets.len()];
        for (index, group) in instance.groups.iter().enumerate() {
            let movable = group.running.saturating_sub(group.pinned());
            if movable == 0 {
                continue;
            }
            let name = format!("{}/{}", group.id.namespace, group.label());
            let price = group
                .pods
                .iter()
                .map(|p| instance.move_price(&instance.pods[*p].demand))
                .chain(group.demands.values().map(|d| instance.move_price(d)))
                .fold(f64::INFINITY, f64::min);
            let allowed = limits.group_moves[index].map_or(movable, |most| most.min(movable));
            let moved = self.variable(Quantity::Moved { group: index }, 0.0, f64::from(allowed), false, price);
            let mut leaving = Vec::new();
            for (pool_index, pool) in self.pools.iter().enumerate() {
                let here = |of: &BTreeMap<(usize, usize), u32>| -> u32 {
                    group.templates.iter().filter_map(|t| of.get(&(index, *t))).sum()
                };
                let (standing, fixed) = (here(&pool.standing), here(&pool.fixed));
                if standing == fixed {
                    continue;
                }
                let quantity = Quantity::Leaving { group: index, pool: pool_index };
                let gone = self.variable(quantity, 0.0, f64::from(standing - fixed), false, 0.0);
                let here = self.replicas[index].iter().filter(|(_, _, p, _)| *p == pool_index);
                let terms = here.map(|(.., v)| (*v, 1.0)).chain([(gone, 1.0)]).collect();
                self.row(format!("leaving/{name}/{}", pool.name), terms, Sense::AtLeast, f64::from(standing));
                self.displaced(index, pool, gone, &name);
                leaving.push((gone, 1.0));
            }
            let existing = group.pods.len() as u32;
            let (removed, right) =
                self.per_choice(index, None, |replicas| f64::from(existing.saturating_sub(replicas)));
            leaving.push((moved, -1.0));
            leaving.extend(removed.into_iter().map(|(v, a)| (v, -a)));
            self.row(format!("moves/{name}"), leaving, Sense::AtMost, right);
            all_moves.push((moved, 1.0));
            for (budget, terms) in by_budget.iter_mut().enumerate() {
                // A workload that may grow may have more to spare than it has now.
                let sized = group.options.len() == 1;
                if sized && group.templates.iter().all(|t| limits.budgets_of(*t).contains(&budget)) {
                    terms.push((moved, 1.0));
                }
            }
            if group.sizes.len() > 1 && group.fixed > 0 {
                for (pool_index, pool) in self.pools.iter().enumerate() {
                    let fixed: u32 = group.templates.iter().filter_map(|t| pool.fixed.get(&(index, *t))).sum();
                    if fixed > 0 {
                        let here = self.replicas[index].iter().filter(|(_, _, p, _)| *p == pool_index);
                        let terms = here.map(|(.., v)| (*v, 1.0)).collect();
                        self.row(format!("fixed/{name}/{}", pool.name), terms, Sense::AtLeast, f64::from(fixed));
                    }
                }
            }
        }
        let limited = |model: &mut Self, name: String, terms: Vec<(usize, f64)>, sense, right: f64, unit: &str| {
            if !terms.is_empty() {
                let row = model.row(name.clone(), terms, sense, right);
                row.rule = Some(name);
                unit.clone_into(&mut row.unit);
            }
        };
        limited(self, "disruption.maxMoves".to_owned(), all_moves, Sense::AtMost, f64::from(limits.moves), "move");
        for (budget, terms) in limits.budgets.iter().zip(by_budget) {
            let name = format!("budget {}", budget.name);
            limited(self, name, terms, Sense::AtMost, f64::from(budget.most_moves), "move");
        }
        let drainable: Vec<(usize, f64)> = self
            .pools
            .iter()
            .enumerate()
            .filter(|(_, p)| p.elastic && !p.purchasable)
            .filter_map(|(i, _)| self.find(Quantity::Nodes { pool: i }).map(|v| (v, 1.0)))
            .collect();
        let standing: f64 = drainable.iter().map(|(v, _)| self.problem.variables[*v].upper).sum();
        let kept = standing - f64::from(limits.drains);
        limited(self, "disruption.maxDrains".to_owned(), drainable, Sense::AtLeast, kept, "drain");
    }
}

/// What a capacity row counts in, so that its numbers are near one, and what one is called.
pub(super) fn scale_of(resource: &str) -> (f64, &str) {
    match resource {
        CPU => (1000.0, "core"),
        MEMORY => (f64::from(1 << 30), "GiB"),
        _ if resource.contains("storage") || resource.starts_with("hugepages-") => (f64::from(1 << 30), "GiB"),
        _ => (1.0, resource),
    }
}
