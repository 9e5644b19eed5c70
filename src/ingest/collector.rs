//! Samples in the making.

use std::collections::HashMap;

use crate::domain::Samples;
use crate::domain::samples::SeriesKey;

/// Rows in order of arrival and each key once, in order of first arrival.
#[derive(Debug, Default)]
pub(super) struct Collector {
    samples: Samples,
    index: HashMap<SeriesKey, u32>,
}

impl Collector {
    /// The index of a key, new or known.
    pub(super) fn series(&mut self, key: SeriesKey) -> u32 {
        let keys = &mut self.samples.keys;
        *self.index.entry(key).or_insert_with_key(|key| {
            keys.push(key.clone());
            u32::try_from(keys.len() - 1).expect("an input of at most 4 GiB names fewer than 2^32 series")
        })
    }

    /// Adds a row. The value is finite.
    pub(super) fn push(&mut self, series: u32, timestamp_ms: i64, value: f64) {
        debug_assert!(value.is_finite(), "only finite values are kept");
        self.samples.series.push(series);
        self.samples.timestamps_ms.push(timestamp_ms);
        self.samples.values.push(value);
    }

    /// The samples, with a note for each reason that left rows out.
    pub(super) fn finish(mut self, left_out: impl IntoIterator<Item = (usize, &'static str)>) -> Samples {
        self.samples.notes.extend(notes(left_out));
        self.samples
    }
}

/// `rows without a value left out: 12` for each reason that applied.
pub(super) fn notes(left_out: impl IntoIterator<Item = (usize, &'static str)>) -> impl Iterator<Item = String> {
    left_out.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{what} left out: {count}"))
}
