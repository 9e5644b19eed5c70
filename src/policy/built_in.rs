//! The documents of `policies/`, part of the binary.

/// A ready-made policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    /// Name: that of the file without its ending.
    pub name: &'static str,
    /// For whom it is, in one line.
    pub summary: &'static str,
    /// The document.
    pub text: &'static str,
}

/// The ready-made policies.
pub const BUILT_IN: [BuiltIn; 5] = [
    BuiltIn {
        name: "web",
        summary: "web services: quick answers over the day's load",
        text: include_str!("../../policies/web.yaml"),
    },
    BuiltIn {
        name: "queue-worker",
        summary: "queue workers: a queue may grow for a while, but not on and on",
        text: include_str!("../../policies/queue-worker.yaml"),
    },
    BuiltIn {
        name: "batch",
        summary: "batch pools: jobs that run to completion on the cheapest nodes",
        text: include_str!("../../policies/batch.yaml"),
    },
    BuiltIn {
        name: "cost-first",
        summary: "development and tests: a slow minute is cheaper than an idle node",
        text: include_str!("../../policies/cost-first.yaml"),
    },
    BuiltIn {
        name: "safety-first",
        summary: "critical clusters: failure costs far more than nodes",
        text: include_str!("../../policies/safety-first.yaml"),
    },
];

/// The JSON Schema of a policy document, for editors. Tests hold it to what [`parse`](super::parse) accepts.
pub const SCHEMA: &str = include_str!("../../policies/schema.json");

/// The text of the ready-made policy of this name.
#[must_use]
pub fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|policy| policy.name == name).map(|policy| policy.text)
}
