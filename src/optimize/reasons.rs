//! Why a pod has no node when the plan is done, in kube-scheduler's kind of words.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::domain::plan::Unplaced;
use crate::domain::resources::{PODS, Resources};
use crate::domain::snapshot::{PodTemplate, Snapshot, WorkloadId};

use super::eligibility::{Cluster, NodeState, minds_no_pod, why_not, why_not_offered};
use super::instance::Instance;
use super::occupancy::Occupancy;

/// Kinds of pods that are explained whatever the time: a reader looks at a few.
const FEW: usize = 10;

/// What is said of pods that were not looked into.
const OUT_OF_TIME: &str = "not looked into: the time limit came first";

/// How long explaining may go on: for the first few kinds of pods always, then until the time is over.
pub(super) struct Patience<'a> {
    out_of_time: &'a dyn Fn() -> bool,
    explained: usize,
}

impl<'a> Patience<'a> {
    pub(super) fn new(out_of_time: &'a dyn Fn() -> bool) -> Self {
        Self { out_of_time, explained: 0 }
    }

    /// Whether another explanation would be given.
    fn lasts(&self) -> bool {
        self.explained < FEW || !(self.out_of_time)()
    }

    /// The explanation, or what stands for it where there is no more time.
    pub(super) fn ask(&mut self, explain: impl FnOnce() -> Vec<String>) -> Vec<String> {
        if !self.lasts() {
            return vec![OUT_OF_TIME.to_owned()];
        }
        self.explained += 1;
        explain()
    }
}

/// Explains pods without a node: over the nodes that stand, then over the offers.
pub(super) struct Reasons<'a> {
    offered: Vec<NodeState<'a>>,
}

impl<'a> Reasons<'a> {
    pub(super) fn new(instance: &'a Instance<'a>) -> Self {
        let offered = instance.sites[instance.standing..].iter().map(|site| {
            let mut free: Resources = instance.named(&site.allocatable);
            free.subtract(&instance.named(&site.daemon_demand));
            NodeState {
                name: Cow::Borrowed(site.name.as_str()),
                labels: Cow::Borrowed(&site.labels),
                taints: &site.taints,
                unschedulable: false,
                free,
                volume_limits: Cow::Borrowed(&site.volume_limits),
                pods: BTreeMap::new(),
                deleting: BTreeMap::new(),
            }
        });
        Self { offered: offered.collect() }
    }

    /// What keeps the pod off, as the state leaves the nodes.
    pub(super) fn of(&self, occupancy: &Occupancy<'_>, cluster: &Cluster<'_>, pod: usize) -> Vec<String> {
        let instance = occupancy.instance;
        let state = &occupancy.pods[pod];
        let Some(template) = instance.snapshot.templates.get(state.template) else {
            return vec!["its pod template is unknown".to_owned()];
        };
        // The API server is asked before the scheduler.
        if let Some(exceeded) = occupancy.exceeded_quota(pod) {
            return vec![exceeded];
        }
        let mut requests = instance.named(&state.demand);
        requests.0.remove(PODS);
        let mut reasons: Vec<String> = occupancy.gang_in_the_way(pod).into_iter().collect();
        reasons.push(why_not(cluster, template, &requests).sentence("nodes"));
        if template.rules.waits() {
            return reasons;
        }
        if self.offered.is_empty() {
            let buys = instance.policy.disruption.add_nodes;
            let why = if buys { "there is no offer to buy a node from" } else { "the policy buys no nodes" };
            reasons.push(why.to_owned());
            return reasons;
        }
        let verdict = why_not_offered(cluster, &self.offered, template, &requests);
        reasons.push(match verdict.fitting {
            0 => format!("no offer can hold it: {}", verdict.sentence("offers")),
            _ => "an offer could hold it, but a quota, the spread of its pods or the price is in the way".to_owned(),
        });
        reasons
    }
}

/// The nodes that stand and stay, with the pods planned on them.
pub(super) fn cluster_after<'a>(occupancy: &Occupancy<'a>) -> Cluster<'a> {
    let instance = occupancy.instance;
    let mut cluster = Cluster::empty(instance.snapshot);
    for pod in &occupancy.pods {
        let node = pod.node.filter(|n| occupancy.nodes[*n].open).and_then(|n| cluster.nodes.get_mut(n));
        if let Some(node) = node {
            let mut requests = instance.named(&pod.demand);
            requests.0.remove(PODS);
            node.place(pod.template, &requests);
        }
    }
    let mut open = occupancy.nodes.iter().map(|n| n.open);
    cluster.nodes.retain(|_| open.next().unwrap_or(true));
    cluster
}

/// Pods that have no node now, by workload, with what the cluster as it stands says to them.
pub(super) fn pending(snapshot: &Snapshot, patience: &mut Patience<'_>) -> Vec<Unplaced> {
    let mut waiting: BTreeMap<(&WorkloadId, usize), u32> = BTreeMap::new();
    for pod in snapshot.pods.iter().filter(|p| p.node.is_none() && !p.deleting) {
        *waiting.entry((&pod.workload, pod.template)).or_default() += 1;
    }
    if waiting.is_empty() {
        return Vec::new();
    }
    let cluster = Cluster::now(snapshot);
    // Templates that no other pod matters to and that ask for the same hear the same.
    let mut heard: Vec<(&PodTemplate, String)> = Vec::new();
    let explained = waiting.into_iter().filter_map(|((id, template), count)| {
        let template = snapshot.templates.get(template)?;
        // Where the time is over, asking this of a template costs more than it can spare.
        let alone = patience.lasts() && minds_no_pod(&cluster, template);
        let alike = |other: &PodTemplate| other.requests == template.requests && other.rules == template.rules;
        let known = heard.iter().find(|(other, _)| alone && alike(other)).map(|(_, sentence)| vec![sentence.clone()]);
        let reasons = known.unwrap_or_else(|| {
            patience.ask(|| {
                // The scheduler of today knows nothing of expected use.
                let asked = template.requests.clone().without_use();
                let sentence = why_not(&cluster, template, &asked).sentence("nodes");
                heard.extend(alone.then(|| (template, sentence.clone())));
                vec![sentence]
            })
        });
        Some(Unplaced { namespace: id.namespace.clone(), workload: format!("{}/{}", id.kind, id.name), count, reasons })
    });
    explained.collect()
}
