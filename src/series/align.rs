//! Samples of known metrics on one axis.

use std::ops::Range;

use ndarray::Array2;
use rayon::prelude::*;

use super::axis::axis;
use super::cells::{self, Deposit, Within};
use super::gather::{Batch, Gatherer, SortRoom};
use super::histogram::quantile;
use super::plan::{Recipe, RowPlan, SubjectPlan, plan_rows};
use super::resolve::Resolver;
use super::{AlignSettings, SeriesError};
use crate::domain::policy::MetricMapping;
use crate::domain::samples::Samples;
use crate::domain::series::{Axis, RowQuality, Series, SeriesRow};
use crate::domain::snapshot::Snapshot;

/// Lays samples on one axis: a row for each instance (or workload) and signal, shape (rows, steps), NaN where nothing
/// was measured.
///
/// Counters become rates with resets bridged; gauges the mean over a step, memory its maximum; histograms the 50th,
/// 95th and 99th percentile and, from `_sum` and `_count` (where it is missing, the bucket without a bound), mean and
/// request rate. How cells are covered, held and
/// left empty is in `cells`; quantiles follow Prometheus' `histogram_quantile`. Containers of a pod are summed.
/// Of two metrics for one signal of one subject the one earlier in the mapping is taken. What is left out is counted in
/// the notes; what happened to a row's samples is in its quality.
///
/// Memory beside the samples: 8 bytes a cell, and a small part of that for work (see `gather`).
///
/// # Errors
/// If there are no samples, none of a known metric, the axis would be absurd, or the columns do not fit together.
pub fn align(
    samples: &Samples,
    mapping: &MetricMapping,
    snapshot: Option<&Snapshot>,
    settings: &AlignSettings,
) -> Result<Series, SeriesError> {
    if samples.is_empty() {
        return Err(SeriesError::Empty);
    }
    let gatherer = Gatherer::new(samples)?;
    let resolver = Resolver::new(snapshot);
    let plan = plan_rows(&samples.keys, mapping, &resolver);
    if plan.subjects.is_empty() {
        return Err(SeriesError::NothingMapped { metrics: metric_names(samples) });
    }
    let notes = plan.notes;
    fill_plan(samples, Plan::new(plan.subjects, &gatherer), &gatherer, notes, settings)
}

/// Rows to make, in stretches of a batch each.
pub(super) struct Plan {
    subjects: Vec<SubjectPlan>,
    /// Neighbouring subjects, and their series, each once.
    pub(super) stretches: Vec<(Range<usize>, Vec<u32>)>,
}

impl Plan {
    /// Divides the subjects into stretches.
    pub(super) fn new(subjects: Vec<SubjectPlan>, gatherer: &Gatherer) -> Self {
        let stretches = stretches(&subjects, gatherer);
        Self { subjects, stretches }
    }
}

/// Makes the rows.
///
/// # Errors
/// If none of the series has samples or the axis would be absurd.
pub(super) fn fill_plan(
    samples: &Samples,
    plan: Plan,
    gatherer: &Gatherer,
    notes: Vec<String>,
    settings: &AlignSettings,
) -> Result<Series, SeriesError> {
    let rows: usize = plan.subjects.iter().map(|s| s.rows.len()).sum();
    let mut used = vec![false; samples.keys.len()];
    plan.stretches.iter().flat_map(|(_, series)| series).for_each(|&s| used[s as usize] = true);
    let rates = plan.subjects.iter().flat_map(|s| &s.rows).any(RowPlan::is_rate);
    let axis = axis(samples, |series| used[series as usize], rows, rates, settings)?;
    let mut values = Array2::from_elem((rows, axis.len), f64::NAN);
    let mut quality = vec![RowQuality::default(); rows];
    fill(&plan, gatherer, &axis, values.as_slice_mut().unwrap_or_default(), &mut quality);
    let names = plan.subjects.into_iter().flat_map(|s| {
        let subject = s.subject;
        s.rows.into_iter().map(move |row| (subject.clone(), row.signal))
    });
    let rows = names.zip(quality).map(|((subject, signal), quality)| SeriesRow { subject, signal, quality }).collect();
    let notes = samples.notes.iter().cloned().chain(notes).collect();
    Ok(Series { axis, rows, values, notes })
}

/// The names of the metrics, for a message.
fn metric_names(samples: &Samples) -> Vec<String> {
    let mut names: Vec<_> = samples.keys.iter().map(|k| k.metric.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(10);
    names
}

impl SubjectPlan {
    /// All series of the subject; one that serves several rows is listed for each.
    fn series(&self) -> impl Iterator<Item = u32> {
        let of_rows = self.rows.iter().flat_map(|row| match &row.recipe {
            Recipe::Level { parts, .. } => parts.iter().flatten().copied().collect(),
            Recipe::MeanOfHistogram { sums, counts, .. } => [sums.as_slice(), counts].concat(),
            Recipe::QuantileOfHistogram(_) => Vec::new(),
        });
        of_rows.chain(self.buckets.iter().flat_map(|(_, series)| series.iter().copied()))
    }
}

impl RowPlan {
    fn is_rate(&self) -> bool {
        !matches!(self.recipe, Recipe::Level { counter: false, .. })
    }
}

/// One stretch of subjects with its part of the matrix.
struct Stretch<'p> {
    subjects: &'p [SubjectPlan],
    series: &'p [u32],
    values: &'p mut [f64],
    quality: &'p mut [RowQuality],
}

/// Fills the matrix, stretch by stretch side by side.
fn fill(plan: &Plan, gatherer: &Gatherer, axis: &Axis, mut values: &mut [f64], mut quality: &mut [RowQuality]) {
    let mut stretches = Vec::new();
    for (range, series) in &plan.stretches {
        let subjects = &plan.subjects[range.clone()];
        let rows = subjects.iter().map(|s| s.rows.len()).sum::<usize>();
        let (own_values, rest) = values.split_at_mut(rows * axis.len);
        let (own_quality, rest_quality) = quality.split_at_mut(rows);
        (values, quality) = (rest, rest_quality);
        stretches.push(Stretch { subjects, series, values: own_values, quality: own_quality });
    }
    stretches.into_par_iter().for_each(|stretch| {
        let batch = gatherer.batch(stretch.series);
        let mut work = Work { batch: &batch, axis, room: SortRoom::default(), sums: Vec::new(), weights: Vec::new() };
        let (mut values, mut quality) = (stretch.values, stretch.quality);
        for subject in stretch.subjects {
            let (own_values, rest) = values.split_at_mut(subject.rows.len() * axis.len);
            let (own_quality, rest_quality) = quality.split_at_mut(subject.rows.len());
            work.fill_subject(subject, own_values, own_quality);
            (values, quality) = (rest, rest_quality);
        }
    });
}

/// Neighbouring subjects until they have a batch of samples, and their series, each once.
fn stretches(subjects: &[SubjectPlan], gatherer: &Gatherer) -> Vec<(Range<usize>, Vec<u32>)> {
    let mut ranges = Vec::new();
    let (mut start, mut size, mut series) = (0, 0, Vec::new());
    for (i, subject) in subjects.iter().enumerate() {
        let mut own: Vec<u32> = subject.series().collect();
        own.sort_unstable();
        own.dedup();
        size += own.iter().map(|&s| gatherer.count(s)).sum::<usize>();
        series.append(&mut own);
        if size >= gatherer.batch_size() || i + 1 == subjects.len() {
            ranges.push((start..i + 1, std::mem::take(&mut series)));
            (start, size) = (i + 1, 0);
        }
    }
    ranges
}

/// What one thread works with.
struct Work<'w> {
    batch: &'w Batch<'w>,
    axis: &'w Axis,
    room: SortRoom,
    /// Sums and weights by cell, for rows made of several series; for histograms one stripe a bucket.
    sums: Vec<f64>,
    weights: Vec<f64>,
}

impl Work<'_> {
    fn fill_subject(&mut self, subject: &SubjectPlan, values: &mut [f64], quality: &mut [RowQuality]) {
        // Of the buckets as they stand in `sums`; every other recipe may write over them.
        let mut bucket_quality = None;
        for ((plan, row), quality) in subject.rows.iter().zip(values.chunks_mut(self.axis.len)).zip(quality) {
            match &plan.recipe {
                Recipe::Level { counter, parts, within, scale } => {
                    for part in parts {
                        self.add_part(part, *counter, *within, *scale, row, quality);
                    }
                    bucket_quality = None;
                }
                Recipe::MeanOfHistogram { sums, counts, scale } => {
                    self.mean(sums, counts, *scale, row, quality);
                    bucket_quality = None;
                }
                Recipe::QuantileOfHistogram(q) => {
                    *quality = *bucket_quality.get_or_insert_with(|| self.collect_buckets(&subject.buckets));
                    let (bounds, len): (Vec<f64>, _) = (subject.buckets.iter().map(|b| b.0).collect(), self.axis.len);
                    for (cell, value) in row.iter_mut().enumerate() {
                        *value = quantile(*q, &bounds, |bucket| self.sums[bucket * len + cell]);
                    }
                }
            }
            quality.gap_cells = gap_cells(row);
        }
    }

    /// Adds one part to a row: series that follow one another, joined by cell.
    fn add_part(
        &mut self,
        part: &[u32],
        counter: bool,
        within: Within,
        scale: f64,
        row: &mut [f64],
        quality: &mut RowQuality,
    ) {
        let mut add = |cell: usize, value: f64| {
            if let Some(sum) = row.get_mut(cell) {
                *sum = if sum.is_nan() { value } else { *sum + value };
            }
        };
        if let [series] = part {
            self.deposit(*series, counter, within, quality, |_, _, d| add(d.cell, d.sum / d.weight * scale));
            return;
        }
        self.clear(1);
        for &series in part {
            self.deposit(series, counter, within, quality, |sums, weights, d| join(sums, weights, d, within));
        }
        for (cell, (&sum, &weight)) in self.sums.iter().zip(&self.weights).enumerate() {
            if weight > 0.0 {
                add(cell, sum / weight * scale);
            }
        }
    }

    /// Rate of sums over rate of counts; NaN where nothing was counted.
    fn mean(&mut self, sums: &[u32], counts: &[u32], scale: f64, row: &mut [f64], quality: &mut RowQuality) {
        self.clear(2);
        let len = self.axis.len;
        for (stripe, series) in [sums, counts].into_iter().enumerate() {
            for &series in series {
                self.deposit(series, true, Within::Mean, quality, |sums, _, d| {
                    add_to_stripe(sums, stripe, len, d);
                });
            }
        }
        let (sums, counts) = self.sums.split_at(len);
        for ((value, sum), count) in row.iter_mut().zip(sums).zip(counts) {
            if *count > 0.0 {
                *value = sum / count * scale;
            }
        }
    }

    /// Rates of the buckets into one stripe of cells each.
    fn collect_buckets(&mut self, buckets: &[(f64, Vec<u32>)]) -> RowQuality {
        self.clear(buckets.len());
        let len = self.axis.len;
        let mut quality = RowQuality::default();
        for (stripe, (_, series)) in buckets.iter().enumerate() {
            for &series in series {
                self.deposit(series, true, Within::Mean, &mut quality, |sums, _, d| {
                    add_to_stripe(sums, stripe, len, d);
                });
            }
        }
        quality
    }

    fn clear(&mut self, stripes: usize) {
        self.sums.clear();
        self.sums.resize(stripes * self.axis.len, 0.0);
        self.weights.clear();
        self.weights.resize(self.axis.len, 0.0);
    }

    /// Reads one series cell by cell.
    fn deposit(
        &mut self,
        series: u32,
        counter: bool,
        within: Within,
        quality: &mut RowQuality,
        mut put: impl FnMut(&mut [f64], &mut [f64], Deposit),
    ) {
        let track = self.batch.track(series, &mut self.room);
        let (sums, weights) = (&mut self.sums, &mut self.weights);
        if counter {
            quality.resets += cells::counter(&track, self.axis, |d| put(sums, weights, d));
        } else {
            cells::gauge(&track, self.axis, within, |d| put(sums, weights, d));
        }
        quality.samples += track.quality.samples;
        quality.duplicates += track.quality.duplicates;
        quality.out_of_order += track.quality.out_of_order;
    }
}

fn join(sums: &mut [f64], weights: &mut [f64], deposit: Deposit, within: Within) {
    let Deposit { cell, sum, weight } = deposit;
    if let (Some(total), Some(total_weight)) = (sums.get_mut(cell), weights.get_mut(cell)) {
        match within {
            Within::Mean => {
                *total += sum;
                *total_weight += weight;
            }
            Within::Maximum => {
                *total = if *total_weight > 0.0 { total.max(sum) } else { sum };
                *total_weight = 1.0;
            }
        }
    }
}

/// Adds a rate, for a cell covered in part the rate of that part.
fn add_to_stripe(sums: &mut [f64], stripe: usize, len: usize, deposit: Deposit) {
    if deposit.cell < len {
        sums[stripe * len + deposit.cell] += deposit.sum / deposit.weight;
    }
}

/// Empty cells between the first and the last measured one.
pub(super) fn gap_cells(row: &[f64]) -> usize {
    let first = row.iter().position(|v| !v.is_nan()).unwrap_or(0);
    let last = row.iter().rposition(|v| !v.is_nan()).unwrap_or(0);
    row.get(first..last).unwrap_or_default().iter().filter(|v| v.is_nan()).count()
}
