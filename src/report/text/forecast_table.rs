//! Forecasts on a terminal: a line a series, then what stands out in them and what events do.

use std::fmt::Write as _;

use super::table::{Align, Column, lines};
use crate::domain::Forecast;
use crate::format::{UNKNOWN, counted, printable};
use crate::marks;

/// Characters of a name, and lines of marks and of effects, at most.
const NAME: usize = 48;
const MARKED: usize = 20;
/// Numbers from here on are written with an exponent.
const LARGE: f64 = 1e12;

/// A line a series: the peak expected over the lead time and how the method did on the series' past. Below it the newest
/// marks of the series that have any, and the effects of known events.
#[must_use]
pub fn forecast_table(forecasts: &[Forecast]) -> String {
    let name = |f: &Forecast| printable(&f.subject.to_string());
    let number = |v: Option<f64>| match v.filter(|v| v.is_finite()) {
        None => UNKNOWN.to_owned(),
        Some(v) if v.abs() >= LARGE => format!("{v:.3e}"),
        Some(v) => format!("{v:.3}"),
    };
    let column = |heading, align, cell: &dyn Fn(&Forecast) -> String| {
        Column::new(heading, align, forecasts.iter().map(cell).collect())
    };
    // How much of the past the highest quantile held.
    let covered = |f: &Forecast| {
        f.trust.coverage.last().map_or_else(|| UNKNOWN.to_owned(), |(_, share)| format!("{:.1} %", 100.0 * share))
    };
    let seasons = |f: &Forecast| {
        let seasons = f.trust.seasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        f.trust.fallback.as_deref().map_or(if seasons.is_empty() { "none".to_owned() } else { seasons }, printable)
    };
    let columns = [
        column("SERIES", Align::Left, &|f| name(f).chars().take(NAME).collect()),
        column("NEXT", Align::Right, &|f| number(f.mean.first().copied())),
        column("PEAK", Align::Right, &|f| number(f.peak.last().copied())),
        column("MASE", Align::Right, &|f| number(f.trust.mase)),
        column("NAIVE", Align::Right, &|f| number(f.trust.mase_seasonal_naive)),
        column("LAST", Align::Right, &|f| number(f.trust.mase_last_value)),
        column("COVERED", Align::Right, &covered),
        column("SEASONS", Align::Left, &seasons),
    ];
    let mut text = String::new();
    for line in lines(&columns) {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    section(&mut text, "MARKED", forecasts.iter().filter_map(|f| Some(format!("{}: {}", name(f), marked(f)?))));
    let effects = forecasts.iter().flat_map(|f| f.effects.iter().map(move |e| (f, e)));
    section(&mut text, "EVENTS", effects.map(|(f, e)| format!("{}: {}", name(f), marks::effect(e, f.signal))));
    text
}

/// How many marks of each kind, and the newest one in full.
fn marked(forecast: &Forecast) -> Option<String> {
    let summary = marks::summary(forecast.marks.iter().map(|mark| &mark.kind))?;
    let newest = forecast.marks.iter().rev().find(|mark| mark.size.is_some())?;
    let (from, to) = marks::span(newest, forecast.step_ms);
    let to = to.filter(|to| *to != from).map_or_else(String::new, |to| format!(" to {to}"));
    let size = marks::size(newest, forecast.signal).unwrap_or_default();
    Some(format!("{summary}; newest: {} {from}{to}, {size}", marks::kind(&newest.kind)))
}

fn section(text: &mut String, heading: &str, entries: impl Iterator<Item = String>) {
    let entries: Vec<String> = entries.collect();
    if entries.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{heading}");
    for entry in entries.iter().take(MARKED) {
        let _ = writeln!(text, "{entry}");
    }
    if entries.len() > MARKED {
        let _ = writeln!(text, "and {} in the JSON", counted(entries.len() - MARKED, "line"));
    }
}
