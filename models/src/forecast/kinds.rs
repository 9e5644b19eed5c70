//! Which series of a fleet are kin.
//!
//! A series whose weekends differ from its weekdays wants other coefficients than one whose days are all alike, and one
//! regression over both serves neither. So the fleet is cut into kinds of equal size by how much changes from week to week
//! beside what changes from day to day.

use super::scores::seasonal_scale;

/// Kinds, and series that each must have. On validation windows of M4's last 336 hours 1, 4, 6 and 8 kinds erred by 0.785,
/// 0.753, 0.762 and 0.752, with all of the history by 0.688, 0.675, 0.676 and 0.676.
const MOST_KINDS: usize = 4;
const SERIES_OF_A_KIND: usize = 16;

/// Kinds of series by their ratio of changes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kinds {
    /// The seasons compared; none in a fleet that has but one.
    seasons: Option<(usize, usize)>,
    /// Rising; kind k lies between bounds k − 1 and k.
    bounds: Vec<f64>,
}

impl Kinds {
    /// Of a fleet that shares `seasons`, shortest first. One kind where there are too few series, or one season.
    pub(super) fn of(fleet: impl Iterator<Item = impl AsRef<[f64]>>, seasons: &[usize]) -> Self {
        let seasons = if let [day, week, ..] = *seasons { Some((day, week)) } else { None };
        let mut ratios: Vec<f64> = fleet.filter_map(|values| ratio(values.as_ref(), seasons?)).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let count = (ratios.len() / SERIES_OF_A_KIND).min(MOST_KINDS);
        // Midway between neighbours, so that rounding moves none of the fleet to another kind.
        let between = |at: usize| 0.5 * (ratios[at - 1] + ratios[at]);
        Self { seasons, bounds: (1..count).map(|k| between(k * ratios.len() / count)).collect() }
    }

    /// How many there are, at least 1.
    pub(super) fn count(&self) -> usize {
        self.bounds.len() + 1
    }

    /// The kind of a series, below [`Kinds::count`]; `None` for one too short to tell.
    pub(super) fn of_series(&self, values: &[f64]) -> Option<usize> {
        let ratio = ratio(values, self.seasons?)?;
        Some(self.bounds.partition_point(|bound| *bound <= ratio))
    }
}

/// Mean absolute change over the longer season, over that of the shorter. No unit matters to it.
fn ratio(values: &[f64], (short, long): (usize, usize)) -> Option<f64> {
    Some(seasonal_scale(values, long)? / seasonal_scale(values, short)?)
}

#[cfg(test)]
mod tests {
    use super::super::anomalies::tests::load;
    use super::*;

    #[test]
    fn series_with_weekends_are_told_from_those_without() {
        let alike = |seed: u64| -> Vec<f64> {
            load(seed).iter().enumerate().map(|(t, v)| if (t / 24) % 7 >= 5 { v / 0.7 } else { *v }).collect()
        };
        let fleet: Vec<Vec<f64>> = (0..32).map(|seed| if seed % 2 == 0 { load(seed) } else { alike(seed) }).collect();
        let kinds = Kinds::of(fleet.iter(), &[24, 168]);
        assert_eq!(kinds.count(), 2);
        for (seed, values) in fleet.iter().enumerate() {
            let scaled: Vec<f64> = values.iter().map(|v| 5.0 * v - 3.0).collect();
            assert_eq!(kinds.of_series(values), Some(seed % 2), "series {seed}");
            assert_eq!(kinds.of_series(&scaled), Some(seed % 2), "series {seed}, another unit");
        }
        assert_eq!(kinds.of_series(&fleet[0][..100]), None, "too short");
    }

    #[test]
    fn small_fleets_and_fleets_of_one_season_are_of_one_kind() {
        let fleet: Vec<Vec<f64>> = (0..31).map(load).collect();
        let all = || fleet.iter();
        assert_eq!(Kinds::of(all(), &[24, 168]).count(), 1);
        let one_season = Kinds::of(all().chain(all()), &[24]);
        assert_eq!((one_season.count(), one_season.of_series(&fleet[0])), (1, None));
    }
}
