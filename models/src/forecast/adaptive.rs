//! Issued quantiles, corrected by how those before them held.

use std::ops::Range;

use super::outcome::Outcome;

/// A correction moves by this many scales (mean absolute errors) if all truths of a band miss. On training parts of the
/// traces, 0.1 left the worst tenth of series 1 to 4 points lower at p90, and 0.6 cost 1 % of quantile loss more.
const STEP: f64 = 0.5;
/// The same of the peak, of which each forecast has but one.
const PEAK_STEP: f64 = 0.2;
/// No correction is larger, in scales: beyond it the forecast, not its width, is what is wrong.
const MOST: f64 = 6.0;

/// Errors of a band that are so many times what was expected are out of the ordinary: the next forecasts widen by as much as
/// they are beyond it, at most so many times. After a break corrections in steps of one scale come too late, however large
/// the step. On training parts of the traces, p90 a day ahead held 61 and 72 % of the truth in the worst tenth of `CloudWatch`
/// and Crane without this and 80 % with it, for 2 to 5 % of quantile loss; beyond 3 times, 79 % for 1 to 3 %; at most 50 times
/// instead of 10, the same for 9 %.
const ORDINARY: f64 = 2.0;
pub(super) const MOST_WIDTH: f64 = 10.0;
/// What is left of the widening after each further band of ordinary errors; a horizon has about sixteen, over all that wait.
const WIDENING_KEPT: f64 = 0.8;
/// Bands shorter than this part of the horizon, or than so many steps, neither widen nor are widened: a few steps are often
/// out of line together.
const LONG_BAND: usize = 16;
const LONG_BAND_STEPS: usize = 8;
/// Nothing widens a horizon shorter than this part of the shortest season, be it seen in the series or not: one bad hour of a
/// day is no break. On training parts an hour ahead the widening cost Crane 8 % and `WorldCup98` 2 to 6 % of quantile loss; six hours ahead it costs 2 % and holds 89 %
/// instead of 86 % at p95 in the worst series.
const SHORT_HORIZON: usize = 8;

/// Corrections of one series' quantiles, learnt online: after each forecast whose truth has come in, every quantile that
/// would now be exceeded too often moves up and every other one down, in proportion (adaptive conformal inference; see
/// [`ErrorBand`](super::streaming::ErrorBand)). What would now be issued is held against the truth, not what was: forecasts
/// overlap, and each of four that were issued before the first truth came in would correct the same miss again. On training
/// parts of the traces a day ahead that cost 1 to 2 % of quantile loss and held no more. Plain data, so that it can be saved
/// beside the rest of a state.
#[derive(Debug, Clone, PartialEq)]
pub struct Adaptive {
    /// By band of horizons (1, 2–3, 4–7, … steps ahead), then by level, in scales.
    pub bands: Vec<Vec<f64>>,
    /// Of the peak, by level.
    pub peak: Vec<f64>,
    /// How many times as wide the long bands are as the forecast says, 1 to 10: more than 1 for a while after errors far
    /// beyond the expected.
    pub width: f64,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self { bands: Vec::new(), peak: Vec::new(), width: 1.0 }
    }
}

impl Adaptive {
    /// Nothing learnt yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The outcome with its quantiles widened and corrected; they stay rising and keep to 0 where the history did.
    #[must_use]
    pub fn corrected(&self, outcome: &Outcome) -> Outcome {
        self.moved(&self.widened(outcome))
    }

    /// The outcome as wide as the newest errors ask for, its quantiles not yet corrected: what [`Adaptive::observe`] is to
    /// see of it when its truth has come in.
    #[must_use]
    pub fn widened(&self, outcome: &Outcome) -> Outcome {
        let mut out = outcome.clone();
        let horizon = outcome.mean.len();
        // What the forecast is wider by on its own account is not put on twice.
        let more = (self.width / outcome.widened).max(1.0);
        out.widened *= more;
        for band in bands(horizon).filter(|band| more > 1.0 && is_long(band, horizon)) {
            for h in band {
                for quantile in out.quantiles.column_mut(h) {
                    *quantile += (*quantile - outcome.mean[h]) * (more - 1.0);
                }
            }
        }
        out
    }

    /// An outcome, wide as it is to be, with its quantiles moved.
    fn moved(&self, outcome: &Outcome) -> Outcome {
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

    /// Learns from a forecast (as [`Adaptive::widened`] gave it when it was issued, at these levels) and what has followed so
    /// far. `truth` may hold gaps. A forecast may be shown again as its truth grows: its first `taught` steps were there before.
    pub fn observe(&mut self, widened: &Outcome, levels: &[f64], truth: &[f64], taught: usize) {
        let horizon = widened.mean.len();
        let now = |steps: usize| steps <= truth.len() && steps > taught;
        if !bands(horizon).any(|band| now(band.end)) && !now(widened.lead_steps) {
            return;
        }
        let issued = self.moved(widened);
        let may_widen = horizon * SHORT_HORIZON >= widened.cycle;
        for (b, band) in bands(horizon).enumerate().filter(|(_, band)| now(band.end)) {
            if self.bands.len() <= b {
                self.bands.resize(b + 1, vec![0.0; levels.len()]);
            }
            for (l, (correction, &level)) in self.bands[b].iter_mut().zip(levels).enumerate() {
                let measured = band.clone().filter(|&h| truth[h].is_finite());
                learn(correction, STEP, level, measured.map(|h| truth[h] <= issued.quantiles[[l, h]]));
            }
            let sizes = band.clone().map(|h| (truth[h] - issued.mean[h]).abs() / issued.scale[h]);
            if let Some(size) = super::scores::mean(sizes).filter(|_| may_widen && is_long(&band, horizon)) {
                let kept = 1.0 + (self.width - 1.0) * WIDENING_KEPT;
                self.width = (size / ORDINARY).max(kept).clamp(1.0, MOST_WIDTH);
            }
        }
        let lead = truth.get(..issued.lead_steps).filter(|lead| lead.iter().all(|v| v.is_finite()));
        if let Some(lead) = lead.filter(|_| now(issued.lead_steps)) {
            let most = lead.iter().copied().fold(f64::MIN, f64::max);
            self.peak.resize(levels.len(), 0.0);
            for ((correction, &level), &quantile) in self.peak.iter_mut().zip(levels).zip(&issued.peak) {
                learn(correction, PEAK_STEP, level, std::iter::once(most <= quantile));
            }
        }
    }
}

/// Issued forecasts that wait for their truth at once; a horizon is divided among so many.
const MOST_PENDING: usize = 4;

/// The corrections of one series as a deployment has them: what is issued waits for its truth, and is learnt from as that
/// comes in.
#[derive(Debug, Clone, Default)]
pub struct Deployment {
    adaptive: Adaptive,
    /// Oldest first.
    pending: Vec<Pending>,
}

#[derive(Debug, Clone)]
struct Pending {
    start: usize,
    taught: usize,
    /// As wide as it was issued, not corrected.
    widened: Outcome,
}

impl Deployment {
    /// The forecast made at the end of `known`, the series' values from its first on, corrected by how those issued before
    /// have held so far. Calls must come in the order of time, with outcomes of the same levels and horizon.
    pub fn issue(&mut self, outcome: &Outcome, levels: &[f64], known: &[f64]) -> Outcome {
        let (start, horizon) = (known.len(), outcome.mean.len());
        for Pending { start: made, taught, widened } in &mut self.pending {
            let reached = (start - *made).min(horizon);
            self.adaptive.observe(widened, levels, &known[*made..*made + reached], *taught);
            *taught = reached;
        }
        self.pending.retain(|pending| pending.taught < horizon);
        let widened = self.adaptive.widened(outcome);
        let issued = self.adaptive.moved(&widened);
        if self.pending.last().is_none_or(|last| start - last.start >= horizon.div_ceil(MOST_PENDING)) {
            self.pending.push(Pending { start, taught: 0, widened });
        }
        issued
    }
}

fn learn(correction: &mut f64, step: f64, level: f64, held: impl Iterator<Item = bool>) {
    *correction = (*correction + learnt(step, level, held)).clamp(-MOST, MOST);
}

/// How far a quantile at `level` moves after truths of which these were at or below it.
pub(crate) fn learnt(step: f64, level: f64, held: impl Iterator<Item = bool>) -> f64 {
    let (below, count) = held.fold((0.0, 0.0), |(below, count), held| (below + f64::from(u8::from(held)), count + 1.0));
    if count > 0.0 { step * (level - below / count) } else { 0.0 }
}

pub(super) fn is_long(band: &Range<usize>, horizon: usize) -> bool {
    band.len() >= LONG_BAND_STEPS && band.len() * LONG_BAND >= horizon
}

/// The band of step `h`, counted from 0.
pub(crate) fn band(h: usize) -> usize {
    (h + 1).ilog2() as usize
}

/// The steps of each band, up to so many.
pub(crate) fn bands(steps: usize) -> impl Iterator<Item = Range<usize>> {
    (0..)
        .map(|b: u32| (1 << b) - 1)
        .take_while(move |&from| from < steps)
        .map(move |from| from..(2 * from + 1).min(steps))
}

#[cfg(test)]
mod tests {
    use super::super::anomalies::tests::uniform;
    use super::super::{Seasons, Settings, forecast};
    use super::*;

    fn issued(levels: &[f64], horizon: usize) -> Outcome {
        let settings = Settings {
            horizon,
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
        let plain = issued(&levels, 6);
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
            adaptive.observe(&plain, &levels, &truth, 0);
            assert!(now.quantiles.columns().into_iter().all(|c| c[0] <= c[1] && c[1] <= c[2]));
        }
        for (below, level) in below.iter().zip(levels) {
            assert!((below / count - level).abs() < 0.05, "p{level}: {}", below / count);
        }
        assert!((peaks / count - 0.9).abs() < 0.05, "{}", peaks / count);
    }

    #[test]
    fn errors_far_beyond_the_expected_widen_what_comes_next_and_are_forgotten() {
        let levels = [0.1, 0.5, 0.9];
        let plain = issued(&levels, 24);
        let spread = |outcome: &Outcome| outcome.quantiles[[2, 20]] - outcome.quantiles[[0, 20]];
        let off_by = |scales: f64| -> Vec<f64> {
            let signs = [1.0, -1.0].into_iter().cycle();
            plain.mean.iter().zip(&plain.scale).zip(signs).map(|((m, s), sign)| m + sign * scales * s).collect()
        };
        let mut adaptive = Adaptive::new();
        adaptive.observe(&plain, &levels, &off_by(1.5), 0);
        assert!((adaptive.width - 1.0).abs() < 1e-12, "{}", adaptive.width);
        adaptive.observe(&plain, &levels, &off_by(12.0), 0);
        assert!((adaptive.width - 6.0).abs() < 1e-9, "{}", adaptive.width);
        assert_eq!(adaptive.corrected(&plain).scale, plain.scale);
        // What is wider already is widened to the larger of both, not by their product.
        let wider = Outcome { widened: 4.0, ..plain.clone() };
        assert!(spread(&adaptive.corrected(&wider)) < 0.5 * spread(&adaptive.corrected(&plain)));
        assert!(spread(&adaptive.corrected(&plain)) > 5.0 * spread(&plain));
        adaptive.observe(&plain, &levels, &off_by(1e6), 0);
        assert!((adaptive.width - MOST_WIDTH).abs() < 1e-9);
        for _ in 0..40 {
            adaptive.observe(&plain, &levels, &off_by(0.5), 0);
        }
        assert!(adaptive.width < 1.01, "{}", adaptive.width);
    }

    #[test]
    fn a_bad_hour_of_a_day_in_minutes_widens_nothing() {
        let levels = [0.1, 0.9];
        let hour = issued(&levels, 60);
        let off: Vec<f64> = hour.mean.iter().zip(&hour.scale).map(|(m, s)| m + 12.0 * s).collect();
        let width = |cycle: usize| {
            let mut adaptive = Adaptive::new();
            adaptive.observe(&Outcome { cycle, ..hour.clone() }, &levels, &off, 0);
            adaptive.width
        };
        assert!((width(1440) - 1.0).abs() < 1e-12);
        assert!(width(24) > 5.0 && width(480) > 5.0 && width(1) > 5.0);
    }

    #[test]
    fn forecasts_that_overlap_mend_a_miss_once() {
        let levels = [0.5];
        let plain = issued(&levels, 6);
        // A tenth of a scale above the median, which one step of half a scale more than mends.
        let truth: Vec<f64> = (0..6).map(|h| plain.quantiles[[0, h]] + 0.1 * plain.scale[h]).collect();
        let mut adaptive = Adaptive::new();
        let widened = adaptive.widened(&plain);
        for _ in 0..MOST_PENDING {
            adaptive.observe(&widened, &levels, &truth, 0);
            assert!(adaptive.bands.iter().all(|band| (0.0..=0.5 * STEP).contains(&band[0])), "{:?}", adaptive.bands);
        }
    }

    #[test]
    fn a_deployment_learns_what_its_forecasts_would_teach_one_by_one() {
        let levels = [0.1, 0.5, 0.9];
        let plain = issued(&levels, 6);
        let mut noise = uniform(3);
        let values: Vec<f64> = (0..200).map(|_| 10.0 + 20.0 * noise()).collect();
        let (mut deployment, mut adaptive) = (Deployment::default(), Adaptive::new());
        // A horizon apart, nothing overlaps.
        for start in (100..194).step_by(6) {
            let now = adaptive.corrected(&plain);
            assert_eq!(deployment.issue(&plain, &levels, &values[..start]), now);
            adaptive.observe(&plain, &levels, &values[start..start + 6], 0);
        }
        assert_ne!(adaptive.corrected(&plain), plain);
        // Step by step, no more than four wait at once.
        let mut deployment = Deployment::default();
        for start in 100..194 {
            deployment.issue(&plain, &levels, &values[..start]);
            assert!(deployment.pending.len() <= MOST_PENDING);
        }
    }

    #[test]
    fn gaps_and_a_truth_cut_short_teach_nothing_they_do_not_hold() {
        let levels = [0.1, 0.9];
        let plain = issued(&levels, 6);
        let mut adaptive = Adaptive::new();
        adaptive.observe(&plain, &levels, &[f64::NAN; 6], 0);
        assert_eq!(adaptive.corrected(&plain), plain);
        adaptive.observe(&plain, &levels, &[1e9], 0);
        let taught = adaptive.clone();
        adaptive.observe(&plain, &levels, &[1e9, 1e9], 1);
        assert_eq!(adaptive, taught, "no further band is whole");
        assert!(adaptive.peak.is_empty() && adaptive.bands[0][1] > 0.0);
        let corrected = adaptive.corrected(&plain);
        assert!(corrected.quantiles[[1, 0]] > plain.quantiles[[1, 0]]);
        assert_eq!(corrected.quantiles.column(3), plain.quantiles.column(3));
    }
}
