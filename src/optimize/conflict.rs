//! Why not every pod gets a node: a minimal set of the owner's rules that together leave no way, and the least that they
//! must be loosened by.
//!
//! Told of the relaxation: a conflict that is found is one of the full problem, for the relaxation allows more; a plan
//! may still leave pods out where none is found, because parts of nodes and pods fit where whole ones do not.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::plan::{Conflict, Repair};
use crate::domain::problem::{Constraint, Problem, Quantity, Sense, Variable};

use super::solve::{Effort, Outcome, is_quick, relax};

/// Rules that a conflict is searched among.
const MOST_RULES: usize = 40;

/// Amount of a rule's unit below which it is rounding.
const ROUNDING: f64 = 1e-6;

/// The conflict that leaves pods of these groups (by index) without a node; `None` where their pods all fit in the
/// relaxation, or where no change of rules would let them in.
pub(super) fn conflict(problem: &Problem, groups: &BTreeSet<usize>, effort: &dyn Fn() -> Effort) -> Option<Conflict> {
    if groups.is_empty() || !is_quick(problem) {
        return None;
    }
    let all_placed = placing_all(problem, groups);
    // What it costs in rules: how far they must be stretched, least first.
    let (elastic, stretches) = stretched(&all_placed, &|_| true);
    let solved = relax(&elastic, effort());
    if solved.outcome != Outcome::Finished || elastic.cost_of(&solved.values) <= ROUNDING {
        return None;
    }
    let mut repairs: BTreeMap<(String, String), f64> = BTreeMap::new();
    for (variable, row) in &stretches {
        let units = solved.values[*variable];
        if units > ROUNDING {
            let row = &all_placed.constraints[*row];
            let needed = repairs.entry((row.rule.clone().unwrap_or_default(), row.unit.clone())).or_insert(0.0);
            // Every row of a rule is stretched by as much as the one that needs it most.
            *needed = needed.max(units);
        }
    }
    let repair = repairs
        .into_iter()
        .map(|((rule, unit), units)| Repair { rule, units: (units - ROUNDING).ceil().max(1.0), unit })
        .collect();
    Some(Conflict { rules: minimal(&all_placed, &elastic, &solved.row_prices, effort), repair })
}

/// The program with no pod of these groups left out, and no other cost than what is added.
fn placing_all(problem: &Problem, groups: &BTreeSet<usize>) -> Problem {
    let mut problem = problem.clone();
    problem.constant = 0.0;
    for variable in &mut problem.variables {
        variable.cost = 0.0;
        if let Quantity::Unplaced { group, .. } = variable.quantity
            && groups.contains(&group)
        {
            variable.upper = variable.lower;
        }
    }
    problem
}

/// Whether the owner of the cluster could change the row: a rule of the policy, a budget or a quota, not the size of nodes.
fn is_a_rule(row: &Constraint) -> bool {
    row.rule.is_some() && !row.name.starts_with("capacity/") && row.sense != Sense::Equal
}

/// The program with each rule of a kind stretched at a price of one a unit; with the variable that stretches each row.
fn stretched(problem: &Problem, wanted: &dyn Fn(&str) -> bool) -> (Problem, Vec<(usize, usize)>) {
    let mut problem = problem.clone();
    let mut stretches = Vec::new();
    for index in 0..problem.constraints.len() {
        let row = &problem.constraints[index];
        if !is_a_rule(row) || !row.rule.as_deref().is_some_and(wanted) {
            continue;
        }
        let reach: f64 = row.terms.iter().map(|(v, a)| (a * problem.variables[*v].upper).abs()).sum();
        let most = reach + row.right.abs() + 1.0;
        let stretch = problem.variables.len();
        // It counts nothing of the cluster; what it is called does not matter to the solver.
        let quantity = Quantity::SpreadFloor { group: usize::MAX, spread: stretch };
        problem.variables.push(Variable { quantity, lower: 0.0, upper: most, integer: false, cost: 1.0 });
        let amount = if row.sense == Sense::AtMost { -1.0 } else { 1.0 };
        problem.constraints[index].terms.push((stretch, amount));
        stretches.push((stretch, index));
    }
    (problem, stretches)
}

/// Rules that leave no way together, none of which can be taken away without opening one: those with a price in the
/// stretched program are such a set, and each that is not needed is dropped from it in turn.
fn minimal(all_placed: &Problem, elastic: &Problem, row_prices: &[f64], effort: &dyn Fn() -> Effort) -> Vec<String> {
    let priced = elastic.constraints.iter().zip(row_prices).filter(|(row, price)| is_a_rule(row) && price.abs() > 1e-9);
    let mut rules: BTreeSet<String> = priced.filter_map(|(row, _)| row.rule.clone()).collect();
    let blocks = |rules: &BTreeSet<String>| {
        // Outside the set, rules stretch for free; within it they do not.
        let (mut free, stretches) = stretched(all_placed, &|rule| !rules.contains(rule));
        for (variable, _) in stretches {
            free.variables[variable].cost = 0.0;
        }
        relax(&free, effort()).outcome == Outcome::Infeasible
    };
    if rules.len() > MOST_RULES || !blocks(&rules) {
        return rules.into_iter().collect();
    }
    for rule in rules.clone() {
        let mut fewer = rules.clone();
        fewer.remove(&rule);
        if blocks(&fewer) {
            rules = fewer;
        }
    }
    rules.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn effort() -> Effort {
        Effort { time: Duration::from_secs(10), relative_gap: 0.0, most_nodes: 1000, seed: 1, threads: 1 }
    }

    /// Name, terms, sense and right-hand side of a rule.
    type Rule<'a> = (&'a str, &'a [(usize, f64)], Sense, f64);

    /// Ten pods on nodes of two offers, one a node, each with a quota; further rules besides.
    fn problem(quotas: [f64; 2], more: &[Rule<'_>]) -> Problem {
        let nodes =
            |pool| Variable { quantity: Quantity::Nodes { pool }, lower: 0.0, upper: 20.0, integer: true, cost: 1.0 };
        let unplaced = Variable {
            quantity: Quantity::Unplaced { group: 0, size: 0 },
            lower: 0.0,
            upper: 10.0,
            integer: true,
            cost: 100.0,
        };
        let row = |name: &str, rule: Option<&str>, terms: &[(usize, f64)], sense, right| Constraint {
            name: name.to_owned(),
            rule: rule.map(str::to_owned),
            unit: "node".to_owned(),
            terms: terms.to_vec(),
            sense,
            right,
        };
        let mut constraints = vec![
            row("replicas", None, &[(0, 1.0), (1, 1.0), (2, 1.0)], Sense::Equal, 10.0),
            row("quota/a", Some("quota/a"), &[(0, 1.0)], Sense::AtMost, quotas[0]),
            row("quota/b", Some("quota/b"), &[(1, 1.0)], Sense::AtMost, quotas[1]),
        ];
        constraints.extend(more.iter().map(|(name, terms, sense, right)| row(name, Some(name), terms, *sense, *right)));
        Problem { variables: vec![nodes(0), nodes(1), unplaced], constraints, ..Problem::default() }
    }

    fn found(problem: &Problem) -> Option<Conflict> {
        conflict(problem, &BTreeSet::from([0]), &effort)
    }

    #[test]
    fn what_fits_is_in_no_conflict() {
        assert_eq!(found(&problem([6.0, 4.0], &[])), None);
        assert_eq!(conflict(&problem([1.0, 1.0], &[]), &BTreeSet::new(), &effort), None);
    }

    #[test]
    fn two_quotas_that_are_short_together_are_named_with_what_is_missing() {
        let conflict = found(&problem([5.0, 2.0], &[])).unwrap();
        assert_eq!(conflict.rules, ["quota/a", "quota/b"]);
        let units: f64 = conflict.repair.iter().map(|repair| repair.units).sum();
        assert!((units - 3.0).abs() < 1e-9, "{conflict:?}");
    }

    #[test]
    fn rules_that_have_no_part_in_it_are_not_named() {
        let idle: &[(usize, f64)] = &[(0, 1.0), (1, 1.0)];
        let few: &[(usize, f64)] = &[(1, 1.0)];
        let more = [("maxNodes", idle, Sense::AtMost, 15.0), ("spotShare", few, Sense::AtMost, 1.0)];
        let conflict = found(&problem([5.0, 20.0], &more)).unwrap();
        assert_eq!(conflict.rules, ["quota/a", "spotShare"]);
        let units: f64 = conflict.repair.iter().map(|repair| repair.units).sum();
        assert!((units - 4.0).abs() < 1e-9, "{conflict:?}");
    }

    #[test]
    fn what_no_rule_would_let_in_is_no_conflict_of_rules() {
        let mut problem = problem([5.0, 5.0], &[]);
        problem.variables[0].upper = 1.0;
        problem.variables[1].upper = 1.0;
        assert_eq!(found(&problem), None);
    }
}
