use super::*;
use crate::forecast::anomalies::tests::uniform;

#[test]
fn a_repeating_season_is_forecast_exactly_and_a_flat_series_stays_flat() {
    let mut state = Streaming::new(4, 1.0);
    (0..40).for_each(|i| state.update([1.0, 5.0, 2.0, 8.0][i % 4]));
    assert_eq!(state.forecast(5), [1.0, 5.0, 2.0, 8.0, 1.0]);
    let mut flat = Streaming::new(0, f64::NAN);
    (0..10).for_each(|_| flat.update(3.0));
    assert_eq!(flat.forecast(2), [3.0, 3.0]);
}

#[test]
fn nothing_seen_and_gaps_are_harmless() {
    let mut state = Streaming::new(24, 1.0);
    assert_eq!(state.forecast(2), [0.0, 0.0]);
    assert_eq!(state.quantile(0.9), None);
    state.update(f64::NAN);
    state.update(7.0);
    state.update(f64::INFINITY);
    assert_eq!(state.forecast(1), [7.0]);
}

/// A wave of 24 steps with so high a crest, a level that wanders about its mean, noise, and gaps.
fn load(len: usize, seed: u64, crest: f64) -> Vec<f64> {
    let mut noise = uniform(seed);
    let mut level = 0.0;
    (0..len)
        .map(|t| {
            level = 0.8 * level + noise() - 0.5;
            let day = 10.0 + crest * (t as f64 / 24.0 * std::f64::consts::TAU).sin();
            if t % 97 == 0 { f64::NAN } else { day + level + 2.0 * (noise() + noise() - 1.0) }
        })
        .collect()
}

#[test]
fn quantiles_cover_as_often_as_they_say_at_every_horizon() {
    let levels = [0.05, 0.5, 0.9, 0.95];
    for (season, crest) in [(24, 4.0), (1, 0.0)] {
        let values = load(6000, 5, crest);
        let mut state = Streaming::new(season, 1.0);
        let mut below = vec![[0.0; 4]; 48];
        let mut counts = vec![0.0; 48];
        for (t, &value) in values.iter().enumerate() {
            state.update(value);
            if t < 600 || t + 48 >= values.len() || t % 7 != 0 {
                continue;
            }
            let quantiles = state.quantiles(48, &levels);
            for (h, truth) in values[t + 1..t + 49].iter().enumerate().filter(|(_, v)| v.is_finite()) {
                counts[h] += 1.0;
                for (i, below) in below[h].iter_mut().enumerate() {
                    *below += f64::from(u8::from(*truth <= quantiles[[i, h]]));
                }
            }
        }
        for h in [0, 1, 2, 5, 11, 23, 47] {
            for (i, level) in levels.iter().enumerate() {
                let covered = below[h][i] / counts[h];
                assert!((covered - level).abs() < 0.04, "season {season}, step {h}, p{level}: {covered}");
            }
        }
    }
}

#[test]
fn the_peak_is_at_least_each_step_and_covers_the_maximum() {
    let values = load(4000, 6, 4.0);
    let mut state = Streaming::new(24, 1.0);
    let (mut covered, mut count) = (0.0, 0.0);
    for (t, &value) in values.iter().enumerate() {
        state.update(value);
        if t > 600 && t + 6 < values.len() {
            let peak = state.peak(6, &[0.9]);
            let steps = state.quantiles(6, &[0.9]);
            assert!(steps.iter().all(|step| step <= &peak[0]));
            let truth = values[t + 1..t + 7].iter().copied().fold(f64::NEG_INFINITY, f64::max);
            covered += f64::from(u8::from(truth <= peak[0]));
            count += 1.0;
        }
    }
    assert!(covered / count > 0.88 && covered / count < 0.995, "{}", covered / count);
}

#[test]
fn quantiles_are_finite_and_rising_from_the_first_sample_on() {
    let levels = [0.01, 0.5, 0.99];
    let mut state = Streaming::new(4, 1.0);
    assert!(state.quantiles(3, &levels).iter().all(|&q| q == 0.0));
    for value in [3.0, f64::NAN, 3.0, 4.0, 2.0, 3.5] {
        state.update(value);
        let quantiles = state.quantiles(9, &levels);
        assert!(quantiles.iter().all(|q| q.is_finite() && *q >= 0.0));
        assert!(quantiles.columns().into_iter().all(|c| c[0] <= c[1] && c[1] <= c[2] && c[0] < c[2]));
    }
}

#[test]
fn quantiles_are_within_a_bucket_and_old_values_fade() {
    let mut state = Streaming::new(1, 1.0);
    (1..=1000).for_each(|i| state.update(f64::from(i) / 100.0));
    let p90 = state.quantile(0.9).unwrap();
    assert!((9.0..9.9).contains(&p90), "{p90}");
    (0..200_000).for_each(|_| state.update(0.5));
    assert!(state.quantile(0.99).unwrap() < 0.6);
    assert!(state.histogram.iter().all(|w| w.is_finite()));
}
