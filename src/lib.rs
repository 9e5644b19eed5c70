//! Plimsoll: how many replicas of what size run on which nodes, decided jointly, ahead of time, with a proof.
//!
//! The crate is a pipeline of plain values ([`domain`]); each module turns one into the next ([`pipeline`] puts them
//! in order). Nothing in the core reads a clock or draws an unseeded random number, and inner modules never use outer
//! ones.

pub use plimsoll_domain as domain;
pub use plimsoll_ingest as ingest;
pub use plimsoll_optimize as optimize;
pub use plimsoll_report as report;

pub mod decide;
pub mod forecast;
pub mod horizon;
pub mod pipeline;
pub mod policy;
pub mod sample;
pub mod series;
pub mod sizing;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cluster")]
pub mod cluster;
