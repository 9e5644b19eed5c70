//! Names in metrics to workloads: by the pods and services of a snapshot, and by the names that Kubernetes'
//! controllers give their pods for those gone by now.

use std::collections::{BTreeMap, HashMap};

use crate::domain::snapshot::{Snapshot, WorkloadId};

/// Characters of generated names (`k8s.io/apimachinery/pkg/util/rand`): no vowels, and none that look alike.
const GENERATED: &str = "bcdfghjklmnpqrstvwxz2456789";
/// Characters that a controller appends to a pod's name.
const SUFFIX_LEN: usize = 5;
/// Characters of a template's hash at most: a 32-bit number in decimal, each digit replaced.
const HASH_LEN: usize = 10;
/// Where neither metrics nor snapshot name a namespace.
const DEFAULT_NAMESPACE: &str = "default";

/// Finds workloads by pod, by name and by service.
#[derive(Default)]
pub(super) struct Resolver<'a> {
    pods: HashMap<(&'a str, &'a str), &'a WorkloadId>,
    /// The only pod of that name in any namespace; `None` where there are several.
    pods_by_name: HashMap<&'a str, Option<&'a WorkloadId>>,
    workloads: HashMap<(&'a str, &'a str), Vec<&'a WorkloadId>>,
    services: HashMap<(&'a str, &'a str), &'a WorkloadId>,
}

impl<'a> Resolver<'a> {
    /// Indexes a snapshot; without one, names alone must do.
    pub(super) fn new(snapshot: Option<&'a Snapshot>) -> Self {
        let Some(snapshot) = snapshot else { return Self::default() };
        let mut index = Self::default();
        for pod in &snapshot.pods {
            index.pods.insert((&pod.namespace, &pod.name), &pod.workload);
            index.pods_by_name.entry(&pod.name).and_modify(|one| *one = None).or_insert(Some(&pod.workload));
        }
        for workload in &snapshot.workloads {
            index.workloads.entry((&workload.id.namespace, &workload.id.name)).or_default().push(&workload.id);
        }
        index.services = services(snapshot);
        index
    }

    /// The workload of a pod, gone or not. With a snapshot a gone pod belongs to the workload whose pods are named
    /// so; else the name's pattern tells name and likely kind, and a name of no pattern is a pod of its own.
    pub(super) fn pod(&self, namespace: Option<&str>, pod: &str) -> WorkloadId {
        let known = match namespace {
            Some(namespace) => self.pods.get(&(namespace, pod)).copied(),
            None => self.pods_by_name.get(pod).copied().flatten(),
        };
        if let Some(workload) = known {
            return workload.clone();
        }
        let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
        let guesses = owners_by_name(pod);
        let listed = guesses.iter().find_map(|guess| {
            let named = self.workloads.get(&(namespace, guess.name))?;
            named.iter().find(|id| guess.kinds.is_empty() || guess.kinds.contains(&id.kind.as_str()))
        });
        match (listed, guesses.first()) {
            (Some(id), _) => (*id).clone(),
            (None, Some(guess)) => id(namespace, guess.kinds.first().copied().unwrap_or("Pod"), guess.name),
            (None, None) => id(namespace, "Pod", pod),
        }
    }

    /// The workload that a metric calls by its own name or by its service's. `kind` is known where the label's name
    /// tells it; else, of several kinds of one name, Deployments come first.
    pub(super) fn named(&self, namespace: Option<&str>, name: &str, kind: Option<&str>) -> WorkloadId {
        let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
        let named = self.workloads.get(&(namespace, name)).map_or(&[][..], Vec::as_slice);
        let of_kind = |wanted: &str| named.iter().find(|id| id.kind == wanted).copied();
        let found = match kind {
            Some(kind) => of_kind(kind),
            None => of_kind("Deployment").or_else(|| of_kind("StatefulSet")).or_else(|| named.first().copied()),
        };
        found
            .or_else(|| self.services.get(&(namespace, name)).copied())
            .cloned()
            .unwrap_or_else(|| id(namespace, kind.unwrap_or("Deployment"), name))
    }
}

/// The workload each service sends to: the first whose template has all labels of the selector.
fn services(snapshot: &Snapshot) -> HashMap<(&str, &str), &WorkloadId> {
    let mut by_namespace: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for workload in &snapshot.workloads {
        if let Some(template) = workload.template.and_then(|t| snapshot.templates.get(t)) {
            by_namespace.entry(&workload.id.namespace).or_default().push((&workload.id, &template.labels));
        }
    }
    let mut found = HashMap::new();
    for service in snapshot.services.iter().filter(|s| !s.selector.is_empty()) {
        let candidates = by_namespace.get(service.namespace.as_str()).map_or(&[][..], Vec::as_slice);
        let selected =
            |labels: &&BTreeMap<String, String>| service.selector.iter().all(|(k, v)| labels.get(k) == Some(v));
        if let Some((id, _)) = candidates.iter().find(|(_, labels)| selected(labels)) {
            found.insert((service.namespace.as_str(), service.name.as_str()), *id);
        }
    }
    found
}

fn id(namespace: &str, kind: &str, name: &str) -> WorkloadId {
    WorkloadId { namespace: namespace.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
}

/// A workload whose pods may be named so.
#[derive(Debug, PartialEq, Eq)]
struct Guess<'p> {
    name: &'p str,
    /// Kinds that name their pods so, the likeliest first; empty is any.
    kinds: &'static [&'static str],
}

/// Workloads that a pod of this name may belong to, the likeliest first.
fn owners_by_name(pod: &str) -> Vec<Guess<'_>> {
    let mut guesses = Vec::new();
    let Some((base, last)) = pod.rsplit_once('-') else { return guesses };
    if base.is_empty() {
        return guesses;
    }
    if is_generated(last, SUFFIX_LEN, SUFFIX_LEN) {
        if let Some((name, middle)) = base.rsplit_once('-').filter(|(name, _)| !name.is_empty()) {
            if is_generated(middle, 1, HASH_LEN) && middle.len() >= 6 {
                guesses.push(Guess { name, kinds: &["Deployment", "Rollout"] });
            }
            if is_number(middle) {
                // A CronJob's job is named after its minute, an indexed Job's pod after its index.
                guesses.push(Guess { name, kinds: if middle.len() >= 8 { &["CronJob"] } else { &["Job"] } });
            }
        }
        guesses.push(Guess { name: base, kinds: &["DaemonSet", "Job", "ReplicaSet", "ReplicationController"] });
    }
    if is_number(last) {
        guesses.push(Guess { name: base, kinds: &["StatefulSet"] });
    }
    guesses
}

fn is_generated(text: &str, shortest: usize, longest: usize) -> bool {
    (shortest..=longest).contains(&text.len()) && text.bytes().all(|b| GENERATED.as_bytes().contains(&b))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::Labels;
    use crate::domain::snapshot::{PodTemplate, Service, Workload};

    fn labels(app: &str) -> Labels {
        Labels::from([("app".to_owned(), app.to_owned())])
    }

    fn snapshot(workloads: &[(&str, &str)]) -> Snapshot {
        Snapshot {
            templates: workloads
                .iter()
                .map(|(_, name)| PodTemplate {
                    namespace: "shop".into(),
                    labels: labels(name),
                    ..PodTemplate::default()
                })
                .collect(),
            workloads: workloads
                .iter()
                .enumerate()
                .map(|(i, (kind, name))| Workload::plain(id("shop", kind, name), i, 1))
                .collect(),
            services: vec![Service {
                namespace: "shop".into(),
                name: "nginx-service".into(),
                service_type: "LoadBalancer".into(),
                selector: labels("nginx-deployment"),
                ports: vec![80],
                ready_endpoints: 2,
            }],
            ..Snapshot::default()
        }
    }

    #[test]
    fn names_alone_tell_name_and_likely_kind() {
        let resolver = Resolver::new(None);
        for (pod, kind, name) in [
            ("nginx-deployment-7c97f57c88-flcxj", "Deployment", "nginx-deployment"),
            ("db-0", "StatefulSet", "db"),
            ("log-agent-c586x", "DaemonSet", "log-agent"),
            ("report-29331540-x2x9k", "CronJob", "report"),
            ("reindex-2-x2x9k", "Job", "reindex"),
            ("bare", "Pod", "bare"),
            ("my-pod", "Pod", "my-pod"),
            ("-x2x9k", "Pod", "-x2x9k"),
            ("", "Pod", ""),
        ] {
            assert_eq!(resolver.pod(Some("shop"), pod), id("shop", kind, name), "{pod}");
        }
    }

    #[test]
    fn a_gone_pod_belongs_to_the_listed_workload_of_that_name() {
        let cluster =
            snapshot(&[("Job", "log-agent"), ("Deployment", "web-5bcdfg"), ("Deployment", "nginx-deployment")]);
        let resolver = Resolver::new(Some(&cluster));
        assert_eq!(resolver.pod(Some("shop"), "log-agent-c586x").kind, "Job");
        // `5bcdfg` looks like a hash, but there is no Deployment `web`; a ReplicaSet's pattern is not a Deployment's.
        assert_eq!(resolver.pod(Some("shop"), "web-5bcdfg-7c97f57c88-flcxj"), id("shop", "Deployment", "web-5bcdfg"));
        assert_eq!(resolver.pod(Some("other"), "nginx-deployment-7c97f57c88-flcxj").namespace, "other");
    }

    #[test]
    fn a_service_stands_for_the_workload_it_selects() {
        let cluster = snapshot(&[("Deployment", "nginx-deployment"), ("StatefulSet", "db")]);
        let resolver = Resolver::new(Some(&cluster));
        assert_eq!(resolver.named(Some("shop"), "nginx-service", None), id("shop", "Deployment", "nginx-deployment"));
        assert_eq!(resolver.named(Some("shop"), "db", None), id("shop", "StatefulSet", "db"));
        assert_eq!(resolver.named(Some("shop"), "gone", None), id("shop", "Deployment", "gone"));
        assert_eq!(resolver.named(Some("shop"), "gone", Some("StatefulSet")), id("shop", "StatefulSet", "gone"));
    }
}
