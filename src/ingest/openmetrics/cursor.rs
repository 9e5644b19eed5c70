//! Reading one line of an exposition from left to right.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::domain::samples::SeriesKey;

/// What was found where something else was expected, at a byte of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unexpected {
    /// Offset in bytes from the start of the line.
    pub(crate) offset: usize,
    /// Lower case, no full stop.
    pub(crate) problem: String,
}

/// A position in a line.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    line: &'a str,
    offset: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self { line, offset: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.line.get(self.offset..).unwrap_or_default()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.offset >= self.line.len()
    }

    pub(super) fn skip_blanks(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    /// Steps over `byte` if it is next.
    pub(super) fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.offset += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, byte: u8, what: &str) -> Result<(), Unexpected> {
        if self.accept(byte) { Ok(()) } else { Err(self.expected(what)) }
    }

    /// Everything up to the next blank.
    pub(super) fn word(&mut self) -> &'a str {
        self.take_while(|byte| !matches!(byte, b' ' | b'\t'))
    }

    /// The error that something else was expected here.
    pub(super) fn expected(&self, what: &str) -> Unexpected {
        let found: String = self.rest().chars().take(20).collect();
        let problem = if found.is_empty() {
            format!("the line ends where {what} was expected")
        } else {
            format!("found {found:?} where {what} was expected")
        };
        Unexpected { offset: self.offset, problem }
    }

    /// The text of a series as it stands, name and braces, without taking it apart.
    ///
    /// The end of the braces is found outside quotes, so a `}` in a label value does not end them.
    pub(super) fn series_text(&mut self) -> Result<&'a str, Unexpected> {
        let start = self.offset;
        self.take_while(|byte| !matches!(byte, b' ' | b'\t' | b'{'));
        let name_end = self.offset;
        self.skip_blanks();
        if self.peek() != Some(b'{') {
            self.offset = name_end;
            return Ok(&self.line[start..name_end]);
        }
        let mut quoted = false;
        let mut escaped = false;
        let inside = |byte: &u8| match *byte {
            _ if escaped => {
                escaped = false;
                true
            }
            b'\\' if quoted => {
                escaped = true;
                true
            }
            b'"' => {
                quoted = !quoted;
                true
            }
            b'}' => quoted,
            _ => true,
        };
        let length = self.line.as_bytes()[self.offset..].iter().take_while({
            let mut inside = inside;
            move |byte| inside(byte)
        });
        self.offset += length.count();
        self.expect(b'}', "`}` after the labels")?;
        Ok(&self.line[start..self.offset])
    }

    /// A series: `name`, `name{label="value",…}` or `{"name",label="value",…}`.
    pub(super) fn series(&mut self) -> Result<SeriesKey, Unexpected> {
        let bare = self.name(true);
        self.skip_blanks();
        let (quoted, mut labels) = if self.peek() == Some(b'{') { self.labels()? } else { (None, BTreeMap::new()) };
        let metric = match (bare, quoted, labels.remove("__name__")) {
            ("", Some(name), None) => name.into_owned(),
            ("", None, Some(name)) => name,
            ("", None, None) => return Err(self.expected("a metric name")),
            (bare, None, None) => bare.to_owned(),
            _ => return Err(self.expected("one metric name, not two,")),
        };
        Ok(SeriesKey { metric, labels })
    }

    /// Labels in braces, and a metric name in quotes among them. A label without a value is no label.
    #[expect(clippy::type_complexity, reason = "a pair read in one place")]
    pub(super) fn labels(&mut self) -> Result<(Option<Cow<'a, str>>, BTreeMap<String, String>), Unexpected> {
        self.expect(b'{', "`{`")?;
        let mut metric = None;
        let mut labels = BTreeMap::new();
        let mut seen = Vec::new();
        loop {
            self.skip_blanks();
            if self.accept(b'}') {
                return Ok((metric, labels));
            }
            let start = self.clone();
            let name = if self.peek() == Some(b'"') { self.quoted()? } else { Cow::Borrowed(self.name(false)) };
            self.skip_blanks();
            let is_quoted = start.peek() == Some(b'"');
            if is_quoted && self.peek() != Some(b'=') {
                if metric.replace(name).is_some() {
                    return Err(start.expected("one metric name, not two,"));
                }
            } else {
                if name.is_empty() {
                    return Err(start.expected("a label name or `}`"));
                }
                self.expect(b'=', "`=` after the label name")?;
                self.skip_blanks();
                let value = self.quoted()?;
                if seen.contains(&name) {
                    return Err(Unexpected { offset: start.offset, problem: format!("label {name:?} twice") });
                }
                if !value.is_empty() {
                    labels.insert(name.clone().into_owned(), value.into_owned());
                }
                seen.push(name);
            }
            self.skip_blanks();
            if !self.accept(b',') && self.peek() != Some(b'}') {
                return Err(self.expected("`,` or `}` after the label"));
            }
        }
    }

    /// Letters, digits, `_` and, in metric names, `:`; empty if none is next.
    fn name(&mut self, colons: bool) -> &'a str {
        if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return "";
        }
        self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || (colons && byte == b':'))
    }

    /// A string in quotes. `\\`, `\"` and `\n` are escapes; a backslash before anything else stands for itself.
    fn quoted(&mut self) -> Result<Cow<'a, str>, Unexpected> {
        self.expect(b'"', "a string in double quotes")?;
        let plain = self.take_while(|byte| byte != b'"' && byte != b'\\');
        if self.accept(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        loop {
            text.push_str(self.take_while(|byte| byte != b'"' && byte != b'\\'));
            if self.accept(b'"') {
                return Ok(Cow::Owned(text));
            }
            self.expect(b'\\', "the closing quote")?;
            match self.peek() {
                Some(b'n') => text.push('\n'),
                Some(b'"') => text.push('"'),
                Some(b'\\') => text.push('\\'),
                // The character itself follows as plain text, whatever its length in bytes.
                Some(_) => {
                    text.push('\\');
                    continue;
                }
                None => return Err(self.expected("the closing quote")),
            }
            self.offset += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.line.as_bytes().get(self.offset).copied()
    }

    /// Steps over bytes while `condition` holds. Conditions stop at ASCII bytes only, so the end is between characters.
    fn take_while(&mut self, condition: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.bytes().take_while(|&byte| condition(byte)).count();
        self.offset += length;
        rest.get(..length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(text: &str) -> Result<SeriesKey, Unexpected> {
        let mut cursor = Cursor::new(text);
        let key = cursor.series()?;
        assert!(cursor.is_at_end(), "{:?} is left", cursor.rest());
        Ok(key)
    }

    fn key(metric: &str, labels: &[(&str, &str)]) -> SeriesKey {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        SeriesKey { metric: metric.into(), labels }
    }

    #[test]
    fn series_are_read_in_every_notation() {
        for (text, expected) in [
            ("up", key("up", &[])),
            ("up{}", key("up", &[])),
            ("job:up:sum{job=\"a\"}", key("job:up:sum", &[("job", "a")])),
            ("up { a = \"1\" , b = \"2\" , }", key("up", &[("a", "1"), ("b", "2")])),
            ("{\"http.requests\",\"a.b\"=\"c\"}", key("http.requests", &[("a.b", "c")])),
            ("{__name__=\"up\",job=\"a\"}", key("up", &[("job", "a")])),
            (
                "up{path=\"C:\\\\d\",q=\"\\\"x\\\"\",n=\"a\\nb\"}",
                key("up", &[("path", "C:\\d"), ("q", "\"x\""), ("n", "a\nb")]),
            ),
            ("up{a=\"\\é}\"}", key("up", &[("a", "\\é}")])),
            ("up{gone=\"\"}", key("up", &[])),
        ] {
            assert_eq!(series(text).as_ref(), Ok(&expected), "{text}");
            assert_eq!(Cursor::new(text).series_text().as_ref(), Ok(&text), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, offset, problem) in [
            ("", 0, "the line ends where a metric name was expected"),
            ("9up", 0, "found \"9up\" where a metric name was expected"),
            ("up{a}", 4, "found \"}\" where `=` after the label name was expected"),
            ("up{a=1}", 5, "found \"1}\" where a string in double quotes was expected"),
            ("up{a=\"x", 7, "the line ends where the closing quote was expected"),
            ("up{a=\"x\\", 8, "the line ends where the closing quote was expected"),
            ("up{a=\"x\" b=\"y\"}", 9, "found \"b=\\\"y\\\"}\" where `,` or `}` after the label was expected"),
            ("up{a=\"x\",a=\"\"}", 9, "label \"a\" twice"),
            ("up{\"x\"}", 7, "the line ends where one metric name, not two, was expected"),
            ("up{,}", 3, "found \",}\" where a label name or `}` was expected"),
        ] {
            assert_eq!(Cursor::new(text).series(), Err(Unexpected { offset, problem: problem.into() }), "{text}");
        }
    }
}
