//! Checked reading of a document: each field is asked for by name, type and range; what is wrong is noted with its
//! place and reading goes on, so that one pass finds every problem; fields nobody asked for are problems too.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::document::{Key, Node, Value, shorten};
use super::words::{nearest, parse_duration_ms};
use crate::domain::policy::Place;
use crate::domain::quantity;
use crate::domain::rules::{LabelSelector, Labels, Operator, Requirement};
use crate::domain::snapshot::Amount;
use crate::domain::{InputError, Location, Resources};

/// What reading one document has found so far.
#[derive(Debug, Default)]
pub struct Reading {
    /// The file's name for messages.
    pub file: String,
    /// Problems in the order of reading.
    pub problems: Vec<InputError>,
    /// Where each field stands, by its path.
    pub places: BTreeMap<String, Place>,
}

impl Reading {
    /// Nothing read yet.
    pub fn new(file: impl Into<String>) -> Self {
        Self { file: file.into(), ..Self::default() }
    }

    /// Notes a problem at a place.
    pub fn problem(&mut self, place: Place, problem: impl Into<String>) {
        self.problems.push(InputError::at(&self.file, Location::LineColumn(place.line, place.column), problem));
    }

    /// Notes a problem at a place, with advice.
    pub fn problem_with_hint(&mut self, place: Place, problem: impl Into<String>, hint: impl Into<String>) {
        self.problem(place, problem);
        if let Some(last) = self.problems.last_mut() {
            last.hint = Some(hint.into());
        }
    }

    /// Reads a node that must be a mapping; fields that `read` does not ask for are noted as unknown.
    /// `path` names the mapping in messages and is the prefix of its fields' places.
    pub fn mapping<T>(&mut self, node: &Node, path: &str, read: impl FnOnce(&mut Fields<'_>) -> T) -> Option<T> {
        let Value::Map(entries) = &node.value else {
            let named = if path.is_empty() { String::new() } else { format!("{path}: ") };
            self.problem(node.place, format!("{named}expected a mapping, found {}", node.value.describe()));
            return None;
        };
        let mut fields = Fields { reading: self, entries, path, place: node.place, asked: Vec::new() };
        let value = read(&mut fields);
        fields.report_unknown();
        Some(value)
    }
}

/// The fields of one mapping.
#[derive(Debug)]
pub struct Fields<'r> {
    reading: &'r mut Reading,
    entries: &'r [(Key, Node)],
    path: &'r str,
    place: Place,
    asked: Vec<&'static str>,
}

/// Bounds of a number; the words are for messages, e.g. `above 0 and at most 1`.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// What is allowed, in words.
    pub words: &'static str,
    /// Whether a number is allowed.
    pub allow: fn(f64) -> bool,
}

/// 0 and up.
pub const NOT_NEGATIVE: Bounds = Bounds { words: "0 or more", allow: |x| x >= 0.0 };
/// Above 0.
pub const POSITIVE: Bounds = Bounds { words: "above 0", allow: |x| x > 0.0 };
/// 0..=1.
pub const SHARE: Bounds = Bounds { words: "from 0 to 1", allow: |x| (0.0..=1.0).contains(&x) };
/// Above 0 and at most 1.
pub const POSITIVE_SHARE: Bounds = Bounds { words: "above 0 and at most 1", allow: |x| x > 0.0 && x <= 1.0 };
/// Strictly between 0 and 1.
pub const PROBABILITY: Bounds = Bounds { words: "between 0 and 1", allow: |x| x > 0.0 && x < 1.0 };

impl<'r> Fields<'r> {
    /// Where the mapping stands.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// Path of the mapping.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path
    }

    /// Path of one of its fields.
    #[must_use]
    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// What is being read, to note problems.
    pub fn reading(&mut self) -> &mut Reading {
        self.reading
    }

    /// The field, if it is given.
    pub fn take(&mut self, name: &'static str) -> Option<&'r Node> {
        self.asked.push(name);
        let entries = self.entries;
        let (key, node) = entries.iter().find(|(key, _)| key.text == name)?;
        let path = self.path_of(name);
        if node.value == Value::Null {
            let problem = format!("{path} is given without a value");
            self.reading.problem_with_hint(key.place, problem, "give it a value or leave the field out");
            return None;
        }
        self.reading.places.insert(path, key.place);
        Some(node)
    }

    /// The field under its name or its other spelling.
    pub fn take_either(&mut self, name: &'static str, other: &'static str) -> Option<&'r Node> {
        let first = self.take(name);
        let second = self.take(other);
        if let (Some(_), Some(node)) = (first, second) {
            let problem = format!("{} and {} are the same field", self.path_of(name), self.path_of(other));
            self.reading.problem_with_hint(node.place, problem, "keep one of the two");
        }
        if let (None, Some(place)) = (first, self.reading.places.remove(&self.path_of(other))) {
            let path = self.path_of(name);
            self.reading.places.insert(path, place);
        }
        first.or(second)
    }

    /// Notes that the field must be given, unless it is there.
    pub fn require(&mut self, name: &'static str, advice: &str) {
        if !self.entries.iter().any(|(key, _)| key.text == name) {
            let problem = format!("{} is missing", self.path_of(name));
            self.reading.problem_with_hint(self.place, problem, advice);
        }
    }

    /// Notes a problem with the field's value.
    pub fn problem(&mut self, name: &str, problem: &str) {
        let place = self.entries.iter().find(|(key, _)| key.text == name).map_or(self.place, |(_, node)| node.place);
        let problem = format!("{}: {problem}", self.path_of(name));
        self.reading.problem(place, problem);
    }

    fn expected<T>(&mut self, name: &str, expected: &str, node: &Node) -> Option<T> {
        let problem = format!("{}: expected {expected}, found {}", self.path_of(name), node.value.describe());
        self.reading.problem(node.place, problem);
        None
    }

    /// A nested mapping.
    pub fn mapping<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Fields<'_>) -> T) -> Option<T> {
        let node = self.take(name)?;
        let path = self.path_of(name);
        self.reading.mapping(node, &path, read)
    }

    /// A list, its items read one by one with their paths; items that `read` refuses are left out.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Reading, &Node, &str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let node = self.take(name)?;
        let Value::List(items) = &node.value else { return self.expected(name, "a list", node) };
        let path = self.path_of(name);
        Some(
            items
                .iter()
                .enumerate()
                .filter_map(|(i, item)| read(self.reading, item, &format!("{path}[{i}]")))
                .collect(),
        )
    }

    /// A list of at least one item, read as by [`Fields::list`].
    pub fn filled_list<T>(
        &mut self,
        name: &'static str,
        read: impl FnMut(&mut Reading, &Node, &str) -> Option<T>,
    ) -> Option<Vec<T>> {
        if self.entries.iter().any(|(key, node)| key.text == name && node.value == Value::List(Vec::new())) {
            self.problem(name, "expected at least one item");
        }
        self.list(name, read)
    }

    /// A text. Numbers and booleans are refused: YAML would read `1.10` as 1.1.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        let node = self.take(name)?;
        let path = self.path_of(name);
        text(self.reading, node, &path)
    }

    /// A list of texts.
    pub fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        self.list(name, text)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let node = self.take(name)?;
        match node.value {
            Value::Bool(value) => Some(value),
            _ => self.expected(name, "true or false", node),
        }
    }

    /// A whole number in a range.
    pub fn whole(&mut self, name: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let node = self.take(name)?;
        let number = match &node.value {
            Value::Number(text) => text.parse().ok().filter(|n| range.contains(n)),
            _ => None,
        };
        let expected = || format!("a whole number from {} to {}", range.start(), range.end());
        number.or_else(|| self.expected(name, &expected(), node))
    }

    /// A finite number within bounds.
    pub fn number(&mut self, name: &'static str, bounds: Bounds) -> Option<f64> {
        let node = self.take(name)?;
        let number = match &node.value {
            Value::Number(text) => text.parse().ok().filter(|x: &f64| x.is_finite() && (bounds.allow)(*x)),
            _ => None,
        };
        number.or_else(|| self.expected(name, &format!("a number {}", bounds.words), node))
    }

    /// A duration in milliseconds, within bounds of milliseconds; `words` say the bounds, e.g. `from 1s to 30d`.
    pub fn duration_ms(&mut self, name: &'static str, range: RangeInclusive<i64>, words: &str) -> Option<i64> {
        let node = self.take(name)?;
        self.duration_ms_of(name, node, range, words)
    }

    /// The duration that a field's node holds, read as by [`Fields::duration_ms`].
    pub fn duration_ms_of(
        &mut self,
        name: &'static str,
        node: &Node,
        range: RangeInclusive<i64>,
        words: &str,
    ) -> Option<i64> {
        let duration = match &node.value {
            Value::Number(text) | Value::Text(text) => parse_duration_ms(text).filter(|ms| range.contains(ms)),
            _ => None,
        };
        duration.or_else(|| self.expected(name, &format!("a duration {words} such as 90s, 5m or 1h30m"), node))
    }

    /// One of several words.
    pub fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let node = self.take(name)?;
        let Value::Text(word) = &node.value else {
            return self.expected(name, &format!("one of {}", words(choices)), node);
        };
        if let Some((_, value)) = choices.iter().find(|(w, _)| w == word) {
            return Some(*value);
        }
        let problem = format!("{}: expected one of {}, found {:?}", self.path_of(name), words(choices), shorten(word));
        match nearest(word, choices.iter().map(|(w, _)| *w)) {
            Some(near) => self.reading.problem_with_hint(node.place, problem, format!("did you mean {near}?")),
            None => self.reading.problem(node.place, problem),
        }
        None
    }

    /// One of several words, or `absent` where the field is not given; `None` only if it is wrong.
    pub fn choice_or<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)], absent: T) -> Option<T> {
        let given = self.entries.iter().any(|(key, _)| key.text == name);
        let chosen = self.choice(name, choices);
        if given { chosen } else { Some(absent) }
    }

    /// A count of pods or nodes, or a percentage of them.
    pub fn amount(&mut self, name: &'static str) -> Option<Amount> {
        let node = self.take(name)?;
        let amount = match &node.value {
            Value::Number(text) => text.parse().ok().filter(|n| i32::try_from(*n).is_ok()).map(Amount::Count),
            Value::Text(text) => text
                .strip_suffix('%')
                .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .filter(|percent| *percent <= 100)
                .map(Amount::Percent),
            _ => None,
        };
        amount.or_else(|| self.expected(name, "a count such as 3 or a percentage from 0% to 100%", node))
    }

    /// Amounts of resources as Kubernetes quantities, by resource name; `None` if any of them is wrong.
    pub fn resources(&mut self, name: &'static str) -> Option<Resources> {
        let node = self.take(name)?;
        let Value::Map(entries) = &node.value else {
            return self.expected(name, "a mapping of resource names to quantities", node);
        };
        let path = self.path_of(name);
        let mut resources = Some(Resources::default());
        for (key, node) in entries {
            self.reading.places.insert(format!("{path}.{}", key.text), key.place);
            let amount = quantity_of(self.reading, &path, key, node);
            match (&mut resources, amount) {
                (Some(resources), Some(amount)) => resources.set(&key.text, amount),
                _ => resources = None,
            }
        }
        resources
    }

    /// Texts by name.
    pub fn labels(&mut self, name: &'static str) -> Option<Labels> {
        let node = self.take(name)?;
        let Value::Map(entries) = &node.value else {
            return self.expected(name, "a mapping of texts to texts", node);
        };
        let path = self.path_of(name);
        Some(
            entries
                .iter()
                .filter_map(|(key, node)| {
                    let value = text(self.reading, node, &format!("{path}.{}", key.text))?;
                    Some((key.text.clone(), value))
                })
                .collect(),
        )
    }

    /// `matchLabels` and `matchExpressions` of the mapping.
    pub fn label_selector(&mut self) -> LabelSelector {
        LabelSelector {
            match_labels: self.labels("matchLabels").unwrap_or_default(),
            match_expressions: self
                .list("matchExpressions", |reading, node, path| reading.mapping(node, path, requirement).flatten())
                .unwrap_or_default(),
        }
    }

    fn report_unknown(&mut self) {
        for (key, _) in self.entries {
            if self.asked.contains(&key.text.as_str()) {
                continue;
            }
            let problem = format!("unknown field {:?}", shorten(&self.path_of(&key.text)));
            let known = self.asked.join(", ");
            let hint = match nearest(&key.text, self.asked.iter().copied()) {
                Some(near) => format!("did you mean {near}? known here: {known}"),
                None => format!("known here: {known}"),
            };
            self.reading.problem_with_hint(key.place, problem, hint);
        }
    }
}

/// Reads `name` of an object's `metadata`. Kubernetes' other fields may stand beside it, so that one file serves both
/// as a file and as an object.
pub fn object_name(metadata: &mut Fields<'_>) -> Option<String> {
    metadata.require("name", "name the object, e.g. metadata: {name: example}");
    metadata.text("namespace");
    metadata.labels("labels");
    metadata.labels("annotations");
    metadata.text("name")
}

fn requirement(fields: &mut Fields<'_>) -> Option<Requirement> {
    fields.require("key", "name the label");
    fields.require("operator", "say In, NotIn, Exists or DoesNotExist");
    let key = fields.text("key");
    let operator = fields.choice(
        "operator",
        &[
            ("In", Operator::In),
            ("NotIn", Operator::NotIn),
            ("Exists", Operator::Exists),
            ("DoesNotExist", Operator::DoesNotExist),
        ],
    );
    let values = fields.texts("values").unwrap_or_default();
    let (key, operator) = (key?, operator?);
    let wants_values = matches!(operator, Operator::In | Operator::NotIn);
    if wants_values && values.is_empty() {
        fields.problem("values", "expected at least one value for In and NotIn");
    } else if !wants_values && !values.is_empty() {
        fields.problem("values", "expected no values for Exists and DoesNotExist");
    }
    Some(Requirement { key, operator, values })
}

/// Reads a node that must be a text, as [`Fields::text`] does.
pub fn text(reading: &mut Reading, node: &Node, path: &str) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        other => {
            let problem = format!("{path}: expected a text, found {}", other.describe());
            match other {
                Value::Bool(_) | Value::Number(_) => {
                    reading.problem_with_hint(node.place, problem, "put quotes around it");
                }
                _ => reading.problem(node.place, problem),
            }
            None
        }
    }
}

fn quantity_of(reading: &mut Reading, path: &str, key: &Key, node: &Node) -> Option<i64> {
    let (Value::Text(written) | Value::Number(written)) = &node.value else {
        let found = node.value.describe();
        reading.problem(node.place, format!("{path}.{}: expected a quantity, found {found}", key.text));
        return None;
    };
    match quantity::parse_amount(&key.text, written) {
        Ok(amount) if !written.starts_with('-') => Some(amount),
        Ok(_) => {
            let problem = format!("{path}.{}: expected 0 or more, found {}", key.text, shorten(written));
            reading.problem(node.place, problem);
            None
        }
        Err(_) => {
            let problem = format!("{path}.{}: expected a quantity, found {:?}", key.text, shorten(written));
            let hint = "write a number with an optional suffix, e.g. 250m, 1.5, 128Mi, 2Gi";
            reading.problem_with_hint(node.place, problem, hint);
            None
        }
    }
}

fn words<T>(choices: &[(&str, T)]) -> String {
    choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
}
