//! Any bytes are a policy or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::ingest::Source;
use plimsoll::policy;

fuzz_target!(|bytes: &[u8]| {
    let source = Source { name: "input".into(), bytes: bytes.to_vec() };
    let _ = policy::parse(&source);
});
