//! Text into Kubernetes objects, one at a time.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::Source;
use crate::domain::{InputError, Location};

use super::object::{self, Object, Rejected};

/// What one object became, or why it was refused.
pub(super) type Read = Result<Object, Rejected>;

/// Deepest nesting of a YAML document. Kubernetes' own types need about 20; 100 overflow a thread's stack of 2 MiB
/// in an unoptimised build.
const MAX_YAML_DEPTH: usize = 64;

/// The objects of one source, in order.
pub(super) fn read(source: &Source) -> Result<Vec<Read>, InputError> {
    if source.bytes.starts_with(&[0xff, 0xfe]) || source.bytes.starts_with(&[0xfe, 0xff]) {
        return Err(InputError::whole(&source.name, "is UTF-16 text, expected UTF-8")
            .hint("in PowerShell, write the file with `| Out-File -Encoding utf8`"));
    }
    let text = source.text()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let documents = match text.trim_start().chars().next() {
        None => return Err(InputError::whole(&source.name, "is empty, expected the output of kubectl get -o json")),
        Some('{' | '[') => json(&source.name, text)?,
        Some(_) => yaml(&source.name, text)?,
    };
    Ok(documents.into_iter().flat_map(|document| document.0).collect())
}

fn json(name: &str, text: &str) -> Result<Vec<Document>, InputError> {
    serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().map_err(|e: serde_json::Error| {
        // The message ends in its own " at line L column C"; the place is told once, in front.
        let message = e.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(text, _)| text).to_owned();
        let problem = if e.is_eof() { format!("the JSON ends too early: {message}") } else { message };
        InputError::at(name, Location::LineColumn(e.line(), e.column()), problem)
    })
}

fn yaml(name: &str, text: &str) -> Result<Vec<Document>, InputError> {
    // No document of n bytes needs more than n events; beyond that, it is aliases that multiply.
    let size = text.len() + 1;
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_events: size.saturating_mul(2),
            max_nodes: size,
            max_documents: size,
            max_depth: MAX_YAML_DEPTH,
            max_total_scalar_bytes: size.saturating_mul(2),
        },
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|e| {
        let location =
            e.location().map_or(Location::Whole, |l| Location::LineColumn(l.line() as usize, l.column() as usize));
        let message = e.without_snippet().to_string();
        let message = message.lines().next().unwrap_or_default().to_owned();
        InputError::at(name, location, message)
    })
}

/// One JSON or YAML document: a List, a single object, or a plain array of them.
///
/// Each element of a list is cut down to what is needed as soon as it is read.
#[derive(Default)]
struct Document(Vec<Read>);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object or a List of them")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Document, E> {
        Ok(Document::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Document, A::Error> {
        let mut document = Document::default();
        let unnamed = Items { kind: None, read: &mut document.0 }.visit_seq(seq)?;
        finish(unnamed, None, &mut document.0);
        Ok(document)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut document = Document::default();
        let mut fields = Map::new();
        let mut unnamed = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                let kind = fields.get("kind").and_then(Value::as_str).and_then(element_kind);
                unnamed = Some(map.next_value_seed(Items { kind, read: &mut document.0 })?);
            } else {
                fields.insert(key, map.next_value()?);
            }
        }
        match unnamed {
            Some(unnamed) => {
                let kind = fields.get("kind").and_then(Value::as_str).and_then(element_kind);
                finish(unnamed, kind, &mut document.0);
            }
            None => document.0.push(object::read(fields, None)),
        }
        Ok(document)
    }
}

/// The kind of a typed list's elements: `Pod` of `PodList`; nothing for a plain `List`, whose elements say it.
fn element_kind(list_kind: &str) -> Option<&str> {
    list_kind.strip_suffix("List").filter(|kind| !kind.is_empty())
}

fn finish(unnamed: Vec<Value>, kind: Option<&str>, read: &mut Vec<Read>) {
    for value in unnamed {
        take(value, kind, read);
    }
}

/// Reads one element; a List within a list is opened. Values are at most as deep as the readers allow.
fn take(value: Value, kind: Option<&str>, read: &mut Vec<Read>) {
    match value {
        Value::Object(mut fields) => match fields.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => {
                let kind = fields.get("kind").and_then(Value::as_str).and_then(element_kind);
                finish(items, kind, read);
            }
            _ => read.push(object::read(fields, kind)),
        },
        other => read.push(Err(Rejected {
            object: format!("item {}", read.len() + 1),
            field: String::new(),
            problem: format!("is {}, expected an object", object::type_name(&other)),
        })),
    }
}

/// Reads the elements of a list; returns those that name no kind while the list's is not yet known.
struct Items<'a> {
    kind: Option<&'a str>,
    read: &'a mut Vec<Read>,
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = Vec<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Value>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of Kubernetes objects")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Vec<Value>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Value>, A::Error> {
        let mut unnamed = Vec::new();
        while let Some(value) = seq.next_element::<Value>()? {
            if self.kind.is_none() && value.is_object() && value.get("kind").is_none() {
                unnamed.push(value);
            } else {
                take(value, self.kind, self.read);
            }
        }
        Ok(unnamed)
    }
}
