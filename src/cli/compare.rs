//! `plimsoll compare`.

use crate::ingest::Source;
use crate::report::document::Comparison;
use crate::report::{document, text};

use super::arguments::{CompareArguments, CompareFormat};
use super::exit::{Done, Failure};
use super::output;

pub(super) fn run(arguments: &CompareArguments) -> Result<Done, Failure> {
    let first = document::parse(&Source::read(&arguments.first)?)?;
    let second = document::parse(&Source::read(&arguments.second)?)?;
    let comparison = Comparison::of(&first, &second);
    output::print(&match arguments.output {
        CompareFormat::Table => text::comparison(&comparison, output::width(), output::style()),
        CompareFormat::Json => comparison.to_json(),
    })?;
    Ok(Done::Fine)
}
