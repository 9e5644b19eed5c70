//! Whether the lists in a footer can be as long as they say. The decoder makes room for as many entries as are claimed before
//! it reads the first, and where there is no such room the program ends.
//!
//! A footer is one structure in the compact protocol of Apache Thrift, whose every entry takes a byte at least.

use std::io::{self, Read, Seek, SeekFrom};

/// Structures inside structures; the deepest of the format have fewer than ten.
const DEEPEST: usize = 64;

/// Length of the footer and the mark of the format, at the end of every file.
const END_BYTES: u64 = 8;

/// Whether the footer's lists are within it. A file that has no footer is left to the decoder, which says so.
pub(super) fn is_sized(input: &mut (impl Read + Seek), file_bytes: u64) -> io::Result<bool> {
    let Some(before) = file_bytes.checked_sub(END_BYTES) else { return Ok(true) };
    let mut end = [0; END_BYTES as usize];
    input.seek(SeekFrom::Start(before))?;
    input.read_exact(&mut end)?;
    let [a, b, c, d, mark @ ..] = end;
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    let Some(start) = before.checked_sub(length).filter(|_| &mark == b"PAR1") else { return Ok(true) };
    let mut footer = vec![0; length as usize];
    input.seek(SeekFrom::Start(start))?;
    input.read_exact(&mut footer)?;
    Ok(Walk { rest: &footer }.structure(0).is_some())
}

/// What is still to be walked over; each step is `None` where it does not hold what it says.
struct Walk<'a> {
    rest: &'a [u8],
}

impl Walk<'_> {
    fn pass(&mut self, bytes: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.rest.first()?;
        self.pass(1).map(|()| byte)
    }

    /// A number of as many bytes as it needs, seven bits each, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn structure(&mut self, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        loop {
            let header = self.byte()?;
            let (step, kind) = (header >> 4, header & 0x0f);
            if kind == 0 {
                return Some(());
            }
            if step == 0 {
                self.number()?;
            }
            // Whether a truth is one is said by its kind.
            if kind > 2 {
                self.value(kind, depth)?;
            }
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            1..=3 => self.pass(1),
            4..=6 => self.number().map(|_| ()),
            7 => self.pass(8),
            8 => self.number().and_then(|bytes| self.pass(bytes)),
            9 | 10 => {
                let header = self.byte()?;
                let count = if header >> 4 == 15 { self.number()? } else { u64::from(header >> 4) };
                self.entries(count, &[header & 0x0f], depth)
            }
            11 => {
                let count = self.number()?;
                let kinds = if count == 0 { 0 } else { self.byte()? };
                self.entries(count, &[kinds >> 4, kinds & 0x0f], depth)
            }
            12 => self.structure(depth + 1),
            13 => self.pass(16),
            _ => None,
        }
    }

    fn entries(&mut self, count: u64, kinds: &[u8], depth: usize) -> Option<()> {
        if depth > DEEPEST || count > self.rest.len() as u64 {
            return None;
        }
        (0..count).try_for_each(|_| kinds.iter().try_for_each(|kind| self.value(*kind, depth + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(footer: &[u8]) -> bool {
        let length = (footer.len() as u32).to_le_bytes();
        let file: Vec<u8> = [b"PAR1", footer, &length, b"PAR1"].concat();
        is_sized(&mut io::Cursor::new(&file), file.len() as u64).unwrap()
    }

    #[test]
    fn lists_that_claim_more_entries_than_there_are_bytes_are_told() {
        // Field 1: a list of numbers.
        assert!(sized(&[0x19, 0x25, 0x02, 0x04, 0x00]), "two numbers");
        assert!(!sized(&[0x19, 0x35, 0x02, 0x04, 0x00]), "three of two");
        assert!(!sized(&[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0x00]), "two thousand million structures");
        assert!(!sized(&[0x18, 0x05, b'a', 0x00]), "a text beyond its end");
        assert!(!sized(&[0x1c; 100]), "structures without end");
        assert!(sized(b"\x18\x01a\x1b\x01\x88\x01a\x01b\x11\x00"), "a text, a map of texts and a truth");
    }

    #[test]
    fn what_is_no_parquet_is_left_to_the_decoder() {
        for file in [&b""[..], b"PAR1", b"nothing of the kind", b"\xff\xff\xff\xffPAR1"] {
            assert!(is_sized(&mut io::Cursor::new(file), file.len() as u64).unwrap());
        }
    }
}
