//! What the templates show: texts and pictures, nothing left to compute. Charts are markup, all else is escaped.

mod cost;
mod coverage;
mod forecasts;
mod inputs;
mod marks;
mod models;
mod nodes;
mod scores;
mod summary;
mod trust;
mod undone;
mod workloads;

use serde::Serialize;

pub(super) use forecasts::ForecastPage;

use crate::document::PlanDocument;
use crate::domain::Run;

/// The page.
#[derive(Serialize)]
pub(super) struct Page {
    summary: summary::Summary,
    cost: cost::Cost,
    nodes: nodes::Nodes,
    workloads: workloads::Workloads,
    models: models::Models,
    trust: trust::ForecastTrust,
    undone: undone::Undone,
    inputs: inputs::Inputs,
}

impl Page {
    pub(super) fn of(run: &Run) -> Self {
        let document = PlanDocument::from_run(run);
        Self {
            summary: summary::Summary::of(run, &document),
            cost: cost::Cost::of(&document),
            nodes: nodes::Nodes::of(&document),
            workloads: workloads::Workloads::of(run, &document),
            models: models::Models::of(run, &document),
            trust: trust::ForecastTrust::of(&document),
            undone: undone::Undone::of(run, &document),
            inputs: inputs::Inputs::of(run),
        }
    }
}
