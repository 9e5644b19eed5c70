//! `plimsoll sample`.

use super::arguments::SampleArguments;
use super::exit::{Done, Failure};
use super::output;

pub(super) fn run(arguments: &SampleArguments) -> Result<Done, Failure> {
    let SampleArguments { out, seed } = arguments;
    output::make_folder(out)?;
    for (name, bytes) in crate::sample::files(*seed).map_err(|e| Failure::Internal(e.to_string()))? {
        let path = out.join(name);
        output::write_file(&path, &bytes)?;
        output::message(&format!("wrote {} ({} KiB)", path.display(), bytes.len().div_ceil(1024)));
    }
    Ok(Done::Fine)
}
