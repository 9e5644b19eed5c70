//! Measurements as they came: one timestamp and one value at a time.

use std::collections::BTreeMap;

use super::InputError;

/// Name and labels of one measured series.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesKey {
    /// Metric name, e.g. `container_cpu_usage_seconds_total`.
    pub metric: String,
    /// Labels, without the name.
    pub labels: BTreeMap<String, String>,
}

/// Measurements in columns, in any order: row `i` says that series `keys[series[i]]` had `values[i]` at
/// `timestamps_ms[i]`. The three columns have one length; 20 bytes a sample.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    /// The series, each once.
    pub keys: Vec<SeriesKey>,
    /// Index into `keys`.
    pub series: Vec<u32>,
    /// Milliseconds since the Unix epoch.
    pub timestamps_ms: Vec<i64>,
    /// Finite values; a missing value has no row.
    pub values: Vec<f64>,
    /// Rows of the input left out, with the reason, e.g. `12 rows without a value`.
    pub notes: Vec<String>,
}

impl Samples {
    /// Number of measurements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Adds a piece whose series are these keys'.
    pub fn extend(&mut self, piece: Piece<'_>) {
        self.series.extend_from_slice(piece.series);
        self.timestamps_ms.extend_from_slice(piece.timestamps_ms);
        self.values.extend_from_slice(piece.values);
    }

    /// Adds all measurements of `other`, joining equal keys.
    ///
    /// # Panics
    /// If there are 2³² series or more together.
    pub fn append(&mut self, other: Self) {
        let mut index: BTreeMap<SeriesKey, u32> = self.keys.iter().cloned().zip(0..).collect();
        let map: Vec<u32> = other
            .keys
            .into_iter()
            .map(|key| {
                *index.entry(key).or_insert_with_key(|key| {
                    self.keys.push(key.clone());
                    u32::try_from(self.keys.len() - 1).expect("fewer than 2^32 series")
                })
            })
            .collect();
        self.series.extend(other.series.into_iter().map(|s| map[s as usize]));
        self.timestamps_ms.extend(other.timestamps_ms);
        self.values.extend(other.values);
        self.notes.extend(other.notes);
    }
}

/// Some measurements in columns of one length, as in [`Samples`].
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// Index into the keys of whoever reads.
    pub series: &'a [u32],
    /// Milliseconds since the Unix epoch.
    pub timestamps_ms: &'a [i64],
    /// Finite values.
    pub values: &'a [f64],
}

/// Measurements that are read a piece at a time, and can be read again from the start, so that no more of a large table is
/// held than is wanted of it. Every reading gives the same pieces and numbers the series alike.
pub trait Rows {
    /// Reads all of them, in order.
    ///
    /// # Errors
    /// At the first thing that is not as it should be; names its place.
    fn read(&mut self, take: &mut dyn FnMut(Piece<'_>)) -> Result<(), InputError>;

    /// The series met so far, each once; all of them after one reading.
    fn keys(&self) -> &[SeriesKey];

    /// What was left out, with the reason; complete after one reading.
    fn notes(&self) -> Vec<String>;

    /// Whether what stands for times counts steps: of so many milliseconds as whoever opened the rows said.
    fn counts_steps(&self) -> bool {
        false
    }
}

impl Rows for Samples {
    fn read(&mut self, take: &mut dyn FnMut(Piece<'_>)) -> Result<(), InputError> {
        take(Piece { series: &self.series, timestamps_ms: &self.timestamps_ms, values: &self.values });
        Ok(())
    }

    fn keys(&self) -> &[SeriesKey] {
        &self.keys
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
