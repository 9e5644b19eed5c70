//! Whole numbers of given patterns: a covering program, solved by `HiGHS`.

use ::highs::{ColProblem, HighsSolutionStatus, Row, Sense};

use super::column::trim;
use super::master::unit;
use super::{Packing, PackingProblem, Pattern};

/// What the program is to look for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim {
    /// Stop at a packing that costs no more than this.
    pub(super) enough: u64,
    pub(super) seconds: f64,
    pub(super) seed: u64,
}

/// What became of it.
#[derive(Debug, Clone)]
pub(super) struct Whole {
    /// The best packing found.
    pub(super) packing: Option<Packing>,
    /// No packing of the given patterns, or of parts of them, costs less; in the unit of prices.
    pub(super) bound: f64,
}

/// The cheapest packing made of the patterns, or of parts of them.
pub(super) fn whole(
    problem: &PackingProblem,
    patterns: &[&Pattern],
    start: Option<&Packing>,
    aim: Aim,
) -> Option<Whole> {
    let unit = unit(problem);
    let mut program = ColProblem::new();
    let rows: Vec<Row> = problem.items.iter().map(|item| program.add_row(f64::from(item.count)..)).collect();
    let quota_rows: Vec<Option<Row>> =
        problem.bins.iter().map(|bin| bin.available.map(|most| program.add_row(..=f64::from(most)))).collect();
    for (item, row) in problem.items.iter().zip(&rows) {
        let most = f64::from(item.count);
        program.add_integer_column(item.unplaced_price as f64 / unit, 0.0..=most, [(*row, 1.0)]);
    }
    for pattern in patterns {
        let items = pattern.items.iter().map(|(item, count)| (rows[*item], f64::from(*count)));
        let factors: Vec<(Row, f64)> = items.chain(quota_rows[pattern.bin].map(|row| (row, 1.0))).collect();
        let most = pattern.items.iter().map(|(i, n)| problem.items[*i].count.div_ceil(*n)).max().unwrap_or(0);
        program.add_integer_column(problem.bins[pattern.bin].price as f64 / unit, 0.0..=f64::from(most), factors);
    }
    let mut model = program.try_optimise(Sense::Minimise).ok()?;
    model.make_quiet();
    model.try_set_option("threads", 1).ok()?;
    model.try_set_option("random_seed", (aim.seed % i32::MAX as u64) as i32).ok()?;
    model.try_set_option("time_limit", aim.seconds.max(0.01)).ok()?;
    model.try_set_option("mip_rel_gap", 0.0).ok()?;
    // Costs are whole numbers: less than one of their unit apart is the same.
    model.try_set_option("mip_abs_gap", 0.999 / unit).ok()?;
    model.try_set_option("objective_target", (aim.enough as f64 + 0.5) / unit).ok()?;
    if let Some(values) = start.and_then(|packing| start_values(problem, patterns, packing)) {
        model.try_set_solution(Some(&values), None, None, None).ok()?;
    }
    let solved = model.try_solve().ok()?;
    let bound = solved.double_info_value(c"mip_dual_bound").unwrap_or(0.0).max(0.0) * unit;
    let packing = (solved.primal_solution_status() == HighsSolutionStatus::Feasible).then(|| {
        let solution = solved.get_solution();
        let numbers = patterns.iter().zip(&solution.columns()[problem.items.len()..]);
        let bins = numbers.flat_map(|(pattern, n)| std::iter::repeat_n(*pattern, n.round().max(0.0) as usize));
        trim(problem, bins.cloned().collect())
    });
    Some(Whole { packing, bound })
}

/// The packing as values of the columns, where all its bins are among the patterns.
fn start_values(problem: &PackingProblem, patterns: &[&Pattern], packing: &Packing) -> Option<Vec<f64>> {
    let mut values: Vec<f64> = packing.unplaced(problem).iter().map(|n| f64::from(*n)).collect();
    values.resize(problem.items.len() + patterns.len(), 0.0);
    for bin in &packing.bins {
        let at = patterns.iter().position(|pattern| *pattern == bin)?;
        values[problem.items.len() + at] += 1.0;
    }
    Some(values)
}
