//! Pods that have lost their node to others. Each counts as one that moves, and, because its successor waits, as one that is
//! away for good.

use crate::domain::policy::Preemption;
use crate::domain::snapshot::PodTemplate;

use super::super::instance::Standing;
use super::{Change, Occupancy, PodState, step};

/// How many they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Count {
    all: u32,
    of_group: Vec<u32>,
    of_budget: Vec<u32>,
}

impl Count {
    pub(super) fn new(groups: usize, budgets: usize) -> Self {
        Self { all: 0, of_group: vec![0; groups], of_budget: vec![0; budgets] }
    }
}

impl Occupancy<'_> {
    /// Whether the policy lets running pods make room for others.
    pub(in super::super) fn preempts(&self) -> bool {
        self.instance.policy.disruption.preemption == Preemption::LowerPriority
    }

    /// Whether the pod, which must have no node, has lost it to one that comes there.
    pub(in super::super) fn set_preempted(&mut self, pod: usize, preempted: bool) {
        let before = self.state.pods[pod].preempted;
        if before != preempted {
            self.state.journal.push(Change::Preempted { pod, before });
            self.mark_preempted(pod, preempted);
        }
    }

    pub(super) fn mark_preempted(&mut self, pod: usize, preempted: bool) {
        self.state.pods[pod].preempted = preempted;
        let PodState { group, template, origin, .. } = self.state.pods[pod];
        let (Some(group), Some(node)) = (group, origin) else { return };
        step(&mut self.state.nodes[node].preempted, preempted);
        let counts = &mut self.state.preempted;
        step(&mut counts.all, preempted);
        step(&mut counts.of_group[group], preempted);
        for &budget in self.instance.limits.budgets_of(template) {
            step(&mut counts.of_budget[budget], preempted);
        }
        self.count_move(group, template, preempted);
    }

    /// Pods that have lost their node.
    pub(in super::super) fn preempted(&self) -> Vec<usize> {
        let none = self.state.preempted.all == 0;
        let pods = if none { 0..0 } else { 0..self.state.pods.len() };
        pods.filter(|pod| self.state.pods[*pod].preempted).collect()
    }

    /// Whether pods of the group have lost their node.
    pub(in super::super) fn has_preempted(&self, group: usize) -> bool {
        self.state.preempted.of_group[group] > 0
    }

    /// Whether the pod came to a node that others have lost, so that it must stay there.
    pub(in super::super) fn took_room(&self, pod: &PodState) -> bool {
        pod.origin.is_none() && pod.node.is_some_and(|node| self.state.nodes[node].preempted > 0)
    }

    /// Whether pods of the template take room from others at all.
    pub(in super::super) fn takes_room(&self, template: usize) -> bool {
        self.template(template).is_some_and(|own| !own.never_preempts)
    }

    /// Whether the pod runs where it is and may make room for one of the priority, as limits stand.
    pub(in super::super) fn may_be_preempted(&self, pod: usize, priority: i32) -> bool {
        let state = &self.state.pods[pod];
        let limits = &self.instance.limits;
        let Some((group, own)) = state.group.zip(self.template(state.template)) else { return false };
        let counts = &self.state.preempted;
        state.standing == Standing::Movable
            && own.priority < priority
            && own.gang.is_none()
            && !self.shrinks(group)
            && self.may_move(pod)
            && limits.group_at_once[group].is_none_or(|most| counts.of_group[group] < most)
            && limits.budgets_of(state.template).iter().all(|b| counts.of_budget[*b] < limits.budgets[*b].at_once)
    }

    /// Whether the group gives up pods that exist: its controller would take those that wait in their stead.
    fn shrinks(&self, group: usize) -> bool {
        let pods = self.instance.groups[group].pods.len();
        self.choice(group).is_some_and(|choice| (choice.replicas as usize) < pods)
    }

    fn template(&self, template: usize) -> Option<&PodTemplate> {
        self.instance.snapshot.templates.get(template)
    }
}
