//! Instances summed up to workloads.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView1};

use super::align::gap_cells;
use crate::domain::series::{RowQuality, Series, SeriesRow, Signal, Subject};
use crate::domain::snapshot::WorkloadId;

/// Steps that an instance may be missing, with measurements before and after, while it is still counted with its last
/// value: a failed scrape or two. Beyond it the instance counts as absent.
const BRIDGED_STEPS: usize = 5;

/// One row a workload and signal, on the same axis.
///
/// | signal | over the instances |
/// |---|---|
/// | CPU, requests, queue length, plain values | the sum; an instance missing for up to five steps between two measurements counts with its last value |
/// | memory | the maximum, for memory is sized for the instance that needs most |
/// | mean latency | the mean weighted by requests, where they are measured |
/// | latency quantiles, waits | the maximum: no instance is worse, and quantiles cannot be averaged |
/// | ready | the number ready; where that is not measured, the number of instances measured at all |
/// | load share | left out: its mean is 1 |
///
/// A cell is NaN where no instance is measured. A signal that was measured of the workload as a whole is taken as it is,
/// and series that belong to no workload stay.
#[must_use]
pub fn workloads(series: &Series) -> Series {
    let mut groups: BTreeMap<&WorkloadId, Group> = BTreeMap::new();
    let mut rows = Vec::new();
    for (i, row) in series.rows.iter().enumerate() {
        match &row.subject {
            Subject::Pod { workload, pod } => {
                groups.entry(workload).or_default().pods.entry(row.signal).or_default().push((pod, i));
            }
            Subject::Workload(workload) => drop(groups.entry(workload).or_default().whole.insert(row.signal, i)),
            Subject::Named(_) => rows.push((row.clone(), series.values.row(i).to_vec())),
        }
    }
    for (workload, group) in &groups {
        for (signal, quality, values) in group.rows(series) {
            rows.push((SeriesRow { subject: Subject::Workload((*workload).clone()), signal, quality }, values));
        }
    }
    rows.sort_by(|(a, _), (b, _)| (&a.subject, a.signal).cmp(&(&b.subject, b.signal)));
    let mut values = Array2::from_elem((rows.len(), series.axis.len), f64::NAN);
    let rows = rows
        .into_iter()
        .zip(values.rows_mut())
        .map(|((row, from), mut to)| {
            to.assign(&ArrayView1::from(&from));
            row
        })
        .collect();
    Series { axis: series.axis, rows, values, notes: series.notes.clone() }
}

/// Rows of one workload: index by signal of those measured as a whole, pod and index of those by pod.
#[derive(Default)]
struct Group<'s> {
    whole: BTreeMap<Signal, usize>,
    pods: BTreeMap<Signal, Vec<(&'s str, usize)>>,
}

impl Group<'_> {
    fn rows(&self, series: &Series) -> Vec<(Signal, RowQuality, Vec<f64>)> {
        let mut rows: Vec<_> = self
            .whole
            .iter()
            .map(|(signal, &i)| (*signal, series.rows[i].quality, series.values.row(i).to_vec()))
            .collect();
        for (&signal, pods) in &self.pods {
            if self.whole.contains_key(&signal) || signal == Signal::LoadShare {
                continue;
            }
            let pod_rows: Vec<_> = pods.iter().map(|(_, i)| series.values.row(*i)).collect();
            let values = match signal {
                Signal::CpuCores | Signal::RequestsPerSecond | Signal::QueueLength | Signal::Ready | Signal::Value => {
                    sum(&pod_rows)
                }
                Signal::LatencyMeanSeconds => self.weighted_mean(series, pods),
                _ => maximum(&pod_rows),
            };
            rows.push((signal, quality(series, pods, &values), values));
        }
        let has_ready = self.whole.contains_key(&Signal::Ready) || self.pods.contains_key(&Signal::Ready);
        let measured = [Signal::CpuCores, Signal::MemoryBytes, Signal::RequestsPerSecond];
        if let Some(pods) = measured.iter().find_map(|s| self.pods.get(s)).filter(|_| !has_ready) {
            let ones: Vec<Vec<f64>> = pods
                .iter()
                .map(|(_, i)| series.values.row(*i).iter().map(|v| if v.is_nan() { f64::NAN } else { 1.0 }).collect())
                .collect();
            let values = sum(&ones.iter().map(ArrayView1::from).collect::<Vec<_>>());
            rows.push((Signal::Ready, quality(series, pods, &values), values));
        }
        rows
    }

    /// The mean of the pods' means, weighted by the pods' requests where all of a cell are measured, else equally.
    fn weighted_mean(&self, series: &Series, pods: &[(&str, usize)]) -> Vec<f64> {
        let requests: BTreeMap<&str, usize> =
            self.pods.get(&Signal::RequestsPerSecond).map(|rows| rows.iter().copied().collect()).unwrap_or_default();
        (0..series.axis.len)
            .map(|cell| {
                let pairs: Vec<(f64, f64)> = pods
                    .iter()
                    .map(|(pod, i)| {
                        let weight = requests.get(pod).map_or(f64::NAN, |r| series.values[[*r, cell]]);
                        (series.values[[*i, cell]], weight)
                    })
                    .filter(|(mean, _)| !mean.is_nan())
                    .collect();
                let weighted = pairs.iter().all(|(_, weight)| *weight > 0.0);
                let weight_of = |weight: f64| if weighted { weight } else { 1.0 };
                let total: f64 = pairs.iter().map(|(_, weight)| weight_of(*weight)).sum();
                pairs.iter().map(|(mean, weight)| mean * weight_of(*weight)).sum::<f64>() / total
            })
            .collect()
    }
}

/// What happened to the samples of all pods together.
fn quality(series: &Series, pods: &[(&str, usize)], values: &[f64]) -> RowQuality {
    let mut all = RowQuality { gap_cells: gap_cells(values), ..RowQuality::default() };
    for (_, i) in pods {
        let one = series.rows[*i].quality;
        all.samples += one.samples;
        all.resets += one.resets;
        all.duplicates += one.duplicates;
        all.out_of_order += one.out_of_order;
    }
    all
}

/// The sum by cell, short holes bridged where another row is measured.
fn sum(rows: &[ArrayView1<f64>]) -> Vec<f64> {
    let len = rows.first().map_or(0, ArrayView1::len);
    let mut total = vec![f64::NAN; len];
    for row in rows {
        for (total, value) in total.iter_mut().zip(row) {
            if !value.is_nan() {
                *total = if total.is_nan() { *value } else { *total + value };
            }
        }
    }
    for row in rows {
        let mut last: Option<usize> = None;
        for cell in (0..len).filter(|&cell| !row[cell].is_nan()) {
            if let Some(before) = last.replace(cell).filter(|before| cell - before <= BRIDGED_STEPS + 1) {
                for hole in total[before + 1..cell].iter_mut().filter(|total| !total.is_nan()) {
                    *hole += row[before];
                }
            }
        }
    }
    total
}

fn maximum(rows: &[ArrayView1<f64>]) -> Vec<f64> {
    let len = rows.first().map_or(0, ArrayView1::len);
    (0..len).map(|cell| rows.iter().map(|row| row[cell]).fold(f64::NAN, f64::max)).collect()
}
