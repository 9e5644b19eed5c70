//! How many pods of each gang have a node.

use super::super::instance::Standing;
use super::{Change, Occupancy, step};

/// Pods of one gang.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Gang {
    /// Those with a node, without those that are being deleted.
    placed: u32,
    /// Those of them that came there.
    came: u32,
    /// None of it comes any more.
    given_up: bool,
}

impl Occupancy<'_> {
    pub(super) fn count_gang(&mut self, pod: usize, node: usize, up: bool) {
        let state = &self.state.pods[pod];
        let gang = self.relations.templates.get(state.template).and_then(|own| own.gang);
        if let Some(gang) = gang.filter(|_| state.standing != Standing::Leaving) {
            let came = state.origin != Some(node);
            step(&mut self.state.gangs[gang].placed, up);
            if came {
                step(&mut self.state.gangs[gang].came, up);
            }
        }
    }

    fn least_members(&self, gang: usize) -> u32 {
        self.instance.snapshot.gangs[gang].min_members
    }

    /// Whether the pod's gang lets it come: it is not given up, and a pod that moves leaves it complete.
    pub(super) fn gang_allows(&self, pod: usize) -> bool {
        let state = &self.state.pods[pod];
        let Some(gang) = self.relations.templates[state.template].gang else { return true };
        let facts = &self.state.gangs[gang];
        !facts.given_up && (state.origin.is_none() || facts.placed + 1 >= self.least_members(gang))
    }

    /// Whether a pod of the template may be taken away without leaving a gang incomplete.
    pub(in super::super) fn gang_can_spare(&self, template: usize) -> bool {
        let gang = self.relations.templates.get(template).and_then(|own| own.gang);
        gang.is_none_or(|gang| self.state.gangs[gang].placed > self.least_members(gang))
    }

    /// Gangs of which pods came, but too few in all.
    pub(in super::super) fn incomplete_gangs(&self) -> impl Iterator<Item = usize> {
        let gangs = self.state.gangs.iter().enumerate();
        gangs.filter(|(gang, facts)| facts.came > 0 && facts.placed < self.least_members(*gang)).map(|(gang, _)| gang)
    }

    /// No pod of the gang comes any more. To be called after its pods are taken back.
    pub(in super::super) fn give_up_gang(&mut self, gang: usize) {
        self.state.journal.push(Change::GangGivenUp { gang, before: self.state.gangs[gang].given_up });
        self.state.gangs[gang].given_up = true;
    }

    /// Gangs that were given up are asked again: something has changed since.
    pub(in super::super) fn ask_gangs_again(&mut self) {
        for gang in 0..self.state.gangs.len() {
            if std::mem::take(&mut self.state.gangs[gang].given_up) {
                self.state.journal.push(Change::GangGivenUp { gang, before: true });
            }
        }
    }

    pub(super) fn set_given_up(&mut self, gang: usize, given_up: bool) {
        self.state.gangs[gang].given_up = given_up;
    }

    /// What keeps a pod of a gang out that was given up.
    pub(in super::super) fn gang_in_the_way(&self, pod: usize) -> Option<String> {
        let gang = self.relations.templates.get(self.state.pods[pod].template)?.gang?;
        let facts = &self.instance.snapshot.gangs[gang];
        let given_up = self.state.gangs[gang].given_up;
        given_up.then(|| {
            format!("pod group {} needs {} pods at once, and not so many find room", facts.name, facts.min_members)
        })
    }
}
