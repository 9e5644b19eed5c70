//! What is said when the program itself breaks.

use std::io::{self, Write};
use std::panic::{self, PanicHookInfo, UnwindSafe};
use std::process::ExitCode;

#[cfg(feature = "tables")]
use crate::ingest::tables::is_decoding;

/// Runs a command; should it panic, says so as an error of ours. Exit code 3.
pub(super) fn reported(command: impl FnOnce() -> ExitCode + UnwindSafe) -> ExitCode {
    let trace = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // A broken table makes its decoder panic, which is caught and told as an error of the file.
        if is_decoding() {
            return;
        }
        // There is nowhere left to report that standard error is closed.
        let _ = say(info);
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|wish| wish != "0") {
            trace(info);
        }
    }));
    panic::catch_unwind(command).unwrap_or(ExitCode::from(3))
}

#[cfg(not(feature = "tables"))]
fn is_decoding() -> bool {
    false
}

fn say(info: &PanicHookInfo<'_>) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    let problem = info.payload_as_str().unwrap_or("of an unknown kind");
    write!(stderr, "error: internal failure: {problem}")?;
    if let Some(place) = info.location() {
        write!(stderr, " ({}:{})", place.file(), place.line())?;
    }
    writeln!(stderr, "\n  hint: this is a mistake in plimsoll, not in the input; nothing was half-written")
}
