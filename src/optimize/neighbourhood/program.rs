//! The integer program of a neighbourhood: pods by kin and place, nodes on or off, steps of menus, moves and every limit
//! as the rest of the plan leaves it. What stands now is one of its points, so its optimum is never worse.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::CapacityType;
use crate::domain::problem::{Constraint, Problem, Quantity, Sense, Variable};

use super::super::occupancy::Occupancy;
use super::survey::{Kin, Rest, Survey};

/// The program, with what its variables stand for and the values that change nothing.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) problem: Problem,
    /// One value a variable.
    pub(super) still: Vec<f64>,
    pub(super) columns: Columns,
}

/// Variables of the program by what they count.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    /// Whether a place is open, by place; `None` where that is not decided.
    pub(super) open: Vec<Option<usize>>,
    /// Pods of a kin at a place, by (kin, place).
    pub(super) at: BTreeMap<(usize, usize), usize>,
    /// Pods of a kin that stay where they are, off the core.
    pub(super) away: BTreeMap<usize, usize>,
    /// Pods of a kin without a node.
    pub(super) nowhere: BTreeMap<usize, usize>,
    /// Steps of menus, by (group, option).
    pub(super) choice: BTreeMap<(usize, usize), usize>,
}

/// The program of the surveyed neighbourhood.
pub(super) fn program(occupancy: &Occupancy<'_>, survey: &Survey) -> Program {
    let mut draft =
        Draft { occupancy, survey, problem: Problem::default(), still: Vec::new(), columns: Columns::default() };
    draft.places();
    draft.choices();
    draft.pods();
    draft.numbers();
    draft.capacity();
    draft.exclusions();
    draft.spreads();
    draft.policies();
    draft.moves();
    draft.nodes();
    Program { problem: draft.problem, still: draft.still, columns: draft.columns }
}

struct Draft<'s, 'a> {
    occupancy: &'s Occupancy<'a>,
    survey: &'s Survey,
    problem: Problem,
    still: Vec<f64>,
    columns: Columns,
}

type Terms = Vec<(usize, f64)>;

impl Draft<'_, '_> {
    fn variable(&mut self, quantity: Quantity, upper: f64, cost: f64, now: f64) -> usize {
        self.problem.variables.push(Variable { quantity, lower: 0.0, upper: upper.max(now), integer: true, cost });
        self.still.push(now);
        self.still.len() - 1
    }

    fn row(&mut self, terms: Terms, sense: Sense, right: f64) {
        if !terms.is_empty() {
            let (name, unit) = (String::new(), String::new());
            self.problem.constraints.push(Constraint { name, rule: None, unit, terms, sense, right });
        }
    }

    fn places(&mut self) {
        let instance = self.occupancy.instance;
        let change = instance.node_change_price();
        for (number, place) in self.survey.places.iter().enumerate() {
            let stands = place.node.is_some_and(|n| !self.occupancy.nodes[n].bought);
            let price = instance.sites[place.site].price_per_hour + if stands { -change } else { change };
            let now = f64::from(u8::from(place.open));
            let column = place.may_change.then(|| self.variable(Quantity::Nodes { pool: number }, 1.0, price, now));
            self.columns.open.push(column);
        }
    }

    fn choices(&mut self) {
        for (&group, rest) in self.survey.groups.iter().filter(|(_, rest)| rest.flexible) {
            let facts = &self.occupancy.instance.groups[group];
            let now = self.occupancy.choices[group];
            let mut terms = Terms::new();
            for (option, choice) in facts.options.iter().enumerate() {
                let least = rest.existing.max(facts.fixed);
                let can_be = choice.size == facts.options[now].size && choice.replicas >= least;
                if can_be || option == now {
                    let taken = f64::from(u8::from(option == now));
                    let quantity = Quantity::Choice { group, option };
                    let column = self.variable(quantity, 1.0, choice.risk_cost_per_hour, taken);
                    self.columns.choice.insert((group, option), column);
                    terms.push((column, 1.0));
                }
            }
            self.row(terms, Sense::Equal, 1.0);
        }
    }

    /// `Σ_k amount(replicas of k) · y_k` over the steps the group may take, with the constant that stands for it where
    /// there is no choice.
    fn per_choice(&self, group: usize, amount: impl Fn(u32) -> f64) -> (Terms, f64) {
        let facts = &self.occupancy.instance.groups[group];
        let columns = self.columns.choice.range((group, 0)..(group + 1, 0));
        let terms: Terms = columns.map(|((_, o), column)| (*column, amount(facts.options[*o].replicas))).collect();
        let fixed =
            if terms.is_empty() { self.occupancy.choice(group).map_or(0.0, |c| amount(c.replicas)) } else { 0.0 };
        (terms, fixed)
    }

    /// Pods of the kin there may be.
    fn most(&self, kin: &Kin, pods: &[usize]) -> u32 {
        if kin.existing {
            return pods.len() as u32;
        }
        let facts = &self.occupancy.instance.groups[kin.group];
        let rest = &self.survey.groups[&kin.group];
        let most = if rest.flexible { facts.most_replicas() } else { 0 };
        most.saturating_sub(facts.pods.len() as u32).saturating_sub(rest.new).max(pods.len() as u32)
    }

    fn pods(&mut self) {
        let instance = self.occupancy.instance;
        for (number, (kin, pods)) in self.survey.kins.iter().enumerate() {
            let most = self.most(kin, pods);
            let size = self.occupancy.choice(kin.group).map_or(0, |c| c.size);
            let demand = self.demand(number);
            let price = match pods.first() {
                Some(pod) if kin.has_origin => self.occupancy.move_price(&self.occupancy.pods[*pod]),
                _ => 0.0,
            };
            let quantity = |pool| Quantity::Replicas { group: kin.group, size, template: kin.template, pool };
            for place in 0..self.survey.places.len() {
                let home = kin.home == Some(place);
                if kin.away.is_some() && !home {
                    continue;
                }
                let now = pods.iter().filter(|p| self.stands_at(**p, place)).count() as f64;
                let fits = self.fits(&demand, place);
                let open = (home || self.admits(kin.template, place)) && fits > 0;
                if open || now > 0.0 {
                    let upper = if open { f64::from(most).min(fits as f64) } else { 0.0 };
                    let column = self.variable(quantity(place), upper, if home { 0.0 } else { price }, now);
                    self.columns.at.insert((number, place), column);
                }
            }
            let count = |wanted: &dyn Fn(usize) -> bool| pods.iter().filter(|p| wanted(**p)).count() as f64;
            if let Some(node) = kin.away {
                let now = count(&|p| self.occupancy.pods[p].node == Some(node));
                let column = self.variable(quantity(usize::MAX), now, price, now);
                self.columns.away.insert(number, column);
            }
            let waiting = count(&|p| self.occupancy.pods[p].node.is_none() && !self.occupancy.pods[p].removed);
            if waiting > 0.0 {
                let quantity = Quantity::Unplaced { group: kin.group, size };
                let column = self.variable(quantity, waiting, instance.unplaced_price(kin.template), waiting);
                self.columns.nowhere.insert(number, column);
            }
        }
    }

    fn stands_at(&self, pod: usize, place: usize) -> bool {
        let node = self.survey.places[place].node;
        node.is_some() && self.occupancy.pods[pod].node == node
    }

    /// How many pods of the demand the place's room is for.
    fn fits(&self, demand: &[i64], place: usize) -> i64 {
        let asks = demand.iter().zip(&self.survey.places[place].room).filter(|(amount, _)| **amount > 0);
        asks.map(|(amount, room)| room.max(&0) / amount).min().unwrap_or(i64::from(u32::MAX))
    }

    fn admits(&self, template: usize, place: usize) -> bool {
        let instance = self.occupancy.instance;
        let site = &instance.sites[self.survey.places[place].site];
        site.accepts_new && instance.shapes.admits(instance.snapshot, template, site)
    }

    /// Every column of the kin.
    fn of_kin(&self, number: usize) -> impl Iterator<Item = usize> {
        let at = self.columns.at.range((number, 0)..(number + 1, 0)).map(|(_, column)| *column);
        at.chain(self.columns.away.get(&number).copied()).chain(self.columns.nowhere.get(&number).copied())
    }

    /// As many pods as the step taken asks for: of those that exist, and of those to come.
    fn numbers(&mut self) {
        let survey = self.survey;
        for (number, (kin, pods)) in survey.kins.iter().enumerate() {
            let terms: Terms = self.of_kin(number).map(|column| (column, 1.0)).collect();
            let flexible = survey.groups[&kin.group].flexible;
            let sense = if flexible { Sense::AtMost } else { Sense::Equal };
            let most = f64::from(self.most(kin, pods));
            self.row(terms, sense, most);
        }
        for (&group, rest) in survey.groups.iter().filter(|(_, rest)| rest.flexible) {
            let there = self.occupancy.instance.groups[group].pods.len() as u32;
            for (existing, others) in [(true, rest.existing), (false, rest.new)] {
                let amount = |replicas: u32| {
                    f64::from(if existing { replicas.min(there) } else { replicas.saturating_sub(there) })
                };
                let (chosen, fixed) = self.per_choice(group, amount);
                let kins = survey.kins.iter().enumerate();
                let of_group = kins.filter(|(_, (kin, _))| kin.group == group && kin.existing == existing);
                let placed = of_group.flat_map(|(number, _)| self.of_kin(number)).map(|column| (column, 1.0));
                let terms: Terms = placed.chain(chosen.into_iter().map(|(v, a)| (v, -a))).collect();
                self.row(terms, Sense::Equal, fixed - f64::from(others));
            }
        }
    }

    /// Columns of free pods at the place, with the kin of each.
    fn at_place(&self, place: usize) -> impl Iterator<Item = (usize, &Kin, usize)> {
        let survey = self.survey;
        let kins = survey.kins.iter().enumerate();
        kins.filter_map(move |(number, (kin, _))| Some((number, kin, *self.columns.at.get(&(number, place))?)))
    }

    fn demand(&self, number: usize) -> Vec<i64> {
        let (kin, pods) = &self.survey.kins[number];
        if let Some(pod) = pods.first() {
            return self.occupancy.pods[*pod].demand.to_vec();
        }
        let size = self.occupancy.choice(kin.group).map_or(0, |c| c.size);
        self.occupancy.instance.groups[kin.group].demand(kin.template, size).to_vec()
    }

    fn capacity(&mut self) {
        let demands: Vec<Vec<i64>> = (0..self.survey.kins.len()).map(|kin| self.demand(kin)).collect();
        for place in 0..self.survey.places.len() {
            let here: Vec<(usize, usize)> = self.at_place(place).map(|(kin, _, column)| (kin, column)).collect();
            let room = &self.survey.places[place].room;
            for (resource, room) in room.iter().enumerate() {
                // Where all that could come fits, the row says nothing but that the node is on.
                let scale = (*room).max(1) as f64;
                let amounts = here.iter().filter(|(kin, _)| demands[*kin][resource] > 0);
                let mut terms: Terms =
                    amounts.map(|(kin, column)| (*column, demands[*kin][resource] as f64 / scale)).collect();
                if terms.is_empty() {
                    continue;
                }
                let used: f64 = terms.iter().map(|(column, amount)| amount * self.still[*column]).sum();
                let share = if *room > 0 { 1.0_f64.max(used) } else { used };
                let right = self.when_open(place, &mut terms, share);
                self.row(terms, Sense::AtMost, right);
            }
        }
    }

    /// `right` where the place is open and else 0: a constant, or a term of the row.
    fn when_open(&self, place: usize, terms: &mut Terms, right: f64) -> f64 {
        match self.columns.open[place] {
            Some(open) => {
                terms.push((open, -right));
                0.0
            }
            None => right,
        }
    }

    /// Pods that exclude one another: one a node.
    fn exclusions(&mut self) {
        let relations = self.occupancy.relations;
        let kins = self.survey.kins.iter();
        let counters: BTreeSet<usize> = kins.flat_map(|(kin, _)| relations.exclusive_on_hosts(kin.template)).collect();
        for counter in counters {
            for place in 0..self.survey.places.len() {
                let mine = |kin: &Kin| relations.templates[kin.template].anti_affinity.contains(&counter);
                let mut terms: Terms =
                    self.at_place(place).filter(|(_, kin, _)| mine(kin)).map(|(.., column)| (column, 1.0)).collect();
                if terms.is_empty() {
                    continue;
                }
                let now: f64 = terms.iter().map(|(column, _)| self.still[*column]).sum();
                let crowd = self.survey.places[place].node.map_or(0, |n| self.occupancy.crowd(counter, n));
                let others = f64::from(crowd) - now;
                let most = if others > 0.0 { now } else { now.max(1.0) };
                let right = self.when_open(place, &mut terms, most);
                self.row(terms, Sense::AtMost, right);
            }
        }
    }

    /// Spread over domains other than nodes: within the skew, or what it is now.
    fn spreads(&mut self) {
        let relations = self.occupancy.relations;
        let kins = self.survey.kins.iter();
        let counters = kins.flat_map(|(kin, _)| relations.counted_by(kin.template, Some(kin.group)));
        let spreads: BTreeSet<usize> =
            counters.flat_map(|counter| relations.evenness_of_counter[counter].iter().copied()).collect();
        for spread in spreads {
            let rule = relations.evenness[spread];
            let counted = |kin: &Kin| relations.counted_by(kin.template, Some(kin.group)).any(|c| c == rule.counter);
            let mut domains: BTreeMap<usize, (Terms, f64)> = BTreeMap::new();
            for place in 0..self.survey.places.len() {
                let Some(domain) = self.occupancy.domain_of(spread, self.survey.places[place].site) else { continue };
                let columns: Vec<usize> =
                    self.at_place(place).filter(|(_, kin, _)| counted(kin)).map(|(.., column)| column).collect();
                let (terms, now) = domains.entry(domain).or_default();
                *now += columns.iter().map(|column| self.still[*column]).sum::<f64>();
                terms.extend(columns.into_iter().map(|column| (column, 1.0)));
            }
            for (&kin, &column) in &self.columns.away {
                let (facts, _) = &self.survey.kins[kin];
                let Some(site) = facts.away.map(|n| self.occupancy.nodes[n].site).filter(|_| counted(facts)) else {
                    continue;
                };
                let Some(domain) = self.occupancy.domain_of(spread, site) else { continue };
                let (terms, now) = domains.entry(domain).or_default();
                *now += self.still[column];
                terms.push((column, 1.0));
            }
            self.spread(f64::from(rule.max_skew), &self.occupancy.pods_in_domains(spread), &domains);
        }
    }

    fn spread(&mut self, max_skew: f64, pods: &[Option<u32>], domains: &BTreeMap<usize, (Terms, f64)>) {
        let present: Vec<f64> = pods.iter().filter_map(|count| count.map(f64::from)).collect();
        let least = present.iter().copied().fold(f64::INFINITY, f64::min);
        let most = present.iter().copied().fold(0.0, f64::max);
        if !least.is_finite() || domains.values().all(|(terms, _)| terms.is_empty()) {
            return;
        }
        let skew = max_skew.max(most - least);
        let reach: f64 =
            domains.values().flat_map(|(terms, _)| terms).map(|(c, _)| self.problem.variables[*c].upper).sum();
        let quantity = Quantity::SpreadFloor { group: usize::MAX, spread: self.still.len() };
        let floor = self.variable(quantity, least + reach, 0.0, least);
        let nothing = (Terms::new(), 0.0);
        for (domain, count) in pods.iter().enumerate() {
            let (terms, now) = domains.get(&domain).unwrap_or(&nothing);
            // Pods in a domain without an open node are free ones at a place that may open.
            let others = count.map_or(0.0, f64::from) - now;
            let terms: Terms = terms.iter().copied().chain([(floor, -1.0)]).collect();
            if count.is_some() {
                self.row(terms.clone(), Sense::AtLeast, -others);
            }
            self.row(terms, Sense::AtMost, skew - others);
        }
    }

    /// Columns of the group's pods at sites that pass, those away among them.
    fn where_site(&self, group: usize, wanted: impl Fn(usize) -> bool) -> Terms {
        let kins = self.survey.kins.iter().enumerate().filter(|(_, (kin, _))| kin.group == group);
        let mut terms = Terms::new();
        for (number, (kin, _)) in kins {
            let at = self.columns.at.range((number, 0)..(number + 1, 0));
            terms.extend(at.filter(|((_, p), _)| wanted(self.survey.places[*p].site)).map(|(_, c)| (*c, 1.0)));
            let site = kin.away.map(|n| self.occupancy.nodes[n].site);
            let away = self.columns.away.get(&number).filter(|_| site.is_some_and(&wanted));
            terms.extend(away.map(|column| (*column, 1.0)));
        }
        terms
    }

    /// The policy's limits on spot nodes and on single zones; what is beyond them now may stay.
    fn policies(&mut self) {
        let instance = self.occupancy.instance;
        let layout = &self.occupancy.relations.layout;
        for (&group, rest) in &self.survey.groups {
            let Some(target) = instance.groups[group].target else { continue };
            if let Some(share) = target.max_spot_share {
                let on_spot = |site: usize| instance.sites[site].capacity_type == CapacityType::Spot;
                let most = |replicas: u32| (share * f64::from(replicas) + 1e-9).floor();
                self.limited(group, self.where_site(group, on_spot), f64::from(rest.on_spot), most);
            }
            if let Some(kept) = target.zone_loss {
                let most = |replicas: u32| f64::from(replicas.saturating_sub(kept.of_rounded_up(replicas)));
                for (zone, others) in rest.in_zone.iter().enumerate() {
                    let in_zone = |site: usize| layout.classes[layout.class_of[site]].zone == zone;
                    self.limited(group, self.where_site(group, in_zone), f64::from(*others), most);
                }
            }
        }
    }

    fn limited(&mut self, group: usize, mut terms: Terms, others: f64, most: impl Fn(u32) -> f64) {
        if terms.is_empty() {
            return;
        }
        let now = others + terms.iter().map(|(column, _)| self.still[*column]).sum::<f64>();
        let allowed = self.occupancy.choice(group).map_or(0.0, |c| most(c.replicas));
        let beyond = (now - allowed).max(0.0);
        let (chosen, fixed) = self.per_choice(group, most);
        terms.extend(chosen.into_iter().map(|(v, a)| (v, -a)));
        self.row(terms, Sense::AtMost, fixed + beyond - others);
    }

    /// Columns of pods of the kins that pass and would be moved.
    fn moved(&self, wanted: impl Fn(&Kin) -> bool) -> Terms {
        let mut terms = Terms::new();
        for (number, (kin, _)) in self.survey.kins.iter().enumerate().filter(|(_, (k, _))| k.has_origin && wanted(k)) {
            let at = self.columns.at.range((number, 0)..(number + 1, 0));
            terms.extend(at.filter(|((_, place), _)| kin.home != Some(*place)).map(|(_, c)| (*c, 1.0)));
            terms.extend(self.columns.away.get(&number).map(|column| (*column, 1.0)));
        }
        terms
    }

    fn moves(&mut self) {
        let instance = self.occupancy.instance;
        let limits = &instance.limits;
        let left = |most: u32, others: u32| f64::from(most) - f64::from(others);
        self.row(self.moved(|_| true), Sense::AtMost, left(limits.moves, self.survey.moves));
        let groups: Vec<(usize, &Rest)> = self.survey.groups.iter().map(|(group, rest)| (*group, rest)).collect();
        for (group, rest) in groups {
            if let Some(most) = limits.group_moves[group] {
                self.row(self.moved(|kin| kin.group == group), Sense::AtMost, left(most, rest.moves));
            }
        }
        for (budget, facts) in limits.budgets.iter().enumerate() {
            let terms = self.moved(|kin| limits.budgets_of(kin.template).contains(&budget));
            self.row(terms, Sense::AtMost, left(facts.moves, self.survey.budget_moves[budget]));
        }
    }

    /// Limits on nodes: drains, and what may be bought of each offer.
    fn nodes(&mut self) {
        let (occupancy, survey) = (self.occupancy, self.survey);
        let instance = occupancy.instance;
        let (mut standing, mut closed) = (Terms::new(), 0.0);
        let mut bought: BTreeMap<usize, (Terms, f64)> = BTreeMap::new();
        for (place, facts) in survey.places.iter().enumerate() {
            let Some(open) = self.columns.open[place] else { continue };
            if facts.node.is_some_and(|n| !occupancy.nodes[n].bought) {
                standing.push((open, 1.0));
                closed += 1.0 - self.still[open];
            } else {
                let (terms, now) = bought.entry(facts.site).or_default();
                terms.push((open, 1.0));
                *now += self.still[open];
            }
        }
        let elsewhere = f64::from(occupancy.drained) - closed;
        let most = f64::from(instance.limits.drains) - elsewhere;
        let kept = standing.len() as f64 - most;
        self.row(standing, Sense::AtLeast, kept);
        for (site, (terms, now)) in bought {
            if let Some(quota) = instance.sites[site].quota {
                let elsewhere = f64::from(occupancy.bought.get(&site).copied().unwrap_or(0)) - now;
                self.row(terms, Sense::AtMost, f64::from(quota) - elsewhere);
            }
        }
    }
}
