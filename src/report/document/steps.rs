//! The waves of a plan in a document: the actions of [`crate::domain::steps`] with quantities as Kubernetes writes them.

use serde::{Deserialize, Serialize};

use super::quantities::Quantities;
use crate::domain::WorkloadId;
use crate::domain::plan::Preemptor;
use crate::domain::steps::{Action, Deferred, Steps, Wave};

/// Waves in order, and what is held back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepsDocument {
    /// The waves.
    pub waves: Vec<WaveDocument>,
    /// What limits hold back for a later plan.
    pub deferred: Vec<DeferredDocument>,
}

/// Actions that may run side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaveDocument {
    /// Seconds it takes at least.
    pub at_least_seconds: f64,
    /// The actions.
    pub actions: Vec<ActionDocument>,
}

/// Something held back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeferredDocument {
    /// The rule that holds it back.
    pub rule: String,
    /// The change.
    #[serde(flatten)]
    pub action: ActionDocument,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "action")]
pub enum ActionDocument {
    /// Buy a node.
    AddNode {
        /// Name the plan gives it.
        node: String,
        /// Offer.
        offer: String,
        /// Zone.
        zone: String,
    },
    /// Change a replica count.
    Scale {
        /// Which workload.
        workload: WorkloadId,
        /// From.
        from_replicas: u32,
        /// To.
        to_replicas: u32,
        /// Pods that go: they get the lowest `controller.kubernetes.io/pod-deletion-cost` first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        going: Vec<String>,
    },
    /// Change requests.
    Resize {
        /// Which workload.
        workload: WorkloadId,
        /// From.
        from_requests: Quantities,
        /// To.
        to_requests: Quantities,
    },
    /// Place a pod that has no node.
    Bind {
        /// Namespace.
        namespace: String,
        /// Pod.
        pod: String,
        /// Node.
        node: String,
    },
    /// Evict a pod so that its successor runs elsewhere.
    Move {
        /// Namespace.
        namespace: String,
        /// Pod.
        pod: String,
        /// From.
        from_node: String,
        /// To.
        to_node: String,
    },
    /// Evict a pod whose successor waits, to make room for one of higher priority.
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
    Cordon {
        /// Node.
        node: String,
    },
    /// Give a node back once it is empty.
    RemoveNode {
        /// Node.
        node: String,
    },
}

impl From<&Action> for ActionDocument {
    fn from(action: &Action) -> Self {
        match action.clone() {
            Action::AddNode { node, offer, zone } => Self::AddNode { node, offer, zone },
            Action::Scale { workload, from, to, going } => {
                Self::Scale { workload, from_replicas: from, to_replicas: to, going }
            }
            Action::Resize { workload, from, to } => {
                Self::Resize { workload, from_requests: (&from).into(), to_requests: (&to).into() }
            }
            Action::Bind { namespace, pod, node } => Self::Bind { namespace, pod, node },
            Action::Move { namespace, pod, from, to } => Self::Move { namespace, pod, from_node: from, to_node: to },
            Action::Preempt { namespace, pod, node, by } => Self::Preempt { namespace, pod, node, by },
            Action::Cordon { node } => Self::Cordon { node },
            Action::RemoveNode { node } => Self::RemoveNode { node },
        }
    }
}

impl From<&Wave> for WaveDocument {
    fn from(wave: &Wave) -> Self {
        Self {
            at_least_seconds: super::from_run::rounded(wave.at_least_s),
            actions: wave.actions.iter().map(ActionDocument::from).collect(),
        }
    }
}

impl From<&Deferred> for DeferredDocument {
    fn from(deferred: &Deferred) -> Self {
        Self { rule: deferred.rule.clone(), action: (&deferred.action).into() }
    }
}

impl From<&Steps> for StepsDocument {
    fn from(steps: &Steps) -> Self {
        Self {
            waves: steps.waves.iter().map(WaveDocument::from).collect(),
            deferred: steps.deferred.iter().map(DeferredDocument::from).collect(),
        }
    }
}

impl StepsDocument {
    /// Pods that are evicted so that their successors run elsewhere.
    #[must_use]
    pub fn moves(&self) -> usize {
        let actions = self.waves.iter().flat_map(|wave| &wave.actions);
        actions.filter(|action| matches!(action, ActionDocument::Move { .. })).count()
    }

    /// Pods that are evicted to make room for others.
    #[must_use]
    pub fn preemptions(&self) -> usize {
        let actions = self.waves.iter().flat_map(|wave| &wave.actions);
        actions.filter(|action| matches!(action, ActionDocument::Preempt { .. })).count()
    }
}
