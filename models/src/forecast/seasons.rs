//! Which seasons a history has, if any.

/// A season is believed if the correlation of what remains after the level's drift exceeds this many standard errors
/// of no correlation (1/√n); the best of many lags is taken, so the bound is well above 2.
const ERRORS_NEEDED: f64 = 5.0;
/// And if it explains at least this share.
const LEAST_CORRELATION: f64 = 0.2;
/// A peak this close to the highest is taken for the season of which the highest is a multiple.
const FIRST_OF_MULTIPLES: f64 = 0.6;
/// Histories longer than this are averaged down before the search.
const MOST_POINTS: usize = 2048;
/// No stretch is quieter than this share of the whole: rounding is not to be blown up to a season.
const LEAST_SIZE: f64 = 0.1;
/// Shortest season worth a model of its own.
pub(crate) const SHORTEST: usize = 4;

/// The candidates (shortest first) that the history, all finite, shows; each must fit in at least twice and explain
/// something that the ones before do not. Where there is none to be seen, it is looked for once more with all stretches at
/// the same size: a season is a matter of shape, and a few days of ten times the load outweigh all others.
pub(crate) fn tested(values: &[f64], candidates: &[usize]) -> Vec<usize> {
    let found = tested_in(values, candidates, |rest, _| rest.to_vec());
    if found.is_empty() { tested_in(values, candidates, evened) } else { found }
}

fn tested_in(values: &[f64], candidates: &[usize], as_seen: fn(&[f64], usize) -> Vec<f64>) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    for &season in candidates.iter().filter(|&&s| s >= SHORTEST && values.len() >= 2 * s + SHORTEST) {
        // What a shorter season explains is taken out first, or its multiples would all look like seasons.
        let mut rest = as_seen(&detrended(values, season), season);
        for &shorter in &found {
            rest = without_profile(&rest, shorter);
        }
        if significant(correlation(&rest, season), rest.len() - season) {
            found.push(season);
        }
    }
    found
}

/// Up to two seasons found without a hint: the highest peak of the autocorrelation of the changes' running sum, then
/// the highest one that remains.
pub(crate) fn found(values: &[f64]) -> Vec<usize> {
    let factor = values.len().div_ceil(MOST_POINTS).max(1);
    let coarse: Vec<f64> = values.chunks_exact(factor).map(|chunk| chunk.iter().sum::<f64>() / factor as f64).collect();
    let mut rest = detrended(&coarse, coarse.len() / 3);
    let mut seasons: Vec<usize> = Vec::new();
    for _ in 0..2 {
        let correlations: Vec<f64> = (0..=coarse.len() / 3).map(|lag| correlation(&rest, lag)).collect();
        let peaks: Vec<usize> = (SHORTEST..correlations.len().saturating_sub(1))
            .filter(|&lag| correlations[lag] > correlations[lag - 1] && correlations[lag] >= correlations[lag + 1])
            .collect();
        let highest = peaks.iter().map(|&lag| correlations[lag]).fold(0.0, f64::max);
        // Multiples of a season correlate as well as it does, or better: the first that comes close is it.
        let peak = peaks.into_iter().find(|&lag| correlations[lag] >= FIRST_OF_MULTIPLES * highest);
        let Some(season) = peak.filter(|&lag| significant(correlations[lag], coarse.len() - lag)) else { break };
        // The dip before the peak tells a cycle from mere persistence.
        if correlations[1..season].iter().copied().fold(1.0, f64::min) > correlations[season] - 0.1 {
            break;
        }
        seasons.push(season * factor);
        rest = without_profile(&rest, season);
    }
    seasons.sort_unstable();
    seasons.dedup();
    seasons
}

fn significant(correlation: f64, pairs: usize) -> bool {
    correlation > LEAST_CORRELATION && correlation > ERRORS_NEEDED / (pairs.max(1) as f64).sqrt()
}

/// Values minus their running mean over `width` steps.
fn detrended(values: &[f64], width: usize) -> Vec<f64> {
    let n = values.len();
    let half = (width / 2).max(1);
    let mut sums = vec![0.0; n + 1];
    for (i, value) in values.iter().enumerate() {
        sums[i + 1] = sums[i] + value;
    }
    (0..n)
        .map(|i| {
            let (from, to) = (i.saturating_sub(half), (i + half).min(n));
            values[i] - (sums[to] - sums[from]) / (to - from) as f64
        })
        .collect()
}

/// Values over their running mean size over `width` steps.
fn evened(values: &[f64], width: usize) -> Vec<f64> {
    let sizes: Vec<f64> = values.iter().map(|v| v.abs()).collect();
    let sums = super::regression::running_sums(&sizes);
    let n = values.len();
    let overall = sums[n] / n.max(1) as f64;
    let half = (width / 2).max(1);
    let size = |i: usize| {
        let (from, to) = (i.saturating_sub(half), (i + half).min(n));
        ((sums[to] - sums[from]) / (to - from) as f64).max(LEAST_SIZE * overall)
    };
    values.iter().enumerate().map(|(i, v)| if overall > 0.0 { v / size(i) } else { 0.0 }).collect()
}

/// Values minus the mean of their phase.
fn without_profile(values: &[f64], season: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); season];
    for (i, value) in values.iter().enumerate() {
        sums[i % season].0 += value;
        sums[i % season].1 += 1.0;
    }
    values.iter().enumerate().map(|(i, v)| v - sums[i % season].0 / sums[i % season].1).collect()
}

/// Autocorrelation at `lag`; 0 for a series that does not vary.
fn correlation(values: &[f64], lag: usize) -> f64 {
    let Some(later) = values.get(lag..) else { return 0.0 };
    let product = super::regression::dot(values, later);
    let squares = super::regression::dot(values, values);
    if squares > 0.0 { product / squares * values.len() as f64 / later.len().max(1) as f64 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixed noise in −0.5..0.5 (splitmix64).
    fn noise(i: usize) -> f64 {
        let mut z = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    }

    #[test]
    fn a_day_and_a_week_are_found_where_they_are() {
        let load = |i: usize| {
            let day = (i as f64 / 24.0 * std::f64::consts::TAU).sin();
            let weekend = if (i / 24) % 7 >= 5 { -2.0 } else { 0.0 };
            10.0 + 3.0 * day + weekend + noise(i)
        };
        let values: Vec<f64> = (0..1344).map(load).collect();
        assert_eq!(tested(&values, &[24, 168]), [24, 168]);
        assert!(found(&values).contains(&24), "{:?}", found(&values));
    }

    #[test]
    fn a_few_days_of_many_times_the_load_hide_no_season() {
        for growth in [2.0, 10.0, 50.0] {
            let load = |i: usize| {
                let day = 10.0 + 3.0 * (i as f64 / 24.0 * std::f64::consts::TAU).sin() + noise(i);
                // The crowd comes in one evening and does not keep to the day.
                let crowd = if i > 610 { growth * (1.0 + 2.0 * noise(i / 40)) } else { 1.0 };
                day * crowd
            };
            let values: Vec<f64> = (0..672).map(load).collect();
            assert_eq!(tested(&values, &[24]), [24], "growth {growth}");
        }
    }

    #[test]
    fn noise_and_a_random_walk_have_no_season() {
        let values: Vec<f64> = (0..1000).map(noise).collect();
        assert_eq!(tested(&values, &[24, 168]), [] as [usize; 0]);
        assert_eq!(found(&values), [] as [usize; 0]);
        let mut level = 0.0;
        let walk: Vec<f64> = values
            .iter()
            .map(|v| {
                level += v;
                level
            })
            .collect();
        assert_eq!(tested(&walk, &[24]), [] as [usize; 0]);
        // Noise whose size changes has none either.
        let bursts: Vec<f64> = (0..1000).map(|i| noise(i) * if i / 90 % 3 == 0 { 9.0 } else { 1.0 }).collect();
        assert_eq!(tested(&bursts, &[24, 168]), [] as [usize; 0]);
    }

    #[test]
    fn an_odd_season_is_found_without_a_hint() {
        let values: Vec<f64> = (0..600).map(|i| f64::from(u8::from(i % 37 < 9)) + 0.3 * noise(i)).collect();
        assert_eq!(found(&values).first(), Some(&37));
    }
}
