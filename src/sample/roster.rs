//! Who runs where: the workloads and their pods over the two weeks.

use rand::RngExt;
use rand_pcg::Pcg64;

use super::story;

/// What kind of controller makes the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
        }
    }
}

/// What a workload does with its pods' CPU and memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Behaviour {
    /// Serves visitors: so many requests a second in all at a weekday's peak.
    Web { peak_per_s: f64, core_seconds_per_request: f64, memory_mib: f64 },
    /// Takes orders from a queue, so many a second a pod at most.
    Worker { jobs_per_s: f64, core_seconds_per_job: f64, memory_mib: f64 },
    /// Works evenly, a little more by day.
    Steady { cores: f64, memory_mib: f64 },
    /// Does not run.
    Pending,
}

/// A workload.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) kind: Kind,
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    /// Value of the label `app`, and the container's name.
    pub(super) app: &'static str,
    pub(super) image: &'static str,
    /// Port of the container; 0 is none.
    pub(super) port: u16,
    /// Name, port and type of the service before it.
    pub(super) service: Option<(&'static str, u16, &'static str)>,
    pub(super) cpu_millis: u32,
    pub(super) memory_mib: u32,
    /// Limit of memory; 0 is none.
    pub(super) memory_limit_mib: u32,
    /// Index of each pod's node.
    pub(super) nodes: &'static [usize],
    /// Minutes between samples: what matters less is scraped less often.
    pub(super) scrape_minutes: i64,
    pub(super) behaviour: Behaviour,
}

impl Spec {
    /// Pods wanted at the end.
    pub(super) fn replicas(&self) -> usize {
        if self.behaviour == Behaviour::Pending { 1 } else { self.nodes.len() }
    }
}

/// A node of the cluster.
#[derive(Debug)]
pub(super) struct NodeSpec {
    pub(super) name: &'static str,
    pub(super) offer: &'static str,
    pub(super) zone: &'static str,
    pub(super) memory_gib: u32,
    pub(super) spot: bool,
}

const fn node(name: &'static str, offer: &'static str, zone: &'static str, memory_gib: u32) -> NodeSpec {
    NodeSpec { name, offer, zone, memory_gib, spot: false }
}

/// The nodes; all have four cores, of which pods get 3920 millicores.
pub(super) const NODES: [NodeSpec; 10] = [
    node("node-1", "general.xlarge", "r1a", 15),
    node("node-2", "general.xlarge", "r1b", 15),
    node("node-3", "general.xlarge", "r1c", 15),
    node("node-4", "general.xlarge", "r1a", 15),
    node("node-5", "general.xlarge", "r1b", 15),
    node("node-6", "general.xlarge", "r1c", 15),
    node("node-7", "compute.xlarge", "r1a", 7),
    node("node-8", "compute.xlarge", "r1b", 7),
    node("node-9", "memory.xlarge", "r1b", 30),
    NodeSpec { name: "node-10", offer: "general.xlarge-spot", zone: "r1c", memory_gib: 15, spot: true },
];

const BLANK: Spec = Spec {
    kind: Kind::Deployment,
    namespace: "shop",
    name: "",
    app: "",
    image: "",
    port: 0,
    service: None,
    cpu_millis: 0,
    memory_mib: 0,
    memory_limit_mib: 0,
    nodes: &[],
    scrape_minutes: 1,
    behaviour: Behaviour::Pending,
};

/// The workloads. `nginx-deployment` behind `nginx-service`, and the Node.js service, are the project's own example.
pub(super) const SPECS: [Spec; 13] = [
    Spec {
        name: "nginx-deployment",
        app: "nginx",
        image: "nginx:latest",
        port: 80,
        service: Some(("nginx-service", 80, "LoadBalancer")),
        cpu_millis: 250,
        memory_mib: 128,
        memory_limit_mib: 256,
        nodes: &[0, 1],
        behaviour: Behaviour::Web { peak_per_s: 140.0, core_seconds_per_request: 0.0014, memory_mib: 54.0 },
        ..BLANK
    },
    Spec {
        name: "node-api",
        app: "node-api",
        image: "registry.example/shop/node-api:2.4.0",
        port: 3000,
        service: Some(("node-api", 3000, "ClusterIP")),
        cpu_millis: 500,
        memory_mib: 384,
        memory_limit_mib: 768,
        nodes: &[0, 1, 2],
        behaviour: Behaviour::Web { peak_per_s: 66.0, core_seconds_per_request: 0.0125, memory_mib: 210.0 },
        ..BLANK
    },
    // Near its limit: uses what it asks for, and leaks until it is killed for want of memory.
    Spec {
        name: "checkout",
        app: "checkout",
        image: "registry.example/shop/checkout:1.9.3",
        port: 8080,
        service: Some(("checkout", 8080, "ClusterIP")),
        cpu_millis: 300,
        memory_mib: 448,
        memory_limit_mib: 512,
        nodes: &[3, 4],
        behaviour: Behaviour::Web { peak_per_s: 14.0, core_seconds_per_request: 0.037, memory_mib: 260.0 },
        ..BLANK
    },
    // Over-provisioned: asks for two cores and uses a tenth of one.
    Spec {
        name: "search",
        app: "search",
        image: "registry.example/shop/search:0.14.1",
        port: 9200,
        service: Some(("search", 9200, "ClusterIP")),
        cpu_millis: 2000,
        memory_mib: 4096,
        memory_limit_mib: 4096,
        nodes: &[5, 6],
        scrape_minutes: 5,
        behaviour: Behaviour::Steady { cores: 0.09, memory_mib: 640.0 },
        ..BLANK
    },
    Spec {
        name: "cart",
        app: "cart",
        image: "registry.example/shop/cart:3.1.0",
        port: 8081,
        service: Some(("cart", 8081, "ClusterIP")),
        cpu_millis: 300,
        memory_mib: 256,
        memory_limit_mib: 384,
        nodes: &[2, 7],
        behaviour: Behaviour::Web { peak_per_s: 30.0, core_seconds_per_request: 0.011, memory_mib: 150.0 },
        ..BLANK
    },
    Spec {
        name: "cache",
        app: "cache",
        image: "registry.example/cache:7.2",
        port: 6379,
        service: Some(("cache", 6379, "ClusterIP")),
        cpu_millis: 500,
        memory_mib: 6144,
        memory_limit_mib: 6144,
        nodes: &[8],
        scrape_minutes: 5,
        behaviour: Behaviour::Steady { cores: 0.21, memory_mib: 5100.0 },
        ..BLANK
    },
    Spec {
        name: "order-worker",
        app: "order-worker",
        image: "registry.example/shop/order-worker:1.2.8",
        cpu_millis: 400,
        memory_mib: 256,
        memory_limit_mib: 512,
        nodes: &[3, 5],
        behaviour: Behaviour::Worker { jobs_per_s: 2.0, core_seconds_per_job: 0.16, memory_mib: 170.0 },
        ..BLANK
    },
    Spec {
        kind: Kind::StatefulSet,
        name: "db",
        app: "db",
        image: "registry.example/postgres:17",
        port: 5432,
        service: Some(("db", 5432, "ClusterIP")),
        cpu_millis: 1000,
        memory_mib: 4096,
        memory_limit_mib: 8192,
        nodes: &[8],
        behaviour: Behaviour::Web { peak_per_s: 90.0, core_seconds_per_request: 0.006, memory_mib: 3300.0 },
        ..BLANK
    },
    Spec {
        kind: Kind::DaemonSet,
        namespace: "kube-system",
        name: "log-agent",
        app: "log-agent",
        image: "registry.example/log-agent:5.0",
        cpu_millis: 50,
        memory_mib: 100,
        memory_limit_mib: 200,
        nodes: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        scrape_minutes: 5,
        behaviour: Behaviour::Steady { cores: 0.02, memory_mib: 72.0 },
        ..BLANK
    },
    Spec {
        kind: Kind::Job,
        namespace: "batch",
        name: "reindex",
        app: "reindex",
        image: "registry.example/shop/reindex:0.14.1",
        cpu_millis: 1500,
        memory_mib: 2048,
        nodes: &[9, 9],
        behaviour: Behaviour::Steady { cores: 1.35, memory_mib: 1500.0 },
        ..BLANK
    },
    Spec {
        namespace: "ops",
        name: "monitor",
        app: "monitor",
        image: "registry.example/monitor:2.53",
        port: 9090,
        service: Some(("monitor", 9090, "ClusterIP")),
        cpu_millis: 500,
        memory_mib: 2048,
        memory_limit_mib: 3072,
        nodes: &[4],
        scrape_minutes: 5,
        behaviour: Behaviour::Steady { cores: 0.31, memory_mib: 1700.0 },
        ..BLANK
    },
    Spec {
        namespace: "ops",
        name: "mailer",
        app: "mailer",
        image: "registry.example/shop/mailer:0.8.0",
        cpu_millis: 100,
        memory_mib: 128,
        memory_limit_mib: 256,
        nodes: &[7],
        scrape_minutes: 5,
        behaviour: Behaviour::Steady { cores: 0.03, memory_mib: 90.0 },
        ..BLANK
    },
    // Fits no node there is, but one that can be bought.
    Spec {
        namespace: "batch",
        name: "recommender",
        app: "recommender",
        image: "registry.example/shop/recommender:0.1.0",
        cpu_millis: 12_000,
        memory_mib: 24_576,
        ..BLANK
    },
];

/// One pod and the minutes it runs.
#[derive(Debug)]
pub(super) struct PodLife {
    pub(super) spec: &'static Spec,
    pub(super) name: String,
    /// Hash of the template, part of a Deployment's pod names; empty for other kinds.
    pub(super) hash: String,
    pub(super) uid: String,
    /// Index into [`NODES`]; `None` is pending.
    pub(super) node: Option<usize>,
    /// Minute of creation; negative is before the first sample.
    pub(super) from: i64,
    /// Minute of its end; `None` is running at the end.
    pub(super) until: Option<i64>,
}

impl PodLife {
    pub(super) fn runs_at(&self, minute: i64) -> bool {
        self.node.is_some() && self.from <= minute && self.until.is_none_or(|until| minute < until)
    }

    /// Minutes since the container that leaks was last started; `None` for all others.
    pub(super) fn leaking_minutes(&self, minute: i64) -> Option<i64> {
        // The pods of one workload are not killed at the same time.
        let apart = 2100 * self.node.unwrap_or(0) as i64;
        (self.spec.app == "checkout").then(|| (minute + apart).rem_euclid(story::LEAK_PERIOD))
    }

    /// Whether the container is started anew at this minute.
    pub(super) fn restarts_at(&self, minute: i64) -> bool {
        let by_hand = self.spec.app == "nginx" && self.node == Some(0) && minute == story::RESTART;
        by_hand || self.leaking_minutes(minute) == Some(0)
    }

    /// Restarts since the first sample.
    pub(super) fn restarts(&self) -> usize {
        (0..=story::MINUTES).filter(|&minute| self.restarts_at(minute)).count()
    }
}

/// All pods that ever ran, or wait.
pub(super) fn roster(random: &mut Pcg64) -> Vec<PodLife> {
    SPECS.iter().flat_map(|spec| pods_of(spec, random)).collect()
}

fn pods_of(spec: &'static Spec, random: &mut Pcg64) -> Vec<PodLife> {
    let hash = match spec.kind {
        Kind::Deployment => generated(random, 10),
        _ => String::new(),
    };
    let from = match spec.name {
        "reindex" => story::BATCH_START,
        "recommender" => story::PENDING_SINCE,
        _ => -random.random_range(3000..20_000),
    };
    let mut pods = Vec::new();
    let mut add = |ordinal: usize, hash: &str, node: Option<usize>, from, until| {
        let suffix = generated(random, 5);
        let name = match spec.kind {
            Kind::Deployment => format!("{}-{hash}-{suffix}", spec.name),
            Kind::StatefulSet => format!("{}-{ordinal}", spec.name),
            Kind::DaemonSet | Kind::Job => format!("{}-{suffix}", spec.name),
        };
        pods.push(PodLife { spec, name, hash: hash.to_owned(), uid: uid(random), node, from, until });
    };
    if spec.behaviour == Behaviour::Pending {
        add(0, &hash, None, from, None);
    }
    let deployed = (spec.name == "node-api").then(|| "6d8c9b7f5x");
    for (i, &node) in spec.nodes.iter().enumerate() {
        let replaced = story::DEPLOY + story::DEPLOY_PACE * i as i64;
        match deployed {
            Some(new_hash) => {
                add(i, &hash, Some(node), from, Some(replaced));
                add(i, new_hash, Some(node), replaced, None);
            }
            None => add(i, &hash, Some(node), from, None),
        }
    }
    if spec.name == "cart" {
        add(2, &hash, Some(0), story::CART_SCALED.0, Some(story::CART_SCALED.1));
    }
    pods
}

/// Characters that Kubernetes generates names from.
fn generated(random: &mut Pcg64, len: usize) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..len).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

fn uid(random: &mut Pcg64) -> String {
    let bits: u128 = random.random();
    let hex = format!("{bits:032x}");
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}
