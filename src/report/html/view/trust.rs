//! How far the forecasts can be trusted.

use serde::Serialize;

use crate::columns::align_points;
use crate::document::{ForecastDocument, PlanDocument};
use crate::format::{count, counted, percent, printable, quantile, signal_name, tied};
use crate::html::chart::coverage;
use crate::html::chart::strip::{Part, bar};
use crate::order;

/// Rows of the table.
const ROWS: usize = 150;
/// Dots of single forecasts in the chart.
const DOTS: usize = 600;

/// The section on forecasts.
#[derive(Serialize)]
pub(super) struct ForecastTrust {
    summary: Option<String>,
    coverage_finding: String,
    coverage_chart: Option<String>,
    rows: Vec<Row>,
    more: Option<String>,
    level: String,
}

#[derive(Serialize)]
struct Row {
    subject: String,
    signal: &'static str,
    observations: String,
    origins: String,
    error: String,
    naive: String,
    ratio: String,
    chart: String,
    covered: String,
    method: String,
    fallback: Option<String>,
}

impl ForecastTrust {
    pub(super) fn of(document: &PlanDocument) -> Self {
        let tested: Vec<&ForecastDocument> = document.forecasts.iter().filter(|f| f.trust.origins > 0).collect();
        let levels = levels(&tested);
        let means: Vec<(f64, f64)> =
            levels.iter().filter_map(|l| order::mean_coverage(&tested, *l).map(|m| (*l, m))).collect();
        let each: Vec<(f64, f64)> = tested.iter().flat_map(|f| f.trust.coverage.iter().copied()).take(DOTS).collect();
        let level = levels.iter().copied().min_by(|a, b| (a - 0.95).abs().total_cmp(&(b - 0.95).abs())).unwrap_or(0.95);
        // The weakest first: that is where trust is misplaced.
        let mut ordered: Vec<&ForecastDocument> = document.forecasts.iter().collect();
        ordered.sort_by(|a, b| {
            let key = |f: &ForecastDocument| order::error_over_naive(f).unwrap_or(f64::INFINITY);
            key(b).total_cmp(&key(a))
        });
        let mut rows: Vec<Row> = ordered.iter().take(ROWS).map(|f| row(f, level)).collect();
        let columns: [fn(&mut Row) -> &mut String; 4] =
            [|row| &mut row.error, |row| &mut row.naive, |row| &mut row.ratio, |row| &mut row.covered];
        for column in columns {
            align_points(rows.iter_mut().map(column));
        }
        Self {
            summary: order::forecast_trust(document).map(|text| tied(text.trim_end_matches('.'))),
            coverage_finding: coverage_finding(&means),
            coverage_chart: (!means.is_empty()).then(|| coverage::draw(&each, &means)),
            rows,
            more: (ordered.len() > ROWS)
                .then(|| format!("{} more are in the JSON.", counted(ordered.len() - ROWS, "forecast"))),
            level: quantile(level),
        }
    }
}

fn levels(forecasts: &[&ForecastDocument]) -> Vec<f64> {
    let mut levels: Vec<f64> = forecasts.iter().flat_map(|f| f.trust.coverage.iter().map(|(l, _)| *l)).collect();
    levels.sort_by(f64::total_cmp);
    levels.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    levels
}

fn coverage_finding(means: &[(f64, f64)]) -> String {
    let worst = means.iter().max_by(|a, b| (a.0 - a.1).abs().total_cmp(&(b.0 - b.1).abs()));
    match worst {
        None => "Coverage was not measured".to_owned(),
        Some((level, share)) => {
            let points = ((level - share).abs() * 100.0 * 10.0).round() / 10.0;
            format!("Quantiles hold what they promise within {points} percentage points on average")
        }
    }
}

fn row(forecast: &ForecastDocument, level: f64) -> Row {
    let trust = &forecast.trust;
    let naive = [trust.mase_seasonal_naive, trust.mase_last_value].into_iter().flatten().reduce(f64::min);
    let ratio = order::error_over_naive(forecast);
    let covered = trust.coverage.iter().find(|(l, _)| (l - level).abs() < 1e-9).map(|(_, share)| *share);
    let share = ratio.map_or(0.0, |r| (r / 2.0).min(1.0));
    let class = if ratio.is_some_and(|r| r > 1.0) { "worse" } else { "proposed" };
    let ratio_text = ratio.map_or_else(|| "–".to_owned(), percent);
    let title = format!("{ratio_text} of the naive error");
    Row {
        subject: printable(&forecast.subject),
        signal: signal_name(forecast.signal),
        observations: count(trust.observations),
        origins: count(trust.origins),
        error: order::cell(trust.mase),
        naive: order::cell(naive),
        chart: bar(&[Part { share, class, title: title.clone() }], 10, &title),
        ratio: ratio_text,
        covered: covered.map_or_else(|| "–".to_owned(), |s| percent((s * 1000.0).round() / 1000.0)),
        method: trust.weights.first().map_or_else(|| "–".to_owned(), |(name, _)| printable(name)),
        fallback: trust.fallback.as_ref().map(|text| printable(text)),
    }
}
