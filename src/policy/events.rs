//! Known events: holidays, sales, load tests; as a part of a policy or as a document of their own.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

use super::read::from_top_to_bottom;
use super::target::read_selector;
use crate::domain::InputError;
use crate::domain::policy::{KnownEvent, Place, Repeat};
use crate::ingest::Source;
use crate::ingest::document::{self, Limits, Node};
use crate::ingest::fields::{Fields, Reading, text};

const LIMITS: Limits = Limits { bytes: 1 << 20, nodes: 100_000 };

/// 2026-01-01T00:00:00Z, seconds since the Unix epoch.
const NEW_YEAR_2026_S: i64 = 1_767_225_600;

const REPEATS: [(&str, Repeat); 3] =
    [("weekly", Repeat::Weekly), ("monthly", Repeat::Monthly), ("yearly", Repeat::Yearly)];

/// Reads a document that is a mapping with `events`, as a policy's `spec` has them.
///
/// # Errors
/// Every problem, each with its line and column, from top to bottom. Never an empty list.
pub fn parse_events(source: &Source) -> Result<Vec<KnownEvent>, Vec<InputError>> {
    let root = document::read(source, LIMITS).map_err(|error| vec![error])?;
    let mut reading = Reading::new(&source.name);
    let events = reading.mapping(&root, "", |fields| {
        fields.require("events", "list them under events:");
        read_events(fields)
    });
    match events {
        Some(events) if reading.problems.is_empty() => Ok(events),
        _ => Err(from_top_to_bottom(reading.problems)),
    }
}

/// Reads `events`.
pub(super) fn read_events(fields: &mut Fields<'_>) -> Vec<KnownEvent> {
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    let events = fields.list("events", |reading, node, path| {
        let event = reading.mapping(node, path, read_event).flatten()?;
        if let Some(first) = names.insert(event.name.clone(), node.place) {
            let problem = format!("an event named {:?} stands in line {} already", event.name, first.line);
            reading.problem_with_hint(node.place, problem, "give all its dates in one list: dates: [2026-11-27, …]");
        }
        Some(event)
    });
    events.unwrap_or_default()
}

fn read_event(fields: &mut Fields<'_>) -> Option<KnownEvent> {
    fields.require("name", "name the event; the report's marks carry it");
    let name = fields.text("name");
    if name.as_deref().is_some_and(|name| name.trim().is_empty() || name.chars().count() > 100) {
        fields.problem("name", "expected 1 to 100 characters");
    }
    let offset = read_offset(fields);
    let spans = read_spans(fields, offset);
    let repeats = fields.choice("repeats", &REPEATS);
    let selects = fields.mapping("selector", read_selector).unwrap_or_default();
    if let (Some(repeats), Some(spans)) = (repeats, &spans) {
        let shortest = match repeats {
            Repeat::Weekly => 7,
            Repeat::Monthly => 28,
            Repeat::Yearly => 365,
        };
        if spans.iter().any(|(start, end)| end - start > shortest * 86_400_000) {
            fields.problem(
                "repeats",
                &format!("the event is longer than the {shortest} days after which it comes again"),
            );
        }
    }
    Some(KnownEvent { name: name?, spans: spans?, repeats, selects })
}

/// Days begin where this offset has its midnight.
fn read_offset(fields: &mut Fields<'_>) -> Offset {
    let Some(text) = fields.text("utcOffset") else { return Offset::UTC };
    // A timestamp is the one place where an offset is parsed on its own account.
    let Ok(midnight) = format!("2026-01-01T00:00:00{text}").parse::<Timestamp>() else {
        fields.problem("utcOffset", &format!("found {text:?} where an offset such as \"+01:00\" was expected"));
        return Offset::UTC;
    };
    let seconds = NEW_YEAR_2026_S - midnight.as_second();
    i32::try_from(seconds).ok().and_then(|s| Offset::from_seconds(s).ok()).unwrap_or(Offset::UTC)
}

/// Exactly one of: `date`, `dates`, or `start` and `end`.
fn read_spans(fields: &mut Fields<'_>, offset: Offset) -> Option<Vec<(i64, i64)>> {
    let date = fields.take("date");
    let dates = fields.list("dates", |reading, node, path| read_day(reading, node, path, offset));
    let (start, end) = (fields.take("start"), fields.take("end"));
    let (date_path, start_path, end_path) = (fields.path_of("date"), fields.path_of("start"), fields.path_of("end"));
    match (date, dates, start, end) {
        (Some(node), None, None, None) => read_day(fields.reading(), node, &date_path, offset).map(|day| vec![day]),
        (None, Some(days), None, None) => {
            if days.is_empty() && fields.reading().problems.is_empty() {
                fields.problem("dates", "expected at least one day");
            }
            Some(days)
        }
        (None, None, Some(first), Some(last)) => {
            let start_ms = read_instant(fields.reading(), first, &start_path, offset);
            let end_ms = read_instant(fields.reading(), last, &end_path, offset);
            let (start_ms, end_ms) = (start_ms?, end_ms?);
            if end_ms <= start_ms {
                fields.reading().problem(last.place, format!("{end_path}: expected a time after the start"));
                return None;
            }
            Some(vec![(start_ms, end_ms)])
        }
        _ => {
            let place = fields.place();
            let path = fields.path().to_owned();
            let problem = format!("{path}: expected exactly one of date, dates, or start with end");
            fields.reading().problem(place, problem);
            None
        }
    }
}

fn read_day(reading: &mut Reading, node: &Node, path: &str, offset: Offset) -> Option<(i64, i64)> {
    let written = text(reading, node, path)?;
    let day: Option<Date> = written.parse().ok().filter(|_| written.len() == 10);
    let span =
        day.and_then(|day| Some((midnight_ms(day, offset)?, midnight_ms(day.checked_add(1.day()).ok()?, offset)?)));
    if span.is_none() {
        reading.problem(node.place, format!("{path}: found {written:?} where a day such as 2026-12-25 was expected"));
    }
    span
}

fn midnight_ms(day: Date, offset: Offset) -> Option<i64> {
    let zoned = day.to_zoned(TimeZone::fixed(offset)).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

fn read_instant(reading: &mut Reading, node: &Node, path: &str, offset: Offset) -> Option<i64> {
    let written = text(reading, node, path)?;
    let instant = written.parse::<Timestamp>().ok().map(Timestamp::as_millisecond).or_else(|| {
        let civil: jiff::civil::DateTime = written.parse().ok()?;
        Some(civil.to_zoned(TimeZone::fixed(offset)).ok()?.timestamp().as_millisecond())
    });
    if instant.is_none() {
        let problem = format!("{path}: found {written:?} where a time such as 2026-11-27T08:00:00Z was expected");
        reading.problem(node.place, problem);
    }
    instant
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<KnownEvent>, Vec<String>> {
        let source = Source { name: "e.yaml".into(), bytes: text.as_bytes().to_vec() };
        parse_events(&source).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn days_and_times_are_read_with_their_offset_and_their_repeats() {
        let text = "events:\n- {name: new year, date: 2026-01-01, repeats: yearly, utcOffset: \"+01:00\"}\n\
                    - name: sale\n  dates: [2026-11-27, 2026-11-30]\n  selector: {namespaces: [shop]}\n\
                    - {name: test, start: 2026-11-20T10:00:00Z, end: 2026-11-20T12:30:00+02:00}\n";
        let events = read(text).unwrap();
        assert_eq!(events[0].spans, [(1_767_225_600_000 - 3_600_000, 1_767_312_000_000 - 3_600_000)]);
        assert_eq!(events[0].repeats, Some(Repeat::Yearly));
        assert_eq!(events[1].spans.len(), 2);
        assert_eq!(events[1].selects.namespaces, ["shop"]);
        assert_eq!(events[2].spans[0].1 - events[2].spans[0].0, 30 * 60_000);
    }

    #[test]
    fn every_problem_has_its_line_and_column() {
        for (text, expected) in [
            ("events:\n- {date: 2026-01-01}\n", "e.yaml:2:3: events[0].name is missing"),
            (
                "events:\n- {name: a, date: 2026-02-30}\n",
                "e.yaml:2:19: events[0].date: found \"2026-02-30\" where a day such as 2026-12-25 was expected",
            ),
            ("events:\n- {name: a}\n", "e.yaml:2:3: events[0]: expected exactly one of date, dates, or start with end"),
            (
                "events:\n- name: a\n  start: 2026-01-02\n  end: 2026-01-01\n",
                "e.yaml:4:8: events[0].end: expected a time after the start",
            ),
            ("events:\n- {name: a, date: 2026-01-01, repeats: hourly}\n", "e.yaml:2:40: "),
            (
                "events:\n- {name: a, date: 2026-01-01}\n- {name: a, date: 2026-01-02}\n",
                "e.yaml:3:3: an event named \"a\" stands in line 2 already",
            ),
            ("events:\n- {name: a, date: 2026-01-01, when: now}\n", "e.yaml:2:31: "),
            ("events:\n- {name: a, date: 2026-01-01, utcOffset: CET}\n", "e.yaml:2:42: "),
            ("holidays: []\n", "e.yaml:1:1: "),
        ] {
            let problems = read(text).unwrap_err();
            assert!(problems.iter().any(|p| p.starts_with(expected)), "{text}: {problems:?}");
        }
    }
}
