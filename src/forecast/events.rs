//! Known events: whom they concern, and which steps of a series' axis they cover.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use plimsoll_models::forecast::Event;

use super::{DAY_MS, WEEK_MS};
use crate::domain::forecast::{Mark, MarkKind};
use crate::domain::policy::{KnownEvent, Repeat};
use crate::domain::series::is_numbered;
use crate::domain::{Axis, Snapshot, Subject, WorkloadId};

/// Spans of one event looked at; ten years of weeks.
const MOST_SPANS: usize = 520;

/// Known events, each with the workloads it is meant for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calendar {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    event: KnownEvent,
    /// The workloads that the selector means, where the cluster is known; without it only names tell.
    workloads: Option<BTreeSet<WorkloadId>>,
}

impl Calendar {
    /// These events; labels can be told only where the cluster is known.
    #[must_use]
    pub fn new(known: &[KnownEvent], snapshot: Option<&Snapshot>) -> Self {
        let meant = |event: &KnownEvent| {
            let all = snapshot?.workloads.iter();
            Some(all.filter(|workload| event.selects.matches(workload)).map(|workload| workload.id.clone()).collect())
        };
        Self { entries: known.iter().map(|event| Entry { event: event.clone(), workloads: meant(event) }).collect() }
    }

    /// Whether there is no event at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The steps that each event concerning the subject covers, counted from the axis' first, up to `len` of them. A step
    /// is covered if the event reaches into the time up to the next one.
    pub(super) fn steps(&self, subject: &Subject, axis: &Axis, len: usize) -> Vec<Event> {
        self.entries.iter().filter(|e| e.concerns(subject)).map(|e| e.steps(axis, len)).collect()
    }

    /// The same of every event, whomever it concerns.
    pub(super) fn all_steps(&self, axis: &Axis, len: usize) -> Vec<Event> {
        self.entries.iter().map(|e| e.steps(axis, len)).collect()
    }

    /// A mark for each span of an event concerning the subject that reaches into `from_ms..to_ms`.
    pub(super) fn marks(&self, subject: &Subject, from_ms: i64, to_ms: i64) -> Vec<Mark> {
        let concerned = self.entries.iter().filter(|e| e.concerns(subject)).map(|e| &e.event);
        let marks = concerned.flat_map(|event| {
            let kind = MarkKind::Event(event.name.clone());
            let spans = spans(event, from_ms, to_ms).into_iter();
            spans.map(move |(start_ms, end_ms)| Mark { kind: kind.clone(), start_ms, end_ms, size: None })
        });
        marks.collect()
    }
}

impl Entry {
    /// A series with a name of its own is meant by its name, or where the event selects nothing in particular; a workload
    /// as the policy's targets mean it.
    fn concerns(&self, subject: &Subject) -> bool {
        let selects = &self.event.selects;
        let unlabelled = selects.labels.match_labels.is_empty() && selects.labels.match_expressions.is_empty();
        match (subject.workload(), &self.workloads) {
            (None, _) => {
                let by_name = selects.namespaces.is_empty() && selects.kinds.is_empty() && unlabelled;
                by_name && selects.matches_name(&subject.to_string())
            }
            (Some(id), Some(workloads)) if workloads.contains(id) => true,
            // Not in the dump, but measured: names tell.
            (Some(id), _) => unlabelled && selects.matches_id(id),
        }
    }

    fn steps(&self, axis: &Axis, len: usize) -> Event {
        let step = |time_ms: i64| usize::try_from(time_ms.max(0)).unwrap_or(usize::MAX).min(len);
        let to_steps = |(start_ms, end_ms): (i64, i64)| {
            let (from, to) = (start_ms - axis.start_ms, end_ms - axis.start_ms + axis.step_ms - 1);
            step(from.div_euclid(axis.step_ms))..step(to.div_euclid(axis.step_ms))
        };
        // Steps that are only counted have no place in the calendar.
        let within = if is_numbered(axis.step_ms) { None } else { Some((axis.start_ms, axis.time_ms(len))) };
        let spans = within.map_or_else(Vec::new, |(from_ms, to_ms)| spans(&self.event, from_ms, to_ms));
        Event { name: self.event.name.clone(), steps: spans.into_iter().map(to_steps).collect() }
    }
}

/// The event's spans that reach into `from_ms..to_ms`, repeats included, in the order of their starts.
fn spans(event: &KnownEvent, from_ms: i64, to_ms: i64) -> Vec<(i64, i64)> {
    let mut found: Vec<(i64, i64)> =
        event.spans.iter().flat_map(|&span| repeated(span, event.repeats, from_ms, to_ms)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn repeated(span: (i64, i64), repeats: Option<Repeat>, from_ms: i64, to_ms: i64) -> Vec<(i64, i64)> {
    let length = span.1 - span.0;
    let inside = |start: i64| (start < to_ms && start + length > from_ms).then_some((start, start + length));
    let (Some(repeats), Some(first)) = (repeats, utc(span.0)) else { return inside(span.0).into_iter().collect() };
    let period_ms = match repeats {
        Repeat::Weekly => WEEK_MS,
        Repeat::Monthly => 28 * DAY_MS,
        Repeat::Yearly => 365 * DAY_MS,
    };
    // Never more periods than have passed: the first one looked at is before the range.
    let skipped = ((from_ms - length - span.0) / period_ms).clamp(-20_000, 20_000);
    let skipped = if repeats == Repeat::Weekly { skipped - 1 } else { skipped * 9 / 10 - 2 };
    let mut found = Vec::new();
    for k in (skipped..).take(MOST_SPANS + 2400) {
        let next = match repeats {
            Repeat::Weekly => first.checked_add((7 * k).days()),
            Repeat::Monthly => first.checked_add(k.months()),
            Repeat::Yearly => first.checked_add(k.years()),
        };
        // Beyond the calendar, or a day that this month or year does not have: 31 June, 29 February.
        let Ok(next) = next else { continue };
        if repeats != Repeat::Weekly && next.day() != first.day() {
            continue;
        }
        let start = next.timestamp().as_millisecond();
        if start >= to_ms || found.len() >= MOST_SPANS {
            break;
        }
        found.extend(inside(start));
    }
    found
}

fn utc(time_ms: i64) -> Option<Zoned> {
    Some(Timestamp::from_millisecond(time_ms).ok()?.to_zoned(TimeZone::UTC))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::WorkloadSelector;

    fn event(start: &str, repeats: Option<Repeat>) -> KnownEvent {
        let start: Timestamp = start.parse().unwrap();
        let start_ms = start.as_millisecond();
        KnownEvent {
            name: "e".into(),
            spans: vec![(start_ms, start_ms + DAY_MS)],
            repeats,
            selects: WorkloadSelector::default(),
        }
    }

    fn starts(event: &KnownEvent, from: &str, to: &str) -> Vec<String> {
        let ms = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let spans = spans(event, ms(from), ms(to));
        spans.iter().map(|s| Timestamp::from_millisecond(s.0).unwrap().to_string()[..10].to_owned()).collect()
    }

    #[test]
    fn repeats_follow_the_calendar_before_and_after_the_date_given() {
        let (from, to) = ("2023-12-20T00:00:00Z", "2026-01-10T00:00:00Z");
        let once = event("2025-01-01T00:00:00Z", None);
        assert_eq!(starts(&once, from, to), ["2025-01-01"]);
        let yearly = event("2025-01-01T00:00:00Z", Some(Repeat::Yearly));
        assert_eq!(starts(&yearly, from, to), ["2024-01-01", "2025-01-01", "2026-01-01"]);
        let leap = event("2024-02-29T00:00:00Z", Some(Repeat::Yearly));
        assert_eq!(starts(&leap, from, "2029-01-01T00:00:00Z"), ["2024-02-29", "2028-02-29"]);
        let monthly = event("2025-01-31T00:00:00Z", Some(Repeat::Monthly));
        assert_eq!(
            starts(&monthly, "2025-01-01T00:00:00Z", "2025-06-01T00:00:00Z"),
            ["2025-01-31", "2025-03-31", "2025-05-31"]
        );
        let weekly = event("2020-01-01T00:00:00Z", Some(Repeat::Weekly));
        assert_eq!(starts(&weekly, "2026-01-01T12:00:00Z", "2026-01-15T00:00:00Z"), ["2026-01-07", "2026-01-14"]);
        // One that has begun before the range still reaches into it.
        assert_eq!(starts(&weekly, "2026-01-07T12:00:00Z", "2026-01-08T00:00:00Z"), ["2026-01-07"]);
    }

    #[test]
    fn a_selector_means_workloads_and_series_by_their_names() {
        let named = |names: &[&str], namespaces: &[&str]| KnownEvent {
            selects: WorkloadSelector {
                names: names.iter().map(ToString::to_string).collect(),
                namespaces: namespaces.iter().map(ToString::to_string).collect(),
                ..WorkloadSelector::default()
            },
            ..event("2025-01-01T00:00:00Z", None)
        };
        let api =
            Subject::Workload(WorkloadId { namespace: "shop".into(), kind: "Deployment".into(), name: "api".into() });
        let series = Subject::Named("api".into());
        for (event, on_workload, on_series) in [
            (named(&[], &[]), true, true),
            (named(&["api"], &[]), true, true),
            (named(&["web"], &[]), false, false),
            (named(&[], &["shop"]), true, false),
            (named(&[], &["ops"]), false, false),
        ] {
            let calendar = Calendar::new(&[event], None);
            let concerned = |subject: &Subject| !calendar.marks(subject, 0, i64::MAX / 2).is_empty();
            assert_eq!((concerned(&api), concerned(&series)), (on_workload, on_series), "{calendar:?}");
        }
    }

    #[test]
    fn a_step_is_covered_if_the_event_reaches_into_it() {
        let day = event("2026-01-02T00:00:00Z", None);
        let start_ms = day.spans[0].0 - DAY_MS;
        let half = KnownEvent { spans: vec![(start_ms + 90 * 60_000, start_ms + 120 * 60_000)], ..day.clone() };
        let hours = Axis { start_ms, step_ms: 3_600_000, len: 30 };
        let events = Calendar::new(&[day, half], None).all_steps(&hours, 40);
        // The day goes on beyond what is looked at; the half hour is inside one step.
        assert_eq!([&events[0].steps[0], &events[1].steps[0]], [&(24..40), &(1..2)]);
        let numbered = Axis { start_ms: 0, step_ms: 1, len: 30 };
        assert!(
            Calendar::new(&[event("1970-01-01T00:00:00Z", None)], None).all_steps(&numbered, 40)[0].steps.is_empty()
        );
    }
}
