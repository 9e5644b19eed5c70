//! What is said of a plan beyond the instant it is made for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::catalog::CapacityType;
use super::snapshot::WorkloadId;
use super::usage::Bucket;

/// What is said of a plan beyond the instant it is made for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outlook {
    /// How likely pods contend for CPU, where the plan packs by usage.
    pub packing: Option<Packing>,
    /// What is left when nodes are lost together: each zone, then each spot offer in each zone.
    pub scenarios: Vec<Scenario>,
    /// How the lead time came about.
    pub lead_time: LeadTime,
    /// Capacity over the horizon; `None` where the policy asks for one instant.
    pub schedule: Option<Schedule>,
}

/// Capacity over the horizon, instant by instant, from the cluster that the plan leaves behind. Requests stay as the plan
/// sets them.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The instants, one after another.
    pub instants: Vec<Instant>,
    /// Cost over the horizon: the hours of nodes, risk and pods without a node, and each move and node change once.
    pub cost: f64,
    /// No schedule of these instants can cost less: the sum of what each costs at least by itself, whatever stands before it
    /// and with changes for nothing.
    pub bound: f64,
    /// Nodes given back although one like them is bought again before the saving pays for both changes.
    pub regretted: usize,
}

/// One instant of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Instant {
    /// When.
    pub bucket: Bucket,
    /// Nodes that stand.
    pub nodes: usize,
    /// What they cost an hour.
    pub nodes_per_hour: f64,
    /// Nodes bought and given back at its start, by offer, zone and capacity type.
    pub changes: Vec<NodeChange>,
    /// Replicas of the workloads that have more or fewer than in the instant before.
    pub replicas: BTreeMap<WorkloadId, u32>,
    /// Pods without a node.
    pub unplaced: usize,
    /// Whether the independent checker found every hard rule kept.
    pub feasible: bool,
    /// What it costs at least by itself, over its hours.
    pub bound: f64,
}

/// Nodes of one kind that come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeChange {
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

/// How long a plan must hold before what it buys can serve.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeadTime {
    /// What is planned with, seconds.
    pub seconds: u32,
    /// What the policy states, seconds.
    pub stated_seconds: u32,
    /// Until the next decision, seconds.
    pub decision_seconds: u32,
    /// The slowest offer that may be bought; `None` where nothing is.
    pub offer: Option<String>,
    /// How long its node takes to boot, seconds.
    pub boot_seconds: u32,
    /// How long images take to be pulled, seconds.
    pub image_pull_seconds: u32,
}

impl LeadTime {
    /// Whether the policy's is too short for what may be bought, and a longer one is planned with.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.seconds > self.stated_seconds
    }
}

/// Nodes that are lost together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// All nodes of a zone.
    Zone {
        /// The zone.
        zone: String,
    },
    /// All spot nodes of an offer in a zone: the provider takes them back.
    Spot {
        /// The offer.
        offer: String,
        /// The zone; empty where it has none.
        zone: String,
    },
}

/// What is left of the plan when nodes are lost together, nothing being bought or moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What is lost.
    pub loss: Loss,
    /// Nodes lost.
    pub nodes: usize,
    /// Pods on them, without those of `DaemonSet`s.
    pub pods: usize,
    /// Those of them that find no room on the nodes left.
    pub waiting: usize,
    /// How often it is reckoned to happen, an hour; `None` where the policy reckons with no rate.
    pub losses_per_hour: Option<f64>,
    /// What it is reckoned to cost an hour: the rate, times the hours until a new node serves, times the price of a broken
    /// objective of each workload that is short. No part of the plan's cost. `None` where there is no rate.
    pub cost_per_hour: Option<f64>,
    /// Workloads left with fewer replicas than they need, sorted.
    pub short: Vec<Shortfall>,
}

/// A workload left with fewer replicas than it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// Which workload.
    pub workload: WorkloadId,
    /// Replicas when the plan is done.
    pub replicas: u32,
    /// Replicas that the forecast's peak needs; all of them where nothing tells.
    pub needed: u32,
    /// Replicas that must be left by the target's rule on the loss of a zone, if it has one.
    pub minimum: Option<u32>,
    /// Replicas left at once.
    pub left_at_once: u32,
    /// Replicas left once those lost have come again where there is room.
    pub left: u32,
}

/// How likely the pods of one node want more CPU than it has.
///
/// Probabilities are those of demands that rise together: every workload at its own quantile of one common level. Errors
/// of forecasts that are independent contend less often wherever that is less than half of the time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Packing {
    /// What the policy allows.
    pub limit: f64,
    /// Into how many buckets the time that the plan holds is cut.
    pub buckets: usize,
    /// Each node that stands when the plan is done, by name, in its worst bucket.
    pub nodes: BTreeMap<String, Contention>,
}

impl Packing {
    /// The node with the largest probability; `None` where there is no node.
    #[must_use]
    pub fn worst(&self) -> Option<(&str, Contention)> {
        let later = |a: &(&String, &Contention), b: &(&String, &Contention)| {
            a.1.probability.total_cmp(&b.1.probability).then_with(|| b.0.cmp(a.0))
        };
        self.nodes.iter().max_by(later).map(|(name, contention)| (name.as_str(), *contention))
    }
}

/// How likely the pods of a node want more CPU than it has within a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contention {
    /// The probability, 0..=1: never below what the forecasts' highest level can tell, nor below the true one for it.
    pub probability: f64,
    /// When it is largest.
    pub bucket: Bucket,
}
