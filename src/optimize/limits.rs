//! How much one plan may change: moves, drains, and what each disruption budget and target lets go.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::policy::Policy;
use crate::domain::snapshot::{DisruptionBudget, Snapshot};

use super::instance::{Group, PodFacts, Standing};

/// Limits on change, in numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Limits {
    /// Running pods that may move.
    pub(super) moves: u32,
    /// Nodes that may be drained.
    pub(super) drains: u32,
    /// Disruption budgets.
    pub(super) budgets: Vec<Budget>,
    /// Moves each group's target allows in all waves; `None` is no limit.
    pub(super) group_moves: Vec<Option<u32>>,
    /// Pods of each group that may be away at once.
    pub(super) group_at_once: Vec<Option<u32>>,
    /// Budgets that hold for each template.
    pub(super) budgets_of: BTreeMap<usize, Vec<usize>>,
}

/// One disruption budget over the waves of a plan.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    /// `namespace/name`.
    pub(super) name: String,
    /// Moves it allows, counting only pods that are ready as available.
    pub(super) moves: u32,
    /// Pods that may be away at once, counted so.
    pub(super) at_once: u32,
    /// Moves it would allow if every pod were ready: what no plan exceeds.
    pub(super) most_moves: u32,
}

impl Limits {
    pub(super) fn new(snapshot: &Snapshot, policy: &Policy, groups: &[Group<'_>], pods: &[PodFacts]) -> Self {
        let disruption = &policy.disruption;
        let waves = disruption.max_waves.max(1);
        let mut budgets_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut budgets = Vec::new();
        for (index, budget) in snapshot.budgets.iter().enumerate() {
            let matched: Vec<usize> = (0..snapshot.templates.len()).filter(|t| covers(budget, snapshot, *t)).collect();
            budgets.push(Budget::new(budget, &matched, snapshot, groups, pods, waves));
            for template in matched {
                budgets_of.entry(template).or_default().push(index);
            }
        }
        Self {
            moves: moves(snapshot, policy, pods),
            drains: if disruption.remove_nodes {
                disruption.max_drains.of_rounded_up(snapshot.nodes.len() as u32)
            } else {
                0
            },
            budgets,
            group_moves: groups.iter().map(|group| group_moves(group, waves)).collect(),
            group_at_once: groups.iter().map(|group| group_moves(group, 1)).collect(),
            budgets_of,
        }
    }

    /// Renews what depends on the replicas and the pods of one group, which have or had these templates.
    pub(super) fn renew(
        &mut self,
        snapshot: &Snapshot,
        policy: &Policy,
        (groups, pods): (&[Group<'_>], &[PodFacts]),
        group: usize,
        templates: &BTreeSet<usize>,
    ) {
        let waves = policy.disruption.max_waves.max(1);
        self.moves = moves(snapshot, policy, pods);
        self.group_moves[group] = group_moves(&groups[group], waves);
        self.group_at_once[group] = group_moves(&groups[group], 1);
        let affected: BTreeSet<usize> = templates.iter().flat_map(|t| self.budgets_of(*t)).copied().collect();
        for index in affected {
            let covered = self.budgets_of.iter().filter(|(_, of)| of.contains(&index)).map(|(template, _)| *template);
            let covered: Vec<usize> = covered.collect();
            self.budgets[index] = Budget::new(&snapshot.budgets[index], &covered, snapshot, groups, pods, waves);
        }
    }

    /// Another template has come that every budget treats as this one.
    pub(super) fn template_like(&mut self, template: usize, other: usize) {
        if let Some(budgets) = self.budgets_of.get(&other).cloned() {
            self.budgets_of.insert(template, budgets);
        }
    }

    /// Budgets that hold for the template.
    pub(super) fn budgets_of(&self, template: usize) -> &[usize] {
        self.budgets_of.get(&template).map_or(&[], Vec::as_slice)
    }
}

/// Moves the policy allows: a share of all that could be evicted, pods of Jobs included though they stay.
fn moves(snapshot: &Snapshot, policy: &Policy, pods: &[PodFacts]) -> u32 {
    let evictable = snapshot.pods.iter().zip(pods).filter(|(pod, facts)| {
        matches!(facts.standing, Standing::Movable | Standing::Fixed) && facts.node.is_some() && !pod.do_not_evict
    });
    policy.disruption.max_moves.of_rounded_up(evictable.count() as u32)
}

/// Moves that the group's target allows in so many waves.
fn group_moves(group: &Group<'_>, waves: u32) -> Option<u32> {
    let amount = group.target.and_then(|t| t.max_unavailable)?;
    Some(waves.saturating_mul(amount.of_rounded_up(group.workload.map_or(group.running, |w| w.replicas))))
}

fn covers(budget: &DisruptionBudget, snapshot: &Snapshot, template: usize) -> bool {
    let template = &snapshot.templates[template];
    budget.namespace == template.namespace && budget.selector.as_ref().is_some_and(|s| s.matches(&template.labels))
}

impl Budget {
    /// As the disruption controller counts: expected is what the controllers of its pods want; the rest follows.
    fn new(
        budget: &DisruptionBudget,
        templates: &[usize],
        snapshot: &Snapshot,
        groups: &[Group<'_>],
        pods: &[PodFacts],
        waves: u32,
    ) -> Self {
        let covered = |p: &PodFacts| templates.binary_search(&p.template).is_ok();
        let wanted: u32 = groups
            .iter()
            .filter(|g| g.templates.iter().any(|t| templates.binary_search(t).is_ok()))
            .map(|g| g.workload.map_or(g.pods.len() as u32, |w| w.replicas))
            .sum();
        let all = pods.iter().filter(|p| covered(p) && p.node.is_some()).count() as u32;
        let ready = snapshot
            .pods
            .iter()
            .zip(pods)
            .filter(|(pod, facts)| covered(facts) && pod.ready && !pod.deleting && facts.node.is_some())
            .count() as u32;
        let must_stay = match (budget.max_unavailable, budget.min_available) {
            (Some(gone), _) => wanted.saturating_sub(gone.of_rounded_up(wanted)),
            (None, Some(kept)) => kept.of_rounded_up(wanted),
            (None, None) => 0,
        };
        Self {
            name: format!("{}/{}", budget.namespace, budget.name),
            moves: ready.saturating_sub(must_stay).saturating_mul(waves),
            at_once: ready.saturating_sub(must_stay),
            most_moves: all.max(ready).saturating_sub(must_stay).saturating_mul(waves),
        }
    }
}
