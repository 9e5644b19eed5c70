//! How good forecasts were, measured against what followed.

use serde::{Deserialize, Serialize};

/// A method that is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Method {
    /// Plimsoll's forecast.
    Plimsoll,
    /// The last season again; its quantiles are moved by those of its own past errors.
    SeasonalNaive,
    /// The last value again; its quantiles are moved by those of its own past errors.
    LastValue,
    /// The last value, seasonally adjusted where a test finds a season (Makridakis et al. 2020): OWA's unit. It has no
    /// quantiles.
    Naive2,
}

impl Method {
    /// All of them, ours first.
    pub const ALL: [Self; 4] = [Self::Plimsoll, Self::SeasonalNaive, Self::LastValue, Self::Naive2];

    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plimsoll => "Plimsoll",
            Self::SeasonalNaive => "seasonal naive",
            Self::LastValue => "last value",
            Self::Naive2 => "Naive2",
        }
    }
}

/// What is measured; less is better for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// Symmetric mean absolute percentage error, 0..=200.
    Smape,
    /// Mean absolute scaled error; the scale is the mean absolute seasonal difference of the history.
    Mase,
    /// Half of sMAPE over Naive2's and half of MASE over Naive2's, means over the series first.
    Owa,
    /// Mean scaled interval score of the central 95 % interval.
    Msis,
    /// Weighted quantile loss over the levels .1, .5, .9, .95 and .99.
    WeightedQuantileLoss,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Smape, Self::Mase, Self::Owa, Self::Msis, Self::WeightedQuantileLoss];

    /// Its usual short name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Smape => "sMAPE",
            Self::Mase => "MASE",
            Self::Owa => "OWA",
            Self::Msis => "MSIS",
            Self::WeightedQuantileLoss => "WQL",
        }
    }
}

/// A figure with the range in which it lies for 95 of 100 fleets drawn from this one (bootstrap over series).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Lower and upper end; `None` where there is one series only.
    pub range: Option<(f64, f64)>,
}

impl Estimate {
    /// Whether the range tells it from `value`; without a range it does not.
    #[must_use]
    pub fn differs_from(&self, value: f64) -> bool {
        self.range.is_some_and(|(low, high)| value < low || value > high)
    }
}

/// One method's scores over the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MethodScores {
    /// The method.
    pub method: Method,
    /// One a measure that could be taken.
    pub scores: Vec<(Measure, Estimate)>,
}

impl MethodScores {
    /// The score by this measure, if it could be taken.
    #[must_use]
    pub fn get(&self, measure: Measure) -> Option<Estimate> {
        self.scores.iter().find(|(m, _)| *m == measure).map(|(_, estimate)| *estimate)
    }
}

/// Our score over another method's: below 1 is better. It is noise where the range holds 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The measure.
    pub measure: Measure,
    /// The other method.
    pub than: Method,
    /// Ratio of the fleet's means.
    pub ratio: Estimate,
    /// Geometric mean of the series' own ratios: every series counts alike, whatever its size.
    pub geometric: Option<Estimate>,
}

impl Comparison {
    /// Whether the difference is no more than chance over series.
    #[must_use]
    pub fn is_noise(&self) -> bool {
        !self.ratio.differs_from(1.0)
    }
}

/// How often the truth stayed at or below a quantile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// The share promised.
    pub level: f64,
    /// The share measured, mean over the series.
    pub measured: Estimate,
    /// What one series in ten stays below, and one in ten lies above.
    pub deciles: (f64, f64),
}

/// One series' scores, means over its windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeriesScores {
    /// The series.
    pub series: String,
    /// Windows scored.
    pub windows: usize,
    /// (method, measure, score) of each that could be taken; OWA is the fleet's alone.
    pub scores: Vec<(Method, Measure, f64)>,
    /// (level, share of the truth at or below our quantile).
    pub coverage: Vec<(f64, f64)>,
}

/// What the forecasts were held against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Against {
    /// Stretches of the data itself that were held back.
    RollingOrigins {
        /// Origins, the last a horizon before the end.
        origins: usize,
        /// Steps between them.
        every_steps: usize,
    },
    /// What followed, from another file.
    Truth {
        /// Its name.
        file: String,
    },
}

/// The scores of a fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scoreboard {
    /// Against what.
    pub against: Against,
    /// Steps ahead.
    pub horizon_steps: usize,
    /// Season in steps of the naive methods and of MASE's scale; 1 is none.
    pub season: usize,
    /// Series scored.
    pub series: usize,
    /// Series that are too short, or constant, to be scored.
    pub left_out: usize,
    /// Windows scored, all series together.
    pub windows: usize,
    /// Draws of the bootstrap, and its seed.
    pub resamples: usize,
    /// The seed.
    pub seed: u64,
    /// Ours first.
    pub methods: Vec<MethodScores>,
    /// Ours against each other method.
    pub comparisons: Vec<Comparison>,
    /// Coverage of our quantiles, lowest level first.
    pub coverage: Vec<Coverage>,
    /// Share of the truth inside our central 95 % interval.
    pub interval_coverage: Option<Estimate>,
    /// The same as `coverage` for the maximum over the lead time.
    pub peak_coverage: Vec<Coverage>,
    /// Steps of the lead time.
    pub lead_steps: usize,
    /// One a series scored.
    pub each: Vec<SeriesScores>,
}
