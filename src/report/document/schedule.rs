//! Capacity over the horizon, as a document.

use serde::{Deserialize, Serialize};

use super::from_run::rounded;
use crate::domain::CapacityType;
use crate::domain::outlook::{Instant, Schedule};
use crate::format;

/// Capacity over the horizon, instant by instant, from the cluster that the plan leaves behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleDocument {
    /// Cost over the horizon: hours of nodes, risk and pods without a node, each move and node change once.
    pub cost: f64,
    /// No schedule of these instants can cost less.
    pub bound: f64,
    /// (cost − bound) / cost.
    pub gap: f64,
    /// Nodes given back although one like them is bought again before the saving pays for both changes.
    pub regretted: usize,
    /// The instants, one after another.
    pub instants: Vec<InstantDocument>,
}

/// One instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstantDocument {
    /// Its start, RFC 3339.
    pub start: String,
    /// Its end.
    pub end: String,
    /// Nodes that stand.
    pub nodes: usize,
    /// What they cost an hour.
    pub nodes_per_hour: f64,
    /// Nodes bought and given back at its start.
    pub changes: Vec<NodeChangeDocument>,
    /// Workloads with more or fewer replicas than in the instant before.
    pub replicas: Vec<ReplicasDocument>,
    /// Pods without a node.
    pub unplaced: usize,
    /// Whether every hard rule is kept.
    pub feasible: bool,
    /// What it costs at least by itself, over its hours.
    pub bound: f64,
}

/// Nodes of one kind that come and go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeChangeDocument {
    /// Offer.
    pub offer: String,
    /// Zone; empty where it has none.
    pub zone: String,
    /// Spot or on-demand.
    pub capacity_type: CapacityType,
    /// Bought.
    pub bought: usize,
    /// Given back.
    pub given_back: usize,
}

/// A workload's replicas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicasDocument {
    /// Namespace.
    pub namespace: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Replicas.
    pub replicas: u32,
}

impl From<&Schedule> for ScheduleDocument {
    fn from(schedule: &Schedule) -> Self {
        let gap = if schedule.cost > 0.0 { (schedule.cost - schedule.bound) / schedule.cost } else { 0.0 };
        Self {
            cost: rounded(schedule.cost),
            bound: rounded(schedule.bound),
            gap: rounded(gap.max(0.0)),
            regretted: schedule.regretted,
            instants: schedule.instants.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Instant> for InstantDocument {
    fn from(instant: &Instant) -> Self {
        let changes = instant.changes.iter().map(|change| NodeChangeDocument {
            offer: change.offer.clone(),
            zone: change.zone.clone(),
            capacity_type: change.capacity_type,
            bought: change.bought,
            given_back: change.given_back,
        });
        let replicas = instant.replicas.iter().map(|(id, replicas)| ReplicasDocument {
            namespace: id.namespace.clone(),
            kind: id.kind.clone(),
            name: id.name.clone(),
            replicas: *replicas,
        });
        Self {
            start: format::rfc3339(instant.bucket.start_ms),
            end: format::rfc3339(instant.bucket.end_ms),
            nodes: instant.nodes,
            nodes_per_hour: rounded(instant.nodes_per_hour),
            changes: changes.collect(),
            replicas: replicas.collect(),
            unplaced: instant.unplaced,
            feasible: instant.feasible,
            bound: rounded(instant.bound),
        }
    }
}
