//! An order in which pods could have come, each accepted by kube-scheduler's topology spread at that moment.
//!
//! Pods bound by a spread come as soon as they may, as long as that keeps zones and the like even: if those with a spread are even
//! among themselves in the end, no such order gets stuck. Where none of them is polite in that way, any that may comes.
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

/// Domains of a spread up to which pods that come keep them even; hosts are more, and most of them have none.
const MOST_DOMAINS: usize = 12;

/// Most rounds in which only pods that no rule binds come; each lets twice as many in as the one before.
const MOST_ROUNDS: u32 = 64;

/// Whether all units can come so that each rule allows each of its pods when it comes.
pub(super) fn in_some_order(spreads: &Spreads<'_>, units: &[Unit]) -> bool {
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
    // Whether it goes where fewest of its like are, zone by zone.
    let is_polite = |unit: &Unit, counts: &[Vec<i64>]| {
        counting[&unit.template].iter().all(|&number| {
            let domains = &spreads.domains[spreads.tallies[number].domains];
            let Some((domain, true)) = domains.of_node[unit.node] else { return true };
            domains.there.len() > MOST_DOMAINS || counts[number][domain] <= domains.lowest(&counts[number])
        })
    };
    let mut batch = 1_usize;
    for _ in 0..MOST_ROUNDS {
        let mut polite = true;
        loop {
            let mut progress = false;
            for (unit, rules) in &mut bound {
                while unit.coming > 0
                    && (!polite || is_polite(unit, &counts))
                    && rules.iter().all(|rule| spreads.allows(rule, unit, &counts))
                {
                    come(unit, &mut counts);
                    unit.coming -= 1;
                    progress = true;
                }
            }
            bound.retain(|(unit, _)| unit.coming > 0);
            if !progress && !polite {
                break;
            }
            polite = progress;
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
