//! Numbers for people: rounded to what is known, with a unit, times with a zone.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::domain::Signal;
use crate::domain::quantity::format_amount;

/// Stands for a number that is not known.
pub(super) const UNKNOWN: &str = "–";

/// A number with about `digits` significant ones, without a needless exponent, thousands set apart by commas.
/// Not a number: an en dash.
pub(super) fn significant(value: f64, digits: i32) -> String {
    if !value.is_finite() {
        return UNKNOWN.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-6..15).contains(&magnitude) {
        return format!("{value:.*e}", (digits - 1).max(0) as usize);
    }
    let decimals = (digits - 1 - magnitude).max(0) as usize;
    let text = grouped(&format!("{value:.decimals$}"));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Commas between thousands of a decimal number.
fn grouped(text: &str) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("−", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut out = sign.to_owned();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// A whole count, thousands set apart.
pub(super) fn count(value: usize) -> String {
    grouped(&value.to_string())
}

/// A count with its noun: `1 node`, `2 nodes`.
pub(super) fn counted(value: usize, noun: &str) -> String {
    let plural = match noun {
        noun if value == 1 => noun.to_owned(),
        "policy" => "policies".to_owned(),
        "series" => "series".to_owned(),
        noun => format!("{noun}s"),
    };
    format!("{} {plural}", count(value))
}

/// A price an hour: two decimals from one upwards, three significant digits below.
pub(super) fn money(value: f64) -> String {
    if !value.is_finite() {
        UNKNOWN.to_owned()
    } else if value.abs() < 5e-7 {
        "0".to_owned()
    } else if value.abs() >= 1e15 {
        significant(value, 3)
    } else if value.abs() >= 0.995 {
        grouped(&format!("{value:.2}"))
    } else {
        significant(value, 3)
    }
}

/// A price rounded down, so that a bound never claims more than is proven.
pub(super) fn money_at_most(value: f64) -> String {
    money(if value >= 0.995 { (value * 100.0 + 1e-6).floor() / 100.0 } else { value })
}

/// A share of one as a percentage: `0.8 %`, `27 %`, `<0.01 %`.
pub(super) fn percent(share: f64) -> String {
    if !share.is_finite() {
        return UNKNOWN.to_owned();
    }
    let value = share * 100.0;
    let text = match value.abs() {
        0.0 => "0".to_owned(),
        v if v < 0.01 => "<0.01".to_owned(),
        v if v < 9.95 => significant(value, 2),
        _ => significant(value.round(), 4),
    };
    format!("{text} %")
}

/// A change as a signed percentage: `−27 %`, `+4 %`, `±0 %`.
pub(super) fn change(now: f64, then: f64) -> Option<String> {
    if !(now.is_finite() && then.is_finite()) || now <= 0.0 {
        return None;
    }
    let share = (then - now) / now;
    Some(match share {
        s if s.abs() < 0.0005 => "±0 %".to_owned(),
        s if s < 0.0 => format!("−{}", percent(-s)),
        s => format!("+{}", percent(s)),
    })
}

/// A length of time: `350 ms`, `90 s`, `2 h 30 min`, `14 days`.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return UNKNOWN.to_owned();
    }
    let whole = seconds.round().max(0.0);
    let pair = |large: f64, unit: &str, rest: f64, small: &str| {
        if rest < 0.5 { format!("{large} {unit}") } else { format!("{large} {unit} {rest} {small}") }
    };
    match seconds {
        s if s < 1.0 => format!("{} ms", significant(s * 1000.0, 2)),
        s if s < 120.0 => format!("{} s", significant(s, 2)),
        s if s < 7200.0 => format!("{} min", (s / 60.0).round()),
        s if s < 172_800.0 => pair((whole / 3600.0).floor(), "h", ((whole % 3600.0) / 60.0).floor(), "min"),
        s => format!("{} days", significant(s / 86_400.0, 2)),
    }
}

/// Bytes with a binary unit: `1.6 GiB`.
pub(super) fn bytes(value: f64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if !value.is_finite() {
        return UNKNOWN.to_owned();
    }
    let mut scaled = value;
    let mut unit = 0;
    while scaled.abs() >= 1023.5 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    format!("{} {}", significant(scaled, 3), UNITS[unit])
}

/// CPU cores: `180 m` is written as Kubernetes has it, from one upwards in cores.
pub(super) fn cores(value: f64) -> String {
    format!("{} {}", significant(value, 3), if (value - 1.0).abs() < 1e-9 { "core" } else { "cores" })
}

/// An amount of a resource in a table: as Kubernetes writes it, rounded to four digits where that is long.
pub(super) fn readable_amount(resource: &str, amount: i64) -> String {
    let exact = format_amount(resource, amount);
    if exact.len() <= 6 || resource == "cpu" || exact.bytes().all(|b| b.is_ascii_digit()) && resource != "memory" {
        return exact;
    }
    let text = bytes(amount as f64);
    text.trim_end_matches('B').replace(' ', "")
}

/// Two amounts that are read side by side: both of CPU in millicores where one of them is.
pub(super) fn readable_pair(resource: &str, now: i64, then: i64) -> (String, String) {
    if resource == "cpu" && (now % 1000 != 0 || then % 1000 != 0) {
        let millis = |amount: i64| if amount == 0 { "0".to_owned() } else { format!("{amount}m") };
        return (millis(now), millis(then));
    }
    (readable_amount(resource, now), readable_amount(resource, then))
}

/// A value of a signal with its unit.
pub(super) fn signal_value(signal: Signal, value: f64) -> String {
    match signal {
        Signal::CpuCores => cores(value),
        Signal::MemoryBytes => bytes(value),
        Signal::RequestsPerSecond => format!("{} req/s", significant(value, 3)),
        Signal::LatencyMeanSeconds
        | Signal::LatencyP50Seconds
        | Signal::LatencyP95Seconds
        | Signal::LatencyP99Seconds
        | Signal::SchedulingWaitSeconds
        | Signal::DiscoverySeconds => duration(value),
        Signal::QueueLength => format!("{} waiting", significant(value, 3)),
        Signal::Ready | Signal::LoadShare | Signal::Value => significant(value, 3),
    }
}

/// What a signal is called in a sentence.
pub(super) fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::CpuCores => "CPU in use",
        Signal::MemoryBytes => "memory in use",
        Signal::RequestsPerSecond => "requests a second",
        Signal::LatencyMeanSeconds => "mean latency",
        Signal::LatencyP50Seconds => "median latency",
        Signal::LatencyP95Seconds => "latency p95",
        Signal::LatencyP99Seconds => "latency p99",
        Signal::QueueLength => "queue length",
        Signal::Ready => "readiness",
        Signal::SchedulingWaitSeconds => "time to be scheduled",
        Signal::DiscoverySeconds => "time to be found",
        Signal::LoadShare => "load over the fair share",
        Signal::Value => "value",
    }
}

/// A quantile level: `p95`, `p99.9`.
pub(super) fn quantile(level: f64) -> String {
    format!("p{}", significant(level * 100.0, 4))
}

fn utc(time_ms: i64) -> Option<Zoned> {
    Timestamp::from_millisecond(time_ms).ok().map(|t| t.to_zoned(TimeZone::UTC))
}

fn written(time_ms: i64, pattern: &str) -> String {
    utc(time_ms).map_or_else(|| UNKNOWN.to_owned(), |t| t.strftime(pattern).to_string())
}

/// `22 Nov 2026 14:05 UTC`.
pub(super) fn date_time(time_ms: i64) -> String {
    written(time_ms, "%-d %b %Y %H:%M UTC")
}

/// `22 Nov 2026`.
pub(super) fn date(time_ms: i64) -> String {
    written(time_ms, "%-d %b %Y")
}

/// `14:05`, for axes whose caption names the zone.
pub(super) fn clock(time_ms: i64) -> String {
    written(time_ms, "%H:%M")
}

/// `22 Nov`, for axes whose caption names the zone.
pub(super) fn day(time_ms: i64) -> String {
    written(time_ms, "%-d %b")
}

/// `2026-11-22T14:05:00Z`; empty for a time beyond the calendar.
pub(super) fn rfc3339(time_ms: i64) -> String {
    Timestamp::from_millisecond(time_ms).map(|t| t.to_string()).unwrap_or_default()
}

/// `14:05 UTC` on the day of `reference_ms`, else with its date: `23 Nov 14:05 UTC`.
pub(super) fn moment(time_ms: i64, reference_ms: i64) -> String {
    if day(time_ms) == day(reference_ms) { written(time_ms, "%H:%M UTC") } else { written(time_ms, "%-d %b %H:%M UTC") }
}

/// The text with numbers tied to their percent sign, for pages whose lines break anywhere.
pub(super) fn tied(text: &str) -> String {
    printable(text).replace(" %", "\u{a0}%")
}

/// The text without control characters, which could move a terminal's cursor or break a line.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_bidi_control(c) { '\u{fffd}' } else { c }).collect()
}

/// Characters that reorder the text around them.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_carry_the_digits_that_are_known() {
        assert_eq!(significant(412.34, 3), "412");
        assert_eq!(significant(0.012_345, 3), "0.0123");
        assert_eq!(significant(1_234_567.0, 3), "1,234,567");
        assert_eq!(significant(-1500.0, 3), "−1,500");
        assert_eq!(significant(2.0, 3), "2");
        assert_eq!(significant(f64::NAN, 3), "–");
        assert_eq!(significant(1e300, 3), "1.00e300");
    }

    #[test]
    fn money_shows_cents_and_small_sums_their_digits() {
        assert_eq!(money(3.368), "3.37");
        assert_eq!(money(1234.5), "1,234.50");
        assert_eq!(money(0.0423), "0.0423");
        assert_eq!(money(0.0), "0");
    }

    #[test]
    fn shares_and_changes_are_percentages() {
        assert_eq!(percent(0.008), "0.8 %");
        assert_eq!(percent(0.27), "27 %");
        assert_eq!(percent(0.000_04), "<0.01 %");
        assert_eq!(change(4.61, 3.37).as_deref(), Some("−27 %"));
        assert_eq!(change(1.0, 1.0).as_deref(), Some("±0 %"));
        assert_eq!(change(0.0, 1.0), None);
    }

    #[test]
    fn durations_take_the_unit_people_use() {
        for (seconds, text) in [
            (0.35, "350 ms"),
            (90.0, "90 s"),
            (600.0, "10 min"),
            (9000.0, "2 h 30 min"),
            (86_400.0, "24 h"),
            (1_209_600.0, "14 days"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn times_carry_their_zone_and_a_date_when_it_is_another_day() {
        let noon = 1_795_348_800_000;
        assert_eq!(date_time(noon), "22 Nov 2026 12:00 UTC");
        assert_eq!(moment(noon + 7_500_000, noon), "14:05 UTC");
        assert_eq!(moment(noon + 93_900_000, noon), "23 Nov 14:05 UTC");
        assert_eq!(date_time(i64::MAX), "–");
    }

    #[test]
    fn bytes_and_cores_carry_units() {
        assert_eq!(bytes(1_717_986_918.0), "1.6 GiB");
        assert_eq!(bytes(0.0), "0 B");
        assert_eq!(cores(1.0), "1 core");
        assert_eq!(counted(2, "node"), "2 nodes");
    }

    #[test]
    fn amounts_side_by_side_have_one_unit() {
        assert_eq!(readable_pair("cpu", 1000, 700), ("1000m".into(), "700m".into()));
        assert_eq!(readable_pair("cpu", 3000, 2000), ("3".into(), "2".into()));
        assert_eq!(readable_pair("memory", 1 << 30, 161_061_273), ("1Gi".into(), "154Mi".into()));
        assert_eq!(readable_amount("nvidia.com/gpu", 12_345_678), "12345678");
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\n\u{202e}c"), "a\u{fffd}[31mb\u{fffd}\u{fffd}c");
    }

    proptest! {
        #[test]
        fn every_number_has_a_form(value in any::<f64>(), time in any::<i64>()) {
            for text in [significant(value, 3), money(value), percent(value), duration(value), bytes(value), date_time(time)] {
                prop_assert!(!text.is_empty() && text.len() < 60, "{}", text);
            }
        }
    }
}
