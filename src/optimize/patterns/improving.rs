//! Patterns that improve the program: which kinds of bin are priced, and how.

use super::fractional::Fractional;
use super::lattice::Lattice;
use super::master::{MEANINGFUL, unit};
use super::pricing::price;
use super::{Packing, PackingProblem, Pattern};

/// Columns added for each kind of bin and round, where there are few kinds and where there are many.
const MOST_COLUMNS: usize = 600;
const COLUMNS_OF_MANY: usize = 16;

/// Kinds of bin that are searched one by one in a round; of more, those first that promise most.
const MOST_SEARCHED: usize = 12;

/// Prices kinds of bin.
pub(super) struct Pricer<'a> {
    problem: &'a PackingProblem,
    /// Where there are many kinds.
    lattice: Option<Lattice>,
}

impl<'a> Pricer<'a> {
    /// With lattices for the bins of the packing, where there are many kinds.
    pub(super) fn new(problem: &'a PackingProblem, packing: &Packing) -> Self {
        let many = problem.bins.len() > MOST_SEARCHED;
        Self { problem, lattice: many.then(|| Lattice::new(problem, packing)).flatten() }
    }

    /// Whether there are too many kinds of bin to search them all.
    pub(super) fn has_many_kinds(&self) -> bool {
        self.problem.bins.len() > MOST_SEARCHED
    }

    /// Patterns worth more than their price at these worths and prices of quotas, those of a kind of bin as they were found
    /// or the best first; and for each kind of bin a bound of the worth of a pattern.
    pub(super) fn improving(
        &self,
        worth: &[f64],
        quota: &[f64],
        counts: &[u32],
        nodes: usize,
        best_first: bool,
    ) -> (Vec<Pattern>, Vec<f64>) {
        let problem = self.problem;
        let above: Vec<f64> = problem
            .bins
            .iter()
            .zip(quota)
            .map(|(kind, quota)| kind.price as f64 / unit(problem) - quota + MEANINGFUL)
            .collect();
        let most_columns = if self.has_many_kinds() { COLUMNS_OF_MANY } else { MOST_COLUMNS };
        let mut most = vec![f64::INFINITY; problem.bins.len()];
        let mut patterns = Vec::new();
        let mut take = |mut found: Vec<(f64, Pattern)>| {
            if best_first || found.len() > most_columns {
                found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
            }
            patterns.extend(found.into_iter().take(most_columns).map(|(_, pattern)| pattern));
        };
        let mut settled = vec![false; problem.bins.len()];
        if let Some(lattice) = &self.lattice {
            for (bin, priced) in lattice.price(problem, worth, counts, &above) {
                most[bin] = priced.most;
                settled[bin] = priced.most <= above[bin] || !priced.patterns.is_empty();
                take(priced.patterns);
            }
        }
        let mut open: Vec<usize> = (0..problem.bins.len()).filter(|bin| !settled[*bin]).collect();
        if open.len() > MOST_SEARCHED {
            let mut fractional = Fractional::new(problem);
            for &bin in &open {
                let priced = fractional.price(problem, bin, worth, counts, above[bin]);
                most[bin] = most[bin].min(priced.most);
                settled[bin] = most[bin] <= above[bin] || !priced.patterns.is_empty();
                take(priced.patterns);
            }
            open.retain(|bin| !settled[*bin]);
            let excess = |bin: &usize| (most[*bin] - above[*bin]) / above[*bin].max(MEANINGFUL);
            open.sort_by(|a, b| excess(b).total_cmp(&excess(a)).then(a.cmp(b)));
            open.truncate(MOST_SEARCHED);
        }
        for bin in open {
            let priced = price(problem, bin, worth, counts, above[bin], nodes);
            most[bin] = most[bin].min(priced.most);
            take(priced.patterns);
        }
        (patterns, most)
    }
}
