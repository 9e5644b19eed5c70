//! Which metric means what: the defaults, and the rules of a document.
//!
//! Names and labels are those of the exporters' own documentation: cAdvisor in the kubelet, kube-state-metrics,
//! Prometheus client libraries, Spring Boot's Micrometer, OpenTelemetry's semantic conventions for HTTP servers,
//! ingress-nginx, nginx-prometheus-exporter, Istio's standard metrics, Linkerd's proxy, and the exporters of
//! `RabbitMQ`, Kafka, NATS, Celery and Sidekiq.

use std::collections::BTreeMap;

use crate::domain::policy::{MetricKind, MetricMapping, MetricRule};
use crate::domain::series::Signal;
use crate::ingest::document::Node;
use crate::ingest::fields::{Fields, POSITIVE, Reading, text};

/// Labels with the namespace. Prometheus renames an exporter's own label to `exported_…` where it clashes with the
/// label of the exporter's pod, so those come first.
const NAMESPACE: &[&str] = &["exported_namespace", "namespace", "kubernetes_namespace", "k8s_namespace_name"];
/// Labels with the pod.
const POD: &[&str] = &["exported_pod", "pod", "pod_name", "kubernetes_pod_name", "k8s_pod_name"];
/// Labels with the workload or its service, most certain first.
const WORKLOAD: &[&str] = &[
    "workload",
    "deployment",
    "statefulset",
    "daemonset",
    "replicaset",
    "k8s_deployment_name",
    "k8s_statefulset_name",
    "service",
    "service_name",
    "app_kubernetes_io_name",
    "app",
    "job",
];

const MILLISECONDS: f64 = 0.001;

/// The default meaning of the metrics named above. Each rule is tried in order.
#[must_use]
pub fn default_mapping() -> MetricMapping {
    MetricMapping { rules: [kubernetes(), meshes(), ingresses(), applications(), queues(), plain_names()].concat() }
}

/// What the kubelet and kube-state-metrics say of each container and pod.
fn kubernetes() -> Vec<MetricRule> {
    vec![
        // cAdvisor also reports the sums of cgroups, with an empty container name: counting them would count
        // everything twice. The pause container, which some runtimes name `POD`, is counted: it uses next to nothing.
        rule(&["container_cpu_usage_seconds_total"], Signal::CpuCores, MetricKind::Counter).only("container", "*"),
        rule(&["container_memory_working_set_bytes"], Signal::MemoryBytes, MetricKind::Gauge).only("container", "*"),
        rule(&["kube_pod_status_ready"], Signal::Ready, MetricKind::Gauge).only("condition", "true"),
        rule(&["kube_pod_container_status_ready"], Signal::Ready, MetricKind::Gauge),
    ]
}

/// Requests as a service mesh's sidecars see them arrive; what they send out is another workload's arrivals.
fn meshes() -> Vec<MetricRule> {
    let istio = |rule: MetricRule| {
        let rule = rule.only("reporter", "destination");
        let rule = rule.namespaces(&["destination_workload_namespace", "destination_service_namespace", "namespace"]);
        rule.workloads(&["destination_workload", "destination_canonical_service", "destination_service_name"])
    };
    let linkerd = |rule: MetricRule| {
        rule.only("direction", "inbound").workloads(&["deployment", "statefulset", "daemonset", "replicaset"])
    };
    let mut rules = vec![
        istio(rule(&["istio_requests_total"], Signal::RequestsPerSecond, MetricKind::Counter)),
        linkerd(rule(&["request_total"], Signal::RequestsPerSecond, MetricKind::Counter)),
    ];
    rules.extend(histogram(&["istio_request_duration_milliseconds"], MILLISECONDS).map(istio));
    rules.extend(histogram(&["response_latency_ms"], MILLISECONDS).map(linkerd));
    rules
}

/// Requests as an ingress sees them go to a service behind it; the pod it names is the ingress's own.
fn ingresses() -> Vec<MetricRule> {
    let behind = |rule: MetricRule| rule.pods(&[]).workloads(&["exported_service", "service"]);
    let mut rules =
        vec![behind(rule(&["nginx_ingress_controller_requests"], Signal::RequestsPerSecond, MetricKind::Counter))];
    rules.extend(histogram(&["nginx_ingress_controller_request_duration_seconds"], 1.0).map(behind));
    rules
}

/// Requests as the application itself counts them.
fn applications() -> Vec<MetricRule> {
    let counters = ["http_requests_total", "http_server_requests_total", "nginx_http_requests_total"];
    let in_seconds = [
        "http_server_requests_seconds",
        "http_server_request_duration_seconds",
        "http_request_duration_seconds",
        "grpc_server_handling_seconds",
        "rpc_server_duration_seconds",
    ];
    let in_milliseconds = ["http_server_duration_milliseconds", "rpc_server_duration_milliseconds"];
    let mut rules = vec![rule(&counters, Signal::RequestsPerSecond, MetricKind::Counter)];
    rules.extend(histogram(&in_seconds, 1.0));
    rules.extend(histogram(&in_milliseconds, MILLISECONDS));
    rules
}

/// Waiting items, by the name of the queue or consumer group: it is taken for the workload's name, since the pod
/// these metrics name is the broker's or the exporter's. Where the names differ, a rule of the policy says so.
fn queues() -> Vec<MetricRule> {
    let waiting = |names: &[&str], labels: &[&str]| {
        rule(names, Signal::QueueLength, MetricKind::Gauge).pods(&[]).workloads(labels)
    };
    vec![
        waiting(&["rabbitmq_queue_messages_ready", "rabbitmq_detailed_queue_messages_ready"], &["workload", "queue"]),
        waiting(&["kafka_consumergroup_lag", "kafka_consumergroup_group_lag"], &["workload", "consumergroup", "group"]),
        waiting(&["jetstream_consumer_num_pending"], &["workload", "consumer_name"]),
        waiting(&["celery_queue_length"], &["workload", "queue_name"]),
        waiting(&["sidekiq_queue_backlog", "sidekiq_queue_size"], &["workload", "queue", "name"]),
    ]
}

/// Names for exports made by hand: the signal and its unit.
fn plain_names() -> Vec<MetricRule> {
    [
        (&["cpu_cores", "cpu_usage_cores"][..], Signal::CpuCores),
        (&["memory_bytes", "memory_working_set_bytes"], Signal::MemoryBytes),
        (&["requests_per_second"], Signal::RequestsPerSecond),
        (&["latency_seconds", "latency_mean_seconds"], Signal::LatencyMeanSeconds),
        (&["latency_p50_seconds"], Signal::LatencyP50Seconds),
        (&["latency_p95_seconds"], Signal::LatencyP95Seconds),
        (&["latency_p99_seconds"], Signal::LatencyP99Seconds),
        (&["queue_length"], Signal::QueueLength),
        (&["ready"], Signal::Ready),
        (&["scheduling_wait_seconds"], Signal::SchedulingWaitSeconds),
        (&["discovery_seconds"], Signal::DiscoverySeconds),
        (&["load_share"], Signal::LoadShare),
    ]
    .into_iter()
    .map(|(names, signal)| rule(names, signal, MetricKind::Gauge))
    .collect()
}

fn rule(names: &[&str], signal: Signal, kind: MetricKind) -> MetricRule {
    MetricRule {
        names: owned(names),
        signal,
        kind,
        scale: 1.0,
        where_labels: BTreeMap::new(),
        namespace_labels: owned(NAMESPACE),
        pod_labels: owned(POD),
        workload_labels: owned(WORKLOAD),
    }
}

/// The three series of a histogram: how many requests, how long on average, and how long at most for which share.
fn histogram(bases: &[&str], scale: f64) -> [MetricRule; 3] {
    let suffixed = |suffix: &str, signal, kind| {
        let names: Vec<String> = bases.iter().map(|base| format!("{base}{suffix}")).collect();
        MetricRule { names, scale, ..rule(&[], signal, kind) }
    };
    [
        // A count has no unit to convert.
        MetricRule { scale: 1.0, ..suffixed("_count", Signal::RequestsPerSecond, MetricKind::HistogramCount) },
        suffixed("_sum", Signal::LatencyMeanSeconds, MetricKind::HistogramSum),
        suffixed("_bucket", Signal::LatencyP95Seconds, MetricKind::HistogramBucket),
    ]
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Reads `metrics`: the document's rules, followed by the defaults unless it says otherwise.
pub(super) fn mapping(fields: &mut Fields<'_>) -> MetricMapping {
    let extend = fields.boolean("extendDefaults").unwrap_or(true);
    if !extend {
        fields.require("rules", "without the defaults and without rules no metric means anything");
    }
    let mut rules = fields.filled_list("rules", metric_rule).unwrap_or_default();
    if extend {
        rules.extend(default_mapping().rules);
    }
    MetricMapping { rules }
}

fn metric_rule(reading: &mut Reading, node: &Node, path: &str) -> Option<MetricRule> {
    reading.mapping(node, path, |fields| {
        fields.require("names", "list the metric names, e.g. names: [http_requests_total]");
        fields.require("signal", "say what it measures, e.g. signal: requestsPerSecond");
        let names = fields.filled_list("names", text).unwrap_or_default();
        let signal = fields.choice("signal", &SIGNALS);
        let kind = fields.choice("kind", &KINDS).unwrap_or(MetricKind::Gauge);
        let scale = fields.number("scale", POSITIVE).unwrap_or(1.0);
        let where_labels = fields.labels("where").unwrap_or_default();
        let namespace_labels = fields.texts("namespaceLabels").unwrap_or_else(|| owned(NAMESPACE));
        let pod_labels = fields.texts("podLabels").unwrap_or_else(|| owned(POD));
        let workload_labels = fields.texts("workloadLabels").unwrap_or_else(|| owned(WORKLOAD));
        Some(MetricRule {
            names,
            signal: signal?,
            kind,
            scale,
            where_labels,
            namespace_labels,
            pod_labels,
            workload_labels,
        })
    })?
}

const SIGNALS: [(&str, Signal); 13] = [
    ("cpuCores", Signal::CpuCores),
    ("memoryBytes", Signal::MemoryBytes),
    ("requestsPerSecond", Signal::RequestsPerSecond),
    ("latencyMeanSeconds", Signal::LatencyMeanSeconds),
    ("latencyP50Seconds", Signal::LatencyP50Seconds),
    ("latencyP95Seconds", Signal::LatencyP95Seconds),
    ("latencyP99Seconds", Signal::LatencyP99Seconds),
    ("queueLength", Signal::QueueLength),
    ("ready", Signal::Ready),
    ("schedulingWaitSeconds", Signal::SchedulingWaitSeconds),
    ("discoverySeconds", Signal::DiscoverySeconds),
    ("loadShare", Signal::LoadShare),
    ("value", Signal::Value),
];

const KINDS: [(&str, MetricKind); 5] = [
    ("gauge", MetricKind::Gauge),
    ("counter", MetricKind::Counter),
    ("histogramBucket", MetricKind::HistogramBucket),
    ("histogramSum", MetricKind::HistogramSum),
    ("histogramCount", MetricKind::HistogramCount),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_default_name_has_two_meanings() {
        let mut seen = BTreeSet::new();
        for rule in default_mapping().rules {
            for name in rule.names {
                assert!(seen.insert(name.clone()), "{name} is mapped twice");
            }
        }
        for name in ["container_cpu_usage_seconds_total", "istio_request_duration_milliseconds_bucket", "cpu_cores"] {
            assert!(seen.contains(name), "{name}");
        }
    }

    #[test]
    fn words_for_signals_and_kinds_are_those_the_values_are_written_with() {
        for (word, signal) in SIGNALS {
            assert_eq!(serde_json::to_value(signal).unwrap(), word);
        }
        for (word, kind) in KINDS {
            assert_eq!(serde_json::to_value(kind).unwrap(), word);
        }
    }

    #[test]
    fn durations_in_milliseconds_become_seconds_and_counts_stay() {
        let rules = default_mapping().rules;
        let scale = |name: &str| rules.iter().find(|r| r.names.iter().any(|n| n == name)).map(|r| r.scale);
        assert_eq!(scale("istio_request_duration_milliseconds_bucket"), Some(0.001));
        assert_eq!(scale("istio_request_duration_milliseconds_count"), Some(1.0));
        assert_eq!(scale("response_latency_ms_sum"), Some(0.001));
        assert_eq!(scale("http_request_duration_seconds_sum"), Some(1.0));
    }
}
