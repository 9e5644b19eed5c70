//! A [`Problem`] through `good_lp` into `HiGHS`, and back as plain numbers.
//!
//! `good_lp` builds the model; the dual bound and the state of an interrupted search it does not report are read from
//! `HiGHS`'s own model below it.

use std::time::Duration;

use good_lp::{Expression, ProblemVariables, SolverModel, highs, variable};

use crate::domain::problem::{Problem, Sense};

/// How `HiGHS` is to work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    pub(super) time: Duration,
    pub(super) relative_gap: f64,
    /// Nodes of the search tree, so that equal inputs give equal answers where time does not end it.
    pub(super) most_nodes: i32,
    pub(super) seed: u64,
    pub(super) threads: usize,
}

/// The program with some of its freedom taken away or given: what it finds is a plan of the whole one where nothing was
/// given, and its bound is a bound of the whole one where nothing was taken.
#[derive(Debug, Clone)]
pub(super) struct Restriction {
    /// Least and largest value of each variable.
    pub(super) bounds: Vec<(f64, f64)>,
    /// Whether each variable takes whole numbers only.
    pub(super) whole: Vec<bool>,
}

impl Restriction {
    /// The program as it is.
    pub(super) fn none(problem: &Problem) -> Self {
        Self {
            bounds: problem.variables.iter().map(|v| (v.lower, v.upper)).collect(),
            whole: problem.variables.iter().map(|v| v.integer).collect(),
        }
    }

    fn relaxed(problem: &Problem) -> Self {
        Self { whole: vec![false; problem.variables.len()], ..Self::none(problem) }
    }
}

/// Terms of a program beyond which it is not solved again and again to explain a plan. A count and not a time, so that
/// equal inputs give equal answers.
const MOST_TERMS: usize = 60_000;

/// Whether the relaxation is solved in moments, so that solving it once a rule is worth its time.
pub(super) fn is_quick(problem: &Problem) -> bool {
    problem.constraints.iter().map(|row| row.terms.len()).sum::<usize>() <= MOST_TERMS
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Solved to the end (a MIP: to the gap asked for).
    Finished,
    /// A limit came first.
    Stopped,
    /// No values satisfy the rows.
    Infeasible,
    /// `HiGHS` failed.
    Failed,
}

/// The linear relaxation's answer.
#[derive(Debug, Clone)]
pub(super) struct Relaxation {
    pub(super) outcome: Outcome,
    /// One a variable; empty unless finished.
    pub(super) values: Vec<f64>,
    /// One a row: what one unit more on the right-hand side adds to the cost; empty if none was found.
    pub(super) row_prices: Vec<f64>,
}

/// The integer program's answer.
#[derive(Debug, Clone)]
pub(super) struct Whole {
    /// Best values found, one a variable; `None` where there are none or the time did not suffice.
    pub(super) values: Option<Vec<f64>>,
    /// `HiGHS`'s dual bound, without [`Problem::constant`]; −∞ if it has none.
    pub(super) bound: f64,
}

/// Solves the relaxation.
pub(super) fn relax(problem: &Problem, effort: Effort) -> Relaxation {
    let nothing = |outcome| Relaxation { outcome, values: Vec::new(), row_prices: Vec::new() };
    if problem.variables.is_empty() {
        return nothing(Outcome::Finished);
    }
    let Some(solved) = run(problem, &Restriction::relaxed(problem), effort, None) else {
        return nothing(Outcome::Failed);
    };
    let outcome = outcome_of(solved.status());
    let solution = solved.get_solution();
    if outcome == Outcome::Infeasible || solution.columns().len() != problem.variables.len() {
        return nothing(outcome);
    }
    let row_prices = solution.dual_rows().to_vec();
    let values = if outcome == Outcome::Finished { solution.columns().to_vec() } else { Vec::new() };
    Relaxation { outcome, values, row_prices }
}

/// Solves the integer program as far as `restriction` leaves it open, from `start` (one value a variable, all of them) if
/// given.
pub(super) fn integer(problem: &Problem, restriction: &Restriction, effort: Effort, start: Option<&[f64]>) -> Whole {
    let nothing = Whole { values: None, bound: f64::NEG_INFINITY };
    if problem.variables.is_empty() {
        return Whole { values: Some(Vec::new()), bound: 0.0 };
    }
    let Some(solved) = run(problem, restriction, effort, start) else { return nothing };
    if matches!(outcome_of(solved.status()), Outcome::Infeasible | Outcome::Failed) {
        return nothing;
    }
    let bound = solved.double_info_value(c"mip_dual_bound").unwrap_or(f64::NEG_INFINITY);
    let feasible = solved.primal_solution_status() == ::highs::HighsSolutionStatus::Feasible;
    let values = feasible.then(|| solved.get_solution().columns().to_vec());
    Whole { values: values.filter(|v| v.len() == problem.variables.len()), bound }
}

fn outcome_of(status: ::highs::HighsModelStatus) -> Outcome {
    use ::highs::HighsModelStatus as Status;
    match status {
        Status::Optimal | Status::ObjectiveBound | Status::ObjectiveTarget | Status::ModelEmpty => Outcome::Finished,
        Status::Infeasible => Outcome::Infeasible,
        Status::ReachedTimeLimit
        | Status::ReachedIterationLimit
        | Status::ReachedSolutionLimit
        | Status::ReachedInterrupt
        | Status::ReachedMemoryLimit => Outcome::Stopped,
        _ => Outcome::Failed,
    }
}

fn run(
    problem: &Problem,
    restriction: &Restriction,
    effort: Effort,
    start: Option<&[f64]>,
) -> Option<::highs::SolvedModel> {
    // HiGHS keeps one pool of threads a process and refuses another count later; 0 takes what is there.
    [i32::try_from(effort.threads).unwrap_or(0), 0].into_iter().find_map(|threads| {
        let mut model = build(problem, restriction).try_into_inner().ok()?;
        model.make_quiet();
        let seed = (effort.seed % i32::MAX as u64) as i32;
        model.try_set_option("random_seed", seed).ok()?;
        model.try_set_option("threads", threads).ok()?;
        model.try_set_option("time_limit", effort.time.as_secs_f64()).ok()?;
        model.try_set_option("mip_rel_gap", effort.relative_gap).ok()?;
        model.try_set_option("mip_max_nodes", effort.most_nodes).ok()?;
        if let Some(start) = start.filter(|values| values.len() == problem.variables.len()) {
            model.try_set_solution(Some(start), None, None, None).ok()?;
        }
        model.try_solve().ok()
    })
}

fn build(problem: &Problem, restriction: &Restriction) -> good_lp::solvers::highs::HighsProblem {
    let mut variables = ProblemVariables::new();
    let columns: Vec<good_lp::Variable> = problem
        .variables
        .iter()
        .zip(restriction.bounds.iter().zip(&restriction.whole))
        .map(|(_, ((lower, upper), whole))| {
            let definition = variable().min(*lower).max(*upper);
            variables.add(if *whole { definition.integer() } else { definition })
        })
        .collect();
    let sum = |terms: &mut dyn Iterator<Item = (usize, f64)>, length: usize| {
        let mut expression = Expression::with_capacity(length);
        for (index, amount) in terms {
            expression.add_mul(amount, columns[index]);
        }
        expression
    };
    let costs = problem.variables.iter().map(|v| v.cost).enumerate().filter(|(_, cost)| *cost != 0.0);
    let objective = sum(&mut costs.into_iter(), columns.len());
    let mut model = variables.minimise(objective).using(highs);
    for row in &problem.constraints {
        let left = sum(&mut row.terms.iter().copied(), row.terms.len());
        model.add_constraint(match row.sense {
            Sense::AtMost => left.leq(row.right),
            Sense::AtLeast => left.geq(row.right),
            Sense::Equal => left.eq(row.right),
        });
    }
    model
}

#[cfg(test)]
mod tests {
    use super::super::certificate::safe_bound;
    use super::*;
    use crate::domain::problem::{Constraint, Quantity, Variable};

    fn effort() -> Effort {
        Effort { time: Duration::from_secs(10), relative_gap: 0.0, most_nodes: 1000, seed: 1, threads: 1 }
    }

    /// min 3x + 2y, x + y ≥ 4, x ≤ 3, x + 3y ≤ 9, x − y = 0.5 …, all rows of one optimum at (2.25, 1.75).
    fn sample() -> Problem {
        let variable =
            |pool, cost| Variable { quantity: Quantity::Nodes { pool }, lower: 0.0, upper: 10.0, integer: true, cost };
        let row = |name: &str, terms: &[(usize, f64)], sense, right| Constraint {
            name: name.to_owned(),
            rule: None,
            unit: "unit".to_owned(),
            terms: terms.to_vec(),
            sense,
            right,
        };
        Problem {
            variables: vec![variable(0, 3.0), variable(1, 2.0)],
            constraints: vec![
                row("at least", &[(0, 1.0), (1, 1.0)], Sense::AtLeast, 4.0),
                row("at most", &[(1, 1.0)], Sense::AtMost, 1.5),
            ],
            ..Problem::default()
        }
    }

    #[test]
    fn row_prices_are_what_one_unit_more_on_the_right_adds() {
        let mut problem = sample();
        let base = relax(&problem, effort());
        assert_eq!(base.outcome, Outcome::Finished);
        let cost = problem.cost_of(&base.values);
        assert!((cost - 10.5).abs() < 1e-9);
        for row in 0..2 {
            problem.constraints[row].right += 0.25;
            let moved = problem.cost_of(&relax(&problem, effort()).values);
            assert!((moved - cost - 0.25 * base.row_prices[row]).abs() < 1e-9, "row {row}");
            problem.constraints[row].right -= 0.25;
        }
        assert!((base.row_prices[0] - 3.0).abs() < 1e-9 && (base.row_prices[1] + 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_bound_from_row_prices_is_the_optimum_of_the_relaxation() {
        let problem = sample();
        let relaxed = relax(&problem, effort());
        assert!((safe_bound(&problem, &relaxed.row_prices) - 10.5).abs() < 1e-6);
        let whole = integer(&problem, &Restriction::none(&problem), effort(), None);
        assert!((whole.bound - 11.0).abs() < 1e-6);
        assert!((problem.cost_of(&whole.values.unwrap_or_default()) - 11.0).abs() < 1e-6);
    }

    #[test]
    fn contradicting_rows_are_infeasible() {
        let mut problem = sample();
        problem.constraints[0].right = 100.0;
        assert_eq!(relax(&problem, effort()).outcome, Outcome::Infeasible);
        assert_eq!(integer(&problem, &Restriction::none(&problem), effort(), None).values, None);
    }
}
