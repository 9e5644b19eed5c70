//! Any text is a quantity or refused, and what is written is read as what it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::domain::quantity::{format_amount, parse_amount, parse_milli, parse_units};

fuzz_target!(|text: &str| {
    let _ = parse_units(text);
    let _ = parse_milli(text);
    for resource in ["cpu", "memory", "pods"] {
        if let Ok(amount) = parse_amount(resource, text) {
            assert_eq!(parse_amount(resource, &format_amount(resource, amount)), Ok(amount));
        }
    }
});
