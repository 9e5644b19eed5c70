//! Loads to forecast in benches.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// A load with day, week, drifting level and noise, all positive.
pub(crate) fn load(seed: u64, len: usize, day: usize) -> Vec<f64> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let size = 10.0 * rng.random::<f64>() + 1.0;
    let (weekend, noise) = (0.5 + 0.4 * rng.random::<f64>(), 0.05 + 0.1 * rng.random::<f64>());
    let mut drift = 0.0;
    (0..len)
        .map(|t| {
            let phase = t as f64 / day as f64 * std::f64::consts::TAU;
            let week = if (t / day) % 7 >= 5 { weekend } else { 1.0 };
            drift = 0.98 * drift + noise * (rng.random::<f64>() - 0.5);
            let shape = 2.0 + phase.sin() + 0.4 * (2.0 * phase).cos();
            size * (week * shape * (1.0 + drift) + 0.1 * noise * rng.random::<f64>())
        })
        .collect()
}

/// Mean absolute error of a path and of the seasonal naive one, over the history's mean absolute seasonal difference.
pub(crate) fn errors(history: &[f64], truth: &[f64], path: &[f64], day: usize) -> (f64, f64) {
    use plimsoll_models::forecast::scores;
    let naive: Vec<f64> = (0..truth.len()).map(|h| history[history.len() - day + h % day]).collect();
    let scale = scores::seasonal_scale(history, day).unwrap_or(1.0);
    let mase = |path: &[f64]| scores::mase(truth, path, scale).unwrap_or(f64::NAN);
    (mase(path), mase(&naive))
}
