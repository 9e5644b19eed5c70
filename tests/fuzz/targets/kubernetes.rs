//! Any bytes are a dump of a cluster or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::ingest::{Source, kubernetes};

fuzz_target!(|bytes: &[u8]| {
    let source = Source { name: "input".into(), bytes: bytes.to_vec() };
    let _ = kubernetes::snapshot(&[source]);
});
