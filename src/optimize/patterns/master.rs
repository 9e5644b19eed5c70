//! The linear program over the patterns found so far, and the bound that its prices prove.

use std::collections::BTreeSet;

use ::highs::{Col, ColProblem, HighsModelStatus, Model, Row, Sense};

use super::{PackingProblem, Pattern};

/// Reduced cost, as a share of the dearest bin, below which a column is not worth adding.
pub(super) const MEANINGFUL: f64 = 1e-7;

/// Taken off a bound before it is rounded up, as a share of it: far above the error of adding it up in floating point.
const ROUNDING: f64 = 1e-7;

/// The program, kept with its basis while columns are added.
pub(super) struct Master<'a> {
    problem: &'a PackingProblem,
    patterns: Vec<Pattern>,
    /// Column of each pattern.
    columns: Vec<Col>,
    known: BTreeSet<Pattern>,
    model: Option<Model>,
    rows: Vec<Row>,
    /// Row of each kind of bin of which there are so many only.
    quota_rows: Vec<Option<Row>>,
    /// Prices are divided by this.
    unit: f64,
}

/// An optimum over the patterns found so far.
#[derive(Debug, Clone)]
pub(super) struct Prices {
    /// Cost, in units of [`unit`].
    pub(super) cost: f64,
    /// What one more of each item adds to the cost; not negative.
    pub(super) item: Vec<f64>,
    /// What one bin more of each kind adds; not positive, 0 where there are enough.
    pub(super) quota: Vec<f64>,
    /// How many of each pattern; fractional.
    pub(super) values: Vec<f64>,
}

impl Prices {
    /// By how much the pattern is worth more than its price.
    pub(super) fn excess(&self, problem: &PackingProblem, pattern: &Pattern) -> f64 {
        let worth: f64 = pattern.items.iter().map(|(item, count)| self.item[*item] * f64::from(*count)).sum();
        worth - problem.bins[pattern.bin].price as f64 / unit(problem) + self.quota[pattern.bin]
    }
}

/// The unit of prices in the program: the dearest bin.
pub(super) fn unit(problem: &PackingProblem) -> f64 {
    problem.bins.iter().map(|bin| bin.price).max().unwrap_or(1).max(1) as f64
}

impl<'a> Master<'a> {
    /// The program in which everything is left out, with so much time for all its solving together: `HiGHS` counts it
    /// over the life of a model.
    pub(super) fn new(problem: &'a PackingProblem, seconds: f64) -> Option<Self> {
        let unit = unit(problem);
        let mut program = ColProblem::new();
        let rows: Vec<Row> = problem.items.iter().map(|item| program.add_row(f64::from(item.count)..)).collect();
        let quota_rows =
            problem.bins.iter().map(|bin| bin.available.map(|most| program.add_row(..=f64::from(most)))).collect();
        for (item, row) in problem.items.iter().zip(&rows) {
            program.add_column(item.unplaced_price as f64 / unit, 0.0.., [(*row, 1.0)]);
        }
        let mut model = program.try_optimise(Sense::Minimise).ok()?;
        model.make_quiet();
        model.try_set_option("threads", 1).ok()?;
        model.try_set_option("presolve", "off").ok()?;
        model.try_set_option("time_limit", seconds.max(0.01)).ok()?;
        Some(Self {
            problem,
            patterns: Vec::new(),
            columns: Vec::new(),
            known: BTreeSet::new(),
            model: Some(model),
            rows,
            quota_rows,
            unit,
        })
    }

    /// All patterns of the program.
    pub(super) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Adds the pattern as a column; `false` if it is one already.
    pub(super) fn add(&mut self, pattern: Pattern) -> bool {
        let Some(model) = self.model.as_mut().filter(|_| !self.known.contains(&pattern)) else { return false };
        let items = pattern.items.iter().map(|(item, count)| (self.rows[*item], f64::from(*count)));
        let factors: Vec<(Row, f64)> = items.chain(self.quota_rows[pattern.bin].map(|row| (row, 1.0))).collect();
        let price = self.problem.bins[pattern.bin].price as f64 / self.unit;
        let Ok(column) = model.try_add_column(price, 0.0.., factors) else { return false };
        self.columns.push(column);
        self.known.insert(pattern.clone());
        self.patterns.push(pattern);
        true
    }

    /// At least so many bins of the pattern from now on.
    pub(super) fn fix(&mut self, pattern: usize, least: f64) {
        if let Some(model) = &mut self.model {
            model.change_column_bounds(self.columns[pattern], least..);
        }
    }

    /// Solves the program from the basis it has.
    pub(super) fn solve(&mut self) -> Option<Prices> {
        let solved = self.model.take()?.try_solve().ok()?;
        let optimal = solved.status() == HighsModelStatus::Optimal;
        let prices = optimal.then(|| {
            let solution = solved.get_solution();
            let duals = solution.dual_rows();
            let (items, quotas) = duals.split_at(self.rows.len());
            let mut quotas = quotas.iter();
            let quota =
                self.quota_rows.iter().map(|row| row.map_or(0.0, |_| quotas.next().map_or(0.0, |d| d.min(0.0))));
            Prices {
                cost: solved.objective_value(),
                item: items.iter().map(|d| d.max(0.0)).collect(),
                quota: quota.collect(),
                values: solution.columns()[self.rows.len()..].to_vec(),
            }
        });
        self.model = Some(Model::from(solved));
        prices
    }
}

/// What every packing costs at least, from any worth of the items and, for each kind of bin, a bound of the worth of a
/// pattern (`most`, in units of [`unit`] like `worth`). Farley's bound, with quotas.
///
/// With the worths scaled by f, a kind of bin whose best pattern would be worth more than its price is charged the
/// excess for each bin there is; where any number may be bought, f must be so small that there is no excess.
pub(super) fn proven(problem: &PackingProblem, worth: &[f64], most: &[f64]) -> f64 {
    let unit = unit(problem);
    let worth = |item: usize| worth[item].clamp(0.0, problem.items[item].unplaced_price as f64 / unit);
    let total: f64 = problem.items.iter().enumerate().map(|(i, item)| worth(i) * f64::from(item.count)).sum();
    let kinds = || problem.bins.iter().zip(most).map(|(bin, most)| (bin.price as f64 / unit, *most, bin.available));
    let largest = kinds()
        .filter(|(price, most, available)| available.is_none() && most > price)
        .fold(1.0_f64, |f, (price, most, _)| f.min(price / most));
    let at = |f: f64| {
        let excess = |(price, most, available): (f64, f64, Option<u32>)| {
            available.map_or(0.0, |n| f64::from(n) * (f * most - price).max(0.0))
        };
        f * total - kinds().map(excess).sum::<f64>()
    };
    // Concave and piecewise linear in f: the best is at an end or where a limited kind begins to have an excess.
    let corners = kinds().filter(|(_, most, _)| *most > 0.0).map(|(price, most, _)| (price / most).min(largest));
    corners.chain([largest]).map(at).fold(0.0, f64::max) * unit
}

/// The bound as a whole price: rounded up, short of the error of its making.
pub(super) fn rounded_up(problem: &PackingProblem, bound: f64) -> u64 {
    let step = price_step(problem) as f64;
    ((bound * (1.0 - ROUNDING) - ROUNDING) / step).ceil().max(0.0) as u64 * price_step(problem)
}

/// Every cost is a multiple of this.
pub(super) fn price_step(problem: &PackingProblem) -> u64 {
    let prices = problem.bins.iter().map(|bin| bin.price).chain(problem.items.iter().map(|item| item.unplaced_price));
    prices.fold(0, gcd).max(1)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
