//! Ridge regression of a series on its own lags, for many lag sets and many fit ends at once.
//!
//! The sum over rows t in L..c of z[t−a]·z[t−b] depends on a and b only through d = a − b and the two edges, so one
//! running sum of z[u]·z[u+d] for each difference d gives every entry of every Gram matrix, at any first row and any
//! fit end, by one subtraction. Fit ends (rolling origins) cost nothing extra that way. Neighbouring differences are
//! summed side by side: one running sum alone would wait for each addition to finish before the next.

mod dense;
mod side_by_side;

pub(crate) use dense::{Dense, Gram};
pub(crate) use side_by_side::{Begin, GramPlan, continued, fits};

/// Running sums by step for `LANES` neighbouring differences: row k holds Σ over u < k of z[u]·z[u+d].
pub(crate) type Running<const LANES: usize> = Vec<[f64; LANES]>;

/// A lag set with its penalty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LagSet {
    /// Name for reports.
    pub name: &'static str,
    /// Lags in rising order, each at least 1.
    pub lags: Vec<usize>,
    /// Ridge penalty on a series of unit variance; the intercept carries none.
    pub penalty: f64,
}

impl LagSet {
    /// The longest lag.
    pub(crate) fn longest(&self) -> usize {
        self.lags.last().copied().unwrap_or(0)
    }
}

/// Coefficients of one fit: one a lag, and the intercept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fit {
    pub coefficients: Vec<f64>,
    pub intercept: f64,
}

/// Item k is the sum of the first k values.
pub(crate) fn running_sums(z: &[f64]) -> Vec<f64> {
    let mut total = 0.0;
    let mut out = Vec::with_capacity(z.len() + 1);
    out.push(0.0);
    out.extend(z.iter().map(|value| {
        total += value;
        total
    }));
    out
}

/// Running products for `LANES` differences from `first_difference` on; rows for all k that leave z[k−1+d] inside `z`
/// for the first of them. Beyond the end the other lanes go on with zeros.
pub(crate) fn running_products<const LANES: usize>(z: &[f64], first_difference: usize, out: &mut Running<LANES>) {
    let later = z.get(first_difference..).unwrap_or_default();
    out.resize(later.len() + 1, [0.0; LANES]);
    let mut totals = [0.0; LANES];
    out[0] = totals;
    let mut add = |a: f64, later: &[f64; LANES], row: &mut [f64; LANES]| {
        for (total, b) in totals.iter_mut().zip(later) {
            *total += a * b;
        }
        *row = totals;
    };
    let whole = (later.len() + 1).saturating_sub(LANES);
    for ((a, later), row) in z.iter().zip(later.array_windows::<LANES>()).zip(&mut out[1..]) {
        add(*a, later, row);
    }
    for k in whole..later.len() {
        let mut rest = [0.0; LANES];
        rest[..later.len() - k].copy_from_slice(&later[k..]);
        add(z[k], &rest, &mut out[k + 1]);
    }
}

/// Inner product in four lanes: the order is fixed, so results do not depend on the machine.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let mut lanes = [0.0; 4];
    let (chunks_a, chunks_b) = (a.chunks_exact(4), b.chunks_exact(4));
    let tail: f64 = chunks_a.remainder().iter().zip(chunks_b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in chunks_a.zip(chunks_b) {
        for k in 0..4 {
            lanes[k] += x[k] * y[k];
        }
    }
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + tail
}
