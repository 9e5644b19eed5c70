//! Plain members: naive forecasts, exponential level and damped trend, an intermittent model.

use super::bank::Member;
use super::windows::Windows;

/// Standing of naive members beside a dozen regressions.
const NAIVE_STANDING: f64 = 2.0;

/// Repeats the last season.
pub(crate) fn seasonal_naive(values: &[f64], season: usize, windows: &Windows) -> Member {
    let member = from_each_window(format!("naive {season}"), windows, |start, horizon| {
        let from = start.saturating_sub(season.max(1));
        let last = &values[from..start];
        (0..horizon).map(|h| last.get(h % last.len().max(1)).copied().unwrap_or(0.0)).collect()
    });
    Member { standing: NAIVE_STANDING, ..member }
}

/// Repeats the last of the longest season, moved by how the steps before the start stand against those one season
/// earlier; of that shift half is left after each of the shortest season. Two members: by the last step alone, and by
/// the last of the shortest season; of ratios where all values are positive, of differences else. None where the history
/// is long enough to learn a longer season properly.
pub(crate) fn moved(values: &[f64], seasons: &[usize], windows: &Windows) -> Vec<Member> {
    let (Some(&short), Some(&long)) = (seasons.first(), seasons.last()) else { return Vec::new() };
    let positive = values.iter().all(|&v| v > 0.0);
    let bent: Vec<f64> = if positive { values.iter().map(|v| v.ln()).collect() } else { values.to_vec() };
    let limits: Vec<(f64, f64)> = windows.cuts.iter().map(|&cut| super::bank::bounds(&values[..cut])).collect();
    [("step", 1, KEPT_OF_STEP), ("season", short, KEPT_OF_SEASON)]
        .into_iter()
        .filter(|_| windows.cuts[0] > long && (short == long || windows.cuts[0] < 2 * long))
        .map(|(name, reach, kept)| {
            let kept = f64::powf(kept, 1.0 / short as f64);
            let mut paths = Vec::with_capacity(windows.list.len() * windows.horizon);
            for window in &windows.list {
                let start = window.start;
                let reach = reach.min(start - long);
                let differences = (start - reach..start).map(|t| bent[t] - bent[t - long]);
                let mut shift = differences.sum::<f64>() / reach as f64;
                let (low, high) = limits[window.cut];
                paths.extend((0..windows.horizon).map(|h| {
                    shift *= kept;
                    let value = bent[start - long + h % long] + shift;
                    (if positive { value.clamp(-600.0, 600.0).exp() } else { value }).clamp(low, high)
                }));
            }
            Member { name: format!("naive {long} moved by {name}"), paths, standing: NAIVE_STANDING }
        })
        .collect()
}

/// Repeats the last value.
pub(crate) fn last_value(values: &[f64], windows: &Windows) -> Member {
    let last = seasonal_naive(values, 1, windows);
    Member { name: "last value".to_owned(), standing: 1.0, ..last }
}

/// Shares of a shift that are left after the shortest season.
const KEPT_OF_STEP: f64 = 0.1;
const KEPT_OF_SEASON: f64 = 0.5;

/// Smoothing weights tried for the level; the best one step ahead inside the fit is kept.
const LEVEL_WEIGHTS: [f64; 5] = [0.02, 0.1, 0.25, 0.5, 0.8];
/// Weights of the trend, relative to the level's.
const TREND_WEIGHT: f64 = 0.1;
/// Share of the trend left after each step (Gardner 1985, the damped trend); the usual value of automatic ETS.
const DAMPING: f64 = 0.95;

/// Exponential level (simple smoothing) and damped trend, each with its weight chosen before the first fit end.
pub(crate) fn smoothed(values: &[f64], windows: &Windows) -> Vec<Member> {
    let fit = &values[..windows.cuts[0]];
    [(0.0, "exponential level"), (TREND_WEIGHT, "damped trend")]
        .into_iter()
        .map(|(trend, name)| {
            let error = |alpha: f64| smooth(fit, alpha, alpha * trend, |_, _| ()).2;
            let alpha = LEVEL_WEIGHTS.into_iter().min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap_or(0.5);
            let mut states = Vec::with_capacity(values.len());
            smooth(values, alpha, alpha * trend, |level, slope| states.push((level, slope)));
            from_each_window(name.to_owned(), windows, |start, horizon| {
                let (level, slope) = start.checked_sub(1).map_or((0.0, 0.0), |i| states[i]);
                let mut sum = 0.0;
                let mut damped = 1.0;
                (0..horizon)
                    .map(|_| {
                        damped *= DAMPING;
                        sum += damped;
                        level + slope * sum
                    })
                    .collect()
            })
        })
        .collect()
}

/// Holt's recursion with damping; `keep` sees (level, slope) after each value. Returns the last level, slope and the
/// sum of squared errors one step ahead.
fn smooth(values: &[f64], alpha: f64, beta: f64, mut keep: impl FnMut(f64, f64)) -> (f64, f64, f64) {
    let (mut level, mut slope, mut squares) = (values.first().copied().unwrap_or(0.0), 0.0, 0.0);
    for &value in values {
        let expected = level + DAMPING * slope;
        let error = value - expected;
        squares += error * error;
        level = expected + alpha * error;
        slope = DAMPING * slope + beta * error;
        keep(level, slope);
    }
    (level, slope, squares)
}

/// Weights of the demand's size and of its probability (Teunter, Syntetos and Babai 2011, section 4).
const SIZE_WEIGHT: f64 = 0.1;
const PROBABILITY_WEIGHT: f64 = 0.05;

/// TSB: the smoothed probability of any demand times the smoothed size of a demand, for loads that are often 0.
pub(crate) fn intermittent(values: &[f64], windows: &Windows) -> Member {
    let mut size = values.iter().copied().find(|&v| v != 0.0).unwrap_or(0.0);
    let mut probability = 0.5;
    let states: Vec<f64> = values
        .iter()
        .map(|&value| {
            let demand = value != 0.0;
            probability += PROBABILITY_WEIGHT * (f64::from(u8::from(demand)) - probability);
            if demand {
                size += SIZE_WEIGHT * (value - size);
            }
            probability * size
        })
        .collect();
    from_each_window("intermittent".to_owned(), windows, |start, horizon| {
        vec![start.checked_sub(1).map_or(0.0, |i| states[i]); horizon]
    })
}

pub(crate) fn from_each_window(name: String, windows: &Windows, path: impl Fn(usize, usize) -> Vec<f64>) -> Member {
    Member { name, standing: 1.0, paths: windows.list.iter().flat_map(|w| path(w.start, windows.horizon)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(len: usize) -> Windows {
        Windows::new(len, 4, 1, len / 2, 4, 1)
    }

    fn forecast(member: &Member) -> &[f64] {
        &member.paths[member.paths.len() - 4..]
    }

    #[test]
    fn naive_members_repeat() {
        let values: Vec<f64> = (0..12).map(f64::from).collect();
        assert_eq!(forecast(&seasonal_naive(&values, 3, &windows(12))), [9.0, 10.0, 11.0, 9.0]);
        assert_eq!(forecast(&last_value(&values, &windows(12))), [11.0; 4]);
    }

    #[test]
    fn a_trend_is_followed_ever_more_slowly() {
        let values: Vec<f64> = (0..40).map(f64::from).collect();
        let members = smoothed(&values, &windows(40));
        let path = forecast(&members[1]);
        assert!(path[0] > 38.5 && path[0] < 40.5, "{path:?}");
        assert!(path.windows(3).all(|w| w[2] - w[1] <= w[1] - w[0] + 1e-12), "{path:?}");
    }

    #[test]
    fn intermittent_demand_is_forecast_at_its_rate() {
        let values: Vec<f64> = (0..400).map(|i| if i % 10 == 0 { 5.0 } else { 0.0 }).collect();
        let path = intermittent(&values, &windows(400));
        assert!((forecast(&path)[0] - 0.5).abs() < 0.15, "{:?}", forecast(&path));
    }
}
