//! Samples in any order into one series at a time, in time order, with next to no memory of its own.
//!
//! Samples that already stand together by series are read where they are. Others are found in batches of
//! [`BATCHES`]th parts: each batch reads the `series` column once and notes the rows of its own samples, so that the notes
//! stay far below the input. Only a series that is scattered, out of order, or measured twice at one instant is copied, and
//! only while it is read.

use std::ops::Range;

use super::SeriesError;
use crate::domain::Samples;
use crate::domain::series::RowQuality;

/// Parts that scattered samples are found in. Memory for the notes is 4 bytes · samples / `BATCHES` a thread, time is
/// `BATCHES` readings of 4 bytes a sample.
const BATCHES: usize = 32;

/// Batches are not made smaller than this many samples: below it, passes over the input cost more than they save.
const LEAST_BATCH: usize = 1 << 16;

/// Marks a series that is in no batch.
const UNUSED: u32 = u32::MAX;

/// Where each series' samples stand.
pub(super) struct Gatherer<'a> {
    samples: &'a Samples,
    /// Samples of each series.
    counts: Vec<usize>,
    /// First sample of each series, if every series stands in one piece.
    starts: Option<Vec<usize>>,
}

/// One series in time order, each instant once; both slices have one length.
#[derive(Clone, Copy)]
pub(super) struct Track<'a> {
    pub(super) timestamps_ms: &'a [i64],
    pub(super) values: &'a [f64],
    /// What it took: samples, duplicates, out of order.
    pub(super) quality: RowQuality,
}

/// Room for one series that must be copied.
#[derive(Default)]
pub(super) struct SortRoom {
    pairs: Vec<(i64, f64)>,
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
}

/// The samples of some series, each in one piece in the order read.
pub(super) struct Batch<'a> {
    gatherer: &'a Gatherer<'a>,
    scattered: Option<Scattered>,
}

/// Rows of the samples, series by series.
struct Scattered {
    /// The part of `rows` of each series of the batch, sorted by series.
    places: Vec<(u32, Range<usize>)>,
    rows: Vec<u32>,
}

impl<'a> Gatherer<'a> {
    /// Counts the samples of each series.
    ///
    /// # Errors
    /// If the columns have different lengths or a row's series is not among the keys.
    pub(super) fn new(samples: &'a Samples) -> Result<Self, SeriesError> {
        let (rows, keys) = (samples.values.len(), samples.keys.len());
        if samples.series.len() != rows || samples.timestamps_ms.len() != rows {
            return Err(SeriesError::Inconsistent(format!(
                "{} series, {} timestamps and {rows} values",
                samples.series.len(),
                samples.timestamps_ms.len()
            )));
        }
        if u32::try_from(rows).is_err() {
            return Err(SeriesError::Inconsistent(format!("{rows} rows are more than 2^32")));
        }
        let mut counts = vec![0; keys];
        let mut starts = vec![0; keys];
        let mut in_one_piece = true;
        let mut before = UNUSED;
        for (row, &series) in samples.series.iter().enumerate() {
            let Some(count) = counts.get_mut(series as usize) else {
                return Err(SeriesError::Inconsistent(format!("row {row} is of series {series} of {keys}")));
            };
            if series != before {
                in_one_piece &= *count == 0;
                starts[series as usize] = row;
                before = series;
            }
            *count += 1;
        }
        Ok(Self { samples, counts, starts: in_one_piece.then_some(starts) })
    }

    /// Samples of one series.
    pub(super) fn count(&self, series: u32) -> usize {
        self.counts[series as usize]
    }

    /// How many samples a batch should hold.
    pub(super) fn batch_size(&self) -> usize {
        (self.samples.len() / BATCHES).max(LEAST_BATCH)
    }

    /// The samples of these series, which are all different.
    pub(super) fn batch(&'a self, series: &[u32]) -> Batch<'a> {
        Batch { gatherer: self, scattered: self.starts.is_none().then(|| self.find(series)) }
    }

    /// The rows of these series, in one reading of the column.
    fn find(&self, series: &[u32]) -> Scattered {
        let mut places: Vec<_> = series.iter().map(|&s| (s, 0..0)).collect();
        places.sort_unstable_by_key(|(s, _)| *s);
        let mut cursors = vec![UNUSED; self.counts.len()];
        let mut total = 0;
        for (series, place) in &mut places {
            let count = self.count(*series);
            *place = total..total + count;
            cursors[*series as usize] = total as u32;
            total += count;
        }
        let mut rows = vec![0; total];
        for (row, &series) in (0..).zip(&self.samples.series) {
            let cursor = &mut cursors[series as usize];
            if *cursor != UNUSED {
                rows[*cursor as usize] = row;
                *cursor += 1;
            }
        }
        Scattered { places, rows }
    }
}

impl Batch<'_> {
    /// One series of the batch in time order; empty for a series that is not in it.
    pub(super) fn track<'t>(&'t self, series: u32, room: &'t mut SortRoom) -> Track<'t> {
        let samples = self.gatherer.samples;
        room.timestamps_ms.clear();
        room.values.clear();
        if let Some(Scattered { places, rows }) = &self.scattered {
            let place = places.binary_search_by_key(&series, |(s, _)| *s).map_or(0..0, |i| places[i].1.clone());
            for &row in &rows[place] {
                room.timestamps_ms.push(samples.timestamps_ms[row as usize]);
                room.values.push(samples.values[row as usize]);
            }
        } else {
            let start = self.gatherer.starts.as_ref().map_or(0, |starts| starts[series as usize]);
            let range = start..start + self.gatherer.count(series);
            let (timestamps_ms, values) = (&samples.timestamps_ms[range.clone()], &samples.values[range]);
            if in_order(timestamps_ms) {
                let quality = RowQuality { samples: values.len(), ..RowQuality::default() };
                return Track { timestamps_ms, values, quality };
            }
            room.timestamps_ms.extend_from_slice(timestamps_ms);
            room.values.extend_from_slice(values);
        }
        let quality = room.tidy();
        Track { timestamps_ms: &room.timestamps_ms, values: &room.values, quality }
    }
}

fn in_order(timestamps_ms: &[i64]) -> bool {
    timestamps_ms.is_sorted_by(|a, b| a < b)
}

impl SortRoom {
    /// Sorts by time and keeps the last read of each instant.
    fn tidy(&mut self) -> RowQuality {
        let mut quality = RowQuality { samples: self.values.len(), ..RowQuality::default() };
        if in_order(&self.timestamps_ms) {
            return quality;
        }
        let mut newest = i64::MIN;
        for &time in &self.timestamps_ms {
            quality.out_of_order += usize::from(time < newest);
            newest = newest.max(time);
        }
        self.pairs.clear();
        self.pairs.extend(self.timestamps_ms.drain(..).zip(self.values.drain(..)));
        self.pairs.sort_by_key(|(time, _)| *time);
        for &(time, value) in &self.pairs {
            match (self.timestamps_ms.last(), self.values.last_mut()) {
                (Some(last), Some(kept)) if *last == time => {
                    quality.duplicates += 1;
                    *kept = value;
                }
                _ => {
                    self.timestamps_ms.push(time);
                    self.values.push(value);
                }
            }
        }
        quality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::SeriesKey;

    fn samples(rows: &[(u32, i64, f64)]) -> Samples {
        let keys = rows.iter().map(|r| r.0 + 1).max().unwrap_or(0);
        Samples {
            keys: (0..keys)
                .map(|k| SeriesKey { metric: format!("m{k}"), labels: std::collections::BTreeMap::new() })
                .collect(),
            series: rows.iter().map(|r| r.0).collect(),
            timestamps_ms: rows.iter().map(|r| r.1).collect(),
            values: rows.iter().map(|r| r.2).collect(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn scattered_and_grouped_samples_give_the_same_tracks() {
        let grouped = samples(&[(0, 1, 1.0), (0, 2, 2.0), (1, 1, 3.0), (1, 3, 4.0)]);
        let scattered = samples(&[(1, 1, 3.0), (0, 1, 1.0), (0, 2, 2.0), (1, 3, 4.0)]);
        for input in [grouped, scattered] {
            let gatherer = Gatherer::new(&input).unwrap();
            let batch = gatherer.batch(&[1, 0]);
            let mut room = SortRoom::default();
            let track = batch.track(1, &mut room);
            assert_eq!((track.timestamps_ms, track.values), ([1, 3].as_slice(), [3.0, 4.0].as_slice()));
            let track = batch.track(0, &mut room);
            assert_eq!((track.timestamps_ms, track.values), ([1, 2].as_slice(), [1.0, 2.0].as_slice()));
        }
    }

    #[test]
    fn late_and_repeated_samples_are_sorted_and_counted_and_the_last_read_counts() {
        let input = samples(&[(0, 30, 1.0), (0, 10, 2.0), (0, 30, 3.0), (0, 20, 4.0), (0, 10, 5.0)]);
        let gatherer = Gatherer::new(&input).unwrap();
        let mut room = SortRoom::default();
        let batch = gatherer.batch(&[0]);
        let track = batch.track(0, &mut room);
        assert_eq!(track.timestamps_ms, [10, 20, 30]);
        assert_eq!(track.values, [5.0, 4.0, 3.0]);
        assert_eq!(track.quality, RowQuality { samples: 5, duplicates: 2, out_of_order: 3, ..RowQuality::default() });
    }

    #[test]
    fn columns_that_do_not_belong_together_are_refused() {
        let mut short = samples(&[(0, 1, 1.0)]);
        short.timestamps_ms.clear();
        assert!(matches!(Gatherer::new(&short), Err(SeriesError::Inconsistent(_))));
        let mut unlisted = samples(&[(0, 1, 1.0)]);
        unlisted.series[0] = 7;
        assert!(matches!(Gatherer::new(&unlisted), Err(SeriesError::Inconsistent(_))));
    }
}
