//! Measured past, forecast as a fan, and the line up to which the replicas carry.

use std::fmt::Write as _;

use super::plot::{Plot, Side};
use super::scale::{Scale, TimeScale, Unit};
use super::thin::{instant, stretches, thinned};
use crate::domain::forecast::MarkKind;
use crate::domain::series::is_numbered;
use crate::domain::{Forecast, Signal};
use crate::format::{quantile, signal_name, signal_value};
use crate::marks;

/// Points kept of the past and of the fan.
const PAST_POINTS: usize = 400;
const FAN_POINTS: usize = 96;
/// Marks drawn at most.
const MARKS: usize = 100;
/// The past shown, in multiples of the horizon: enough for the cycle to be seen, the fan being a third of the width.
const PAST_HORIZONS: i64 = 2;
/// The most that is shown so that what stands out in it is seen.
const MARKED_HORIZONS: i64 = 6;

/// A level up to which something is carried.
pub(in crate::html) struct Capacity {
    /// The level, in the signal's unit.
    pub(in crate::html) value: f64,
    /// What it stands for.
    pub(in crate::html) label: String,
}

/// What one fan chart shows.
pub(in crate::html) struct Fan<'a> {
    /// The measured past; the last instants of it are shown.
    pub(in crate::html) past: Vec<(i64, f64)>,
    /// The forecast.
    pub(in crate::html) forecast: &'a Forecast,
    /// What stands now carries.
    pub(in crate::html) now: Option<Capacity>,
    /// What the plan carries.
    pub(in crate::html) proposed: Option<Capacity>,
}

/// The chart; `None` where the forecast has no step.
pub(in crate::html) fn draw(fan: &Fan<'_>) -> Option<String> {
    let forecast = fan.forecast;
    if forecast.horizon() == 0 || forecast.step_ms <= 0 {
        return None;
    }
    let horizon_ms = forecast.step_ms.saturating_mul(i64::try_from(forecast.horizon()).ok()?);
    let earliest = earliest(forecast, horizon_ms);
    let past: Vec<(i64, f64)> =
        fan.past.iter().copied().filter(|p| p.0 >= earliest && p.0 <= forecast.start_ms).collect();
    let start_ms = past.first().map_or(forecast.start_ms, |p| p.0);
    let past = thinned(&past, PAST_POINTS);
    let levels: Vec<(f64, Vec<(i64, f64)>)> = (0..forecast.levels.len().min(forecast.quantiles.nrows()))
        .map(|row| (forecast.levels[row], quantile_row(forecast, row)))
        .collect();
    let mean = mean_row(forecast);
    let capacities = [&fan.now, &fan.proposed];
    let everything = past
        .iter()
        .chain(&mean)
        .chain(levels.iter().flat_map(|(_, row)| row))
        .map(|p| p.1)
        .chain(capacities.iter().filter_map(|c| c.as_ref().map(|c| c.value)));
    let values = Scale::holding(everything, Unit::of(forecast.signal));
    let end_ms = forecast.start_ms.saturating_add(horizon_ms);
    let time = TimeScale { start_ms, end_ms, numbered: is_numbered(forecast.step_ms) };
    let mut plot = Plot::new(description(fan), time, values);
    plot.right = 62;
    for mark in forecast.marks.iter().filter(|m| m.end_ms >= start_ms && m.start_ms <= end_ms).take(MARKS) {
        let class = mark_class(&mark.kind);
        let title = marks::kind(&mark.kind);
        plot.span(mark.start_ms.max(start_ms), mark.end_ms.min(end_ms), &format!("marked {class}"), &title);
    }
    plot.line(&past, "past");
    draw_fan(&mut plot, &levels, &mean);
    plot.instant(forecast.start_ms, "instant");
    draw_capacities(&mut plot, fan);
    Some(plot.draw())
}

/// The class that colours a mark in charts, legends and tables.
pub(in crate::html) fn mark_class(kind: &MarkKind) -> &'static str {
    match kind {
        MarkKind::Spike | MarkKind::Outage => "anomaly",
        MarkKind::LevelShift | MarkKind::Deploy => "shift",
        MarkKind::Event(_) => "event",
    }
}

/// The first instant shown: further back than usual where something stood out a little earlier.
fn earliest(forecast: &Forecast, horizon_ms: i64) -> i64 {
    let back = |horizons: i64| forecast.start_ms.saturating_sub(horizon_ms.saturating_mul(horizons));
    let room = horizon_ms / 8;
    let marked =
        forecast.marks.iter().map(|mark| mark.start_ms.saturating_sub(room)).filter(|&at| at > back(MARKED_HORIZONS));
    marked.fold(back(PAST_HORIZONS), i64::min)
}

/// One quantile, thinned away from the middle: the highest of each stretch above the median, the lowest below it.
fn quantile_row(forecast: &Forecast, row: usize) -> Vec<(i64, f64)> {
    let above = forecast.levels[row] >= 0.5;
    let length = forecast.horizon().min(forecast.quantiles.ncols());
    stretches(length, FAN_POINTS)
        .map(|stretch| {
            let time_ms = instant(forecast.start_ms, forecast.step_ms, stretch.start);
            let values = stretch.map(|h| forecast.quantiles[[row, h]]);
            (time_ms, if above { values.fold(f64::NAN, f64::max) } else { values.fold(f64::NAN, f64::min) })
        })
        .collect()
}

fn mean_row(forecast: &Forecast) -> Vec<(i64, f64)> {
    stretches(forecast.horizon(), FAN_POINTS)
        .map(|stretch| {
            let time_ms = instant(forecast.start_ms, forecast.step_ms, stretch.start);
            let count = stretch.len() as f64;
            (time_ms, forecast.mean[stretch].iter().sum::<f64>() / count)
        })
        .collect()
}

/// Which quantiles bound the bands of a fan.
pub(in crate::html) struct Bands {
    pub(in crate::html) lowest: Option<f64>,
    pub(in crate::html) has_median: bool,
    /// The one nearest to p90, drawn as a band of its own above the middle.
    pub(in crate::html) inner: Option<f64>,
    pub(in crate::html) highest: Option<f64>,
}

/// The bands that these levels, in rising order, allow.
pub(in crate::html) fn bands(levels: &[f64]) -> Bands {
    let distance = |level: &f64| (level - 0.9).abs();
    let inner = levels.iter().copied().filter(|&l| l >= 0.6).min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let highest = levels.last().copied().filter(|&l| l > 0.5);
    Bands {
        lowest: levels.first().copied().filter(|&l| l < 0.5),
        has_median: levels.iter().any(|l| (l - 0.5).abs() < 1e-9),
        inner: inner.filter(|&inner| Some(inner) != highest),
        highest,
    }
}

fn draw_fan(plot: &mut Plot, levels: &[(f64, Vec<(i64, f64)>)], mean: &[(i64, f64)]) {
    let bands = bands(&levels.iter().map(|(level, _)| *level).collect::<Vec<f64>>());
    let at = |level: Option<f64>| levels.iter().find(|(l, _)| Some(*l) == level);
    let (lowest, inner, outer) = (at(bands.lowest), at(bands.inner), at(bands.highest));
    let median = levels.iter().find(|(level, _)| (level - 0.5).abs() < 1e-9);
    let middle = median.map_or(mean, |(_, row)| row);
    if let Some((_, low)) = lowest {
        plot.band(low, middle, "band-outer");
    }
    if let Some((_, high)) = outer {
        plot.band(middle, high, "band-outer");
    }
    if let Some((_, high)) = inner {
        plot.band(middle, high, "band-inner");
    }
    plot.line(middle, "median");
    let mut written: Vec<f64> = Vec::new();
    let name = if median.is_some() { "median".to_owned() } else { "mean".to_owned() };
    let labels = [
        outer.map(|(level, row)| (quantile(*level), row.as_slice())),
        Some((name, middle)),
        inner.map(|(level, row)| (quantile(*level), row.as_slice())),
    ];
    for (text, row) in labels.into_iter().flatten() {
        let Some((_, value)) = row.iter().rev().find(|p| p.1.is_finite()) else { continue };
        if written.iter().all(|other| plot.pixels_between(*other, *value) >= 13.0) {
            plot.label(1.0, *value, Side::Right, "label forecast", &text);
            written.push(*value);
        }
    }
}

fn draw_capacities(plot: &mut Plot, fan: &Fan<'_>) {
    let finite = |capacity: &'_ Option<Capacity>| capacity.as_ref().map(|c| c.value).filter(|v| v.is_finite());
    let (mut now, proposed) = (finite(&fan.now), finite(&fan.proposed));
    if matches!((now, proposed), (Some(a), Some(b)) if plot.pixels_between(a, b) < 1.0) {
        now = None;
    }
    // The higher of two near lines is named above, the lower below.
    let near = matches!((now, proposed), (Some(a), Some(b)) if plot.pixels_between(a, b) < 20.0);
    let side = |own: f64, other: Option<f64>| match other {
        Some(other) if near && own < other => Side::Below,
        _ => Side::Above,
    };
    if let (Some(value), Some(capacity)) = (now, &fan.now) {
        plot.level(value, "capacity-now");
        plot.label(0.0, value, side(value, proposed), "label muted", &capacity.label);
    }
    if let (Some(value), Some(capacity)) = (proposed, &fan.proposed) {
        plot.level(value, "capacity");
        plot.label(0.0, value, side(value, now), "label accent", &capacity.label);
    }
}

fn description(fan: &Fan<'_>) -> String {
    let forecast = fan.forecast;
    let signal = forecast.signal;
    let value = |v: f64| signal_value(signal, v);
    let mut text = format!("Line chart of {} of {}.", signal_name(signal), forecast.subject);
    let finite = || fan.past.iter().map(|p| p.1).filter(|v| v.is_finite());
    if let Some(most) = finite().max_by(f64::total_cmp) {
        let _ = write!(text, " Measured so far: at most {}.", value(most));
    }
    for level in [0.5, 0.9, 0.99] {
        if forecast.levels.iter().any(|l| (l - level).abs() < 1e-9) {
            let _ = write!(text, " Forecast peak, {}: {}.", quantile(level), value(forecast.peak_at(level)));
        }
    }
    for capacity in [&fan.now, &fan.proposed].into_iter().flatten() {
        let _ = write!(text, " {} ({}).", capacity.label, value(capacity.value));
    }
    if let Some(marked) = marks::summary(forecast.marks.iter().map(|mark| &mark.kind)) {
        let _ = write!(text, " Marked: {marked}.");
    }
    text
}

/// A finding for the chart's heading.
pub(in crate::html) fn finding(signal: Signal, forecast: &Forecast, proposed: Option<&Capacity>) -> String {
    let level = forecast.levels.iter().copied().min_by(|a, b| (a - 0.95).abs().total_cmp(&(b - 0.95).abs()));
    let Some(level) = level else { return signal_name(signal).to_owned() };
    let peak = forecast.peak_at(level);
    let peak_text = format!("{} peak {}", quantile(level), signal_value(signal, peak));
    let subject = match signal {
        Signal::CpuCores => "CPU: ",
        Signal::MemoryBytes => "Memory: ",
        _ => "",
    };
    match proposed {
        Some(capacity) if peak <= capacity.value => {
            format!("{subject}{peak_text} stays below the plan's {}", signal_value(signal, capacity.value))
        }
        Some(capacity) => {
            format!("{subject}{peak_text} exceeds the plan's {}", signal_value(signal, capacity.value))
        }
        None => format!("{subject}{peak_text}"),
    }
}
