//! Range queries, in requests that a server accepts.

use std::fmt::Write as _;

use super::endpoint::{Answer, Connection, Endpoint, Failure};
use super::error::PrometheusError;
use super::response;
use super::retry::{Waits, asked_wait, is_passing};
use crate::domain::{InputError, Samples};
use crate::source::Source;

/// Prometheus refuses a request for more points a series: "exceeded maximum resolution of 11,000 points per
/// timeseries".
const MAX_POINTS: i64 = 11_000;

/// One request's share of the range: both ends are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    start_ms: i64,
    end_ms: i64,
}

/// Asks for each query's value at `start_ms`, `start_ms + step_ms`, … up to `end_ms`, milliseconds since the Unix
/// epoch, in as many requests as it takes. `progress` is told how many of all requests are done.
///
/// # Errors
/// If the settings cannot work, the server can't be reached, refuses, or answers something else than a matrix.
pub fn query_range(
    endpoint: &Endpoint,
    queries: &[String],
    start_ms: i64,
    end_ms: i64,
    step_ms: i64,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Samples, PrometheusError> {
    let windows = windows(start_ms, end_ms, step_ms)?;
    let connection = Connection::new(endpoint)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        PrometheusError::Setting { setting: "the network", problem: format!("failed to start: {error}") }
    })?;
    let mut session = Session { connection, waits: Waits::new(endpoint.retry), address: endpoint.url.clone() };
    let total = windows.len() * queries.len();
    let mut samples = Samples::default();
    progress(0, total);
    for (index, query) in queries.iter().enumerate() {
        for (window_index, &window) in windows.iter().enumerate() {
            samples.append(runtime.block_on(session.ask(query, window, step_ms))?);
            progress(index * windows.len() + window_index + 1, total);
        }
    }
    samples.notes.sort_unstable();
    samples.notes.dedup();
    Ok(samples)
}

/// The range in windows of at most [`MAX_POINTS`] points, none asked for twice.
fn windows(start_ms: i64, end_ms: i64, step_ms: i64) -> Result<Vec<Window>, PrometheusError> {
    let wrong = |problem: String| PrometheusError::Setting { setting: "the range", problem };
    if step_ms < 1 {
        return Err(wrong(format!("has a step of {step_ms} ms, which must be at least 1")));
    }
    let length = end_ms.checked_sub(start_ms).filter(|&length| length >= 0);
    let Some(length) = length else {
        return Err(wrong(format!("ends at {end_ms} ms, before it starts at {start_ms} ms")));
    };
    let last = length / step_ms;
    if last > 1_000_000 * MAX_POINTS {
        return Err(wrong(format!("has {last} steps; use a longer one")));
    }
    let window = |first: i64| Window {
        start_ms: start_ms + first * step_ms,
        end_ms: start_ms + last.min(first + MAX_POINTS - 1) * step_ms,
    };
    Ok((0..=last / MAX_POINTS).map(|index| window(index * MAX_POINTS)).collect())
}

/// A connection and what is left of its patience.
struct Session {
    connection: Connection,
    waits: Waits,
    address: String,
}

impl Session {
    async fn ask(&mut self, query: &str, window: Window, step_ms: i64) -> Result<Samples, PrometheusError> {
        let form = form(query, window, step_ms);
        let mut attempts = 1;
        loop {
            let (error, asked) = match self.connection.post(form.clone()).await {
                Ok(answer) if answer.status == 200 => {
                    let name = format!("{} ({query})", self.address);
                    return Ok(response::parse(&Source { name, bytes: answer.body })?);
                }
                Ok(answer) => {
                    let asked = asked_wait(answer.retry_after.as_deref(), answer.date.as_deref());
                    let error = PrometheusError::Refused {
                        address: self.address.clone(),
                        query: query.to_owned(),
                        status: answer.status,
                        attempts,
                        problem: reason(&answer),
                    };
                    if !is_passing(answer.status) {
                        return Err(error);
                    }
                    (error, asked)
                }
                Err(Failure::Connection(problem)) => {
                    (PrometheusError::Unreachable { address: self.address.clone(), attempts, problem }, None)
                }
                Err(Failure::TooLarge) => {
                    let error = InputError::whole(&self.address, format!("answers more than 1 GiB to {query:?}"));
                    return Err(error.hint("ask for fewer series or a longer step").into());
                }
            };
            match self.waits.after(attempts, asked) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
            attempts += 1;
        }
    }
}

/// Prometheus' reason where the answer has one, else the start of the answer.
fn reason(answer: &Answer) -> String {
    if let Some(location) = &answer.location {
        return format!("redirects to {location}; give that address");
    }
    if let Some(reason) = response::refusal(&answer.body) {
        return reason;
    }
    let text = String::from_utf8_lossy(&answer.body);
    let start: String = text.trim().chars().filter(|character| !character.is_control()).take(200).collect();
    if start.is_empty() { "no reason given".to_owned() } else { start }
}

fn form(query: &str, window: Window, step_ms: i64) -> String {
    format!(
        "query={}&start={}&end={}&step={}",
        percent_encoded(query),
        seconds(window.start_ms),
        seconds(window.end_ms),
        seconds(step_ms)
    )
}

/// Milliseconds as decimal seconds, exactly.
fn seconds(time_ms: i64) -> String {
    let sign = if time_ms < 0 { "-" } else { "" };
    let magnitude = time_ms.unsigned_abs();
    format!("{sign}{}.{:03}", magnitude / 1000, magnitude % 1000)
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_are_encoded() {
        let window = Window { start_ms: 1_700_000_000_123, end_ms: -5 };
        assert_eq!(
            form("{a=~\"b|c\"}", window, 500),
            "query=%7Ba%3D~%22b%7Cc%22%7D&start=1700000000.123&end=-0.005&step=0.500"
        );
    }

    #[test]
    fn impossible_ranges_are_refused() {
        for (start, end, step) in [(0, -1, 1), (0, 1, 0), (i64::MIN, i64::MAX, 1), (0, i64::MAX, 1)] {
            assert!(windows(start, end, step).is_err(), "{start} {end} {step}");
        }
    }

    proptest! {
        #[test]
        fn windows_ask_for_each_point_once(start in -1_000_000..1_000_000_i64, points in 1..40_000_i64, step in 1..100_i64, rest in 0..100_i64) {
            let end = start + (points - 1) * step + rest % step;
            let windows = windows(start, end, step).unwrap();
            let asked: Vec<i64> = windows.iter().flat_map(|w| (w.start_ms..=w.end_ms).step_by(step as usize)).collect();
            let expected: Vec<i64> = (0..points).map(|i| start + i * step).collect();
            prop_assert_eq!(asked, expected);
            prop_assert!(windows.iter().all(|w| (w.end_ms - w.start_ms) / step < MAX_POINTS));
        }
    }
}
