//! `plimsoll explain`.

use crate::ingest::Source;
use crate::report::{document::PlanDocument, text};

use super::arguments::ExplainArguments;
use super::exit::{Done, Failure};
use super::output;

pub(super) fn run(arguments: &ExplainArguments) -> Result<Done, Failure> {
    let ExplainArguments { plan, workload } = arguments;
    let source = Source::read(plan)?;
    let document = PlanDocument::parse(&source)?;
    output::print(
        &text::explain(&document, workload.as_deref())
            .map_err(|e| crate::domain::InputError { file: source.name.clone(), ..e })?,
    )?;
    Ok(Done::Fine)
}
