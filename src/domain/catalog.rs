//! Node offers: what can be bought, where, and at what price.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::resources::Resources;
use super::rules::{Labels, Taint};

/// Whether the provider may take the node back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityType {
    /// Paid by the hour, kept as long as wanted.
    #[default]
    OnDemand,
    /// Cheaper, and may be taken back at short notice.
    Spot,
}

impl fmt::Display for CapacityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
        })
    }
}

/// Where the prices come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PriceSource {
    /// Stated by the owner's catalog.
    Listed,
    /// Estimated from the node's resources, because nobody stated them.
    Estimated,
}

/// What can be bought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    /// Name.
    pub name: String,
    /// Where the prices come from.
    pub prices: PriceSource,
    /// Offers; names are unique.
    pub offers: Vec<NodeOffer>,
}

/// One type of node, in the zones it is sold in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeOffer {
    /// Name: matches the instance type label of nodes that exist.
    pub name: String,
    /// Zones it is sold in; never empty (one empty name where the cluster has no zones).
    pub zones: Vec<String>,
    /// Spot or on-demand.
    pub capacity_type: CapacityType,
    /// Price an hour, ≥ 0.
    pub price_per_hour: f64,
    /// What pods may ask for, `pods` included, before DaemonSets take their part.
    pub allocatable: Resources,
    /// Labels a new node gets, without zone and host name, which are added for each node.
    pub labels: Labels,
    /// Taints a new node gets.
    pub taints: Vec<Taint>,
    /// Nodes a zone at most, existing ones included; `None` is no limit.
    pub quota: Option<u32>,
    /// Seconds from asking for the node to its being ready.
    pub boot_time_s: f64,
}
