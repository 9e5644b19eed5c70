//! The outside world into [`Samples`](crate::domain::Samples), [`Snapshot`](crate::domain::Snapshot) and
//! [`Catalog`](crate::domain::Catalog). Reads and checks; decides nothing.

use plimsoll_domain as domain;

pub mod catalog;
mod collector;
pub mod document;
pub mod fields;
pub mod kubernetes;
pub mod metrics;
pub mod openmetrics;
pub mod prometheus;
pub mod source;
#[cfg(feature = "tables")]
pub mod tables;
mod words;

pub use source::Source;
