//! A table whose columns are understood, read as measurements.

use std::collections::HashMap;

use super::keys::Naming;
use super::layout::{Layout, layout};
use super::numbers::for_each_value;
use super::table::{Block, Header, Next, Table};
use super::times::{Clock, MISSING};
use crate::collector::notes;
use crate::domain::samples::{Piece, Rows, SeriesKey};
use crate::domain::{InputError, Samples};
use crate::metrics::TableShape;

/// A combination of texts that has no row with a value yet.
const UNSEEN: u32 = u32::MAX;

/// A table as measurements, read block by block and as often as is wanted; what is held is a block and the series' names.
pub struct TableRows<'a> {
    table: Table<'a>,
    layout: Layout,
    step_ms: i64,
    clock: Option<Clock>,
    naming: Naming,
    series: Series,
    missing: usize,
}

/// The series met so far.
#[derive(Default)]
struct Series {
    keys: Vec<SeriesKey>,
    index: HashMap<SeriesKey, u32>,
    /// By place of the value column, then by combination of texts.
    known: Vec<Vec<u32>>,
}

impl<'a> TableRows<'a> {
    /// Decides what each column is, by the names given or by their names and types.
    pub(super) fn new(mut table: Table<'a>, shape: &TableShape) -> Result<Self, InputError> {
        let step_ms = shape.step_ms.max(1);
        let layout = layout(&table.header, shape)?;
        let clock = layout.time.map(|time| Clock::of(&mut table, time, step_ms)).transpose()?;
        let naming = Naming::new(&table.header, &layout);
        let series = Series { known: vec![Vec::new(); layout.values.len()], ..Series::default() };
        Ok(Self { table, layout, step_ms, clock, naming, series, missing: 0 })
    }

    /// All measurements at once.
    pub(super) fn samples(mut self) -> Result<Samples, InputError> {
        let mut samples = Samples::default();
        self.read(&mut |piece| samples.extend(piece))?;
        samples.notes = self.notes();
        samples.keys = self.series.keys;
        Ok(samples)
    }
}

impl Rows for TableRows<'_> {
    fn read(&mut self, take: &mut dyn FnMut(Piece<'_>)) -> Result<(), InputError> {
        let Self { table: Table { header, body }, layout, step_ms, clock, naming, series, missing } = self;
        *missing = 0;
        let leading: Vec<usize> = layout.time.into_iter().chain(naming.columns()).collect();
        let at_once = body.columns_at_once().saturating_sub(leading.len()).max(1);
        let mut out = Columns::default();
        let mut done = 0;
        for values in layout.values.chunks(at_once) {
            let columns = [&leading[..], values].concat();
            body.read(&columns, &mut |block| {
                let times = times(header, layout.time.zip(*clock), *step_ms, block)?;
                let named = &block.columns[usize::from(layout.time.is_some())..];
                let combinations = naming.combinations(header, named, block.rows)?;
                for (i, (&value, cells)) in values.iter().zip(&block.columns[leading.len()..]).enumerate() {
                    out.clear();
                    let known = &mut series.known[done + i];
                    *missing += for_each_value(header, value, cells, block.first_row, |row, number| {
                        let at = block.first_row + row;
                        if times[row] == MISSING {
                            let time = layout.time.unwrap_or_default();
                            return Err(header.error_at(at, time, "has no time beside a value"));
                        }
                        let combination = combinations[row];
                        let number_of = match known.get(combination as usize) {
                            Some(&number) if number != UNSEEN => number,
                            _ => {
                                let key = naming.key(header, value, at, combination)?;
                                numbered(&mut series.keys, &mut series.index, known, key, combination)
                            }
                        };
                        out.push(number_of, times[row], number);
                        Ok(())
                    })?;
                    take(Piece { series: &out.series, timestamps_ms: &out.timestamps_ms, values: &out.values });
                }
                Ok(Next::More)
            })?;
            done += values.len();
        }
        Ok(())
    }

    fn keys(&self) -> &[SeriesKey] {
        &self.series.keys
    }

    fn counts_steps(&self) -> bool {
        matches!(self.clock, None | Some(Clock::Steps(_)))
    }

    fn notes(&self) -> Vec<String> {
        notes([(self.missing, "cells without a value")]).chain(self.layout.notes.iter().cloned()).collect()
    }
}

/// The number of a key, new or known, from now on that of its combination.
fn numbered(
    keys: &mut Vec<SeriesKey>,
    index: &mut HashMap<SeriesKey, u32>,
    known: &mut Vec<u32>,
    key: SeriesKey,
    combination: u32,
) -> u32 {
    let number = *index.entry(key).or_insert_with_key(|key| {
        keys.push(key.clone());
        u32::try_from(keys.len() - 1).expect("an input of at most 4 GiB names fewer than 2^32 series")
    });
    let place = combination as usize;
    if known.len() <= place {
        known.resize(place + 1, UNSEEN);
    }
    known[place] = number;
    number
}

/// The time of each row of a block; where there is no time column, rows count steps.
fn times(header: &Header, time: Option<(usize, Clock)>, step_ms: i64, block: &Block) -> Result<Vec<i64>, InputError> {
    if let Some((column, clock)) = time {
        return clock.times_ms(header, column, block);
    }
    let step = |row: usize| i64::try_from(row).unwrap_or(i64::MAX).saturating_mul(step_ms);
    Ok((block.first_row..block.first_row + block.rows).map(step).collect())
}

/// One piece in the making.
#[derive(Default)]
struct Columns {
    series: Vec<u32>,
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
}

impl Columns {
    fn clear(&mut self) {
        self.series.clear();
        self.timestamps_ms.clear();
        self.values.clear();
    }

    fn push(&mut self, series: u32, time_ms: i64, value: f64) {
        self.series.push(series);
        self.timestamps_ms.push(time_ms);
        self.values.push(value);
    }
}
