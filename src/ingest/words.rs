//! Words and durations as people write them: what is meant by a misspelt name, how long is `1h30m`.

/// Milliseconds of `90s`, `5m`, `1h30m`, `1.5h`, `200ms`, `2d`, or plain seconds, rounded to the nearest;
/// `None` for anything else and for what does not fit.
pub(super) fn parse_duration_ms(text: &str) -> Option<i64> {
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
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
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
