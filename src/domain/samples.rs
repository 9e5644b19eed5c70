//! Measurements as they came: one timestamp and one value at a time.

use std::collections::BTreeMap;

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
