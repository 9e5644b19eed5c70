//! The sample cluster: a seeded, repeatable export for the demo and the tests.
//!
//! A web shop of a dozen workloads on ten nodes in three zones, with two weeks of metrics at a minute. Days and weeks
//! have their cycles; [`story`] lists what happens on top of them, and [`roster`] who runs where. Nothing here is real.

mod cluster;
mod load;
mod metrics;
mod roster;
pub mod story;

use rand::SeedableRng;
use rand_pcg::Pcg64;

use crate::domain::Samples;

/// A cluster dump, its metrics, and what can be bought.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What `kubectl get … -A -o json` would print: a `List`.
    pub cluster_json: serde_json::Value,
    /// Metrics under the names that cAdvisor, kube-state-metrics and common client libraries give them.
    pub metrics: Samples,
    /// A `NodeCatalog`.
    pub catalog_yaml: String,
}

/// Makes the sample. Equal seeds give equal samples; the story is the same for all.
#[must_use]
pub fn sample(seed: u64) -> Sample {
    let mut random = Pcg64::seed_from_u64(seed);
    let pods = roster::roster(&mut random);
    Sample {
        cluster_json: cluster::dump(&pods),
        metrics: metrics::record(&pods, &mut random),
        catalog_yaml: include_str!("catalog.yaml").to_owned(),
    }
}

/// The sample as files: name and bytes of `cluster.json`, `metrics.parquet` and `catalog.yaml`.
///
/// # Errors
/// If the Parquet encoder refuses.
#[cfg(feature = "tables")]
pub fn files(seed: u64) -> Result<Vec<(String, Vec<u8>)>, crate::domain::InputError> {
    let Sample { cluster_json, metrics, catalog_yaml } = sample(seed);
    Ok(vec![
        ("cluster.json".to_owned(), format!("{cluster_json:#}\n").into_bytes()),
        ("metrics.parquet".to_owned(), crate::ingest::tables::write_parquet(&metrics)?),
        ("catalog.yaml".to_owned(), catalog_yaml.into_bytes()),
    ])
}
