//! Which templates a node admits by labels and taints alone, worked out once for each shape of node.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::policy::Policy;
use crate::domain::rules::{HOSTNAME_LABEL, NodeSelectorTerm, SchedulingRules, Taint, VOLUME_PLACE_LABELS};
use crate::domain::snapshot::{PodTemplate, Snapshot};
use crate::domain::volumes::ClaimToBind;

use super::instance::FULL_WEIGHT;
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
    /// `unmet[template][shape]`: weight of the preferences about nodes that are not met.
    unmet: Vec<Vec<f64>>,
    /// Templates that prefer nodes by name.
    prefers_names: Vec<bool>,
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
        let weighed = policy.costs.preference_per_hour > 0.0;
        let unmet_of = |t: &PodTemplate| representatives.iter().map(|r| unmet(&t.rules, &sites[*r])).collect();
        let prefers_names = |t: &PodTemplate| {
            let terms = t.rules.preferred_node_affinity.iter().map(|preferred| &preferred.term);
            terms.into_iter().any(by_name)
        };
        Self {
            admitted: over_shapes(&admits),
            selected: over_shapes(&|rules, site| rules.selects_node(&site.name, &site.labels)),
            tolerated: over_shapes(&|rules, site| rules.untolerated(&site.taints).is_none()),
            names_nodes: snapshot.templates.iter().map(|t| names_nodes(&t.rules)).collect(),
            unmet: if weighed { snapshot.templates.iter().map(unmet_of).collect() } else { Vec::new() },
            prefers_names: snapshot.templates.iter().map(prefers_names).collect(),
        }
    }

    /// Whether the site's labels and taints let a pod of the template on. Pods that wait for
    /// a gate or a claim go nowhere.
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

    /// Weight of the preferences about nodes that the site does not meet: preferred node affinity, and a full weight for
    /// each taint that would rather have no pod.
    pub(super) fn unmet(&self, snapshot: &Snapshot, template: usize, site: &Site) -> f64 {
        let Some(row) = self.unmet.get(template) else { return 0.0 };
        if self.prefers_names(template) {
            return unmet(&snapshot.templates[template].rules, site);
        }
        row.get(site.shape).copied().unwrap_or(0.0)
    }

    /// Whether the template prefers nodes by name, so that shapes do not decide.
    pub(super) fn prefers_names(&self, template: usize) -> bool {
        self.prefers_names.get(template) == Some(&true)
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
    !rules.waits() && rules.selects_node(&site.name, &site.labels) && rules.untolerated(&site.taints).is_none()
}

/// Weight of the preferences about nodes that the site does not meet. As in kube-scheduler an empty term is none.
fn unmet(rules: &SchedulingRules, site: &Site) -> f64 {
    let terms = rules.preferred_node_affinity.iter().filter(|p| p.term != NodeSelectorTerm::default());
    let missed = terms.filter(|p| !p.term.matches(&site.name, &site.labels)).map(|p| f64::from(p.weight)).sum::<f64>();
    missed + FULL_WEIGHT * rules.would_rather_avoid(&site.taints) as f64
}

fn by_name(term: &NodeSelectorTerm) -> bool {
    !term.fields.is_empty() || term.expressions.iter().any(|r| r.key == HOSTNAME_LABEL)
}

fn terms(rules: &SchedulingRules) -> impl Iterator<Item = &NodeSelectorTerm> {
    let of_volumes = rules.volume_affinity.iter().chain(&rules.volumes_to_make).flatten();
    let to_bind = rules.volumes.to_bind.iter().flat_map(ClaimToBind::terms);
    rules.node_affinity.iter().flatten().chain(of_volumes).chain(to_bind)
}

fn names_nodes(rules: &SchedulingRules) -> bool {
    rules.node_selector.contains_key(HOSTNAME_LABEL) || terms(rules).any(by_name)
}

/// Label keys that any rule looks at; the host name is left out, else every node were a shape of its own.
fn label_keys_that_matter<'a>(snapshot: &'a Snapshot, policy: &'a Policy) -> BTreeSet<&'a str> {
    let mut keys: BTreeSet<&str> = BTreeSet::new();
    for rules in snapshot.templates.iter().map(|t| &t.rules) {
        keys.extend(rules.node_selector.keys().map(String::as_str));
        keys.extend(terms(rules).flat_map(|t| t.expressions.iter().map(|r| r.key.as_str())));
        keys.extend(rules.pod_affinity.iter().chain(&rules.pod_anti_affinity).map(|t| t.topology_key.as_str()));
        keys.extend(rules.topology_spread.iter().map(|s| s.topology_key.as_str()));
        if policy.costs.preference_per_hour > 0.0 {
            let preferred = rules.preferred_node_affinity.iter().flat_map(|p| &p.term.expressions);
            keys.extend(preferred.map(|r| r.key.as_str()));
            let pods = rules.preferred_pod_affinity.iter().chain(&rules.preferred_pod_anti_affinity);
            keys.extend(pods.map(|p| p.term.topology_key.as_str()));
        }
        if !rules.volume_places.is_empty() {
            keys.extend(VOLUME_PLACE_LABELS.map(|(key, _)| key));
        }
    }
    keys.extend(policy.targets.iter().filter_map(|t| t.spread.as_ref()).map(|s| s.topology_key.as_str()));
    keys.remove(HOSTNAME_LABEL);
    keys
}
