//! `plimsoll explain`.

use crate::domain::InputError;
use crate::ingest::Source;
use crate::report::{document, text};

use super::arguments::ExplainArguments;
use super::exit::{Done, Failure};
use super::output;

pub(super) fn run(arguments: &ExplainArguments) -> Result<Done, Failure> {
    let ExplainArguments { plan, workload } = arguments;
    let source = Source::read(plan)?;
    let plan = document::parse(&source)?;
    let explained = text::explain(&plan, workload.as_deref(), output::width());
    output::print(&explained.map_err(|e| InputError::whole(source.name, e.to_string()))?)?;
    Ok(Done::Fine)
}
