//! Rules between pods, compiled: which pods count for which rule, by template, so that no selector is matched twice.

use std::collections::BTreeMap;

use crate::domain::rules::{HOSTNAME_LABEL, HostPort, LabelSelector, PodAffinityTerm};
use crate::domain::snapshot::{PodTemplate, Snapshot};

use super::instance::{Group, Instance};

/// A set of pods counted by domain of one topology key.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    /// Index into [`Relations::keys`].
    pub(super) key: usize,
    /// Whether some template has this as anti-affinity, so that its owners are counted too.
    pub(super) guarded: bool,
}

/// A hard spread over domains.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpreadRule {
    pub(super) counter: usize,
    pub(super) max_skew: u32,
    pub(super) min_domains: Option<u32>,
    /// Only nodes the pod's own rules select are domains.
    pub(super) honor_affinity: bool,
    /// Only nodes whose taints it tolerates are domains.
    pub(super) honor_taints: bool,
}

/// What one template's pods are bound by.
#[derive(Debug, Clone, Default)]
pub(super) struct TemplateRelations {
    /// Counters that count its pods.
    pub(super) counted_by: Vec<usize>,
    /// Counters that must be 0 in its domain.
    pub(super) anti_affinity: Vec<usize>,
    /// Counters that must be above 0 in its domain.
    pub(super) affinity: Vec<usize>,
    pub(super) spread: Vec<SpreadRule>,
    pub(super) host_ports: Vec<HostPort>,
}

/// All rules between pods.
pub(super) struct Relations {
    /// Topology keys.
    pub(super) keys: Vec<String>,
    pub(super) counters: Vec<Counter>,
    pub(super) templates: Vec<TemplateRelations>,
    /// The policy's spread for each group; its counter counts the group's pods.
    pub(super) group_spread: Vec<Option<SpreadRule>>,
}

type CounterKey<'a> = (&'a str, Who<'a>);

/// Which pods a counter counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who<'a> {
    Matching { namespaces: Vec<&'a str>, every_namespace: bool, selector: &'a LabelSelector },
    Group(usize),
    Nobody,
}

#[derive(Default)]
struct Builder<'a> {
    index: BTreeMap<CounterKey<'a>, usize>,
    order: Vec<CounterKey<'a>>,
}

impl<'a> Builder<'a> {
    fn counter(&mut self, key: CounterKey<'a>) -> usize {
        let next = self.order.len();
        *self.index.entry(key.clone()).or_insert_with(|| {
            self.order.push(key);
            next
        })
    }

    /// `None` where the term selects no pod at all.
    fn term(&mut self, snapshot: &'a Snapshot, own: &'a PodTemplate, term: &'a PodAffinityTerm) -> Option<usize> {
        let selector = term.selector.as_ref()?;
        let mut namespaces: Vec<&str> = term.namespaces.iter().map(String::as_str).collect();
        let mut every_namespace = false;
        match &term.namespace_selector {
            Some(wanted) if *wanted == LabelSelector::default() => every_namespace = true,
            Some(wanted) => namespaces.extend(
                snapshot.namespaces.iter().filter(|(_, labels)| wanted.matches(labels)).map(|(n, _)| n.as_str()),
            ),
            None if namespaces.is_empty() => namespaces.push(&own.namespace),
            None => {}
        }
        namespaces.sort_unstable();
        namespaces.dedup();
        if every_namespace {
            namespaces.clear();
        }
        Some(self.counter((term.topology_key.as_str(), Who::Matching { namespaces, every_namespace, selector })))
    }
}

impl Who<'_> {
    fn counts(&self, template: &PodTemplate) -> bool {
        match self {
            Self::Group(_) | Self::Nobody => false,
            Self::Matching { namespaces, every_namespace, selector } => {
                (*every_namespace || namespaces.binary_search(&template.namespace.as_str()).is_ok())
                    && selector.matches(&template.labels)
            }
        }
    }
}

/// Domains are counted by key; a term that selects nothing cannot be met as affinity, which this marks.
pub(super) const IMPOSSIBLE: usize = usize::MAX;

impl Relations {
    pub(super) fn new(instance: &Instance<'_>) -> Self {
        let snapshot = instance.snapshot;
        let mut builder = Builder::default();
        let mut templates: Vec<TemplateRelations> = Vec::with_capacity(snapshot.templates.len());
        for template in &snapshot.templates {
            let rules = &template.rules;
            let mut relations = TemplateRelations { host_ports: rules.host_ports.clone(), ..Default::default() };
            for term in &rules.pod_anti_affinity {
                relations.anti_affinity.extend(builder.term(snapshot, template, term));
            }
            for term in &rules.pod_affinity {
                relations.affinity.push(builder.term(snapshot, template, term).unwrap_or(IMPOSSIBLE));
            }
            for spread in rules.topology_spread.iter().filter(|s| s.hard) {
                // As in kube-scheduler, an empty selector counts nobody here; the node still needs the label.
                let who = match &spread.selector {
                    Some(selector) if *selector != LabelSelector::default() => {
                        Who::Matching { namespaces: vec![&template.namespace], every_namespace: false, selector }
                    }
                    _ => Who::Nobody,
                };
                relations.spread.push(SpreadRule {
                    counter: builder.counter((spread.topology_key.as_str(), who)),
                    max_skew: spread.max_skew.max(1) as u32,
                    min_domains: spread.min_domains.map(|n| n.max(1) as u32),
                    honor_affinity: spread.honor_affinity,
                    honor_taints: spread.honor_taints,
                });
            }
            templates.push(relations);
        }
        let group_spread: Vec<Option<SpreadRule>> = instance
            .groups
            .iter()
            .enumerate()
            .map(|(index, group)| {
                let spread = policy_spread(group)?;
                Some(SpreadRule {
                    counter: builder.counter((spread.topology_key.as_str(), Who::Group(index))),
                    max_skew: spread.max_skew.max(1),
                    min_domains: None,
                    honor_affinity: true,
                    honor_taints: true,
                })
            })
            .collect();
        let mut keys: Vec<String> = builder.order.iter().map(|(key, _)| (*key).to_owned()).collect();
        keys.push(HOSTNAME_LABEL.to_owned());
        keys.sort_unstable();
        keys.dedup();
        let mut counters: Vec<Counter> = builder
            .order
            .iter()
            .map(|(key, _)| Counter { key: keys.iter().position(|k| k == key).unwrap_or(0), guarded: false })
            .collect();
        for relations in &templates {
            for &counter in &relations.anti_affinity {
                counters[counter].guarded = true;
            }
        }
        for (relations, template) in templates.iter_mut().zip(&snapshot.templates) {
            relations.counted_by = (0..builder.order.len()).filter(|c| builder.order[*c].1.counts(template)).collect();
        }
        Self { keys, counters, templates, group_spread }
    }

    /// Whether anything is spread over domains other than nodes.
    pub(super) fn has_spread(&self) -> bool {
        let rules = self.templates.iter().flat_map(|t| &t.spread).chain(self.group_spread.iter().flatten());
        rules.into_iter().any(|rule| self.keys[self.counters[rule.counter].key] != HOSTNAME_LABEL)
    }

    /// Counters that count a pod of the template in the group.
    pub(super) fn counted_by(&self, template: usize, group: Option<usize>) -> impl Iterator<Item = usize> {
        let own = group.and_then(|g| self.group_spread.get(g)).and_then(Option::as_ref).map(|s| s.counter);
        self.templates.get(template).into_iter().flat_map(|t| t.counted_by.iter().copied()).chain(own)
    }
}

fn policy_spread<'a>(group: &Group<'a>) -> Option<&'a crate::domain::policy::Spread> {
    group.target.and_then(|t| t.spread.as_ref())
}
