//! What may be claimed about a plan: bounds that hold in spite of rounding, gaps, and which rules bind.

use std::collections::BTreeMap;

use crate::domain::plan::Binding;
use crate::domain::problem::{Problem, Quantity, Sense};

use super::instance::Instance;

/// Taken off every bound, relative to its size: sums of floating-point numbers are not exact.
const ROUNDING: f64 = 1e-9;

/// Rules told of at most.
const BINDING_RULES: usize = 20;

/// A lower bound on the cost of every feasible point, from any row prices whatsoever.
///
/// For prices y with y ≤ 0 on `≤` rows and y ≥ 0 on `≥` rows (others are set to 0), every feasible x has
/// `c·x ≥ y·b + Σ_j min over [l_j, u_j] of (c_j − y·A_j) x_j` (Neumaier and Shcherbina, Safe bounds in linear and
/// mixed-integer linear programming, 2004). So neither the solver's tolerances nor an early stop can make it wrong.
pub(super) fn safe_bound(problem: &Problem, row_prices: &[f64]) -> f64 {
    let mut bound = problem.constant;
    let mut size = problem.constant.abs();
    for (row, price) in problem.constraints.iter().zip(row_prices) {
        let price = signed(row.sense, *price);
        bound += price * row.right;
        size += (price * row.right).abs();
    }
    for (variable, reduced) in problem.variables.iter().zip(reduced_costs(problem, row_prices)) {
        let part = (reduced * variable.lower).min(reduced * variable.upper);
        bound += part;
        size += part.abs();
    }
    bound - ROUNDING * size
}

/// What one more of each variable costs beyond what it saves at the row prices.
pub(super) fn reduced_costs(problem: &Problem, row_prices: &[f64]) -> Vec<f64> {
    let mut reduced: Vec<f64> = problem.variables.iter().map(|v| v.cost).collect();
    for (row, price) in problem.constraints.iter().zip(row_prices) {
        let price = signed(row.sense, *price);
        if price != 0.0 {
            for (variable, amount) in &row.terms {
                reduced[*variable] -= price * amount;
            }
        }
    }
    reduced
}

/// The price with the sign a row of the sense has; none where it is no number.
pub(super) fn signed(sense: Sense, price: f64) -> f64 {
    match sense {
        _ if !price.is_finite() => 0.0,
        Sense::AtMost => price.min(0.0),
        Sense::AtLeast => price.max(0.0),
        Sense::Equal => price,
    }
}

/// A bound of `HiGHS`, made safe against its feasibility tolerance.
pub(super) fn solver_bound(problem: &Problem, dual_bound: f64) -> f64 {
    if !dual_bound.is_finite() {
        return f64::NEG_INFINITY;
    }
    let bound = dual_bound + problem.constant;
    // HiGHS takes rows as met, and whole numbers as whole, within 1e-6.
    bound - 2e-6 * dual_bound.abs().max(1.0)
}

/// What pods cost an hour in every plan because no node that stands and no offer can hold one of their group.
///
/// Left in cost and bound, that constant would make every gap look small and end every search early.
pub(super) fn unplaceable(instance: &Instance<'_>, problem: &Problem) -> f64 {
    let mut holdable = vec![false; instance.groups.len()];
    let mut price: BTreeMap<usize, f64> = BTreeMap::new();
    for variable in &problem.variables {
        match variable.quantity {
            Quantity::Replicas { group, .. } => holdable[group] |= variable.upper > 0.0,
            Quantity::Unplaced { group, .. } => {
                let least = price.entry(group).or_insert(f64::INFINITY);
                *least = least.min(variable.cost);
            }
            _ => {}
        }
    }
    let waiting = |group: usize| {
        let facts = &instance.groups[group];
        facts.options.iter().map(|o| o.replicas.saturating_sub(facts.fixed)).min().unwrap_or(0)
    };
    price.iter().filter(|(group, _)| !holdable[**group]).map(|(group, price)| f64::from(waiting(*group)) * price).sum()
}

/// (cost − bound) / cost, in 0..1; 0 where there is no cost.
pub(super) fn gap(cost: f64, bound: f64) -> f64 {
    if cost > 0.0 { ((cost - bound) / cost).clamp(0.0, 1.0) } else { 0.0 }
}

/// Rules whose right-hand side has a price, most valuable first; rows of one rule are added up.
pub(super) fn binding(problem: &Problem, row_prices: &[f64]) -> Vec<Binding> {
    let mut rules: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for (row, price) in problem.constraints.iter().zip(row_prices) {
        // One unit more room is +1 on `≤` rows and −1 on `≥` rows.
        let saves = match row.sense {
            Sense::AtMost => -price,
            Sense::AtLeast => *price,
            Sense::Equal => 0.0,
        };
        if let Some(rule) = row.rule.as_deref().filter(|_| saves > 1e-9) {
            *rules.entry((rule, row.unit.as_str())).or_insert(0.0) += saves;
        }
    }
    let mut binding: Vec<Binding> = rules
        .into_iter()
        .map(|((rule, unit), saves_per_hour)| Binding {
            rule: rule.to_owned(),
            saves_per_hour,
            unit: unit.to_owned(),
            confirmed: false,
        })
        .collect();
    binding.sort_by(|a, b| b.saves_per_hour.total_cmp(&a.saves_per_hour).then_with(|| a.rule.cmp(&b.rule)));
    binding.truncate(BINDING_RULES);
    binding
}
