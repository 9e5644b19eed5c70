//! The plan as an ordered list of waves that budgets allow.

use serde::{Deserialize, Serialize};

use super::plan::Preemptor;
use super::resources::Resources;
use super::snapshot::WorkloadId;

/// Waves in order. Each is feasible while it runs, and is finished before the next begins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Steps {
    /// The waves.
    pub waves: Vec<Wave>,
    /// What the plan wants but the limits hold back for a later plan, each with the rule that holds it.
    pub deferred: Vec<Deferred>,
}

/// Actions that may run side by side.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wave {
    /// The actions.
    pub actions: Vec<Action>,
    /// Seconds it takes at least: boot times, rate limits.
    pub at_least_s: f64,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "action")]
pub enum Action {
    /// Buy a node.
    #[serde(rename_all = "camelCase")]
    AddNode {
        /// Name the plan gives it.
        node: String,
        /// Offer.
        offer: String,
        /// Zone.
        zone: String,
    },
    /// Change a replica count.
    #[serde(rename_all = "camelCase")]
    Scale {
        /// Which workload.
        workload: WorkloadId,
        /// From.
        from: u32,
        /// To.
        to: u32,
        /// Pods that go, of a workload whose controller looks at `controller.kubernetes.io/pod-deletion-cost`: they are to
        /// get the lowest cost before it shrinks, so that those go and not others. Empty where it grows.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        going: Vec<String>,
    },
    /// Change requests.
    #[serde(rename_all = "camelCase")]
    Resize {
        /// Which workload.
        workload: WorkloadId,
        /// From.
        from: Resources,
        /// To.
        to: Resources,
    },
    /// Place a pod that has no node.
    #[serde(rename_all = "camelCase")]
    Bind {
        /// Namespace.
        namespace: String,
        /// Pod.
        pod: String,
        /// Node.
        node: String,
    },
    /// Evict a pod so that its successor runs elsewhere.
    #[serde(rename_all = "camelCase")]
    Move {
        /// Namespace.
        namespace: String,
        /// Pod.
        pod: String,
        /// From.
        from: String,
        /// To.
        to: String,
    },
    /// Evict a pod whose successor waits, to make room for one of higher priority.
    #[serde(rename_all = "camelCase")]
    Preempt {
        /// Namespace.
        namespace: String,
        /// Pod.
        pod: String,
        /// The node it leaves.
        node: String,
        /// Who comes there in a later wave.
        by: Preemptor,
    },
    /// Take no new pods.
    #[serde(rename_all = "camelCase")]
    Cordon {
        /// Node.
        node: String,
    },
    /// Give a node back once it is empty.
    #[serde(rename_all = "camelCase")]
    RemoveNode {
        /// Node.
        node: String,
    },
}

/// Something held back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deferred {
    /// The change.
    pub action: Action,
    /// The rule that holds it back, e.g. `budget shop/node-api`, `targets.web.behavior.scaleDown`.
    pub rule: String,
}
