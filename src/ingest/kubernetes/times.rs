//! When things happened.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

/// Milliseconds since the Unix epoch.
pub(super) fn millis(time: Option<&Time>) -> Option<i64> {
    time.map(|t| t.0.as_millisecond())
}

/// Fields that tell of something that has happened. Others (expiry dates, the end of a grace period) may lie ahead.
const PAST: [&str; 11] = [
    "completionTime",
    "creationTimestamp",
    "finishedAt",
    "lastHeartbeatTime",
    "lastProbeTime",
    "lastScheduleTime",
    "lastTransitionTime",
    "lastUpdateTime",
    "startTime",
    "startedAt",
    "time",
];

/// The newest time an object's metadata and status carry.
pub(super) fn newest_ms(object: &Value) -> Option<i64> {
    let newest = |field| object.get(field).and_then(newest_text);
    let text = newest("metadata").max(newest("status"))?;
    text.parse::<k8s_openapi::jiff::Timestamp>().ok().map(k8s_openapi::jiff::Timestamp::as_millisecond)
}

/// Times are compared as texts: the API server writes all of them in UTC with the same digits, and whole seconds
/// sort before their fractions closely enough.
fn newest_text(value: &Value) -> Option<&str> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter_map(|(key, value)| match value {
                Value::String(text) if PAST.contains(&key.as_str()) && is_utc(text) => Some(text.as_str()),
                Value::Object(_) | Value::Array(_) => newest_text(value),
                _ => None,
            })
            .max(),
        Value::Array(items) => items.iter().filter_map(newest_text).max(),
        _ => None,
    }
}

fn is_utc(text: &str) -> bool {
    text.ends_with('Z') && text.len() >= 20 && text.as_bytes().get(10) == Some(&b'T')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_past_time_counts_and_deadlines_do_not() {
        let object = json!({
            "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2030-01-01T00:00:00Z"},
            "spec": {"startTime": "2031-01-01T00:00:00Z"},
            "status": {"conditions": [{"lastTransitionTime": "2026-01-02T00:00:00Z"}, {"lastTransitionTime": null}]},
        });
        assert_eq!(newest_ms(&object), Some(1_767_312_000_000));
        assert_eq!(newest_ms(&json!({"metadata": {"creationTimestamp": "yesterday"}})), None);
    }
}
