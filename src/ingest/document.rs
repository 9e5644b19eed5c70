//! A YAML (or JSON) document as a tree in which every value knows its line and column, so that what is wrong with
//! its meaning is reported as precisely as what is wrong with its syntax.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location as YamlLocation, MessageFormatter, Spanned};

use super::Source;
use crate::domain::policy::Place;
use crate::domain::{InputError, Location};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Line and column of its first character.
    pub place: Place,
    /// The value.
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A text.
    Text(String),
    /// Items in order.
    List(Vec<Node>),
    /// Keys and values in order; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Line and column of its first character.
    pub place: Place,
    /// The key.
    pub text: String,
}

impl Value {
    /// What it is, for messages: `the number 5`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("the boolean {value}"),
            Self::Number(text) => format!("the number {}", shorten(text)),
            Self::Text(text) => format!("the text {:?}", shorten(text)),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// A text short enough for a message.
#[must_use]
pub fn shorten(text: &str) -> String {
    shorten_to(text, 60)
}

fn shorten_to(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// How large a document may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text.
    pub bytes: usize,
    /// Values, those that aliases repeat included.
    pub nodes: usize,
}

/// Levels of nesting; what is read here needs fewer than ten.
const MAX_DEPTH: usize = 32;

/// Reads the one document of an input.
///
/// # Errors
/// If the text is not UTF-8, is larger than the limits, is not YAML, repeats a key, or holds several documents.
pub fn read(source: &Source, limits: Limits) -> Result<Node, InputError> {
    let text = source.text()?;
    if text.len() > limits.bytes {
        let problem = format!("has {} bytes, at most {} are read", text.len(), limits.bytes);
        return Err(InputError::whole(&source.name, problem).hint("is this the right file?"));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: limits.nodes,
            max_events: limits.nodes.saturating_mul(3),
            max_recorded_anchor_events: limits.nodes,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits.nodes,
            max_replay_stack_depth: 8,
        },
        // Only `true` and `false`: a namespace called `no` is a text.
        strict_booleans: true,
        reject_unsupported_tags: true,
        // What may not be infinite says so where it is read.
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    };
    let raw: Spanned<Raw> =
        serde_saphyr::from_str_with_options(text, options).map_err(|e| not_yaml(&source.name, &e))?;
    Ok(raw.value.located(raw.referenced, raw.defined, text))
}

/// The parser's error in terms of the document instead of the parser's settings.
fn not_yaml(name: &str, error: &serde_saphyr::Error) -> InputError {
    use serde_saphyr::Error;
    let location = match error.location() {
        Some(at) if at.line() > 0 => Location::LineColumn(at.line() as usize, at.column() as usize),
        _ => Location::Whole,
    };
    let at = |problem: String| InputError::at(name, location.clone(), problem);
    let cause = match error.without_snippet() {
        Error::AliasError { error, .. } => error.without_snippet(),
        other => other,
    };
    match cause {
        Error::MultipleDocuments { .. } => at("a second document begins here, expected one a file".to_owned())
            .hint("put each document into a file of its own"),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().map_or_else(String::new, |key| format!(" {:?}", shorten(key)));
            at(format!("the key{key} is given twice")).hint("keep one of the two")
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => {
            at("is too large, nests too deeply or repeats too much by aliases".to_owned())
                .hint(format!("at most {MAX_DEPTH} levels are read; is this the right file?"))
        }
        Error::NullIntoString { .. } | Error::Unexpected { .. } => at("expected a text as the key".to_owned()),
        other => {
            let message = serde_saphyr::DefaultMessageFormatter.format_message(other);
            at(format!("is not valid YAML: {}", shorten_to(&message.replace(char::is_control, " "), 200)))
        }
    }
}

/// A value as the parser hands it over; numbers lose their spelling here and get it back from the text.
enum Raw {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl Raw {
    fn located(self, referenced: YamlLocation, defined: YamlLocation, text: &str) -> Node {
        let value = match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(number) => Value::Number(spelling(defined, text).map_or(number, str::to_owned)),
            Self::Text(value) => Value::Text(value),
            Self::List(items) => {
                Value::List(items.into_iter().map(|i| i.value.located(i.referenced, i.defined, text)).collect())
            }
            Self::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, node)| {
                        let key = Key { place: place(key.referenced), text: key.value };
                        (key, node.value.located(node.referenced, node.defined, text))
                    })
                    .collect(),
            ),
        };
        Node { place: place(referenced), value }
    }
}

fn place(at: YamlLocation) -> Place {
    Place { line: (at.line() as usize).max(1), column: (at.column() as usize).max(1) }
}

/// How a number is written.
fn spelling(at: YamlLocation, text: &str) -> Option<&str> {
    let start = usize::try_from(at.span().byte_offset()?).ok()?;
    let len = usize::try_from(at.span().byte_len()?).ok()?;
    let written = text.get(start..start.checked_add(len)?)?;
    (!written.is_empty()).then_some(written)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Raw, E> {
        Err(E::custom("binary values are not used here"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { bytes: 1 << 20, nodes: 1000 };

    fn read_text(text: &str) -> Result<Node, InputError> {
        read(&Source { name: "f".into(), bytes: text.as_bytes().to_vec() }, LIMITS)
    }

    /// A tree as one line: `key@line:column=value@line:column`.
    fn shown(node: &Node) -> String {
        let value = match &node.value {
            Value::Null => "~".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(text) => text.clone(),
            Value::Text(text) => format!("{text:?}"),
            Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
            Value::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, node)| format!("{}@{}:{}={}", key.text, key.place.line, key.place.column, shown(node)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
            }
        };
        format!("{value}@{}:{}", node.place.line, node.place.column)
    }

    #[test]
    fn values_keep_their_spelling_and_their_place() {
        for (text, expected) in [
            ("a: 1.10\n", "{a@1:1=1.10@1:4}@1:1"),
            ("a: 0x10\nb: 1e3\nc: 007\n", "{a@1:1=0x10@1:4 b@2:1=1e3@2:4 c@3:1=007@3:4}@1:1"),
            ("a: \"5\"\n1: no\ntrue: true\n", "{a@1:1=\"5\"@1:4 1@2:1=\"no\"@2:4 true@3:1=true@3:7}@1:1"),
            ("a: ~\nb:\n", "{a@1:1=~@1:4 b@2:1=~@2:2}@1:1"),
            ("é: [x, 2]\n", "{é@1:1=[\"x\"@1:5 2@1:8]@1:4}@1:1"),
            ("{\"a\": {\"b\": 1.50}}", "{a@1:2={b@1:8=1.50@1:13}@1:7}@1:1"),
            // What an alias repeats stands where the alias stands.
            ("a: &x 0.30\nb: *x\n", "{a@1:1=0.30@1:7 b@2:1=0.30@2:4}@1:1"),
            ("", "~@1:1"),
        ] {
            assert_eq!(read_text(text).map(|node| shown(&node)).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_in_the_documents_terms() {
        let bomb = format!("a: &a [{}]\nb: &b [{}]\nc: [{}]\n", "1,".repeat(30), "*a,".repeat(30), "*b,".repeat(30));
        for (text, expected) in [
            ("a: [1\n", "f:1:4: is not valid YAML: unclosed bracket '['"),
            ("a: 1\n b: 2\n", "f:2:3: is not valid YAML: mapping values are not allowed in this context"),
            ("a: 1\na: 2\n", "f:2:1: the key \"a\" is given twice"),
            ("a: 1\n---\nb: 2\n", "f:3:1: a second document begins here, expected one a file"),
            ("? [a, b]\n: 1\n", "f:1:3: expected a text as the key"),
            ("~: 1\n", "f:1:1: expected a text as the key"),
            ("a: *nope\n", "f:1:4: is not valid YAML: alias references unknown anchor"),
            (bomb.as_str(), "f:3:5: is too large, nests too deeply or repeats too much by aliases"),
            (&"[".repeat(1000), "f:1:33: is not valid YAML: recursion limit exceeded"),
            (&"a: ".repeat(1000), "f:1:5: is not valid YAML: mapping values are not allowed in this context"),
        ] {
            assert_eq!(read_text(text).unwrap_err().to_string(), expected, "{}", shorten(text));
        }
        let values = read_text(&"- 1\n".repeat(2000)).unwrap_err().to_string();
        assert!(values.ends_with("is too large, nests too deeply or repeats too much by aliases"), "{values}");
        let bytes = read_text(&"#".repeat(2 << 20)).unwrap_err().to_string();
        assert_eq!(bytes, "f: has 2097152 bytes, at most 1048576 are read");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = read_text(&text);
        }

        #[test]
        fn any_structure_is_read_or_refused(text in "[-:{}\\[\\],&*!|>'\"%@~?#ab1. \n\t]{0,80}") {
            let _ = read_text(&text);
        }
    }
}
