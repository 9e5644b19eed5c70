//! The page of `plimsoll forecast`: fans, coverage, scores.

use serde::Serialize;

use crate::domain::Forecast;
use crate::domain::forecast::MarkKind;
use crate::domain::run::ForecastReport;
use crate::domain::scores::{Against, Estimate, Measure, Scoreboard};
use crate::domain::series::is_numbered;
use crate::format::{counted, date_time, percent, printable, signal_name, significant};
use crate::html::chart::coverage;
use crate::html::chart::fan::{self, Fan};

/// Series drawn at most.
const DRAWN: usize = 60;

/// The page.
#[derive(Serialize)]
pub(in crate::html) struct ForecastPage {
    title: String,
    made: String,
    notes: Vec<String>,
    coverage_finding: String,
    coverage_chart: Option<String>,
    scores: Option<ScoresView>,
    drawn: String,
    series: Vec<SeriesView>,
    command: String,
    files: Vec<String>,
    version: String,
}

#[derive(Serialize)]
struct ScoresView {
    finding: String,
    basis: String,
    measures: Vec<&'static str>,
    methods: Vec<(String, Vec<String>)>,
    verdicts: Vec<String>,
}

#[derive(Serialize)]
struct SeriesView {
    name: String,
    signal: &'static str,
    trust: String,
    plain: Option<String>,
    marks: Vec<String>,
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
        let means = coverage_means(report);
        let each: Vec<(f64, f64)> = forecasts.iter().flat_map(|f| f.trust.coverage.iter().copied()).take(600).collect();
        let worst = means.iter().map(|(level, share)| (level - share).abs()).fold(0.0, f64::max);
        Self {
            title: format!("{} forecast {} ahead", counted(forecasts.len(), "series"), counted(horizon, "step")),
            made: date_time(report.provenance.generated_at_ms),
            notes,
            coverage_finding: if means.is_empty() {
                "Coverage was not measured".to_owned()
            } else {
                format!("Quantiles hold what they promise within {} percentage points", significant(100.0 * worst, 2))
            },
            coverage_chart: (!means.is_empty()).then(|| coverage::draw(&each, &means)),
            scores: report.scores.as_ref().map(scores_view),
            drawn: if forecasts.len() > views.len() {
                format!("{} of {} drawn; all are in the CSV and JSON", views.len(), counted(forecasts.len(), "series"))
            } else {
                format!("{} drawn", counted(views.len(), "series"))
            },
            series: views,
            command: printable(&report.provenance.command),
            files: report.provenance.inputs.iter().map(|input| printable(input)).collect(),
            version: printable(&report.provenance.version),
        }
    }
}

/// Promised and measured shares: held-out ones where there are scores, else those of the forecasts' own backtests.
fn coverage_means(report: &ForecastReport) -> Vec<(f64, f64)> {
    if let Some(scores) = &report.scores {
        return scores.coverage.iter().map(|c| (c.level, c.measured.value)).collect();
    }
    let tested: Vec<&Forecast> = report.forecasts.iter().filter(|f| !f.trust.coverage.is_empty()).collect();
    let Some(first) = tested.first() else { return Vec::new() };
    let mean = |i: usize| {
        tested.iter().filter_map(|f| f.trust.coverage.get(i)).map(|c| c.1).sum::<f64>() / tested.len() as f64
    };
    first.trust.coverage.iter().enumerate().map(|(i, (level, _))| (*level, mean(i))).collect()
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
        .map(|(level, share)| format!("; q{level} held {}", percent((share * 1000.0).round() / 1000.0)));
    let method = trust
        .weights
        .first()
        .map(|(name, weight)| format!("; most weight on {} ({})", printable(name), percent(*weight)));
    let numbered = is_numbered(forecast.step_ms);
    let time = |ms: i64| if numbered { ms.to_string() } else { date_time(ms) };
    let mark = |mark: &crate::domain::forecast::Mark| {
        let kind = match &mark.kind {
            MarkKind::Spike => "spike".to_owned(),
            MarkKind::Outage => "outage".to_owned(),
            MarkKind::LevelShift => "level shift".to_owned(),
            MarkKind::Event(name) => printable(name),
        };
        format!("{kind}: {} to {}", time(mark.start_ms), time(mark.end_ms))
    };
    Some(SeriesView {
        name: printable(&forecast.subject.to_string()),
        signal: signal_name(forecast.signal),
        trust: format!("{record}{}; {seasons}{}", held.unwrap_or_default(), method.unwrap_or_default()),
        plain: trust.fallback.as_ref().map(|why| printable(why)),
        marks: forecast.marks.iter().rev().take(6).rev().map(mark).collect(),
        chart: fan::draw(&Fan { past, forecast, now: None, proposed: None })?,
    })
}

fn scores_view(board: &Scoreboard) -> ScoresView {
    let ranged = |e: Estimate| {
        let range = e.range.map(|(low, high)| format!(" ({}–{})", significant(low, 3), significant(high, 3)));
        format!("{}{}", significant(e.value, 3), range.unwrap_or_default())
    };
    let verdicts = board.comparisons.iter().map(|c| {
        let (measure, than) = (c.measure.name(), c.than.name());
        match c.ratio.range {
            None => format!(
                "{measure} against {than}: ratio {}; one series, no telling from chance",
                significant(c.ratio.value, 3)
            ),
            Some(_) if c.is_noise() => format!("{measure} against {than}: ratio {}, noise", ranged(c.ratio)),
            Some(_) => format!("{measure} against {than}: ratio {}", ranged(c.ratio)),
        }
    });
    let against = match &board.against {
        Against::RollingOrigins { origins, every_steps } => {
            format!("{origins} rolling origins {every_steps} steps apart")
        }
        Against::Truth { file } => format!("the truth in {}", printable(file)),
    };
    let mase = board.comparisons.iter().find(|c| c.measure == Measure::Mase);
    ScoresView {
        finding: match mase {
            Some(c) if c.is_noise() => format!("No telling from {} beyond chance", c.than.name()),
            Some(c) if c.ratio.value < 1.0 => {
                format!("{} less {} than {}", percent(1.0 - c.ratio.value), c.measure.name(), c.than.name())
            }
            Some(c) => format!("{} more {} than {}", percent(c.ratio.value - 1.0), c.measure.name(), c.than.name()),
            None => "Scores".to_owned(),
        },
        basis: format!(
            "{}, {} of {} steps against {against}; season {}. Ranges hold 95 of 100 fleets drawn anew from these series.",
            counted(board.series, "series"),
            counted(board.windows, "window"),
            board.horizon_steps,
            board.season
        ),
        measures: Measure::ALL.iter().map(|m| m.name()).collect(),
        methods: board
            .methods
            .iter()
            .map(|m| {
                let cell = |measure: &Measure| m.get(*measure).map_or_else(|| "–".to_owned(), ranged);
                (m.method.name().to_owned(), Measure::ALL.iter().map(cell).collect())
            })
            .collect(),
        verdicts: verdicts.collect(),
    }
}
