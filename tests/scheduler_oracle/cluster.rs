//! Random clusters as the API server would write them: every rule a pod can carry, each node with what the rules look
//! at. Each cluster draws which kinds of rules its pods carry, so that filters late in the scheduler's order are not
//! always hidden behind those before them.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Map, Value, json};

/// Kinds of rules; a cluster's pods carry some of them.
const FAMILIES: usize = 10;
const NAMESPACES: [(&str, &str); 3] = [("shop", "front"), ("data", "back"), ("ops", "back")];
pub(super) const APPS: [&str; 3] = ["web", "db", "cache"];
pub(super) const TIERS: [&str; 2] = ["gold", "iron"];
const HASHES: [&str; 2] = ["5d8f9", "77c4b"];
pub(super) const TAINT_KEYS: [&str; 3] = ["dedicated", "gpu", "spot"];
pub(super) const TAINT_VALUES: [&str; 3] = ["", "a", "b"];
pub(super) const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
pub(super) const TOPOLOGY_KEYS: [&str; 4] = ["kubernetes.io/hostname", "topology.kubernetes.io/zone", "rack", "disk"];
pub(super) const ZONE: &str = "topology.kubernetes.io/zone";
const OLD_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";
pub(super) const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
pub(super) const CORDON: &str = "node.kubernetes.io/unschedulable";

/// The objects of cluster number `seed`.
pub(crate) fn objects(seed: u64) -> Vec<Value> {
    let mut draw = Draw::new(seed);
    let mut items: Vec<Value> = NAMESPACES
        .iter()
        .map(|(name, team)| {
            let labels = json!({"team": team, "kubernetes.io/metadata.name": name});
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        })
        .collect();
    let nodes = 3 + draw.below(7);
    items.extend((0..nodes).map(|number| draw.node(number)));
    items.extend(storage(&mut draw));
    for (namespace, _) in NAMESPACES {
        items.extend((0..draw.below(3)).map(|number| draw.quota(namespace, number)).collect::<Vec<_>>());
    }
    items.extend((0..nodes).filter(|number| number % 3 != 1).map(|number| draw.volume_limit(number)));
    let pods = items.len() + 8 + draw.below(14);
    let standing = draw.one_of(&[0.0, 0.3, 0.6]);
    let mut number = 0;
    while items.len() < pods {
        let template = draw.template();
        // Bare pods, or replicas of one set.
        let replicas = if draw.chance(0.5) { 1 } else { 1 + draw.below(4) };
        let set = (replicas > 1 || draw.chance(0.3)).then(|| format!("set-{number}"));
        for _ in 0..replicas {
            let node = draw.chance(standing).then(|| format!("n{}", draw.below(nodes)));
            items.push(draw.pod(&template, set.as_deref(), number, node.as_deref()));
            number += 1;
        }
    }
    items
}

/// Volumes in a zone by label and by affinity, claims bound to them, and classes for those still to be made.
fn storage(draw: &mut Draw) -> Vec<Value> {
    let mut items = Vec::new();
    for number in 0..4 {
        let name = format!("v{number}");
        let mut labels = Map::new();
        if draw.chance(0.5) {
            let value = draw.one(&["z0", "z1", "z0__z1"]);
            labels.insert(draw.one(&[ZONE, OLD_ZONE]).to_owned(), json!(value));
        }
        if draw.chance(0.3) {
            labels.insert("topology.kubernetes.io/region".to_owned(), json!(draw.one(&["r0", "r1"])));
        }
        let mut spec = json!({
            "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "anywhere",
            "csi": {"driver": "disks.example", "volumeHandle": name}, "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {"namespace": "shop", "name": format!("c{number}"), "uid": "u"},
        });
        if draw.chance(0.6) {
            let terms: Vec<Value> = (0..=draw.below(2)).map(|_| draw.node_term(false)).collect();
            spec["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": terms}});
        }
        items.push(json!({"apiVersion": "v1", "kind": "PersistentVolume", "spec": spec,
            "metadata": {"name": name, "labels": labels}, "status": {"phase": "Bound"}}));
        for (namespace, _) in NAMESPACES {
            items.push(claim(namespace, &format!("c{number}"), "anywhere", Some(&name)));
            if number == 0 {
                let mut once = claim(namespace, "once", "anywhere", Some(&name));
                once["spec"]["accessModes"] = json!(["ReadWriteOncePod"]);
                items.push(once);
            }
        }
    }
    items.extend((0..4).map(|number| draw.free_volume(number)));
    let topologies = json!([{"matchLabelExpressions": [{"key": ZONE, "values": ["z0", "z2"]}]}]);
    let maker = "disks.example";
    let classes = [
        ("anywhere", Value::Null, maker, "WaitForFirstConsumer"),
        ("zonal", topologies, maker, "WaitForFirstConsumer"),
        ("by-hand", Value::Null, "kubernetes.io/no-provisioner", "WaitForFirstConsumer"),
        ("at-once", Value::Null, maker, "Immediate"),
    ];
    for (class, topologies, provisioner, mode) in classes {
        items.push(json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": class},
            "provisioner": provisioner, "volumeBindingMode": mode,
            "allowedTopologies": topologies}));
        for (namespace, _) in NAMESPACES {
            let mut claim = claim(namespace, class, class, None);
            if draw.chance(0.2) {
                claim["spec"]["selector"] = json!({"matchLabels": {"speed": "fast"}});
            }
            if draw.chance(0.1) {
                claim["spec"]["accessModes"] = json!(["ReadWriteOncePod"]);
            }
            if draw.chance(0.1) {
                claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = json!("n1");
            }
            items.push(claim);
        }
    }
    items
}

fn claim(namespace: &str, name: &str, class: &str, volume: Option<&str>) -> Value {
    let mut annotations = Map::new();
    if volume.is_some() {
        annotations.insert("pv.kubernetes.io/bind-completed".to_owned(), json!("yes"));
    }
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"namespace": namespace, "name": name, "uid": "u", "annotations": annotations},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class, "volumeName": volume,
            "resources": {"requests": {"storage": "10Gi"}}},
        "status": {"phase": if volume.is_some() { "Bound" } else { "Pending" }}})
}

/// What pods that are alike have in common.
#[derive(Clone)]
struct Template {
    namespace: &'static str,
    labels: Map<String, Value>,
    spec: Value,
}

/// Draws of one cluster.
pub(super) struct Draw {
    random: Pcg64,
    /// How often a pod carries each kind of rule.
    often: [f64; FAMILIES],
    /// Nodes are large, so that resources hide nothing.
    roomy: bool,
    plain_nodes: bool,
}

impl Draw {
    fn new(seed: u64) -> Self {
        let mut random = Pcg64::seed_from_u64(seed);
        let often = std::array::from_fn(|_| if random.random_bool(0.25) { 0.7 } else { 0.04 });
        let roomy = random.random_bool(0.8);
        let plain_nodes = random.random_bool(0.75);
        Self { random, often, roomy, plain_nodes }
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.random.random_range(0..end)
    }

    fn one_of(&mut self, values: &[f64]) -> f64 {
        values[self.below(values.len())]
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability)
    }

    pub(super) fn one<'v>(&mut self, values: &[&'v str]) -> &'v str {
        values[self.below(values.len())]
    }

    /// Whether this pod carries a rule of the kind.
    pub(super) fn carries(&mut self, family: usize) -> bool {
        self.chance(self.often[family])
    }

    /// A quota on some resources, for some of the pods.
    fn quota(&mut self, namespace: &str, number: usize) -> Value {
        let mut hard = Map::new();
        for (name, amounts) in [
            ("pods", ["3", "8", "20"]),
            ("count/pods", ["3", "9", "20"]),
            ("cpu", ["2", "7500m", "30"]),
            ("requests.cpu", ["2", "7500m", "30"]),
            ("memory", ["2Gi", "8G", "100Gi"]),
            ("requests.memory", ["2Gi", "8G", "100Gi"]),
            ("requests.ephemeral-storage", ["1Gi", "30Gi", "60Gi"]),
            ("requests.example.com/gpu", ["0", "2", "9"]),
            ("requests.hugepages-2Mi", ["0", "4Mi", "1Gi"]),
            ("hugepages-2Mi", ["0", "4Mi", "1Gi"]),
            ("services", ["1", "2", "3"]),
        ] {
            if self.chance(0.2) {
                hard.insert(name.to_owned(), json!(self.one(&amounts)));
            }
        }
        let mut spec = json!({"hard": hard});
        if self.chance(0.3) {
            let scopes = ["Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "CrossNamespacePodAffinity"];
            spec["scopes"] = json!([self.one(&scopes)]);
        }
        if self.chance(0.2) {
            let operator = self.one(&["In", "NotIn", "Exists", "DoesNotExist"]);
            let mut expression = json!({"scopeName": "PriorityClass", "operator": operator});
            if operator.ends_with("In") {
                expression["values"] = json!(["high"]);
            }
            spec["scopeSelector"] = json!({"matchExpressions": [expression]});
        }
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"namespace": namespace, "name": format!("q{number}")},
            "spec": spec})
    }

    /// How many volumes of the driver a node can hold, if it says so.
    fn volume_limit(&mut self, number: usize) -> Value {
        let mut driver = json!({"name": "disks.example", "nodeID": format!("n{number}")});
        if self.chance(0.8) {
            driver["allocatable"] = json!({"count": self.below(2)});
        }
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": format!("n{number}")},
            "spec": {"drivers": [driver]}})
    }

    /// A volume made by hand that no claim is bound to.
    fn free_volume(&mut self, number: usize) -> Value {
        let mut labels = Map::new();
        if self.chance(0.5) {
            labels.insert("speed".to_owned(), json!("fast"));
        }
        let mut spec = json!({
            "capacity": {"storage": self.one(&["5Gi", "10Gi", "20Gi"])}, "persistentVolumeReclaimPolicy": "Retain",
            "accessModes": [self.one(&["ReadWriteOnce", "ReadWriteOnce", "ReadWriteMany"])],
            "storageClassName": self.one(&["by-hand", "by-hand", "zonal", "anywhere"]),
            "local": {"path": "/disk"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [self.node_term(false)]}},
        });
        if number == 0 && self.chance(0.4) {
            spec["claimRef"] = json!({"namespace": "shop", "name": "by-hand"});
        }
        if self.chance(0.1) {
            spec["volumeMode"] = json!("Block");
        }
        let phase = if self.chance(0.8) { "Available" } else { "Released" };
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "spec": spec,
            "metadata": {"name": format!("free{number}"), "labels": labels}, "status": {"phase": phase}})
    }

    /// Claims of a pod, and disks named in its spec.
    fn volumes(&mut self) -> Vec<Value> {
        let claims =
            ["c0", "c1", "c2", "c3", "once", "once", "once", "anywhere", "zonal", "by-hand", "by-hand", "at-once"];
        let mut volumes = vec![json!({"name": "data", "persistentVolumeClaim": {"claimName": self.one(&claims)}})];
        if self.chance(0.3) {
            volumes.push(json!({"name": "more", "persistentVolumeClaim": {"claimName": self.one(&claims)}}));
        }
        if self.chance(0.6) {
            let read_only = self.chance(0.5);
            let disk = self.one(&["a", "b"]);
            let (kind, source) = match self.below(4) {
                0 => ("gcePersistentDisk", json!({"pdName": disk, "readOnly": read_only})),
                1 => ("awsElasticBlockStore", json!({"volumeID": disk, "readOnly": read_only})),
                2 => (
                    "iscsi",
                    json!({"targetPortal": "10.0.0.1", "iqn": format!("iqn.2026-01.example:{disk}"), "lun": 0,
                        "readOnly": read_only}),
                ),
                _ => {
                    let monitors = [json!(["m0"]), json!(["m0", "m1"]), json!(["m2"])][self.below(3)].clone();
                    ("rbd", json!({"monitors": monitors, "image": disk, "readOnly": read_only}))
                }
            };
            volumes.push(json!({"name": "disk", kind: source}));
        }
        volumes
    }

    fn node(&mut self, number: usize) -> Value {
        let name = format!("n{number}");
        let mut labels = Map::new();
        let mut label = |key: &str, value: &str| labels.insert(key.to_owned(), json!(value));
        if self.chance(0.95) {
            label(TOPOLOGY_KEYS[0], &name);
        }
        if self.chance(0.9) {
            label(ZONE, self.one(&["z0", "z1", "z2"]));
        }
        if self.chance(0.15) {
            label(OLD_ZONE, self.one(&["z0", "z1"]));
        }
        if self.chance(0.5) {
            label("topology.kubernetes.io/region", self.one(&["r0", "r1"]));
        }
        if self.chance(0.8) {
            label("rack", self.one(&["k0", "k1", "k2"]));
        }
        if self.chance(0.8) {
            label("disk", self.one(&["ssd", "hdd"]));
        }
        if self.chance(0.7) {
            label("cores", self.one(&["4", "8", "16", "many", "03"]));
        }
        let mut taints: Vec<Value> = Vec::new();
        let most = if self.plain_nodes { 1 } else { 3 };
        for _ in 0..self.below(most) {
            let taint =
                json!({"key": self.one(&TAINT_KEYS), "value": self.one(&TAINT_VALUES), "effect": self.one(&EFFECTS)});
            // The API server refuses two taints of one key and effect.
            if taints.iter().all(|t| t["key"] != taint["key"] || t["effect"] != taint["effect"]) {
                taints.push(taint);
            }
        }
        let cordoned = self.chance(if self.plain_nodes { 0.03 } else { 0.12 });
        if cordoned {
            // The node lifecycle controller adds it within moments; ingest takes it as there.
            taints.push(json!({"key": CORDON, "effect": "NoSchedule"}));
        }
        let mut allocatable = if self.roomy {
            json!({"cpu": "64", "memory": "256Gi", "pods": "110"})
        } else {
            json!({"cpu": self.one(&["1", "1930m", "4", "7.5"]), "memory": self.one(&["2Gi", "3926872Ki", "8e9", "7741M"]),
                "pods": self.one(&["2", "4", "110"])})
        };
        for (resource, amounts) in [
            ("ephemeral-storage", ["20Gi", "47093746742"]),
            ("example.com/gpu", ["1", "4"]),
            ("example.com/fpga", ["0", "2"]),
            ("hugepages-2Mi", ["8Mi", "64Mi"]),
        ] {
            if self.chance(0.6) {
                allocatable[resource] = json!(self.one(&amounts));
            }
        }
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
            "spec": {"taints": taints, "unschedulable": cordoned},
            "status": {"allocatable": allocatable, "capacity": allocatable}})
    }

    /// Namespace, labels and spec of pods that are alike.
    fn template(&mut self) -> Template {
        let namespace = NAMESPACES[if self.chance(0.7) { 0 } else { self.below(3) }].0;
        let mut labels = Map::from_iter([("app".to_owned(), json!(self.one(&APPS)))]);
        if self.chance(0.7) {
            labels.insert("tier".to_owned(), json!(self.one(&TIERS)));
        }
        if self.chance(0.7) {
            labels.insert("pod-template-hash".to_owned(), json!(self.one(&HASHES)));
        }
        let mut spec = self.resources();
        self.node_rules(&mut spec);
        self.pod_rules(&mut spec);
        if self.carries(5) {
            spec["tolerations"] = (0..=self.below(3)).map(|_| self.toleration()).collect();
        }
        if self.carries(6) {
            let spreads = (0..=self.below(2)).map(|_| self.spread());
            // One of a key and a kind, as the API server demands.
            let mut kept: Vec<Value> = Vec::new();
            for spread in spreads {
                if kept.iter().all(|k| k["topologyKey"] != spread["topologyKey"]) {
                    kept.push(spread);
                }
            }
            spec["topologySpreadConstraints"] = Value::Array(kept);
        }
        if self.carries(7) {
            self.ports(&mut spec);
        }
        if self.chance(0.1) {
            spec["activeDeadlineSeconds"] = json!(600);
        }
        if self.chance(0.2) {
            spec["priorityClassName"] = json!("high");
        }
        if self.carries(8) {
            spec["volumes"] = Value::Array(self.volumes());
        }
        Template { namespace, labels, spec }
    }

    fn pod(&mut self, template: &Template, set: Option<&str>, number: usize, node: Option<&str>) -> Value {
        let Template { namespace, mut labels, mut spec } = template.clone();
        if self.chance(0.2) {
            labels.insert(POD_NAME.to_owned(), json!(format!("p{number}")));
        }
        if node.is_some() && self.chance(0.1) {
            labels.insert(ZONE.to_owned(), json!(self.one(&["z0", "z1"])));
        }
        let mut metadata = json!({"namespace": namespace, "name": format!("p{number}"), "labels": labels,
            "uid": format!("u{number}"), "creationTimestamp": "2026-03-01T00:00:00Z"});
        if let Some(set) = set {
            metadata["ownerReferences"] =
                json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set, "uid": set, "controller": true}]);
        }
        let mut status = json!({"phase": "Pending"});
        if let Some(node) = node {
            spec["nodeName"] = json!(node);
            status = self.status(&spec);
            if self.chance(0.15) {
                metadata["deletionTimestamp"] = json!("2026-03-01T01:00:00Z");
                metadata["deletionGracePeriodSeconds"] = json!(30);
            }
        }
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status})
    }
}

/// Containers and what they ask for.
impl Draw {
    /// A spec with containers, init containers, sidecars, overhead and resources of the pod as a whole.
    fn resources(&mut self) -> Value {
        let rich = self.carries(0);
        let mut containers = vec![self.container("main", rich)];
        let mut init = Vec::new();
        if rich {
            if self.chance(0.4) {
                containers.push(self.container("second", true));
            }
            for number in 0..self.below(4) {
                let mut container = self.container(&format!("init{number}"), true);
                if self.chance(0.5) {
                    container["restartPolicy"] = json!("Always");
                }
                init.push(container);
            }
        }
        let mut spec = json!({"containers": containers, "initContainers": init});
        if rich && self.chance(0.3) {
            spec["overhead"] = json!({"cpu": "130m", "memory": "17Mi"});
        }
        if rich && self.chance(0.3) {
            // At least what the containers ask for together, or the API server refuses the pod.
            let mut whole = json!({"requests": {"cpu": "20"}});
            if self.chance(0.5) {
                whole["requests"]["memory"] = json!("24Gi");
            }
            if self.chance(0.5) {
                whole["limits"] = json!({"cpu": "21", "memory": "30Gi"});
            }
            spec["resources"] = whole;
        }
        spec
    }

    fn container(&mut self, name: &str, rich: bool) -> Value {
        let mut requests = Map::new();
        let mut limits = Map::new();
        if self.chance(0.8) {
            requests.insert("cpu".to_owned(), json!(self.one(&["100m", "0.25", "1", "1500m", "3", "0", "1m"])));
        }
        if self.chance(0.8) {
            requests.insert("memory".to_owned(), json!(self.one(&["64Mi", "1Gi", "1.5G", "123456789", "3e9"])));
            // A part of a byte is rounded up container by container here, and as a sum there.
            if !rich && self.chance(0.1) {
                requests.insert("memory".to_owned(), json!("100500m"));
            }
        }
        if rich {
            if self.chance(0.2) {
                limits.insert("cpu".to_owned(), json!("4"));
            }
            if self.chance(0.2) {
                limits.insert("memory".to_owned(), json!("4Gi"));
            }
            if self.chance(0.2) {
                requests.insert("ephemeral-storage".to_owned(), json!(self.one(&["1Gi", "30Gi"])));
            }
            let sized = ["cpu", "memory"].iter().any(|r| requests.contains_key(*r) || limits.contains_key(*r));
            // These cannot be overcommitted: the request is the limit, and need not be written.
            for (resource, amounts) in
                [("example.com/gpu", ["1", "3"]), ("example.com/fpga", ["1", "2"]), ("hugepages-2Mi", ["2Mi", "16Mi"])]
            {
                // Huge pages come with memory or CPU only.
                if self.chance(0.15) && (!resource.starts_with("huge") || sized) {
                    let amount = self.one(&amounts);
                    limits.insert(resource.to_owned(), json!(amount));
                    if self.chance(0.5) {
                        requests.insert(resource.to_owned(), json!(amount));
                    }
                }
            }
        }
        json!({"name": name, "image": "i", "resources": {"requests": requests, "limits": limits}})
    }

    /// The status of a pod that runs, sometimes in the middle of a resize.
    fn status(&mut self, spec: &Value) -> Value {
        let mut status = json!({"phase": "Running"});
        if !self.chance(0.25) {
            return status;
        }
        let lists = [("containers", "containerStatuses"), ("initContainers", "initContainerStatuses")];
        for (containers, statuses) in lists {
            let names: Vec<Value> = spec[containers].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
            let of = |name: Value, draw: &mut Self| {
                let sizes = ["50m", "200m", "2", "5"];
                json!({"name": name, "image": "i", "imageID": "i", "ready": true, "restartCount": 0,
                    "allocatedResources": {"cpu": draw.one(&sizes), "memory": "1Gi"},
                    "resources": {"requests": {"cpu": draw.one(&sizes), "memory": draw.one(&["32Mi", "2Gi"])}}})
            };
            status[statuses] = names.into_iter().map(|name| of(name, self)).collect();
        }
        if self.chance(0.4) {
            let reason = self.one(&["Infeasible", "Deferred"]);
            status["conditions"] = json!([{"type": "PodResizePending", "status": "True", "reason": reason}]);
        }
        status
    }
}
