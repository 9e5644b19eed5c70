//! What is wrong with something the user gave, said so that they can mend it.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

/// The user's input is wrong: which file, where in it, what was found, what to do. Exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}{}: {}", shorten(&.location.to_string()), shorten(.problem))]
pub struct InputError {
    /// The file (or `standard input`, or an address) as the user named it.
    pub file: String,
    /// Where in it.
    pub location: Location,
    /// What was found and what was expected; lower case, no full stop.
    pub problem: String,
    /// What to do about it, where there is something to say.
    pub hint: Option<String>,
}

/// A place in an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// The input as a whole.
    Whole,
    /// A line, counted from 1.
    Line(usize),
    /// A line and a column, counted from 1.
    LineColumn(usize, usize),
    /// A row of a table, counted from 1 without the header.
    Row(usize),
    /// A column of a table.
    Column(String),
    /// A field of an object, e.g. `Pod shop/web-1`, `spec.containers[0].resources.requests.cpu`.
    Object {
        /// Kind, namespace and name.
        object: String,
        /// Path of the field; empty for the object as a whole.
        field: String,
    },
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Line(line) => write!(f, ":{line}"),
            Self::LineColumn(line, column) => write!(f, ":{line}:{column}"),
            Self::Row(row) => write!(f, ": row {row}"),
            Self::Column(name) => write!(f, ": column {name:?}"),
            Self::Object { object, field } if field.is_empty() => write!(f, ": {object}"),
            Self::Object { object, field } => write!(f, ": {object}: {field}"),
        }
    }
}

/// Characters of one part of a message: what was found may be a line as long as its file.
const LONGEST_PART: usize = 600;

fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST_PART) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

impl InputError {
    /// An error about the whole of an input.
    pub fn whole(file: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::at(file, Location::Whole, problem)
    }

    /// An error at a place.
    pub fn at(file: impl Into<String>, location: Location, problem: impl Into<String>) -> Self {
        Self { file: file.into(), location, problem: problem.into(), hint: None }
    }

    /// The same error with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_short_however_long_what_was_found_is() {
        let error = InputError::at("dump.json", Location::Line(3), format!("found {}", "x".repeat(50_000)));
        assert_eq!(error.to_string(), format!("dump.json:3: found {}…", "x".repeat(LONGEST_PART - 6)));
        let object = Location::Object { object: format!("Pod {}", "é".repeat(50_000)), field: "spec".to_owned() };
        assert!(InputError::at("dump.json", object, "is missing").to_string().ends_with("é…: is missing"));
    }
}
