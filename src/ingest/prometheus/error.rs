//! What can go wrong between here and a server.

use thiserror::Error;

use crate::domain::InputError;

/// A range query failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PrometheusError {
    /// The settings cannot work: address, token, certificate or range.
    #[error("{setting} {problem}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// No answer, after all attempts.
    #[error("failed to reach {address} in {attempts} attempts: {problem}")]
    Unreachable {
        /// The server's address.
        address: String,
        /// How often it was tried.
        attempts: u32,
        /// What happened the last time.
        problem: String,
    },
    /// The server refused, or failed each time it was asked.
    #[error("{address} answered {status} to {query:?} (attempt {attempts}): {problem}")]
    Refused {
        /// The server's address.
        address: String,
        /// The query that was refused.
        query: String,
        /// HTTP status.
        status: u16,
        /// How often it was asked.
        attempts: u32,
        /// Prometheus' own words, as in `bad_data: invalid parameter "query"`, or the start of the answer.
        problem: String,
    },
    /// The server's answer is not what the API promises.
    #[error(transparent)]
    Response(#[from] InputError),
}
