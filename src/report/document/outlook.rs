//! What a plan says beyond its instant, as documents.

use serde::{Deserialize, Serialize};

use super::from_run::rounded;
use crate::domain::outlook::{Contention, Loss, Packing, Scenario};
use crate::format;

/// How nodes are filled by what pods use, and how likely pods contend for CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackingDocument {
    /// `usage`; plans packed by requests have no such part.
    pub by: String,
    /// Stretches that the horizon is cut into.
    pub buckets: usize,
    /// Probability of contention that the policy allows.
    pub limit: f64,
    /// What the probabilities take for granted: `demandsRiseTogether`, each workload at its own quantile of one level.
    pub assumes: String,
    /// The node where it is most likely; `null` where there is no node.
    pub worst: Option<WorstNode>,
}

/// The node where contention is most likely.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorstNode {
    /// Its name.
    pub node: String,
    /// How likely, and when.
    #[serde(flatten)]
    pub contention: ContentionDocument,
}

/// How likely the pods of a node want more CPU than it has within its worst stretch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContentionDocument {
    /// 0..=1.
    pub probability: f64,
    /// Start of the stretch, RFC 3339.
    pub start: String,
    /// Its end.
    pub end: String,
}

/// What is left of the plan when nodes are lost together, nothing being bought or moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScenarioDocument {
    /// What is lost.
    pub kind: LossKind,
    /// The zone; empty where it has none.
    pub zone: String,
    /// The spot offer, if only its nodes are lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<String>,
    /// Nodes lost.
    pub nodes: usize,
    /// Pods on them, without those of `DaemonSet`s.
    pub pods: usize,
    /// Those of them that find no room on the nodes left.
    pub waiting: usize,
    /// How often it is reckoned to happen, an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub losses_per_hour: Option<f64>,
    /// What it is reckoned to cost an hour; part of no other cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_per_hour: Option<f64>,
    /// Workloads left with fewer replicas than they need.
    pub short: Vec<ShortfallDocument>,
}

/// What is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LossKind {
    /// All nodes of a zone.
    ZoneLoss,
    /// All spot nodes of an offer in a zone.
    SpotLoss,
}

/// A workload left with fewer replicas than it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShortfallDocument {
    /// Namespace.
    pub namespace: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Replicas when the plan is done.
    pub replicas: u32,
    /// Replicas that the forecast's peak needs; all of them where nothing tells.
    pub needed: u32,
    /// Replicas that the target's rule on the loss of a zone asks to be left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<u32>,
    /// Replicas left at once.
    pub left_at_once: u32,
    /// Replicas left once those lost have come again where there is room.
    pub left: u32,
}

impl From<&Scenario> for ScenarioDocument {
    fn from(scenario: &Scenario) -> Self {
        let (kind, offer, zone) = match &scenario.loss {
            Loss::Zone { zone } => (LossKind::ZoneLoss, None, zone.clone()),
            Loss::Spot { offer, zone } => (LossKind::SpotLoss, Some(offer.clone()), zone.clone()),
        };
        let short = scenario.short.iter().map(|short| ShortfallDocument {
            namespace: short.workload.namespace.clone(),
            kind: short.workload.kind.clone(),
            name: short.workload.name.clone(),
            replicas: short.replicas,
            needed: short.needed,
            minimum: short.minimum,
            left_at_once: short.left_at_once,
            left: short.left,
        });
        Self {
            kind,
            zone,
            offer,
            nodes: scenario.nodes,
            pods: scenario.pods,
            waiting: scenario.waiting,
            losses_per_hour: scenario.losses_per_hour,
            cost_per_hour: scenario.cost_per_hour.map(rounded),
            short: short.collect(),
        }
    }
}

impl From<&Packing> for PackingDocument {
    fn from(packing: &Packing) -> Self {
        Self {
            by: "usage".to_owned(),
            buckets: packing.buckets,
            limit: packing.limit,
            assumes: "demandsRiseTogether".to_owned(),
            worst: packing
                .worst()
                .map(|(node, contention)| WorstNode { node: node.to_owned(), contention: (&contention).into() }),
        }
    }
}

impl From<&Contention> for ContentionDocument {
    fn from(contention: &Contention) -> Self {
        Self {
            probability: rounded(contention.probability),
            start: format::rfc3339(contention.bucket.start_ms),
            end: format::rfc3339(contention.bucket.end_ms),
        }
    }
}

impl ContentionDocument {
    /// Start and end, milliseconds since the Unix epoch; 0 where a time is none.
    #[must_use]
    pub fn span_ms(&self) -> (i64, i64) {
        (instant_ms(&self.start), instant_ms(&self.end))
    }
}

/// A time in milliseconds since the Unix epoch; 0 where it is none.
pub(crate) fn instant_ms(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond)
}
