//! Whether a pod may go to a node, every hard rule considered, and which node takes it best.
//!
//! Rules are asked of a class of nodes first, so that those it breaks for all of them are not asked of each.

use crate::domain::rules::TaintEffect;

use super::super::instance::Instance;
use super::super::relations::IMPOSSIBLE;
use super::fullness::Room;
use super::spreads::Bound;
use super::{NodeState, Occupancy, PodState};

/// What must be known of a pod once, before nodes are looked at.
pub(in super::super) struct Wish {
    pod: usize,
    bounds: Vec<Bound>,
    /// No pod is where its affinity wants it, but it selects itself: it may be the first anywhere.
    founds: bool,
    spot_full: bool,
    zone_cap: Option<u32>,
    moving: bool,
}

/// What the policy allows of a group's pods.
struct Limits {
    /// On spot nodes.
    most_spot: Option<u32>,
    /// In one zone.
    zone_cap: Option<u32>,
}

impl Wish {
    /// Whether how many of its like other domains have decides where the pod may go.
    pub(in super::super) fn is_spread(&self) -> bool {
        !self.bounds.is_empty()
    }
}

impl Occupancy<'_> {
    /// What must be known of a pod that has no node at the moment, before nodes are looked at.
    pub(in super::super) fn wish(&self, pod: usize) -> Option<Wish> {
        let state = &self.state.pods[pod];
        let moving = state.origin.is_some();
        if moving && !self.may_move(pod) {
            return None;
        }
        let own = self.relations.templates.get(state.template)?;
        let forbidden = self.claim_in_use(state.template) || !self.quotas_allow(pod) || !self.gang_allows(pod);
        if own.affinity.contains(&IMPOSSIBLE) || forbidden {
            return None;
        }
        let Limits { most_spot, zone_cap } = self.limits_of(state);
        Some(Wish {
            pod,
            bounds: self.state.spreads.bounds(self.relations, state),
            founds: own.affinity.iter().all(|c| self.state.totals[*c] == 0 && own.counted_by.binary_search(c).is_ok()),
            spot_full: most_spot.is_some_and(|most| state.group.is_some_and(|g| self.state.on_spot[g] >= most)),
            zone_cap,
            moving,
        })
    }

    fn limits_of(&self, pod: &PodState) -> Limits {
        let replicas = pod.group.and_then(|g| self.choice(g)).map_or(0, |c| c.replicas);
        let target = pod.group.and_then(|g| self.instance.groups[g].target);
        Limits {
            most_spot: target.and_then(|t| t.max_spot_share).map(|share| (share * f64::from(replicas) + 1e-9) as u32),
            zone_cap: target
                .and_then(|t| t.zone_loss)
                .map(|kept| replicas.saturating_sub(kept.of_rounded_up(replicas))),
        }
    }

    /// Whether the node has what the pod reserves.
    pub(in super::super) fn has_room(&self, pod: usize, node: usize) -> bool {
        let (state, on) = (&self.state.pods[pod], &self.state.nodes[node]);
        state.demand.iter().zip(&on.free).all(|(amount, free)| *amount <= 0 || amount <= free)
    }

    /// Whether the pod may go to the node, every hard rule considered.
    pub(in super::super) fn admits(&self, wish: &Wish, node: usize) -> bool {
        let on = &self.state.nodes[node];
        let class = self.relations.layout.class_of[on.site];
        let home = wish.moving && self.state.pods[wish.pod].origin == Some(node);
        on.open
            && (self.relations.layout.classes[class].accepts_new || home)
            && self.has_room(wish.pod, node)
            && self.class_admits(wish, class)
            && self.node_admits(wish, on)
    }

    /// Whether the rules that are the same for all nodes of the class let the pod on.
    fn class_admits(&self, wish: &Wish, class: usize) -> bool {
        let state = &self.state.pods[wish.pod];
        let layout = &self.relations.layout;
        let facts = &layout.classes[class];
        (self.by_name(state) || self.site_admits(state, facts.site))
            && !(wish.spot_full && facts.spot)
            && wish.zone_cap.is_none_or(|cap| state.group.is_none_or(|g| self.state.in_zone[g][facts.zone] < cap))
            && self.relations_admit(wish, facts.site, |key| {
                (key != layout.host_key).then(|| layout.domains[facts.site][key])
            })
    }

    /// Whether the rules about this one node let the pod on.
    fn node_admits(&self, wish: &Wish, on: &NodeState) -> bool {
        let state = &self.state.pods[wish.pod];
        let host_key = self.relations.layout.host_key;
        (!self.by_name(state) || self.site_admits(state, on.site))
            && self.ports_free(state, on)
            && self.volumes_fit(wish.pod, on)
            && self.relations_admit(wish, on.site, |key| (key == host_key).then_some(on.host))
    }

    /// Whether the pod's rules name nodes, so that classes do not decide.
    fn by_name(&self, pod: &PodState) -> bool {
        self.instance.shapes.names_nodes(pod.template)
    }

    fn site_admits(&self, pod: &PodState, site: usize) -> bool {
        let Instance { shapes, snapshot, sites, .. } = self.instance;
        shapes.admits(snapshot, pod.template, &sites[site])
    }

    fn ports_free(&self, pod: &PodState, on: &NodeState) -> bool {
        let ports = |pod: &PodState| &self.relations.templates[pod.template].host_ports;
        let own = ports(pod);
        own.is_empty()
            || !on
                .pods
                .iter()
                .any(|p| ports(&self.state.pods[*p]).iter().any(|a| own.iter().any(|b| a.conflicts_with(b))))
    }

    /// Whether rules about other pods let the pod on, for those topology keys of which a domain is given.
    fn relations_admit(&self, wish: &Wish, site: usize, domain: impl Fn(usize) -> Option<Option<usize>>) -> bool {
        let own = &self.relations.templates[self.state.pods[wish.pod].template];
        let counters = &self.relations.counters;
        let count = |counts: &[Vec<u32>], counter: usize, domain: Option<usize>| {
            domain.and_then(|d| counts[counter].get(d)).copied().unwrap_or(0)
        };
        let holds =
            |counter: &usize, rule: &dyn Fn(Option<usize>) -> bool| domain(counters[*counter].key).is_none_or(rule);
        own.anti_affinity.iter().all(|c| holds(c, &|d| count(&self.state.counts, *c, d) == 0))
            && own
                .counted_by
                .iter()
                .filter(|c| counters[**c].guarded)
                .all(|c| holds(c, &|d| count(&self.state.owners, *c, d) == 0))
            && own
                .affinity
                .iter()
                .all(|c| holds(c, &|d| if wish.founds { d.is_some() } else { count(&self.state.counts, *c, d) > 0 }))
            && wish
                .bounds
                .iter()
                .all(|bound| domain(bound.key).is_none_or(|d| self.state.spreads.allow(self.relations, bound, site, d)))
    }

    /// The node that would be fullest with the pod on it, among those that pass; ties go to the first.
    pub(in super::super) fn best_node(&self, wish: &Wish, passes: impl Fn(usize) -> bool) -> Option<usize> {
        let layout = &self.relations.layout;
        let state = &self.state.pods[wish.pod];
        let least = Room::for_demand(layout, &state.demand);
        let mut best: Option<(Room, usize)> = None;
        for class in 0..layout.classes.len() {
            // A node that takes no new pods takes back its own.
            let home = |node: usize| wish.moving && state.origin == Some(node);
            let open = layout.classes[class].accepts_new;
            let homes = state.origin.is_some_and(|n| wish.moving && layout.class_of[self.state.nodes[n].site] == class);
            if !(open || homes) || !self.class_admits(wish, class) {
                continue;
            }
            let found =
                self.state.fullness.of_class(class, least).take_while(|key| best.is_none_or(|best| *key < best)).find(
                    |(_, n)| {
                        (open || home(*n))
                            && passes(*n)
                            && self.has_room(wish.pod, *n)
                            && self.node_admits(wish, &self.state.nodes[*n])
                    },
                );
            best = found.or(best);
        }
        best.map(|(_, node)| node)
    }

    /// The fullest of these nodes that takes the pod.
    pub(in super::super) fn best_among(&self, wish: &Wish, nodes: impl Iterator<Item = usize>) -> Option<usize> {
        let room = |node: usize| Room::of_node(&self.relations.layout, &self.state.nodes[node]);
        nodes.filter(|n| self.admits(wish, *n)).min_by_key(|n| (room(*n), *n))
    }

    /// Whether the pod, which stands on the node, breaks a rule that also holds for pods that stand.
    pub(in super::super) fn offends(&self, pod: usize, node: usize) -> bool {
        let state = &self.state.pods[pod];
        let Some(group) = state.group else { return false };
        let on = &self.state.nodes[node];
        let class = &self.relations.layout.classes[self.relations.layout.class_of[on.site]];
        let Limits { most_spot, zone_cap } = self.limits_of(state);
        let evicts = || {
            let rules = self.instance.snapshot.templates.get(state.template).map(|t| &t.rules);
            let taints = &self.instance.sites[on.site].taints;
            rules.is_some_and(|rules| {
                taints
                    .iter()
                    .any(|t| t.effect == TaintEffect::NoExecute && !rules.tolerations.iter().any(|x| x.covers(t)))
            })
        };
        most_spot.is_some_and(|most| class.spot && self.state.on_spot[group] > most)
            || zone_cap.is_some_and(|cap| self.state.in_zone[group][class.zone] > cap)
            || self.relations.group_spread[group]
                .as_ref()
                .is_some_and(|rule| self.state.spreads.too_full(self.relations, rule, on))
            || evicts()
    }

    /// Whether a spread of the pod's own does not hold in the domain it is in.
    pub(in super::super) fn is_uneven(&self, pod: usize, node: usize) -> bool {
        let state = &self.state.pods[pod];
        let mut rules = self.relations.spreads_of(state.template, state.group);
        rules.any(|rule| self.state.spreads.too_full(self.relations, rule, &self.state.nodes[node]))
    }

    /// Skew of each spread that counts one of the pods, with its number.
    pub(in super::super) fn skews(&self, pods: &[usize]) -> Vec<(usize, u32)> {
        let mut skews: Vec<(usize, u32)> =
            pods.iter().flat_map(|p| self.state.spreads.skews(self.relations, &self.state.pods[*p])).collect();
        skews.sort_unstable();
        skews.dedup();
        skews
    }

    /// Whether a spread is now more uneven than both its rules and what it was before allow.
    pub(in super::super) fn spoils(&self, before: &[(usize, u32)]) -> bool {
        before.iter().any(|(number, skew)| {
            let allowed = self.relations.evenness[*number].max_skew.max(*skew);
            self.state.spreads.skew(*number) > allowed
        })
    }
}
