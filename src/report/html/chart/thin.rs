//! Fewer points that look the same.

/// At most about `limit` of the points, the lowest and the highest of each stretch kept in their order. A value that
/// is not finite is a gap; the first of a run of gaps is kept so that lines break there.
pub(in crate::html) fn thinned(points: &[(i64, f64)], limit: usize) -> Vec<(i64, f64)> {
    if points.len() <= limit {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil((limit / 2).max(1));
    let mut out = Vec::with_capacity(limit + 2);
    for chunk in points.chunks(stretch) {
        let finite = || chunk.iter().enumerate().filter(|(_, point)| point.1.is_finite());
        let low = finite().min_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let high = finite().max_by(|a, b| a.1.1.total_cmp(&b.1.1));
        match (low, high) {
            (Some((i, low)), Some((j, high))) if i != j => {
                let (first, second) = if i < j { (low, high) } else { (high, low) };
                out.extend([*first, *second]);
            }
            (Some((_, one)), _) => out.push(*one),
            _ => out.extend(chunk.first()),
        }
    }
    out
}

/// At most `limit` instants of several rows over the same axis: each row by its own summary of a stretch.
pub(in crate::html) fn stretches(len: usize, limit: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let stretch = len.div_ceil(limit.max(1)).max(1);
    (0..len).step_by(stretch).map(move |start| start..(start + stretch).min(len))
}

/// The instant at an index of an axis, held within the range of times.
pub(in crate::html) fn instant(start_ms: i64, step_ms: i64, index: usize) -> i64 {
    start_ms.saturating_add(step_ms.saturating_mul(i64::try_from(index).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lowest_and_highest_survive(values in proptest::collection::vec(-1e6..1e6_f64, 1..900)) {
            let points: Vec<(i64, f64)> = (0..).zip(values.iter().copied()).collect();
            let kept = thinned(&points, 40);
            prop_assert!(kept.len() <= 42);
            let extremes = |points: &[(i64, f64)]| {
                let of = |f: fn(f64, f64) -> f64, start| points.iter().map(|p| p.1).fold(start, f);
                (of(f64::min, f64::INFINITY), of(f64::max, f64::NEG_INFINITY))
            };
            prop_assert_eq!(extremes(&kept), extremes(&points));
            prop_assert!(kept.is_sorted_by_key(|p| p.0));
        }
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let points: Vec<(i64, f64)> = (0..100).map(|i| (i, if i < 50 { f64::NAN } else { 1.0 })).collect();
        assert!(thinned(&points, 10)[0].1.is_nan());
        assert_eq!(stretches(5, 2).collect::<Vec<_>>(), [0..3, 3..5]);
    }
}
