//! Regressions of one series on many lag sets, fitted at the ends of all rolling origins and continued from all their windows.
//!
//! The matrices of neighbouring fit ends have the same shape, and so have the paths of neighbouring windows: several are
//! worked through in step, one number of each side by side, which is what processors are quick at.

use super::{Fit, LagSet, Running, running_products, running_sums};

/// Fit ends solved, and windows continued, side by side.
pub(crate) const SIDE: usize = 4;
type Side = [f64; SIDE];

/// Differences of lags summed in one pass: with twice as many, more are summed that nobody needs than passes are saved.
const LANES: usize = 8;

/// Which Gram entries of which set use which difference of lags: the same for all series of one shape.
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
    /// Place in the packed lower triangle.
    at: usize,
    /// The longer of its two lags.
    lag: usize,
    lane: usize,
}

/// The unknowns' lags from the longest on, and last the value itself (lag 0): so the right-hand side is the last row.
fn far_first(set: &LagSet) -> Vec<usize> {
    set.lags.iter().rev().copied().chain([0]).collect()
}

/// Where row `row` of a packed lower triangle begins.
fn begin(row: usize) -> usize {
    row * (row + 1) / 2
}

impl GramPlan {
    pub(crate) fn new(sets: &[LagSet]) -> Self {
        let lags: Vec<Vec<usize>> = sets.iter().map(far_first).collect();
        let mut counts = vec![0_usize; sets.iter().map(LagSet::longest).max().unwrap_or(0) + 1];
        for lags in &lags {
            for (row, lag) in lags.iter().enumerate() {
                lags[..=row].iter().for_each(|longer| counts[longer - lag] += 1);
            }
        }
        let mut groups: Vec<Group> = Vec::new();
        let mut group_of = vec![0; counts.len()];
        for (difference, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            if groups.last().is_none_or(|group| difference >= group.first_difference + LANES) {
                groups.push(Group { first_difference: difference, entries: Vec::new() });
            }
            group_of[difference] = groups.len() - 1;
            groups[group_of[difference]].entries.reserve(count);
        }
        for (set, lags) in lags.iter().enumerate() {
            for (row, lag) in lags.iter().enumerate() {
                for (column, longer) in lags[..=row].iter().enumerate() {
                    let group = &mut groups[group_of[longer - lag]];
                    let lane = longer - lag - group.first_difference;
                    group.entries.push(Entry { set, at: begin(row) + column, lag: *longer, lane });
                }
            }
        }
        Self { groups }
    }
}

/// The normal equations of one lag set at up to [`SIDE`] fit ends: packed lower triangle, column sums, rows.
#[derive(Debug, Clone)]
struct System {
    products: Vec<Side>,
    sums: Vec<Side>,
    rows: Side,
}

/// The fits of each set at each of `cuts` (rising, each at most `z.len()`). `None` for a set that has too few rows before
/// the first, or whose matrix is singular at any.
pub(crate) fn fits(z: &[f64], cuts: &[usize], sets: &[LagSet], plan: &GramPlan) -> Vec<Option<Vec<Fit>>> {
    let enough = |set: &LagSet| cuts[0] > set.longest() + set.lags.len().max(1);
    let usable: Vec<bool> = sets.iter().map(enough).collect();
    let sides: Vec<[usize; SIDE]> =
        cuts.chunks(SIDE).map(|chunk| std::array::from_fn(|n| chunk[n.min(chunk.len() - 1)])).collect();
    let systems = systems(z, &sides, sets, &usable, plan);
    let solved = |(set, systems): (&LagSet, Vec<System>)| {
        let fits: Vec<Option<Fit>> = systems.into_iter().flat_map(|system| system.solve(set.penalty)).collect();
        fits.into_iter().take(cuts.len()).collect::<Option<Vec<Fit>>>()
    };
    sets.iter().zip(systems).zip(usable).map(|(pair, usable)| if usable { solved(pair) } else { None }).collect()
}

/// By set, one system for each of `sides`; what is not `usable` is left out.
fn systems(z: &[f64], sides: &[[usize; SIDE]], sets: &[LagSet], usable: &[bool], plan: &GramPlan) -> Vec<Vec<System>> {
    let totals = running_sums(z);
    let empty = |set: &LagSet, cuts: &[usize; SIDE]| {
        let lags = far_first(set);
        let sum = |lag: usize| cuts.map(|cut| totals[cut - lag] - totals[set.longest() - lag]);
        System {
            products: vec![[0.0; SIDE]; begin(lags.len())],
            sums: lags.iter().map(|&lag| sum(lag)).collect(),
            rows: cuts.map(|cut| (cut - set.longest()) as f64),
        }
    };
    let of_set = |(set, usable): (&LagSet, &bool)| {
        if *usable { sides.iter().map(|cuts| empty(set, cuts)).collect() } else { Vec::new() }
    };
    let mut systems: Vec<Vec<System>> = sets.iter().zip(usable).map(of_set).collect();
    let mut running = Running::<LANES>::new();
    for Group { first_difference, entries } in &plan.groups {
        running_products(z, *first_difference, &mut running);
        for &Entry { set, at, lag, lane } in entries.iter().filter(|entry| usable[entry.set]) {
            let low = running[sets[set].longest() - lag][lane];
            for (system, cuts) in systems[set].iter_mut().zip(sides) {
                system.products[at] = cuts.map(|cut| running[cut - lag][lane] - low);
            }
        }
    }
    systems
}

impl System {
    /// The ridge solutions. The intercept is taken out by centring, so it carries no penalty. `None` where the matrix is
    /// numerically singular.
    fn solve(self, penalty: f64) -> [Option<Fit>; SIDE] {
        let Self { products: mut matrix, sums, rows } = self;
        let side = sums.len();
        for (i, row_sum) in sums.iter().enumerate() {
            let row = &mut matrix[begin(i)..=begin(i) + i];
            let row_mean: Side = std::array::from_fn(|n| row_sum[n] / rows[n]);
            for (entry, sum) in row.iter_mut().zip(&sums) {
                for n in 0..SIDE {
                    entry[n] -= row_mean[n] * sum[n];
                }
            }
            row[i].iter_mut().for_each(|diagonal| *diagonal += penalty);
        }
        let (coefficients, sound) = cholesky_solve(&mut matrix, side - 1);
        std::array::from_fn(|n| {
            let explained: f64 = coefficients.iter().zip(&sums).map(|(b, s)| b[n] * s[n]).sum();
            let intercept = (sums[side - 1][n] - explained) / rows[n];
            let coefficients: Vec<f64> = coefficients.iter().rev().map(|b| b[n]).collect();
            let finite = intercept.is_finite() && coefficients.iter().all(|b| b.is_finite());
            (sound[n] && finite).then_some(Fit { coefficients, intercept })
        })
    }
}

/// Solves A·x = b side by side for symmetric positive A of side `p`, given by its packed lower triangle with b as one row
/// more. Tells of each whether A was positive.
fn cholesky_solve(a: &mut [Side], p: usize) -> (Vec<Side>, [bool; SIDE]) {
    let mut sound = [true; SIDE];
    let mut column = vec![[0.0; SIDE]; p + 1];
    for k in 0..p {
        let pivots = a[begin(k) + k];
        let mut inverse = [0.0; SIDE];
        for n in 0..SIDE {
            sound[n] &= pivots[n] > 0.0 && pivots[n].is_finite();
            inverse[n] = if sound[n] { 1.0 / pivots[n].sqrt() } else { 0.0 };
        }
        a[begin(k) + k] = inverse;
        for i in k + 1..=p {
            let entry = &mut a[begin(i) + k];
            for n in 0..SIDE {
                entry[n] *= inverse[n];
            }
            column[i] = *entry;
        }
        for i in k + 1..=p {
            let factor = column[i];
            for (entry, other) in a[begin(i) + k + 1..=begin(i) + i].iter_mut().zip(&column[k + 1..=i]) {
                for n in 0..SIDE {
                    entry[n] -= factor[n] * other[n];
                }
            }
        }
    }
    let mut solution = a[begin(p)..begin(p) + p].to_vec();
    for k in (0..p).rev() {
        let row = &a[begin(k)..=begin(k) + k];
        let (before, rest) = solution.split_at_mut(k);
        for n in 0..SIDE {
            rest[0][n] *= row[k][n];
        }
        for (value, factor) in before.iter_mut().zip(row) {
            for n in 0..SIDE {
                value[n] -= factor[n] * rest[0][n];
            }
        }
    }
    (solution, sound)
}

/// One window to continue: the fit to use, the step in `z` it starts at, and where its values may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begin {
    pub cut: usize,
    pub start: usize,
    pub limits: (f64, f64),
}

/// Iterates each regression `horizon` steps beyond each begin; values stay within the limits, so that an unstable fit
/// can't run away. Values before the beginning of `z` count as 0. By regression, paths in the order of the begins.
pub(crate) fn continued(
    z: &[f64],
    begins: &[Begin],
    fitted: &[(&[usize], Vec<&Fit>)],
    horizon: usize,
) -> Vec<Vec<f64>> {
    let longest = fitted.iter().filter_map(|(lags, _)| lags.last()).copied().max().unwrap_or(0);
    let mut paths: Vec<Vec<f64>> = fitted.iter().map(|_| vec![0.0; begins.len() * horizon]).collect();
    let mut rows = vec![[0.0; SIDE]; longest + horizon];
    for (chunk, first) in begins.chunks(SIDE).zip((0..).step_by(SIDE)) {
        let side: [Begin; SIDE] = std::array::from_fn(|n| chunk[n.min(chunk.len() - 1)]);
        for (back, row) in (1..=longest).rev().zip(&mut rows) {
            *row = side.map(|begin| begin.start.checked_sub(back).map_or(0.0, |t| z[t]));
        }
        for ((lags, fits), paths) in fitted.iter().zip(&mut paths) {
            iterate(&mut rows, longest, lags, &side.map(|begin| fits[begin.cut]), &side.map(|begin| begin.limits));
            for (n, path) in paths[first * horizon..].chunks_exact_mut(horizon).take(chunk.len()).enumerate() {
                path.iter_mut().zip(&rows[longest..]).for_each(|(value, row)| *value = row[n]);
            }
        }
    }
    paths
}

/// Writes the rows behind the first `known` ones, each from those before it.
fn iterate(rows: &mut [Side], known: usize, lags: &[usize], fits: &[&Fit; SIDE], limits: &[(f64, f64); SIDE]) {
    let coefficients: Vec<Side> = (0..lags.len()).map(|i| fits.map(|fit| fit.coefficients[i])).collect();
    let intercepts = fits.map(|fit| fit.intercept);
    let (coefficients, lags) = (coefficients.as_chunks::<2>(), lags.as_chunks::<2>());
    for now in known..rows.len() {
        // Two sums, so that neither waits long for its last addition.
        let mut sums = [intercepts, [0.0; SIDE]];
        for (coefficients, lags) in coefficients.0.iter().zip(lags.0) {
            for k in 0..2 {
                let row = &rows[now - lags[k]];
                for n in 0..SIDE {
                    sums[k][n] += coefficients[k][n] * row[n];
                }
            }
        }
        for (coefficient, lag) in coefficients.1.iter().zip(lags.1) {
            let row = &rows[now - lag];
            for n in 0..SIDE {
                sums[0][n] += coefficient[n] * row[n];
            }
        }
        rows[now] = std::array::from_fn(|n| (sums[0][n] + sums[1][n]).clamp(limits[n].0, limits[n].1));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Gram;
    use super::*;

    /// The normal equations by their definition, and their solution by the plain solver.
    fn direct(z: &[f64], cut: usize, set: &LagSet) -> Option<Fit> {
        let lags: Vec<usize> = [0].into_iter().chain(set.lags.iter().copied()).collect();
        let steps = || set.longest()..cut;
        let product = |a: usize, b: usize| steps().map(|t| z[t - a] * z[t - b]).sum::<f64>();
        Gram {
            products: lags
                .iter()
                .flat_map(|&a| lags.iter().map(move |&b| (a, b)))
                .map(|(a, b)| product(a, b))
                .collect(),
            sums: lags.iter().map(|&lag| steps().map(|t| z[t - lag]).sum()).collect(),
            rows: steps().len() as f64,
        }
        .solve(set.penalty)
    }

    /// The path by its definition.
    fn path(z: &[f64], lags: &[usize], fit: &Fit, horizon: usize, (low, high): (f64, f64)) -> Vec<f64> {
        let mut all = z.to_vec();
        for _ in 0..horizon {
            let past = |lag: usize| all.len().checked_sub(lag).map_or(0.0, |t| all[t]);
            let sum: f64 = lags.iter().zip(&fit.coefficients).map(|(&lag, b)| b * past(lag)).sum();
            all.push((fit.intercept + sum).clamp(low, high));
        }
        all.split_off(z.len())
    }

    #[test]
    fn an_autoregression_is_recovered_and_continued() {
        let mut z = vec![1.0, 0.3];
        for t in 2..200 {
            z.push(0.6 * z[t - 1] - 0.5 * z[t - 2] + 0.2 + if t % 17 == 0 { 0.5 } else { 0.0 });
        }
        let sets = [LagSet { name: "two", lags: vec![1, 2], penalty: 1e-9 }];
        let found = fits(&z, &[100, 200], &sets, &GramPlan::new(&sets));
        let fits = found[0].as_deref().unwrap();
        assert!((fits[1].coefficients[0] - 0.6).abs() < 0.1 && (fits[1].coefficients[1] + 0.5).abs() < 0.1);
        let begin = Begin { cut: 1, start: 200, limits: (-10.0, 10.0) };
        let path = &continued(&z, &[begin], &[(&sets[0].lags, fits.iter().collect())], 3)[0];
        let expected = fits[1].coefficients[0] * z[199] + fits[1].coefficients[1] * z[198] + fits[1].intercept;
        assert!((path[0] - expected).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn fits_and_paths_side_by_side_are_those_of_each_alone(
            z in prop::collection::vec(-2.0..2.0, 50..90),
            cuts in prop::collection::vec(30_usize..50, 1..7),
        ) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let sets = [
                LagSet { name: "a", lags: vec![1, 3, 7], penalty: 1.0 },
                LagSet { name: "b", lags: vec![2, 20], penalty: 0.1 },
                LagSet { name: "too long", lags: vec![1, 29], penalty: 0.1 },
            ];
            let found = fits(&z, &cuts, &sets, &GramPlan::new(&sets));
            prop_assert_eq!(found[2].is_some(), cuts[0] > 31);
            for (set, fits) in sets.iter().zip(&found).filter(|(_, fits)| fits.is_some()) {
                let fits = fits.as_deref().unwrap_or_default();
                prop_assert_eq!(fits.len(), cuts.len());
                for (fit, &cut) in fits.iter().zip(&cuts) {
                    let alone = direct(&z, cut, set).unwrap();
                    prop_assert!((fit.intercept - alone.intercept).abs() < 1e-9);
                    for (a, b) in fit.coefficients.iter().zip(&alone.coefficients) {
                        prop_assert!((a - b).abs() < 1e-9);
                    }
                }
                let begins: Vec<Begin> =
                    cuts.iter().enumerate().map(|(cut, &start)| Begin { cut, start, limits: (-1.5, 1.5) }).collect();
                let paths = &continued(&z, &begins, &[(&set.lags, fits.iter().collect())], 6)[0];
                for (ours, begin) in paths.chunks_exact(6).zip(&begins) {
                    let alone = path(&z[..begin.start], &set.lags, &fits[begin.cut], 6, begin.limits);
                    for (a, b) in ours.iter().zip(&alone) {
                        prop_assert!((a - b).abs() < 1e-9);
                    }
                }
            }
        }

        #[test]
        fn the_solver_solves(entries in prop::collection::vec(-1.0..1.0, 20), b in prop::collection::vec(-1.0..1.0, 4)) {
            // A = MᵀM + (n + 1)·I is positive for any M; the last is made singular.
            let m = |i: usize, j: usize| entries[i * 4 + j];
            let full = |i: usize, j: usize, n: usize| {
                (0..5).map(|r| m(r, i) * m(r, j)).sum::<f64>() + if i == j { n as f64 + 1.0 } else { 0.0 }
            };
            let mut a: Vec<Side> = (0..4)
                .flat_map(|i| (0..=i).map(move |j| (i, j)))
                .map(|(i, j)| std::array::from_fn(|n| if n == 3 { 0.0 } else { full(i, j, n) }))
                .chain(b.iter().map(|&b| [b; SIDE]))
                .chain([[0.0; SIDE]])
                .collect();
            let (x, sound) = cholesky_solve(&mut a, 4);
            prop_assert_eq!(sound, [true, true, true, false]);
            for n in 0..3 {
                let solution: Vec<f64> = x.iter().map(|lanes| lanes[n]).collect();
                for (i, b) in b.iter().enumerate() {
                    let got: f64 = solution.iter().enumerate().map(|(j, x)| full(i, j, n) * x).sum();
                    prop_assert!((got - b).abs() < 1e-9);
                }
            }
        }
    }
}
