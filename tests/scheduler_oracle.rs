//! Our verdicts against the real kube-scheduler's filters, on random clusters.
//!
//! Each cluster is drawn as Kubernetes JSON, read by our ingest and by the oracle (which first treats it as the API
//! server would), and each (pod, node) pair is held: fits or not, and the scheduler's reasons word by word.

mod scheduler_oracle {
    pub(crate) mod cluster;
    pub(crate) mod oracle;
}

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use plimsoll::domain::snapshot::Snapshot;
use plimsoll::ingest::{Source, kubernetes};
use plimsoll::optimize::eligibility::{Cluster, why_not, why_not_there};
use scheduler_oracle::oracle::{Oracle, PodAnswer};
use serde_json::{Value, json};

/// Clusters drawn by the test; more by the environment, to search.
fn clusters() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("ORACLE_FIRST").unwrap_or(0);
    first..first + number("ORACLE_CLUSTERS").unwrap_or(300)
}

fn read(items: &[Value]) -> Snapshot {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let source = Source { name: "cluster".to_owned(), bytes: list.to_string().into_bytes() };
    kubernetes::snapshot(&[source]).unwrap()
}

#[derive(Default)]
struct Tally {
    pairs: usize,
    fits: usize,
    /// Pairs by the filter that rejects them.
    rejected: BTreeMap<String, usize>,
    /// Pairs of which nothing is said, because of a rule that is named as unmodelled.
    unmodelled: usize,
    sentences: usize,
    mismatches: Vec<String>,
}

/// Filters for rules that the plan's certificate names as unmodelled, each by that name.
const UNMODELLED: [(&str, &str); 5] = [
    ("limit on the volumes of a node", "NodeVolumeLimits"),
    ("volume that only one pod may use", "VolumeRestrictions"),
    ("disk that pods of a node may not share", "VolumeRestrictions"),
    ("claim that waits for a volume", "VolumeBinding"),
    ("claim that waits for a volume", "VolumeZone"),
];

/// Holds what we say of one pod against the scheduler.
fn compare(snapshot: &Snapshot, pod: &PodAnswer, case: &str, tally: &mut Tally) {
    let known = snapshot.pods.iter().find(|p| p.full_name() == pod.name).expect("the pod was read");
    let template = &snapshot.templates[known.template];
    let unmodelled = |plugin: &str| {
        let named = |name: &str| template.rules.unread.iter().any(|unread| unread == name);
        UNMODELLED.iter().any(|(name, filter)| plugin == *filter && named(name))
    };
    let mut ours = template.requests.0.clone();
    ours.retain(|_, amount| *amount != 0);
    if ours != pod.requests {
        tally.mismatches.push(format!("{case} {}: we reserve {ours:?}, the scheduler {:?}", pod.name, pod.requests));
    }
    // What a resize under way reserves is not what a new pod of the kind would ask for.
    if pod.resizes {
        return;
    }
    // Where the pod stands it is asked about as if it were taken off.
    let mut without = snapshot.clone();
    without.pods.retain(|p| p.full_name() != pod.name);
    let cluster = Cluster::now(&without);
    for node in &cluster.nodes {
        tally.pairs += 1;
        let ours: BTreeSet<String> = why_not_there(&cluster, node, template, &template.requests)
            .iter()
            .map(std::string::ToString::to_string)
            .collect();
        let (plugin, theirs) = match pod.rejected.get(node.name.as_ref()) {
            Some(rejection) => {
                (rejection.plugin.as_str(), rejection.reasons.iter().flatten().cloned().collect::<BTreeSet<_>>())
            }
            None => ("", BTreeSet::new()),
        };
        if plugin.is_empty() {
            tally.fits += 1;
        } else {
            *tally.rejected.entry(plugin.to_owned()).or_default() += 1;
        }
        if unmodelled(plugin) {
            tally.unmodelled += 1;
        } else if ours != theirs {
            tally
                .mismatches
                .push(format!("{case} {} on {}: we say {ours:?}, {plugin} says {theirs:?}", pod.name, node.name));
        }
    }
    let verdict = why_not(&cluster, template, &template.requests);
    if verdict.fitting == 0 && !pod.rejected.values().any(|rejection| unmodelled(&rejection.plugin)) {
        tally.sentences += 1;
        let ours = verdict.sentence("nodes");
        if ours != pod.message {
            tally.mismatches.push(format!("{case} {}: we say {ours:?}, the scheduler {:?}", pod.name, pod.message));
        }
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "what was compared is shown")]
fn every_verdict_is_the_schedulers() {
    let Some(mut oracle) = Oracle::start() else { return };
    let mut tally = Tally::default();
    for seed in clusters() {
        let items = scheduler_oracle::cluster::objects(seed);
        let before = tally.mismatches.len();
        let answer = oracle.ask(&items, true);
        let is_pod = |item: &Value| item["kind"] == "Pod";
        let others = items.iter().filter(|item| !is_pod(item));
        // As kubectl would export the cluster.
        let stored: Vec<Value> = others.clone().chain(&answer.stored).cloned().collect();
        // The pods that wait as their owner wrote them, before the API server adds anything.
        let bound = answer.stored.iter().filter(|pod| !pod["spec"]["nodeName"].is_null());
        let written = items.iter().filter(|item| is_pod(item) && item["spec"]["nodeName"].is_null());
        let applied: Vec<Value> = others.chain(bound).chain(written).cloned().collect();
        let (stored, applied) = (read(&stored), read(&applied));
        for pod in &answer.pods {
            compare(&stored, pod, &format!("stored {seed}"), &mut tally);
            if stored.pods.iter().any(|p| p.full_name() == pod.name && p.node.is_none()) {
                compare(&applied, pod, &format!("applied {seed}"), &mut tally);
            }
        }
        if tally.mismatches.len() > before {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("oracle-cluster-{seed}.json"));
            std::fs::write(path, serde_json::to_string_pretty(&json!({ "items": items })).unwrap()).unwrap();
        }
    }
    let Tally { pairs, fits, rejected, unmodelled, sentences, mismatches } = tally;
    eprintln!("{pairs} pairs, {fits} fit, {unmodelled} unmodelled, {sentences} sentences; rejected by {rejected:?}");
    let most = std::env::var("ORACLE_SHOW").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let some: Vec<&String> = mismatches.iter().take(most).collect();
    assert!(mismatches.is_empty(), "{} mismatches, among them {some:#?}", mismatches.len());
}
