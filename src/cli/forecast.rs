//! `plimsoll forecast`.

use std::path::Path;

use serde_json::json;

use crate::domain::forecast::Forecast;
use crate::domain::policy::KnownEvent;
use crate::domain::progress::{Observer, Stage};
use crate::domain::run::ForecastReport;
use crate::domain::scores::Scoreboard;
use crate::domain::series::{NUMBERED_STEP_MS, is_numbered};
use crate::domain::{InputError, Series};
use crate::forecast::score::{self, Rolling, SCORED_LEVELS, Summary};
use crate::forecast::{self, Calendar, ForecastSettings, Live, LiveSettings};
use crate::ingest::Source;
use crate::ingest::metrics::{Options, TableShape};
use crate::report::document::ForecastDocument;
use crate::report::html;
use crate::report::text::forecast_table;
use crate::series;

use super::arguments::{ForecastArguments, ForecastFormat};
use super::exit::{Done, Failure};
use super::progress::Bars;
use super::{inputs, output, scores};

/// Draws of the bootstrap: ranges are steady to a twentieth of their width.
const RESAMPLES: usize = 1000;

pub(super) fn run(arguments: &ForecastArguments) -> Result<Done, Failure> {
    let bars = Bars::new();
    let mut described = Vec::new();
    bars.begin(Stage::Reading, None);
    let input = read(&arguments.input, &mut described)?;
    let truth = arguments.truth.as_ref().map(|path| read(std::slice::from_ref(path), &mut described)).transpose()?;
    let known = arguments.events.as_deref().map(read_events).transpose()?.unwrap_or_default();
    if !known.is_empty() && is_numbered(input.axis.step_ms) {
        return Err(InputError::whole("--events", "needs timestamps: the input numbers its steps").into());
    }
    let settings = settings(arguments, &known)?;
    bars.begin(Stage::Forecasting, Some(input.rows.len() as u64));
    let tell = |done: usize, _: usize| bars.done(done as u64);
    let (forecasts, board) = match (&arguments.truth, &truth, &arguments.state) {
        (Some(path), Some(truth), _) => against_truth(arguments, &input, truth, path, &settings, &tell)?,
        _ if arguments.backtest => {
            let board = backtest(arguments, &input, &settings, &tell)?;
            // Scores alone need no forecast of what is to come; the page shows both.
            let page = arguments.output == ForecastFormat::Html;
            (if page { forecast::forecast_series(&input, &settings, &tell) } else { Vec::new() }, Some(board))
        }
        (_, _, Some(path)) => (from_state(path, arguments, &input, &settings)?, None),
        _ => (forecast::forecast_series(&input, &settings, &tell), None),
    };
    drop(bars);
    let text = match (arguments.output, &board) {
        (ForecastFormat::Table, Some(board)) => scores::table(board),
        (ForecastFormat::Csv, Some(board)) => scores::csv(board),
        (ForecastFormat::Json, Some(board)) => scores::json(board),
        (ForecastFormat::Table, None) => forecast_table(&forecasts),
        (ForecastFormat::Csv, None) => forecast::to_csv(&forecasts),
        (ForecastFormat::Json, None) => json_document(&forecasts),
        (ForecastFormat::Html, _) => {
            let now_ms = inputs::now_ms(arguments.now);
            html::forecast_page(&ForecastReport {
                series: input,
                forecasts,
                scores: board,
                provenance: inputs::provenance(described, now_ms),
            })
        }
    };
    match &arguments.out {
        Some(path) => output::write_file(path, text.as_bytes())?,
        None => output::print(&text)?,
    }
    Ok(Done::Fine)
}

fn read(paths: &[std::path::PathBuf], described: &mut Vec<String>) -> Result<Series, Failure> {
    // A table that counts steps keeps its own numbering.
    let table = TableShape { step_ms: NUMBERED_STEP_MS, ..TableShape::default() };
    let options = Options { table, ..Options::default() };
    let samples = inputs::load_samples(paths, &options, described)?.unwrap_or_default();
    if samples.is_empty() {
        return Err(InputError::whole(paths[0].display().to_string(), "holds no measurements to forecast").into());
    }
    Ok(series::plain(&samples, None)?)
}

fn read_events(path: &Path) -> Result<Vec<KnownEvent>, Failure> {
    crate::policy::parse_events(&Source::read(path)?).map_err(Failure::Input)
}

fn settings(arguments: &ForecastArguments, known: &[KnownEvent]) -> Result<ForecastSettings, Failure> {
    let (horizon, lead) = (arguments.horizon, arguments.lead);
    if lead > horizon {
        return Err(InputError::whole("--lead", format!("is {lead} steps, beyond the horizon of {horizon}")).into());
    }
    let mut levels = arguments.quantiles.clone();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    Ok(ForecastSettings {
        horizon_steps: horizon as usize,
        seasons: arguments.season.as_ref().map(|s| s.iter().filter(|&&s| s > 0).map(|&s| s as usize).collect()),
        levels,
        lead_steps: lead as usize,
        calendar: Calendar::new(known, None),
        threads: usize::from(arguments.threads),
    })
}

type Tell<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// The forecasts and their scores against what followed. They are fitted once, with the scores' levels among theirs.
fn against_truth(
    arguments: &ForecastArguments,
    input: &Series,
    truth: &Series,
    path: &Path,
    settings: &ForecastSettings,
    tell: Tell<'_>,
) -> Result<(Vec<Forecast>, Option<Scoreboard>), Failure> {
    let scored = settings.with_levels(&SCORED_LEVELS);
    let forecasts = forecast::forecast_series(input, &scored, tell);
    let file = path.display().to_string();
    let board = score::score_truth(input, &forecasts, truth, &file, &scored, &summary(arguments, settings));
    let forecasts = forecasts.into_iter().map(|forecast| forecast.at_levels(&settings.levels)).collect();
    Ok((forecasts, Some(scored_any("--truth", board)?)))
}

/// The scores of forecasts from earlier origins.
fn backtest(
    arguments: &ForecastArguments,
    input: &Series,
    settings: &ForecastSettings,
    tell: Tell<'_>,
) -> Result<Scoreboard, Failure> {
    let every_steps = every(arguments.every.as_deref(), arguments.horizon, input.axis.step_ms)?;
    let rolling = Rolling { origins: arguments.origins as usize, every_steps };
    scored_any("--backtest", score::score_rolling(input, settings, &rolling, &summary(arguments, settings), tell))
}

fn summary(arguments: &ForecastArguments, settings: &ForecastSettings) -> Summary {
    let season = settings.seasons.as_ref().map(|seasons| seasons.iter().copied().min().unwrap_or(1));
    Summary { season, resamples: RESAMPLES, seed: arguments.seed }
}

fn scored_any(option: &str, board: Scoreboard) -> Result<Scoreboard, Failure> {
    if board.series > 0 {
        return Ok(board);
    }
    let problem = "leaves nothing to score: no series has a varying history before, and a value after, an origin";
    Err(InputError::whole(option, problem)
        .hint("give longer series, a shorter horizon or fewer origins; names must be the same in both files")
        .into())
}

/// Steps between origins, from steps or a duration that is a whole number of them.
fn every(text: Option<&str>, horizon: u32, step_ms: i64) -> Result<usize, Failure> {
    let Some(text) = text else { return Ok(horizon as usize) };
    if let Some(steps) = text.parse::<usize>().ok().filter(|&steps| steps > 0) {
        return Ok(steps);
    }
    let wrong = |problem: String| Failure::from(InputError::whole("--every", problem));
    let span: jiff::SignedDuration = text
        .parse()
        .map_err(|_| wrong(format!("found {text:?} where steps or a duration such as 6h were expected")))?;
    let span_ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    if is_numbered(step_ms) {
        return Err(wrong("is a duration, but the input numbers its steps: say how many steps".to_owned()));
    }
    if span_ms < step_ms || span_ms % step_ms != 0 {
        return Err(wrong(format!("is {text}, not a whole number of the input's steps of {} s", step_ms / 1000)));
    }
    Ok(usize::try_from(span_ms / step_ms).unwrap_or(usize::MAX))
}

/// Feeds what is new to the saved state, saves it, and forecasts from it. What can't be read is left as it is.
fn from_state(
    path: &Path,
    arguments: &ForecastArguments,
    input: &Series,
    settings: &ForecastSettings,
) -> Result<Vec<Forecast>, Failure> {
    let refresh_steps = arguments.refresh.unwrap_or(arguments.horizon.div_ceil(2)) as usize;
    let wanted = LiveSettings { forecast: settings.clone(), refresh_steps };
    let mut live = if path.exists() {
        let source = Source::read(path)?;
        Live::from_json(source.text()?, &wanted).map_err(|problem| {
            InputError::whole(&source.name, problem.to_string())
                .hint("nothing was changed; name another file, or move this one away to begin anew")
        })?
    } else {
        Live::new(input.axis.step_ms, &wanted)
    };
    live.feed(input).map_err(|problem| InputError::whole(path.display().to_string(), problem.to_string()))?;
    let now_ms = live.newest_ms().unwrap_or(input.axis.start_ms);
    live.refresh(now_ms);
    output::write_file(path, live.to_json().as_bytes())?;
    Ok(live.forecasts())
}

/// Everything that is known of each forecast.
fn json_document(forecasts: &[Forecast]) -> String {
    let items: Vec<serde_json::Value> = forecasts
        .iter()
        .map(|f| {
            let quantiles: serde_json::Map<_, _> = f
                .levels
                .iter()
                .zip(f.quantiles.rows())
                .map(|(level, row)| (level.to_string(), json!(row.to_vec())))
                .collect();
            let mut item = json!(ForecastDocument::from(f));
            if is_numbered(f.step_ms) {
                number_steps(&mut item, f);
            }
            item["mean"] = json!(f.mean);
            item["quantiles"] = serde_json::Value::Object(quantiles);
            item
        })
        .collect();
    let document = json!({ "apiVersion": "plimsoll.dev/v1alpha1", "kind": "ForecastList", "items": items });
    format!("{document:#}\n")
}

/// Where the input counts steps, so do the document's starts and ends.
fn number_steps(item: &mut serde_json::Value, forecast: &Forecast) {
    item["start"] = json!(forecast.start_ms.to_string());
    for (mark, document) in forecast.marks.iter().zip(item["marks"].as_array_mut().into_iter().flatten()) {
        document["start"] = json!(mark.start_ms.to_string());
        document["end"] = json!(mark.end_ms.to_string());
    }
}
