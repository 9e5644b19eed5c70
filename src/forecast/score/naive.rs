//! The methods that a forecast must beat, and their quantiles.

use super::LOSS_LEVELS;

/// A path, and one row of quantiles a level of [`LEVELS`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Simple {
    pub(super) path: Vec<f64>,
    pub(super) quantiles: Vec<Vec<f64>>,
}

/// The levels at which naive methods are scored: those of the loss, and the ends of the 95 % interval.
pub(super) const LEVELS: [f64; 7] =
    [0.025, LOSS_LEVELS[0], LOSS_LEVELS[1], LOSS_LEVELS[2], LOSS_LEVELS[3], 0.975, LOSS_LEVELS[4]];

/// Past errors behind a quantile at most; more move it less than the errors' own chance does.
const MOST_ERRORS: usize = 2000;

/// The last season again. Where its last value is missing, the one a season earlier stands in.
pub(super) fn seasonal(history: &[f64], season: usize, horizon: usize) -> Option<Simple> {
    let season = season.max(1);
    let at = |h: usize| {
        let mut back = season - h % season;
        while back <= history.len() {
            let value = history[history.len() - back];
            if value.is_finite() {
                return Some(value);
            }
            back += season;
        }
        None
    };
    let path: Vec<f64> = (0..horizon).map(at).collect::<Option<_>>()?;
    // Steps of the same cycle ahead err alike.
    let mut cycles: Vec<Vec<f64>> = Vec::new();
    for cycle in 1..=horizon.div_ceil(season) {
        let errors = spreads(history, cycle * season);
        let errors = if errors.iter().all(|e| e.is_finite()) { Some(errors) } else { cycles.last().cloned() };
        cycles.push(errors.unwrap_or_else(|| vec![0.0; LEVELS.len()]));
    }
    let quantiles =
        (0..LEVELS.len()).map(|i| path.iter().enumerate().map(|(h, v)| v + cycles[h / season][i]).collect()).collect();
    Some(Simple { path, quantiles })
}

/// The last value again.
pub(super) fn last_value(history: &[f64], horizon: usize) -> Option<Simple> {
    let last = history.iter().rev().copied().find(|v| v.is_finite())?;
    let mut errors = vec![0.0; LEVELS.len()];
    let mut quantiles = vec![Vec::with_capacity(horizon); LEVELS.len()];
    for h in 1..=horizon {
        let own = spreads(history, h);
        if own.iter().all(|e| e.is_finite()) {
            errors = own;
        }
        quantiles.iter_mut().zip(&errors).for_each(|(row, e)| row.push(last + e));
    }
    Some(Simple { path: vec![last; horizon], quantiles })
}

/// Quantiles of the differences between values so many steps apart; not finite where there are none.
fn spreads(history: &[f64], apart: usize) -> Vec<f64> {
    let Some(later) = history.get(apart..) else { return vec![f64::NAN; LEVELS.len()] };
    let stride = later.len().div_ceil(MOST_ERRORS).max(1);
    let differences = history.iter().zip(later).map(|(a, b)| b - a).step_by(stride);
    let mut errors: Vec<f64> = differences.filter(|e| e.is_finite()).collect();
    errors.sort_unstable_by(f64::total_cmp);
    LEVELS.iter().map(|level| quantile(&errors, *level)).collect()
}

/// The quantile of sorted values, interpolated; not a number where there are none.
pub(super) fn quantile(sorted: &[f64], level: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = level * last as f64;
    let low = (at.floor() as usize).min(last);
    let high = (low + 1).min(last);
    sorted[low] + (at - low as f64) * (sorted[high] - sorted[low])
}

/// Naive2 of the M4 competition: the last value after a multiplicative seasonal adjustment, which is made only where
/// the autocorrelation at the season passes a test at 90 %.
pub(super) fn naive2(history: &[f64], season: usize, horizon: usize) -> Option<Vec<f64>> {
    let last = history.iter().rposition(|v| v.is_finite())?;
    let indices = if is_seasonal(history, season) { seasonal_indices(history, season) } else { None };
    let Some(indices) = indices else { return Some(vec![history[last]; horizon]) };
    let adjusted = history[last] / indices[last % season];
    Some((0..horizon).map(|h| adjusted * indices[(history.len() + h) % season]).collect())
}

/// Whether |r(season)| exceeds 1.645·√((1 + 2·Σ r(i)²)/n), the sum over the shorter lags, with three seasons at least.
fn is_seasonal(history: &[f64], season: usize) -> bool {
    if season < 2 || history.len() < 3 * season {
        return false;
    }
    let measured: Vec<f64> = history.iter().copied().filter(|v| v.is_finite()).collect();
    if measured.is_empty() {
        return false;
    }
    let mean = measured.iter().sum::<f64>() / measured.len() as f64;
    let moment = |lag: usize| {
        let pairs = history.iter().zip(&history[lag..]).map(|(a, b)| (a - mean) * (b - mean));
        pairs.filter(|p| p.is_finite()).sum::<f64>()
    };
    let variance = moment(0);
    if variance <= 0.0 {
        return false;
    }
    let shorter: f64 = (1..season).map(|lag| (moment(lag) / variance).powi(2)).sum();
    let limit = 1.645 * ((1.0 + 2.0 * shorter) / measured.len() as f64).sqrt();
    (moment(season) / variance).abs() > limit
}

/// Mean ratio to the centred moving average by place in the season, scaled to a mean of 1; `None` where one is not
/// positive, for which a ratio means nothing.
fn seasonal_indices(history: &[f64], season: usize) -> Option<Vec<f64>> {
    let half = season / 2;
    let trend = |t: usize| {
        let window = &history[t - half..=t + half];
        let ends =
            if season.is_multiple_of(2) { 0.5 * (window[0] + window[season]) } else { window[0] + window[season - 1] };
        (ends + window[1..window.len() - 1].iter().sum::<f64>()) / season as f64
    };
    let mut sums = vec![(0.0, 0_usize); season];
    for t in half..history.len().checked_sub(half)? {
        let ratio = history[t] / trend(t);
        if ratio.is_finite() {
            sums[t % season].0 += ratio;
            sums[t % season].1 += 1;
        }
    }
    let raw: Vec<f64> = sums.into_iter().map(|(sum, count)| sum / count as f64).collect();
    let mean = raw.iter().sum::<f64>() / season as f64;
    let indices: Vec<f64> = raw.into_iter().map(|index| index / mean).collect();
    indices.iter().all(|i| i.is_finite() && *i > 1e-9).then_some(indices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_season_is_repeated_and_gaps_are_filled_from_the_one_before() {
        let history = [1.0, 2.0, 3.0, 4.0, f64::NAN, 6.0];
        let naive = seasonal(&history, 3, 4).unwrap();
        assert_eq!(naive.path, [4.0, 2.0, 6.0, 4.0]);
        // Each cycle grew by 3, so every quantile is 3 above the path one cycle ahead.
        assert!(naive.quantiles.iter().all(|row| (row[0] - 7.0).abs() < 1e-12));
        assert_eq!(seasonal(&[f64::NAN; 9], 3, 4), None);
        assert_eq!(last_value(&history, 2).unwrap().path, [6.0, 6.0]);
        assert_eq!(last_value(&[], 2), None);
    }

    #[test]
    fn quantiles_of_the_last_value_widen_with_the_horizon() {
        let history: Vec<f64> = (0..200).map(|i| f64::from(i * i % 37)).collect();
        let naive = last_value(&history, 3).unwrap();
        for h in 0..3 {
            assert!(naive.quantiles.windows(2).all(|pair| pair[0][h] <= pair[1][h]));
        }
        let trend: Vec<f64> = (0..50).map(f64::from).collect();
        let naive = last_value(&trend, 3).unwrap();
        assert_eq!(naive.quantiles.iter().map(|row| row[2]).collect::<Vec<_>>(), [52.0; 7]);
    }

    #[test]
    fn naive2_adjusts_a_season_only_where_there_is_one() {
        let season = [0.5, 1.0, 1.5, 1.0];
        let history: Vec<f64> = (0..42).map(|t| 10.0 * season[t % 4]).collect();
        let path = naive2(&history, 4, 4).unwrap();
        // The history ends after the second place of its season.
        for (path, truth) in path.iter().zip([15.0, 10.0, 5.0, 10.0]) {
            assert!((path - truth).abs() < 1e-9, "{path} {truth}");
        }
        let short: Vec<f64> = history[..11].to_vec();
        assert_eq!(naive2(&short, 4, 2).unwrap(), [15.0, 15.0]);
        let crossing: Vec<f64> = (0..42).map(|t| season[t % 4] - 1.0).collect();
        assert_eq!(naive2(&crossing, 4, 2).unwrap(), [0.0, 0.0]);
        assert_eq!(naive2(&[f64::NAN], 4, 2), None);
    }
}
