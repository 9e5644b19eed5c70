//! Any bytes are a plan document or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::ingest::Source;
use plimsoll::report::document;

fuzz_target!(|bytes: &[u8]| {
    let source = Source { name: "input".into(), bytes: bytes.to_vec() };
    let _ = document::parse(&source);
});
