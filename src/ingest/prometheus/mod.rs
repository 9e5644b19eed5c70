//! Prometheus' HTTP API, which Thanos and Mimir have too: responses saved to a file and, with the feature `cluster`,
//! range queries to a server.

mod response;

pub use self::response::parse as parse_response;
