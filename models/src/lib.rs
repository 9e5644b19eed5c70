//! The mathematics of Plimsoll: orchestration models, forecasting, calibration, latency and queueing.
//! Pure functions on arrays: no input or output, no clocks, no Kubernetes.

pub mod forecast;
pub mod orchestration;
pub mod queueing;
