//! `Plan` and `Snapshot` into `Steps`.
