//! Prometheus' HTTP API, which Thanos and Mimir have too: responses saved to a file and, with the feature `cluster`,
//! range queries to a server.

#[cfg(feature = "cluster")]
mod endpoint;
#[cfg(feature = "cluster")]
mod error;
#[cfg(feature = "cluster")]
mod query;
#[cfg(feature = "cluster")]
mod retry;

mod response;
mod selectors;

#[cfg(feature = "cluster")]
pub use self::{endpoint::Endpoint, error::PrometheusError, query::query_range, retry::Retry};

pub use self::response::parse as parse_response;
pub use self::selectors::instant_queries_for;
