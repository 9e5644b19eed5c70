//! `plimsoll forecast`.

use std::path::Path;

use rayon::prelude::*;
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
use crate::series::{self, SeriesError};

use super::arguments::{ForecastArguments, ForecastFormat};
use super::exit::{Done, Failure};
use super::output::Sink;
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
    warn_of_long_seasons(&settings, &input);
    bars.begin(Stage::Forecasting, Some(input.rows.len() as u64));
    let tell = |done: usize, _: usize| bars.done(done as u64);
    let mut sink = Sink::to(arguments.out.as_deref())?;
    let is_plain = arguments.truth.is_none() && !arguments.backtest && arguments.state.is_none();
    match arguments.output {
        ForecastFormat::Csv if is_plain => write_csv(&input, &settings, &tell, &mut sink)?,
        ForecastFormat::Json if is_plain => write_json(&input, &settings, &tell, &mut sink)?,
        _ => {
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
            let text = match (arguments.output, board) {
                (ForecastFormat::Table, Some(board)) => scores::table(&board),
                (ForecastFormat::Csv, Some(board)) => scores::csv(&board),
                (ForecastFormat::Json, Some(board)) => scores::json(&board),
                (ForecastFormat::Table, None) => forecast_table(&forecasts),
                (ForecastFormat::Csv, None) => forecast::to_csv(&forecasts),
                (ForecastFormat::Json, None) => [JSON_HEAD, &json_items(&forecasts, true), JSON_TAIL].concat(),
                (ForecastFormat::Html, scores) => {
                    let provenance = inputs::provenance(described, inputs::now_ms(arguments.now));
                    html::forecast_page(&ForecastReport { series: input, forecasts, scores, provenance })
                }
            };
            sink.write(text.as_bytes())?;
        }
    }
    drop(bars);
    sink.finish()?;
    Ok(Done::Fine)
}

/// Writes the forecasts as they come, since those of a large fleet are more than its history.
fn write_csv(input: &Series, settings: &ForecastSettings, tell: Tell<'_>, sink: &mut Sink<'_>) -> Result<(), Failure> {
    let mut is_first = true;
    forecast::forecast_batches(input, settings, tell, &mut |batch| {
        if std::mem::take(&mut is_first) {
            sink.write(forecast::csv_header(batch.first()).as_bytes())?;
        }
        let lines: Vec<String> = batch.par_iter().map(forecast::csv_lines).collect();
        lines.iter().try_for_each(|lines| sink.write(lines.as_bytes()))
    })
}

fn write_json(input: &Series, settings: &ForecastSettings, tell: Tell<'_>, sink: &mut Sink<'_>) -> Result<(), Failure> {
    sink.write(JSON_HEAD.as_bytes())?;
    let mut is_first = true;
    forecast::forecast_batches(input, settings, tell, &mut |batch| {
        sink.write(json_items(&batch, std::mem::take(&mut is_first)).as_bytes())
    })?;
    sink.write(JSON_TAIL.as_bytes())
}

fn read(paths: &[std::path::PathBuf], described: &mut Vec<String>) -> Result<Series, Failure> {
    // A table that counts steps keeps its own numbering.
    let table = TableShape { step_ms: NUMBERED_STEP_MS, ..TableShape::default() };
    let (mut rows, counts_steps) = inputs::open_rows(paths, &Options { table, ..Options::default() }, described)?;
    let name = inputs::source_name(&paths[0]);
    let series = series::plain_rows(rows.as_mut(), None).map_err(|problem| match problem {
        SeriesError::Empty => {
            let reasons = rows.notes().join(", ");
            let reasons = if reasons.is_empty() { String::new() } else { format!(": {reasons}") };
            InputError::whole(&name, format!("holds no measurement{reasons}"))
        }
        SeriesError::NoStep => InputError::whole(&name, "holds no series of two samples, which a forecast needs"),
        other => other.in_file(&name),
    })?;
    if counts_steps && !is_numbered(series.axis.step_ms) {
        let apart = series.axis.step_ms / NUMBERED_STEP_MS;
        let problem = format!("counts steps that are {apart} apart, expected 1");
        return Err(InputError::whole(name, problem).hint("number the rows one by one, or give timestamps").into());
    }
    inputs::warn("metrics", &series.notes);
    Ok(series)
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

/// Says which declared seasons no series is long enough for.
fn warn_of_long_seasons(settings: &ForecastSettings, input: &Series) {
    let longest = input.axis.len;
    for season in settings.seasons.iter().flatten().filter(|season| longest < 2 * **season) {
        output::message(&format!(
            "warning: --season {season} is not used: it takes two of them to learn one, and the longest series has {longest} steps"
        ));
    }
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
    live.feed(input).map_err(|problem| {
        InputError::whole(path.display().to_string(), problem.to_string())
            .hint("nothing was changed; it belongs to another input: name another file")
    })?;
    let now_ms = live.newest_ms().unwrap_or(input.axis.start_ms);
    live.refresh(now_ms);
    output::write_file(path, live.to_json().as_bytes())?;
    Ok(live.forecasts())
}

/// What stands before and after the items of the JSON document.
const JSON_HEAD: &str =
    "{\n  \"apiVersion\": \"plimsoll.dev/v1alpha1\",\n  \"kind\": \"ForecastList\",\n  \"items\": [";
const JSON_TAIL: &str = "\n  ]\n}\n";

/// Everything that is known of each forecast, as items of the document.
fn json_items(forecasts: &[Forecast], are_first: bool) -> String {
    let items: Vec<String> =
        forecasts.par_iter().map(|f| format!("{:#}", json_item(f)).replace('\n', "\n    ")).collect();
    let comma = |i: usize| if i == 0 && are_first { "\n    " } else { ",\n    " };
    items.iter().enumerate().flat_map(|(i, item)| [comma(i), item]).collect()
}

fn json_item(forecast: &Forecast) -> serde_json::Value {
    let levels = forecast.levels.iter().zip(forecast.quantiles.rows());
    let quantiles = levels.map(|(level, row)| (level.to_string(), json!(row.to_vec()))).collect();
    let mut item = json!(ForecastDocument::from(forecast));
    if is_numbered(forecast.step_ms) {
        number_steps(&mut item, forecast);
    }
    item["mean"] = json!(forecast.mean);
    item["quantiles"] = serde_json::Value::Object(quantiles);
    item
}

/// Where the input counts steps, so do the document's starts and ends.
fn number_steps(item: &mut serde_json::Value, forecast: &Forecast) {
    item["start"] = json!(forecast.start_ms.to_string());
    for (mark, document) in forecast.marks.iter().zip(item["marks"].as_array_mut().into_iter().flatten()) {
        document["start"] = json!(mark.start_ms.to_string());
        document["end"] = json!(mark.end_ms.to_string());
    }
}
