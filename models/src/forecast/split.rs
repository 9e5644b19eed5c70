//! A service and its instances.
//!
//! The quantile of a sum is not the sum of the quantiles: ten instances that err independently need far less spare
//! capacity together than ten times what one needs alone. So the sum is forecast and calibrated as a series of its own
//! ([`service_level`]), and what follows for one instance is derived from it ([`instances`]): its share of the
//! service's path, and a width of two parts that are independent by construction, the service's own uncertainty times the
//! share, and how far the instance strays from its share. Instances that rise and fall together have only the first,
//! and their quantiles add up to the service's; independent ones have mostly the second, and add up to more.

use ndarray::Array2;

use super::{Outcome, Settings};

/// Steps, from the end, over which shares and straying are measured.
const MEASURED_STEPS: usize = 2016;
/// An instance without a value in so many last steps is gone.
const GONE_AFTER: usize = 6;
/// Values of an instance that count as one when shares are taken: new ones are drawn towards an equal share.
const EQUAL_SHARE_STEPS: f64 = 6.0;

/// What one instance is expected to carry.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its share of the service's load, 0..=1; 0 if it is gone. Shares add up to 1 unless all are gone.
    pub share: f64,
    /// Its path.
    pub mean: Vec<f64>,
    /// Shape (levels, horizon), rising along the levels.
    pub quantiles: Array2<f64>,
    /// Quantile of its maximum over the lead time, one a level.
    pub peak: Vec<f64>,
}

/// The sum over instances whose histories share an axis (the last value of each is of the same step; shorter ones
/// began later). A missing value of an instance that was there before and after counts as its usual part of the others;
/// a step without any value is NaN.
#[must_use]
pub fn service_level(histories: &[Vec<f64>]) -> Vec<f64> {
    let len = histories.iter().map(Vec::len).max().unwrap_or(0);
    let aligned = Aligned { histories, len };
    let lives: Vec<Option<(usize, usize)>> = (0..histories.len()).map(|i| aligned.life(i)).collect();
    let usual: Vec<f64> = (0..histories.len()).map(|i| super::scores::mean(aligned.values(i)).unwrap_or(0.0)).collect();
    (0..len)
        .map(|t| {
            let (mut sum, mut measured, mut expected) = (0.0, 0.0, 0.0);
            let mut any = false;
            for i in (0..histories.len()).filter(|&i| lives[i].is_some_and(|(from, to)| (from..=to).contains(&t))) {
                expected += usual[i];
                let value = aligned.at(i, t);
                if value.is_finite() {
                    sum += value;
                    measured += usual[i];
                    any = true;
                }
            }
            match any {
                false => f64::NAN,
                true if measured > 0.0 && expected > 0.0 => sum * (expected / measured),
                true => sum,
            }
        })
        .collect()
}

/// Splits the forecast of a service, asked with `settings`, down to its instances: one a history, in order. `histories`
/// are those that [`service_level`] summed.
#[must_use]
pub fn instances(service: &Outcome, settings: &Settings, histories: &[Vec<f64>]) -> Vec<Instance> {
    let total = service_level(histories);
    let aligned = Aligned { histories, len: total.len() };
    let recent = total.len().saturating_sub(MEASURED_STEPS)..total.len();
    let here: Vec<bool> = (0..histories.len())
        .map(|i| aligned.life(i).is_some_and(|(_, last)| last + GONE_AFTER >= total.len()))
        .collect();
    let count = here.iter().filter(|here| **here).count().max(1) as f64;
    let raw: Vec<f64> = (0..histories.len())
        .map(|i| {
            if !here[i] {
                return 0.0;
            }
            let pairs =
                || recent.clone().map(|t| (aligned.at(i, t), total[t])).filter(|(x, s)| x.is_finite() && s.is_finite());
            let (own, all) = pairs().fold((0.0, 0.0), |(own, all), (x, s)| (own + x, all + s));
            let steps = pairs().count() as f64;
            let seen = if all > 0.0 { (own / all).clamp(0.0, 1.0) } else { 1.0 / count };
            (steps * seen + EQUAL_SHARE_STEPS / count) / (steps + EQUAL_SHARE_STEPS)
        })
        .collect();
    let whole: f64 = raw.iter().sum();
    let lead = settings.lead_steps.clamp(1, service.mean.len().max(1));
    let levels = settings.levels();
    let non_negative = histories.iter().flatten().all(|v| !v.is_finite() || *v >= 0.0);
    let floor = if non_negative { 0.0 } else { f64::NEG_INFINITY };
    (0..histories.len())
        .map(|i| {
            let share = if whole > 0.0 { raw[i] / whole } else { 0.0 };
            if share == 0.0 {
                return gone(levels.len(), service.mean.len());
            }
            // Straying over the last steps, of each step and of the peak over each stretch as long as the lead.
            let strays = |span: usize| {
                let stretches = recent.clone().step_by(span).filter(|t| t + span <= total.len());
                let mut strays: Vec<f64> = stretches
                    .map(|t| {
                        peak((t..t + span).map(|u| aligned.at(i, u))) - share * peak(total[t..t + span].iter().copied())
                    })
                    .filter(|stray| stray.is_finite())
                    .collect();
                strays.sort_unstable_by(f64::total_cmp);
                strays
            };
            let (of_steps, of_peaks) = (strays(1), strays(lead));
            let mut quantiles = Array2::from_shape_fn((levels.len(), service.mean.len()), |(l, h)| {
                let centre = share * service.mean[h];
                centre + together(share * service.quantiles[[l, h]] - centre, quantile(&of_steps, levels[l]))
            });
            for mut column in quantiles.columns_mut() {
                let mut before = floor;
                column.iter_mut().for_each(|q| {
                    before = q.max(before);
                    *q = before;
                });
            }
            let centre = share * peak(service.mean.iter().copied().take(lead));
            let mut before = floor;
            let peaks = levels.iter().enumerate().map(|(l, &level)| {
                let value = centre + together(share * service.peak[l] - centre, quantile(&of_peaks, level));
                before = peak(quantiles.row(l).iter().copied().take(lead)).max(value).max(before);
                before
            });
            let peak = peaks.collect();
            Instance { share, mean: service.mean.iter().map(|v| share * v).collect(), quantiles, peak }
        })
        .collect()
}

fn gone(levels: usize, horizon: usize) -> Instance {
    Instance {
        share: 0.0,
        mean: vec![0.0; horizon],
        quantiles: Array2::zeros((levels, horizon)),
        peak: vec![0.0; levels],
    }
}

/// Two independent deviations at one level: their squares add up, each with its sign.
fn together(a: f64, b: f64) -> f64 {
    let square = a * a.abs() + b * b.abs();
    square.abs().sqrt().copysign(square)
}

/// The largest; NaN if any is.
fn peak(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::NEG_INFINITY, |most, v| if v.is_nan() || most.is_nan() { f64::NAN } else { most.max(v) })
}

/// The quantile of sorted values; 0 where there are none.
fn quantile(sorted: &[f64], level: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = (level * (sorted.len() + 1) as f64 - 1.0).clamp(0.0, last as f64);
    let low = place as usize;
    sorted[low] + (place - low as f64) * (sorted[(low + 1).min(last)] - sorted[low])
}

/// Histories that end together.
struct Aligned<'a> {
    histories: &'a [Vec<f64>],
    len: usize,
}

impl Aligned<'_> {
    fn at(&self, instance: usize, step: usize) -> f64 {
        let history = &self.histories[instance];
        let before = self.len - history.len();
        step.checked_sub(before).map_or(f64::NAN, |i| history[i])
    }

    fn values(&self, instance: usize) -> impl Iterator<Item = f64> {
        self.histories[instance].iter().copied()
    }

    /// First and last step with a value.
    fn life(&self, instance: usize) -> Option<(usize, usize)> {
        let history = &self.histories[instance];
        let before = self.len - history.len();
        let first = history.iter().position(|v| v.is_finite())?;
        let last = history.iter().rposition(|v| v.is_finite())?;
        Some((before + first, before + last))
    }
}

#[cfg(test)]
mod tests {
    use super::super::anomalies::tests::uniform;
    use super::super::{Seasons, forecast};
    use super::*;

    const COUNT: usize = 8;

    /// Instances of equal size under one daily cycle; `common` is the part of the noise they share.
    fn fleet(seed: u64, len: usize, common: f64) -> Vec<Vec<f64>> {
        let mut noise = uniform(seed);
        let mut bell = move || (0..6).map(|_| noise()).sum::<f64>() - 3.0;
        let mut out = vec![Vec::new(); COUNT];
        for t in 0..len {
            let day = 10.0 + 3.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin();
            let shared = bell();
            for history in &mut out {
                history.push(day + 1.5 * (common.sqrt() * shared + (1.0 - common).sqrt() * bell()));
            }
        }
        out
    }

    fn settings() -> Settings {
        Settings {
            horizon: 24,
            seasons: Seasons::Declared(vec![24]),
            levels: vec![0.1, 0.5, 0.9, 0.95],
            lead_steps: 6,
            ..Settings::default()
        }
    }

    struct Held {
        steps: [f64; 4],
        peaks: f64,
        /// Sum of the instances' 95 % quantiles' distance from the path over that of the service's.
        spare: f64,
    }

    fn held(common: f64) -> Held {
        let settings = settings();
        let (mut steps, mut peaks, mut spare, mut count) = ([0.0; 4], 0.0, 0.0, 0.0);
        let seeds = 12;
        for seed in 0..seeds {
            let whole = fleet(seed, 696, common);
            let histories: Vec<Vec<f64>> = whole.iter().map(|h| h[..672].to_vec()).collect();
            let service = forecast(&service_level(&histories), &settings);
            let split = instances(&service, &settings, &histories);
            assert!((split.iter().map(|i| i.share).sum::<f64>() - 1.0).abs() < 1e-9);
            for (instance, truth) in split.iter().zip(&whole) {
                for (l, covered) in steps.iter_mut().enumerate() {
                    let truth = &truth[672..];
                    *covered += super::super::scores::coverage(truth, &instance.quantiles.row(l).to_vec()).unwrap();
                }
                let most = peak(truth[672..678].iter().copied());
                peaks += f64::from(u8::from(most <= instance.peak[3]));
                count += 1.0;
            }
            let beyond = |mean: f64, q: f64| q - mean;
            let one = split.iter().map(|i| beyond(i.mean[3], i.quantiles[[3, 3]])).sum::<f64>();
            spare += one / beyond(service.mean[3], service.quantiles[[3, 3]]) / seeds as f64;
        }
        Held { steps: steps.map(|s| s / count), peaks: peaks / count, spare }
    }

    #[test]
    fn independent_instances_keep_their_own_coverage_and_need_more_apart_than_together() {
        let Held { steps, peaks, spare } = held(0.0);
        for (covered, level) in steps.iter().zip(settings().levels) {
            assert!((covered - level).abs() < 0.04, "p{level}: {covered}");
        }
        assert!((peaks - 0.95).abs() < 0.06, "{peaks}");
        // √8 = 2.8 for Gaussian noise.
        assert!((2.2..3.4).contains(&spare), "{spare}");
    }

    #[test]
    fn instances_that_move_together_add_up_to_the_service() {
        let Held { steps, peaks, spare } = held(1.0);
        // One draw of noise a step for all eight: fewer independent truths, so a wider tolerance.
        for (covered, level) in steps.iter().zip(settings().levels) {
            assert!((covered - level).abs() < 0.06, "p{level}: {covered}");
        }
        assert!(peaks > 0.8, "{peaks}");
        assert!((spare - 1.0).abs() < 0.01, "{spare}");
    }

    #[test]
    fn a_missing_sample_does_not_lower_the_sum_and_one_that_is_gone_carries_nothing() {
        let mut histories = vec![vec![3.0; 30], vec![1.0; 30], vec![2.0; 20]];
        histories[0][10] = f64::NAN;
        histories[1][15..].fill(f64::NAN);
        let total = service_level(&histories);
        assert_eq!(total[..10], [4.0; 10]);
        assert!((total[10] - 3.0 * (6.0 / 3.0)).abs() < 1e-9, "{}", total[10]);
        assert_eq!(total[15..], [5.0; 15]);
        let settings = settings();
        let split = instances(&forecast(&total, &settings), &settings, &histories);
        assert!(split[1].share == 0.0 && split[1].quantiles.iter().all(|q| *q == 0.0));
        assert!((split[0].share - 0.6).abs() < 0.05 && (split[2].share - 0.4).abs() < 0.05);
        assert!(service_level(&[vec![f64::NAN; 3]]).iter().all(|v| v.is_nan()));
        assert!(instances(&forecast(&[], &settings), &settings, &[]).is_empty());
    }
}
