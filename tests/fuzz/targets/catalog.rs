//! Any bytes are a catalog or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::ingest::{Source, catalog};

fuzz_target!(|bytes: &[u8]| {
    let source = Source { name: "input".into(), bytes: bytes.to_vec() };
    let _ = catalog::parse(&source);
});
