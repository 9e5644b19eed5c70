//! Waiting and latency: Erlang's formulas, queues of several servers, and a latency law fitted to a service's own past.
//!
//! Sources, cited again where they are used:
//! - A. K. Erlang, *Solution of some problems in the theory of probabilities of significance in automatic telephone
//!   exchanges* (1917): the loss and waiting formulas (B and C).
//! - D. Gross, J. Shortle, J. Thompson, C. Harris, *Fundamentals of Queueing Theory*, 4th ed. (2008), §2.3: waiting and
//!   response times of M/M/c.
//! - A. O. Allen, *Probability, Statistics, and Queueing Theory*, 2nd ed. (1990), §5.3.5: the Allen–Cunneen
//!   approximation of G/G/c.

mod erlang;
mod fit;
mod law;
mod multi_server;

pub use erlang::{erlang_b, erlang_c};
pub use fit::{FitRefusal, LoadLatency, fit_latency};
pub use law::{LatencyLaw, LatencyMeasure};
pub use multi_server::{LatencyGoal, MultiServer, servers_needed};
