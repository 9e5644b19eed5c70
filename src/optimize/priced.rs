//! Stage 2, second half: room at a price. The rows that tie all workloads together, about what nodes hold, are
//! taken off the program, and what they ask for is charged at the relaxation's prices instead (Lagrangian relaxation;
//! Geoffrion, 1974). What is left falls apart into workloads that only nodes given back and limits on moves bind together,
//! and is solved in whole numbers in seconds where the program itself takes hours.

use std::collections::BTreeMap;

use crate::domain::problem::{Constraint, Problem, Quantity, Sense};

use super::certificate::signed;
use super::solve::Restriction;

/// Rows about what nodes hold, by the beginning of their names.
const SHARED: [&str; 3] = ["capacity/", "exclusive/", "hostPort/"];

/// How room is charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charge {
    /// Each row at nearly its price. At the full price it is all the same whether a node stays whose room is worth what it
    /// costs, so that plans keep many for nothing; a little below it no node stays that nothing needs, and the bound of
    /// whole numbers is mostly the higher one.
    EachRow,
    /// Each row at half its price, and one row more, that all rows together hold at their prices (surrogate relaxation;
    /// Glover, 1968). Where it is solved in the time, bound and plan are the better ones; often it is not.
    AllRows,
}

impl Charge {
    /// Part of the prices that is charged.
    fn part(self) -> f64 {
        match self {
            Self::EachRow => 0.95,
            Self::AllRows => 0.5,
        }
    }
}

/// The program with its shared rows at these prices. Its optimum is no more than the program's, for every plan that keeps
/// the rows pays nothing for them or is paid, and keeps any sum of them.
///
/// Numbers of pods may be fractions: what is gained by whole ones is little and costs much time.
pub(super) fn priced(problem: &Problem, row_prices: &[f64], charge: Charge) -> Problem {
    let mut priced = Problem {
        variables: problem.variables.clone(),
        constraints: Vec::new(),
        constant: problem.constant,
        groups: Vec::new(),
        pools: Vec::new(),
    };
    // The sum of the shared rows at their prices: what each variable has in it, what it is at least, and its size.
    let mut worth = vec![0.0; problem.variables.len()];
    let (mut right, mut size) = (0.0, 0.0);
    for (row, price) in problem.constraints.iter().zip(row_prices) {
        if !SHARED.iter().any(|shared| row.name.starts_with(shared)) {
            priced.constraints.push(row.clone());
            continue;
        }
        let price = signed(row.sense, *price);
        right += price * row.right;
        size += (price * row.right).abs();
        for (variable, amount) in &row.terms {
            worth[*variable] += price * amount;
        }
    }
    // Sums of floating-point numbers are not exact.
    right -= 1e-9 * size;
    priced.constant += charge.part() * right;
    for (variable, worth) in priced.variables.iter_mut().zip(&worth) {
        variable.cost -= charge.part() * worth;
    }
    let terms: Vec<(usize, f64)> = worth.into_iter().enumerate().filter(|(_, worth)| *worth != 0.0).collect();
    if charge == Charge::AllRows && !terms.is_empty() {
        let (name, unit) = ("room".to_owned(), "price an hour".to_owned());
        priced.constraints.push(Constraint { name, rule: None, unit, terms, sense: Sense::AtLeast, right });
    }
    priced.constraints.extend(drains(problem));
    for variable in &mut priced.variables {
        variable.integer &= !matches!(variable.quantity, Quantity::Replicas { .. } | Quantity::Unplaced { .. });
    }
    priced
}

/// For each workload, that the pods it has on nodes given back are no more than may move or go: `Σ held · drained ≤ most
/// moves + Σ_k max(0, pods − R_k) y_k`. It follows from who leaves (`displaced`, `moves`); said in one row, the solver sees
/// which nodes cannot go together.
fn drains(problem: &Problem) -> Vec<Constraint> {
    let leaving = |terms: &[(usize, f64)]| {
        let mut columns = terms.iter().map(|(v, _)| *v);
        columns.find(|v| matches!(problem.variables[*v].quantity, Quantity::Leaving { .. }))
    };
    let rows = || problem.constraints.iter();
    let mut held: BTreeMap<usize, Vec<(usize, f64)>> = BTreeMap::new();
    for row in rows().filter(|row| row.name.starts_with("displaced/")) {
        let drained =
            row.terms.iter().filter(|(v, _)| matches!(problem.variables[*v].quantity, Quantity::Drained { .. }));
        held.entry(leaving(&row.terms).unwrap_or(usize::MAX)).or_default().extend(drained.map(|(v, a)| (*v, -a)));
    }
    let of_moves = |row: &Constraint| {
        let (mut terms, mut right) = (Vec::new(), row.right);
        for (variable, amount) in &row.terms {
            match problem.variables[*variable].quantity {
                Quantity::Leaving { .. } => terms.extend(held.get(variable).into_iter().flatten().copied()),
                Quantity::Moved { .. } => right += problem.variables[*variable].upper,
                _ => terms.push((*variable, *amount)),
            }
        }
        let name = row.name.replacen("moves/", "drains/", 1);
        Constraint { name, rule: None, unit: row.unit.clone(), terms, sense: Sense::AtMost, right }
    };
    rows().filter(|row| row.name.starts_with("moves/")).map(of_moves).filter(|row| row.terms.len() > 1).collect()
}

/// Whether nodes that stand may be given back at all: without them the priced program says nothing.
pub(super) fn gives_back(problem: &Problem) -> bool {
    problem.variables.iter().any(|v| matches!(v.quantity, Quantity::Drained { .. }) && v.upper > 0.0)
}

/// The program with the nodes given back and the steps taken that these values have: whole nodes are bought for the rest,
/// of whose pods there may be fractions.
pub(super) fn settled(problem: &Problem, values: &[f64]) -> Restriction {
    let mut restriction = Restriction::none(problem);
    for (index, variable) in problem.variables.iter().enumerate() {
        restriction.whole[index] = matches!(variable.quantity, Quantity::Nodes { .. });
        if matches!(variable.quantity, Quantity::Drained { .. } | Quantity::Choice { .. }) {
            let value = values[index].round().clamp(variable.lower, variable.upper);
            restriction.bounds[index] = (value, value);
        }
    }
    restriction
}

/// Part of a node's room that pods of many sizes fill: what is planned by pools as if they filled all of it leaves pods
/// over, and the nodes bought for those one by one cost more than nodes bought for them with the others.
const FILLED: f64 = 0.96;

/// The program with so much less room on each node. Finds plans that fit single nodes better, and no bound.
pub(super) fn with_less_room(problem: &Problem) -> Problem {
    let mut tighter = problem.clone();
    let nodes = |variable: usize| matches!(problem.variables[variable].quantity, Quantity::Nodes { .. });
    for row in tighter.constraints.iter_mut().filter(|row| row.name.starts_with("capacity/")) {
        for (_, amount) in row.terms.iter_mut().filter(|(variable, _)| nodes(*variable)) {
            *amount *= FILLED;
        }
    }
    tighter
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::certificate::solver_bound;
    use super::super::solve::{Effort, integer, relax};
    use super::*;
    use crate::domain::problem::{Constraint, Sense, Variable};

    /// Workloads of one pod size each on a pool of two nodes and another that can be bought, by capacity of a node.
    fn problem(capacity: f64, pods: &[(f64, f64)], prices: (f64, f64)) -> Problem {
        let variable = |quantity, upper, cost| Variable { quantity, lower: 0.0, upper, integer: true, cost };
        let row = |name: &str, terms: Vec<(usize, f64)>, sense, right| Constraint {
            name: name.to_owned(),
            rule: None,
            unit: "unit".to_owned(),
            terms,
            sense,
            right,
        };
        let mut problem = Problem::default();
        problem.variables.push(variable(Quantity::Nodes { pool: 0 }, 2.0, prices.0));
        problem.variables.push(variable(Quantity::Drained { node: 0 }, 2.0, 0.0));
        problem.variables.push(variable(Quantity::Nodes { pool: 1 }, 9.0, prices.1));
        problem.constraints.push(row("nodes/a", vec![(0, 1.0), (1, 1.0)], Sense::Equal, 2.0));
        let mut rooms = [vec![(0, -capacity)], vec![(2, -capacity)]];
        for (group, (size, count)) in pods.iter().enumerate() {
            let first = problem.variables.len();
            for (pool, room) in rooms.iter_mut().enumerate() {
                let quantity = Quantity::Replicas { group, size: 0, template: 0, pool };
                problem.variables.push(variable(quantity, *count, 0.0));
                room.push((first + pool, *size));
            }
            problem.variables.push(variable(Quantity::Unplaced { group, size: 0 }, *count, 100.0));
            let terms = (first..first + 3).map(|v| (v, 1.0)).collect();
            problem.constraints.push(row("replicas", terms, Sense::Equal, *count));
        }
        for (pool, room) in rooms.into_iter().enumerate() {
            problem.constraints.push(row(&format!("capacity/{pool}/cpu"), room, Sense::AtMost, 0.0));
        }
        problem
    }

    proptest! {
        #[test]
        fn the_priced_program_is_never_above_the_whole_one_whatever_the_prices(
            capacity in 1.0_f64..4.0,
            pods in proptest::collection::vec((0.2_f64..2.0, 1_u32..4), 1..4),
            prices in (0.5_f64..3.0, 0.5_f64..3.0),
            wrong in proptest::collection::vec(-2.0_f64..2.0, 8),
            exact in any::<bool>(),
            charge in prop_oneof![Just(Charge::EachRow), Just(Charge::AllRows)],
        ) {
            let effort = Effort {
                time: Duration::from_secs(10), relative_gap: 0.0, most_nodes: 1000, seed: 1, threads: 1,
            };
            let pods: Vec<(f64, f64)> = pods.into_iter().map(|(size, count)| (size, f64::from(count))).collect();
            let problem = problem(capacity, &pods, prices);
            let whole = integer(&problem, &Restriction::none(&problem), effort, None);
            let optimum = problem.cost_of(&whole.values.expect("leaving all pods out is a point"));
            let relaxed = relax(&problem, effort);
            let row_prices = if exact { relaxed.row_prices } else { wrong[..problem.constraints.len()].to_vec() };
            let priced = priced(&problem, &row_prices, charge);
            let found = integer(&priced, &Restriction::none(&priced), effort, None);
            let bound = solver_bound(&priced, found.bound);
            prop_assert!(bound <= optimum + 1e-9, "{bound} above {optimum}");
            // Below the full price only the sum of the rows brings the relaxation's cost back.
            if exact && charge == Charge::AllRows {
                let floor = problem.cost_of(&relaxed.values);
                prop_assert!(bound >= floor - 1e-4, "{bound} below the relaxation's {floor}");
            }
        }
    }
}
