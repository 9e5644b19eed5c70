//! Columns as times.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::table::{Block, CONTRADICTION, Cells, Column, Header, Kind, Next, Table, broken, is_missing};
use crate::domain::{InputError, Location};

/// Stands for a missing time: no column can hold it, since it is 292 million years ago.
pub(super) const MISSING: i64 = i64::MIN;

/// A number between 1973 and 5138 if it is in seconds, whatever the unit of the column turns out to be.
const SECONDS_FROM: i64 = 100_000_000;

/// The unit of Unix times, by the largest of the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
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
    fn is_suspect(self, time: Number) -> bool {
        let largest_of_coarser_unit = match self {
            Self::Seconds => return false,
            Self::Milliseconds => 100_000_000_000,
            Self::Microseconds => 100_000_000_000_000,
            Self::Nanoseconds => 100_000_000_000_000_000,
        };
        let time = match time {
            Number::Whole(time) => time,
            Number::Float(time) => time as i64,
        };
        (SECONDS_FROM..largest_of_coarser_unit).contains(&time)
    }
}

/// How a time column is read, decided once for the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// It counts steps of so many milliseconds; step 0 is at 0.
    Steps(i64),
    /// Unix times, whole or not.
    Unix(Unit),
    /// Times and dates in words.
    Texts,
    /// A type of its own.
    Instants,
    /// No cell holds anything.
    Empty,
}

/// A number as a cell holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Whole(i64),
    Float(f64),
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        text.parse().map(Self::Whole).or_else(|_| text.parse().map(Self::Float)).ok()
    }

    /// Its size in whole units, up to [`LIMIT`].
    fn size(self) -> u64 {
        match self {
            Self::Whole(time) => time.unsigned_abs(),
            Self::Float(time) => time.abs().min(LIMIT) as u64,
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(time) => write!(f, "{time}"),
            Self::Float(time) => write!(f, "{time}"),
        }
    }
}

/// Beyond 2^63 even nanoseconds would be in the year 2262.
const LIMIT: f64 = 9.2e18;

impl Clock {
    /// Decides by what the column holds; the unit of Unix times by the largest of them, for which the column is read once.
    pub(super) fn of(table: &mut Table<'_>, column: usize, step_ms: i64) -> Result<Self, InputError> {
        let Column { name, kind, looks, type_name, .. } = &table.header.columns[column];
        match (kind, looks) {
            (Kind::Empty, _) => Ok(Self::Empty),
            (Kind::Other, _) => {
                let problem = format!("is of type {type_name}, expected Unix times, dates or RFC 3339");
                Err(InputError::at(&table.header.file, Location::Column(name.clone()), problem))
            }
            (_, Kind::Integer | Kind::Float) if name.eq_ignore_ascii_case("step") => Ok(Self::Steps(step_ms)),
            (_, Kind::Integer | Kind::Float) => {
                let Table { header, body } = table;
                let mut largest = 0;
                body.read(&[column], &mut |block| {
                    for_each_number(header, column, block, |_, number| {
                        largest = largest.max(number.map_or(0, Number::size));
                        Ok(())
                    })?;
                    Ok(Next::More)
                })?;
                Ok(Self::Unix(Unit::of_largest(largest)))
            }
            (Kind::Instant, _) if !table.header.all_text => Ok(Self::Instants),
            _ => Ok(Self::Texts),
        }
    }

    /// Milliseconds since the Unix epoch for each row of a block whose first column is the time, or [`MISSING`].
    pub(super) fn times_ms(self, header: &Header, column: usize, block: &Block) -> Result<Vec<i64>, InputError> {
        let mut times = Vec::with_capacity(block.rows);
        match (self, &block.columns[0]) {
            (Self::Empty, _) => times.resize(block.rows, MISSING),
            (_, Cells::Instants(cells)) => times.extend(cells.iter().map(|time| time.copied().unwrap_or(MISSING))),
            (Self::Texts, Cells::Text(_)) => texts(header, column, block, &mut times)?,
            (Self::Steps(step_ms), _) => for_each_number(header, column, block, |row, step| {
                times.push(match step {
                    None => MISSING,
                    Some(Number::Whole(step)) => step
                        .checked_mul(step_ms)
                        .ok_or_else(|| header.error_at(row, column, "the step is too large"))?,
                    Some(Number::Float(step)) if step.fract() == 0.0 => (step as i64)
                        .checked_mul(step_ms)
                        .ok_or_else(|| header.error_at(row, column, "the step is too large"))?,
                    Some(Number::Float(step)) => {
                        let problem = format!("found {step} where a whole step was expected");
                        return Err(header
                            .error_at(row, column, &problem)
                            .hint("call the column timestamp if it holds times"));
                    }
                });
                Ok(())
            })?,
            (Self::Unix(unit), _) => for_each_number(header, column, block, |row, time| {
                times.push(match time {
                    None => MISSING,
                    Some(number) if unit.is_suspect(number) => return Err(mixed(header, column, row, number, unit)),
                    Some(Number::Whole(time)) => unit.to_ms(time),
                    Some(Number::Float(time)) => (time / unit.per_ms()).round() as i64,
                });
                Ok(())
            })?,
            (Self::Texts | Self::Instants, _) => {
                return Err(broken(&header.file, CONTRADICTION));
            }
        }
        Ok(times)
    }
}

/// Calls `take(row of the table, number)` for each cell of the block's first column, which is the time.
fn for_each_number(
    header: &Header,
    column: usize,
    block: &Block,
    mut take: impl FnMut(usize, Option<Number>) -> Result<(), InputError>,
) -> Result<(), InputError> {
    let mut checked = |row: usize, number: Option<Number>| match number {
        Some(Number::Float(time)) if time.is_nan() => take(block.first_row + row, None),
        Some(Number::Float(time)) if time.abs() >= LIMIT => {
            let problem = format!("found {time:e} where a Unix time was expected");
            Err(header.error_at(block.first_row + row, column, &problem))
        }
        number => take(block.first_row + row, number),
    };
    match &block.columns[0] {
        Cells::Integers(cells) | Cells::Instants(cells) => {
            cells.iter().enumerate().try_for_each(|(row, time)| checked(row, time.map(|&time| Number::Whole(time))))
        }
        Cells::Floats(cells) => {
            cells.iter().enumerate().try_for_each(|(row, time)| checked(row, time.map(|&time| Number::Float(time))))
        }
        Cells::Text(cells) => cells.iter().enumerate().try_for_each(|(row, cell)| {
            let Some(cell) = cell.filter(|cell| !is_missing(cell)).map(str::trim_ascii) else {
                return checked(row, None);
            };
            let number = Number::parse(cell).ok_or_else(|| {
                let problem = format!("found {cell:?} where a Unix time was expected");
                header.error_at(block.first_row + row, column, &problem)
            })?;
            checked(row, Some(number))
        }),
    }
}

fn mixed(header: &Header, column: usize, row: usize, time: Number, unit: Unit) -> InputError {
    let problem = format!("found {time} in a column of Unix times in {}", unit.name());
    header.error_at(row, column, &problem).hint("give all times of a column in one unit")
}

fn texts(header: &Header, column: usize, block: &Block, times: &mut Vec<i64>) -> Result<(), InputError> {
    let Cells::Text(cells) = &block.columns[0] else { return Ok(()) };
    // Rows of one instant are often adjacent.
    let mut last = (None, MISSING);
    for (row, cell) in cells.iter().enumerate() {
        let cell = cell.filter(|cell| !is_missing(cell)).map(str::trim_ascii);
        if cell != last.0 {
            let time_ms = cell.map_or(Some(MISSING), instant).ok_or_else(|| {
                let problem = format!("found {:?} where a time was expected", cell.unwrap_or_default());
                header
                    .error_at(block.first_row + row, column, &problem)
                    .hint("times are Unix times, RFC 3339, YYYY-MM-DD HH:MM:SS in UTC, or YYYY-MM-DD")
            })?;
            last = (cell, time_ms);
        }
        times.push(last.1);
    }
    Ok(())
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
