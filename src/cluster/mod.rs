//! A live cluster, read through its API server.
