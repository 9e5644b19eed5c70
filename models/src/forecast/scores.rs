//! Scores of forecasts, in the units of the M4 competition (Makridakis, Spiliotis, Assimakopoulos: The M4
//! Competition, International Journal of Forecasting 36, 2020, sections 2.3 and 2.4).
//!
//! Every function skips the steps whose truth is not finite and gives `None` where nothing is left to score.

/// Mean absolute difference between values one season apart: the denominator of [`mase`] and [`msis`].
/// With `season` 1 it is the mean absolute step. `None` if no pair is measured or the mean is 0.
#[must_use]
pub fn seasonal_scale(history: &[f64], season: usize) -> Option<f64> {
    let season = season.max(1);
    let later = history.get(season..)?;
    mean(history.iter().zip(later).map(|(a, b)| (b - a).abs())).filter(|&scale| scale > 0.0)
}

/// Mean absolute error.
#[must_use]
pub fn mae(truth: &[f64], forecast: &[f64]) -> Option<f64> {
    mean(truth.iter().zip(forecast).map(|(y, f)| (y - f).abs()))
}

/// Mean absolute scaled error: [`mae`] over `scale`, usually [`seasonal_scale`] of the history. Below 1 is better
/// than the seasonal naive forecast was one step ahead inside the history.
#[must_use]
pub fn mase(truth: &[f64], forecast: &[f64], scale: f64) -> Option<f64> {
    mae(truth, forecast).map(|error| error / scale)
}

/// Symmetric mean absolute percentage error in M4's unit, 0..=200. A step where both values are 0 counts as 0.
#[must_use]
pub fn smape(truth: &[f64], forecast: &[f64]) -> Option<f64> {
    mean(truth.iter().zip(forecast).map(|(y, f)| {
        let size = y.abs() + f.abs();
        if size == 0.0 { 0.0 } else { 200.0 * (y - f).abs() / size }
    }))
}

/// Mean scaled interval score (Gneiting and Raftery 2007, over the scale of MASE) of the central intervals
/// `low..=high` that should hold a share 1 − `alpha` of the truth.
#[must_use]
pub fn msis(truth: &[f64], low: &[f64], high: &[f64], alpha: f64, scale: f64) -> Option<f64> {
    let score =
        |((&y, &l), &h): ((&f64, &f64), &f64)| (h - l) + 2.0 / alpha * ((l - y).max(0.0) + (y - h).max(0.0)) + 0.0 * y;
    mean(truth.iter().zip(low).zip(high).map(score)).map(|total| total / scale)
}

/// Mean quantile ("pinball") loss of a forecast of the quantile at `level`.
#[must_use]
pub fn quantile_loss(truth: &[f64], quantile: &[f64], level: f64) -> Option<f64> {
    mean(truth.iter().zip(quantile).map(|(y, q)| if y >= q { level * (y - q) } else { (1.0 - level) * (q - y) }))
}

/// Weighted quantile loss: twice the summed quantile loss over the summed absolute truth, averaged over the levels
/// (the form of the Amazon forecasting papers). `quantiles[i]` belongs to `levels[i]`.
#[must_use]
pub fn weighted_quantile_loss(truth: &[f64], quantiles: &[&[f64]], levels: &[f64]) -> Option<f64> {
    let size = mean(truth.iter().map(|y| y.abs())).filter(|&size| size > 0.0)?;
    let losses = levels.iter().zip(quantiles).map(|(&level, q)| quantile_loss(truth, q, level));
    mean(losses.map(|loss| loss.unwrap_or(f64::NAN))).map(|loss| 2.0 * loss / size)
}

/// Share of the truth at or below the forecast quantile, 0..=1.
#[must_use]
pub fn coverage(truth: &[f64], quantile: &[f64]) -> Option<f64> {
    mean(truth.iter().zip(quantile).map(|(y, q)| if y.is_nan() { f64::NAN } else { f64::from(u8::from(y <= q)) }))
}

/// Mean of the finite values.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.filter(|v| v.is_finite()).fold((0.0, 0_usize), |(s, c), v| (s + v, c + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-12)
    }

    #[test]
    fn scores_agree_with_numbers_worked_by_hand() {
        let truth = [10.0, 20.0, 30.0];
        assert!(near(seasonal_scale(&[1.0, 2.0, 4.0, 8.0], 2), 4.5));
        assert!(near(mase(&truth, &[12.0, 20.0, 26.0], 2.0), 1.0));
        // 200·2/22, 0, 200·4/56
        assert!(near(smape(&truth, &[12.0, 20.0, 26.0]), (200.0 * 2.0 / 22.0 + 200.0 * 4.0 / 56.0) / 3.0));
        // Widths 4, 4, 4; the last value is 2 above: 2/0.05·2 = 80.
        assert!(near(msis(&truth, &[8.0, 18.0, 24.0], &[12.0, 22.0, 28.0], 0.05, 2.0), (12.0 + 80.0) / 3.0 / 2.0));
        assert!(near(quantile_loss(&truth, &[12.0, 18.0, 30.0], 0.9), (0.1 * 2.0 + 0.9 * 2.0) / 3.0));
        assert!(near(coverage(&truth, &[10.0, 19.0, 31.0]), 2.0 / 3.0));
        let quantile = [12.0, 18.0, 30.0];
        assert!(near(weighted_quantile_loss(&truth, &[&quantile], &[0.9]), 2.0 * (2.0 / 3.0) / 20.0));
    }

    #[test]
    fn gaps_are_not_scored_and_nothing_to_score_is_none() {
        let truth = [f64::NAN, 20.0];
        assert!(near(mae(&truth, &[0.0, 21.0]), 1.0));
        assert!(near(coverage(&truth, &[0.0, 21.0]), 1.0));
        assert_eq!(mae(&[f64::NAN], &[1.0]), None);
        assert_eq!(msis(&[], &[], &[], 0.05, 1.0), None);
        assert_eq!(seasonal_scale(&[1.0, 1.0, 1.0], 1), None);
    }
}
