//! Objects by name into a [`Snapshot`]: owners resolved, templates completed and shared.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::rules::{HOSTNAME_LABEL, LabelSelector, Labels, NodeSelectorTerm, Operator, Requirement};
use crate::domain::snapshot::{Gang, Pod, PodTemplate, Service, Snapshot, Workload, WorkloadId};

use super::inventory::Inventory;
use super::object::{Name, Owner};
use super::pods::{OWN_LABELS, PodDraft, TEMPLATE_HASH_LABEL, TemplateDraft, add_default_tolerations};
use super::volumes::ClaimTemplate;
use super::warnings::Warnings;
use super::workloads::WorkloadDraft;

/// Label that the API server puts on every namespace.
const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The snapshot of an inventory.
pub(super) fn assemble(mut inventory: Inventory) -> Snapshot {
    let mut warnings = std::mem::take(&mut inventory.warnings);
    inventory.labels_looked_at = own_labels_looked_at(&inventory);
    let claims_used: Vec<Name> = claims_used(&inventory).collect();
    inventory.volumes.count(claims_used.into_iter());
    let Inventory { nodes, volumes, .. } = &mut inventory;
    for (name, node) in nodes {
        node.volume_limits = volumes.drivers.get(name).map(|drivers| drivers.limits.clone()).unwrap_or_default();
    }
    let drafts = std::mem::take(&mut inventory.pods);
    inventory.pods_there = drafts.iter().filter(|(_, draft)| !draft.finished).map(|(name, _)| name.clone()).collect();
    let mut templates = Templates::default();
    let mut tallies: BTreeMap<WorkloadId, Tally> = BTreeMap::new();
    let mut pods = Vec::with_capacity(drafts.len());

    for (name, draft) in drafts.into_iter().filter(|(_, draft)| !draft.finished) {
        let label = format!("Pod {}/{}", name.namespace, name.name);
        let owner = controller(&inventory, &name, &draft, &mut warnings);
        let bare = owner.is_none();
        let workload = owner.unwrap_or_else(|| id(&name.namespace, "Pod", &name.name));
        let to_come = to_come(&draft.template, &workload);
        // The claims that were made with it are in the dump like any other.
        let own = TemplateDraft { made: Vec::new(), ..draft.template };
        let mut template = complete(&inventory, own, &workload, &label, &mut warnings);
        if draft.mirror {
            template.rules.node_affinity = draft.node.as_deref().map(|node| only_node(&inventory, node));
        }
        let template = templates.intern(template);
        let tally = tallies.entry(workload.clone()).or_default();
        tally.add(draft.created_ms, template, to_come, draft.deleting);
        tally.mirror |= draft.mirror;
        tally.batch |= draft.owner.as_ref().is_some_and(|o| o.kind == "Job");
        let node = draft.node.filter(|_| !inventory.nodes.is_empty());
        if node.as_ref().is_some_and(|node| !inventory.nodes.contains_key(node)) {
            warnings.add(
                &label,
                "is bound to a node that is not in the input; it stays there and holds nothing that is planned",
            );
        }
        pods.push(Pod {
            namespace: name.namespace,
            name: name.name,
            uid: draft.uid,
            workload,
            template,
            node,
            ready: draft.ready,
            deleting: draft.deleting,
            do_not_evict: draft.pinned || bare,
            deletion_cost: draft.deletion_cost,
            created_ms: draft.created_ms,
            scheduled_ms: draft.scheduled_ms,
            ready_ms: draft.ready_ms,
            scheduler_message: draft.scheduler_message,
        });
    }
    if inventory.nodes.is_empty() {
        warnings.add("input", "holds no nodes; every pod is planned as one that has no node yet");
    }

    let workloads = workloads(&inventory, tallies, &mut templates, &mut warnings);
    let services = services(&inventory);
    let namespaces = namespaces(&inventory, &pods, &workloads);
    let mut snapshot = Snapshot {
        taken_at_ms: inventory.newest_ms,
        nodes: inventory.nodes.into_values().collect(),
        templates: templates.list,
        pods,
        workloads,
        services,
        budgets: inventory.budgets.into_values().collect(),
        quotas: inventory.quotas.into_values().collect(),
        gangs: inventory.gangs.into_iter().filter(|(_, least)| *least > 0).map(gang).collect(),
        autoscalers: inventory.autoscalers.into_values().collect(),
        namespaces,
        priority_classes: inventory.priority_classes,
        ignored_kinds: inventory.ignored_kinds,
        warnings: warnings.into_lines(),
    };
    sort_templates(&mut snapshot);
    snapshot
}

/// Labels that differ from pod to pod of one template, but that some rule selects pods by: those tell templates apart.
fn own_labels_looked_at(inventory: &Inventory) -> BTreeSet<String> {
    let drafts = inventory.pods.values().map(|pod| &pod.template);
    let drafts = drafts.chain(inventory.workloads.values().filter_map(|workload| workload.template.as_ref()));
    let of_rules = drafts.flat_map(|draft| {
        let rules = &draft.template.rules;
        let terms = rules.pod_affinity.iter().chain(&rules.pod_anti_affinity);
        terms
            .filter_map(|t| t.selector.as_ref())
            .chain(rules.topology_spread.iter().filter_map(|s| s.selector.as_ref()))
    });
    let selectors = of_rules.chain(inventory.budgets.values().filter_map(|budget| budget.selector.as_ref()));
    let keys = selectors.flat_map(|selector| {
        selector.match_labels.keys().chain(selector.match_expressions.iter().map(|requirement| &requirement.key))
    });
    keys.filter(|key| OWN_LABELS.contains(&key.as_str())).cloned().collect()
}

fn gang((name, min_members): (Name, u32)) -> Gang {
    Gang { namespace: name.namespace, name: name.name, min_members }
}

/// Every claim that a pod uses, once a pod; those of a workload's template twice, for each of its pods uses it.
fn claims_used(inventory: &Inventory) -> impl Iterator<Item = Name> {
    let pods = inventory.pods.iter().filter(|(_, pod)| !pod.finished);
    let of_pods = pods.map(|(name, pod)| (&name.namespace, &pod.template.claims, 1));
    let templates =
        inventory.workloads.values().filter_map(|w| Some((&w.id.namespace, &w.template.as_ref()?.claims, 2)));
    of_pods.chain(templates).flat_map(|(namespace, claims, times)| {
        let names = claims.iter().map(|claim| Name { namespace: namespace.clone(), name: claim.name.clone() });
        names.flat_map(move |name| std::iter::repeat_n(name, times))
    })
}

fn id(namespace: &str, kind: &str, name: &str) -> WorkloadId {
    WorkloadId { namespace: namespace.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
}

/// The workload a pod belongs to: replica sets and jobs stand for what made them. `None` for a bare pod.
fn controller(inventory: &Inventory, name: &Name, pod: &PodDraft, warnings: &mut Warnings) -> Option<WorkloadId> {
    let owner = pod.owner.as_ref()?;
    let direct = id(&name.namespace, &owner.kind, &owner.name);
    if let Some(draft) = inventory.workloads.get(&direct) {
        return Some(top(draft));
    }
    // A ReplicaSet that was not exported is still recognised by the hash its Deployment named it with.
    if owner.kind == "ReplicaSet" {
        let hash = pod.template_hash.as_deref().filter(|hash| !hash.is_empty());
        let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'));
        let label = format!("ReplicaSet {}/{}", name.namespace, owner.name);
        if let Some(deployment) = deployment.filter(|d| !d.is_empty()) {
            warnings.add(label, "is not in the input; its pods are taken for the Deployment's that its name tells of");
            return Some(id(&name.namespace, "Deployment", deployment));
        }
        warnings.add(label, "is not in the input; what made it is unknown");
    }
    Some(direct)
}

/// What a workload object is part of: a replica set's or a job's owner, else itself.
fn top(draft: &WorkloadDraft) -> WorkloadId {
    match &draft.owner {
        Some(Owner { kind, name }) if matches!(draft.id.kind.as_str(), "ReplicaSet" | "Job") => {
            id(&draft.id.namespace, kind, name)
        }
        _ => draft.id.clone(),
    }
}

/// Completes a template with what other objects say: priority, volumes, and a `DaemonSet`'s own node affinity.
fn complete(
    inventory: &Inventory,
    draft: TemplateDraft,
    workload: &WorkloadId,
    label: &str,
    warnings: &mut Warnings,
) -> PodTemplate {
    let TemplateDraft { mut template, mut claims, mut made, states_priority } = draft;
    template.labels.retain(|key, _| !OWN_LABELS.contains(&key.as_str()) || inventory.labels_looked_at.contains(key));
    if !states_priority {
        if template.priority_class.is_empty() {
            template.priority_class = inventory.default_priority_class.clone().unwrap_or_default();
        }
        template.priority = match template.priority_class.as_str() {
            "" => 0,
            "system-node-critical" => 2_000_001_000,
            "system-cluster-critical" => 2_000_000_000,
            class => inventory.priority_classes.get(class).copied().unwrap_or_else(|| {
                warnings.add(
                    label,
                    format!("names priority class {class}, which is not in the input; its priority is taken as 0"),
                );
                0
            }),
        };
    }
    if let Some(name) = template.gang.take() {
        match inventory.gangs.get(&Name { namespace: template.namespace.clone(), name: name.clone() }) {
            Some(0) => {}
            Some(_) => template.gang = Some(name),
            None => template.rules.unread.push("pod group that is not in the input".to_owned()),
        }
    }
    inventory.volumes.name_disks(&mut template.rules);
    claims.sort_by_key(|claim| inventory.volumes.size_of(&template.namespace, &claim.name));
    for claim in claims {
        if let Err(missing) = inventory.volumes.restrict(&mut template.rules, &template.namespace, &claim) {
            warnings.add(label, missing);
        }
    }
    made.sort_by_key(ClaimTemplate::size);
    for claim in &made {
        if let Err(missing) = inventory.volumes.restrict_to_made(&mut template.rules, &template.namespace, claim) {
            warnings.add(label, missing);
        }
    }
    let rules = &mut template.rules;
    for terms in [&mut rules.volume_affinity, &mut rules.volumes_to_make] {
        terms.sort();
        terms.dedup();
    }
    rules.volume_places.sort();
    rules.volume_places.dedup();
    rules.volumes.shared.sort();
    rules.volumes.shared.dedup();
    rules.volumes.single.sort();
    rules.volumes.single.dedup();
    rules.unread.sort();
    rules.unread.dedup();
    if workload.kind == "DaemonSet" {
        // The controller pins each pod to its node in place of the affinity that the DaemonSet states.
        let stated = inventory.workloads.get(workload).and_then(|w| w.template.as_ref());
        template.rules.node_affinity = stated.and_then(|t| t.template.rules.node_affinity.clone());
    }
    template
}

/// A node affinity that only the named node meets: by its host name, as an owner would write it, where it has one.
fn only_node(inventory: &Inventory, name: &str) -> Vec<NodeSelectorTerm> {
    let is = |key: &str, value: &str| {
        vec![Requirement { key: key.to_owned(), operator: Operator::In, values: vec![value.to_owned()] }]
    };
    let host = inventory.nodes.get(name).and_then(|node| node.labels.get(HOSTNAME_LABEL));
    vec![match host {
        Some(host) => NodeSelectorTerm { expressions: is(HOSTNAME_LABEL, host), fields: Vec::new() },
        None => NodeSelectorTerm { expressions: Vec::new(), fields: is("metadata.name", name) },
    }]
}

/// Distinct templates by number.
#[derive(Default)]
struct Templates {
    list: Vec<PodTemplate>,
    numbers: HashMap<PodTemplate, usize>,
}

impl Templates {
    fn intern(&mut self, template: PodTemplate) -> usize {
        if let Some(&number) = self.numbers.get(&template) {
            return number;
        }
        self.list.push(template.clone());
        self.numbers.insert(template, self.list.len() - 1);
        self.list.len() - 1
    }
}

/// What the pods tell of their workload.
#[derive(Default)]
struct Tally {
    /// Pods that are not being deleted.
    live: u32,
    /// Creation time and template of the newest pod.
    newest: Option<(Option<i64>, usize)>,
    /// What pods to come have of the newest, where that is not all.
    to_come: Option<TemplateDraft>,
    /// Made by a Job.
    batch: bool,
    /// The mirror of a static pod: part of its node, as a `DaemonSet`'s pods are.
    mirror: bool,
}

impl Tally {
    fn add(&mut self, created_ms: Option<i64>, template: usize, to_come: Option<TemplateDraft>, deleting: bool) {
        self.live += u32::from(!deleting);
        if self.newest.is_none_or(|(newest, _)| created_ms >= newest) {
            self.newest = Some((created_ms, template));
            self.to_come = to_come;
        }
    }
}

fn workloads(
    inventory: &Inventory,
    mut tallies: BTreeMap<WorkloadId, Tally>,
    templates: &mut Templates,
    warnings: &mut Warnings,
) -> Vec<Workload> {
    let parts = parts(inventory);
    let whole = inventory.workloads.values().filter(|draft| top(draft) == draft.id).map(|draft| &draft.id);
    let ids: BTreeSet<WorkloadId> = whole.chain(tallies.keys()).chain(parts.keys()).cloned().collect();
    let mut workloads = Vec::with_capacity(ids.len());
    for id in ids {
        let mut tally = tallies.remove(&id).unwrap_or_default();
        let draft = inventory.workloads.get(&id);
        let parts = parts.get(&id).map_or(&[][..], Vec::as_slice);
        // Jobs that are done stay in a cluster for days and want nothing.
        if draft.is_some_and(|d| d.finished) && tally.newest.is_none() {
            continue;
        }
        let from_parts: u32 = parts.iter().filter_map(|part| part.replicas).fold(0, u32::saturating_add);
        let replicas = match draft.and_then(|d| d.replicas) {
            Some(_) if id.kind == "CronJob" => from_parts,
            Some(replicas) => replicas,
            None => tally.live.max(from_parts),
        };
        if draft.is_none() && id.kind != "Pod" {
            warnings.add(
                format!("{} {id}", id.kind),
                "is not in the input; what is known of it comes from its pods and parts",
            );
        }
        let template = template_of(inventory, &id, draft, parts, &mut tally, templates, warnings);
        let stated = draft.into_iter().chain(parts.iter().copied()).find_map(|d| d.selector.clone());
        workloads.push(Workload {
            replicas,
            labels: draft.map(|d| d.labels.clone()).unwrap_or_default(),
            selector: selector(stated, template.and_then(|t| templates.list.get(t)).map(|t| &t.labels)),
            template,
            scalable: matches!(id.kind.as_str(), "Deployment" | "StatefulSet" | "ReplicaSet"),
            daemon: tally.mirror || id.kind == "DaemonSet",
            batch: tally.batch || matches!(id.kind.as_str(), "Job" | "CronJob"),
            id,
        });
    }
    workloads
}

/// Replica sets and jobs by what made them, those that want pods only.
fn parts(inventory: &Inventory) -> BTreeMap<WorkloadId, Vec<&WorkloadDraft>> {
    let mut parts: BTreeMap<WorkloadId, Vec<&WorkloadDraft>> = BTreeMap::new();
    for draft in inventory.workloads.values().filter(|d| d.replicas != Some(0)) {
        let whole = top(draft);
        if whole != draft.id {
            parts.entry(whole).or_default().push(draft);
        }
    }
    parts
}

/// What pods to come have of a pod: not the claims that were made for it alone, but others like them. `None` where they
/// have all of it.
fn to_come(draft: &TemplateDraft, workload: &WorkloadId) -> Option<TemplateDraft> {
    let has_own = !draft.made.is_empty() || draft.claims.iter().any(|claim| claim.own);
    (has_own || workload.kind == "StatefulSet").then(|| {
        let mut draft = draft.clone();
        draft.claims.retain(|claim| !claim.own);
        draft
    })
}

/// A workload's template: as its newest pod has it, because admission may have added to it; without pods, as it or
/// its parts state it. Its replicas have volumes of their own: those to come have others made.
fn template_of(
    inventory: &Inventory,
    id: &WorkloadId,
    draft: Option<&WorkloadDraft>,
    parts: &[&WorkloadDraft],
    tally: &mut Tally,
    templates: &mut Templates,
    warnings: &mut Warnings,
) -> Option<usize> {
    let stated = draft.into_iter().chain(parts.iter().copied()).find_map(|d| d.template.clone());
    let label = format!("{} {id}", id.kind);
    let Some((_, newest)) = tally.newest else {
        let mut template = complete(inventory, stated?, id, &label, warnings);
        name_kept(inventory, &mut template, draft);
        add_default_tolerations(&mut template.rules);
        return Some(templates.intern(template));
    };
    let of_set = id.kind == "StatefulSet";
    match (tally.to_come.take(), stated, templates.list.get(newest)) {
        (Some(mut to_come), stated, _) if !of_set || stated.is_some() => {
            to_come.made = stated.filter(|_| of_set).map_or(to_come.made, |stated| stated.made);
            let mut template = complete(inventory, to_come, id, &label, warnings);
            name_kept(inventory, &mut template, draft);
            Some(templates.intern(template))
        }
        // Nothing tells what claims its replicas have made for them, but that they are not bound to these places.
        (Some(_), _, Some(template)) => {
            let mut template = template.clone();
            template.rules.volume_affinity.clear();
            template.rules.volume_places.clear();
            Some(templates.intern(template))
        }
        _ => Some(newest),
    }
}

/// Names the volumes that replicas of a `StatefulSet` left behind and would find again: which replica comes to which
/// place is not planned.
fn name_kept(inventory: &Inventory, template: &mut PodTemplate, draft: Option<&WorkloadDraft>) {
    let Some(draft) = draft.filter(|draft| draft.id.kind == "StatefulSet") else { return };
    let made = draft.template.as_ref().map_or(&[][..], |template| template.made.as_slice());
    let ordinals = draft.first_ordinal..draft.first_ordinal.saturating_add(draft.replicas.unwrap_or(0));
    let is_to_come = |pod: &str| {
        let name = Name { namespace: draft.id.namespace.clone(), name: pod.to_owned() };
        draft.id.pod_ordinal(pod).is_some_and(|ordinal| ordinals.contains(&ordinal))
            && !inventory.pods_there.contains(&name)
    };
    inventory.volumes.name_kept(&mut template.rules, &draft.id.namespace, made, &is_to_come);
    template.rules.unread.sort();
    template.rules.unread.dedup();
}

/// A selector as stated, else by the labels of the template. Without either it selects nothing.
fn selector(stated: Option<LabelSelector>, labels: Option<&Labels>) -> LabelSelector {
    let mut selector = stated.unwrap_or_else(|| LabelSelector {
        match_labels: labels.cloned().unwrap_or_default(),
        match_expressions: Vec::new(),
    });
    selector.match_labels.remove(TEMPLATE_HASH_LABEL);
    if selector == LabelSelector::default() {
        let never = Requirement { key: NAMESPACE_NAME_LABEL.to_owned(), operator: Operator::In, values: Vec::new() };
        selector.match_expressions.push(never);
    }
    selector
}

fn services(inventory: &Inventory) -> Vec<Service> {
    let mut ready: BTreeMap<Name, BTreeSet<&str>> = BTreeMap::new();
    for (name, slice) in &inventory.endpoints {
        if let Some(service) = &slice.service {
            let service = Name { namespace: name.namespace.clone(), name: service.clone() };
            ready.entry(service).or_default().extend(slice.ready.iter().map(String::as_str));
        }
    }
    inventory
        .services
        .iter()
        .map(|(name, draft)| Service {
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            service_type: draft.service_type.clone(),
            selector: draft.selector.clone(),
            ports: draft.ports.clone(),
            ready_endpoints: ready.get(name).map_or(0, BTreeSet::len),
        })
        .collect()
}

/// Labels of every namespace that is exported or in use, each with the name label that the API server gives it.
fn namespaces(inventory: &Inventory, pods: &[Pod], workloads: &[Workload]) -> BTreeMap<String, Labels> {
    let mut namespaces = inventory.namespaces.clone();
    let used = pods.iter().map(|p| &p.namespace).chain(workloads.iter().map(|w| &w.id.namespace));
    for name in used {
        if !namespaces.contains_key(name) {
            namespaces.insert(name.clone(), Labels::new());
        }
    }
    for (name, labels) in &mut namespaces {
        labels.entry(NAMESPACE_NAME_LABEL.to_owned()).or_insert_with(|| name.clone());
    }
    namespaces
}

/// Puts the templates in order and drops those that nothing refers to, so that equal clusters are equal values
/// whatever order they were read in.
fn sort_templates(snapshot: &mut Snapshot) {
    let of_workloads = snapshot.workloads.iter().filter_map(|w| w.template);
    let used: BTreeSet<usize> = snapshot.pods.iter().map(|p| p.template).chain(of_workloads).collect();
    let mut sorted: Vec<(PodTemplate, usize)> = std::mem::take(&mut snapshot.templates)
        .into_iter()
        .enumerate()
        .filter(|(number, _)| used.contains(number))
        .map(|(number, template)| (template, number))
        .collect();
    sorted.sort();
    let renumbered: HashMap<usize, usize> = sorted.iter().enumerate().map(|(new, (_, old))| (*old, new)).collect();
    snapshot.templates = sorted.into_iter().map(|(template, _)| template).collect();
    for pod in &mut snapshot.pods {
        pod.template = renumbered.get(&pod.template).copied().unwrap_or_default();
    }
    for workload in &mut snapshot.workloads {
        workload.template = workload.template.and_then(|t| renumbered.get(&t).copied());
    }
}
