//! Any bytes are an exposition or refused; only finite values are kept.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::ingest::{Source, openmetrics};

fuzz_target!(|bytes: &[u8]| {
    let source = Source { name: "input".into(), bytes: bytes.to_vec() };
    if let Ok(samples) = openmetrics::parse(&source, 0) {
        assert!(samples.values.iter().all(|value| value.is_finite()));
        assert!(samples.series.iter().all(|&series| (series as usize) < samples.keys.len()));
    }
});
