//! How the forecasts of a fleet did on their own past, in numbers a report can show.

use crate::domain::Forecast;

/// Mean scores over the forecasts that could be tested.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Backtest {
    /// Forecasts looked at.
    pub series: usize,
    /// Those of them with at least one rolling origin; the scores below are over these.
    pub tested: usize,
    /// Mean absolute scaled error (scale: mean absolute seasonal difference).
    pub mase: Option<f64>,
    /// The same of the seasonal naive forecast.
    pub mase_seasonal_naive: Option<f64>,
    /// The same of the last value.
    pub mase_last_value: Option<f64>,
    /// Share of series on which the method beat the better of the two.
    pub better_than_naive: f64,
    /// Share of held-out values at or below each quantile: (level, coverage).
    pub coverage: Vec<(f64, f64)>,
    /// The same for the peak over the lead time.
    pub peak_coverage: Vec<(f64, f64)>,
    /// Why forecasts are plainer than usual, with the number of series, most first.
    pub fallbacks: Vec<(String, usize)>,
}

/// Sums up the [`Trust`](crate::domain::forecast::Trust) of many forecasts.
#[must_use]
pub fn backtest(forecasts: &[Forecast]) -> Backtest {
    let tested: Vec<&Forecast> = forecasts.iter().filter(|f| f.trust.origins > 0).collect();
    let score = |of: fn(&Forecast) -> Option<f64>| mean(tested.iter().filter_map(|f| of(f)));
    let better = tested.iter().filter(|f| {
        let naive =
            f.trust.mase_seasonal_naive.unwrap_or(f64::INFINITY).min(f.trust.mase_last_value.unwrap_or(f64::INFINITY));
        f.trust.mase.is_some_and(|mase| mase < naive)
    });
    let mut fallbacks = std::collections::BTreeMap::<&str, usize>::new();
    forecasts
        .iter()
        .filter_map(|f| f.trust.fallback.as_deref())
        .for_each(|why| *fallbacks.entry(why).or_default() += 1);
    let mut fallbacks: Vec<(String, usize)> = fallbacks.into_iter().map(|(why, n)| (why.to_owned(), n)).collect();
    fallbacks.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Backtest {
        series: forecasts.len(),
        tested: tested.len(),
        mase: score(|f| f.trust.mase),
        mase_seasonal_naive: score(|f| f.trust.mase_seasonal_naive),
        mase_last_value: score(|f| f.trust.mase_last_value),
        better_than_naive: better.count() as f64 / tested.len().max(1) as f64,
        coverage: mean_coverage(&tested, |f| &f.trust.coverage),
        peak_coverage: mean_coverage(&tested, |f| &f.trust.peak_coverage),
        fallbacks,
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_usize), |(s, c), v| (s + v, c + 1));
    (count > 0).then(|| sum / count as f64)
}

fn mean_coverage(forecasts: &[&Forecast], of: fn(&Forecast) -> &Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let Some(first) = forecasts.iter().find(|f| !of(f).is_empty()) else { return Vec::new() };
    let level_mean = |level: f64| {
        let at_level = |f: &&Forecast| of(f).iter().find(|(l, _)| l.total_cmp(&level).is_eq()).map(|(_, share)| *share);
        mean(forecasts.iter().filter_map(at_level)).unwrap_or(f64::NAN)
    };
    of(first).iter().map(|&(level, _)| (level, level_mean(level))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{series, settings};
    use super::*;
    use crate::forecast::forecast_series;

    #[test]
    fn only_tested_series_are_scored_and_fallbacks_are_counted() {
        let wave = |i: usize| 5.0 + (i as f64 / 24.0 * std::f64::consts::TAU).sin() + 0.01 * ((i * 7919) % 13) as f64;
        let rows = [(0..400).map(wave).collect(), vec![1.0, 2.0], vec![3.0, 4.0]];
        let summary = backtest(&forecast_series(&series(&rows, 3_600_000), &settings(12), &|_, _| ()));
        assert_eq!((summary.series, summary.tested), (3, 1));
        assert!(summary.mase.unwrap() < summary.mase_last_value.unwrap());
        assert!((summary.better_than_naive - 1.0).abs() < 1e-12);
        assert_eq!(summary.coverage.len(), 2);
        assert_eq!(summary.fallbacks, [("only 2 measured values: repeats them, width untested".to_owned(), 2)]);
    }
}
