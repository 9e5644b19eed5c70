//! Windows into a fleet's scores, each with its range from a bootstrap over series.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::naive::quantile;
use super::window::Window;
use super::{ForecastSettings, Summary};
use crate::domain::Series;
use crate::domain::scores::{
    Against, Comparison, Coverage, Estimate, Measure, Method, MethodScores, Scoreboard, SeriesScores,
};

/// Share of draws left out at either end of a range.
const TAIL: f64 = 0.025;

/// Sums over a series' windows.
#[derive(Debug, Clone, Default)]
struct Sums {
    windows: usize,
    scores: BTreeMap<(Method, Measure), (f64, usize)>,
    below: Vec<(f64, usize)>,
    inside: (f64, usize),
    peak_below: Vec<(f64, usize)>,
}

/// The windows scored so far, by series.
pub(super) struct Fleet {
    sums: Vec<Sums>,
}

fn count_in(sum: &mut (f64, usize), value: f64) {
    if value.is_finite() {
        *sum = (sum.0 + value, sum.1 + 1);
    }
}

fn mean_of(sum: (f64, usize)) -> f64 {
    sum.0 / sum.1 as f64
}

impl Fleet {
    pub(super) fn new(histories: &[&[f64]]) -> Self {
        Self { sums: vec![Sums::default(); histories.len()] }
    }

    /// Adds windows, each with its series' row.
    pub(super) fn add(&mut self, windows: Vec<(usize, Option<Window>)>) {
        for (row, window) in windows {
            let Some(window) = window else { continue };
            let sums = &mut self.sums[row];
            sums.windows += 1;
            for (method, measure, score) in window.scores {
                count_in(sums.scores.entry((method, measure)).or_default(), score);
            }
            let each = |sums: &mut Vec<(f64, usize)>, values: &[f64]| {
                sums.resize(sums.len().max(values.len()), (0.0, 0));
                sums.iter_mut().zip(values).for_each(|(sum, value)| count_in(sum, *value));
            };
            each(&mut sums.below, &window.below);
            each(&mut sums.peak_below, &window.peak_below);
            count_in(&mut sums.inside, window.inside.unwrap_or(f64::NAN));
        }
    }

    /// The scores of the whole.
    pub(super) fn scoreboard(
        &self,
        series: &Series,
        against: Against,
        settings: &ForecastSettings,
        season: usize,
        summary: &Summary,
    ) -> Scoreboard {
        let scored: Vec<usize> = (0..self.sums.len()).filter(|&row| self.sums[row].windows > 0).collect();
        let draws = Draws::new(scored.len(), summary);
        let columns = Columns::of(&scored.iter().map(|&row| &self.sums[row]).collect::<Vec<_>>());
        let levels = settings.rising_levels();
        let coverage = |rows: &[Vec<f64>]| -> Vec<Coverage> {
            let each = levels.iter().zip(rows);
            each.filter_map(|(&level, shares)| {
                let mut sorted: Vec<f64> = shares.iter().copied().filter(|s| s.is_finite()).collect();
                sorted.sort_unstable_by(f64::total_cmp);
                let measured = draws.mean(shares)?;
                Some(Coverage { level, measured, deciles: (quantile(&sorted, 0.1), quantile(&sorted, 0.9)) })
            })
            .collect()
        };
        Scoreboard {
            against,
            horizon_steps: settings.horizon_steps.max(1),
            season,
            series: scored.len(),
            left_out: self.sums.len() - scored.len(),
            windows: scored.iter().map(|&row| self.sums[row].windows).sum(),
            resamples: summary.resamples,
            seed: summary.seed,
            methods: Method::ALL.into_iter().map(|method| columns.method(method, &draws)).collect(),
            comparisons: columns.comparisons(&draws),
            coverage: coverage(&columns.below),
            interval_coverage: draws.mean(&columns.inside),
            peak_coverage: coverage(&columns.peak_below),
            lead_steps: settings.lead_steps.clamp(1, settings.horizon_steps.max(1)),
            each: scored.iter().map(|&row| self.each(row, series, &levels)).collect(),
        }
    }

    fn each(&self, row: usize, series: &Series, levels: &[f64]) -> SeriesScores {
        let sums = &self.sums[row];
        SeriesScores {
            series: super::super::csv::name(&series.rows[row].subject, series.rows[row].signal),
            windows: sums.windows,
            scores: sums.scores.iter().map(|(&(method, measure), &sum)| (method, measure, mean_of(sum))).collect(),
            coverage: levels.iter().zip(&sums.below).map(|(&level, &sum)| (level, mean_of(sum))).collect(),
        }
    }
}

/// Scores by series: one column a method and measure, NaN where it could not be taken.
struct Columns {
    scores: BTreeMap<(Method, Measure), Vec<f64>>,
    below: Vec<Vec<f64>>,
    peak_below: Vec<Vec<f64>>,
    inside: Vec<f64>,
}

impl Columns {
    fn of(sums: &[&Sums]) -> Self {
        let score = |key: &(Method, Measure)| {
            let each = sums.iter().map(|s| s.scores.get(key).map_or(f64::NAN, |&sum| mean_of(sum)));
            each.collect::<Vec<f64>>()
        };
        let keys = Method::ALL.into_iter().flat_map(|method| Measure::ALL.map(|measure| (method, measure)));
        let shares = |of: fn(&Sums) -> &Vec<(f64, usize)>| {
            let levels = sums.iter().map(|s| of(s).len()).max().unwrap_or(0);
            let at = |i: usize| sums.iter().map(|s| of(s).get(i).map_or(f64::NAN, |&sum| mean_of(sum))).collect();
            (0..levels).map(at).collect::<Vec<Vec<f64>>>()
        };
        Self {
            scores: keys.map(|key| (key, score(&key))).collect(),
            below: shares(|s| &s.below),
            peak_below: shares(|s| &s.peak_below),
            inside: sums.iter().map(|s| mean_of(s.inside)).collect(),
        }
    }

    fn column(&self, method: Method, measure: Measure) -> &[f64] {
        &self.scores[&(method, measure)]
    }

    fn owa(&self, method: Method, rows: &[usize]) -> f64 {
        let ratio =
            |measure| mean(self.column(method, measure), rows) / mean(self.column(Method::Naive2, measure), rows);
        0.5 * (ratio(Measure::Smape) + ratio(Measure::Mase))
    }

    fn method(&self, method: Method, draws: &Draws) -> MethodScores {
        let score = |measure| {
            let estimate = match measure {
                Measure::Owa => draws.estimate(|rows| self.owa(method, rows)),
                _ => draws.mean(self.column(method, measure)),
            };
            Some((measure, estimate?))
        };
        MethodScores { method, scores: Measure::ALL.into_iter().filter_map(score).collect() }
    }

    fn comparisons(&self, draws: &Draws) -> Vec<Comparison> {
        let pairs = [Method::SeasonalNaive, Method::LastValue].into_iter().flat_map(|than| {
            Measure::ALL.into_iter().filter(|m| *m != Measure::Owa).map(move |measure| (than, measure))
        });
        let compare = |(than, measure): (Method, Measure)| {
            let (ours, theirs) = (self.column(Method::Plimsoll, measure), self.column(than, measure));
            // A series that both forecast without error says nothing of their ratio.
            let logs: Vec<f64> = ours
                .iter()
                .zip(theirs)
                .map(|(a, b)| if *a > 0.0 && *b > 0.0 { (a / b).ln() } else { f64::NAN })
                .collect();
            Some(Comparison {
                measure,
                than,
                ratio: draws.estimate(|rows| mean(ours, rows) / mean(theirs, rows))?,
                geometric: draws.estimate(|rows| mean(&logs, rows).exp()),
            })
        };
        pairs.filter_map(compare).collect()
    }
}

/// Mean of the finite values at these rows; NaN where there is none.
fn mean(values: &[f64], rows: &[usize]) -> f64 {
    let mut sum = (0.0, 0);
    for &row in rows {
        count_in(&mut sum, values[row]);
    }
    mean_of(sum)
}

/// Fleets drawn with replacement from the series, the same for every score, so that differences are paired.
struct Draws {
    all: Vec<usize>,
    drawn: Vec<Vec<usize>>,
}

impl Draws {
    fn new(series: usize, summary: &Summary) -> Self {
        let mut rng = Pcg64Mcg::seed_from_u64(summary.seed);
        let draws = if series > 1 { summary.resamples } else { 0 };
        let drawn = (0..draws).map(|_| (0..series).map(|_| rng.random_range(0..series)).collect()).collect();
        Self { all: (0..series).collect(), drawn }
    }

    /// A statistic of the fleet with its range; `None` where it has no value.
    fn estimate(&self, statistic: impl Fn(&[usize]) -> f64) -> Option<Estimate> {
        let value = Some(statistic(&self.all)).filter(|v| v.is_finite())?;
        let mut drawn: Vec<f64> = self.drawn.iter().map(|rows| statistic(rows)).filter(|v| v.is_finite()).collect();
        drawn.sort_unstable_by(f64::total_cmp);
        let range = (!drawn.is_empty()).then(|| (quantile(&drawn, TAIL), quantile(&drawn, 1.0 - TAIL)));
        Some(Estimate { value, range })
    }

    fn mean(&self, values: &[f64]) -> Option<Estimate> {
        self.estimate(|rows| mean(values, rows))
    }
}
