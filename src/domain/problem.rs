//! The integer program in named parts. Written and read by `crate::optimize`; a bug report is one of these in a file.

use serde::{Deserialize, Serialize};

/// The integer program.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Problem {}
