//! The page of `plimsoll forecast`: fans, coverage, scores.

use serde::Serialize;

use crate::domain::Forecast;
use crate::domain::run::ForecastReport;
use crate::domain::series::is_numbered;
use crate::format::{counted, date_time, percent, printable, quantile, signal_name, significant, tied};
use crate::html::chart::fan::{self, Fan};

use super::coverage::CoverageView;
use super::marks::{MarkKeys, MarksView};
use super::scores::ScoresView;

/// Series drawn at most.
const DRAWN: usize = 60;

/// The page.
#[derive(Serialize)]
pub(in crate::html) struct ForecastPage {
    title: String,
    made: String,
    notes: Vec<String>,
    coverage: CoverageView,
    scores: Option<ScoresView>,
    drawn: String,
    keys: FanKeys,
    series: Vec<SeriesView>,
    command: String,
    files: Vec<String>,
    version: String,
}

/// The legend of the fans.
#[derive(Serialize)]
struct FanKeys {
    middle: &'static str,
    inner: Option<String>,
    outer: Option<String>,
    marks: MarkKeys,
}

#[derive(Serialize)]
struct SeriesView {
    name: String,
    caption: String,
    trust: String,
    plain: Option<String>,
    marks: Option<MarksView>,
    chart: String,
}

impl ForecastPage {
    pub(in crate::html) fn of(report: &ForecastReport) -> Self {
        let forecasts = &report.forecasts;
        let horizon = forecasts.first().map_or(0, Forecast::horizon);
        let views: Vec<SeriesView> =
            forecasts.iter().enumerate().take(DRAWN).filter_map(|(row, f)| series_view(report, row, f)).collect();
        let borrowed = forecasts.iter().filter(|f| f.trust.borrowed).count();
        let untested = forecasts.iter().filter(|f| f.trust.origins == 0).count();
        let mut notes = Vec::new();
        if borrowed > 0 {
            notes.push(format!(
                "{} too new for a model of their own: they borrow the pooled one.",
                counted(borrowed, "series")
            ));
        }
        if untested > 0 {
            notes.push(format!(
                "{} too short or too plain to be tested on their own past: the width is a guess.",
                counted(untested, "series")
            ));
        }
        Self {
            title: format!("{} forecast {} ahead", counted(forecasts.len(), "series"), counted(horizon, "step")),
            made: date_time(report.provenance.generated_at_ms),
            notes,
            coverage: CoverageView::of(report),
            scores: report.scores.as_ref().map(ScoresView::of),
            drawn: if forecasts.len() > views.len() {
                format!("{} of {} drawn; all are in the CSV and JSON", views.len(), counted(forecasts.len(), "series"))
            } else {
                format!("{} drawn", counted(views.len(), "series"))
            },
            keys: fan_keys(forecasts),
            series: views,
            command: printable(&report.provenance.command),
            files: report.provenance.inputs.iter().map(|input| printable(input)).collect(),
            version: printable(&report.provenance.version),
        }
    }
}

/// What the bands of the fans are, from the levels that all forecasts share.
fn fan_keys(forecasts: &[Forecast]) -> FanKeys {
    let levels = forecasts.first().map_or(&[][..], |f| &f.levels);
    let bands = fan::bands(levels);
    FanKeys {
        middle: if bands.has_median { "median" } else { "mean" },
        inner: bands.inner.map(quantile),
        outer: match (bands.lowest, bands.highest) {
            (Some(low), Some(high)) => Some(format!("{} to {}", quantile(low), quantile(high))),
            (low, high) => high.or(low).map(quantile),
        },
        marks: MarkKeys::of(forecasts.iter().take(DRAWN)),
    }
}

fn series_view(report: &ForecastReport, row: usize, forecast: &Forecast) -> Option<SeriesView> {
    let axis = &report.series.axis;
    let at = report.series.rows.iter().position(|r| r.subject == forecast.subject && r.signal == forecast.signal);
    let values = report.series.values.row(at.unwrap_or(row));
    let past = values.iter().enumerate().map(|(i, v)| (axis.time_ms(i), *v)).collect();
    let trust = &forecast.trust;
    let naive = [trust.mase_seasonal_naive, trust.mase_last_value].into_iter().flatten().reduce(f64::min);
    let record = match (trust.mase, naive) {
        (Some(ours), Some(naive)) => {
            format!("error {} against {} of the better naive method", significant(ours, 2), significant(naive, 2))
        }
        _ => "not tested on its own past".to_owned(),
    };
    let seasons: Vec<String> = trust.seasons.iter().map(ToString::to_string).collect();
    let seasons =
        if seasons.is_empty() { "no season".to_owned() } else { format!("seasons {} steps", seasons.join(", ")) };
    let held = trust
        .coverage
        .last()
        .map(|(level, share)| format!("; {} held {}", quantile(*level), percent((share * 1000.0).round() / 1000.0)));
    let method = trust
        .weights
        .first()
        .map(|(name, weight)| format!("; most weight on {} ({})", printable(name), percent(*weight)));
    Some(SeriesView {
        name: printable(&forecast.subject.to_string()),
        caption: format!(
            "{}; {}",
            signal_name(forecast.signal),
            if is_numbered(forecast.step_ms) { "steps as the input numbers them" } else { "times in UTC" }
        ),
        trust: tied(&format!("{record}{}; {seasons}{}", held.unwrap_or_default(), method.unwrap_or_default())),
        plain: trust.fallback.as_ref().map(|why| printable(why)),
        marks: MarksView::of(forecast),
        chart: fan::draw(&Fan { past, forecast, now: None, proposed: None })?,
    })
}
