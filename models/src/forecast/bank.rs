//! The local members: what one series' own past says, in many ways.

use super::regression::{Fit, GramPlan, LagSet, grams, iterate};
use super::windows::Windows;

/// One way to forecast, run from every window.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Name in reports.
    pub name: String,
    /// Shape (windows, horizon), row after row.
    pub paths: Vec<f64>,
    /// Standing before any error is seen. Kin err alike, so members of a large family stand lower than those of a small one.
    /// Chosen on validation windows of M4, where it took 1 % off the error of whole histories and of a fortnight alike; on
    /// cloud traces a day ahead it costs as much.
    pub standing: f64,
}

/// Regressions on raw values and on differences by a longer season: as many of each as by the day, and mostly worse.
const LOWER_STANDING: f64 = 0.5;

/// Ridge penalties on series of unit variance. Ten times as much was worse on validation windows of M4's hourly series,
/// a third as much no better.
const LIGHT: f64 = 0.1;
const STRONGER: f64 = 0.3;

/// The lag sets for the seasons at hand (shortest first): near lags, multiples of the first season with their
/// neighbours, the second season with its neighbours. The sets differ in how far back they look, since no one reach is best for all.
pub(crate) fn lag_sets(seasons: &[usize], fit_len: usize) -> Vec<LagSet> {
    let set = |name, penalty, lags: Vec<usize>| {
        let mut lags: Vec<usize> = lags.into_iter().filter(|&lag| lag >= 1 && lag <= fit_len * 3 / 4).collect();
        lags.sort_unstable();
        lags.dedup();
        LagSet { name, lags, penalty }
    };
    let near = |upto: usize| 1..=upto;
    let around = |lag: usize| lag - 1..=lag + 1;
    let sets = match *seasons {
        [] => vec![
            set("near", LIGHT, near(3).collect()),
            set("middle", LIGHT, near(12).collect()),
            set("far", STRONGER, near(26).collect()),
        ],
        [day, ref longer @ ..] => {
            let week = longer.first().copied();
            let days = week.map_or(4, |week| (week / day).clamp(2, 7));
            let each_day = |upto: usize| (2..=upto).map(move |k| k * day);
            let of_week = |lags: fn(usize) -> Vec<usize>| week.map_or_else(Vec::new, lags);
            vec![
                set(
                    "morning",
                    LIGHT,
                    near(12)
                        .chain(day - 1..=day + 2)
                        .chain(around(2 * day))
                        .chain([3 * day - 1])
                        .chain(each_day(days - 1))
                        .chain(of_week(|w| vec![w - 1, w, w + 1, 2 * w]))
                        .chain(week.map(|w| w + day))
                        .collect(),
                ),
                set(
                    "dense",
                    STRONGER,
                    near(26.min(day + 2))
                        .chain(around(day))
                        .chain(each_day(days - 1))
                        .chain(of_week(|w| vec![w - 1, w, w + 1]))
                        .collect(),
                ),
                set(
                    "fortnight",
                    LIGHT,
                    near(2)
                        .chain([day + 1, 2 * day + 1])
                        .chain(week.map(|w| w + 1))
                        .chain([day])
                        .chain(each_day(2 * days))
                        .collect(),
                ),
            ]
        }
    };
    let mut kept: Vec<LagSet> = Vec::new();
    for set in sets {
        if !set.lags.is_empty() && kept.iter().all(|other| other.lags != set.lags) {
            kept.push(set);
        }
    }
    kept
}

/// How values are bent before the regression and back after it: standardised, in logs or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scaling {
    pub logs: bool,
    pub mean: f64,
    pub deviation: f64,
}

impl Scaling {
    /// Mean and standard deviation of `values` or their logs. Only the ridge penalty depends on them.
    pub(crate) fn of(values: &[f64], logs: bool) -> Self {
        let bent = |v: &f64| if logs { v.ln() } else { *v };
        let n = values.len().max(1) as f64;
        let mean = values.iter().map(bent).sum::<f64>() / n;
        let variance = values.iter().map(|v| (bent(v) - mean).powi(2)).sum::<f64>() / n;
        Self { logs, mean, deviation: variance.sqrt().max(1e-9) }
    }

    pub(crate) fn bend(&self, value: f64) -> f64 {
        ((if self.logs { value.max(f64::MIN_POSITIVE).ln() } else { value }) - self.mean) / self.deviation
    }

    pub(crate) fn unbend(&self, value: f64) -> f64 {
        let value = value * self.deviation + self.mean;
        if self.logs { value.clamp(-600.0, 600.0).exp() } else { value }
    }
}

/// Where forecasts of a fit may go: the range seen before the fit's end, widened by twice its height; a series that
/// was always positive stays above a fifth of its lowest value.
pub(crate) fn bounds(seen: &[f64]) -> (f64, f64) {
    let (low, high) = seen.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    if low > high {
        return (0.0, 0.0);
    }
    let room = high - low + 1e-9;
    (if low > 0.0 { 0.2 * low } else { low - 2.0 * room }, high + 2.0 * room)
}

/// Regressions on levels and logs, raw and differenced by each season, on each lag set or the one named.
pub(crate) fn regressions(values: &[f64], seasons: &[usize], windows: &Windows, only: Option<&str>) -> Vec<Member> {
    let first_cut = windows.cuts[0];
    let mut sets = lag_sets(seasons, first_cut);
    sets.retain(|set| only.is_none_or(|only| set.name == only));
    let plan = GramPlan::new(&sets);
    let day = seasons.first().copied().unwrap_or(1);
    let near_sets: Vec<LagSet> = {
        let mut near: Vec<LagSet> = Vec::new();
        for set in &sets {
            let lags: Vec<usize> = set.lags.iter().copied().filter(|&lag| lag <= 3 * day).collect();
            if near.iter().all(|other| other.lags != lags) {
                near.push(LagSet { lags, ..set.clone() });
            }
        }
        near
    };
    let near_plan = GramPlan::new(&near_sets);
    let positive = values.iter().all(|&v| v > 0.0);
    let mut members = Vec::new();
    for logs in [false, true] {
        if logs && !positive {
            continue;
        }
        let scaling = Scaling::of(values, logs);
        let z: Vec<f64> = values.iter().map(|&v| scaling.bend(v)).collect();
        let bent = if logs { "log" } else { "level" };
        let stream = Stream { z: &z, scaling, values, windows, day: seasons.first().copied().unwrap_or(0) };
        stream.run(&sets, &plan, 0, &format!("{bent} raw"), &mut members);
        for (i, &season) in seasons.iter().enumerate().take(2) {
            if first_cut * 2 >= season * 5 {
                let (sets, plan) = if i == 0 { (&sets, &plan) } else { (&near_sets, &near_plan) };
                let name = if i == 0 { "season" } else { "long season" };
                stream.run(sets, plan, season, &format!("{bent} {name}"), &mut members);
            }
        }
    }
    members
}

/// One bent series with what all its regressions share.
struct Stream<'a> {
    z: &'a [f64],
    scaling: Scaling,
    values: &'a [f64],
    windows: &'a Windows,
    /// The shortest season; 0 where there is none.
    day: usize,
}

impl Stream<'_> {
    fn run(&self, sets: &[LagSet], plan: &GramPlan, season: usize, name: &str, members: &mut Vec<Member>) {
        let standing = if season == self.day { 1.0 } else { LOWER_STANDING };
        let Windows { cuts, list, horizon, .. } = self.windows;
        let differenced: Vec<f64>;
        let z = if season == 0 {
            self.z
        } else {
            differenced = self.z[season..].iter().zip(self.z).map(|(a, b)| a - b).collect();
            &differenced
        };
        let cuts_here: Vec<usize> = cuts.iter().map(|cut| cut.saturating_sub(season)).collect();
        let limits: Vec<(f64, f64)> = cuts.iter().map(|&cut| bounds(&self.values[..cut])).collect();
        for (set, by_cut) in sets.iter().zip(grams(z, &cuts_here, sets, plan)) {
            let fits: Option<Vec<Fit>> = by_cut
                .iter()
                .map(|gram| gram.solve(set.penalty).filter(|_| gram.rows > set.lags.len() as f64))
                .collect();
            let Some(fits) = fits else { continue };
            let mut paths = Vec::with_capacity(list.len() * horizon);
            for window in list {
                let (low, high) = limits[window.cut];
                let inside = (self.scaling.bend(low), self.scaling.bend(high));
                let limit = if season == 0 { inside } else { (inside.0 - inside.1, inside.1 - inside.0) };
                let path = iterate(&z[..window.start - season], &set.lags, &fits[window.cut], *horizon, limit);
                let begin = paths.len();
                for (h, value) in path.into_iter().enumerate() {
                    // A differenced path stands on the value one season before, which may itself be forecast.
                    let base = match season {
                        0 => 0.0,
                        s if h < s => self.z[window.start + h - s],
                        s => paths[begin + h - s],
                    };
                    paths.push(base + value);
                }
                for value in &mut paths[begin..] {
                    *value = self.scaling.unbend(*value).clamp(low, high);
                }
                debug_assert_eq!(paths.len(), begin + horizon);
            }
            members.push(Member { name: format!("{name} {}", set.name), paths, standing });
        }
    }
}
