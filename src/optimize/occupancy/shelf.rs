//! A state put away without what it was made from, so that it can be taken up again over a changed instance; and what was
//! done to it meanwhile.

use std::collections::BTreeMap;

use super::super::instance::Instance;
use super::super::relations::Relations;
use super::{Change, Occupancy, State};

impl<'a> Occupancy<'a> {
    /// Puts the state away.
    pub(in super::super) fn shelve(self) -> State {
        self.state
    }

    /// Takes a state up over an instance with the same workloads, nodes and offers, and over relations with the same
    /// rules.
    pub(in super::super) fn take_up(state: State, instance: &'a Instance<'a>, relations: &'a Relations) -> Self {
        Self { instance, relations, state }
    }

    /// Pods put elsewhere since the state was made or settled, each with the node it had, and nodes opened or closed: each
    /// named once, whatever happened to it.
    pub(in super::super) fn touched(&self) -> Touched {
        let mut touched = Touched::default();
        for change in &self.state.journal {
            match *change {
                Change::Bound { pod, before } => {
                    touched.pods.entry(pod).or_insert(before);
                }
                // Only pods without a node are taken away or taken back, or lose it to others.
                Change::Removed { pod, .. } | Change::Preempted { pod, .. } => {
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
        self.state.journal.clear();
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
