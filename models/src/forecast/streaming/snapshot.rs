//! The cheap tier's state as plain data: to be written anywhere, and read back or refused.

use super::{BUCKETS, Band, ErrorBand, Streaming};
use crate::forecast::online::LEVELS;

/// Version of [`Snapshot`]'s meaning; raised whenever it changes.
pub const VERSION: u32 = 1;

/// A [`Streaming`] as plain data. Every number is finite; what is not known yet is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// [`VERSION`] of the build that wrote it.
    pub version: u32,
    /// Season in steps, at least 1.
    pub season: usize,
    /// Samples seen, gaps included.
    pub seen: u64,
    /// One a step of the season.
    pub ring: Vec<Option<f64>>,
    /// Level, its error, the last value's error, the season's error, last value, lowest value.
    pub numbers: Vec<Option<f64>>,
    /// Unit and weight of the histogram, both above 0.
    pub unit: f64,
    /// See `unit`.
    pub weight: f64,
    /// Weight by bucket, none below 0.
    pub histogram: Vec<f64>,
    /// The newest flat forecasts.
    pub flat: Vec<Option<f64>>,
    /// One a horizon band.
    pub bands: Vec<BandSnapshot>,
}

/// A [`Band`] as plain data.
#[derive(Debug, Clone, PartialEq)]
pub struct BandSnapshot {
    /// Errors seen.
    pub seen: u64,
    /// Mean absolute errors of the flat, the seasonal and the chosen forecast, none below 0.
    pub scales: [f64; 3],
    /// Tracked quantiles of the errors over the last of the scales.
    pub quantiles: Vec<f64>,
}

/// Why a [`Snapshot`] can't be gone on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotError {
    /// Another version wrote it.
    Version {
        /// What it says.
        found: u32,
    },
    /// A list has another length than the season, or this build's histogram and bands, call for.
    Length {
        /// Which list.
        what: &'static str,
        /// What it should have.
        expected: usize,
        /// What it has.
        found: usize,
    },
    /// A number is not finite, or below what it may be.
    Number {
        /// Which.
        what: &'static str,
    },
}

impl std::fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version { found } => write!(f, "state of version {found}, expected version {VERSION}"),
            Self::Length { what, expected, found } => write!(f, "{what} of {found} numbers, expected {expected}"),
            Self::Number { what } => write!(f, "{what} is not a number in its range"),
        }
    }
}

impl std::error::Error for SnapshotError {}

impl Streaming {
    /// The state as plain data.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let known = |value: &f64| value.is_finite().then_some(*value);
        let numbers = [self.level, self.level_error, self.last_error, self.seasonal_error, self.last, self.lowest];
        Snapshot {
            version: VERSION,
            season: self.season,
            seen: self.seen,
            ring: self.ring.iter().map(known).collect(),
            numbers: numbers.iter().map(known).collect(),
            unit: self.unit,
            weight: self.weight,
            histogram: self.histogram.clone(),
            flat: self.flat.iter().map(known).collect(),
            bands: self.bands.iter().map(BandSnapshot::from).collect(),
        }
    }

    /// The state that [`Streaming::snapshot`] gave; it goes on exactly as if nothing had happened.
    ///
    /// # Errors
    /// If another version wrote it, or lists or numbers do not fit together. Nothing is guessed.
    pub fn restore(snapshot: &Snapshot) -> Result<Self, SnapshotError> {
        let Snapshot { version, season, seen, ring, numbers, unit, weight, histogram, flat, bands } = snapshot;
        if *version != VERSION {
            return Err(SnapshotError::Version { found: *version });
        }
        // The ring is as long as the season says, so a season out of range is found before it is allocated.
        same_length("ring", (*season).max(1), ring.len())?;
        let empty = Self::new(*season, *unit);
        same_length("numbers", 6, numbers.len())?;
        same_length("histogram", BUCKETS, histogram.len())?;
        same_length("flat", empty.flat.len(), flat.len())?;
        same_length("bands", empty.bands.len(), bands.len())?;
        let number_or = |what, value: Option<f64>, unknown: f64| value.map_or(Ok(unknown), |v| number(what, v, true));
        let all = |what, values: &[Option<f64>]| -> Result<Vec<f64>, SnapshotError> {
            values.iter().map(|&value| number_or(what, value, f64::NAN)).collect()
        };
        let bands = bands.iter().map(BandSnapshot::read);
        Ok(Self {
            season: (*season).max(1),
            seen: *seen,
            ring: all("ring", ring)?,
            level: number_or("level", numbers[0], f64::NAN)?,
            level_error: number_or("level error", numbers[1], f64::NAN)?,
            last_error: number_or("last value's error", numbers[2], f64::NAN)?,
            seasonal_error: number_or("season's error", numbers[3], f64::NAN)?,
            last: number_or("last value", numbers[4], f64::NAN)?,
            lowest: number_or("lowest value", numbers[5], f64::INFINITY)?,
            unit: number("unit", *unit, *unit > 0.0)?,
            weight: number("weight", *weight, *weight > 0.0)?,
            histogram: histogram.iter().map(|&w| number("histogram", w, w >= 0.0)).collect::<Result<_, _>>()?,
            flat: all("flat", flat)?,
            bands: bands.collect::<Result<_, _>>()?,
        })
    }
}

impl From<&Band> for BandSnapshot {
    fn from(band: &Band) -> Self {
        let ErrorBand { scale, seen, quantiles } = &band.errors;
        let scales = [band.flat_error, band.seasonal_error, *scale];
        Self { seen: *seen, scales, quantiles: quantiles.clone() }
    }
}

impl BandSnapshot {
    fn read(&self) -> Result<Band, SnapshotError> {
        same_length("quantiles", LEVELS.len(), self.quantiles.len())?;
        self.quantiles.iter().try_for_each(|&q| number("quantiles", q, true).map(drop))?;
        self.scales.iter().try_for_each(|&scale| number("scales", scale, scale >= 0.0).map(drop))?;
        let [flat_error, seasonal_error, scale] = self.scales;
        Ok(Band {
            flat_error,
            seasonal_error,
            errors: ErrorBand { scale, seen: self.seen, quantiles: self.quantiles.clone() },
        })
    }
}

fn number(what: &'static str, value: f64, fits: bool) -> Result<f64, SnapshotError> {
    if fits && value.is_finite() { Ok(value) } else { Err(SnapshotError::Number { what }) }
}

fn same_length(what: &'static str, expected: usize, found: usize) -> Result<(), SnapshotError> {
    if expected == found { Ok(()) } else { Err(SnapshotError::Length { what, expected, found }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![5 => -10.0..100.0, 1 => Just(f64::NAN), 1 => Just(0.0)]
    }

    /// As bits, so that NaN equals itself.
    fn bits(state: &Streaming) -> String {
        format!("{state:?}")
    }

    proptest! {
        #[test]
        fn what_is_restored_goes_on_as_if_nothing_had_happened(
            season in 0_usize..40,
            before in prop::collection::vec(value(), 0..200),
            after in prop::collection::vec(value(), 1..100),
        ) {
            let mut kept = Streaming::new(season, 3.0);
            for &v in &before {
                kept.update(v);
            }
            let mut restored = Streaming::restore(&kept.snapshot()).unwrap();
            prop_assert_eq!(bits(&restored), bits(&kept));
            for &v in &after {
                kept.update(v);
                restored.update(v);
            }
            prop_assert_eq!(bits(&restored), bits(&kept));
            prop_assert_eq!(restored.quantiles(9, &[0.1, 0.9]), kept.quantiles(9, &[0.1, 0.9]));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_reason() {
        let mut state = Streaming::new(24, 1.0);
        (0..60).for_each(|t| state.update(f64::from(t % 24)));
        let sound = state.snapshot();
        let refused = |change: fn(&mut Snapshot)| {
            let mut snapshot = sound.clone();
            change(&mut snapshot);
            Streaming::restore(&snapshot).unwrap_err()
        };
        assert_eq!(refused(|s| s.version = 9), SnapshotError::Version { found: 9 });
        let length = |what, expected, found| SnapshotError::Length { what, expected, found };
        assert_eq!(refused(|s| s.season = 23), length("ring", 23, 24));
        assert_eq!(refused(|s| s.season = usize::MAX), length("ring", usize::MAX, 24));
        assert_eq!(refused(|s| s.histogram.truncate(3)), length("histogram", BUCKETS, 3));
        assert_eq!(refused(|s| s.bands.truncate(1)), length("bands", 5, 1));
        assert_eq!(refused(|s| s.bands[0].quantiles.truncate(1)), length("quantiles", LEVELS.len(), 1));
        let number = |what| SnapshotError::Number { what };
        assert_eq!(refused(|s| s.ring[3] = Some(f64::NAN)), number("ring"));
        assert_eq!(refused(|s| s.numbers[0] = Some(f64::INFINITY)), number("level"));
        assert_eq!(refused(|s| s.weight = 0.0), number("weight"));
        assert_eq!(refused(|s| s.bands[0].scales[1] = -1.0), number("scales"));
        assert_eq!(refused(|s| s.version = 2).to_string(), "state of version 2, expected version 1");
    }
}
