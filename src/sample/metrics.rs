//! What a monitoring system would have recorded of the cluster.
//!
//! Values are rounded as coarsely as they stay believable (counters to whole requests and seconds, memory to a
//! few MiB), so that two weeks fit a small file.

use rand_pcg::Pcg64;

use super::load::{Demand, noise};
use super::roster::{Behaviour, PodLife};
use super::story;
use crate::domain::Samples;
use crate::domain::samples::SeriesKey;

const MIB: f64 = 1_048_576.0;
/// Memory is recorded in steps of so many MiB.
const MEMORY_STEP_MIB: f64 = 4.0;
/// What a container uses when it has nothing to do, cores.
const IDLE_CORES: f64 = 0.012;
/// Requests a second that one pod of node-api, which has one event loop, can serve at most.
const API_CAPACITY_PER_S: f64 = 46.0;
/// Upper bounds of its latency histogram, seconds.
const LATENCY_BOUNDS_S: [f64; 6] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
/// What the leaking workload loses: it reaches its limit at the end of the story's period.
const LEAK_MIB_PER_MINUTE: f64 = 225.0 / story::LEAK_PERIOD as f64;
/// Orders a second at a weekday's peak.
const ORDERS_PEAK_PER_S: f64 = 3.4;

/// Records the whole two weeks.
pub(super) fn record(pods: &[PodLife], random: &mut Pcg64) -> Samples {
    let mut recorder = Recorder::default();
    let mut states: Vec<State> = pods.iter().map(|pod| State::new(pod, &mut recorder, random)).collect();
    let mut latencies = LatencyHistogram::new(&mut recorder);
    let of_worker = |name| [("namespace", "shop"), (name, "order-worker")];
    let arrivals = recorder.series("requests_per_second", &of_worker("workload"));
    let waiting = recorder.series("rabbitmq_queue_messages_ready", &of_worker("queue"));
    let mut demand = Demand::new();
    let mut queue = 0.0_f64;
    for minute in 0..=story::MINUTES {
        let share = demand.next(minute, random);
        let orders_per_s = ORDERS_PEAK_PER_S * share;
        let done_per_s = work_off(pods, minute, orders_per_s, &mut queue);
        for (i, pod) in pods.iter().enumerate().filter(|(_, pod)| pod.runs_at(minute)) {
            let siblings: f64 =
                (0..pods.len()).filter(|&j| is_sibling(pod, &pods[j], minute)).map(|j| states[j].weight).sum();
            let part = states[i].weight / siblings;
            let per_s = match pod.spec.behaviour {
                Behaviour::Web { peak_per_s, .. } => peak_per_s * share * part,
                Behaviour::Worker { .. } => done_per_s * part,
                Behaviour::Steady { .. } | Behaviour::Pending => share,
            };
            states[i].advance(pod, minute, per_s, random);
            states[i].record(pod, minute, &mut recorder);
            if pod.spec.name == "node-api" {
                latencies.serve(per_s);
            }
        }
        latencies.record(minute, &mut recorder);
        recorder.put(arrivals, minute, (orders_per_s * 20.0).round() / 20.0);
        recorder.put(waiting, minute, queue.floor());
    }
    recorder.into_samples()
}

fn is_sibling(pod: &PodLife, other: &PodLife, minute: i64) -> bool {
    std::ptr::eq(pod.spec, other.spec) && other.runs_at(minute)
}

/// Works orders off for a minute; what is too much waits. Returns the orders done a second.
fn work_off(pods: &[PodLife], minute: i64, orders_per_s: f64, queue: &mut f64) -> f64 {
    let capacity_per_s: f64 = pods
        .iter()
        .filter(|pod| pod.runs_at(minute))
        .map(|pod| match pod.spec.behaviour {
            Behaviour::Worker { jobs_per_s, .. } => jobs_per_s,
            _ => 0.0,
        })
        .sum();
    let there = *queue + orders_per_s * 60.0;
    let done = there.min(capacity_per_s * 60.0);
    *queue = there - done;
    done / 60.0
}

/// Counters and levels of one pod, and where they are recorded.
struct State {
    /// What it gets of its service's load, against the others: balancers are not perfect.
    weight: f64,
    cpu_seconds: f64,
    requests: f64,
    memory_mib: f64,
    cpu_series: usize,
    memory_series: usize,
    ready_series: Option<usize>,
    requests_series: Option<usize>,
    discovery_series: usize,
}

impl State {
    fn new(pod: &PodLife, recorder: &mut Recorder, random: &mut Pcg64) -> Self {
        let spec = pod.spec;
        let of_pod = [("namespace", spec.namespace), ("pod", pod.name.as_str())];
        let [namespace, name] = of_pod;
        let of_container = [namespace, name, ("container", spec.app)];
        let closely = spec.scrape_minutes == 1;
        let counter = match spec.app {
            "nginx" => Some("nginx_http_requests_total"),
            "node-api" | "cart" | "checkout" => Some("http_requests_total"),
            _ => None,
        };
        Self {
            weight: 1.0 + 0.04 * noise(random),
            cpu_seconds: 0.0,
            requests: 0.0,
            memory_mib: 0.0,
            cpu_series: recorder.series("container_cpu_usage_seconds_total", &of_container),
            memory_series: recorder.series("container_memory_working_set_bytes", &of_container),
            ready_series: closely
                .then(|| recorder.series("kube_pod_status_ready", &[namespace, name, ("condition", "true")])),
            requests_series: counter.map(|metric| recorder.series(metric, &of_pod)),
            discovery_series: recorder.series("discovery_seconds", &of_pod),
        }
    }

    /// One minute of `per_s` requests or jobs a second (of steady workloads the share of the day's peak).
    fn advance(&mut self, pod: &PodLife, minute: i64, per_s: f64, random: &mut Pcg64) {
        let leaking_minutes = pod.leaking_minutes(minute);
        let restarted = pod.restarts_at(minute);
        if restarted {
            (self.cpu_seconds, self.requests) = (0.0, 0.0);
        }
        let (cores, memory_mib) = match pod.spec.behaviour {
            Behaviour::Web { core_seconds_per_request, memory_mib, .. } => {
                (IDLE_CORES + core_seconds_per_request * per_s, memory_mib * (1.0 + 0.004 * per_s.min(60.0)))
            }
            Behaviour::Worker { core_seconds_per_job, memory_mib, .. } => {
                (IDLE_CORES + core_seconds_per_job * per_s, memory_mib * (1.0 + 0.1 * per_s))
            }
            Behaviour::Steady { cores, memory_mib } => (cores * (0.8 + 0.3 * per_s), memory_mib),
            Behaviour::Pending => (0.0, 0.0),
        };
        let leaked_mib = leaking_minutes.map_or(0.0, |minutes| LEAK_MIB_PER_MINUTE * minutes as f64);
        self.requests += 60.0 * per_s;
        self.cpu_seconds += 60.0 * cores * (1.0 + 0.03 * noise(random));
        // Memory follows slowly.
        let aim = memory_mib * (1.0 + 0.004 * noise(random)) + leaked_mib;
        self.memory_mib =
            if self.memory_mib == 0.0 || restarted { aim } else { self.memory_mib + 0.05 * (aim - self.memory_mib) };
    }
    fn record(&self, pod: &PodLife, minute: i64, recorder: &mut Recorder) {
        if minute % pod.spec.scrape_minutes != 0 {
            return;
        }
        recorder.put(self.cpu_series, minute, self.cpu_seconds.floor());
        let memory = (self.memory_mib / MEMORY_STEP_MIB).round() * MEMORY_STEP_MIB * MIB;
        recorder.put(self.memory_series, minute, memory);
        if let Some(series) = self.ready_series {
            // Ready the minute after it was created.
            recorder.put(series, minute, f64::from(u8::from(minute > pod.from)));
        }
        if let Some(series) = self.requests_series {
            recorder.put(series, minute, self.requests.floor());
            // Published for the first forty minutes, of pods that came within the two weeks.
            if minute % 5 == 0 && (pod.from.max(1)..pod.from + 40).contains(&minute) {
                recorder.put(self.discovery_series, minute, (80.0 * self.weight).round() / 100.0);
            }
        }
    }
}

/// Latencies of node-api as its callers see them, all pods together.
struct LatencyHistogram {
    /// Requests within each bound, and the series of its bucket.
    buckets: [(f64, usize); LATENCY_BOUNDS_S.len()],
    count: f64,
    sum_s: f64,
    infinite_series: usize,
    count_series: usize,
    sum_series: usize,
}

impl LatencyHistogram {
    fn new(recorder: &mut Recorder) -> Self {
        let of_service = [("namespace", "shop"), ("service", "node-api")];
        let [namespace, service] = of_service;
        let mut bucket =
            |le: &str| recorder.series("http_request_duration_seconds_bucket", &[namespace, service, ("le", le)]);
        Self {
            buckets: LATENCY_BOUNDS_S.map(|bound| (0.0, bucket(&bound.to_string()))),
            infinite_series: bucket("+Inf"),
            count: 0.0,
            sum_s: 0.0,
            count_series: recorder.series("http_request_duration_seconds_count", &of_service),
            sum_series: recorder.series("http_request_duration_seconds_sum", &of_service),
        }
    }

    /// A minute of requests to one pod: an M/M/1 queue, whose response times are exponential with the rate
    /// µ − λ (Gross et al., Fundamentals of Queueing Theory, 4th ed., §2.2).
    fn serve(&mut self, per_s: f64) {
        let rate = (API_CAPACITY_PER_S - per_s).max(1.0);
        let requests = 60.0 * per_s;
        for ((within, _), bound_s) in self.buckets.iter_mut().zip(LATENCY_BOUNDS_S) {
            *within += requests * (1.0 - (-rate * bound_s).exp());
        }
        self.count += requests;
        self.sum_s += requests / rate;
    }

    fn record(&self, minute: i64, recorder: &mut Recorder) {
        for (within, series) in self.buckets {
            recorder.put(series, minute, within.floor());
        }
        recorder.put(self.infinite_series, minute, self.count.floor());
        recorder.put(self.count_series, minute, self.count.floor());
        recorder.put(self.sum_series, minute, self.sum_s.floor());
    }
}

/// Collects samples by series.
#[derive(Default)]
struct Recorder {
    series: Vec<(SeriesKey, Vec<(i64, f64)>)>,
}

impl Recorder {
    fn series(&mut self, metric: &str, labels: &[(&str, &str)]) -> usize {
        let labels = labels.iter().map(|&(label, value)| (label.to_owned(), value.to_owned())).collect();
        self.series.push((SeriesKey { metric: metric.to_owned(), labels }, Vec::new()));
        self.series.len() - 1
    }

    fn put(&mut self, series: usize, minute: i64, value: f64) {
        if !story::within(minute, story::GAP) {
            self.series[series].1.push((story::time_ms(minute), value));
        }
    }

    /// Series by name and labels; those never written, of the pod that never ran, are left out.
    fn into_samples(mut self) -> Samples {
        self.series.retain(|(_, points)| !points.is_empty());
        self.series.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut samples = Samples::default();
        for ((key, points), series) in self.series.into_iter().zip(0..) {
            samples.keys.push(key);
            samples.series.extend(std::iter::repeat_n(series, points.len()));
            samples.timestamps_ms.extend(points.iter().map(|(time, _)| time));
            samples.values.extend(points.iter().map(|(_, value)| value));
        }
        samples
    }
}
