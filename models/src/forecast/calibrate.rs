//! Quantiles from held-out errors.
//!
//! Errors come from rolling origins only. Each is divided by a scale for its step measured on the *other* blocks, so
//! that the spread of these studentised errors contains what is not known about the scale itself; their quantiles
//! times the scale of all blocks give the forecast's quantiles (split conformal with signed, studentised residuals:
//! Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018). One series has few independent windows, so its own quantiles
//! are drawn towards those of the fleet, and those towards a Student distribution, by the number of windows behind
//! each.

use super::adaptive::{MOST_WIDTH, bands, learnt};
use super::outcome::FiniteOr;

/// Windows that the fleet's shape counts for against a series' own.
const FLEET_WINDOWS: f64 = 20.0;

/// Windows that the prior shape counts for.
const PRIOR_WINDOWS: f64 = 6.0;
/// Independent errors that a window counts for in the finite-sample correction: those of neighbouring steps are alike,
/// but not the same. At 1, p95 a day ahead covered 98 % of held-out windows of the traces; at 10, a point too little.
const DRAWS_PER_WINDOW: f64 = 5.0;

/// A quantile moves by this many scales if all errors of an independent window miss. Three times as much, and not moving at
/// all, lost quantile loss on training parts of the traces; M4's interval score gains a little either way.
const ADAPTATION: f64 = 0.3;

/// Errors of the newest window that are so many times the ordinary widen the forecast. On training parts of the traces a day
/// ahead, without a state, p90 then holds 77 and 76 % instead of 74 and 57 % of the truth in the worst tenth of Crane and
/// `CloudWatch`, 80 instead of 78 % on machines, for − 1 to + 3 % of quantile loss.
const ORDINARY_LATELY: f64 = 1.5;

/// Share of the overall scale that no step's scale falls below.
const LEAST_SHARE: f64 = 0.1;
/// Share of the scale of all blocks that the scale of the others is taken to be at least.
const LEAST_OTHERS: f64 = 0.5;

/// Errors of one functional (a step's value, or the peak) on the held-out windows, and what follows from them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Errors {
    /// Scale by step for the forecast.
    pub scale: Vec<f64>,
    /// Studentised errors by block, each sorted.
    pub studentised: Vec<Vec<f64>>,
    /// Independent windows behind them: overlapping ones count once.
    pub windows: f64,
    /// Errors over the forecast's scale, window after window in the order of their starts; NaN where there is no truth.
    rows: Vec<f64>,
}

impl Errors {
    /// From residuals (truth minus forecast, NaN where there is no truth) of shape (windows, steps), with the block of
    /// each window. `independent` windows are in them; `floor` is a scale too small to matter.
    pub(crate) fn new(residuals: &[f64], steps: usize, blocks: &[usize], independent: f64, floor: f64) -> Self {
        let count = blocks.iter().max().map_or(0, |last| last + 1);
        let scale = scales(residuals, steps, blocks, None, floor);
        let mut studentised = vec![Vec::new(); count];
        for (block, out) in studentised.iter_mut().enumerate() {
            // With one block nothing else is left to measure by.
            let without = (count > 1).then_some(block);
            let others = scales(residuals, steps, blocks, without, floor);
            // A block may err where all others were right, a lone burst for one: that counts once, as an error, and not
            // again through the scale of all blocks that it drives up.
            let scale: Vec<f64> = others.iter().zip(&scale).map(|(o, all)| o.max(LEAST_OTHERS * all)).collect();
            for (row, _) in residuals.chunks_exact(steps).zip(blocks).filter(|(_, b)| **b == block) {
                out.extend(row.iter().zip(&scale).map(|(r, s)| r / s).filter(|e| e.is_finite()));
            }
            out.sort_unstable_by(f64::total_cmp);
        }
        let rows = residuals.chunks_exact(steps).flat_map(|row| row.iter().zip(&scale).map(|(r, s)| r / s)).collect();
        Self { scale, studentised, windows: independent, rows }
    }

    /// How many times as wide as usual a forecast is that follows on the newest window: more than 1 where its errors were far
    /// beyond what all windows together make the ordinary, as after a break.
    pub(crate) fn lately(&self) -> f64 {
        let steps = self.scale.len().max(1);
        let newest = self.rows.rchunks_exact(steps).next().unwrap_or_default();
        let size = super::scores::mean(newest.iter().map(|error| error.abs()));
        size.map_or(1.0, |size| (size / ORDINARY_LATELY).clamp(1.0, MOST_WIDTH))
    }

    /// Errors as they were expected before any was measured.
    pub(crate) fn untested(scale: Vec<f64>) -> Self {
        Self { scale, ..Self::default() }
    }

    /// All studentised errors, sorted, without those of one block.
    fn sorted(&self, without: Option<usize>) -> Vec<f64> {
        let kept = self.studentised.iter().enumerate().filter(|(b, _)| Some(*b) != without);
        let mut all: Vec<f64> = kept.flat_map(|(_, e)| e.iter().copied()).collect();
        all.sort_unstable_by(f64::total_cmp);
        all
    }

    /// The quantiles at `levels` in units of the scale.
    pub(crate) fn quantiles(&self, levels: &[f64], fleet: Option<&Shape>) -> Vec<f64> {
        let own = self.sorted(None);
        levels.iter().map(|&level| blended(&own, self.windows, fleet, level)).collect()
    }

    /// The quantiles at `levels` in units of the scale, by band of steps: those of all windows, moved on by how they would
    /// have held from window to window, so that the newest errors count most.
    pub(crate) fn adapted(&self, levels: &[f64], fleet: Option<&Shape>) -> Vec<Vec<f64>> {
        let shape = self.quantiles(levels, fleet);
        let steps = self.scale.len().max(1);
        let count = self.rows.len() / steps;
        let step = ADAPTATION * (self.windows / count.max(1) as f64).min(1.0);
        bands(steps)
            .map(|band| {
                let mut quantiles = shape.clone();
                for row in self.rows.chunks_exact(steps) {
                    for (quantile, &level) in quantiles.iter_mut().zip(levels) {
                        let held = row[band.clone()].iter().filter(|e| e.is_finite()).map(|e| *e <= *quantile);
                        *quantile += learnt(step, level, held);
                    }
                }
                quantiles.sort_unstable_by(f64::total_cmp);
                quantiles
            })
            .collect()
    }

    /// Share of held-out values at or below each level's quantile, where a block is judged by the others.
    pub(crate) fn coverage(&self, levels: &[f64], fleet: Option<&Shape>) -> Vec<(f64, f64)> {
        let total: usize = self.studentised.iter().map(Vec::len).sum();
        if total == 0 {
            return Vec::new();
        }
        let blocks = self.studentised.len();
        let mut below = vec![0; levels.len()];
        for (block, errors) in self.studentised.iter().enumerate() {
            let others = self.sorted(Some(block));
            let windows = self.windows * (blocks - 1) as f64 / blocks as f64;
            for (below, &level) in below.iter_mut().zip(levels) {
                let quantile = blended(&others, windows, fleet, level);
                *below += errors.partition_point(|&e| e <= quantile);
            }
        }
        levels.iter().zip(below).map(|(&level, below)| (level, below as f64 / total as f64)).collect()
    }
}

/// Mean absolute residual by step, smoothed over neighbouring steps: a step alone has only one value a window.
fn scales(residuals: &[f64], steps: usize, blocks: &[usize], without: Option<usize>, floor: f64) -> Vec<f64> {
    let mut sums = vec![0.0; steps];
    let mut counts = vec![0.0; steps];
    for (row, _) in residuals.chunks_exact(steps.max(1)).zip(blocks).filter(|(_, b)| Some(**b) != without) {
        for (h, r) in row.iter().enumerate().filter(|(_, r)| r.is_finite()) {
            sums[h] += r.abs();
            counts[h] += 1.0;
        }
    }
    let overall = sums.iter().sum::<f64>() / counts.iter().sum::<f64>();
    let overall = overall.finite_or(floor).max(floor);
    let (sums, counts) = (accumulated(&sums), accumulated(&counts));
    (0..steps)
        .map(|h| {
            // The neighbourhood grows with the step: near steps differ most from each other.
            let half = h / 4 + 1;
            let (from, to) = (h.saturating_sub(half), (h + half + 1).min(steps));
            let count = counts[to] - counts[from];
            let local = if count > 0.0 { (sums[to] - sums[from]) / count } else { overall };
            local.max(LEAST_SHARE * overall)
        })
        .collect()
}

fn accumulated(values: &[f64]) -> Vec<f64> {
    let mut total = 0.0;
    std::iter::once(0.0)
        .chain(values.iter().map(|v| {
            total += v;
            total
        }))
        .collect()
}

/// The studentised errors of a fleet.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Shape {
    sorted: Vec<f64>,
    windows: f64,
}

impl Shape {
    pub(crate) fn of<'a>(errors: impl Iterator<Item = &'a Errors>) -> Self {
        let mut shape = Self::default();
        for errors in errors {
            shape.sorted.extend(errors.studentised.iter().flatten());
            shape.windows += errors.windows;
        }
        shape.sorted.sort_unstable_by(f64::total_cmp);
        shape
    }

    fn quantile(&self, level: f64) -> f64 {
        drawn(empirical(&self.sorted, self.windows, level), self.windows, prior(level), PRIOR_WINDOWS)
    }
}

fn blended(own: &[f64], windows: f64, fleet: Option<&Shape>, level: f64) -> f64 {
    let own = empirical(own, windows, level);
    match fleet {
        Some(fleet) => drawn(own, windows, fleet.quantile(level), FLEET_WINDOWS),
        None => drawn(own, windows, prior(level), PRIOR_WINDOWS),
    }
}

/// `value` behind which stand `windows`, drawn towards `other`, behind which stand `others`.
fn drawn(value: Option<f64>, windows: f64, other: f64, others: f64) -> f64 {
    value.map_or(other, |value| (windows * value + others * other) / (windows + others))
}

/// The quantile of the prior shape: Student's distribution with 4 degrees of freedom, whose mean absolute value is exactly 1,
/// as studentised errors have it, and whose tails are as heavy as those of loads. Its quantile has a closed form (Shaw,
/// Sampling Student's t distribution, Journal of Computational Finance 9, 2006).
pub(crate) fn prior(level: f64) -> f64 {
    let root = (4.0 * level * (1.0 - level)).sqrt();
    let size = 2.0 * ((root.acos() / 3.0).cos() / root - 1.0).max(0.0).sqrt();
    if level < 0.5 { -size } else { size }
}

/// The empirical quantile with the finite-sample correction of split conformal prediction: rank (m + 1)·level, where m
/// counts independent windows, not points. `None` without errors.
fn empirical(sorted: &[f64], windows: f64, level: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let level = 0.5 + (level - 0.5) * (1.0 + 1.0 / (windows * DRAWS_PER_WINDOW).max(1.0));
    let place = (level * sorted.len() as f64 - 0.5).clamp(0.0, last as f64);
    let low = place.floor() as usize;
    let share = place - low as f64;
    Some(sorted[low] + share * (sorted[(low + 1).min(last)] - sorted[low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prior_shape_has_mean_absolute_value_one() {
        let n = 200_000;
        let mean = (0..n).map(|i| prior((f64::from(i) + 0.5) / f64::from(n)).abs()).sum::<f64>() / f64::from(n);
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
    }

    #[test]
    fn the_prior_shape_is_students_with_four_degrees_of_freedom() {
        use statrs::distribution::{ContinuousCDF, StudentsT};
        let student = StudentsT::new(0.0, 1.0, 4.0).unwrap();
        for level in [1e-6, 0.005, 0.1, 0.4, 0.5, 0.75, 0.975, 0.9999] {
            assert!((student.cdf(prior(level)) - level).abs() < 1e-9, "{level}: {}", prior(level));
        }
    }

    #[test]
    fn many_windows_follow_the_data_and_few_the_prior() {
        let sorted: Vec<f64> = (0..1000).map(|i| f64::from(i) / 1000.0).collect();
        assert!((blended(&sorted, 1e6, None, 0.9) - 0.9).abs() < 0.01);
        let few = blended(&sorted, 1.0, None, 0.9);
        assert!((few - prior(0.9)).abs() < (few - 0.9).abs());
    }

    #[test]
    fn a_scale_comes_from_the_other_blocks() {
        // Block 0 errs by 1, block 1 by 3: each is studentised by the other.
        let errors = Errors::new(&[1.0, -1.0, 3.0, -3.0], 2, &[0, 1], 2.0, 1e-9);
        assert_eq!(errors.studentised[0], [-1.0 / 3.0, 1.0 / 3.0]);
        assert_eq!(errors.studentised[1], [-3.0, 3.0]);
        assert_eq!(errors.scale, [2.0, 2.0]);
    }

    #[test]
    fn errors_of_the_newest_window_far_beyond_the_ordinary_widen() {
        let lately = |newest: f64| {
            let residuals = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, newest, -newest];
            Errors::new(&residuals, 2, &[0, 1, 2, 3], 4.0, 1e-9).lately()
        };
        // The scale of all windows is (3 + newest) / 4.
        assert!((lately(1.0) - 1.0).abs() < 1e-12 && (lately(1.5) - 1.0).abs() < 1e-12);
        assert!((lately(13.0) - 13.0 / 4.0 / ORDINARY_LATELY).abs() < 1e-12);
        assert!((Errors::untested(vec![1.0]).lately() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_lone_burst_counts_once() {
        // Its block errs by 100 where the others err by 1: no quantile goes beyond twice the burst.
        let errors = Errors::new(&[1.0, -1.0, 1.0, -1.0, 100.0, 1.0], 1, &[0, 0, 1, 1, 2, 2], 6.0, 1e-9);
        let most = errors.studentised.iter().flatten().copied().fold(f64::MIN, f64::max);
        assert!(most * errors.scale[0] <= 200.0 + 1e-9, "{}", most * errors.scale[0]);
    }
}
