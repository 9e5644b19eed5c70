//! What of a plan a reader should see first, and its figures in sum.

use std::cmp::Reverse;

use super::document::{ForecastDocument, PlanDocument, WorkloadDocument};
use super::format::{counted, percent, quantile, significant};

/// Workloads, those that change first, then by what their change or their risk is worth; ties by name.
pub(super) fn by_importance(document: &PlanDocument) -> Vec<&WorkloadDocument> {
    let mut workloads: Vec<&WorkloadDocument> = document.workloads.iter().collect();
    let widest = widest_change(document);
    workloads.sort_by(|a, b| {
        let key = |w: &WorkloadDocument| (Reverse(w.is_changed()), Reverse(w.moves > 0));
        key(a).cmp(&key(b)).then_with(|| importance(b, widest).total_cmp(&importance(a, widest)))
    });
    workloads
}

/// The largest change or the largest risk, whichever is more, each 0..1 of the widest in the plan.
fn importance(workload: &WorkloadDocument, widest: f64) -> f64 {
    let change = if widest > 0.0 { workload.released_per_hour.abs() / widest } else { 0.0 };
    let risk = workload.risk.unwrap_or(0.0).max(workload.risk_now.unwrap_or(0.0));
    change.max(risk.clamp(0.0, 1.0))
}

fn widest_change(document: &PlanDocument) -> f64 {
    document.workloads.iter().map(|w| w.released_per_hour.abs()).filter(|v| v.is_finite()).fold(0.0, f64::max)
}

/// The largest risk and whose it is; `None` where nothing was measured.
pub(super) fn worst_risk(document: &PlanDocument) -> Option<(f64, &WorkloadDocument)> {
    document.workloads.iter().filter_map(|w| w.risk.map(|risk| (risk, w))).fold(
        None,
        |worst: Option<(f64, &WorkloadDocument)>, (risk, w)| match worst {
            Some((most, _)) if most >= risk => worst,
            _ => Some((risk, w)),
        },
    )
}

/// The forecasts' record over all series in one sentence; `None` where nothing was tested.
pub(super) fn forecast_trust(document: &PlanDocument) -> Option<String> {
    let tested: Vec<&ForecastDocument> = document.forecasts.iter().filter(|f| f.trust.origins > 0).collect();
    let ratio = median(tested.iter().filter_map(|f| error_over_naive(f)).collect())?;
    let record = match ratio {
        r if r < 0.995 => format!("{} less error than naive", percent(1.0 - r)),
        r if r > 1.005 => format!("{} more error than naive", percent(r - 1.0)),
        _ => "as good as naive".to_owned(),
    };
    let held = highest_coverage(&tested).map_or_else(String::new, |(level, share)| {
        format!(", {} held {} of the time", quantile(level), percent((share * 1000.0).round() / 1000.0))
    });
    Some(format!("Forecasts of {}: {record} (median over backtests){held}.", counted(tested.len(), "series")))
}

/// Error over the better naive method's; below 1 is better than naive.
pub(super) fn error_over_naive(forecast: &ForecastDocument) -> Option<f64> {
    let trust = &forecast.trust;
    let naive = [trust.mase_seasonal_naive, trust.mase_last_value].into_iter().flatten().fold(f64::INFINITY, f64::min);
    let ratio = trust.mase? / naive;
    (ratio.is_finite() && naive > 0.0).then_some(ratio)
}

/// The mean measured coverage of the level nearest to 95 %.
fn highest_coverage(forecasts: &[&ForecastDocument]) -> Option<(f64, f64)> {
    let levels = forecasts.iter().flat_map(|f| f.trust.coverage.iter().map(|(level, _)| *level));
    let level = levels.min_by(|a, b| (a - 0.95).abs().total_cmp(&(b - 0.95).abs()))?;
    mean_coverage(forecasts, level).map(|share| (level, share))
}

/// The mean over forecasts of the coverage measured at a level.
pub(super) fn mean_coverage(forecasts: &[&ForecastDocument], level: f64) -> Option<f64> {
    let at_level = |f: &&ForecastDocument| {
        f.trust.coverage.iter().find(|(l, _)| (l - level).abs() < 1e-9).map(|(_, share)| *share)
    };
    let shares: Vec<f64> = forecasts.iter().filter_map(at_level).collect();
    if shares.is_empty() { None } else { Some(shares.iter().sum::<f64>() / shares.len() as f64) }
}

/// The median; `None` of nothing.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|v| v.is_finite());
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => values.get(middle).copied(),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// A number for a table cell.
pub(super) fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| super::format::UNKNOWN.to_owned(), |v| significant(v, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_needs_no_more_than_it_has() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![f64::NAN, 3.0]), Some(3.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
