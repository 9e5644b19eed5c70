//! Columns as times.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::frame::{Cells, Kind, Table, TypedColumn, is_missing};
use crate::domain::{InputError, Location};

/// Stands for a missing time: no column can hold it, since it is 292 million years ago.
pub(super) const MISSING: i64 = i64::MIN;

/// A number between 1973 and 5138 if it is in seconds, whatever the unit of the column turns out to be.
const SECONDS_FROM: i64 = 100_000_000;

/// The unit of Unix times, by the largest of the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl Unit {
    /// Seconds reach the year 5138 below 10¹¹, and each finer unit a thousand times as far. Small numbers are
    /// seconds since a start of their own.
    fn of_largest(largest: u64) -> Self {
        match largest {
            0..100_000_000_000 => Self::Seconds,
            100_000_000_000..100_000_000_000_000 => Self::Milliseconds,
            100_000_000_000_000..100_000_000_000_000_000 => Self::Microseconds,
            _ => Self::Nanoseconds,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
        }
    }

    /// Milliseconds since the epoch, rounded down.
    fn to_ms(self, time: i64) -> i64 {
        match self {
            Self::Seconds => time.saturating_mul(1_000),
            Self::Milliseconds => time,
            Self::Microseconds => time.div_euclid(1_000),
            Self::Nanoseconds => time.div_euclid(1_000_000),
        }
    }

    fn per_ms(self) -> f64 {
        match self {
            Self::Seconds => 0.001,
            Self::Milliseconds => 1.0,
            Self::Microseconds => 1_000.0,
            Self::Nanoseconds => 1_000_000.0,
        }
    }

    /// Whether a time of a column of this unit would, read as seconds or another coarser unit, lie between 1973 and 5138,
    /// which as this unit is within the first years after 1970.
    fn is_suspect(self, time: i64) -> bool {
        let largest_of_coarser_unit = match self {
            Self::Seconds => return false,
            Self::Milliseconds => 100_000_000_000,
            Self::Microseconds => 100_000_000_000_000,
            Self::Nanoseconds => 100_000_000_000_000_000,
        };
        (SECONDS_FROM..largest_of_coarser_unit).contains(&time)
    }
}

/// Milliseconds since the Unix epoch for each row, or [`MISSING`]. In a column that counts steps, step 0 is at 0.
pub(super) fn times_ms(table: &Table, column: &TypedColumn, step_ms: i64) -> Result<Vec<i64>, InputError> {
    let counts_steps = column.name.eq_ignore_ascii_case("step");
    match &column.cells {
        Cells::Instants(cells) => Ok(cells.iter().map(|time| time.unwrap_or(MISSING)).collect()),
        Cells::Integers(cells) => integers(table, column, cells.iter().collect(), counts_steps.then_some(step_ms)),
        Cells::Floats(cells) => {
            floats(table, column, &cells.iter().collect::<Vec<_>>(), counts_steps.then_some(step_ms))
        }
        Cells::Text(cells) => {
            let cells: Vec<Option<&str>> =
                cells.iter().map(|cell| cell.filter(|cell| !is_missing(cell)).map(str::trim_ascii)).collect();
            let Some(first) = cells.iter().flatten().next() else {
                return Ok(vec![MISSING; cells.len()]);
            };
            if first.parse::<f64>().is_err() {
                return texts(table, column, &cells);
            }
            let whole: Result<Vec<Option<i64>>, _> =
                cells.iter().map(|cell| cell.map(str::parse).transpose()).collect();
            if let Ok(whole) = whole {
                return integers(table, column, whole, counts_steps.then_some(step_ms));
            }
            let numbers: Vec<Option<f64>> = parsed(table, column, &cells, "a Unix time", |cell| cell.parse().ok())?;
            floats(table, column, &numbers, counts_steps.then_some(step_ms))
        }
        Cells::Other if column.kind == Kind::Empty => Ok(vec![MISSING; table.rows]),
        Cells::Other => Err(InputError::at(
            &table.file,
            Location::Column(column.name.clone()),
            "holds no times, expected Unix times, dates or RFC 3339",
        )),
    }
}

/// Applies `parse` to each cell that is not missing.
fn parsed<T>(
    table: &Table,
    column: &TypedColumn,
    cells: &[Option<&str>],
    what: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<Option<T>>, InputError> {
    let one = |(row, cell): (usize, &Option<&str>)| match cell {
        None => Ok(None),
        Some(cell) => parse(cell)
            .map(Some)
            .ok_or_else(|| table.error_at(row, column, &format!("found {cell:?} where {what} was expected"))),
    };
    cells.iter().enumerate().map(one).collect()
}

fn integers(
    table: &Table,
    column: &TypedColumn,
    times: Vec<Option<i64>>,
    step_ms: Option<i64>,
) -> Result<Vec<i64>, InputError> {
    if let Some(step_ms) = step_ms {
        let one = |(row, step): (usize, Option<i64>)| match step.map(|step| step.checked_mul(step_ms)) {
            None => Ok(MISSING),
            Some(Some(time_ms)) => Ok(time_ms),
            Some(None) => Err(table.error_at(row, column, "the step is too large")),
        };
        return times.into_iter().enumerate().map(one).collect();
    }
    let unit = Unit::of_largest(times.iter().flatten().map(|time| time.unsigned_abs()).max().unwrap_or(0));
    if let Some((row, time)) =
        times.iter().enumerate().find_map(|(row, time)| time.filter(|&t| unit.is_suspect(t)).map(|t| (row, t)))
    {
        return Err(mixed(table, column, row, &time.to_string(), unit));
    }
    Ok(times.into_iter().map(|time| time.map_or(MISSING, |time| unit.to_ms(time))).collect())
}

fn floats(
    table: &Table,
    column: &TypedColumn,
    times: &[Option<f64>],
    step_ms: Option<i64>,
) -> Result<Vec<i64>, InputError> {
    // Beyond 2^63 even nanoseconds would be in the year 2262.
    let limit = 9.2e18;
    let largest =
        times.iter().flatten().filter(|time| !time.is_nan()).fold(0.0_f64, |largest, time| largest.max(time.abs()));
    let unit = Unit::of_largest(largest.min(limit) as u64);
    let one = |(row, time): (usize, &Option<f64>)| match *time {
        None => Ok(MISSING),
        Some(time) if time.is_nan() => Ok(MISSING),
        Some(time) if time.abs() >= limit => {
            Err(table.error_at(row, column, &format!("found {time:e} where a Unix time was expected")))
        }
        Some(time) if step_ms.is_none() && unit.is_suspect(time as i64) => {
            Err(mixed(table, column, row, &time.to_string(), unit))
        }
        Some(time) => Ok(step_ms.map_or(time / unit.per_ms(), |step_ms| time * step_ms as f64).round() as i64),
    };
    times.iter().enumerate().map(one).collect()
}

fn mixed(table: &Table, column: &TypedColumn, row: usize, time: &str, unit: Unit) -> InputError {
    let problem = format!("found {time} in a column of Unix times in {}", unit.name());
    table.error_at(row, column, &problem).hint("give all times of a column in one unit")
}

fn texts(table: &Table, column: &TypedColumn, cells: &[Option<&str>]) -> Result<Vec<i64>, InputError> {
    // Rows of one instant are often adjacent.
    let mut last = ("", MISSING);
    let one = |(row, cell): (usize, &Option<&'_ str>)| {
        let Some(cell) = *cell else { return Ok(MISSING) };
        instant(cell).ok_or_else(|| {
            table
                .error_at(row, column, &format!("found {cell:?} where a time was expected"))
                .hint("times are Unix times, RFC 3339, YYYY-MM-DD HH:MM:SS in UTC, or YYYY-MM-DD")
        })
    };
    let mut times = Vec::with_capacity(cells.len());
    for (row, cell) in cells.iter().enumerate() {
        if *cell != Some(last.0) {
            last = (cell.unwrap_or_default(), one((row, cell))?);
        }
        times.push(last.1);
    }
    Ok(times)
}

/// RFC 3339, or a date and time or a date in UTC; milliseconds since the Unix epoch.
pub(super) fn instant(text: &str) -> Option<i64> {
    // Shorter texts and plain numbers are not worth three parsers.
    if text.len() < 8 || !text.contains('-') {
        return None;
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_millisecond());
    }
    let civil = text
        .parse::<DateTime>()
        .ok()
        .or_else(|| Some(text.parse::<Date>().ok()?.to_datetime(jiff::civil::Time::midnight())))?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}
