//! What quantiles promise and what they held, as a table and a chart.

use serde::Serialize;

use crate::domain::Forecast;
use crate::domain::run::ForecastReport;
use crate::domain::scores::{Coverage, Estimate};
use crate::format::{percent, quantile, significant, tied};
use crate::html::chart::coverage;

/// Dots of single series in the chart.
const DOTS: usize = 600;

/// Coverage of a fleet's forecasts.
#[derive(Serialize)]
pub(super) struct CoverageView {
    finding: String,
    basis: &'static str,
    rows: Vec<Row>,
    has_peaks: bool,
    chart: Option<String>,
}

#[derive(Serialize)]
struct Row {
    level: String,
    measured: String,
    range: String,
    deciles: String,
    peak: String,
}

impl CoverageView {
    pub(super) fn of(report: &ForecastReport) -> Self {
        let steps = match &report.scores {
            Some(scores) => scores.coverage.clone(),
            None => own(&report.forecasts, |f| &f.trust.coverage),
        };
        let lead_steps = match &report.scores {
            Some(scores) => scores.lead_steps,
            None => report.forecasts.first().map_or(1, |f| f.lead_steps),
        };
        let peaks = match &report.scores {
            _ if lead_steps < 2 => Vec::new(),
            Some(scores) => scores.peak_coverage.clone(),
            None => own(&report.forecasts, |f| &f.trust.peak_coverage),
        };
        let means: Vec<(f64, f64)> = steps.iter().map(|c| (c.level, c.measured.value)).collect();
        let each: Vec<(f64, f64)> = match &report.scores {
            Some(scores) => scores.each.iter().flat_map(|s| s.coverage.iter().copied()).take(DOTS).collect(),
            None => report.forecasts.iter().flat_map(|f| f.trust.coverage.iter().copied()).take(DOTS).collect(),
        };
        let worst = means.iter().map(|(level, share)| (level - share).abs()).fold(0.0, f64::max);
        Self {
            finding: if means.is_empty() {
                "Coverage was not measured".to_owned()
            } else {
                format!("Quantiles hold what they promise within {} percentage points", significant(100.0 * worst, 2))
            },
            basis: match &report.scores {
                Some(_) => "Measured on values held back from the forecasts.",
                None => {
                    "Measured on the rolling origins behind each forecast; --backtest measures it on values held back."
                }
            },
            rows: steps.iter().map(|c| row(c, &peaks)).collect(),
            has_peaks: !peaks.is_empty(),
            chart: (!means.is_empty()).then(|| coverage::draw(&each, &means)),
        }
    }
}

fn row(coverage: &Coverage, peaks: &[Coverage]) -> Row {
    let share = |share: f64| tied(&percent((share * 1000.0).round() / 1000.0));
    let pair = |(low, high): (f64, f64)| format!("{}–{}", share(low).trim_end_matches(['%', '\u{a0}']), share(high));
    let peak = peaks.iter().find(|peak| peak.level.total_cmp(&coverage.level).is_eq());
    Row {
        level: quantile(coverage.level),
        measured: share(coverage.measured.value),
        range: coverage.measured.range.map_or_else(|| "–".to_owned(), pair),
        deciles: pair(coverage.deciles),
        peak: peak.map_or_else(|| "–".to_owned(), |peak| share(peak.measured.value)),
    }
}

/// Mean and deciles of what the forecasts' own backtests measured.
fn own(forecasts: &[Forecast], of: fn(&Forecast) -> &Vec<(f64, f64)>) -> Vec<Coverage> {
    let Some(first) = forecasts.iter().map(of).find(|shares| !shares.is_empty()) else { return Vec::new() };
    let at = |level: f64| {
        let shares = forecasts.iter().filter_map(|f| of(f).iter().find(|(l, _)| l.total_cmp(&level).is_eq()));
        let mut shares: Vec<f64> = shares.map(|(_, share)| *share).collect();
        shares.sort_unstable_by(f64::total_cmp);
        let decile = |tenths: usize| shares[((shares.len() - 1) * tenths + 5) / 10];
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        Coverage { level, measured: Estimate { value: mean, range: None }, deciles: (decile(1), decile(9)) }
    };
    first.iter().map(|&(level, _)| at(level)).collect()
}
