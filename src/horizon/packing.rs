//! Use of CPU by bucket as resources of pods and nodes, so that program, bound, placement and checker hold nodes to it
//! as they do to any other resource.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::resources::{Resources, USE};
use crate::domain::snapshot::{PodTemplate, WorkloadId};
use crate::domain::{Catalog, Menu, Plan, Snapshot, Usage};

/// The input of a plan, with expected use among the resources.
#[derive(Debug, Clone, PartialEq)]
pub struct Packed {
    /// The cluster.
    pub snapshot: Snapshot,
    /// What can be bought.
    pub catalog: Catalog,
    /// The choices.
    pub menus: Vec<Menu>,
}

/// Writes each bucket's use into what nodes have (their CPU) and pods ask for. A workload without a forecast is taken to
/// use what it requests in every bucket. A plan of the result is one of the input once it is [`unpacked`].
#[must_use]
pub fn packed(snapshot: &Snapshot, catalog: &Catalog, menus: &[Menu], usage: &Usage) -> Packed {
    let names: Vec<String> = usage.buckets.iter().map(|bucket| name(bucket.start_ms)).collect();
    let mut packed = Packed { snapshot: snapshot.clone(), catalog: catalog.clone(), menus: menus.to_vec() };
    let nodes = packed.snapshot.nodes.iter_mut().map(|node| &mut node.allocatable);
    for room in nodes.chain(packed.catalog.offers.iter_mut().map(|offer| &mut offer.allocatable)) {
        set_evenly(room, &names);
    }
    for menu in &mut packed.menus {
        let of = usage.workloads.get(&menu.workload);
        for (index, entry) in menu.entries.iter_mut().enumerate() {
            match of.and_then(|of| of.entries.get(index)) {
                Some(amounts) => set_each(&mut entry.requests, &names, amounts),
                None => set_evenly(&mut entry.requests, &names),
            }
        }
    }
    let mut templates =
        Templates { of: &snapshot.templates, usage, names: &names, made: Vec::new(), numbers: BTreeMap::new() };
    for workload in &mut packed.snapshot.workloads {
        workload.template = workload.template.map(|template| templates.number(template, &workload.id));
    }
    for pod in &mut packed.snapshot.pods {
        pod.template = templates.number(pod.template, &pod.workload);
    }
    packed.snapshot.templates = templates.made;
    packed
}

/// The plan without expected use, which nothing requests.
#[must_use]
pub fn unpacked(mut plan: Plan) -> Plan {
    let taken = |amounts: &mut Resources| *amounts = std::mem::take(amounts).without_use();
    for workload in &mut plan.workloads {
        taken(&mut workload.requests);
        taken(&mut workload.requests_now);
    }
    for node in &mut plan.nodes {
        taken(&mut node.allocatable);
        taken(&mut node.used);
        taken(&mut node.used_now);
    }
    plan
}

/// Each bucket's name; unique, since buckets begin at different instants.
fn name(start_ms: i64) -> String {
    let time = Timestamp::from_millisecond(start_ms).map_or_else(|_| start_ms.to_string(), |time| time.to_string());
    format!("{USE}from {time}")
}

fn set_each(resources: &mut Resources, names: &[String], amounts: &[i64]) {
    for (name, amount) in names.iter().zip(amounts) {
        resources.set(name, *amount);
    }
}

/// All of the CPU in every bucket.
fn set_evenly(resources: &mut Resources, names: &[String]) {
    let amount = resources.cpu_millis();
    for name in names {
        resources.set(name, amount);
    }
}

/// Templates with the use of the workload they are of; one that several workloads share becomes one for each.
struct Templates<'a> {
    of: &'a [PodTemplate],
    usage: &'a Usage,
    names: &'a [String],
    made: Vec<PodTemplate>,
    numbers: BTreeMap<(usize, Option<&'a WorkloadId>), usize>,
}

impl Templates<'_> {
    fn number(&mut self, template: usize, id: &WorkloadId) -> usize {
        let found = self.usage.workloads.get_key_value(id);
        let key = (template, found.map(|(id, _)| id));
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let mut made = self.of.get(template).cloned().unwrap_or_default();
        match found {
            Some((_, usage)) => set_each(&mut made.requests, self.names, &usage.standing),
            None => set_evenly(&mut made.requests, self.names),
        }
        self.made.push(made);
        self.numbers.insert(key, self.made.len() - 1);
        self.made.len() - 1
    }
}
