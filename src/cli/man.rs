//! `plimsoll man`.

use clap::CommandFactory;

use super::arguments::{Arguments, ManArguments};
use super::exit::{Done, Failure};
use super::output;

pub(super) fn run(arguments: &ManArguments) -> Result<Done, Failure> {
    let command = Arguments::command();
    let Some(folder) = &arguments.out else {
        output::print(&String::from_utf8_lossy(&page(&command)?))?;
        return Ok(Done::Fine);
    };
    output::make_folder(folder)?;
    let pages = command.get_subcommands().map(|sub| (format!("plimsoll-{}.1", sub.get_name()), sub));
    for (name, sub) in std::iter::once(("plimsoll.1".to_owned(), &command)).chain(pages) {
        output::write_file(&folder.join(name), &page(sub)?)?;
    }
    Ok(Done::Fine)
}

fn page(command: &clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .map_err(|e| Failure::Internal(format!("failed to make the manual page: {e}")))?;
    Ok(page)
}
