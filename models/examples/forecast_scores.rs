//! Scores of the forecaster on a table of series, for choosing its settings and for reporting what it reaches.
//!
//! ```text
//! cargo run -p plimsoll-models --example forecast_scores -- train.csv --day 24 --horizon 48 --back 48,96
//! cargo run -p plimsoll-models --example forecast_scores -- train.csv --truth test.csv --day 24 --horizon 48
//! cargo run -p plimsoll-models --example forecast_scores -- trace.csv --day 288 --horizon 12 --every 72 --from 0.5
//! ```
//!
//! Tables have the columns `series,step,value`, rows in order of time, an empty value for a gap. Origins are so many steps
//! before the end (`--back`), at the end of the table where a second one holds what followed (`--truth`), or every so
//! many steps in a part of each series (`--every`, `--from`, `--to`). `--last` keeps only so many steps before the origin,
//! `--online 0.3` corrects quantiles by how those issued from 0.3 of each series on have held, as a deployment does. `--sample 3:1` every third series from the second, `--candidates` tests day and week instead of declaring them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

use std::time::Instant;

use plimsoll_models::forecast::{Deployment, FleetShape, Outcome, Pooled, Seasons, Settings, Study, scores};

/// Levels asked for; those of the weighted quantile loss are among them.
const LEVELS: [f64; 7] = [0.025, 0.1, 0.5, 0.9, 0.95, 0.975, 0.99];
const LOSS_LEVELS: [f64; 5] = [0.1, 0.5, 0.9, 0.95, 0.99];

struct Arguments {
    table: String,
    truth: Option<String>,
    day: usize,
    horizon: usize,
    lead: usize,
    back: Vec<usize>,
    every: usize,
    from: f64,
    to: f64,
    last: usize,
    sample: (usize, usize),
    candidates: bool,
    online: Option<f64>,
    verbose: bool,
}

impl Arguments {
    fn parse() -> Option<Self> {
        let mut given = std::env::args().skip(1);
        let mut out = Self {
            table: given.next()?,
            truth: None,
            day: 24,
            horizon: 48,
            lead: 6,
            back: Vec::new(),
            every: 0,
            from: 0.5,
            to: 1.0,
            last: usize::MAX,
            sample: (1, 0),
            candidates: false,
            online: None,
            verbose: false,
        };
        while let Some(flag) = given.next() {
            if flag == "--candidates" {
                out.candidates = true;
                continue;
            }
            if flag == "--verbose" {
                out.verbose = true;
                continue;
            }
            let value = given.next()?;
            match flag.as_str() {
                "--truth" => out.truth = Some(value),
                "--day" => out.day = value.parse().ok()?,
                "--horizon" => out.horizon = value.parse().ok()?,
                "--lead" => out.lead = value.parse().ok()?,
                "--back" => out.back = value.split(',').map(str::parse).collect::<Result<_, _>>().ok()?,
                "--every" => out.every = value.parse().ok()?,
                "--from" => out.from = value.parse().ok()?,
                "--to" => out.to = value.parse().ok()?,
                "--online" => out.online = Some(value.parse().ok()?),
                "--last" => out.last = value.parse().ok()?,
                "--sample" => {
                    let (stride, first) = value.split_once(':')?;
                    out.sample = (stride.parse().ok()?, first.parse().ok()?);
                }
                _ => return None,
            }
        }
        Some(out)
    }

    fn settings(&self) -> Settings {
        let seasons = if self.candidates {
            Seasons::Candidates(vec![self.day, 7 * self.day])
        } else {
            Seasons::Declared(vec![self.day])
        };
        Settings {
            horizon: self.horizon,
            seasons,
            levels: LEVELS.to_vec(),
            lead_steps: self.lead.min(self.horizon),
            ..Settings::default()
        }
    }
}

/// Series by name, in the order of the table.
fn read(path: &str) -> Vec<(String, Vec<f64>)> {
    let text = std::fs::read_to_string(path).expect("a readable table");
    let mut series: Vec<(String, Vec<f64>)> = Vec::new();
    for line in text.lines().skip(1) {
        let mut cells = line.split(',');
        let (Some(name), Some(_), Some(value)) = (cells.next(), cells.next(), cells.next()) else { continue };
        let value = if value.is_empty() { f64::NAN } else { value.parse().expect("a number") };
        match series.last_mut() {
            Some((last, values)) if last == name => values.push(value),
            _ => series.push((name.to_owned(), vec![value])),
        }
    }
    series
}

/// What one forecast of one series scored.
#[derive(Debug, Clone, Copy, Default)]
struct Score {
    smape: f64,
    mase: f64,
    /// Over the scale of all that came before, where only the last steps of it were kept.
    whole_mase: f64,
    msis: f64,
    error: f64,
    naive_error: f64,
    last_error: f64,
    loss: f64,
    naive_loss: f64,
    banded_loss: f64,
    below: [f64; LEVELS.len()],
    peak_below: [f64; LEVELS.len()],
    count: f64,
    peaks: f64,
}

impl Score {
    fn values(&mut self) -> [&mut f64; 12 + 2 * LEVELS.len()] {
        let Self {
            smape,
            mase,
            whole_mase,
            msis,
            error,
            naive_error,
            last_error,
            loss,
            naive_loss,
            banded_loss,
            below: [a, b, c, d, e, f, g],
            peak_below: [h, i, j, k, l, m, n],
            count,
            peaks,
        } = self;
        [
            smape,
            mase,
            whole_mase,
            msis,
            error,
            naive_error,
            last_error,
            loss,
            naive_loss,
            banded_loss,
            count,
            peaks,
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
            i,
            j,
            k,
            l,
            m,
            n,
        ]
    }

    fn add(&mut self, mut other: Self) {
        self.values().into_iter().zip(other.values()).for_each(|(sum, value)| *sum += *value);
    }
}

/// The seasonal naive path, and its quantiles: the path moved by the quantiles of its own past errors.
fn naive_of(history: &[f64], day: usize, horizon: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    let last_day = &history[history.len() - day..];
    let path: Vec<f64> = (0..horizon).map(|h| last_day[h % day]).collect();
    let mut errors: Vec<f64> =
        history.iter().zip(&history[day..]).map(|(a, b)| b - a).filter(|e| e.is_finite()).collect();
    errors.sort_unstable_by(f64::total_cmp);
    let bands = LOSS_LEVELS.iter().map(|level| {
        let error = errors.get((level * errors.len() as f64) as usize).copied().unwrap_or(0.0);
        path.iter().map(|v| v + error).collect()
    });
    let bands = bands.collect();
    (path, bands)
}

fn loss_of(truth: &[f64], quantiles: &[&[f64]]) -> f64 {
    LOSS_LEVELS.iter().zip(quantiles).filter_map(|(&l, q)| scores::quantile_loss(truth, q, l)).sum()
}

/// The scores of a forecast made from the last steps of `before`.
fn score(before: &[f64], truth: &[f64], outcome: &Outcome, arguments: &Arguments) -> Option<Score> {
    let horizon = truth.len();
    let history = &before[before.len().saturating_sub(arguments.last)..];
    let scale = scores::seasonal_scale(history, arguments.day)?;
    let whole_scale = scores::seasonal_scale(before, arguments.day)?;
    let (naive, bands) = naive_of(history, arguments.day, horizon);
    let last = vec![history.iter().rev().copied().find(|v| v.is_finite())?; horizon];
    let row = |level: f64| {
        let index = LEVELS.iter().position(|l| l.total_cmp(&level).is_eq()).expect("one of the levels");
        outcome.quantiles.row(index).to_slice().expect("rows are contiguous")
    };
    let ours: Vec<&[f64]> = LOSS_LEVELS.iter().map(|&level| row(level)).collect();
    let naives: Vec<&[f64]> = LOSS_LEVELS.iter().map(|_| naive.as_slice()).collect();
    let bands: Vec<&[f64]> = bands.iter().map(Vec::as_slice).collect();
    let mut out = Score {
        smape: scores::smape(truth, &outcome.mean)?,
        mase: scores::mase(truth, &outcome.mean, scale)?,
        whole_mase: scores::mase(truth, &outcome.mean, whole_scale)?,
        msis: scores::msis(truth, row(0.025), row(0.975), 0.05, scale)?,
        error: scores::mae(truth, &outcome.mean)?,
        naive_error: scores::mae(truth, &naive).unwrap_or(0.0),
        last_error: scores::mae(truth, &last)?,
        loss: loss_of(truth, &ours),
        naive_loss: loss_of(truth, &naives),
        banded_loss: loss_of(truth, &bands),
        count: 1.0,
        ..Score::default()
    };
    for (below, row) in out.below.iter_mut().zip(outcome.quantiles.rows()) {
        *below = scores::coverage(truth, &row.to_vec())?;
    }
    let lead = &truth[..arguments.lead.min(horizon)];
    if lead.iter().all(|v| v.is_finite()) {
        let peak = lead.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        out.peaks = 1.0;
        for (below, quantile) in out.peak_below.iter_mut().zip(&outcome.peak) {
            *below = f64::from(u8::from(peak <= *quantile));
        }
    }
    Some(out)
}

/// The steps of each series at which a forecast is made: origin by origin, one a series where it has it.
fn origins(series: &[(String, Vec<f64>)], arguments: &Arguments) -> Vec<Vec<Option<usize>>> {
    if !arguments.back.is_empty() {
        let at = |back: usize| series.iter().map(|(_, v)| v.len().checked_sub(back)).collect();
        return arguments.back.iter().map(|&back| at(back)).collect();
    }
    let longest = series.iter().map(|(_, v)| v.len()).max().unwrap_or(0);
    let count = longest / arguments.every.max(1) + 1;
    (0..count)
        .map(|k| {
            let at = |values: &Vec<f64>| {
                let len = values.len() as f64;
                let from = arguments.online.unwrap_or(arguments.from);
                let at = (len * from) as usize + k * arguments.every;
                (at + arguments.horizon <= (len * arguments.to) as usize).then_some(at)
            };
            series.iter().map(|(_, values)| at(values)).collect()
        })
        .collect()
}

/// Scores by series, summed over origins, and the seconds spent forecasting.
fn run(series: &[(String, Vec<f64>)], arguments: &Arguments) -> (Vec<Score>, f64, usize) {
    let settings = arguments.settings();
    let mut sums = vec![Score::default(); series.len()];
    let levels = settings.levels();
    let mut deployed = vec![Deployment::default(); if arguments.online.is_some() { series.len() } else { 0 }];
    let (mut seconds, mut forecasts) = (0.0, 0);
    for starts in origins(series, arguments) {
        let mut who = Vec::new();
        let mut histories: Vec<Vec<f64>> = Vec::new();
        for (i, start) in starts.iter().enumerate() {
            let Some(start) = *start else { continue };
            let values = &series[i].1;
            if start + arguments.horizon <= values.len() && start > arguments.day {
                who.push((i, start));
                histories.push(values[start.saturating_sub(arguments.last)..start].to_vec());
            }
        }
        let (begun, begun_busy) = (Instant::now(), busy_seconds());
        let outcomes = fleet(&histories, &settings);
        seconds += match (begun_busy, busy_seconds()) {
            (Some(before), Some(after)) => after - before,
            _ => begun.elapsed().as_secs_f64(),
        };
        forecasts += histories.len();
        for ((i, start), outcome) in who.iter().zip(outcomes) {
            let values = &series[*i].1;
            let truth = &values[*start..start + arguments.horizon];
            let outcome = match deployed.get_mut(*i) {
                Some(deployed) => deployed.issue(&outcome, &levels, &values[..*start]),
                None => outcome,
            };
            if *start < (values.len() as f64 * arguments.from) as usize && arguments.back.is_empty() {
                continue;
            }
            if let Some(score) = score(&values[..*start], truth, &outcome, arguments) {
                sums[*i].add(score);
            }
        }
    }
    (sums, seconds, forecasts)
}

/// Processor seconds of this thread, where the kernel tells: on a shared machine the clock on the wall says little.
fn busy_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
}

fn fleet(histories: &[Vec<f64>], settings: &Settings) -> Vec<Outcome> {
    let pooled = Pooled::over(histories, settings);
    let studies: Vec<Study> = histories.iter().map(|h| Study::new(h, settings, pooled.as_ref())).collect();
    let shape = FleetShape::of(&studies);
    studies.iter().map(|study| study.outcome(settings, shape.as_ref())).collect()
}

/// A uniform number below `n` (splitmix64), so that intervals are the same on every run.
fn draw(state: &mut u64, n: usize) -> usize {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) % n as u64) as usize
}

/// A statistic over series with its 95 % bootstrap interval.
fn with_interval(scores: &[Score], statistic: impl Fn(&[Score]) -> f64) -> String {
    let mut state = 1;
    let mut draws: Vec<f64> = (0..1000)
        .map(|_| {
            let sample: Vec<Score> = scores.iter().map(|_| scores[draw(&mut state, scores.len())]).collect();
            statistic(&sample)
        })
        .collect();
    draws.sort_unstable_by(f64::total_cmp);
    format!("{:.3} [{:.3}, {:.3}]", statistic(scores), draws[25], draws[974])
}

fn mean_of(scores: &[Score], of: impl Fn(&Score) -> f64) -> f64 {
    scores.iter().map(|s| of(s) / s.count).sum::<f64>() / scores.len() as f64
}

/// Geometric mean of a ratio over the series where both sides are positive.
fn geometric(scores: &[Score], of: impl Fn(&Score) -> f64) -> f64 {
    let logs: Vec<f64> = scores.iter().map(|s| of(s).ln()).filter(|l| l.is_finite()).collect();
    (logs.iter().sum::<f64>() / logs.len() as f64).exp()
}

/// Pooled coverage, and the mean over the tenth of series that are furthest below and above.
fn coverage_line(scores: &[Score], level: usize) -> String {
    let mut each: Vec<f64> = scores.iter().map(|s| s.below[level] / s.count).collect();
    each.sort_unstable_by(f64::total_cmp);
    let tenth = each.len().div_ceil(10);
    let low = each[..tenth].iter().sum::<f64>() / tenth as f64;
    let high = each[each.len() - tenth..].iter().sum::<f64>() / tenth as f64;
    let peaks: f64 = scores.iter().map(|s| s.peaks).sum();
    let peak = scores.iter().map(|s| s.peak_below[level]).sum::<f64>() / peaks;
    let pooled = with_interval(scores, |s| 100.0 * mean_of(s, |s| s.below[level]));
    format!(
        "p{:<5} {pooled}  deciles {:.1} .. {:.1}  peak {:.1}",
        100.0 * LEVELS[level],
        100.0 * low,
        100.0 * high,
        100.0 * peak
    )
}

fn report(scores: &[Score], arguments: &Arguments) {
    println!("sMAPE {}", with_interval(scores, |s| mean_of(s, |s| s.smape)));
    println!("MASE  {}", with_interval(scores, |s| mean_of(s, |s| s.mase)));
    if arguments.last < usize::MAX {
        println!(
            "MASE  {} over the scale of the whole history",
            with_interval(scores, |s| mean_of(s, |s| s.whole_mase))
        );
    }
    println!("MSIS  {}", with_interval(scores, |s| mean_of(s, |s| s.msis)));
    println!("error / seasonal naive  {}", with_interval(scores, |s| geometric(s, |s| s.error / s.naive_error)));
    println!("error / last value      {}", with_interval(scores, |s| geometric(s, |s| s.error / s.last_error)));
    let better = |s: &Score| s.error / s.naive_error.min(s.last_error);
    println!("error / better of both  {}", with_interval(scores, |s| geometric(s, better)));
    println!("loss  / seasonal naive  {}", with_interval(scores, |s| geometric(s, |s| s.loss / s.naive_loss)));
    println!("loss  / its quantiles   {}", with_interval(scores, |s| geometric(s, |s| s.loss / s.banded_loss)));
    let inner = |s: &[Score]| 100.0 * mean_of(s, |s| s.below[5] - s.below[0]);
    println!("95 % interval covers    {}", with_interval(scores, inner));
    (0..LEVELS.len()).for_each(|level| println!("{}", coverage_line(scores, level)));
    if arguments.verbose {
        for (i, s) in scores.iter().enumerate() {
            println!(
                "{i:4} mase {:.3} error/naive {:.3} error/last {:.3} loss {:.3} p90 {:.3} p95 {:.3} p99 {:.3}",
                s.mase / s.count,
                s.error / s.naive_error,
                s.error / s.last_error,
                s.loss / s.naive_loss,
                s.below[3] / s.count,
                s.below[4] / s.count,
                s.below[6] / s.count
            );
        }
    }
}

fn main() {
    let Some(arguments) = Arguments::parse() else {
        eprintln!("usage: forecast_scores TABLE [--truth TABLE] [--day N] [--horizon N] [--back N,…] [--every N] …");
        std::process::exit(2);
    };
    let mut series = read(&arguments.table);
    let mut arguments = arguments;
    if let Some(truth) = &arguments.truth {
        for ((_, values), (_, more)) in series.iter_mut().zip(read(truth)) {
            values.extend(more);
        }
        arguments.back = vec![arguments.horizon];
    }
    let (stride, first) = arguments.sample;
    let series: Vec<_> = series.into_iter().skip(first).step_by(stride).collect();
    let (scores, seconds, forecasts) = run(&series, &arguments);
    let scores: Vec<Score> = scores.into_iter().filter(|s| s.count > 0.0).collect();
    println!("{} series, {forecasts} forecasts, {:.3} ms each", scores.len(), 1000.0 * seconds / forecasts as f64);
    report(&scores, &arguments);
}
