//! A neighbourhood's answer carried out on the state it was asked of.

use std::collections::{BTreeMap, BTreeSet};

use super::super::improve::push;
use super::super::occupancy::Occupancy;
use super::program::Columns;
use super::survey::Survey;

/// Carries out the values (one a variable). `false` where the state has changed since so that they cannot be had; what was
/// done until then is the caller's to take back.
pub(super) fn apply(occupancy: &mut Occupancy<'_>, survey: &Survey, columns: &Columns, values: &[f64]) -> bool {
    let count = |column: usize| values[column].round().max(0.0) as usize;
    let nodes = open(occupancy, survey, columns, &count);
    for (&(group, option), _) in columns.choice.iter().filter(|(_, column)| count(**column) == 1) {
        if occupancy.choices[group] != option {
            occupancy.choose(group, option);
        }
    }
    // All that leave do so before any comes.
    let mut coming: Vec<(usize, Vec<usize>, Vec<usize>)> = Vec::new();
    for (number, (kin, pods)) in survey.kins.iter().enumerate() {
        let mut wanted: Vec<(usize, usize)> = columns
            .at
            .range((number, 0)..(number + 1, 0))
            .filter_map(|((_, place), column)| Some((nodes[*place]?, count(*column))))
            .collect();
        wanted.extend(kin.away.zip(columns.away.get(&number).map(|column| count(*column))));
        let mut left = Vec::new();
        for &pod in pods {
            let stays = wanted.iter_mut().find(|(node, many)| occupancy.pods[pod].node == Some(*node) && *many > 0);
            if let Some((_, many)) = stays {
                *many -= 1;
            } else {
                occupancy.bind(pod, None);
                left.push(pod);
            }
        }
        let targets = wanted.iter().flat_map(|(node, many)| std::iter::repeat_n(*node, *many)).collect();
        coming.push((number, left, targets));
    }
    for (place, node) in nodes.iter().enumerate() {
        if let (Some(node), Some(column)) = (node, columns.open[place])
            && count(column) == 0
            && occupancy.nodes[*node].open
        {
            occupancy.close(*node);
        }
    }
    for (number, mut left, targets) in coming {
        let (kin, _) = &survey.kins[number];
        // The first come are those that were not to go.
        left.sort_by_key(|p| std::cmp::Reverse((occupancy.pods[*p].removed, *p)));
        for node in targets {
            let Some(pod) = left.pop().or_else(|| spare(occupancy, kin.group)) else { return false };
            if occupancy.pods[pod].removed {
                occupancy.set_removed(pod, false);
            }
            occupancy.bind(pod, Some(node));
        }
        let waiting = columns.nowhere.get(&number).map_or(0, |column| count(*column));
        for pod in left.into_iter().rev().skip(waiting) {
            if !occupancy.pods[pod].removed {
                occupancy.set_removed(pod, true);
            }
        }
    }
    holds(occupancy, survey, &nodes)
}

/// The nodes of the places, with those that are to stand again or to be bought opened; `None` for those not bought.
fn open(
    occupancy: &mut Occupancy<'_>,
    survey: &Survey,
    columns: &Columns,
    count: &dyn Fn(usize) -> usize,
) -> Vec<Option<usize>> {
    let places = survey.places.iter().zip(&columns.open);
    places
        .map(|(place, open)| {
            let wanted = open.is_some_and(|column| count(column) == 1);
            match place.node {
                Some(node) => {
                    if wanted && !occupancy.nodes[node].open {
                        occupancy.reopen(node);
                    }
                    Some(node)
                }
                None => wanted.then(|| occupancy.buy(place.site)),
            }
        })
        .collect()
}

/// A pod to come of the group that is not needed yet.
fn spare(occupancy: &mut Occupancy<'_>, group: usize) -> Option<usize> {
    let parked = (0..occupancy.pods.len()).find(|p| {
        let pod = &occupancy.pods[*p];
        pod.group == Some(group) && pod.existing.is_none() && pod.removed
    });
    parked.or_else(|| push(occupancy, group))
}

/// Whether limits, rooms and numbers of replicas hold, as they need not where another answer was carried out before.
fn holds(occupancy: &Occupancy<'_>, survey: &Survey, nodes: &[Option<usize>]) -> bool {
    let overloaded = |node: &usize| occupancy.nodes[*node].open && occupancy.overloaded(*node);
    let quotas: BTreeSet<usize> = survey.places.iter().filter(|p| p.node.is_none()).map(|p| p.site).collect();
    let too_many = |site: &usize| {
        let bought = occupancy.bought.get(site).copied().unwrap_or(0);
        occupancy.instance.sites[*site].quota.is_some_and(|quota| bought > quota)
    };
    let mut replicas = BTreeMap::new();
    for pod in occupancy.pods.iter().filter(|p| !p.removed) {
        *replicas.entry(pod.group).or_insert(0_u32) += 1;
    }
    let numbers = survey.groups.iter().filter(|(_, rest)| rest.flexible).all(|(group, _)| {
        let placed = replicas.get(&Some(*group)).copied().unwrap_or(0);
        occupancy.choice(*group).is_some_and(|choice| choice.replicas == placed)
    });
    occupancy.is_within_limits() && numbers && !nodes.iter().flatten().any(overloaded) && !quotas.iter().any(too_many)
}
