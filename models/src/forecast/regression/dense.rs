//! Every lag up to the longest: the matrix of the regression pooled over many series.

use super::{Fit, Running, dot};

/// Differences of lags summed in one pass.
const LANES: usize = 8;

/// The Gram matrices of one lag set at one fit end: lower triangle over (value, lags…), and the column sums.
#[derive(Debug, Clone)]
pub(crate) struct Gram {
    /// Row-major lower triangle with side `sums.len()`.
    pub products: Vec<f64>,
    pub sums: Vec<f64>,
    pub rows: f64,
}

/// The Gram matrix over all lags 0..=longest, summed over many series. With every lag present its diagonals are read
/// from the running products in order, eight at a time.
#[derive(Debug, Clone)]
pub(crate) struct Dense {
    longest: usize,
    /// By group of differences: row i holds the entries of lag `first + i` with the lags that many before it.
    diagonals: Vec<Vec<[f64; LANES]>>,
    sums: Vec<f64>,
    rows: f64,
}

impl Dense {
    /// Differences from one call of `add_products` to the next.
    pub(crate) const STRIDE: usize = LANES;

    pub(crate) fn new(longest: usize) -> Self {
        Self {
            longest,
            diagonals: (0..=longest).step_by(LANES).map(|first| vec![[0.0; LANES]; longest + 1 - first]).collect(),
            sums: vec![0.0; longest + 1],
            rows: 0.0,
        }
    }

    /// Adds the column sums and the count of the rows before `end`, from running sums.
    pub(crate) fn add_sums(&mut self, totals: &[f64], end: usize) {
        if end > self.longest {
            self.rows += (end - self.longest) as f64;
            for (lag, sum) in self.sums.iter_mut().enumerate() {
                *sum += totals[end - lag] - totals[self.longest - lag];
            }
        }
    }

    /// Adds the products of the rows before `end` for the differences `first..first + STRIDE`.
    pub(crate) fn add_products(&mut self, running: &Running<LANES>, first: usize, end: usize) {
        if end <= self.longest || first > self.longest {
            return;
        }
        let count = self.longest + 1 - first;
        let high = running[end - self.longest..][..count].iter().rev();
        let low = running[..count].iter().rev();
        for ((entry, high), low) in self.diagonals[first / LANES].iter_mut().zip(high).zip(low) {
            for lane in 0..LANES {
                entry[lane] += high[lane] - low[lane];
            }
        }
    }

    pub(crate) fn gram(&self) -> Gram {
        let side = self.longest + 1;
        let mut products = vec![0.0; side * side];
        for (group, rows) in self.diagonals.iter().enumerate() {
            for (i, row) in rows.iter().enumerate() {
                let lag = group * LANES + i;
                for (lane, &value) in row.iter().enumerate().take(i + 1) {
                    products[lag * side + i - lane] = value;
                }
            }
        }
        Gram { products, sums: self.sums.clone(), rows: self.rows }
    }
}

impl Gram {
    /// Adds the rows of another of the same lags.
    pub(crate) fn add(&mut self, other: &Self) {
        self.products.iter_mut().zip(&other.products).for_each(|(sum, more)| *sum += more);
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, more)| *sum += more);
        self.rows += other.rows;
    }

    /// The ridge solution. The intercept is taken out by centring, so it carries no penalty. `None` if there are too
    /// few rows to say anything or the matrix is numerically singular.
    pub(crate) fn solve(&self, penalty: f64) -> Option<Fit> {
        let side = self.sums.len();
        let p = side - 1;
        if self.rows < 2.0 {
            return None;
        }
        let centred = |i: usize, j: usize| self.products[i * side + j] - self.sums[i] * self.sums[j] / self.rows;
        let mut matrix = vec![0.0; p * p];
        for i in 0..p {
            for j in 0..=i {
                matrix[i * p + j] = centred(i + 1, j + 1);
            }
            matrix[i * p + i] += penalty;
        }
        let mut coefficients: Vec<f64> = (1..side).map(|i| centred(i, 0)).collect();
        cholesky_solve(&mut matrix, &mut coefficients)?;
        let explained: f64 = coefficients.iter().zip(&self.sums[1..]).map(|(b, s)| b * s).sum();
        let intercept = (self.sums[0] - explained) / self.rows;
        (intercept.is_finite() && coefficients.iter().all(|b| b.is_finite())).then_some(Fit { coefficients, intercept })
    }
}

/// Solves A·x = b in place for symmetric positive A, given by its lower triangle (row-major, side `b.len()`). `None`
/// if A is not positive.
pub(crate) fn cholesky_solve(a: &mut [f64], b: &mut [f64]) -> Option<()> {
    let n = b.len();
    for i in 0..n {
        let (done, rest) = a.split_at_mut(i * n);
        let row = &mut rest[..=i];
        for j in 0..i {
            let other = &done[j * n..=j * n + j];
            row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
        }
        let pivot = row[i] - dot(&row[..i], &row[..i]);
        if !(pivot > 0.0 && pivot.is_finite()) {
            return None;
        }
        row[i] = pivot.sqrt();
    }
    for i in 0..n {
        let row = &a[i * n..=i * n + i];
        b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
    }
    for i in (0..n).rev() {
        let solved = b[i] / a[i * n + i];
        b[i] = solved;
        for (value, factor) in b[..i].iter_mut().zip(&a[i * n..i * n + i]) {
            *value -= factor * solved;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{running_products, running_sums};
    use super::*;

    proptest! {
        #[test]
        fn dense_matrices_equal_the_direct_sums(
            z in prop::collection::vec(-2.0..2.0, 30..60),
            longest in 1_usize..20,
        ) {
            let mut dense = Dense::new(longest);
            dense.add_sums(&running_sums(&z), z.len());
            let mut running = Running::new();
            for first in (0..=longest).step_by(Dense::STRIDE) {
                running_products(&z, first, &mut running);
                dense.add_products(&running, first, z.len());
            }
            let dense = dense.gram();
            let side = longest + 1;
            prop_assert!(dense.rows.total_cmp(&((z.len() - longest) as f64)).is_eq());
            for i in 0..side {
                let sum: f64 = (longest..z.len()).map(|t| z[t - i]).sum();
                prop_assert!((dense.sums[i] - sum).abs() < 1e-9);
                for j in 0..=i {
                    let direct: f64 = (longest..z.len()).map(|t| z[t - i] * z[t - j]).sum();
                    prop_assert!((dense.products[i * side + j] - direct).abs() < 1e-9);
                }
            }
        }

        #[test]
        fn the_solver_solves(entries in prop::collection::vec(-1.0..1.0, 20), b in prop::collection::vec(-1.0..1.0, 4)) {
            // A = MᵀM + I is positive for any M.
            let m = |i: usize, j: usize| entries[i * 4 + j];
            let full: Vec<f64> = (0..16)
                .map(|k| (0..5).map(|r| m(r, k / 4) * m(r, k % 4)).sum::<f64>() + f64::from(u8::from(k / 4 == k % 4)))
                .collect();
            let (mut a, mut x) = (full.clone(), b.clone());
            cholesky_solve(&mut a, &mut x).unwrap();
            for i in 0..4 {
                let got: f64 = (0..4).map(|j| full[i * 4 + j] * x[j]).sum();
                prop_assert!((got - b[i]).abs() < 1e-9);
            }
        }
    }
}
