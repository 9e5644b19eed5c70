//! An input with its name: a file, plain or gzip, or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::domain::InputError;

/// Largest input after decompression. A dump of 150,000 pods is about 600 MB; beyond this it is a mistake or a bomb.
const MAX_BYTES: u64 = 4 << 30;

/// The bytes of an input, decompressed, under the name the user gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name for messages.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Source {
    /// Reads a file, or standard input where the path is `-`; gzip is recognised by its first bytes.
    ///
    /// # Errors
    /// If it can't be read, is broken gzip, or is larger than 4 GiB decompressed.
    pub fn read(path: &Path) -> Result<Self, InputError> {
        if path.as_os_str() == "-" {
            return Self::from_reader("standard input", io::stdin().lock());
        }
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| unreadable(&name, &e))?;
        if file.metadata().is_ok_and(|m| m.is_dir()) {
            return Err(InputError::whole(name, "is a directory, expected a file"));
        }
        Self::from_reader(name, file)
    }

    /// Reads from anything, decompressing gzip.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn from_reader(name: impl Into<String>, mut reader: impl Read) -> Result<Self, InputError> {
        let name = name.into();
        let mut head = Vec::with_capacity(2);
        reader.by_ref().take(2).read_to_end(&mut head).map_err(|e| unreadable(&name, &e))?;
        let gzip = head == [0x1f, 0x8b];
        let whole = io::Cursor::new(head).chain(reader);
        let mut bytes = Vec::new();
        if gzip {
            let decoded = MultiGzDecoder::new(whole).take(MAX_BYTES + 1).read_to_end(&mut bytes);
            decoded.map_err(|e| unreadable(&name, &e).hint("is the file whole? export it again"))?;
        } else {
            whole.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| unreadable(&name, &e))?;
        }
        if bytes.len() as u64 > MAX_BYTES {
            return Err(InputError::whole(name, "is larger than 4 GiB").hint("split the export into several files"));
        }
        Ok(Self { name, bytes })
    }

    /// The text.
    ///
    /// # Errors
    /// If the bytes are not UTF-8; names the line.
    pub fn text(&self) -> Result<&str, InputError> {
        std::str::from_utf8(&self.bytes).map_err(|e| {
            let line = self.bytes[..e.valid_up_to()].split(|&b| b == b'\n').count();
            InputError::at(&self.name, crate::domain::Location::Line(line), "is not UTF-8 text")
                .hint("save it in UTF-8")
        })
    }
}

fn unreadable(name: &str, error: &io::Error) -> InputError {
    InputError::whole(name, format!("failed to read: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn gzip_is_recognised_and_truncation_is_an_error() {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"hello world").unwrap();
        let bytes = gz.finish().unwrap();
        assert_eq!(Source::from_reader("a.gz", bytes.as_slice()).unwrap().bytes, b"hello world");
        let error = Source::from_reader("a.gz", &bytes[..bytes.len() - 6]).unwrap_err();
        assert!(error.to_string().starts_with("a.gz: failed to read: "), "{error}");
    }

    #[test]
    fn empty_and_one_byte_inputs_are_read_as_they_are() {
        assert_eq!(Source::from_reader("e", [].as_slice()).unwrap().bytes, b"");
        assert_eq!(Source::from_reader("o", [0x1f].as_slice()).unwrap().bytes, [0x1f]);
    }

    #[test]
    fn text_that_is_not_utf8_names_its_line() {
        let source = Source { name: "f".into(), bytes: b"a\nb\xff".to_vec() };
        assert_eq!(source.text().unwrap_err().to_string(), "f:2: is not UTF-8 text");
    }
}
