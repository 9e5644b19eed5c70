//! Rows for rules between pods and for the policy's rules on zones and spot nodes.
//!
//! Each row is written only where it holds for every plan the checker accepts: a state that breaks a rule now may
//! stay as it is, and a domain counts only if it is certain to be there when the plan is done.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::CapacityType;
use crate::domain::problem::{Quantity, Sense};
use crate::domain::quota::plain_resource;
use crate::domain::rules::HOSTNAME_LABEL;
use crate::domain::volumes::Disk;

use super::model::{Model, scale_of};
use super::relations::{Relations, SpreadRule};

/// `(group, template)`.
type Variant = (usize, usize);

pub(super) fn add(model: &mut Model<'_>, relations: &Relations) {
    exclusions(model, relations);
    claims(model, relations);
    resource_quotas(model);
    gangs(model, relations);
    spreads(model, relations);
    spot_shares(model);
    zone_losses(model);
}

/// Variants whose template passes.
fn variants(model: &Model<'_>, wanted: impl Fn(usize) -> bool) -> BTreeSet<Variant> {
    let groups = model.instance.groups.iter().enumerate();
    groups.flat_map(|(g, group)| group.templates.iter().map(move |t| (g, *t))).filter(|(_, t)| wanted(*t)).collect()
}

/// Replica variables of the variants in the pools that pass.
fn terms(model: &Model<'_>, members: &BTreeSet<Variant>, wanted: impl Fn(usize) -> bool) -> Vec<(usize, f64)> {
    let mut terms = Vec::new();
    let groups: BTreeSet<usize> = members.iter().map(|(g, _)| *g).collect();
    for group in groups {
        for &(template, _, pool, variable) in &model.replicas[group] {
            if members.contains(&(group, template)) && wanted(pool) {
                terms.push((variable, 1.0));
            }
        }
    }
    terms
}

/// Pods that exclude one another: one a node, or one a domain.
fn exclusions(model: &mut Model<'_>, relations: &Relations) {
    for (counter, facts) in relations.counters.iter().enumerate().filter(|(_, c)| c.guarded) {
        let members = variants(model, |t| {
            let of = &relations.templates[t];
            of.anti_affinity.contains(&counter) && of.counted_by.binary_search(&counter).is_ok()
        });
        let key = relations.layout.keys[facts.key].as_str();
        if key == HOSTNAME_LABEL {
            one_a_node(model, &members, &format!("exclusive/{counter}"));
            continue;
        }
        for (domain, pools) in domains(model, key) {
            let terms = terms(model, &members, |p| pools.contains(&p));
            let now: u32 = standing(model, &members, &pools);
            if terms.len() > 1 || now > 0 {
                let name = format!("exclusive/{counter}/{domain}");
                model.row(name, terms, Sense::AtMost, f64::from(now.max(1)));
            }
        }
    }
    let mut ports: BTreeMap<(i32, &str, &str), BTreeSet<Variant>> = BTreeMap::new();
    for (group, facts) in model.instance.groups.iter().enumerate() {
        for &template in &facts.templates {
            for port in &relations.templates[template].host_ports {
                let key = (port.port, port.protocol.as_str(), port.host_ip.as_str());
                ports.entry(key).or_default().insert((group, template));
            }
        }
    }
    for ((port, protocol, address), members) in &ports {
        one_a_node(model, members, &format!("hostPort/{port}/{protocol}/{address}"));
    }
    let mut disks: BTreeMap<&Disk, BTreeSet<Variant>> = BTreeMap::new();
    for (group, facts) in model.instance.groups.iter().enumerate() {
        for &template in &facts.templates {
            for disk in relations.templates[template].disks.iter().filter(|disk| disk.conflicts_with(disk)) {
                disks.entry(disk).or_default().insert((group, template));
            }
        }
    }
    for (number, members) in disks.values().enumerate() {
        one_a_node(model, members, &format!("disk/{number}"));
    }
}

/// Either no pod of a gang comes, or it is complete. One that stands complete needs no row: it may lose pods.
fn gangs(model: &mut Model<'_>, relations: &Relations) {
    let every: BTreeSet<usize> = (0..model.pools.len()).collect();
    let instance = model.instance;
    for (number, gang) in instance.snapshot.gangs.iter().enumerate() {
        let members = variants(model, |t| relations.templates[t].gang == Some(number));
        let mut all = terms(model, &members, |_| true);
        let now = standing(model, &members, &every);
        if all.is_empty() || now >= gang.min_members {
            continue;
        }
        let groups: BTreeSet<usize> = members.iter().map(|(group, _)| *group).collect();
        let most: u32 = groups.iter().map(|g| instance.groups[*g].most_replicas()).fold(0, u32::saturating_add);
        let comes = model.variable(Quantity::Gang { gang: number }, 0.0, 1.0, true, 0.0);
        let mut none = all.clone();
        none.push((comes, -f64::from(most.saturating_sub(now))));
        all.push((comes, -f64::from(gang.min_members)));
        let name = format!("gang/{}/{}", gang.namespace, gang.name);
        model.row(format!("{name}/none"), none, Sense::AtMost, f64::from(now));
        let row = model.row(format!("{name}/all"), all, Sense::AtLeast, 0.0);
        row.rule = Some(format!("pod group {}/{}", gang.namespace, gang.name));
        "pod at once".clone_into(&mut row.unit);
    }
}

/// What the pods of a namespace are charged is at most what its quota has, or what they are charged now if that is more.
/// Pods that exist without a node, and those on unknown nodes, are charged too, but have no variable.
fn resource_quotas(model: &mut Model<'_>) {
    let instance = model.instance;
    let mut rows: Vec<Vec<(usize, f64)>> = vec![Vec::new(); instance.quotas.limits.len()];
    for (group, variables) in model.replicas.iter().enumerate() {
        for &(template, size, _, variable) in variables {
            for (limit, amount) in instance.quotas.charge(group, template, size).iter() {
                rows[*limit].push((variable, *amount as f64));
            }
        }
    }
    for (limit, mut terms) in instance.quotas.limits.iter().zip(rows).filter(|(_, terms)| !terms.is_empty()) {
        let quota = &instance.snapshot.quotas[limit.quota];
        let (scale, unit) = scale_of(plain_resource(&limit.resource));
        for term in &mut terms {
            term.1 /= scale;
        }
        let most = (limit.now + limit.room.max(0)) as f64 / scale;
        let name = format!("quota of {}: {} of {}", quota.namespace, limit.resource, quota.name);
        let row = model.row(name.clone(), terms, Sense::AtMost, most);
        row.rule = Some(name);
        unit.clone_into(&mut row.unit);
    }
}

/// Claims that one pod may use, and volumes made by hand, of which each claim takes one.
fn claims(model: &mut Model<'_>, relations: &Relations) {
    let every: BTreeSet<usize> = (0..model.pools.len()).collect();
    for (claim, name) in relations.claims.iter().enumerate() {
        let members = variants(model, |t| relations.templates[t].claims.contains(&claim));
        let terms = terms(model, &members, |_| true);
        if !terms.is_empty() {
            let now = standing(model, &members, &every);
            model.row(format!("claim/{name}"), terms, Sense::AtMost, f64::from(now.max(1)));
        }
    }
    for (template, _) in relations.templates.iter().enumerate().filter(|(_, own)| own.binds) {
        let to_bind = &model.instance.snapshot.templates[template].rules.volumes.to_bind;
        if to_bind.iter().any(|claim| claim.made.is_some() || claim.claim.is_some()) {
            continue;
        }
        let volumes: BTreeSet<&str> = to_bind.iter().flat_map(|c| c.volumes.iter().map(|v| v.name.as_str())).collect();
        let members = variants(model, |t| t == template);
        let terms = terms(model, &members, |_| true);
        if !terms.is_empty() {
            // Pods that stay are not judged again.
            let most = (volumes.len() / to_bind.len()) as u32 + standing(model, &members, &every);
            model.row(format!("volumes/{template}"), terms, Sense::AtMost, f64::from(most));
        }
    }
}

fn one_a_node(model: &mut Model<'_>, members: &BTreeSet<Variant>, name: &str) {
    let instance = model.instance;
    let mut on_node: BTreeMap<usize, u32> = BTreeMap::new();
    for pod in &instance.pods {
        if let (Some(group), Some(node)) = (pod.group, pod.node)
            && members.contains(&(group, pod.template))
        {
            *on_node.entry(node).or_insert(0) += 1;
        }
    }
    for (index, pool) in model.pools.iter().enumerate() {
        let mut terms = terms(model, members, |p| p == index);
        if terms.is_empty() {
            continue;
        }
        // Nodes that have several of them now may keep them.
        let crowded: u32 = pool.nodes.iter().filter_map(|n| on_node.get(n)).map(|count| count - 1).sum();
        let right = if pool.elastic {
            terms.extend(model.nodes_of(index).map(|v| (v, -1.0)));
            f64::from(crowded)
        } else {
            f64::from(crowded) + pool.nodes.len() as f64
        };
        model.row(format!("{name}/{}", pool.name), terms, Sense::AtMost, right);
    }
}

/// Pools by the value of a label; those without it are in no domain.
fn domains(model: &Model<'_>, key: &str) -> BTreeMap<String, BTreeSet<usize>> {
    let mut domains: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (index, pool) in model.pools.iter().enumerate() {
        if let Some(value) = model.instance.sites[pool.site].labels.get(key) {
            domains.entry(value.clone()).or_default().insert(index);
        }
    }
    domains
}

fn standing(model: &Model<'_>, members: &BTreeSet<Variant>, pools: &BTreeSet<usize>) -> u32 {
    let on = |p: &usize| model.pools[*p].standing.iter().filter(|(key, _)| members.contains(key)).map(|(_, n)| n);
    pools.iter().flat_map(on).sum()
}

/// Spread over the domains of a label: `floor ≤ count ≤ floor + skew`, two rows a domain instead of one a pair.
fn spreads(model: &mut Model<'_>, relations: &Relations) {
    let mut done = BTreeSet::new();
    for template in 0..relations.templates.len() {
        for rule in &relations.templates[template].spread {
            // Rows hold for all pods counted only if each of them is bound by the same rule.
            let bound = |t: usize| {
                relations.templates[t].spread.iter().any(|r| r.counter == rule.counter && r.max_skew <= rule.max_skew)
            };
            let counted = |t: usize| relations.templates[t].counted_by.binary_search(&rule.counter).is_ok();
            let members = variants(model, counted);
            let all_bound = (0..relations.templates.len()).filter(|t| counted(*t)).all(bound);
            if all_bound && !members.is_empty() && done.insert((rule.counter, rule.max_skew)) {
                let name = format!("spread/{}/{template}", relations.layout.keys[relations.counters[rule.counter].key]);
                spread(model, relations, *rule, &members, &name, None);
            }
        }
    }
    for group in 0..model.instance.groups.len() {
        let facts = &model.instance.groups[group];
        let Some(rule) = relations.group_spread[group] else { continue };
        let members = facts.templates.iter().map(|t| (group, *t)).collect();
        let name = format!("spread/{}/{}", facts.id.namespace, facts.label());
        let policy = facts.target.map(|t| format!("targets.{}.spread", t.name));
        spread(model, relations, rule, &members, &name, policy.as_deref());
    }
}

fn spread(
    model: &mut Model<'_>,
    relations: &Relations,
    rule: SpreadRule,
    members: &BTreeSet<Variant>,
    name: &str,
    policy: Option<&str>,
) {
    let key = relations.layout.keys[relations.counters[rule.counter].key].clone();
    if key == HOSTNAME_LABEL {
        return;
    }
    let domains = domains(model, &key);
    let drains = model.instance.limits.drains as usize;
    let certain = |pools: &BTreeSet<usize>| {
        let labelled = |pool: usize, template: usize| {
            let labels = &model.instance.sites[model.pools[pool].site].labels;
            let spread = &relations.templates[template].spread;
            spread.iter().all(|r| labels.contains_key(&relations.layout.keys[relations.counters[r.counter].key]))
        };
        let eligible = || {
            pools.iter().filter(|p| !model.pools[**p].purchasable).filter(|p| {
                members.iter().all(|(_, t)| model.pool_admits_all(&model.pools[**p], *t) && labelled(**p, *t))
            })
        };
        let kept: usize = eligible().filter(|p| !model.pools[**p].elastic).map(|p| model.pools[*p].nodes.len()).sum();
        let drainable: usize =
            eligible().filter(|p| model.pools[**p].elastic).map(|p| model.pools[*p].nodes.len()).sum();
        kept > 0 || drainable > drains
    };
    let floors: Vec<&BTreeSet<usize>> = domains.values().filter(|pools| certain(pools)).collect();
    if floors.is_empty() {
        return;
    }
    let most: u32 = members.iter().map(|(g, _)| model.instance.groups[*g].most_replicas()).sum();
    let highest = f64::from(most / floors.len() as u32);
    let group = members.iter().next().map_or(0, |(g, _)| *g);
    let floor_rows: Vec<Vec<(usize, f64)>> =
        floors.iter().map(|pools| terms(model, members, |p| pools.contains(&p))).collect();
    let number = model.problem.variables.len();
    let floor = model.variable(Quantity::SpreadFloor { group, spread: number }, 0.0, highest, false, 0.0);
    for (number, mut row) in floor_rows.into_iter().enumerate() {
        row.push((floor, -1.0));
        let row = model.row(format!("{name}/least/{number}"), row, Sense::AtLeast, 0.0);
        row.rule = policy.map(str::to_owned);
        "pod of skew".clone_into(&mut row.unit);
    }
    for (domain, pools) in &domains {
        let mut row = terms(model, members, |p| pools.contains(&p));
        if row.is_empty() {
            continue;
        }
        // Pods that stand may all stay, however uneven that leaves the domains; and those on nodes the rule leaves out
        // are not counted by it.
        let now = f64::from(standing(model, members, pools));
        let left_out: BTreeSet<usize> = pools
            .iter()
            .copied()
            .filter(|p| !members.iter().all(|(_, t)| model.pool_admits_all(&model.pools[*p], *t)))
            .collect();
        let uncounted = standing(model, members, &left_out);
        let (rise, skew) = within_skew(now, f64::from(rule.max_skew.saturating_add(uncounted)), highest);
        row.push((floor, -rise));
        let row = model.row(format!("{name}/most/{domain}"), row, Sense::AtMost, skew);
        row.rule = policy.map(str::to_owned);
        "pod of skew".clone_into(&mut row.unit);
    }
}

/// Slope and height of the line that is nowhere below `max(now, floor + skew)` for floors from 0 to the highest, and as
/// low as it can be: either no pod comes to a domain, or it has at most the skew more than the emptiest.
fn within_skew(now: f64, skew: f64, highest: f64) -> (f64, f64) {
    let (at_none, at_highest) = (now.max(skew), now.max(highest + skew));
    if highest > 0.0 { ((at_highest - at_none) / highest, at_none) } else { (0.0, at_none) }
}

/// At most a share of the replicas on spot nodes; what is beyond that now may stay.
fn spot_shares(model: &mut Model<'_>) {
    for group in 0..model.instance.groups.len() {
        let facts = &model.instance.groups[group];
        let Some(target) = facts.target else { continue };
        let Some(share) = target.max_spot_share else { continue };
        let is_spot = |p: usize| model.instance.sites[model.pools[p].site].capacity_type == CapacityType::Spot;
        let members: BTreeSet<Variant> = facts.templates.iter().map(|t| (group, *t)).collect();
        let mut row = terms(model, &members, is_spot);
        if row.is_empty() {
            continue;
        }
        let spot: BTreeSet<usize> = (0..model.pools.len()).filter(|p| is_spot(*p)).collect();
        let least = facts.options.iter().map(|o| share * f64::from(o.replicas)).fold(f64::INFINITY, f64::min);
        let beyond = (f64::from(standing(model, &members, &spot)) - least).max(0.0);
        let (chosen, right) = model.per_choice(group, None, |replicas| share * f64::from(replicas));
        row.extend(chosen.into_iter().map(|(v, a)| (v, -a)));
        let name = format!("spotShare/{}/{}", facts.id.namespace, facts.label());
        let rule = format!("targets.{}.maxSpotShare", target.name);
        let row = model.row(name, row, Sense::AtMost, right + beyond);
        row.rule = Some(rule);
        "replica on spot".clone_into(&mut row.unit);
    }
}

/// In every zone at most what may be lost; what is beyond that now may stay.
fn zone_losses(model: &mut Model<'_>) {
    for group in 0..model.instance.groups.len() {
        let facts = &model.instance.groups[group];
        let Some(target) = facts.target else { continue };
        let Some(kept) = target.zone_loss else { continue };
        let spare = |replicas: u32| f64::from(replicas.saturating_sub(kept.of_rounded_up(replicas)));
        let members: BTreeSet<Variant> = facts.templates.iter().map(|t| (group, *t)).collect();
        let mut zones: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for (index, pool) in model.pools.iter().enumerate() {
            zones.entry(model.instance.sites[pool.site].zone.clone()).or_default().insert(index);
        }
        let least = facts.options.iter().map(|o| spare(o.replicas)).fold(f64::INFINITY, f64::min);
        for (zone, pools) in zones {
            let mut row = terms(model, &members, |p| pools.contains(&p));
            if row.is_empty() {
                continue;
            }
            let beyond = (f64::from(standing(model, &members, &pools)) - least).max(0.0);
            let (chosen, right) = model.per_choice(group, None, spare);
            row.extend(chosen.into_iter().map(|(v, a)| (v, -a)));
            let name = format!("zoneLoss/{}/{}/{zone}", facts.id.namespace, facts.label());
            let rule = format!("targets.{}.zoneLoss", target.name);
            let row = model.row(name, row, Sense::AtMost, right + beyond);
            row.rule = Some(rule);
            "replica in one zone".clone_into(&mut row.unit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::within_skew;

    #[test]
    fn the_line_is_above_both_what_stands_and_what_the_skew_allows_and_meets_them_at_its_ends() {
        for (now, skew, highest) in
            [(4.0, 1.0, 5.0), (0.0, 1.0, 3.0), (9.0, 2.0, 3.0), (2.0, 1.0, 0.0), (3.0, 5.0, 4.0)]
        {
            let (rise, height) = within_skew(now, skew, highest);
            let line = |floor: f64| height + rise * floor;
            for floor in (0..=20).map(|step| highest * f64::from(step) / 20.0) {
                assert!(line(floor) >= f64::max(now, floor + skew) - 1e-9, "{now} {skew} {highest} at {floor}");
            }
            assert!((line(0.0) - f64::max(now, skew)).abs() < 1e-9);
            assert!((line(highest) - f64::max(now, highest + skew)).abs() < 1e-9);
        }
    }
}
