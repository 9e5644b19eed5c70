//! Rows whose samples each have a cell of their own, laid into the cells as they are read.
//!
//! A first reading surveys each series: in order or not, from when to when, and how far apart its samples are. Where all are
//! in order and whole steps apart, a second one puts each value where it belongs. That takes 8 bytes a cell, and a few
//! hundred a series, whatever the rows take.

use std::collections::BTreeMap;

use ndarray::Array2;

use super::align::gap_cells;
use super::cells::{self, Within};
use super::gather::Track;
use super::{AlignSettings, SeriesError};
use crate::domain::samples::{Piece, Rows};
use crate::domain::series::{Axis, RowQuality, Series, SeriesRow, Signal, Subject};

/// Different intervals counted for one series. Gaps of many lengths have as many; what has more is laid out otherwise.
const MOST_INTERVALS: usize = 12;

/// What the first reading tells of all series.
pub(super) struct Survey {
    /// By number of the series.
    strides: Vec<Stride>,
    /// Whether every series is in order, with few enough different intervals.
    is_regular: bool,
}

/// How one series goes on.
#[derive(Clone, Default)]
struct Stride {
    samples: usize,
    first_ms: i64,
    last_ms: i64,
    /// Each interval and how often it is there.
    intervals: Vec<(i64, usize)>,
    /// Place in `intervals` of the newest, which is most often the next one too.
    newest: usize,
}

impl Survey {
    pub(super) fn of(rows: &mut dyn Rows) -> Result<Self, SeriesError> {
        let mut survey = Self { strides: Vec::new(), is_regular: true };
        rows.read(&mut |piece| survey.add(piece))?;
        Ok(survey)
    }

    fn add(&mut self, piece: Piece<'_>) {
        for (&series, &time_ms) in piece.series.iter().zip(piece.timestamps_ms) {
            let series = series as usize;
            if series >= self.strides.len() {
                self.strides.resize(series + 1, Stride::default());
            }
            self.is_regular &= self.strides[series].go_to(time_ms);
        }
    }

    /// The lower median, over the samples, of each series' upper median interval, as [`plain`](super::plain()) has it; `None`
    /// where no series has two samples, or the rows are not regular.
    pub(super) fn usual_interval(&self) -> Option<i64> {
        if !self.is_regular {
            return None;
        }
        let of_series = self.strides.iter().filter_map(|stride| {
            let count = stride.samples.checked_sub(1)?;
            // The upper middle one is the first with more than half of all at or before it.
            Some((middle(stride.intervals.clone(), count / 2 + 1)?, count))
        });
        let usual: Vec<(i64, usize)> = of_series.collect();
        let half = usual.iter().map(|(_, count)| count).sum::<usize>().div_ceil(2);
        middle(usual, half)
    }
}

/// The smallest value that, with all smaller ones, stands for `least` or more.
fn middle(mut counted: Vec<(i64, usize)>, least: usize) -> Option<i64> {
    counted.sort_unstable();
    let mut passed = 0;
    let found = counted.into_iter().find(|(_, count)| {
        passed += count;
        passed >= least
    });
    found.map(|(value, _)| value)
}

impl Stride {
    /// Takes the next sample; whether the series is still regular.
    fn go_to(&mut self, time_ms: i64) -> bool {
        self.samples += 1;
        if self.samples == 1 {
            (self.first_ms, self.last_ms) = (time_ms, time_ms);
            return true;
        }
        let Some(interval) = time_ms.checked_sub(self.last_ms).filter(|&interval| interval > 0) else { return false };
        self.last_ms = time_ms;
        if let Some((_, count)) = self.intervals.get_mut(self.newest).filter(|(known, _)| *known == interval) {
            *count += 1;
            return true;
        }
        match self.intervals.iter().position(|(known, _)| *known == interval) {
            Some(place) => {
                self.intervals[place].1 += 1;
                self.newest = place;
            }
            None if self.intervals.len() < MOST_INTERVALS => {
                self.newest = self.intervals.len();
                self.intervals.push((interval, 1));
            }
            None => return false,
        }
        true
    }
}

/// Where each sample belongs.
pub(super) struct Grid {
    axis: Axis,
    /// Name and number of the series of each row.
    rows: Vec<(String, u32)>,
    quality: Vec<RowQuality>,
    /// The row of each series, by its number.
    row_of: Vec<u32>,
}

/// The row of a series that has no sample.
const NO_ROW: u32 = u32::MAX;

impl Grid {
    /// `None` where some sample has no cell of its own, or the cells would be too many: that is said by whoever lays such
    /// rows out.
    pub(super) fn new(survey: &Survey, names: BTreeMap<String, u32>, settings: &AlignSettings) -> Option<Self> {
        let step_ms = settings.step_ms;
        let on_steps = |stride: &Stride| stride.intervals.iter().all(|(interval, _)| interval % step_ms == 0);
        if step_ms < 1 || !survey.is_regular || !survey.strides.iter().all(on_steps) {
            return None;
        }
        let measured = || survey.strides.iter().filter(|stride| stride.samples > 0);
        let first_step = measured().map(|stride| stride.first_ms).min()?.div_euclid(step_ms);
        let last_step = measured().map(|stride| stride.last_ms).max()?.div_euclid(step_ms);
        let len = usize::try_from(last_step.checked_sub(first_step)?).ok()?.checked_add(1)?;
        let start_ms = first_step.checked_mul(step_ms)?;
        last_step.checked_add(2)?.checked_mul(step_ms)?;
        let samples = |series: u32| survey.strides.get(series as usize).map_or(0, |stride| stride.samples);
        let rows: Vec<(String, u32)> = names.into_iter().filter(|(_, series)| samples(*series) > 0).collect();
        len.checked_mul(rows.len()).filter(|&cells| cells <= settings.max_cells)?;
        let quality = rows.iter().map(|&(_, series)| RowQuality { samples: samples(series), ..RowQuality::default() });
        let quality = quality.collect();
        let mut row_of = vec![NO_ROW; survey.strides.len()];
        for (row, &(_, series)) in (0..).zip(&rows) {
            row_of[series as usize] = row;
        }
        Some(Self { axis: Axis { start_ms, step_ms, len }, rows, quality, row_of })
    }

    /// Reads the rows once more, each sample into its cell.
    pub(super) fn fill(self, rows: &mut dyn Rows) -> Result<Series, SeriesError> {
        let Self { axis, rows: names, mut quality, row_of } = self;
        let mut values = Array2::from_elem((names.len(), axis.len), f64::NAN);
        let mut strays = 0_usize;
        rows.read(&mut |piece| {
            for ((&series, &time_ms), &value) in piece.series.iter().zip(piece.timestamps_ms).zip(piece.values) {
                let row = row_of.get(series as usize).copied().unwrap_or(NO_ROW) as usize;
                let cell = usize::try_from(time_ms.saturating_sub(axis.start_ms).div_euclid(axis.step_ms))
                    .unwrap_or(usize::MAX);
                match values.get_mut((row, cell)) {
                    Some(slot) => *slot = value,
                    None => strays += 1,
                }
            }
        })?;
        if strays > 0 {
            return Err(SeriesError::Inconsistent(format!(
                "{strays} samples were not there when they were first read"
            )));
        }
        for (mut row, quality) in values.rows_mut().into_iter().zip(&mut quality) {
            if let Some(row) = row.as_slice_mut().filter(|row| gap_cells(row) > 0) {
                hold(row, &axis);
                quality.gap_cells = gap_cells(row);
            }
        }
        let rows_of =
            |((name, _), quality)| SeriesRow { subject: Subject::Named(name), signal: Signal::Value, quality };
        let rows_made = names.into_iter().zip(quality).map(rows_of).collect();
        Ok(Series { axis, rows: rows_made, values, notes: rows.notes() })
    }
}

/// Holds values between samples that belong together, as is done with samples anywhere else.
fn hold(row: &mut [f64], axis: &Axis) {
    let measured: Vec<usize> = (0..row.len()).filter(|&cell| !row[cell].is_nan()).collect();
    let timestamps_ms: Vec<i64> = measured.iter().map(|&cell| axis.time_ms(cell)).collect();
    let values: Vec<f64> = measured.iter().map(|&cell| row[cell]).collect();
    let track = Track { timestamps_ms: &timestamps_ms, values: &values, quality: RowQuality::default() };
    cells::gauge(&track, axis, Within::Mean, |deposit| row[deposit.cell] = deposit.sum / deposit.weight);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{plain, plain_rows};
    use super::*;
    use crate::domain::Samples;
    use crate::domain::samples::SeriesKey;

    /// Series in which samples are missing now and then; now and then one is off its step, late or twice.
    fn any_samples() -> impl Strategy<Value = Samples> {
        let step = prop_oneof![12 => Just(60_000_i64), 2 => Just(120_000), 1 => Just(300_000), 1 => Just(660_000)];
        let odd =
            prop_oneof![60 => Just(0_i64), 1 => Just(-1000), 1 => Just(-60_000), 1 => Just(-180_000), 1 => Just(500)];
        let series = proptest::collection::vec((step, odd, -5.0..5.0), 1..40);
        (proptest::collection::vec((0..5_i64, series), 1..5), any::<bool>()).prop_map(|(all, by_time)| {
            let mut rows: Vec<(i64, u32, f64)> = Vec::new();
            for (series, (start, samples)) in (0..).zip(all) {
                let mut time_ms = 1_700_000_040_000 + start * 60_000;
                for (step, odd, value) in samples {
                    time_ms += step + odd;
                    rows.push((time_ms, series, value));
                }
            }
            if by_time {
                rows.sort_by_key(|row| row.0);
            }
            let count = rows.iter().map(|row| row.1 + 1).max().unwrap_or(0);
            let key = |series| SeriesKey { metric: format!("m{}", 9 - series), labels: BTreeMap::new() };
            Samples {
                keys: (0..count).map(key).collect(),
                series: rows.iter().map(|row| row.1).collect(),
                timestamps_ms: rows.iter().map(|row| row.0).collect(),
                values: rows.iter().map(|row| row.2).collect(),
                notes: vec!["a note".to_owned()],
            }
        })
    }

    /// As bits, so that NaN equals itself.
    fn bits(series: &Series) -> String {
        let cells: Vec<u64> = series.values.iter().map(|v| if v.is_nan() { 0 } else { v.to_bits() }).collect();
        format!("{:?} {:?} {:?} {cells:?}", series.axis, series.rows, series.notes)
    }

    proptest! {
        #[test]
        fn rows_laid_straight_into_cells_are_what_samples_laid_out_are(
            samples in any_samples(),
            step_ms in prop_oneof![Just(None), Just(Some(60_000)), Just(Some(300_000))],
        ) {
            let of_samples = plain(&samples, step_ms).map(|series| bits(&series));
            let of_rows = plain_rows(&mut samples.clone(), step_ms).map(|series| bits(&series));
            prop_assert_eq!(of_rows, of_samples);
        }
    }

    #[test]
    fn samples_in_order_and_whole_steps_apart_have_a_grid_and_others_have_none() {
        let grid = |times: &[i64]| {
            let keys = vec![SeriesKey { metric: "m".into(), labels: BTreeMap::new() }];
            let mut samples = Samples { keys, ..Samples::default() };
            samples.series = vec![0; times.len()];
            samples.timestamps_ms = times.to_vec();
            samples.values = vec![1.0; times.len()];
            let survey = Survey::of(&mut samples).unwrap();
            let settings = AlignSettings::with_step(survey.usual_interval()?);
            Grid::new(&survey, [("m".to_owned(), 0)].into(), &settings).map(|grid| grid.axis.len)
        };
        assert_eq!(grid(&[5, 15, 25, 55]), Some(6));
        assert_eq!(grid(&[5, 15, 25, 56]), None);
        assert_eq!(grid(&[5, 25, 15, 35]), None);
        assert_eq!(grid(&[5, 15, 15, 25]), None);
        assert_eq!(grid(&[5]), None);
    }
}
