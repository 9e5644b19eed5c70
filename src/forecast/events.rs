//! Known events on a series' axis.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use super::{DAY_MS, WEEK_MS};
use crate::domain::policy::{KnownEvent, Repeat};
use crate::domain::snapshot::Workload;
use crate::domain::{Snapshot, Subject};

/// Spans of one event looked at; ten years of weeks.
const MOST_SPANS: usize = 520;

/// Whether an event is meant for a subject. A series with a name of its own is meant by its name, or where the event
/// selects nothing in particular; a workload as the policy's targets mean it, by labels only where the cluster is known.
#[must_use]
pub fn concerns(event: &KnownEvent, subject: &Subject, snapshot: Option<&Snapshot>) -> bool {
    let selects = &event.selects;
    let unlabelled = selects.labels.match_labels.is_empty() && selects.labels.match_expressions.is_empty();
    let Some(id) = subject.workload() else {
        let by_name = selects.namespaces.is_empty() && selects.kinds.is_empty() && unlabelled;
        return by_name && selects.matches_name(&subject.to_string());
    };
    let workload: Option<&Workload> = snapshot.and_then(|s| s.workloads.iter().find(|w| w.id == *id));
    match workload {
        Some(workload) => selects.matches(workload),
        None => selects.matches_id(id) && unlabelled,
    }
}

/// The event's spans that reach into `from_ms..to_ms`, repeats included, in the order of their starts.
#[must_use]
pub fn spans(event: &KnownEvent, from_ms: i64, to_ms: i64) -> Vec<(i64, i64)> {
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
    use crate::domain::WorkloadId;
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
            assert_eq!(
                (concerns(&event, &api, None), concerns(&event, &series, None)),
                (on_workload, on_series),
                "{event:?}"
            );
        }
    }
}
