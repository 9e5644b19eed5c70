//! Which of a workload's pods goes to which of its places. Pods that are alike are alike to every rule, and to the cost; but
//! one that moves inside its zone leaves every spread as it is on its way, so that no wave has to hold it back.

use std::collections::BTreeMap;

use super::occupancy::Occupancy;

/// Gives pods that move a place in the zone they leave, where one of their like was to come there.
pub(super) fn stay_in_zones(state: &mut Occupancy<'_>) {
    let mut alike: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (index, pod) in state.pods.iter().enumerate() {
        let comes = !pod.removed && pod.node.is_some() && pod.node != pod.origin && !state.took_room(pod);
        if let Some(group) = pod.group.filter(|_| comes) {
            alike.entry((group, pod.template)).or_default().push(index);
        }
    }
    for pods in alike.into_values().filter(|pods| pods.len() > 1) {
        let places = exchanged(state, &pods);
        let changed: Vec<(usize, usize)> =
            pods.into_iter().zip(places).filter(|(pod, place)| state.pods[*pod].node != Some(*place)).collect();
        for (pod, _) in &changed {
            state.bind(*pod, None);
        }
        for (pod, place) in changed {
            state.bind(pod, Some(place));
        }
    }
}

/// The places of these pods, one each: each pod that moves and would leave its zone changes places with one that need not
/// have its own.
fn exchanged(state: &Occupancy<'_>, pods: &[usize]) -> Vec<usize> {
    let zone = |node: usize| state.instance.sites[state.nodes[node].site].zone.as_str();
    let home: Vec<Option<&str>> = pods.iter().map(|pod| state.pods[*pod].origin.map(zone)).collect();
    let mut places: Vec<usize> = pods.iter().filter_map(|pod| state.pods[*pod].node).collect();
    for pod in 0..pods.len() {
        let Some(own) = home[pod].filter(|own| *own != zone(places[pod])) else { continue };
        let gives = |other: &usize| {
            // A place that was its own is no place to come to: the plan that gave it up had a reason.
            zone(places[*other]) == own
                && home[*other] != Some(own)
                && Some(places[*other]) != state.pods[pods[pod]].origin
        };
        if let Some(other) = (0..pods.len()).find(gives)
            && Some(places[pod]) != state.pods[pods[other]].origin
        {
            places.swap(pod, other);
        }
    }
    places
}
