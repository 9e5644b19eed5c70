//! `plimsoll forecast`.

use std::fmt::Write as _;

use crate::domain::InputError;
use crate::domain::forecast::Forecast;
use crate::domain::progress::{Observer, Stage};
use crate::forecast::{self, ForecastSettings};
use crate::series;

use super::arguments::{ForecastArguments, ForecastFormat};
use super::exit::{Done, Failure};
use super::progress::Bars;
use super::{inputs, output};

pub(super) fn run(arguments: &ForecastArguments) -> Result<Done, Failure> {
    let ForecastArguments { input, horizon, season, quantiles, lead, threads, seed: _, output: format } = arguments;
    if lead > horizon {
        return Err(InputError::whole("--lead", format!("is {lead} steps, beyond the horizon of {horizon}")).into());
    }
    let bars = Bars::new();
    bars.begin(Stage::Reading, None);
    let samples = inputs::load_samples(input, 0, &mut Vec::new())?.unwrap_or_default();
    if samples.is_empty() {
        return Err(InputError::whole(input[0].display().to_string(), "holds no measurements to forecast").into());
    }
    bars.begin(Stage::Aligning, None);
    let series = series::plain(samples, None)?;
    let mut levels = quantiles.clone();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    let settings = ForecastSettings {
        horizon_steps: *horizon as usize,
        seasons: season.as_ref().map(|s| s.iter().filter(|&&s| s > 0).map(|&s| s as usize).collect()),
        levels,
        lead_steps: *lead as usize,
        threads: usize::from(*threads),
    };
    bars.begin(Stage::Forecasting, Some(series.rows.len() as u64));
    let forecasts = forecast::forecast_series(&series, &settings, &|done, _| bars.done(done as u64));
    drop(bars);
    output::print(&match format {
        ForecastFormat::Table => table(&forecasts),
        ForecastFormat::Csv => forecast::to_csv(&forecasts),
        ForecastFormat::Json => crate::report::document::forecasts_to_json(&forecasts),
    })?;
    Ok(Done::Fine)
}

/// A line a series: the peak expected over the lead time and how the method did on the series' past.
fn table(forecasts: &[Forecast]) -> String {
    let number = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
    let mut text =
        format!("{:32} {:>12} {:>12} {:>8} {:>8} {:>8}  SEASONS\n", "SERIES", "NEXT", "PEAK", "MASE", "NAIVE", "LAST");
    for f in forecasts {
        let seasons = f.trust.seasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let note = f.trust.fallback.as_deref().unwrap_or(if seasons.is_empty() { "none" } else { &seasons });
        let name = f.subject.to_string();
        let next = f.mean.first().copied();
        let peak = f.peak.last().copied();
        let trust = &f.trust;
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "{name:32} {:>12} {:>12} {:>8} {:>8} {:>8}  {note}",
            number(next),
            number(peak),
            number(trust.mase),
            number(trust.mase_seasonal_naive),
            number(trust.mase_last_value),
        );
    }
    text
}
