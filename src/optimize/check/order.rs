//! An order in which pods could have come, each accepted by kube-scheduler's topology spread at that moment.
//!
//! Pods bound by a spread come as soon as they may, as long as that keeps zones even and a host free for those that are yet to
//! come there by their spread: if pods with a spread are even among themselves in the end, no such order gets stuck.
//! Where none of them is polite in that way, some that may come all the same, twice as many each time; and where that finds
//! no order, another is tried in which each comes as soon as it may.
//! Those that are only counted wait until nothing else goes on, because they can only be in the way, save where they raise
//! the least count. An order that is found proves the plan; one that is not found may exist all the same, and the plan is
//! then refused.

use std::collections::BTreeMap;

use super::spread::{Rule, Spreads};

/// Pods of one template that come to one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    pub(super) template: usize,
    /// Index of the node.
    pub(super) node: usize,
    pub(super) coming: u32,
}

/// Domains of a spread up to which pods that come keep them even; hosts are more, and most of them have none of a kind.
const MOST_DOMAINS: usize = 12;

/// Most rounds in which only pods that no rule binds come; each lets twice as many in as the one before.
const MOST_ROUNDS: u32 = 64;

/// Whether all units can come so that each rule allows each of its pods when it comes.
pub(super) fn in_some_order(spreads: &Spreads<'_>, units: &[Unit]) -> bool {
    [true, false].into_iter().any(|politely| in_order(spreads, units, politely))
}

/// Whether they can come in the order that pods look for `politely`, or each as soon as it may.
fn in_order(spreads: &Spreads<'_>, units: &[Unit], politely: bool) -> bool {
    let mut counts: Vec<Vec<i64>> = spreads.tallies.iter().map(|tally| tally.stay.clone()).collect();
    let mut by_template: BTreeMap<usize, Vec<&Rule<'_>>> = BTreeMap::new();
    for rule in &spreads.rules {
        by_template.entry(rule.template).or_default().push(rule);
    }
    let tallies_of = |template: usize| -> Vec<usize> {
        (0..spreads.tallies.len()).filter(|tally| spreads.tallies[*tally].counted[template]).collect()
    };
    let counting: BTreeMap<usize, Vec<usize>> = units.iter().map(|u| (u.template, tallies_of(u.template))).collect();
    let (mut bound, mut free): (Vec<(Unit, Vec<&Rule<'_>>)>, Vec<Unit>) = (Vec::new(), Vec::new());
    for unit in units {
        match by_template.get(&unit.template) {
            Some(rules) => bound.push((*unit, rules.clone())),
            None if !counting[&unit.template].is_empty() => free.push(*unit),
            None => {}
        }
    }
    // Who does not count itself is in nobody's way but needs the room now.
    bound.sort_by_key(|(unit, rules)| rules.iter().any(|rule| spreads.tallies[rule.tally].counted[unit.template]));
    let come = |unit: &Unit, counts: &mut Vec<Vec<i64>>| {
        for &number in &counting[&unit.template] {
            if let Some((domain, true)) = spreads.domains[spreads.tallies[number].domains].of_node[unit.node] {
                counts[number][domain] += 1;
            }
        }
    };
    let mut manners = Manners::new(spreads, &bound);
    let mut rude = 1_u32;
    let mut batch = 1_usize;
    for _ in 0..MOST_ROUNDS {
        let at_first = if politely { 0 } else { u32::MAX };
        let mut left_to_be_rude = at_first;
        loop {
            let mut progress = false;
            for (unit, rules) in &mut bound {
                while unit.coming > 0
                    && (left_to_be_rude > 0 || manners.allow(spreads, &counting[&unit.template], unit, &counts))
                    && rules.iter().all(|rule| spreads.allows(rule, unit, &counts))
                {
                    come(unit, &mut counts);
                    unit.coming -= 1;
                    manners.has_come(spreads, rules, unit);
                    progress = true;
                    left_to_be_rude = left_to_be_rude.saturating_sub(1);
                }
            }
            bound.retain(|(unit, _)| unit.coming > 0);
            match (progress, left_to_be_rude > 0) {
                (true, _) => left_to_be_rude = at_first,
                (false, true) => break,
                (false, false) => {
                    left_to_be_rude = rude;
                    rude = rude.saturating_mul(2);
                }
            }
        }
        if bound.is_empty() {
            return true;
        }
        for _ in 0..batch {
            free.retain(|unit| unit.coming > 0);
            // The one that comes to the emptiest domain helps most.
            let fullness = |unit: &&mut Unit| {
                let of = |number: &usize| {
                    let (domain, _) = spreads.domains[spreads.tallies[*number].domains].of_node[unit.node]?;
                    Some(counts[*number][domain])
                };
                counting[&unit.template].iter().filter_map(of).min().unwrap_or(i64::MAX)
            };
            let Some(unit) = free.iter_mut().min_by_key(fullness) else { return false };
            unit.coming -= 1;
            let unit = *unit;
            come(&unit, &mut counts);
        }
        batch *= 2;
    }
    false
}

/// What a pod that comes leaves to others: it goes to a zone that has fewest of its like, and where a spread over hosts is still to
/// bring pods to its host, it leaves them the room that their skew allows.
struct Manners {
    /// Pods to come by a spread, by tally and domain.
    to_come: Vec<Vec<u32>>,
    /// Least skew that a rule over the tally allows.
    skew: Vec<i64>,
}

impl Manners {
    fn new(spreads: &Spreads<'_>, bound: &[(Unit, Vec<&Rule<'_>>)]) -> Self {
        let domains = |tally: &super::spread::Tally| spreads.domains[tally.domains].there.len();
        let mut manners = Self {
            to_come: spreads.tallies.iter().map(|tally| vec![0; domains(tally)]).collect(),
            skew: vec![i64::MAX; spreads.tallies.len()],
        };
        for (unit, rules) in bound {
            for rule in rules {
                let skew = &mut manners.skew[rule.tally];
                *skew = (*skew).min(i64::from(rule.spread.max_skew));
                if let Some((domain, _)) = spreads.domains[spreads.tallies[rule.tally].domains].of_node[unit.node] {
                    manners.to_come[rule.tally][domain] += unit.coming;
                }
            }
        }
        manners
    }

    fn has_come(&mut self, spreads: &Spreads<'_>, rules: &[&Rule<'_>], unit: &Unit) {
        for rule in rules {
            if let Some((domain, _)) = spreads.domains[spreads.tallies[rule.tally].domains].of_node[unit.node] {
                let left = &mut self.to_come[rule.tally][domain];
                *left = left.saturating_sub(1);
            }
        }
    }

    /// Whether one more pod of the unit, counted by these tallies, is polite.
    fn allow(&self, spreads: &Spreads<'_>, counting: &[usize], unit: &Unit, counts: &[Vec<i64>]) -> bool {
        counting.iter().all(|&number| {
            let domains = &spreads.domains[spreads.tallies[number].domains];
            let Some((domain, true)) = domains.of_node[unit.node] else { return true };
            let there = counts[number][domain];
            if domains.there.len() > MOST_DOMAINS {
                self.to_come[number][domain] == 0 || there < self.skew[number]
            } else {
                there <= domains.lowest(&counts[number])
            }
        })
    }
}

impl Spreads<'_> {
    /// Whether the rule allows one more pod of the unit with these counts.
    fn allows(&self, rule: &Rule<'_>, unit: &Unit, counts: &[Vec<i64>]) -> bool {
        let tally = &self.tallies[rule.tally];
        let domains = &self.domains[tally.domains];
        let Some((domain, counts_there)) = domains.of_node[unit.node] else { return false };
        let itself = i64::from(tally.counted[unit.template]);
        let there = if counts_there || domains.there[domain] { counts[rule.tally][domain] } else { 0 };
        there + itself - domains.least(&counts[rule.tally], rule.spread) <= i64::from(rule.spread.max_skew)
    }
}
