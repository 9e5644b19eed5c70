//! What keeps a pod off a node, in kube-scheduler's words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why one node does not take a pod; printed in kube-scheduler's words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "reason", content = "resource")]
pub enum Reason {
    /// Cordoned.
    Unschedulable,
    /// A taint that the pod does not tolerate.
    UntoleratedTaint,
    /// The pod's node selector or required node affinity.
    NodeAffinity,
    /// A host port is taken.
    HostPorts,
    /// No pod slot is free.
    TooManyPods,
    /// Too little of this resource is free.
    Insufficient(String),
    /// The pod's required affinity names its nodes, and this is none of them.
    NotNamed,
    /// A disk is in use on the node that pods may not share.
    DiskInUse,
    /// A claim that only one pod may use is in use.
    ClaimInUse,
    /// The node can hold no more volumes of a driver.
    TooManyVolumes,
    /// A claim must be bound before the pod is placed anywhere.
    UnboundClaim,
    /// A bound volume cannot be reached from the node.
    VolumeAffinity,
    /// A volume still to be made cannot be made for the node.
    VolumeToMake,
    /// The labels of a bound volume name another zone or region.
    VolumePlace,
    /// The pods would be spread too unevenly.
    TopologySpread,
    /// The node lacks the label to spread over.
    TopologySpreadLabel,
    /// No pod that must be near is near.
    PodAffinity,
    /// A pod that must not be near is near.
    PodAntiAffinity,
    /// A pod that is near does not want this one near.
    ExistingPodAntiAffinity,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unschedulable => "node(s) were unschedulable",
            Self::UntoleratedTaint => "node(s) had untolerated taint(s)",
            Self::NodeAffinity => "node(s) didn't match Pod's node affinity/selector",
            Self::HostPorts => "node(s) didn't have free ports for the requested pod ports",
            Self::TooManyPods => "Too many pods",
            Self::Insufficient(resource) => return write!(f, "Insufficient {resource}"),
            Self::NotNamed => "node(s) didn't satisfy plugin(s) [NodeAffinity]",
            Self::DiskInUse => "node(s) had no available disk",
            Self::ClaimInUse => {
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by \
                 another pod"
            }
            Self::TooManyVolumes => "node(s) exceed max volume count",
            Self::UnboundClaim => "pod has unbound immediate PersistentVolumeClaims",
            Self::VolumeAffinity => "node(s) didn't match PersistentVolume's node affinity",
            Self::VolumeToMake => "node(s) didn't find available persistent volumes to bind",
            Self::VolumePlace => "node(s) had no available volume zone",
            Self::TopologySpread => "node(s) didn't match pod topology spread constraints",
            Self::TopologySpreadLabel => {
                "node(s) didn't match pod topology spread constraints (missing required label)"
            }
            Self::PodAffinity => "node(s) didn't match pod affinity rules",
            Self::PodAntiAffinity => "node(s) didn't match pod anti-affinity rules",
            Self::ExistingPodAntiAffinity => "node(s) didn't satisfy existing pods anti-affinity rules",
        })
    }
}

/// What the nodes say to one pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Nodes asked.
    pub nodes: usize,
    /// Nodes that would take it.
    pub fitting: usize,
    /// What keeps the pod off and on how many nodes; a node short of several resources counts under each.
    pub reasons: Vec<(Reason, usize)>,
    /// Scheduling gates still closed: until they open no node is asked.
    pub gates: Vec<String>,
}

impl Verdict {
    /// The verdict as kube-scheduler writes it, e.g. `0/6 nodes are available: 2 node(s) had untolerated taint(s),
    /// 4 Insufficient cpu.`; `noun` says what was asked: `nodes`, `offers`.
    #[must_use]
    pub fn sentence(&self, noun: &str) -> String {
        if !self.gates.is_empty() {
            return format!("Scheduling is blocked due to non-empty scheduling gates: {}.", self.gates.join(", "));
        }
        if self.nodes == 0 {
            return format!("no {noun} available to schedule pods.");
        }
        let mut reasons: Vec<String> = self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        // As texts, so that 11 comes before 2: kube-scheduler sorts them so.
        reasons.sort();
        if self.reasons.iter().any(|(reason, _)| *reason == Reason::UnboundClaim) {
            // Found before any node is looked at, so it is not counted.
            reasons = vec![Reason::UnboundClaim.to_string()];
        }
        let head = format!("{}/{} {noun} are available", self.fitting, self.nodes);
        if reasons.is_empty() { format!("{head}.") } else { format!("{head}: {}.", reasons.join(", ")) }
    }
}
