//! Marks and the effects of known events in words.

use crate::domain::Signal;
use crate::domain::forecast::{Change, EventEffect, Mark, MarkKind};
use crate::domain::series::is_numbered;
use crate::format::{count, counted, date_time, printable, signal_value, significant};

/// What a mark stands for.
pub(super) fn kind(kind: &MarkKind) -> String {
    match kind {
        MarkKind::Spike => "spike".to_owned(),
        MarkKind::Outage => "outage".to_owned(),
        MarkKind::LevelShift => "level shift".to_owned(),
        MarkKind::Deploy => "deploy".to_owned(),
        MarkKind::Event(name) => printable(name),
    }
}

/// When it begins and ends; tables that number their steps show those. A change of level has no end.
pub(super) fn span(mark: &Mark, step_ms: i64) -> (String, Option<String>) {
    let lasts = !matches!(mark.kind, MarkKind::LevelShift | MarkKind::Deploy);
    // On numbered steps the last one covered says more than the first one after.
    let end_ms = if is_numbered(step_ms) { mark.end_ms - 1 } else { mark.end_ms };
    (instant(mark.start_ms, step_ms), lasts.then(|| instant(end_ms, step_ms)))
}

/// An instant, or the number of a step.
pub(super) fn instant(time_ms: i64, step_ms: i64) -> String {
    if is_numbered(step_ms) { format!("step {}", significant_count(time_ms)) } else { date_time(time_ms) }
}

fn significant_count(step: i64) -> String {
    usize::try_from(step).map_or_else(|_| step.to_string(), count)
}

/// How far the values lie from what was expected.
pub(super) fn size(mark: &Mark, signal: Signal) -> Option<String> {
    mark.size.filter(|size| size.is_finite()).map(|size| signed(signal, size))
}

fn signed(signal: Signal, value: f64) -> String {
    format!("{}{}", if value < 0.0 { "−" } else { "+" }, signal_value(signal, value.abs()))
}

/// What an event was found to do, and how sure that is.
pub(super) fn effect(effect: &EventEffect, signal: Signal) -> String {
    let past = counted(effect.occurrences, "past occurrence");
    let found = match effect.change {
        None => "never seen, so its steps are only made wider".to_owned(),
        Some(Change::Factor(factor)) => {
            let chance = chance(factor - 1.0, effect.error);
            format!("× {} ± {} from {past}{chance}", significant(factor, 3), significant(effect.error, 1))
        }
        Some(Change::Addend(addend)) => {
            let (change, error) = (signed(signal, addend), signal_value(signal, effect.error));
            format!("{change} ± {error} from {past}{}", chance(addend, effect.error))
        }
    };
    let ahead = match effect.steps_ahead {
        0 => "none ahead".to_owned(),
        steps => format!("covers {} ahead", counted(steps, "step")),
    };
    format!("{}: {found}; {ahead}", printable(&effect.event))
}

/// A change within two standard errors of none may be none.
fn chance(change: f64, error: f64) -> &'static str {
    if change.abs() <= 2.0 * error { ", which may be chance" } else { "" }
}

/// How many of each kind there are, e.g. `2 spikes, 1 outage`; events are named by their effects.
pub(super) fn summary<'a>(kinds: impl Iterator<Item = &'a MarkKind>) -> Option<String> {
    let mut counts = [("spike", 0), ("outage", 0), ("level shift", 0), ("deploy", 0)];
    for kind in kinds {
        let slot = match kind {
            MarkKind::Spike => 0,
            MarkKind::Outage => 1,
            MarkKind::LevelShift => 2,
            MarkKind::Deploy => 3,
            MarkKind::Event(_) => continue,
        };
        counts[slot].1 += 1;
    }
    let texts: Vec<String> = counts.iter().filter(|(_, n)| *n > 0).map(|(noun, n)| counted(*n, noun)).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(kind: MarkKind, size: Option<f64>) -> Mark {
        Mark { kind, start_ms: 10, end_ms: 14, size }
    }

    #[test]
    fn spans_count_steps_to_the_last_one_and_changes_of_level_have_no_end() {
        assert_eq!(span(&mark(MarkKind::Spike, None), 1), ("step 10".to_owned(), Some("step 13".to_owned())));
        assert_eq!(span(&mark(MarkKind::Deploy, None), 1), ("step 10".to_owned(), None));
        let day = Mark { start_ms: 0, end_ms: 86_400_000, ..mark(MarkKind::Outage, None) };
        assert_eq!(span(&day, 60_000).1.as_deref(), Some("2 Jan 1970 00:00 UTC"));
    }

    #[test]
    fn sizes_carry_their_sign_and_unit() {
        assert_eq!(size(&mark(MarkKind::Outage, Some(-2.5)), Signal::CpuCores).as_deref(), Some("−2.5 cores"));
        assert_eq!(size(&mark(MarkKind::Spike, Some(380.4)), Signal::Value).as_deref(), Some("+380"));
        assert_eq!(size(&mark(MarkKind::Event("x".into()), None), Signal::Value), None);
    }

    #[test]
    fn an_effect_says_how_sure_it_is_and_when_it_may_be_chance() {
        let told = |change, error, steps_ahead| {
            let seen = EventEffect { event: "sale".into(), occurrences: 3, steps_ahead, change, error };
            effect(&seen, Signal::Value)
        };
        assert_eq!(
            told(Some(Change::Factor(1.424)), 0.052, 24),
            "sale: × 1.42 ± 0.05 from 3 past occurrences; covers 24 steps ahead"
        );
        assert!(told(Some(Change::Factor(1.05)), 0.05, 0).ends_with("which may be chance; none ahead"));
        assert!(told(Some(Change::Addend(-8.0)), 1.0, 1).starts_with("sale: −8 ± 1 from"));
        assert!(told(None, 0.0, 5).contains("never seen"));
    }

    #[test]
    fn a_summary_counts_each_kind_once() {
        let kinds = [MarkKind::Deploy, MarkKind::Spike, MarkKind::Spike, MarkKind::Event("x".into())];
        assert_eq!(summary(kinds.iter()).as_deref(), Some("2 spikes, 1 deploy"));
        assert_eq!(summary(kinds[3..].iter()), None);
    }
}
