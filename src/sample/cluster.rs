//! The cluster as `kubectl get … -A -o json` would print it at the last sample.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::roster::{Kind, NODES, NodeSpec, PodLife, SPECS, Spec};
use super::story;

/// Zone of the database's volume.
const VOLUME_ZONE: &str = "r1b";
/// Priority of what visitors wait for.
const CRITICAL: i64 = 100_000;

/// A `List` of all objects.
pub(super) fn dump(pods: &[PodLife]) -> Value {
    let alive: Vec<&PodLife> = pods.iter().filter(|pod| pod.until.is_none()).collect();
    let mut items = Vec::new();
    items.extend(["batch", "kube-system", "ops", "shop"].map(namespace));
    items.extend(NODES.iter().map(node));
    items.push(json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
        "metadata": { "name": "critical" }, "value": CRITICAL,
    }));
    items.extend(volume());
    for spec in &SPECS {
        let own: Vec<_> = alive.iter().copied().filter(|pod| std::ptr::eq(pod.spec, spec)).collect();
        items.push(controller(spec, &own));
        items.extend(own.first().filter(|_| spec.kind == Kind::Deployment).map(|pod| replica_set(pod, own.len())));
        items.extend(own.iter().enumerate().map(|(i, pod)| pod_object(pod, i)));
        items.extend(spec.service.into_iter().flat_map(|service| service_objects(spec, service, &own)));
    }
    items.extend([
        budget("nginx-deployment", json!({ "minAvailable": 1 })),
        budget("node-api", json!({ "maxUnavailable": 1 })),
    ]);
    items.extend([budget("checkout", json!({ "minAvailable": "50%" })), autoscaler()]);
    json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "" }, "items": items })
}

/// An instant as Kubernetes writes it.
fn time(minute: i64) -> String {
    Timestamp::from_millisecond(story::time_ms(minute)).map_or_else(|_| String::new(), |time| time.to_string())
}

/// The instant so many seconds after a minute.
fn time_after(minute: i64, seconds: i64) -> String {
    let ms = story::time_ms(minute) + seconds * 1000;
    Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |time| time.to_string())
}

fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": name, "labels": { "kubernetes.io/metadata.name": name } },
        "status": { "phase": "Active" },
    })
}

fn node(node: &NodeSpec) -> Value {
    let capacity_type = if node.spot { "spot" } else { "on-demand" };
    let mut spec = json!({ "providerID": format!("sample://{}/{}", node.zone, node.name) });
    if node.spot {
        spec["taints"] = json!([{ "key": "spot", "value": "true", "effect": "NoSchedule" }]);
    }
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": node.name,
            "creationTimestamp": time(-40_000),
            "labels": {
                "karpenter.sh/capacity-type": capacity_type,
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": node.name,
                "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": node.offer,
                "topology.kubernetes.io/region": "r1",
                "topology.kubernetes.io/zone": node.zone,
            },
        },
        "spec": spec,
        "status": {
            "allocatable": { "cpu": "3920m", "memory": format!("{}Gi", node.memory_gib), "pods": "58" },
            "capacity": { "cpu": "4", "memory": format!("{}Gi", node.memory_gib + 1), "pods": "58" },
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "KubeletReady",
                "lastTransitionTime": time(-39_998),
            }],
        },
    })
}

/// The database's volume, its claim and their class: the pod can only run in the volume's zone.
fn volume() -> [Value; 3] {
    let affinity = json!({ "required": { "nodeSelectorTerms": [{ "matchExpressions": [
        { "key": "topology.kubernetes.io/zone", "operator": "In", "values": [VOLUME_ZONE] },
    ] }] } });
    [
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": "zonal" },
            "provisioner": "disk.csi.example", "volumeBindingMode": "WaitForFirstConsumer",
        }),
        json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "pv-db-0" },
            "spec": {
                "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "100Gi" }, "storageClassName": "zonal",
                "claimRef": { "kind": "PersistentVolumeClaim", "namespace": "shop", "name": "data-db-0" },
                "csi": { "driver": "disk.csi.example", "volumeHandle": "vol-db-0" },
                "nodeAffinity": affinity,
            },
            "status": { "phase": "Bound" },
        }),
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "namespace": "shop", "name": "data-db-0", "labels": { "app": "db" } },
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "zonal", "volumeName": "pv-db-0",
                "resources": { "requests": { "storage": "100Gi" } },
            },
            "status": { "phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "100Gi" } },
        }),
    ]
}

/// What the template says of where pods may run, and the containers.
fn pod_spec(spec: &Spec) -> Map<String, Value> {
    let mut container = json!({
        "name": spec.app, "image": spec.image,
        "resources": { "requests": { "cpu": format!("{}m", spec.cpu_millis), "memory": format!("{}Mi", spec.memory_mib) } },
    });
    if spec.port > 0 {
        container["ports"] = json!([{ "containerPort": spec.port, "protocol": "TCP" }]);
    }
    if spec.memory_limit_mib > 0 {
        container["resources"]["limits"] = json!({ "memory": format!("{}Mi", spec.memory_limit_mib) });
    }
    let mut fields = Map::new();
    if let Kind::Job = spec.kind {
        fields.insert("nodeSelector".into(), json!({ "karpenter.sh/capacity-type": "spot" }));
        fields.insert(
            "tolerations".into(),
            json!([{ "key": "spot", "operator": "Equal", "value": "true", "effect": "NoSchedule" }]),
        );
        fields.insert("restartPolicy".into(), json!("Never"));
    }
    if let Kind::DaemonSet = spec.kind {
        fields.insert("tolerations".into(), json!([{ "operator": "Exists" }]));
        container["ports"] = json!([{ "containerPort": 9100, "hostPort": 9100, "protocol": "TCP" }]);
    }
    let same_app = json!({ "matchLabels": { "app": spec.app } });
    match spec.app {
        "nginx" | "node-api" => {
            let when = if spec.app == "nginx" { "DoNotSchedule" } else { "ScheduleAnyway" };
            fields.insert(
                "topologySpreadConstraints".into(),
                json!([{
                    "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": when,
                    "labelSelector": same_app,
                }]),
            );
        }
        "checkout" => {
            fields.insert(
                "affinity".into(),
                json!({ "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    { "topologyKey": "kubernetes.io/hostname", "labelSelector": same_app },
                ],
            } }),
            );
        }
        "db" => {
            container["volumeMounts"] = json!([{ "name": "data", "mountPath": "/var/lib/postgresql" }]);
        }
        _ => {}
    }
    if let "nginx" | "node-api" | "checkout" | "db" = spec.app {
        fields.insert("priorityClassName".into(), json!("critical"));
    }
    fields.insert("containers".into(), json!([container]));
    fields
}

/// Workloads that users' requests reach first; ready-made policies treat them apart.
const FRONTEND: [&str; 2] = ["nginx", "node-api"];

fn metadata(spec: &Spec) -> Value {
    let tier = if FRONTEND.contains(&spec.app) { "frontend" } else { "backend" };
    json!({
        "namespace": spec.namespace, "name": spec.name, "uid": uid_of(spec.kind.name(), spec.name),
        "creationTimestamp": time(if spec.kind == Kind::Job { story::BATCH_START } else { -30_000 }),
        "labels": { "app": spec.app, "tier": tier },
    })
}

/// Unique ids of what has no life of its own in the story.
fn uid_of(kind: &str, name: &str) -> String {
    format!("{}-{name}", kind.to_lowercase())
}

fn controller(spec: &Spec, own: &[&PodLife]) -> Value {
    let labels = json!({ "app": spec.app });
    let template = json!({ "metadata": { "labels": labels }, "spec": pod_spec(spec) });
    let selector = json!({ "matchLabels": labels });
    let replicas = spec.replicas();
    let ready = own.iter().filter(|pod| pod.node.is_some()).count();
    let object = |api_version: &str, fields: Value, status: Value| {
        json!({
            "apiVersion": api_version, "kind": spec.kind.name(), "metadata": metadata(spec),
            "spec": fields, "status": status,
        })
    };
    match spec.kind {
        Kind::Deployment => object(
            "apps/v1",
            json!({ "replicas": replicas, "selector": selector, "template": template }),
            json!({ "replicas": replicas, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": replicas }),
        ),
        Kind::StatefulSet => object(
            "apps/v1",
            json!({
                "replicas": replicas, "selector": selector, "template": template, "serviceName": spec.name,
                "volumeClaimTemplates": [{
                    "metadata": { "name": "data" },
                    "spec": {
                        "accessModes": ["ReadWriteOnce"], "storageClassName": "zonal",
                        "resources": { "requests": { "storage": "100Gi" } },
                    },
                }],
            }),
            json!({ "replicas": replicas, "readyReplicas": ready, "currentReplicas": replicas }),
        ),
        Kind::DaemonSet => object(
            "apps/v1",
            json!({ "selector": selector, "template": template }),
            json!({
                "desiredNumberScheduled": replicas, "currentNumberScheduled": replicas, "numberReady": ready,
                "numberMisscheduled": 0,
            }),
        ),
        Kind::Job => object(
            "batch/v1",
            json!({ "parallelism": replicas, "completions": replicas, "selector": selector, "template": template }),
            json!({ "active": replicas, "ready": ready, "startTime": time(story::BATCH_START) }),
        ),
    }
}

fn replica_set_name(pod: &PodLife) -> String {
    format!("{}-{}", pod.spec.name, pod.hash)
}

fn replica_set(pod: &PodLife, replicas: usize) -> Value {
    let spec = pod.spec;
    let labels = json!({ "app": spec.app, "pod-template-hash": pod.hash });
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "namespace": spec.namespace, "name": replica_set_name(pod),
            "uid": uid_of("ReplicaSet", &replica_set_name(pod)), "creationTimestamp": time(pod.from), "labels": labels,
            "ownerReferences": [owner("apps/v1", "Deployment", spec.name)],
        },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod_spec(spec) },
        },
        "status": { "replicas": replicas },
    })
}

fn owner(api_version: &str, kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind, "name": name, "uid": uid_of(kind, name),
        "controller": true, "blockOwnerDeletion": true,
    })
}

fn pod_object(pod: &PodLife, ordinal: usize) -> Value {
    let spec = pod.spec;
    let (owned_by, own_label) = match spec.kind {
        Kind::Deployment => {
            (owner("apps/v1", "ReplicaSet", &replica_set_name(pod)), ("pod-template-hash", pod.hash.clone()))
        }
        Kind::StatefulSet => {
            (owner("apps/v1", "StatefulSet", spec.name), ("apps.kubernetes.io/pod-index", ordinal.to_string()))
        }
        Kind::DaemonSet => (owner("apps/v1", "DaemonSet", spec.name), ("pod-template-generation", "1".to_owned())),
        Kind::Job => (owner("batch/v1", "Job", spec.name), ("batch.kubernetes.io/job-name", spec.name.to_owned())),
    };
    let mut fields = pod_spec(spec);
    fields.insert("schedulerName".into(), json!("default-scheduler"));
    fields.entry("restartPolicy").or_insert(json!("Always"));
    if fields.contains_key("priorityClassName") {
        fields.insert("priority".into(), json!(CRITICAL));
    }
    if spec.kind == Kind::StatefulSet {
        let claim = format!("data-{}", pod.name);
        fields.insert("volumes".into(), json!([{ "name": "data", "persistentVolumeClaim": { "claimName": claim } }]));
    }
    let status = match pod.node {
        Some(node) => {
            fields.insert("nodeName".into(), json!(NODES[node].name));
            running(pod)
        }
        None => json!({
            "phase": "Pending",
            "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "lastTransitionTime": time(pod.from),
                "message": "0/10 nodes are available: 1 node(s) had untolerated taint(s), 9 Insufficient cpu, \
                            9 Insufficient memory. preemption: 0/10 nodes are available: \
                            10 Preemption is not helpful for scheduling.",
            }],
        }),
    };
    let mut labels = json!({ "app": spec.app });
    labels[own_label.0] = json!(own_label.1);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": spec.namespace, "name": pod.name, "uid": pod.uid, "creationTimestamp": time(pod.from),
            "labels": labels, "ownerReferences": [owned_by],
        },
        "spec": fields,
        "status": status,
    })
}

/// Bound a second after creation and ready after eight; the node of the batch job had to be booted first.
fn running(pod: &PodLife) -> Value {
    let bound_s = if pod.spec.kind == Kind::Job { 104 } else { 1 };
    let condition = |kind: &str, after_s: i64| json!({ "type": kind, "status": "True", "lastTransitionTime": time_after(pod.from, after_s) });
    json!({
        "phase": "Running",
        "startTime": time_after(pod.from, bound_s),
        "conditions": [
            condition("PodScheduled", bound_s),
            condition("Initialized", bound_s),
            condition("ContainersReady", bound_s + 7),
            condition("Ready", bound_s + 7),
        ],
        "containerStatuses": [{
            "name": pod.spec.app, "image": pod.spec.image, "imageID": "", "ready": true, "started": true,
            "restartCount": pod.restarts(),
            "state": { "running": { "startedAt": time_after(pod.from, bound_s + 5) } },
        }],
    })
}

fn service_objects(spec: &Spec, (name, port, kind): (&str, u16, &str), own: &[&PodLife]) -> [Value; 2] {
    let selector = json!({ "app": spec.app });
    let port_number = if spec.port == 0 { port } else { spec.port };
    let endpoints: Vec<Value> = own
        .iter()
        .filter_map(|pod| {
            let node = &NODES[pod.node?];
            Some(json!({
                "addresses": [address(pod)],
                "conditions": { "ready": true, "serving": true, "terminating": false },
                "nodeName": node.name, "zone": node.zone,
                "targetRef": { "kind": "Pod", "namespace": spec.namespace, "name": pod.name, "uid": pod.uid },
            }))
        })
        .collect();
    [
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "namespace": spec.namespace, "name": name, "labels": selector },
            "spec": {
                "type": kind, "selector": selector,
                "ports": [{ "port": port, "protocol": "TCP", "targetPort": port_number }],
            },
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {
                "namespace": spec.namespace, "name": format!("{name}-x7k2p"),
                "labels": { "kubernetes.io/service-name": name },
            },
            "endpoints": endpoints,
            "ports": [{ "name": "", "port": port_number, "protocol": "TCP" }],
        }),
    ]
}

/// An address that two pods hardly share, made of the pod's id.
fn address(pod: &PodLife) -> String {
    let byte = |at: usize| pod.uid.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(1);
    format!("10.{}.{}.{}", pod.node.unwrap_or(0), byte(0), byte(2).clamp(1, 254))
}

fn budget(name: &str, mut fields: Value) -> Value {
    let app = name.strip_suffix("-deployment").unwrap_or(name);
    fields["selector"] = json!({ "matchLabels": { "app": app } });
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": { "namespace": "shop", "name": name },
        "spec": fields,
    })
}

/// Something else already drives the number of carts.
fn autoscaler() -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "namespace": "shop", "name": "cart" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "cart" },
            "minReplicas": 2, "maxReplicas": 6,
            "metrics": [{ "type": "Resource", "resource": {
                "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 70 },
            } }],
        },
        "status": { "currentReplicas": 2, "desiredReplicas": 2 },
    })
}
