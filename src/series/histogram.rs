//! Quantiles of a classic Prometheus histogram.

/// The value at quantile `q` (0..=1) of a histogram with these upper bounds (rising, the last one infinite) and
/// cumulative counts, interpolated linearly within a bucket.
///
/// As Prometheus' `histogram_quantile`: the lowest bucket begins at 0 if its bound is positive; a quantile in the
/// infinite bucket gives the highest finite bound; counts that fall along the bounds (buckets scraped apart) are raised
/// to the one before. NaN where nothing was counted, or without an infinite bucket and a finite one.
pub(super) fn quantile(q: f64, bounds: &[f64], counts: impl Fn(usize) -> f64) -> f64 {
    let last = bounds.len().wrapping_sub(1);
    if bounds.len() < 2 || bounds[last] != f64::INFINITY {
        return f64::NAN;
    }
    let total = (0..=last).map(&counts).fold(0.0, f64::max);
    if total.is_nan() || total <= 0.0 {
        return f64::NAN;
    }
    let rank = q * total;
    let mut below = 0.0;
    for (i, &bound) in bounds[..last].iter().enumerate() {
        let count = counts(i).max(below);
        if count >= rank {
            let start = if i > 0 { bounds[i - 1] } else { 0.0 };
            if i == 0 && bound <= 0.0 || count <= below {
                return bound;
            }
            return start + (bound - start) * ((rank - below) / (count - below));
        }
        below = count;
    }
    bounds[last - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [f64; 4] = [0.1, 0.5, 1.0, f64::INFINITY];

    fn at(q: f64, counts: [f64; 4]) -> f64 {
        quantile(q, &BOUNDS, |i| counts[i])
    }

    #[test]
    fn quantiles_are_interpolated_within_a_bucket_as_prometheus_does() {
        // 10 requests up to 0.1 s, 10 more up to 0.5 s: the median is the end of the first bucket, the 75th percentile
        // the middle of the second.
        let counts = [10.0, 20.0, 20.0, 20.0];
        assert!((at(0.5, counts) - 0.1).abs() < 1e-12);
        assert!((at(0.75, counts) - 0.3).abs() < 1e-12);
        assert!((at(0.25, counts) - 0.05).abs() < 1e-12);
    }

    #[test]
    fn the_infinite_bucket_gives_the_highest_finite_bound() {
        assert!((at(0.99, [0.0, 0.0, 1.0, 2.0]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn counts_that_fall_are_raised() {
        assert!((at(0.75, [10.0, 20.0, 19.0, 20.0]) - 0.3).abs() < 1e-12);
        assert!(at(1.0, [10.0, 20.0, 19.0, 20.0]).is_finite());
    }

    #[test]
    fn nothing_counted_has_no_quantile() {
        assert!(at(0.5, [0.0; 4]).is_nan());
        assert!(quantile(0.5, &[f64::INFINITY], |_| 1.0).is_nan());
        assert!(quantile(0.5, &[0.1, 0.5], |_| 1.0).is_nan());
        assert!(quantile(0.5, &[], |_| 1.0).is_nan());
    }
}
