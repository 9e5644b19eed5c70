//! What one unit more of a rule is worth, found by solving again instead of being read off the prices.
//!
//! A row price holds for a change as small as one likes. One whole unit more can save less, because another rule binds
//! before, and where several sets of prices are optimal it can save nothing at all.

use crate::domain::plan::Binding;
use crate::domain::problem::{Problem, Sense};

use super::certificate::gap;
use super::solve::{Effort, Outcome, is_quick, relax};

/// Rules solved again at most, the most valuable first.
const RULES: usize = 6;

/// Share of the optimum below which a saving is rounding.
const ROUNDING: f64 = 1e-7;

/// Puts what the relaxation's optimum falls by in place of the price of each rule told of first; a rule that saves
/// nothing is left out. Rules are in the order of what they save again.
pub(super) fn confirm(problem: &mut Problem, optimum: f64, binding: &mut Vec<Binding>, effort: &dyn Fn() -> Effort) {
    if !is_quick(problem) {
        return;
    }
    for rule in binding.iter_mut().take(RULES) {
        let effort = effort();
        if effort.time.is_zero() {
            break;
        }
        let rows = rows_of(problem, rule);
        loosen(problem, &rows, 1.0);
        let again = relax(problem, effort);
        loosen(problem, &rows, -1.0);
        if again.outcome == Outcome::Finished {
            let saves = optimum - problem.cost_of(&again.values);
            let meaningful = gap(optimum.abs(), optimum.abs() - saves) > ROUNDING;
            rule.saves_per_hour = if meaningful { saves } else { 0.0 };
            rule.confirmed = true;
        }
    }
    binding.retain(|rule| !rule.confirmed || rule.saves_per_hour > 0.0);
    binding.sort_by(|a, b| b.saves_per_hour.total_cmp(&a.saves_per_hour).then_with(|| a.rule.cmp(&b.rule)));
}

fn rows_of(problem: &Problem, rule: &Binding) -> Vec<usize> {
    let of = |row: &crate::domain::problem::Constraint| {
        row.rule.as_deref() == Some(rule.rule.as_str()) && row.unit == rule.unit
    };
    problem.constraints.iter().enumerate().filter(|(_, row)| of(row)).map(|(index, _)| index).collect()
}

/// Gives every row `units` more room.
fn loosen(problem: &mut Problem, rows: &[usize], units: f64) {
    for &row in rows {
        let row = &mut problem.constraints[row];
        match row.sense {
            Sense::AtMost => row.right += units,
            Sense::AtLeast => row.right -= units,
            Sense::Equal => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::problem::{Constraint, Quantity, Variable};

    fn effort() -> Effort {
        Effort { time: Duration::from_secs(10), relative_gap: 0.0, most_nodes: 1000, seed: 1, threads: 1 }
    }

    fn row(rule: &str, terms: &[(usize, f64)], sense: Sense, right: f64) -> Constraint {
        Constraint {
            name: rule.to_owned(),
            rule: Some(rule.to_owned()),
            unit: "node".to_owned(),
            terms: terms.to_vec(),
            sense,
            right,
        }
    }

    /// Ten pods; cheap nodes (1 an hour) by a quota, dear ones (3 an hour) without: min x + 3y, x + y ≥ 10.
    fn problem(quotas: &[(&str, f64)]) -> Problem {
        let variable =
            |pool, cost| Variable { quantity: Quantity::Nodes { pool }, lower: 0.0, upper: 20.0, integer: true, cost };
        let mut pods = row("pods", &[(0, 1.0), (1, 1.0)], Sense::AtLeast, 10.0);
        pods.rule = None;
        let quotas = quotas.iter().map(|(name, right)| row(name, &[(0, 1.0)], Sense::AtMost, *right));
        Problem {
            variables: vec![variable(0, 1.0), variable(1, 3.0)],
            constraints: std::iter::once(pods).chain(quotas).collect(),
            ..Problem::default()
        }
    }

    fn confirmed(mut problem: Problem) -> Vec<(String, f64)> {
        let relaxed = relax(&problem, effort());
        let optimum = problem.cost_of(&relaxed.values);
        // Every rule is offered, with whatever price: what is told is what solving again finds.
        let mut binding: Vec<Binding> = problem
            .constraints
            .iter()
            .filter_map(|row| row.rule.clone())
            .map(|rule| Binding { rule, saves_per_hour: 7.0, unit: "node".to_owned(), confirmed: false })
            .collect();
        let before = problem.clone();
        confirm(&mut problem, optimum, &mut binding, &effort);
        assert_eq!(problem, before, "the program is left as it was");
        assert!(binding.iter().all(|rule| rule.confirmed));
        binding.into_iter().map(|rule| (rule.rule, rule.saves_per_hour)).collect()
    }

    #[test]
    fn one_unit_more_saves_what_solving_again_finds() {
        let found = confirmed(problem(&[("quota", 4.0)]));
        assert_eq!(found.len(), 1);
        assert!((found[0].1 - 2.0).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn a_unit_that_is_more_than_can_be_used_saves_only_what_can() {
        let found = confirmed(problem(&[("quota", 9.75)]));
        assert!((found[0].1 - 0.5).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn rules_that_hold_the_same_thing_save_nothing_one_at_a_time() {
        assert_eq!(confirmed(problem(&[("quota", 4.0), ("budget", 4.0)])), []);
    }
}
