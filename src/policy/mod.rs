//! Policy documents into a checked [`Policy`](crate::domain::Policy).
//!
//! A document is read in one pass that finds every problem with its line and column ([`parse_all`]); what it leaves
//! out gets the values of [`defaults`]. What is allowed but probably not meant is a warning of [`check`]. The
//! ready-made documents of `policies/` are part of the binary ([`built_in`]).

mod built_in;
mod check;
pub mod defaults;
mod events;
mod metrics;
mod read;
mod target;
#[cfg(test)]
mod tests;

pub use built_in::{BUILT_IN, BuiltIn, SCHEMA, built_in};
pub use check::{Report, check};
pub use defaults::default_policy;
pub use events::parse_events;
pub use metrics::default_mapping;
pub use read::{parse, parse_all};
