//! Issued quantiles, corrected by how those before them held.

use super::outcome::Outcome;

/// A correction moves by this many scales (mean absolute errors) if all truths of a band miss.
const STEP: f64 = 0.25;
/// No correction is larger, in scales: beyond it the forecast, not its width, is what is wrong.
const MOST: f64 = 6.0;

/// Corrections of one series' quantiles, learnt online: after each forecast whose truth has come in, every quantile that
/// was exceeded too often moves up and every other one down, in proportion (adaptive conformal inference; see
/// [`ErrorBand`](super::streaming::ErrorBand)). Plain data, so that it can be saved beside the rest of a state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Adaptive {
    /// By band of horizons (1, 2–3, 4–7, … steps ahead), then by level, in scales.
    pub bands: Vec<Vec<f64>>,
    /// Of the peak, by level.
    pub peak: Vec<f64>,
}

impl Adaptive {
    /// Nothing learnt yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The outcome with its quantiles corrected; they stay rising and keep to 0 where the history did.
    #[must_use]
    pub fn corrected(&self, outcome: &Outcome) -> Outcome {
        let mut out = outcome.clone();
        let floor = if outcome.non_negative { 0.0 } else { f64::MIN };
        for (h, mut column) in out.quantiles.columns_mut().into_iter().enumerate() {
            let corrections = self.bands.get(band(h));
            let mut before = floor;
            for (l, quantile) in column.iter_mut().enumerate() {
                let correction = corrections.and_then(|c| c.get(l)).copied().unwrap_or(0.0);
                before = (*quantile + correction * outcome.scale[h]).clamp(before, f64::MAX);
                *quantile = before;
            }
        }
        let mut before = floor;
        for (l, (peak, row)) in out.peak.iter_mut().zip(out.quantiles.rows()).enumerate() {
            let correction = self.peak.get(l).copied().unwrap_or(0.0);
            let steps = row.iter().take(outcome.lead_steps).copied().fold(f64::MIN, f64::max);
            before = (*peak + correction * outcome.peak_scale).clamp(before.max(steps), f64::MAX);
            *peak = before;
        }
        out
    }

    /// Learns from an issued forecast (as [`Adaptive::corrected`] gave it, at these levels) and what followed. `truth` may
    /// be shorter than the horizon and hold gaps.
    pub fn observe(&mut self, issued: &Outcome, levels: &[f64], truth: &[f64]) {
        let steps = truth.len().min(issued.mean.len());
        let mut from = 0;
        while from < steps {
            let b = band(from);
            let to = ((1 << (b + 1)) - 1).min(steps);
            if self.bands.len() <= b {
                self.bands.push(vec![0.0; levels.len()]);
            }
            for (l, (correction, &level)) in self.bands[b].iter_mut().zip(levels).enumerate() {
                let held = (from..to).filter(|&h| truth[h].is_finite()).map(|h| truth[h] <= issued.quantiles[[l, h]]);
                learn(correction, level, held);
            }
            from = to;
        }
        let lead = truth.get(..issued.lead_steps).filter(|lead| lead.iter().all(|v| v.is_finite()));
        if let Some(lead) = lead {
            let most = lead.iter().copied().fold(f64::MIN, f64::max);
            self.peak.resize(levels.len(), 0.0);
            for ((correction, &level), &quantile) in self.peak.iter_mut().zip(levels).zip(&issued.peak) {
                learn(correction, level, std::iter::once(most <= quantile));
            }
        }
    }
}

fn learn(correction: &mut f64, level: f64, held: impl Iterator<Item = bool>) {
    let (below, count) = held.fold((0.0, 0.0), |(below, count), held| (below + f64::from(u8::from(held)), count + 1.0));
    if count > 0.0 {
        *correction = (*correction + STEP * (level - below / count)).clamp(-MOST, MOST);
    }
}

/// The band of step `h`, counted from 0.
fn band(h: usize) -> usize {
    (h + 1).ilog2() as usize
}

#[cfg(test)]
mod tests {
    use super::super::anomalies::tests::uniform;
    use super::super::{Seasons, Settings, forecast};
    use super::*;

    fn issued(levels: &[f64]) -> Outcome {
        let settings = Settings {
            horizon: 6,
            seasons: Seasons::Declared(vec![24]),
            levels: levels.to_vec(),
            lead_steps: 3,
            ..Settings::default()
        };
        let mut noise = uniform(1);
        let history: Vec<f64> = (0..480).map(|t| 10.0 + f64::from(t % 24) + noise()).collect();
        forecast(&history, &settings)
    }

    #[test]
    fn quantiles_that_always_miss_widen_until_they_hold() {
        let levels = [0.1, 0.5, 0.9];
        let plain = issued(&levels);
        let mut adaptive = Adaptive::new();
        assert_eq!(adaptive.corrected(&plain), plain);
        let mut noise = uniform(2);
        let (mut below, mut peaks, mut count) = ([0.0; 3], 0.0, 0.0);
        for round in 0..600 {
            let now = adaptive.corrected(&plain);
            // Truth lies above the path by more than the issued quantiles knew of.
            let truth: Vec<f64> = plain.mean.iter().zip(&plain.scale).map(|(m, s)| m + s * 4.0 * noise()).collect();
            if round >= 100 {
                for (l, below) in below.iter_mut().enumerate() {
                    *below += f64::from(u8::from(truth[4] <= now.quantiles[[l, 4]]));
                }
                peaks += f64::from(u8::from(truth[..3].iter().all(|v| *v <= now.peak[2])));
                count += 1.0;
            }
            adaptive.observe(&now, &levels, &truth);
            assert!(now.quantiles.columns().into_iter().all(|c| c[0] <= c[1] && c[1] <= c[2]));
        }
        for (below, level) in below.iter().zip(levels) {
            assert!((below / count - level).abs() < 0.05, "p{level}: {}", below / count);
        }
        assert!((peaks / count - 0.9).abs() < 0.05, "{}", peaks / count);
    }

    #[test]
    fn gaps_and_a_truth_cut_short_teach_nothing_they_do_not_hold() {
        let levels = [0.1, 0.9];
        let plain = issued(&levels);
        let mut adaptive = Adaptive::new();
        adaptive.observe(&plain, &levels, &[f64::NAN; 6]);
        assert_eq!(adaptive.corrected(&plain), plain);
        adaptive.observe(&plain, &levels, &[1e9]);
        assert_eq!(adaptive.bands.len(), 3);
        assert!(adaptive.peak.is_empty() && adaptive.bands[0][1] > 0.0);
        let corrected = adaptive.corrected(&plain);
        assert!(corrected.quantiles[[1, 0]] > plain.quantiles[[1, 0]]);
        assert_eq!(corrected.quantiles.column(3), plain.quantiles.column(3));
    }
}
