//! The command line: arguments to settings, one file a command, outcomes to exit codes.

mod arguments;
mod exit;
mod inputs;
mod output;
mod panic;
mod progress;

mod compare;
mod completions;
mod explain;
mod forecast;
mod man;
mod plan;
mod policy;
mod sample;
mod scores;
mod series;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

/// Runs the command that the process' arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit::usage(&error),
    };
    panic::reported(|| run(arguments.command))
}

fn run(command: Command) -> ExitCode {
    let outcome = match command {
        Command::Plan(a) => plan::run(a),
        Command::Forecast(a) => forecast::run(&a),
        Command::Series(a) => series::run(a),
        Command::Policy(a) => policy::run(&a),
        Command::Explain(a) => explain::run(&a),
        Command::Compare(a) => compare::run(&a),
        Command::Sample(a) => sample::run(&a),
        Command::Completions(a) => completions::run(&a),
        Command::Man(a) => man::run(&a),
    };
    exit::code(outcome)
}
