//! One planning run: everything that went in and came out, for reports.

use super::catalog::Catalog;
use super::earlier::Kept;
use super::forecast::Forecast;
use super::menu::Menu;
use super::orchestration::Orchestration;
use super::outlook::Outlook;
use super::plan::Plan;
use super::policy::Policy;
use super::scores::Scoreboard;
use super::series::Series;
use super::snapshot::Snapshot;
use super::steps::Steps;

/// One planning run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The cluster as it stands.
    pub snapshot: Snapshot,
    /// What can be bought.
    pub catalog: Catalog,
    /// What the owner wants.
    pub policy: Policy,
    /// Workload-level measurements; `None` without metrics.
    pub series: Option<Series>,
    /// Forecasts of workload-level signals; empty without metrics.
    pub forecasts: Vec<Forecast>,
    /// The five models of each workload; empty without metrics.
    pub orchestration: Vec<Orchestration>,
    /// The choices.
    pub menus: Vec<Menu>,
    /// The decision.
    pub plan: Plan,
    /// What it keeps of the plan it was begun from; `None` where there was none.
    pub kept: Option<Kept>,
    /// How to get there.
    pub steps: Steps,
    /// What is said of it beyond the instant it is made for.
    pub outlook: Outlook,
    /// How to run it again.
    pub provenance: Provenance,
}

/// Forecasts of series, and what they were made from.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastReport {
    /// The past.
    pub series: Series,
    /// One a row.
    pub forecasts: Vec<Forecast>,
    /// How such forecasts did, where that was asked.
    pub scores: Option<Scoreboard>,
    /// How to run it again.
    pub provenance: Provenance,
}

/// How a run came about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Version of Plimsoll.
    pub version: String,
    /// The command line, words quoted where needed.
    pub command: String,
    /// Input files with their size, e.g. `metrics  data/metrics.parquet  1.6 MiB`.
    pub inputs: Vec<String>,
    /// When it ran.
    pub generated_at_ms: i64,
}
