//! `plimsoll policy`.

use crate::policy;

use super::arguments::{PolicyArguments, PolicyCommand};
use super::exit::{Done, Failure};
use super::{inputs, output};

pub(super) fn run(arguments: &PolicyArguments) -> Result<Done, Failure> {
    match &arguments.command {
        PolicyCommand::Check { files } => check(files),
        PolicyCommand::List => {
            let lines = policy::BUILT_IN.iter().map(|(name, text)| format!("{name:14} {}\n", summary(text)));
            output::print(&lines.collect::<String>())?;
            Ok(Done::Fine)
        }
        PolicyCommand::Show { name } => {
            let path = std::path::Path::new(name);
            output::print(inputs::policy_source(path)?.text()?)?;
            Ok(Done::Fine)
        }
        PolicyCommand::Schema => {
            output::print(policy::schema())?;
            Ok(Done::Fine)
        }
    }
}

/// The first comment line of a ready-made policy says what it is for.
fn summary(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default()
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
