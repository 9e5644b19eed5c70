//! `plimsoll policy`.

use crate::policy;

use super::arguments::{PolicyArguments, PolicyCommand};
use super::exit::{Done, Failure};
use super::{inputs, output};

pub(super) fn run(arguments: &PolicyArguments) -> Result<Done, Failure> {
    match &arguments.command {
        PolicyCommand::Check { files } => check(files),
        PolicyCommand::List => {
            let lines = policy::BUILT_IN.iter().map(|p| format!("{:14} {}\n", p.name, p.summary));
            output::print(&lines.collect::<String>())?;
            Ok(Done::Fine)
        }
        PolicyCommand::Show { name } => {
            let path = std::path::Path::new(name);
            output::print(inputs::policy_source(path)?.text()?)?;
            Ok(Done::Fine)
        }
        PolicyCommand::Schema => {
            output::print(policy::SCHEMA)?;
            Ok(Done::Fine)
        }
    }
}

/// Every problem of every file; wrong policies are the finding of this command.
fn check(files: &[std::path::PathBuf]) -> Result<Done, Failure> {
    let mut problems = Vec::new();
    for file in files {
        let source = inputs::policy_source(file)?;
        let report = policy::check(&source);
        for warning in &report.warnings {
            output::message(&format!("warning: {warning}"));
        }
        if report.problems.is_empty() {
            output::print(&format!("{}: ok\n", source.name))?;
        }
        problems.extend(report.problems);
    }
    if problems.is_empty() { Ok(Done::Fine) } else { Err(Failure::Input(problems)) }
}
