//! A table whose columns are understood into samples.

use std::collections::BTreeMap;

use super::frame::{Kind, Table, TypedColumn};
use super::keys::{Codes, Combinations, codes, combine};
use super::layout::{Layout, layout};
use super::numbers::for_each_value;
use super::times::{MISSING, times_ms};
use crate::collector::Collector;
use crate::domain::samples::SeriesKey;
use crate::domain::{InputError, Location, Samples};
use crate::metrics::TableShape;
use crate::openmetrics;

/// A combination that has no row with a value yet.
const UNSEEN: u32 = u32::MAX;

/// Reads the table in the shape the caller names or its columns suggest.
pub(super) fn samples(table: &Table, shape: &TableShape) -> Result<Samples, InputError> {
    let step_ms = shape.step_ms.max(1);
    let layout = layout(table, shape)?;
    let times = layout.time.map(|time| times_ms(table, &table.columns[time], step_ms)).transpose()?;
    let naming = Naming::of(table, &layout)?;
    let mut collector = Collector::with_capacity(table.rows.saturating_mul(layout.values.len()));
    let mut missing = 0;
    for &value in &layout.values {
        let column = &table.columns[value];
        let mut series = vec![UNSEEN; naming.combinations.codes.len()];
        missing += for_each_value(table, column, |row, value| {
            let time_ms = match &times {
                Some(times) => times[row],
                None => i64::try_from(row).unwrap_or(i64::MAX).saturating_mul(step_ms),
            };
            if time_ms == MISSING {
                let time = &table.columns[layout.time.unwrap_or_default()];
                return Err(table.error_at(row, time, "has no time beside a value"));
            }
            let combination = naming.combinations.of_row[row] as usize;
            if series[combination] == UNSEEN {
                series[combination] = collector.series(naming.key(table, column, row, combination)?);
            }
            collector.push(series[combination], time_ms, value);
            Ok(())
        })?;
    }
    let mut samples = collector.finish([(missing, "cells without a value")]);
    samples.notes.extend(layout.notes);
    Ok(samples)
}

/// A label of more different numbers than this is a measurement that was taken for a label.
const MAX_NUMBERS: usize = 1000;

/// The columns that tell which series a row belongs to.
struct Naming {
    columns: Vec<(Part, usize)>,
    codes: Vec<Codes>,
    combinations: Combinations,
}

/// What a naming column gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Metric,
    Label,
    Labels,
}

impl Naming {
    fn of(table: &Table, layout: &Layout) -> Result<Self, InputError> {
        let metric = layout.series.map(|index| (Part::Metric, index));
        let braces = layout.braces.map(|index| (Part::Labels, index));
        let labels = layout.labels.iter().map(|&index| (Part::Label, index));
        let columns: Vec<(Part, usize)> = metric.into_iter().chain(labels).chain(braces).collect();
        let mut codes: Vec<Codes> =
            columns.iter().map(|&(_, index)| codes(&table.columns[index], table.rows)).collect();
        for (&(part, index), codes) in columns.iter().zip(&codes) {
            let column = &table.columns[index];
            if part == Part::Label && column.kind != Kind::Text && codes.texts.len() > MAX_NUMBERS {
                let problem = format!("holds {} different numbers, too many for a label", codes.texts.len());
                return Err(InputError::at(&table.file, Location::Column(column.name.clone()), problem)
                    .hint("if it holds values, say so, or leave it out of the export"));
            }
        }
        let combinations = combine(table, &mut codes);
        Ok(Self { columns, codes, combinations })
    }

    /// The key of a combination, which stands in `row`, for the values of `value`.
    fn key(&self, table: &Table, value: &TypedColumn, row: usize, combination: usize) -> Result<SeriesKey, InputError> {
        let mut metric = None;
        let mut labels = BTreeMap::new();
        for ((&(part, index), codes), &code) in
            self.columns.iter().zip(&self.codes).zip(&self.combinations.codes[combination])
        {
            let column = &table.columns[index];
            let text = codes.texts[code as usize].as_deref();
            let more = match (part, text) {
                (Part::Metric, None) => return Err(table.error_at(row, column, "names no series")),
                (Part::Metric, Some(text)) => {
                    metric = Some(text.to_owned());
                    continue;
                }
                (_, None) => continue,
                (Part::Label, Some(text)) => BTreeMap::from([(column.name.clone(), text.to_owned())]),
                (Part::Labels, Some(text)) => openmetrics::parse_labels(text)
                    .map_err(|unexpected| table.error_at(row, column, &unexpected.problem))?,
            };
            for (name, text) in more {
                if labels.insert(name.clone(), text).is_some() {
                    return Err(table.error_at(
                        row,
                        column,
                        &format!("gives the label {name:?}, which has a column of its own"),
                    ));
                }
            }
        }
        Ok(SeriesKey { metric: metric.unwrap_or_else(|| value.name.clone()), labels })
    }
}
