//! Numbers of any meaning on one axis, as they are.

use std::collections::BTreeMap;

use super::align::{Plan, fill_plan};
use super::axis::series_name;
use super::cells::Within;
use super::gather::{Gatherer, SortRoom};
use super::grid::{Grid, Survey};
use super::plan::{Recipe, RowPlan, SubjectPlan};
use super::{AlignSettings, SeriesError, upper_median};
use crate::domain::samples::{Rows, Samples, SeriesKey};
use crate::domain::series::{Series, Signal, Subject};

/// Label that names a series in tables of plain numbers.
const SERIES_LABEL: &str = "series";

/// Lays each series on one axis as a row of [`Signal::Value`] under its own name: the label `series`, else the metric's
/// name, with further labels behind. A cell is the mean of its samples; how cells between samples are held or left empty
/// is as in [`align`](super::align).
///
/// Without `step_ms` the step is the samples' usual interval: the median over the samples of their series' median.
///
/// # Errors
/// If there are no samples, no series has two from which to tell a step, or the axis would be absurd.
pub fn plain(samples: &Samples, step_ms: Option<i64>) -> Result<Series, SeriesError> {
    if samples.is_empty() {
        return Err(SeriesError::Empty);
    }
    let gatherer = Gatherer::new(samples)?;
    let subjects: Vec<SubjectPlan> = names(&samples.keys)
        .into_iter()
        .filter(|(_, series)| gatherer.count(*series) > 0)
        .map(|(name, series)| {
            let parts = vec![vec![series]];
            let recipe = Recipe::Level { counter: false, parts, within: Within::Mean, scale: 1.0 };
            let rows = vec![RowPlan { signal: Signal::Value, recipe }];
            SubjectPlan { subject: Subject::Named(name), rows, buckets: Vec::new() }
        })
        .collect();
    let plan = Plan::new(subjects, &gatherer);
    let step_ms = match step_ms {
        Some(step_ms) => step_ms,
        None => usual_interval(&plan, &gatherer).ok_or(SeriesError::NoStep)?,
    };
    fill_plan(samples, plan, &gatherer, Vec::new(), &AlignSettings::with_step(step_ms))
}

/// The same of rows that are read a piece at a time, twice. Where every series is in order and its samples are whole steps
/// apart, as exports of forecasters' tables are, the samples go straight to their cells, and no more than these is held;
/// otherwise all samples are.
///
/// # Errors
/// As [`plain`], and if the rows can't be read.
pub fn plain_rows(rows: &mut dyn Rows, step_ms: Option<i64>) -> Result<Series, SeriesError> {
    let survey = Survey::of(rows)?;
    let settings = |step_ms| AlignSettings::with_step(step_ms);
    if let Some(step_ms) = step_ms.or_else(|| survey.usual_interval())
        && let Some(grid) = Grid::new(&survey, names(rows.keys()), &settings(step_ms))
    {
        return grid.fill(rows);
    }
    drop(survey);
    let mut samples = Samples::default();
    rows.read(&mut |piece| samples.extend(piece))?;
    samples.keys = rows.keys().to_vec();
    samples.notes = rows.notes();
    plain(&samples, step_ms)
}

/// A name for each series, no two alike, sorted.
fn names(keys: &[SeriesKey]) -> BTreeMap<String, u32> {
    let mut by_name: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (series, key) in (0..).zip(keys) {
        by_name.entry(short_name(key)).or_default().push(series);
    }
    let mut names = BTreeMap::new();
    for (name, series) in by_name {
        match series[..] {
            [one] => drop(names.insert(name, one)),
            _ => names.extend(series.into_iter().map(|s| (series_name(&keys[s as usize]), s))),
        }
    }
    names
}

fn short_name(key: &SeriesKey) -> String {
    let mut key = key.clone();
    if let Some(name) = key.labels.remove(SERIES_LABEL) {
        key.metric = name;
    }
    series_name(&key)
}

/// The lower median, over the samples, of each series' upper median interval; `None` where no series has two samples.
fn usual_interval(plan: &Plan, gatherer: &Gatherer) -> Option<i64> {
    let mut room = SortRoom::default();
    let mut intervals = Vec::new();
    let mut usual: Vec<(i64, usize)> = Vec::new();
    for (_, series) in &plan.stretches {
        let batch = gatherer.batch(series);
        for &series in series {
            let track = batch.track(series, &mut room);
            intervals.clear();
            intervals.extend(track.timestamps_ms.windows(2).map(|pair| pair[1].saturating_sub(pair[0])));
            let count = intervals.len();
            usual.extend(upper_median(&mut intervals).map(|median| (median, count)));
        }
    }
    usual.sort_unstable();
    let half = usual.iter().map(|(_, count)| count).sum::<usize>().div_ceil(2);
    let mut passed = 0;
    usual
        .iter()
        .find(|(_, count)| {
            passed += count;
            passed >= half
        })
        .map(|(interval, _)| *interval)
}
