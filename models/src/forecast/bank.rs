//! The local members: what one series' own past says, in many ways.

use super::regression::{Begin, Fit, GramPlan, LagSet, continued, fits};
use super::windows::{Window, Windows};

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

/// A history bent in one way.
#[derive(Debug, Clone)]
pub(crate) struct Bent {
    pub scaling: Scaling,
    pub z: Vec<f64>,
}

/// The history in levels, and in logs where all values are positive. Only the ridge penalty depends on mean and deviation.
pub(crate) fn bent(values: &[f64]) -> Vec<Bent> {
    let standardised = |logs: bool, mut z: Vec<f64>| {
        let n = z.len().max(1) as f64;
        let mean = z.iter().sum::<f64>() / n;
        let variance = z.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        let deviation = variance.sqrt().max(1e-9);
        for v in &mut z {
            *v = (*v - mean) / deviation;
        }
        Bent { scaling: Scaling { logs, mean, deviation }, z }
    };
    let mut ways = vec![standardised(false, values.to_vec())];
    if values.iter().all(|&v| v > 0.0) {
        ways.push(standardised(true, values.iter().map(|v| v.ln()).collect()));
    }
    ways
}

impl Scaling {
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

/// Regressions on the `ways` the values are bent, raw and differenced by each season, on each lag set or the one named.
pub(crate) fn regressions(
    values: &[f64],
    ways: &[Bent],
    seasons: &[usize],
    windows: &Windows,
    only: Option<&str>,
) -> Vec<Member> {
    let first_cut = windows.cuts[0];
    let mut sets = lag_sets(seasons, first_cut);
    sets.retain(|set| only.is_none_or(|only| set.name == only));
    let day = seasons.first().copied().unwrap_or(1);
    let mut near_sets: Vec<LagSet> = Vec::new();
    for set in &sets {
        let lags: Vec<usize> = set.lags.iter().copied().filter(|&lag| lag <= 3 * day).collect();
        if near_sets.iter().all(|other| other.lags != lags) {
            near_sets.push(LagSet { lags, ..set.clone() });
        }
    }
    let (plan, near_plan) = (GramPlan::new(&sets), GramPlan::new(&near_sets));
    let limits: Vec<(f64, f64)> = windows.cuts.iter().map(|&cut| bounds(&values[..cut])).collect();
    let mut members = Vec::new();
    for bent in ways {
        let name = if bent.scaling.logs { "log" } else { "level" };
        let stream = Stream { bent, limits: &limits, windows, day: seasons.first().copied().unwrap_or(0) };
        stream.run(&sets, &plan, 0, &format!("{name} raw"), &mut members);
        for (i, &season) in seasons.iter().enumerate().take(2) {
            if first_cut * 2 >= season * 5 {
                let (sets, plan) = if i == 0 { (&sets, &plan) } else { (&near_sets, &near_plan) };
                let by = if i == 0 { "season" } else { "long season" };
                stream.run(sets, plan, season, &format!("{name} {by}"), &mut members);
            }
        }
    }
    members
}

/// One bent series with what all its regressions share.
struct Stream<'a> {
    bent: &'a Bent,
    /// Where forecasts may go, by fit end.
    limits: &'a [(f64, f64)],
    windows: &'a Windows,
    /// The shortest season; 0 where there is none.
    day: usize,
}

impl Stream<'_> {
    fn run(&self, sets: &[LagSet], plan: &GramPlan, season: usize, name: &str, members: &mut Vec<Member>) {
        let Self { bent: Bent { scaling, z: whole }, limits, windows, day } = self;
        let standing = if season == *day { 1.0 } else { LOWER_STANDING };
        let differenced: Vec<f64>;
        let z = if season == 0 {
            whole
        } else {
            differenced = whole[season..].iter().zip(whole).map(|(a, b)| a - b).collect();
            &differenced
        };
        let cuts: Vec<usize> = windows.cuts.iter().map(|cut| cut.saturating_sub(season)).collect();
        let fitted = fits(z, &cuts, sets, plan);
        let (kept, fitted): (Vec<&LagSet>, Vec<&[Fit]>) =
            sets.iter().zip(&fitted).filter_map(|(set, fits)| Some((set, fits.as_deref()?))).unzip();
        let begin = |window: &Window| {
            let (low, high) = limits[window.cut];
            let (low, high) = (scaling.bend(low), scaling.bend(high));
            let limits = if season == 0 { (low, high) } else { (low - high, high - low) };
            Begin { cut: window.cut, start: window.start - season, limits }
        };
        let begins: Vec<Begin> = windows.list.iter().map(begin).collect();
        let regressions: Vec<(&[usize], Vec<&Fit>)> =
            kept.iter().zip(&fitted).map(|(set, fits)| (&set.lags[..], fits.iter().collect())).collect();
        for (set, mut paths) in kept.iter().zip(continued(z, &begins, &regressions, windows.horizon)) {
            for (window, path) in windows.list.iter().zip(paths.chunks_exact_mut(windows.horizon)) {
                self.put_back(path, window, season);
            }
            members.push(Member { name: format!("{name} {}", set.name), paths, standing });
        }
    }

    /// Puts a differenced path on the values one season before, which may themselves be forecast, and bends it back.
    fn put_back(&self, path: &mut [f64], window: &Window, season: usize) {
        let Self { bent: Bent { scaling, z }, limits, .. } = self;
        if season > 0 {
            let known = season.min(path.len());
            path[..known].iter_mut().zip(&z[window.start - season..]).for_each(|(value, base)| *value += base);
            for h in known..path.len() {
                path[h] += path[h - season];
            }
        }
        let (low, high) = limits[window.cut];
        for value in path {
            *value = scaling.unbend(*value).clamp(low, high);
        }
    }
}
