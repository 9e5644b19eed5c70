//! One of the five models over time, small.

use super::plot::Plot;
use super::scale::{Scale, TimeScale, Unit};
use super::thin::{instant, thinned};
use crate::domain::Axis;

const POINTS: usize = 160;

/// A small line chart; measurements that stand alone are dots. `None` where nothing was measured.
pub(in crate::html) fn draw(axis: &Axis, values: &[f64], unit: Unit, description: String) -> Option<String> {
    if axis.step_ms <= 0 || !values.iter().any(|v| v.is_finite()) {
        return None;
    }
    let time_ms = |i: usize| instant(axis.start_ms, axis.step_ms, i);
    let points: Vec<(i64, f64)> = values.iter().enumerate().map(|(i, v)| (time_ms(i), *v)).collect();
    let end_ms = time_ms(values.len());
    let lonely = values.iter().filter(|v| v.is_finite()).count() * 4 < values.len();
    let scale = Scale::holding(values.iter().copied(), unit);
    let mut plot = Plot::new(description, TimeScale { start_ms: axis.start_ms, end_ms, numbered: false }, scale);
    plot.height = 118;
    plot.left = 38;
    plot.time_ticks = 3;
    if lonely {
        let measured: Vec<(i64, f64)> = points.iter().copied().filter(|p| p.1.is_finite()).collect();
        plot.dots(&thinned(&measured, POINTS), "dot");
    } else {
        plot.line(&thinned(&points, POINTS), "past");
    }
    Some(plot.draw())
}
