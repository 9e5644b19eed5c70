//! A state put away without what it borrows, so that it can outlive the instance it was made for and be taken up again
//! over a changed one.

use std::collections::{BTreeMap, BTreeSet};

use super::super::instance::Instance;
use super::super::relations::Relations;
use super::fullness::Fullness;
use super::gangs::Gang;
use super::spreads::Spreads;
use super::{Change, NodeState, Occupancy, PodState};

/// Everything of a state but the instance and its relations.
#[derive(Default)]
pub(in super::super) struct Shelf {
    choices: Vec<usize>,
    pods: Vec<PodState>,
    nodes: Vec<NodeState>,
    bought: BTreeMap<usize, u32>,
    drained: u32,
    moves: u32,
    budget_moves: Vec<u32>,
    group_moves: Vec<u32>,
    counts: Vec<Vec<u32>>,
    owners: Vec<Vec<u32>>,
    totals: Vec<u32>,
    claims: Vec<u32>,
    binding: BTreeSet<usize>,
    charged: Vec<i64>,
    gangs: Vec<Gang>,
    spreads: Spreads,
    on_spot: Vec<u32>,
    in_zone: Vec<Vec<u32>>,
    fullness: Fullness,
    spare: BTreeMap<usize, (Vec<usize>, usize)>,
    journal: Vec<Change>,
}

impl<'a> Occupancy<'a> {
    /// Puts the state away.
    pub(in super::super) fn shelve(self) -> Shelf {
        let Self {
            instance: _,
            relations: _,
            choices,
            pods,
            nodes,
            bought,
            drained,
            moves,
            budget_moves,
            group_moves,
            counts,
            owners,
            totals,
            claims,
            binding,
            charged,
            gangs,
            spreads,
            on_spot,
            in_zone,
            fullness,
            spare,
            journal,
        } = self;
        Shelf {
            choices,
            pods,
            nodes,
            bought,
            drained,
            moves,
            budget_moves,
            group_moves,
            counts,
            owners,
            totals,
            claims,
            binding,
            charged,
            gangs,
            spreads,
            on_spot,
            in_zone,
            fullness,
            spare,
            journal,
        }
    }

    /// Takes a state up over an instance with the same workloads, nodes and offers, and over relations with the same
    /// rules.
    pub(in super::super) fn take_up(shelf: Shelf, instance: &'a Instance<'a>, relations: &'a Relations) -> Self {
        let Shelf {
            choices,
            pods,
            nodes,
            bought,
            drained,
            moves,
            budget_moves,
            group_moves,
            counts,
            owners,
            totals,
            claims,
            binding,
            charged,
            gangs,
            spreads,
            on_spot,
            in_zone,
            fullness,
            spare,
            journal,
        } = shelf;
        Self {
            instance,
            relations,
            choices,
            pods,
            nodes,
            bought,
            drained,
            moves,
            budget_moves,
            group_moves,
            counts,
            owners,
            totals,
            claims,
            binding,
            charged,
            gangs,
            spreads,
            on_spot,
            in_zone,
            fullness,
            spare,
            journal,
        }
    }

    /// Pods put elsewhere since the state was made or settled, each with the node it had, and nodes opened or closed: each
    /// named once, whatever happened to it.
    pub(in super::super) fn touched(&self) -> Touched {
        let mut touched = Touched::default();
        for change in &self.journal {
            match *change {
                Change::Bound { pod, before } => {
                    touched.pods.entry(pod).or_insert(before);
                }
                // Only pods without a node are taken away or taken back.
                Change::Removed { pod, .. } => {
                    touched.pods.entry(pod).or_insert(None);
                }
                Change::Opened(node) => {
                    touched.nodes.entry(node).or_insert(false);
                }
                Change::Closed(node) => {
                    touched.nodes.entry(node).or_insert(true);
                }
                Change::Chosen { .. } | Change::GangGivenUp { .. } => {}
            }
        }
        touched
    }

    /// Makes what was done since the state was made final: it can be rolled back no more.
    pub(in super::super) fn settle(&mut self) {
        self.journal.clear();
    }
}

/// What differs from an earlier state.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Touched {
    /// Pods, with the node each had.
    pub(in super::super) pods: BTreeMap<usize, Option<usize>>,
    /// Nodes, with whether each was open.
    pub(in super::super) nodes: BTreeMap<usize, bool>,
}
