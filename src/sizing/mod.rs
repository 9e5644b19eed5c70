//! Forecasts, latency model and policy into a `Menu` for each workload.
