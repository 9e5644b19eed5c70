//! Which templates a node admits by labels and taints alone, worked out once for each shape of node.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::policy::Policy;
use crate::domain::rules::{HOSTNAME_LABEL, NodeSelectorTerm, SchedulingRules, Taint, VOLUME_PLACE_LABELS};
use crate::domain::snapshot::Snapshot;

use super::sites::Site;

/// Admission by shape of node.
#[derive(Clone, Default)]
pub(super) struct Shapes {
    /// `admitted[template][shape]`.
    admitted: Vec<Vec<bool>>,
    /// `selected[template][shape]`: the same without taints.
    selected: Vec<Vec<bool>>,
    /// `tolerated[template][shape]`: taints alone.
    tolerated: Vec<Vec<bool>>,
    /// Templates that ask for nodes by name, so that shapes do not decide.
    names_nodes: Vec<bool>,
}

impl Shapes {
    /// Finds the shapes and writes each site's into it.
    pub(super) fn new(snapshot: &Snapshot, policy: &Policy, sites: &mut [Site]) -> Self {
        let keys = label_keys_that_matter(snapshot, policy);
        let mut shapes: BTreeMap<(Vec<Option<String>>, Vec<Taint>), usize> = BTreeMap::new();
        let mut representatives = Vec::new();
        for (index, site) in sites.iter_mut().enumerate() {
            let values = keys.iter().map(|key| site.labels.get(*key).cloned()).collect();
            let mut taints = site.taints.clone();
            taints.sort_by(|a, b| (&a.key, &a.value, a.effect).cmp(&(&b.key, &b.value, b.effect)));
            let next = representatives.len();
            let shape = *shapes.entry((values, taints)).or_insert(next);
            if shape == next {
                representatives.push(index);
            }
            site.shape = shape;
        }
        let over_shapes = |verdict: &dyn Fn(&SchedulingRules, &Site) -> bool| -> Vec<Vec<bool>> {
            let row = |rules| representatives.iter().map(|r| verdict(rules, &sites[*r])).collect();
            snapshot.templates.iter().map(|t| row(&t.rules)).collect()
        };
        Self {
            admitted: over_shapes(&admits),
            selected: over_shapes(&|rules, site| rules.selects_node(&site.name, &site.labels)),
            tolerated: over_shapes(&|rules, site| rules.untolerated(&site.taints).is_none()),
            names_nodes: snapshot.templates.iter().map(|t| names_nodes(&t.rules)).collect(),
        }
    }

    /// Whether the site's labels and taints let a pod of the template on. Gated pods go nowhere.
    pub(super) fn admits(&self, snapshot: &Snapshot, template: usize, site: &Site) -> bool {
        if self.names_nodes.get(template) == Some(&true) {
            return admits(&snapshot.templates[template].rules, site);
        }
        self.admitted.get(template).and_then(|row| row.get(site.shape)).copied().unwrap_or(false)
    }

    /// A template comes that asks the same of nodes as another.
    pub(super) fn template_like(&mut self, other: usize) {
        for rows in [&mut self.admitted, &mut self.selected, &mut self.tolerated] {
            rows.push(rows[other].clone());
        }
        self.names_nodes.push(self.names_nodes[other]);
    }

    /// Shapes that admit the template.
    pub(super) fn admitted(&self, template: usize) -> &[bool] {
        self.admitted.get(template).map_or(&[], Vec::as_slice)
    }

    /// Whether the template asks for nodes by name.
    pub(super) fn names_nodes(&self, template: usize) -> bool {
        self.names_nodes.get(template) == Some(&true)
    }

    /// Whether the pod's own node rules select the site, whatever its taints.
    pub(super) fn selects(&self, snapshot: &Snapshot, template: usize, site: &Site) -> bool {
        if self.names_nodes.get(template) == Some(&true) {
            return snapshot.templates[template].rules.selects_node(&site.name, &site.labels);
        }
        self.selected.get(template).and_then(|row| row.get(site.shape)).copied().unwrap_or(false)
    }

    /// Whether the pod tolerates the site's taints, whatever its node rules.
    pub(super) fn tolerates(&self, template: usize, site: &Site) -> bool {
        self.tolerated.get(template).and_then(|row| row.get(site.shape)).copied().unwrap_or(false)
    }
}

fn admits(rules: &SchedulingRules, site: &Site) -> bool {
    rules.scheduling_gates.is_empty()
        && rules.selects_node(&site.name, &site.labels)
        && rules.untolerated(&site.taints).is_none()
}

fn terms(rules: &SchedulingRules) -> impl Iterator<Item = &NodeSelectorTerm> {
    let of_volumes = rules.volume_affinity.iter().chain(&rules.volumes_to_make).flatten();
    rules.node_affinity.iter().flatten().chain(of_volumes)
}

fn names_nodes(rules: &SchedulingRules) -> bool {
    rules.node_selector.contains_key(HOSTNAME_LABEL)
        || terms(rules).any(|t| !t.fields.is_empty() || t.expressions.iter().any(|r| r.key == HOSTNAME_LABEL))
}

/// Label keys that any rule looks at; the host name is left out, else every node were a shape of its own.
fn label_keys_that_matter<'a>(snapshot: &'a Snapshot, policy: &'a Policy) -> BTreeSet<&'a str> {
    let mut keys: BTreeSet<&str> = BTreeSet::new();
    for rules in snapshot.templates.iter().map(|t| &t.rules) {
        keys.extend(rules.node_selector.keys().map(String::as_str));
        keys.extend(terms(rules).flat_map(|t| t.expressions.iter().map(|r| r.key.as_str())));
        keys.extend(rules.pod_affinity.iter().chain(&rules.pod_anti_affinity).map(|t| t.topology_key.as_str()));
        keys.extend(rules.topology_spread.iter().map(|s| s.topology_key.as_str()));
        if !rules.volume_places.is_empty() {
            keys.extend(VOLUME_PLACE_LABELS.map(|(key, _)| key));
        }
    }
    keys.extend(policy.targets.iter().filter_map(|t| t.spread.as_ref()).map(|s| s.topology_key.as_str()));
    keys.remove(HOSTNAME_LABEL);
    keys
}
