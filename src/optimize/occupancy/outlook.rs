//! What a state has used of each limit, read by those who plan a part of it anew.

use super::Occupancy;

impl Occupancy<'_> {
    /// Pods of the group that move.
    pub(in super::super) fn moves_of(&self, group: usize) -> u32 {
        self.state.group_moves[group]
    }

    /// Moves that count against the budget.
    pub(in super::super) fn moves_against(&self, budget: usize) -> u32 {
        self.state.budget_moves[budget]
    }

    /// Pods of the group on spot nodes.
    pub(in super::super) fn pods_on_spot(&self, group: usize) -> u32 {
        self.state.on_spot[group]
    }

    /// Pods of the group by zone.
    pub(in super::super) fn pods_in_zones(&self, group: usize) -> &[u32] {
        &self.state.in_zone[group]
    }

    /// Whether moves and drains are within their limits.
    pub(in super::super) fn is_within_limits(&self) -> bool {
        let limits = &self.instance.limits;
        let budgets = limits.budgets.iter().zip(&self.state.budget_moves);
        let groups = limits.group_moves.iter().zip(&self.state.group_moves);
        self.state.moves <= limits.moves
            && self.state.drained <= limits.drains
            && budgets.into_iter().all(|(budget, moves)| *moves <= budget.moves)
            && groups.into_iter().all(|(most, moves)| most.is_none_or(|most| *moves <= most))
    }

    /// Pods on the node that the counter counts, or that must not share it with those; the larger number of the two.
    pub(in super::super) fn crowd(&self, counter: usize, node: usize) -> u32 {
        let Some(host) = self.state.nodes[node].host else { return 0 };
        let at = |counts: &[Vec<u32>]| counts[counter].get(host).copied().unwrap_or(0);
        at(&self.state.counts).max(at(&self.state.owners))
    }

    /// Pods by domain of a spread (index into `Relations::evenness`), `None` for domains without a node.
    pub(in super::super) fn pods_in_domains(&self, evenness: usize) -> Vec<Option<u32>> {
        let view = self.relations.evenness[evenness].view;
        let nodes = self.state.spreads.nodes_in_domains(view).iter();
        nodes
            .enumerate()
            .map(|(domain, nodes)| (*nodes > 0).then(|| self.state.spreads.counted(evenness, domain)))
            .collect()
    }

    /// Domain of a site as a spread over other domains than hosts sees it; `None` where it does not count.
    pub(in super::super) fn domain_of(&self, evenness: usize, site: usize) -> Option<usize> {
        let view = &self.relations.views[self.relations.evenness[evenness].view];
        if view.eligible[site] { self.relations.layout.domains[site][view.key] } else { None }
    }
}
