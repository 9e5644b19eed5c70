//! Rules between pods, compiled: which pods count for which rule, by template, so that no selector is matched twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::rules::{HOSTNAME_LABEL, HostPort, LabelSelector, PodAffinityTerm, TopologySpread};
use crate::domain::snapshot::{PodTemplate, Snapshot};
use crate::domain::volumes::{Disk, SharedVolume};

use super::evenness::View;
use super::instance::{Group, Instance};
use super::layout::Layout;

/// A set of pods counted by domain of one topology key.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    /// Index into [`Layout::keys`].
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
    /// Index into [`Relations::evenness`].
    pub(super) evenness: usize,
}

/// The pods of one counter over the domains of one view.
#[derive(Debug, Clone, Copy)]
pub(super) struct EvennessRule {
    pub(super) counter: usize,
    /// Index into [`Relations::views`].
    pub(super) view: usize,
    /// Least skew that any rule over them allows.
    pub(super) max_skew: u32,
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
    /// Disks that pods of a node may not share.
    pub(super) disks: Vec<Disk>,
    /// Volumes that other pods use too, with the resource that each counts as.
    pub(super) shared_volumes: Vec<(usize, usize)>,
    /// Claims that only one pod may use.
    pub(super) claims: Vec<usize>,
    /// A volume must be found for one of its claims.
    pub(super) binds: bool,
    /// Index of its gang among the snapshot's.
    pub(super) gang: Option<usize>,
    /// Counters that are best above 0 in its domain, beside the pod itself, with their weight.
    pub(super) near: Vec<(usize, f64)>,
    /// Counters that are best 0 in its domain, beside the pod itself.
    pub(super) far: Vec<(usize, f64)>,
    pub(super) soft_spread: Vec<SoftSpread>,
}

impl TemplateRelations {
    /// Whether its pods prefer to be near or apart from others.
    pub(super) fn prefers(&self) -> bool {
        !self.near.is_empty() || !self.far.is_empty() || !self.soft_spread.is_empty()
    }
}

/// A spread that may be broken at a price.
#[derive(Debug, Clone, Copy)]
pub(super) struct SoftSpread {
    pub(super) counter: usize,
    pub(super) max_skew: u32,
    /// Index into [`Relations::views`].
    pub(super) view: usize,
}

/// All rules between pods.
pub(super) struct Relations {
    pub(super) layout: Layout,
    pub(super) counters: Vec<Counter>,
    pub(super) templates: Vec<TemplateRelations>,
    /// The policy's spread for each group; its counter counts the group's pods.
    pub(super) group_spread: Vec<Option<SpreadRule>>,
    pub(super) evenness: Vec<EvennessRule>,
    /// Those of each counter.
    pub(super) evenness_of_counter: Vec<Vec<usize>>,
    pub(super) views: Vec<View>,
    /// The evenness over each view.
    pub(super) evenness_of_view: Vec<Vec<usize>>,
    /// Claims that only one pod may use, as `namespace/name`.
    pub(super) claims: Vec<String>,
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

impl<'a> Who<'a> {
    /// The pods of the namespace that a spread counts: as in kube-scheduler, an empty selector counts nobody.
    fn spread(namespace: &'a str, spread: &'a TopologySpread) -> Self {
        match &spread.selector {
            Some(selector) if *selector != LabelSelector::default() => {
                Self::Matching { namespaces: vec![namespace], every_namespace: false, selector }
            }
            _ => Self::Nobody,
        }
    }

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

/// Whose view of the nodes a spread takes.
struct Domains {
    template: usize,
    /// Only nodes the pod's own rules select are domains.
    affinity: bool,
    /// Only nodes whose taints it tolerates are domains.
    taints: bool,
}

/// Domains are counted by key; a term that selects nothing cannot be met as affinity, which this marks.
pub(super) const IMPOSSIBLE: usize = usize::MAX;

impl Relations {
    pub(super) fn new(instance: &Instance<'_>) -> Self {
        let snapshot = instance.snapshot;
        let mut builder = Builder::default();
        let mut templates: Vec<TemplateRelations> = Vec::with_capacity(snapshot.templates.len());
        let mut spreads: Vec<(SpreadRule, Domains)> = Vec::new();
        let weighed = instance.preference_price > 0.0;
        for (index, template) in snapshot.templates.iter().enumerate() {
            let rules = &template.rules;
            let mut relations = TemplateRelations {
                host_ports: rules.host_ports.clone(),
                disks: rules.volumes.disks.clone(),
                binds: !rules.volumes.to_bind.is_empty(),
                gang: gang_of(snapshot, template),
                ..Default::default()
            };
            for term in &rules.pod_anti_affinity {
                relations.anti_affinity.extend(builder.term(snapshot, template, term));
            }
            for term in &rules.pod_affinity {
                relations.affinity.push(builder.term(snapshot, template, term).unwrap_or(IMPOSSIBLE));
            }
            for preferred in rules.preferred_pod_affinity.iter().filter(|_| weighed) {
                let counter = builder.term(snapshot, template, &preferred.term);
                relations.near.extend(counter.map(|counter| (counter, f64::from(preferred.weight))));
            }
            for preferred in rules.preferred_pod_anti_affinity.iter().filter(|_| weighed) {
                let counter = builder.term(snapshot, template, &preferred.term);
                relations.far.extend(counter.map(|counter| (counter, f64::from(preferred.weight))));
            }
            for spread in rules.topology_spread.iter().filter(|s| !s.hard && weighed) {
                let who = Who::spread(&template.namespace, spread);
                relations.soft_spread.push(SoftSpread {
                    counter: builder.counter((spread.topology_key.as_str(), who)),
                    max_skew: spread.max_skew.max(1) as u32,
                    view: usize::MAX,
                });
            }
            for spread in rules.topology_spread.iter().filter(|s| s.hard) {
                let who = Who::spread(&template.namespace, spread);
                relations.spread.push(SpreadRule {
                    counter: builder.counter((spread.topology_key.as_str(), who)),
                    max_skew: spread.max_skew.max(1) as u32,
                    min_domains: spread.min_domains.map(|n| n.max(1) as u32),
                    evenness: spreads.len(),
                });
                let (affinity, taints) = (spread.honor_affinity, spread.honor_taints);
                spreads.push((
                    relations.spread[relations.spread.len() - 1],
                    Domains { template: index, affinity, taints },
                ));
            }
            templates.push(relations);
        }
        let mut group_spread: Vec<Option<SpreadRule>> = Vec::with_capacity(instance.groups.len());
        for (index, group) in instance.groups.iter().enumerate() {
            let Some((spread, template)) = policy_spread(group).zip(group.template) else {
                group_spread.push(None);
                continue;
            };
            let rule = SpreadRule {
                counter: builder.counter((spread.topology_key.as_str(), Who::Group(index))),
                max_skew: spread.max_skew.max(1),
                min_domains: None,
                evenness: spreads.len(),
            };
            spreads.push((rule, Domains { template, affinity: true, taints: true }));
            group_spread.push(Some(rule));
        }
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
        let layout = Layout::new(instance, keys);
        let mut relations = Self {
            layout,
            evenness_of_counter: vec![Vec::new(); counters.len()],
            counters,
            templates,
            group_spread,
            evenness: Vec::new(),
            views: Vec::new(),
            evenness_of_view: Vec::new(),
            claims: Vec::new(),
        };
        relations.find_evenness(instance, &spreads);
        relations.find_volumes(instance);
        relations
    }

    /// Numbers the volumes and claims that several pods use.
    fn find_volumes(&mut self, instance: &Instance<'_>) {
        let mut shared: BTreeMap<&SharedVolume, usize> = BTreeMap::new();
        let mut claims: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (relations, template) in self.templates.iter_mut().zip(&instance.snapshot.templates) {
            for volume in &template.rules.volumes.shared {
                let Ok(resource) = instance.resources.binary_search(&volume.limit.as_str()) else { continue };
                let next = shared.len();
                relations.shared_volumes.push((*shared.entry(volume).or_insert(next), resource));
            }
            for claim in &template.rules.volumes.single {
                let next = claims.len();
                let number = *claims.entry((&template.namespace, claim)).or_insert(next);
                if number == self.claims.len() {
                    self.claims.push(format!("{}/{claim}", template.namespace));
                }
                relations.claims.push(number);
            }
        }
    }

    /// Finds the distinct pairs of counter and view among the spreads, and points the rules to them.
    fn find_evenness(&mut self, instance: &Instance<'_>, spreads: &[(SpreadRule, Domains)]) {
        let mut views: BTreeMap<View, usize> = BTreeMap::new();
        let mut pairs: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let mut found = Vec::with_capacity(spreads.len());
        for (rule, domains) in spreads {
            let next = views.len();
            let view = self.view(instance, rule, domains);
            let view = *views.entry(view).or_insert(next);
            if view == self.evenness_of_view.len() {
                self.evenness_of_view.push(Vec::new());
            }
            let evenness = *pairs.entry((rule.counter, view)).or_insert_with(|| {
                self.evenness.push(EvennessRule { counter: rule.counter, view, max_skew: rule.max_skew });
                let number = self.evenness.len() - 1;
                self.evenness_of_counter[rule.counter].push(number);
                self.evenness_of_view[view].push(number);
                number
            });
            let least = &mut self.evenness[evenness].max_skew;
            *least = rule.max_skew.min(*least);
            found.push(evenness);
        }
        self.find_soft_views(instance, &mut views);
        let mut in_order: Vec<(View, usize)> = views.into_iter().collect();
        in_order.sort_by_key(|(_, number)| *number);
        self.views = in_order.into_iter().map(|(view, _)| view).collect();
        let rules = self.templates.iter_mut().flat_map(|t| &mut t.spread).chain(self.group_spread.iter_mut().flatten());
        for rule in rules {
            rule.evenness = found[rule.evenness];
        }
    }

    /// Which nodes are domains for each spread that may be broken.
    fn find_soft_views(&mut self, instance: &Instance<'_>, views: &mut BTreeMap<View, usize>) {
        for (own, template) in self.templates.iter_mut().zip(&instance.snapshot.templates) {
            let rules = template.rules.topology_spread.iter().filter(|spread| !spread.hard);
            for (soft, spread) in own.soft_spread.iter_mut().zip(rules) {
                let key = self.counters[soft.counter].key;
                let eligible = instance.sites.iter().zip(&self.layout.domains).map(|(site, of_site)| {
                    of_site[key].is_some()
                        && (!spread.honor_affinity || template.rules.matches_node(&site.name, &site.labels))
                        && (!spread.honor_taints || template.rules.untolerated(&site.taints).is_none())
                });
                let view = View { key, eligible: eligible.collect(), buyable: Vec::new(), buys_hosts: false };
                let next = views.len();
                soft.view = *views.entry(view).or_insert(next);
                if soft.view == self.evenness_of_view.len() {
                    self.evenness_of_view.push(Vec::new());
                }
            }
        }
    }

    /// Which nodes are domains for the rule, as kube-scheduler counts them: those that have every label the pod spreads
    /// over and that the rule's policies do not leave out.
    fn view(&self, instance: &Instance<'_>, rule: &SpreadRule, domains: &Domains) -> View {
        let (key, template) = (self.counters[rule.counter].key, domains.template);
        let keys: Vec<usize> =
            self.templates[template].spread.iter().map(|r| self.counters[r.counter].key).chain([key]).collect();
        let shapes = &instance.shapes;
        let eligible: Vec<bool> = instance
            .sites
            .iter()
            .zip(&self.layout.domains)
            .map(|(site, of_site)| {
                keys.iter().all(|key| of_site[*key].is_some())
                    && (!domains.affinity || shapes.selects(instance.snapshot, template, site))
                    && (!domains.taints || shapes.tolerates(template, site))
            })
            .collect();
        let mut buyable = vec![false; self.layout.domain_counts[key]];
        let mut buys_hosts = false;
        for (number, site) in instance.sites.iter().enumerate().skip(instance.standing) {
            if eligible[number] && site.quota != Some(0) && shapes.admits(instance.snapshot, template, site) {
                if key == self.layout.host_key {
                    buys_hosts = true;
                } else if let Some(domain) = self.layout.domains[number][key] {
                    buyable[domain] = true;
                }
            }
        }
        View { key, eligible, buyable, buys_hosts }
    }

    /// A template comes that has the same labels and rules as another.
    pub(super) fn template_like(&mut self, other: usize) {
        self.templates.push(self.templates[other].clone());
    }

    /// Counters by which pods of the template exclude their own kind on a host.
    pub(super) fn exclusive_on_hosts(&self, template: usize) -> impl Iterator<Item = usize> {
        self.templates.get(template).into_iter().flat_map(|own| {
            let itself = |c: &&usize| own.counted_by.binary_search(c).is_ok();
            let on_host = |c: &&usize| self.counters[**c].key == self.layout.host_key;
            own.anti_affinity.iter().filter(on_host).filter(itself).copied()
        })
    }

    /// Whether no two pods of the template may share a node.
    pub(super) fn excludes_itself(&self, template: usize) -> bool {
        let alone = |own: &TemplateRelations| {
            !own.host_ports.is_empty() || own.disks.iter().any(|disk| disk.conflicts_with(disk))
        };
        self.templates.get(template).is_some_and(alone) || self.exclusive_on_hosts(template).next().is_some()
    }

    /// Forgets every spread, all anti-affinity but that of these counters, gangs, and what single volumes ask.
    pub(super) fn keep_only(&mut self, guarded: &BTreeSet<usize>) {
        for (number, counter) in self.counters.iter_mut().enumerate() {
            counter.guarded &= guarded.contains(&number);
        }
        for template in &mut self.templates {
            template.spread.clear();
            template.disks.clear();
            template.claims.clear();
            template.binds = false;
            template.gang = None;
        }
        self.group_spread.fill(None);
    }

    /// Whether a spread has domains that do not stand yet.
    pub(super) fn has_spread(&self) -> bool {
        self.views.iter().any(|view| view.buys_hosts || view.buyable.contains(&true))
    }

    /// Spreads that bind a pod of the template in the group: its own, then the policy's.
    pub(super) fn spreads_of(&self, template: usize, group: Option<usize>) -> impl Iterator<Item = &SpreadRule> {
        let policy = group.and_then(|g| self.group_spread.get(g)).and_then(Option::as_ref);
        self.templates.get(template).into_iter().flat_map(|t| &t.spread).chain(policy)
    }

    /// The domain in which a counter counts what stands on a node of the site, whose host name is the domain `host`; `None`
    /// where the node has no such label.
    pub(super) fn domain_of(&self, counter: usize, site: usize, host: Option<usize>) -> Option<usize> {
        match self.counters[counter].key {
            key if key == self.layout.host_key => host,
            key => self.layout.domains[site][key],
        }
    }

    /// Counters that count a pod of the template in the group.
    pub(super) fn counted_by(&self, template: usize, group: Option<usize>) -> impl Iterator<Item = usize> {
        let own = group.and_then(|g| self.group_spread.get(g)).and_then(Option::as_ref).map(|s| s.counter);
        self.templates.get(template).into_iter().flat_map(|t| t.counted_by.iter().copied()).chain(own)
    }
}

fn gang_of(snapshot: &Snapshot, template: &PodTemplate) -> Option<usize> {
    let name = template.gang.as_ref()?;
    snapshot.gangs.iter().position(|gang| gang.namespace == template.namespace && gang.name == *name)
}

fn policy_spread<'a>(group: &Group<'a>) -> Option<&'a crate::domain::policy::Spread> {
    group.target.and_then(|t| t.spread.as_ref())
}
