//! What a command came to, and the exit code that says so.

use std::io::{self, Write};
use std::process::ExitCode;

use thiserror::Error;

use crate::domain::InputError;
use crate::pipeline::PlanError;
use crate::series::SeriesError;

/// How a command ended when nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// Done. Exit code 0.
    Fine,
    /// Done, and found something wrong: an infeasible plan, a policy with errors. Exit code 1.
    Finding,
    /// The time limit came first; what was printed is usable. Exit code 4.
    TimeLimit,
}

/// Why a command failed.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// The user's input, each problem of it. Exit code 2.
    #[error("{}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Input(Vec<InputError>),
    /// Something of ours broke. Exit code 3.
    #[error("{0}")]
    Internal(String),
    /// Standard output or a file could not be written. Exit code 3, or 0 for a closed pipe.
    #[error("failed to write {what}: {source}")]
    Write {
        /// What was being written.
        what: String,
        /// The system's error.
        source: io::Error,
    },
}

impl Failure {
    /// A file or folder could not be written: the user's mistake where the place they named allows none.
    pub(super) fn write(what: String, source: io::Error) -> Self {
        use io::ErrorKind::{
            AlreadyExists, IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem,
        };
        match source.kind() {
            AlreadyExists | IsADirectory | NotADirectory | NotFound | PermissionDenied | ReadOnlyFilesystem => {
                InputError::whole(what, format!("can't be written: {source}")).into()
            }
            _ => Self::Write { what, source },
        }
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        Self::Input(vec![error])
    }
}

impl From<SeriesError> for Failure {
    fn from(error: SeriesError) -> Self {
        error.in_file("metrics").into()
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Series(e) => e.into(),
            PlanError::Optimize(e) => Self::Internal(format!("failed to plan: {e}")),
        }
    }
}

/// Says what went wrong on standard error and gives the exit code.
pub(super) fn code(outcome: Result<Done, Failure>) -> ExitCode {
    match outcome {
        Ok(Done::Fine) => ExitCode::SUCCESS,
        Ok(Done::Finding) => ExitCode::from(1),
        Ok(Done::TimeLimit) => ExitCode::from(4),
        Err(Failure::Write { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure);
            ExitCode::from(if matches!(failure, Failure::Input(_)) { 2 } else { 3 })
        }
    }
}

fn say(failure: &Failure) {
    let mut stderr = io::stderr().lock();
    // There is nowhere left to report that standard error is closed.
    let _ = match failure {
        Failure::Input(problems) => problems.iter().try_for_each(|problem| {
            writeln!(stderr, "error: {problem}")?;
            problem.hint.iter().try_for_each(|hint| writeln!(stderr, "  hint: {hint}"))
        }),
        other => writeln!(stderr, "error: {other}"),
    };
}

/// Prints clap's own message: help and version on standard output with 0, wrong arguments on standard error with 2.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}
