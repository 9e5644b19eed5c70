//! Ridge regression of a series on its own lags, for many lag sets and many fit ends at once.
//!
//! The sum over rows t in L..c of z[t−a]·z[t−b] depends on a and b only through d = a − b and the two edges, so one
//! running sum of z[u]·z[u+d] for each difference d gives every entry of every Gram matrix, at any first row and any
//! fit end, by one subtraction. Fit ends (rolling origins) cost nothing extra that way. Neighbouring differences are
//! summed side by side: one running sum alone would wait for each addition to finish before the next.

/// Differences summed side by side.
const LANES: usize = 8;

/// Running sums by step for neighbouring differences: row k holds Σ over u < k of z[u]·z[u+d].
pub(crate) type Running = Vec<[f64; LANES]>;

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

/// Which Gram entries of which set use which lag difference: the same for all series of one shape.
#[derive(Debug)]
pub(crate) struct GramPlan {
    groups: Vec<Group>,
}

/// Neighbouring differences, and the entries that need them.
#[derive(Debug)]
struct Group {
    first_difference: usize,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    set: usize,
    row: usize,
    column: usize,
    lag: usize,
    lane: usize,
}

impl GramPlan {
    /// Order of unknowns in every matrix: the value itself (lag 0), then the lags.
    pub(crate) fn new(sets: &[LagSet]) -> Self {
        let mut by_difference: Vec<(usize, Entry)> = Vec::new();
        for (set, LagSet { lags, .. }) in sets.iter().enumerate() {
            let all: Vec<usize> = std::iter::once(0).chain(lags.iter().copied()).collect();
            for (row, &lag) in all.iter().enumerate() {
                for (column, &other) in all[..=row].iter().enumerate() {
                    by_difference.push((lag - other, Entry { set, row, column, lag, lane: 0 }));
                }
            }
        }
        by_difference.sort_by_key(|(difference, _)| *difference);
        let mut groups: Vec<Group> = Vec::new();
        for (difference, entry) in by_difference {
            match groups.last_mut().filter(|group| difference < group.first_difference + LANES) {
                Some(group) => {
                    group.entries.push(Entry { lane: difference - group.first_difference, ..entry });
                }
                None => groups.push(Group { first_difference: difference, entries: vec![entry] }),
            }
        }
        Self { groups }
    }
}

/// Coefficients of one fit: one a lag, and the intercept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fit {
    pub coefficients: Vec<f64>,
    pub intercept: f64,
}

/// The Gram matrices of one lag set at one fit end: lower triangle over (value, lags…), and the column sums.
#[derive(Debug, Clone)]
pub(crate) struct Gram {
    /// Row-major lower triangle with side `sums.len()`.
    pub products: Vec<f64>,
    pub sums: Vec<f64>,
    pub rows: f64,
}

/// Gram matrices by (set, fit end) of `z`, whose fit ends are `cuts` (each at most `z.len()`). A set whose longest lag
/// leaves no row before a cut has `rows` 0 there.
pub(crate) fn grams(z: &[f64], cuts: &[usize], sets: &[LagSet], plan: &GramPlan) -> Vec<Vec<Gram>> {
    let side = |set: &LagSet| set.lags.len() + 1;
    let mut out: Vec<Vec<Gram>> = sets
        .iter()
        .map(|set| {
            cuts.iter()
                .map(|&cut| Gram {
                    products: vec![0.0; side(set) * side(set)],
                    sums: vec![0.0; side(set)],
                    rows: cut.saturating_sub(set.longest()) as f64,
                })
                .collect()
        })
        .collect();
    let mut running = Running::new();
    for Group { first_difference, entries } in &plan.groups {
        running_products(z, *first_difference, &mut running);
        for entry in entries {
            let longest = sets[entry.set].longest();
            for (gram, &cut) in out[entry.set].iter_mut().zip(cuts) {
                if cut > longest {
                    gram.products[entry.row * gram.sums.len() + entry.column] =
                        running[cut - entry.lag][entry.lane] - running[longest - entry.lag][entry.lane];
                }
            }
        }
    }
    let totals = running_sums(z);
    for (set, grams) in sets.iter().zip(&mut out) {
        for (gram, &cut) in grams.iter_mut().zip(cuts).filter(|(_, cut)| **cut > set.longest()) {
            for (sum, lag) in gram.sums.iter_mut().zip(std::iter::once(0).chain(set.lags.iter().copied())) {
                *sum = totals[cut - lag] - totals[set.longest() - lag];
            }
        }
    }
    out
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
pub(crate) fn running_products(z: &[f64], first_difference: usize, out: &mut Running) {
    out.clear();
    let mut totals = [0.0; LANES];
    out.push(totals);
    let Some(later) = z.get(first_difference..) else { return };
    let mut add = |a: f64, later: &[f64; LANES]| {
        for (total, b) in totals.iter_mut().zip(later) {
            *total += a * b;
        }
        out.push(totals);
    };
    for (a, later) in z.iter().zip(later.array_windows::<LANES>()) {
        add(*a, later);
    }
    let whole = (later.len() + 1).saturating_sub(LANES);
    for (k, a) in z.iter().enumerate().take(later.len()).skip(whole) {
        let mut rest = [0.0; LANES];
        rest[..later.len() - k].copy_from_slice(&later[k..]);
        add(*a, &rest);
    }
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
    pub(crate) fn add_products(&mut self, running: &Running, first: usize, end: usize) {
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

/// Iterates the regression `horizon` steps beyond `z`; values stay within `bounds`, so that an unstable fit can't
/// run away. Values before the beginning of `z` count as 0.
pub(crate) fn iterate(z: &[f64], lags: &[usize], fit: &Fit, horizon: usize, bounds: (f64, f64)) -> Vec<f64> {
    let longest = lags.last().copied().unwrap_or(0);
    let known = longest.min(z.len());
    let mut path = Vec::with_capacity(longest + horizon);
    path.resize(longest - known, 0.0);
    path.extend_from_slice(&z[z.len() - known..]);
    if lags.len() == longest {
        // Every lag: the past in order times the coefficients in reverse.
        let reversed: Vec<f64> = fit.coefficients.iter().rev().copied().collect();
        for h in 0..horizon {
            let value = fit.intercept + dot(&reversed, &path[h..]);
            path.push(value.clamp(bounds.0, bounds.1));
        }
    } else {
        for _ in 0..horizon {
            let value = fit.intercept + dot_at_lags(&fit.coefficients, lags, &path);
            path.push(value.clamp(bounds.0, bounds.1));
        }
    }
    path.split_off(longest)
}

/// The sum of each coefficient times the value its lag before the end of `path`, in four lanes.
fn dot_at_lags(coefficients: &[f64], lags: &[usize], path: &[f64]) -> f64 {
    let now = path.len();
    let mut lanes = [0.0; 4];
    let (b, l) = (coefficients.as_chunks::<4>(), lags.as_chunks::<4>());
    for (b, l) in b.0.iter().zip(l.0) {
        for k in 0..4 {
            lanes[k] += b[k] * path[now - l[k]];
        }
    }
    let tail: f64 = b.1.iter().zip(l.1).map(|(b, lag)| b * path[now - lag]).sum();
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + tail
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_autoregression_is_recovered_and_continued() {
        let mut z = vec![1.0, 0.3];
        for t in 2..200 {
            z.push(0.6 * z[t - 1] - 0.5 * z[t - 2] + 0.2 + if t % 17 == 0 { 0.5 } else { 0.0 });
        }
        let sets = [LagSet { name: "two", lags: vec![1, 2], penalty: 1e-9 }];
        let grams = grams(&z, &[100, 200], &sets, &GramPlan::new(&sets));
        let fit = grams[0][1].solve(1e-9).unwrap();
        assert!((fit.coefficients[0] - 0.6).abs() < 0.1 && (fit.coefficients[1] + 0.5).abs() < 0.1);
        let next = iterate(&z, &sets[0].lags, &fit, 1, (-10.0, 10.0))[0];
        let expected = fit.coefficients[0] * z[199] + fit.coefficients[1] * z[198] + fit.intercept;
        assert!((next - expected).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn gram_entries_from_running_sums_equal_the_direct_sums(
            z in prop::collection::vec(-2.0..2.0, 30..60),
            cut in 20_usize..30,
        ) {
            let sets = [
                LagSet { name: "a", lags: vec![1, 3, 7], penalty: 1.0 },
                LagSet { name: "b", lags: vec![2, 12], penalty: 1.0 },
            ];
            let grams = grams(&z, &[cut, z.len()], &sets, &GramPlan::new(&sets));
            for (set, by_cut) in sets.iter().zip(&grams) {
                let lags: Vec<usize> = std::iter::once(0).chain(set.lags.iter().copied()).collect();
                for (gram, end) in by_cut.iter().zip([cut, z.len()]) {
                    for i in 0..lags.len() {
                        for j in 0..=i {
                            let direct: f64 = (set.longest()..end).map(|t| z[t - lags[i]] * z[t - lags[j]]).sum();
                            prop_assert!((gram.products[i * lags.len() + j] - direct).abs() < 1e-9);
                        }
                    }
                }
            }
        }

        #[test]
        fn dense_matrices_equal_those_of_a_plan(
            z in prop::collection::vec(-2.0..2.0, 30..60),
            longest in 1_usize..20,
        ) {
            let sets = [LagSet { name: "all", lags: (1..=longest).collect(), penalty: 1.0 }];
            let one = &grams(&z, &[z.len()], &sets, &GramPlan::new(&sets))[0][0];
            let mut dense = Dense::new(longest);
            dense.add_sums(&running_sums(&z), z.len());
            let mut running = Running::new();
            for first in (0..=longest).step_by(Dense::STRIDE) {
                running_products(&z, first, &mut running);
                dense.add_products(&running, first, z.len());
            }
            let dense = dense.gram();
            prop_assert!(dense.rows.total_cmp(&one.rows).is_eq());
            for (a, b) in dense.products.iter().chain(&dense.sums).zip(one.products.iter().chain(&one.sums)) {
                prop_assert!((a - b).abs() < 1e-9);
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
