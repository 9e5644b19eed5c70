//! Forecasts as a table of text.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::domain::series::is_numbered;
use crate::domain::{Forecast, Signal, Subject};

/// One line a series and step: `series,step|timestamp,mean,q0.025,…`. Steps continue the input's numbering; instants are
/// RFC 3339 in UTC. A signal other than a plain value is part of the series' name (`shop/api:cpuCores`), so that no two
/// series share one. All forecasts have the levels of the first.
#[must_use]
pub fn to_csv(forecasts: &[Forecast]) -> String {
    std::iter::once(csv_header(forecasts.first())).chain(forecasts.iter().map(csv_lines)).collect()
}

/// The first line of [`to_csv`], for forecasts like this one.
#[must_use]
pub fn csv_header(like: Option<&Forecast>) -> String {
    let Some(first) = like else { return "series,step,mean\n".to_owned() };
    let time = if is_numbered(first.step_ms) { "step" } else { "timestamp" };
    let mut header = format!("series,{time},mean");
    for level in &first.levels {
        let _ = write!(header, ",q{level}");
    }
    header + "\n"
}

/// The lines of [`to_csv`] for one forecast.
#[must_use]
pub fn csv_lines(forecast: &Forecast) -> String {
    let numbered = is_numbered(forecast.step_ms);
    let name = quoted(&name(&forecast.subject, forecast.signal));
    let mut out = String::new();
    for (h, mean) in forecast.mean.iter().enumerate() {
        let at_ms = forecast.start_ms + forecast.step_ms * i64::try_from(h).unwrap_or(i64::MAX);
        let _ = write!(out, "{name},{},{mean}", instant(at_ms, numbered));
        for quantile in forecast.quantiles.column(h) {
            let _ = write!(out, ",{quantile}");
        }
        out.push('\n');
    }
    out
}

fn instant(at_ms: i64, numbered: bool) -> String {
    match Timestamp::from_millisecond(at_ms) {
        Ok(timestamp) if !numbered => timestamp.to_string(),
        // Beyond the calendar's range the number itself is the only true answer.
        _ => at_ms.to_string(),
    }
}

/// The name of a series in tables.
pub(super) fn name(subject: &Subject, signal: Signal) -> String {
    if signal == Signal::Value {
        return subject.to_string();
    }
    let word = serde_json::to_value(signal).ok();
    format!("{subject}:{}", word.as_ref().and_then(|s| s.as_str()).unwrap_or_default())
}

/// RFC 4180: a field with a comma, a quote or a line break stands in quotes, quotes doubled.
pub(super) fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::domain::forecast::Trust;

    fn forecast(step_ms: i64) -> Forecast {
        Forecast {
            subject: Subject::Named("a,b".into()),
            signal: Signal::Value,
            start_ms: 7 * step_ms,
            step_ms,
            mean: vec![1.5, 2.0],
            levels: vec![0.025, 0.5],
            quantiles: array![[1.0, 1.25], [1.5, 2.0]],
            lead_steps: 1,
            peak: vec![1.0, 1.5],
            trust: Trust::default(),
            marks: Vec::new(),
            effects: Vec::new(),
        }
    }

    #[test]
    fn steps_continue_the_numbering_and_instants_are_written_as_such() {
        assert_eq!(to_csv(&[forecast(1)]), "series,step,mean,q0.025,q0.5\n\"a,b\",7,1.5,1,1.5\n\"a,b\",8,2,1.25,2\n");
        let hourly = Forecast { signal: Signal::CpuCores, ..forecast(3_600_000) };
        assert!(to_csv(&[hourly]).contains("\n\"a,b:cpuCores\",1970-01-01T07:00:00Z,1.5,1,1.5\n"));
        assert_eq!(to_csv(&[]), "series,step,mean\n");
    }
}
