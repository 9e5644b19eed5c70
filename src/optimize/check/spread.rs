//! Topology spread as kube-scheduler sees it: at the moment a pod comes.
//!
//! The nodes are those of the end, the pods that stay are in their places, and those that come do so one after the
//! other. Where all spreads hold in the end, filling the emptiest domain first is an order for them. Where one does not,
//! [`super::order`] looks for an order in which the scheduler would have taken every pod.

use std::collections::BTreeMap;

use crate::domain::rules::{LabelSelector, TopologySpread};
use crate::domain::snapshot::PodTemplate;

use super::Violation;
use super::order::{Unit, in_some_order};
use super::relations::{Judge, Place};

/// Nodes by domain, as one spread sees them.
pub(super) struct Domains<'a> {
    /// What decides which nodes count; templates alike in this share the domains.
    template: &'a PodTemplate,
    rule: &'a TopologySpread,
    keys: Vec<&'a str>,
    names: Vec<&'a str>,
    /// Domain of each node that has one, and whether pods on it count.
    pub(super) of_node: Vec<Option<(usize, bool)>>,
    /// Domains with a node that counts.
    pub(super) there: Vec<bool>,
}

/// Pods that one selector counts over some domains.
pub(super) struct Tally {
    pub(super) domains: usize,
    /// Pods that stay, by domain.
    pub(super) stay: Vec<i64>,
    /// Pods when all have come, by domain.
    pub(super) then: Vec<i64>,
    /// Whether each template is counted.
    pub(super) counted: Vec<bool>,
}

/// A spread of one template's pods.
pub(super) struct Rule<'a> {
    pub(super) template: usize,
    pub(super) spread: &'a TopologySpread,
    pub(super) tally: usize,
}

/// All spreads of pods that come.
#[derive(Default)]
pub(super) struct Spreads<'a> {
    pub(super) domains: Vec<Domains<'a>>,
    pub(super) tallies: Vec<Tally>,
    pub(super) rules: Vec<Rule<'a>>,
    /// Tallies by domains, namespace and selector.
    index: BTreeMap<(usize, &'a str), Vec<(&'a LabelSelector, usize)>>,
}

pub(super) fn check(judge: &Judge<'_>, violations: &mut Vec<Violation>) {
    let mut spreads = Spreads::default();
    for (number, template) in judge.templates.iter().enumerate() {
        if judge.is_coming(number) {
            for rule in template.rules.topology_spread.iter().filter(|rule| rule.hard) {
                let tally = spreads.tally(judge, template, rule);
                spreads.rules.push(Rule { template: number, spread: rule, tally });
            }
        }
    }
    spreads.labels(judge, violations);
    let broken: Vec<usize> = (0..spreads.rules.len()).filter(|rule| !spreads.uneven(judge, *rule).is_empty()).collect();
    if broken.is_empty() || in_some_order(&spreads, &units(judge)) {
        return;
    }
    for number in broken {
        let Rule { template, spread, .. } = spreads.rules[number];
        for (domain, skew) in spreads.uneven(judge, number) {
            violations.push(Violation::TopologySpread {
                workload: judge.name(template),
                domain: format!("{}={domain}", spread.topology_key),
                skew,
                max_skew: spread.max_skew,
            });
        }
    }
}

/// Pods that come, by template and node.
fn units(judge: &Judge<'_>) -> Vec<Unit> {
    let mut units = Vec::new();
    for (template, groups) in judge.state.groups.iter().enumerate() {
        let coming = groups.iter().filter(|(_, group)| group.coming > 0);
        units.extend(coming.map(|(node, group)| Unit { template, node: *node, coming: group.coming }));
    }
    units
}

impl<'a> Spreads<'a> {
    fn domains(&mut self, judge: &Judge<'a>, template: &'a PodTemplate, rule: &'a TopologySpread) -> usize {
        let hard = template.rules.topology_spread.iter().filter(|r| r.hard);
        let mut keys: Vec<&str> = hard.map(|r| r.topology_key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        let alike = |other: &Domains<'_>| {
            let (ours, theirs) = (&template.rules, &other.template.rules);
            other.rule.topology_key == rule.topology_key
                && other.keys == keys
                && (other.rule.honor_affinity, other.rule.honor_taints) == (rule.honor_affinity, rule.honor_taints)
                && (!rule.honor_affinity
                    || ours.node_selector == theirs.node_selector && ours.node_affinity == theirs.node_affinity)
                && (!rule.honor_taints || ours.tolerations == theirs.tolerations)
        };
        if let Some(known) = self.domains.iter().position(alike) {
            return known;
        }
        let mut ids: BTreeMap<&str, usize> = BTreeMap::new();
        let counts = |place: &Place<'_>| {
            keys.iter().all(|key| place.labels.contains_key(*key))
                && (!rule.honor_affinity || template.rules.matches_node(place.name, place.labels))
                && (!rule.honor_taints || template.rules.untolerated(place.taints).is_none())
        };
        let mut there = Vec::new();
        let of_node = judge.state.places.iter().map(|place| {
            let next = ids.len();
            let domain = *ids.entry(place.labels.get(&rule.topology_key)?).or_insert(next);
            there.resize(ids.len(), false);
            let counts = counts(place);
            there[domain] |= counts;
            Some((domain, counts))
        });
        let of_node = of_node.collect();
        let mut names = vec![""; ids.len()];
        for (name, id) in ids {
            names[id] = name;
        }
        self.domains.push(Domains { template, rule, keys, names, of_node, there });
        self.domains.len() - 1
    }

    fn tally(&mut self, judge: &Judge<'a>, template: &'a PodTemplate, rule: &'a TopologySpread) -> usize {
        static NOBODY: LabelSelector = LabelSelector { match_labels: BTreeMap::new(), match_expressions: Vec::new() };
        let domains = self.domains(judge, template, rule);
        // An empty selector counts nobody, as in kube-scheduler.
        let selector = rule.selector.as_ref().unwrap_or(&NOBODY);
        let key = (domains, template.namespace.as_str());
        let known = self.index.get(&key).and_then(|known| known.iter().find(|(s, _)| *s == selector));
        if let Some((_, known)) = known {
            return *known;
        }
        let counts = |other: &PodTemplate| {
            *selector != NOBODY && other.namespace == template.namespace && selector.matches(&other.labels)
        };
        let counted: Vec<bool> = judge.templates.iter().map(counts).collect();
        let mut tally = Tally {
            domains,
            stay: vec![0; self.domains[domains].names.len()],
            then: vec![0; self.domains[domains].names.len()],
            counted,
        };
        for (groups, _) in judge.state.groups.iter().zip(&tally.counted).filter(|(_, counted)| **counted) {
            for (node, group) in groups {
                if let Some((domain, true)) = self.domains[domains].of_node[*node] {
                    tally.then[domain] += i64::from(group.live);
                    tally.stay[domain] += i64::from(group.live.saturating_sub(group.coming));
                }
            }
        }
        self.tallies.push(tally);
        self.index.entry(key).or_default().push((selector, self.tallies.len() - 1));
        self.tallies.len() - 1
    }

    /// Pods that come to nodes without the label they spread over.
    fn labels(&self, judge: &Judge<'_>, violations: &mut Vec<Violation>) {
        for Rule { template, spread, tally } in &self.rules {
            let domains = &self.domains[self.tallies[*tally].domains];
            let groups = judge.state.groups[*template].iter().filter(|(_, group)| group.coming > 0);
            for (node, _) in groups.filter(|(node, _)| domains.of_node[**node].is_none()) {
                violations.push(Violation::TopologyLabel {
                    workload: judge.name(*template),
                    node: judge.state.places[*node].name.to_owned(),
                    label: spread.topology_key.clone(),
                });
            }
        }
    }

    /// Domains that pods of the rule come to and that are too full when all have come, with their skew.
    fn uneven(&self, judge: &Judge<'_>, number: usize) -> BTreeMap<&'a str, i64> {
        let Rule { template, spread, tally } = self.rules[number];
        let tally = &self.tallies[tally];
        let domains = &self.domains[tally.domains];
        let least = domains.least(&tally.then, spread);
        let coming = judge.state.groups[template].iter().filter(|(_, group)| group.coming > 0);
        let touched = coming.filter_map(|(node, _)| domains.of_node[*node]);
        touched
            .map(|(domain, _)| (domains.names[domain], tally.then[domain] - least))
            .filter(|(_, skew)| *skew > i64::from(spread.max_skew))
            .collect()
    }
}

impl Domains<'_> {
    /// Least count over the domains that are there; 0 where there are fewer than the rule wants.
    pub(super) fn least(&self, counts: &[i64], rule: &TopologySpread) -> i64 {
        let there = self.there.iter().filter(|there| **there).count();
        if there < usize::try_from(rule.min_domains.unwrap_or(1)).unwrap_or(0) {
            return 0;
        }
        self.lowest(counts)
    }

    /// Least count over the domains that are there.
    pub(super) fn lowest(&self, counts: &[i64]) -> i64 {
        let counts = counts.iter().zip(&self.there).filter(|(_, there)| **there).map(|(count, _)| *count);
        counts.min().unwrap_or(0)
    }
}
