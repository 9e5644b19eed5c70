//! Checked reading of a document: each field is asked for by name, type and range; what is wrong is noted with its
//! place and reading goes on, so that one pass finds every problem; fields nobody asked for are problems too.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::document::{Key, Node, Value, shorten};
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

/// Milliseconds of `90s`, `5m`, `1h30m`, `1.5h`, `200ms`, `2d`, or plain seconds, rounded to the nearest;
/// `None` for anything else and for what does not fit.
#[must_use]
pub fn parse_duration_ms(text: &str) -> Option<i64> {
    const DAY_MS: f64 = 86_400_000.0;
    let whole_ms = |ms: f64| (ms <= 1e15).then(|| ms.round() as i64);
    if let Some(seconds) = decimal(text) {
        return whole_ms(seconds * 1000.0);
    }
    let mut rest = text;
    let mut total = 0.0;
    let mut last_unit = f64::INFINITY;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let unit_ms = match unit {
            "ms" => 1.0,
            "s" => 1000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => DAY_MS,
            _ => return None,
        };
        // Largest unit first, each once: `5m5m` and `5s1h` are slips, not durations.
        if unit_ms >= last_unit {
            return None;
        }
        last_unit = unit_ms;
        total += decimal(number)? * unit_ms;
        rest = after;
    }
    if last_unit.is_finite() { whole_ms(total) } else { None }
}

/// Digits with at most one point.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && text.bytes().any(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// The candidate that is most likely meant, if one is near: at most a third of its letters differ.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (edits(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete, replace or swap with the next (optimal string alignment distance); words longer than
/// 64 bytes are far from all.
fn edits(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut cost = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            cost[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = cost[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let swapped = if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    cost[i - 2][j - 2] + 1
                } else {
                    usize::MAX
                };
                replaced.min(cost[i - 1][j] + 1).min(cost[i][j - 1] + 1).min(swapped)
            };
        }
    }
    cost[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in [
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("200ms", 200),
            ("2d", 172_800_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("15", 15_000),
            ("0.2", 200),
            ("0", 0),
        ] {
            assert_eq!(parse_duration_ms(text), Some(ms), "{text}");
        }
        for text in
            ["", "s", "5", "1y", "5m5m", "5s1h", "1h-5m", "-5s", "1e3", "inf", "NaN", "1 h", "h1", "1.2.3s", "5M"]
        {
            assert_eq!(parse_duration_ms(text), (text == "5").then_some(5000), "{text}");
        }
        assert_eq!(parse_duration_ms(&format!("{}d", "9".repeat(400))), None);
    }

    #[test]
    fn the_word_meant_is_found_by_missing_extra_wrong_and_swapped_letters() {
        let known = ["minReplicas", "maxReplicas", "quota", "mode"];
        for (word, near) in [
            ("minReplica", Some("minReplicas")),
            ("minreplicas", Some("minReplicas")),
            ("maxRepilcas", Some("maxReplicas")),
            ("qouta", Some("quota")),
            ("modes", Some("mode")),
            ("replicas", Some("minReplicas")),
            ("objective", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), near, "{word}");
        }
    }

    proptest! {
        #[test]
        fn distance_is_symmetric_and_nothing_only_between_equals(a in "[a-d]{0,8}", b in "[a-d]{0,8}") {
            prop_assert_eq!(edits(&a, &b), edits(&b, &a));
            prop_assert_eq!(edits(&a, &b) == 0, a == b);
        }

        #[test]
        fn whole_seconds_are_read_back(seconds in 0i64..100_000_000) {
            prop_assert_eq!(parse_duration_ms(&format!("{seconds}s")), Some(seconds * 1000));
            prop_assert_eq!(parse_duration_ms(&seconds.to_string()), Some(seconds * 1000));
        }

        #[test]
        fn any_duration_is_read_or_refused(text in "\\PC{0,20}") {
            let _ = parse_duration_ms(&text);
        }
    }
}
