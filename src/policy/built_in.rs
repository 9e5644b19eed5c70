//! The documents of `policies/`, part of the binary.

use crate::ingest::Source;

/// Names and texts of the ready-made policies.
pub const BUILT_IN: [(&str, &str); 5] = [
    ("web", include_str!("../../policies/web.yaml")),
    ("queue-worker", include_str!("../../policies/queue-worker.yaml")),
    ("batch", include_str!("../../policies/batch.yaml")),
    ("cost-first", include_str!("../../policies/cost-first.yaml")),
    ("safety-first", include_str!("../../policies/safety-first.yaml")),
];

/// The ready-made policy of this name (with or without `.yaml`), to be read by [`parse`](super::parse).
#[must_use]
pub fn built_in(name: &str) -> Option<Source> {
    let name = name.strip_suffix(".yaml").unwrap_or(name);
    let (name, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
    Some(Source { name: format!("built-in policy {name}"), bytes: text.as_bytes().to_vec() })
}

/// The JSON Schema of a policy document, for editors. Tests hold it to what [`parse`](super::parse) accepts.
#[must_use]
pub fn schema() -> &'static str {
    include_str!("../../policies/schema.json")
}
