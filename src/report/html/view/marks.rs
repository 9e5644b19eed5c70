//! What stands out in a history and what is known of the time ahead, as rows below its chart.

use serde::Serialize;

use crate::domain::Forecast;
use crate::domain::forecast::{Mark, MarkKind};
use crate::format::count;
use crate::html::chart::fan::mark_class;
use crate::marks;

/// Rows shown of one forecast's marks, the newest: on a page of forecasts, and below one of a plan's many charts.
const ROWS: usize = 12;
const FEW_ROWS: usize = 5;

/// Marks and effects of one forecast.
#[derive(Serialize)]
pub(super) struct MarksView {
    rows: Vec<Row>,
    effects: Vec<String>,
    more: Option<String>,
}

#[derive(Serialize)]
struct Row {
    class: &'static str,
    kind: String,
    from: String,
    to: Option<String>,
    size: Option<String>,
}

impl MarksView {
    /// All of a forecast's marks; `None` where there is nothing to say.
    pub(super) fn of(forecast: &Forecast) -> Option<Self> {
        Self::with(forecast, ROWS, |_| true)
    }

    /// Without the dates of known events, where several charts of a workload would repeat them.
    pub(super) fn of_anomalies(forecast: &Forecast) -> Option<Self> {
        Self::with(forecast, FEW_ROWS, |kind| !matches!(kind, MarkKind::Event(_)))
    }

    fn with(forecast: &Forecast, most: usize, is_shown: impl Fn(&MarkKind) -> bool) -> Option<Self> {
        let shown: Vec<&Mark> = forecast.marks.iter().filter(|mark| is_shown(&mark.kind)).collect();
        let rest = shown.len().saturating_sub(most);
        let rows: Vec<Row> = shown[rest..]
            .iter()
            .map(|mark| {
                let (from, to) = marks::span(mark, forecast.step_ms);
                let (kind, size) = (marks::kind(&mark.kind), marks::size(mark, forecast.signal));
                Row { class: mark_class(&mark.kind), kind, from, to, size }
            })
            .collect();
        let effects: Vec<String> =
            forecast.effects.iter().map(|effect| marks::effect(effect, forecast.signal)).collect();
        let more = (rest > 0).then(|| match rest {
            1 => "An earlier one is in the JSON.".to_owned(),
            rest => format!("{} earlier ones are in the JSON.", count(rest)),
        });
        (!rows.is_empty() || !effects.is_empty()).then_some(Self { rows, effects, more })
    }
}

/// Which of the legend's entries the charts of these forecasts need.
#[derive(Default, Serialize)]
pub(super) struct MarkKeys {
    anomaly: bool,
    shift: bool,
    event: bool,
}

impl MarkKeys {
    pub(super) fn of<'a>(forecasts: impl Iterator<Item = &'a Forecast>) -> Self {
        let mut keys = Self::default();
        for mark in forecasts.flat_map(|forecast| &forecast.marks) {
            match mark_class(&mark.kind) {
                "anomaly" => keys.anomaly = true,
                "shift" => keys.shift = true,
                _ => keys.event = true,
            }
        }
        keys
    }
}
