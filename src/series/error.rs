//! Why samples cannot be laid on one axis.

use thiserror::Error;

use crate::domain::InputError;

/// Samples that give no series.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SeriesError {
    /// No sample at all.
    #[error("no samples")]
    Empty,
    /// No sample of a metric the mapping knows.
    #[error("no metric has a known meaning; found {}", list(.metrics))]
    NothingMapped {
        /// Names of the metrics found, sorted, at most ten.
        metrics: Vec<String>,
    },
    /// A spacing that is no spacing.
    #[error("invalid step of {0} ms: expected at least 1 ms")]
    Step(i64),
    /// No step given, and none to be told from the samples.
    #[error("no series has two samples from which to tell the step")]
    NoStep,
    /// The time from the first to the last sample, or the number of rows, asks for more memory than allowed.
    #[error(
        "{rows} rows × {steps} steps of {step_ms} ms are more than {max_cells} cells: samples reach from {first} to {last}"
    )]
    TooLarge {
        /// Rows.
        rows: usize,
        /// Steps from the first to the last sample.
        steps: u64,
        /// Spacing.
        step_ms: i64,
        /// The bound broken.
        max_cells: usize,
        /// Time and series of the first sample.
        first: String,
        /// Time and series of the last sample.
        last: String,
    },
    /// Longer without any sample than an export of one cluster is.
    #[error("no sample in {days} days, between {before} and {after}")]
    Hole {
        /// Length of the hole.
        days: i64,
        /// Time and series of the last sample before it.
        before: String,
        /// Time and series of the first sample after it.
        after: String,
    },
    /// Columns of different lengths, or a row of a series that is not listed.
    #[error("inconsistent samples: {0}")]
    Inconsistent(String),
    /// Rows that can't be read.
    #[error(transparent)]
    Input(#[from] InputError),
}

impl SeriesError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Empty => Some("check the time range and the filters of the export"),
            Self::NothingMapped { .. } => Some("name the metrics in the policy under `metrics`"),
            Self::Step(_) | Self::NoStep => Some("give a step such as 60s"),
            Self::TooLarge { .. } | Self::Hole { .. } => Some(
                "leave the stray samples out if one of these times is wrong (seconds read as milliseconds?), or use a longer step",
            ),
            Self::Inconsistent(_) | Self::Input(_) => None,
        }
    }

    /// The error as one about the file the samples came from.
    #[must_use]
    pub fn in_file(&self, file: impl Into<String>) -> InputError {
        if let Self::Input(error) = self {
            return error.clone();
        }
        let error = InputError::whole(file, self.to_string());
        match self.hint() {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// Characters of a metric's name that a message shows.
const LONGEST_NAME: usize = 80;

fn list(names: &[String]) -> String {
    // A name may be as long as its file.
    let short = |name: &String| match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.clone(),
    };
    if names.is_empty() { "none".to_owned() } else { names.iter().map(short).collect::<Vec<_>>().join(", ") }
}
