//! Data on standard output or, whole or not at all, in a file.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::domain::InputError;
use crate::report::text::Style;

use super::exit::Failure;

/// Writes data to standard output.
pub(super) fn print(data: &str) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(data.as_bytes())?;
        stdout.flush()
    };
    write().map_err(|source| Failure::Write { what: "standard output".into(), source })
}

/// Characters of a message: it may quote a name as long as its file.
const LONGEST_MESSAGE: usize = 1000;

/// Writes a message to standard error.
pub(super) fn message(text: &str) {
    let end = text.char_indices().nth(LONGEST_MESSAGE).map_or(text.len(), |(end, _)| end);
    let cut = if end < text.len() { "…" } else { "" };
    // A message that nobody can read is no reason to fail.
    let _ = writeln!(io::stderr().lock(), "{}{cut}", &text[..end]);
}

/// Asks, before any work is done, that there is a place for a file.
pub(super) fn expect_place_for(path: &Path) -> Result<(), InputError> {
    let folder = folder_of(path);
    let wrong = |problem: String| InputError::whole(path.display().to_string(), format!("can't be written: {problem}"));
    if !folder.is_dir() {
        return Err(wrong(format!("there is no folder {}", folder.display())).hint("make it, or name another file"));
    }
    if path.is_dir() {
        return Err(wrong("it is a folder".to_owned()).hint("name a file in it"));
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a folder, and those it is in, where it is missing.
pub(super) fn make_folder(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|source| Failure::write(folder.display().to_string(), source))
}

/// Writes a file whole or not at all: beside it first, then renamed over it.
pub(super) fn write_file(path: &Path, data: &[u8]) -> Result<(), Failure> {
    let mut sink = Sink::file(path)?;
    sink.write(data)?;
    sink.finish()
}

/// Where data goes a piece at a time: standard output, or a file that is there only once it is whole.
pub(super) enum Sink<'a> {
    Stdout,
    File { path: &'a Path, file: NamedTempFile },
}

impl<'a> Sink<'a> {
    /// A file if one is named, else standard output.
    pub(super) fn to(path: Option<&'a Path>) -> Result<Self, Failure> {
        path.map_or(Ok(Self::Stdout), Self::file)
    }

    fn file(path: &'a Path) -> Result<Self, Failure> {
        expect_place_for(path)?;
        let file = tempfile::Builder::new().prefix(".plimsoll-").tempfile_in(folder_of(path));
        Ok(Self::File { path, file: file.map_err(|source| failed(path, source))? })
    }

    pub(super) fn write(&mut self, data: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Stdout => io::stdout()
                .lock()
                .write_all(data)
                .map_err(|source| Failure::Write { what: "standard output".into(), source }),
            Self::File { path, file } => file.write_all(data).map_err(|source| failed(path, source)),
        }
    }

    /// Makes what was written be there.
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Stdout => {
                io::stdout().flush().map_err(|source| Failure::Write { what: "standard output".into(), source })
            }
            Self::File { path, file } => persist(file, path).map_err(|source| failed(path, source)),
        }
    }
}

fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Temporary files are private; what replaces a report should be as readable as one written plainly.
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|e| e.error)
}

fn failed(path: &Path, source: io::Error) -> Failure {
    Failure::write(path.display().to_string(), source)
}

/// Columns of the terminal, or 100 where standard output is none.
pub(super) fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    columns.or_else(terminal_width).unwrap_or(100).clamp(60, 240)
}

fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// What standard output can show.
pub(super) fn style() -> Style {
    Style { color: colour(), unicode: unicode() }
}

/// Whether the locale can show more than ASCII; one that says nothing can.
fn unicode() -> bool {
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    locale.is_none_or(|l| l.to_ascii_uppercase().replace('-', "").contains("UTF8"))
}

/// Whether to colour what goes to standard output: on a terminal, unless `NO_COLOR` is set or it is dumb.
fn colour() -> bool {
    io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}
