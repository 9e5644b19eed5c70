//! Stage 3: parts of the program small enough to be solved in whole numbers, found by the relaxation's answer.

use crate::domain::problem::{Problem, Quantity};

use super::certificate::reduced_costs;
use super::solve::Restriction;

/// How far a value may be from a whole number to count as one.
const WHOLE: f64 = 1e-6;

/// Variables left open although the relaxation has them at a whole number: those that cost least to change.
const OPEN: usize = 4000;

/// The program around the relaxation's answer: what that has at a whole number stays there, unless changing it costs
/// next to nothing. Finds plans of the program, and no bound of it.
pub(super) fn around(problem: &Problem, values: &[f64], row_prices: &[f64]) -> Restriction {
    let mut restriction = Restriction::none(problem);
    let reduced = reduced_costs(problem, row_prices);
    let settled = |j: &usize| {
        problem.variables[*j].integer
            && !matches!(problem.variables[*j].quantity, Quantity::Nodes { .. })
            && (values[*j] - values[*j].round()).abs() < WHOLE
    };
    let mut fixed: Vec<usize> = (0..problem.variables.len()).filter(settled).collect();
    fixed.sort_by(|a, b| reduced[*b].abs().total_cmp(&reduced[*a].abs()).then(a.cmp(b)));
    fixed.truncate(fixed.len().saturating_sub(OPEN));
    for variable in fixed {
        // Pods placed elsewhere make room, so a number of pods may always fall.
        let value = values[variable].round();
        let lower = match problem.variables[variable].quantity {
            Quantity::Replicas { .. } | Quantity::Unplaced { .. } => problem.variables[variable].lower,
            _ => value,
        };
        let upper = match problem.variables[variable].quantity {
            Quantity::Unplaced { .. } => problem.variables[variable].upper,
            _ => value,
        };
        restriction.bounds[variable] = (lower.min(value), upper);
    }
    restriction
}
