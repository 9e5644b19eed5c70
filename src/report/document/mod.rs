//! A plan as a document: the versioned contract that `plan -o json` writes and `explain` reads back.
//!
//! Fields are camelCase and only ever added. Amounts are Kubernetes quantities (`300m`, `128Mi`), prices are a
//! currency unit an hour, shares are 0..1, times RFC 3339 in UTC. What is not known is `null` or left out.

mod compare;
mod earlier;
mod forecasts;
mod from_run;
mod outlook;
mod parse;
mod quantities;
mod schedule;
mod steps;

use serde::{Deserialize, Serialize};

pub use self::compare::{Comparison, NodeDifference, Pair, RuleDifference, WorkloadDifference};
pub use self::forecasts::{ForecastDocument, PeakQuantile};
pub(crate) use self::outlook::instant_ms;
pub use self::outlook::{
    ContentionDocument, LossKind, PackingDocument, ScenarioDocument, ShortfallDocument, WorstNode,
};
pub use self::parse::parse;
pub use self::quantities::Quantities;
pub use self::schedule::{InstantDocument, NodeChangeDocument, ReplicasDocument, ScheduleDocument};
pub use self::steps::{ActionDocument, DeferredDocument, StepsDocument, WaveDocument};
use crate::domain::earlier::Kept;
use crate::domain::outlook::LeadTime;
use crate::domain::plan::{Binding, Conflict, CostParts, NodeState, Placement, Preempted, Removal, Stopped, Unplaced};
use crate::domain::{CapacityType, PriceSource, Run};

/// The `apiVersion` of every document.
pub const API_VERSION: &str = "plimsoll.dev/v1alpha1";
/// The `kind` of a plan.
pub const KIND: &str = "CapacityPlan";

/// A plan with everything needed to explain it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanDocument {
    /// [`API_VERSION`].
    pub api_version: String,
    /// [`KIND`].
    pub kind: String,
    /// How the plan came about.
    #[serde(default)]
    pub provenance: ProvenanceDocument,
    /// The policy it was made under.
    #[serde(default)]
    pub policy: PolicyDocument,
    /// The cluster as it stood.
    #[serde(default)]
    pub cluster: ClusterDocument,
    /// What it keeps of the plan it was begun from; left out where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// What is proven.
    pub certificate: CertificateDocument,
    /// Every workload, sorted by id.
    pub workloads: Vec<WorkloadDocument>,
    /// Every node that stands or is proposed, sorted by name.
    pub nodes: Vec<NodeDocument>,
    /// Every pod that has a node when the plan is done.
    pub placements: Vec<Placement>,
    /// Running pods that go because their workload shrinks.
    #[serde(default)]
    pub removals: Vec<Removal>,
    /// Running pods that are stopped to make room for others of higher priority; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preempted: Vec<Preempted>,
    /// Pods that have no node when the plan is done.
    pub unplaced: Vec<Unplaced>,
    /// Pods that have no node now, and why, whatever the plan does with them.
    #[serde(default)]
    pub pending: Vec<Unplaced>,
    /// Rules that bind, most valuable first.
    #[serde(default)]
    pub binding: Vec<Binding>,
    /// Rules that together leave pods without a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Conflict>,
    /// The way there.
    #[serde(default)]
    pub steps: StepsDocument,
    /// How nodes are filled by what pods use; left out of plans packed by requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packing: Option<PackingDocument>,
    /// What is left when nodes are lost together: each zone, then each spot offer in each zone.
    #[serde(default)]
    pub scenarios: Vec<ScenarioDocument>,
    /// Capacity over the horizon; left out where the policy asks for one instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleDocument>,
    /// How the lead time came about.
    #[serde(default)]
    pub lead_time: LeadTime,
    /// What was expected, one a workload and signal.
    #[serde(default)]
    pub forecasts: Vec<ForecastDocument>,
}

impl PlanDocument {
    /// The document of a run. Numbers are rounded to what outlives a copy: prices and shares to six decimals.
    #[must_use]
    pub fn from_run(run: &Run) -> Self {
        from_run::document(run)
    }

    /// Indented JSON with a line feed at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings, finite numbers, lists and maps with string keys: nothing that JSON cannot hold.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_else(|error| error.to_string());
        text.push('\n');
        text
    }

    /// YAML of the same fields.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).unwrap_or_else(|error| error.to_string())
    }

    /// The sentences' point in time: when the plan was made, 0 where it does not say.
    #[must_use]
    pub fn made_at_ms(&self) -> i64 {
        instant_ms(&self.provenance.generated_at)
    }

    /// Nodes that stand now.
    pub fn nodes_now(&self) -> impl Iterator<Item = &NodeDocument> {
        self.nodes.iter().filter(|node| node.state != NodeState::Add)
    }

    /// Nodes that stand when the plan is done.
    pub fn nodes_then(&self) -> impl Iterator<Item = &NodeDocument> {
        self.nodes.iter().filter(|node| node.state != NodeState::Remove)
    }

    /// Pods without a node when the plan is done.
    #[must_use]
    pub fn unplaced_pods(&self) -> usize {
        self.unplaced.iter().map(|unplaced| unplaced.count as usize).sum()
    }
}

/// How a plan came about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProvenanceDocument {
    /// Version of Plimsoll.
    pub version: String,
    /// The command line.
    pub command: String,
    /// Input files with their size.
    pub inputs: Vec<String>,
    /// When it ran, RFC 3339.
    pub generated_at: String,
}

/// The policy a plan was made under.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyDocument {
    /// Its name.
    pub name: String,
    /// The file, or `built-in`.
    pub source: String,
    /// How far Plimsoll may go.
    pub mode: crate::domain::policy::Mode,
    /// Running pods that may move at most.
    pub max_moves: Option<usize>,
    /// The window of the peak, seconds.
    pub lead_time_seconds: u32,
}

/// The cluster as it stood.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterDocument {
    /// Newest time in the dump, RFC 3339.
    pub taken_at: Option<String>,
    /// Nodes.
    pub nodes: usize,
    /// Pods that hold or want resources.
    pub pods: usize,
    /// Pods without a node.
    pub pending_pods: usize,
    /// Objects of kinds not read, counted by kind.
    pub ignored_kinds: std::collections::BTreeMap<String, usize>,
    /// What was odd in the input but not fatal.
    pub warnings: Vec<String>,
}

/// What is proven about a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateDocument {
    /// Cost an hour: nodes, risk, change and unplaced pods.
    pub cost_per_hour: f64,
    /// No plan under the same policy can cost less.
    pub bound_per_hour: f64,
    /// (cost − bound) / cost.
    pub gap: f64,
    /// The part of the gap between the bound and the pool-level plan.
    pub model_gap: f64,
    /// The part of the gap from placing on concrete nodes.
    pub packing_gap: f64,
    /// Every hard rule holds for every placed pod.
    pub feasible: bool,
    /// Why the search ended.
    pub stopped: Stopped,
    /// Rules met in the input that the model does not represent.
    pub unmodelled_rules: Vec<String>,
    /// Price of pods that no node and no offer can hold; part of no cost and not of the bound.
    #[serde(default)]
    pub unplaceable_per_hour: f64,
    /// Parts of the cost.
    #[serde(default)]
    pub cost: CostParts,
    /// Cost of changing nothing.
    #[serde(default)]
    pub cost_now: CostParts,
    /// Whether changing nothing keeps every hard rule and leaves no pod unplaced.
    #[serde(default)]
    pub now_feasible: bool,
    /// Listed or estimated prices.
    #[serde(default = "listed")]
    pub prices: PriceSource,
    /// What the checker found broken.
    #[serde(default)]
    pub violations: Vec<String>,
    /// Largest probability over the nodes that the pods of one want more CPU than it has; left out of plans packed by
    /// requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contention: Option<f64>,
}

fn listed() -> PriceSource {
    PriceSource::Listed
}

/// What becomes of one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadDocument {
    /// Namespace.
    pub namespace: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Replicas now.
    pub replicas_now: u32,
    /// Replicas proposed.
    pub replicas: u32,
    /// Requests of one pod now.
    #[serde(default)]
    pub requests_now: Quantities,
    /// Requests of one pod proposed.
    pub requests: Quantities,
    /// Probability that the objective is broken within the lead time; `null` where nothing was measured.
    pub risk: Option<f64>,
    /// The same for what stands now.
    #[serde(default)]
    pub risk_now: Option<f64>,
    /// Why, in a sentence.
    pub why: String,
    /// The policy's target that selects it.
    #[serde(default)]
    pub target: Option<String>,
    /// Replicas that move to another node.
    #[serde(default)]
    pub moves: u32,
    /// What an hour of the resources it gives back is worth; negative where it takes more. Resources are valued at
    /// the policy's estimated prices, so this ranks workloads; the saving itself is in the certificate.
    #[serde(default)]
    pub released_per_hour: f64,
}

impl WorkloadDocument {
    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// `Kind/name`, as placements name their workload.
    #[must_use]
    pub fn kind_and_name(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// Whether the plan changes its replicas or requests.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.replicas != self.replicas_now || self.requests != self.requests_now
    }
}

/// What becomes of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeDocument {
    /// Name.
    pub name: String,
    /// Offer.
    pub offer: String,
    /// Zone; empty where it has none.
    pub zone: String,
    /// Spot or on-demand.
    pub capacity_type: CapacityType,
    /// What becomes of it.
    pub state: NodeState,
    /// Price an hour.
    pub price_per_hour: f64,
    /// What pods may ask for.
    #[serde(default)]
    pub allocatable: Quantities,
    /// Asked for now.
    #[serde(default)]
    pub used_now: Quantities,
    /// Asked for when the plan is done.
    #[serde(default)]
    pub used: Quantities,
    /// How likely its pods want more CPU than it has; left out of plans packed by requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contention: Option<ContentionDocument>,
}
