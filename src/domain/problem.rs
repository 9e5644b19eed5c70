//! The integer program in named parts. Written and read by the room `optimize`; a bug report is one of these in a file.
//!
//! Minimise `constant + Σ cost·value` over the variables, subject to the constraints. Every variable has finite
//! bounds, so any vector of row prices gives a valid lower bound (see `certificate` in the room `optimize`).

use serde::{Deserialize, Serialize};

use super::catalog::CapacityType;
use super::resources::Resources;
use super::snapshot::WorkloadId;

/// The integer program.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Workloads, the first index of [`Quantity`].
    pub groups: Vec<GroupSummary>,
    /// Pools of nodes, the second index of [`Quantity`].
    pub pools: Vec<PoolSummary>,
    /// Variables.
    pub variables: Vec<Variable>,
    /// Constraints.
    pub constraints: Vec<Constraint>,
    /// Part of the cost that no variable changes.
    pub constant: f64,
}

impl Problem {
    /// Constraints that `values` (one a variable) break by more than `tolerance`, bounds of variables included.
    #[must_use]
    pub fn violations(&self, values: &[f64], tolerance: f64) -> Vec<String> {
        let bounds =
            self.variables.iter().zip(values).filter(|(v, x)| **x < v.lower - tolerance || **x > v.upper + tolerance);
        let rows = self.constraints.iter().filter(|row| {
            let activity: f64 = row.terms.iter().map(|(j, a)| a * values.get(*j).copied().unwrap_or(0.0)).sum();
            match row.sense {
                Sense::AtMost => activity > row.right + tolerance,
                Sense::AtLeast => activity < row.right - tolerance,
                Sense::Equal => (activity - row.right).abs() > tolerance,
            }
        });
        bounds.map(|(v, _)| format!("{:?}", v.quantity)).chain(rows.map(|row| row.name.clone())).collect()
    }

    /// Cost of `values` (one a variable).
    #[must_use]
    pub fn cost_of(&self, values: &[f64]) -> f64 {
        self.constant + self.variables.iter().zip(values).map(|(v, x)| v.cost * x).sum::<f64>()
    }
}

/// A workload as the program sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupSummary {
    /// Which workload.
    pub workload: WorkloadId,
    /// Its choices of (replicas, requests of a pod of its current template).
    pub options: Vec<(u32, Resources)>,
}

/// Nodes of one shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoolSummary {
    /// `OFFER/ZONE`, with a number where several pools share it, and `new` before what can be bought.
    pub name: String,
    /// Zone; empty where there is none.
    pub zone: String,
    /// Spot or on-demand.
    pub capacity_type: CapacityType,
    /// Whether its nodes are to be bought.
    pub purchasable: bool,
    /// Nodes that stand now.
    pub standing: u32,
    /// Price of a node an hour.
    pub price_per_hour: f64,
}

/// A variable: `lower ≤ value ≤ upper`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// What it counts.
    pub quantity: Quantity,
    /// Least value, finite.
    pub lower: f64,
    /// Largest value, finite.
    pub upper: f64,
    /// Whole numbers only.
    pub integer: bool,
    /// Cost of one an hour.
    pub cost: f64,
}

/// What a variable counts; numbers index [`Problem::groups`] and [`Problem::pools`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Quantity {
    /// Pods of a group in a pool: those of one template at one size.
    Replicas {
        /// Group.
        group: usize,
        /// Index of the size among the group's distinct ones.
        size: usize,
        /// Index into the snapshot's templates.
        template: usize,
        /// Pool.
        pool: usize,
    },
    /// Nodes of a pool.
    Nodes {
        /// Pool.
        pool: usize,
    },
    /// Whether a group takes an option.
    Choice {
        /// Group.
        group: usize,
        /// Option.
        option: usize,
    },
    /// Pods of a group that leave a pool.
    Leaving {
        /// Group.
        group: usize,
        /// Pool.
        pool: usize,
    },
    /// Pods of a group that move.
    Moved {
        /// Group.
        group: usize,
    },
    /// Nodes given back, of those in a pool that hold the same pods.
    Drained {
        /// Index in the snapshot of the first of them.
        node: usize,
    },
    /// Pods of a group without a node.
    Unplaced {
        /// Group.
        group: usize,
        /// Index of the size among the group's distinct ones.
        size: usize,
    },
    /// Whether pods of a gang come.
    Gang {
        /// Index into the snapshot's gangs.
        gang: usize,
    },
    /// The smallest count of a spread constraint over its domains.
    SpreadFloor {
        /// Group.
        group: usize,
        /// Number of the spread constraint.
        spread: usize,
    },
}

/// A linear constraint, traceable by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    /// Unique name, e.g. `capacity/m5.xlarge/r1a/cpu`.
    pub name: String,
    /// Field of the policy, budget or quota it comes from; `None` for what follows from the cluster itself.
    pub rule: Option<String>,
    /// What one unit of the right-hand side is, e.g. `core`, `move`.
    pub unit: String,
    /// `(variable, coefficient)`, each variable once.
    pub terms: Vec<(usize, f64)>,
    /// How the sum compares.
    pub sense: Sense,
    /// With what.
    pub right: f64,
}

/// How the sum of a constraint compares with its right-hand side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sense {
    /// ≤
    AtMost,
    /// ≥
    AtLeast,
    /// =
    Equal,
}
