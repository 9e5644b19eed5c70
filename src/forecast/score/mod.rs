//! Forecasts held against what followed: rolling origins inside the data, or a truth from elsewhere.

mod board;
mod naive;
mod window;

use plimsoll_models::forecast::{Deployment, Outcome};
use rayon::prelude::*;

use super::{Asked, ForecastSettings, histories, outcomes_of, to_forecast};
use crate::domain::scores::{Against, Scoreboard};
use crate::domain::series::is_numbered;
use crate::domain::{Axis, Forecast, Series};

use board::Fleet;
use window::{Held, score};

/// Levels of the weighted quantile loss.
pub(crate) const LOSS_LEVELS: [f64; 5] = [0.1, 0.5, 0.9, 0.95, 0.99];

/// Levels that every scored forecast has beside those asked for: the loss' and the ends of the 95 % interval.
pub const SCORED_LEVELS: [f64; 7] = naive::LEVELS;

/// Values an origin must leave before it, for a forecast to be one.
const LEAST_HISTORY: usize = 16;

/// Where the origins are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rolling {
    /// Origins, at least 1; the last is a horizon before each series' end.
    pub origins: usize,
    /// Steps between them, at least 1.
    pub every_steps: usize,
}

/// How scores are summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Season in steps of the naive methods and of MASE's scale; `None` takes the day, or where the axis counts steps
    /// the season that most forecasts found.
    pub season: Option<usize>,
    /// Draws of the bootstrap over series.
    pub resamples: usize,
    /// Its seed.
    pub seed: u64,
}

/// Forecasts every series from earlier origins and scores what came out against what followed. A series is left out
/// at an origin that leaves it too little history. From origin to origin quantiles are corrected by how those before have
/// held by then, as a state that goes on corrects them. `progress` is told (done, total) forecasts.
///
/// The result is the same on any number of threads.
#[must_use]
pub fn score_rolling(
    series: &Series,
    settings: &ForecastSettings,
    rolling: &Rolling,
    summary: &Summary,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Scoreboard {
    let settings = settings.with_levels(&SCORED_LEVELS);
    let whole = histories(series);
    let horizon = settings.horizon_steps.max(1);
    let origins = rolling.origins.max(1);
    let mut season = summary.season;
    let asked = Asked::new(&settings, series.axis);
    let levels = settings.rising_levels();
    let mut fleet = Fleet::new(&whole);
    let mut deployed = vec![Deployment::default(); whole.len()];
    // The earliest first: what it finds of seasons holds for all, and it knows least.
    for k in (0..origins).rev() {
        let back = horizon + k * rolling.every_steps.max(1);
        let cut = |row: usize| whole[row].len().checked_sub(back).filter(|&cut| cut >= LEAST_HISTORY);
        let rows: Vec<(usize, usize)> = (0..whole.len()).filter_map(|row| Some((row, cut(row)?))).collect();
        let kept: Vec<&[f64]> = rows.iter().map(|&(row, cut)| &whole[row][..cut]).collect();
        let (before, all) = ((origins - 1 - k) * whole.len(), origins * whole.len());
        let subjects: Vec<usize> = rows.iter().map(|&(row, _)| row).collect();
        let tell = |done: usize, _: usize| progress(before + done, all);
        let outcomes = outcomes_of(series, &subjects, &kept, &asked, &tell);
        let issue = |((&row, &history), outcome): ((&usize, &&[f64]), Outcome)| {
            let issued = deployed[row].issue(&outcome, &levels, history);
            to_forecast(&series.rows[row], history.len(), issued, &asked)
        };
        let forecasts: Vec<Forecast> = subjects.iter().zip(&kept).zip(outcomes).map(issue).collect();
        let season = *season.get_or_insert_with(|| usual_season(&series.axis, &forecasts));
        let scored: Vec<_> = rows
            .par_iter()
            .zip(&kept)
            .zip(&forecasts)
            .map(|((&(row, cut), history), forecast)| {
                (row, score(&Held { history, truth: &whole[row][cut..cut + horizon], forecast, season }))
            })
            .collect();
        fleet.add(scored);
    }
    let against = Against::RollingOrigins { origins, every_steps: rolling.every_steps.max(1) };
    fleet.scoreboard(series, against, &settings, season.unwrap_or(1), summary)
}

/// Scores forecasts of `series` against `truth`, in which a series has the same subject and signal. A truth whose
/// instants all lie before the forecast's first one is taken to begin there: files of what followed often number their
/// steps anew.
///
/// `forecasts` are those of [`forecast_series`](super::forecast_series) with [`SCORED_LEVELS`] among their levels.
#[must_use]
pub fn score_truth(
    series: &Series,
    forecasts: &[Forecast],
    truth: &Series,
    file: &str,
    settings: &ForecastSettings,
    summary: &Summary,
) -> Scoreboard {
    let whole = histories(series);
    let season = summary.season.unwrap_or_else(|| usual_season(&series.axis, forecasts));
    let mut fleet = Fleet::new(&whole);
    let scored: Vec<_> = forecasts
        .par_iter()
        .enumerate()
        .map(|(row, forecast)| {
            let values =
                truth.get(&forecast.subject, forecast.signal).map(|values| values.to_vec()).unwrap_or_default();
            let truth = following(&values, &truth.axis, forecast);
            (row, score(&Held { history: whole[row], truth: &truth, forecast, season }))
        })
        .collect();
    fleet.add(scored);
    fleet.scoreboard(series, Against::Truth { file: file.to_owned() }, settings, season, summary)
}

/// The values over the forecast's instants; NaN where there is none.
fn following(values: &[f64], axis: &Axis, forecast: &Forecast) -> Vec<f64> {
    let mut truth = vec![f64::NAN; forecast.horizon()];
    let measured = || values.iter().enumerate().filter(|(_, v)| v.is_finite());
    let Some((first, _)) = measured().next() else { return truth };
    let last_ms = measured().next_back().map_or(i64::MIN, |(i, _)| axis.time_ms(i));
    let starts_anew = last_ms < forecast.start_ms;
    for (i, value) in measured() {
        let step = if starts_anew {
            Some(i - first)
        } else {
            let after = axis.time_ms(i) - forecast.start_ms;
            usize::try_from(after.div_euclid(forecast.step_ms.max(1))).ok()
        };
        if let Some(slot) = step.and_then(|step| truth.get_mut(step)) {
            *slot = *value;
        }
    }
    truth
}

/// A day on an axis of time; else the first season of most forecasts that have one, or 1.
fn usual_season(axis: &Axis, forecasts: &[Forecast]) -> usize {
    if !is_numbered(axis.step_ms) && super::DAY_MS % axis.step_ms == 0 {
        return usize::try_from(super::DAY_MS / axis.step_ms).unwrap_or(1);
    }
    let mut counts = std::collections::BTreeMap::<usize, usize>::new();
    forecasts
        .iter()
        .filter_map(|f| f.trust.seasons.first())
        .for_each(|&season| *counts.entry(season).or_default() += 1);
    counts.into_iter().max_by_key(|&(season, count)| (count, std::cmp::Reverse(season))).map_or(1, |(season, _)| season)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{series, settings};
    use super::*;
    use crate::domain::scores::{Measure, Method};
    use crate::forecast::forecast_series;

    fn load(row: usize, t: usize) -> f64 {
        let noise = ((t * 7919 + row * 104_729) % 101) as f64 / 101.0;
        10.0 + 5.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin() + noise
    }

    fn fleet(rows: usize, len: usize) -> Series {
        series(&(0..rows).map(|row| (0..len).map(|t| load(row, t)).collect()).collect::<Vec<_>>(), 1)
    }

    const SUMMARY: Summary = Summary { season: Some(24), resamples: 200, seed: 1 };

    #[test]
    fn a_season_with_noise_is_forecast_better_than_by_naive_methods_beyond_chance() {
        let board = score_rolling(
            &fleet(6, 400),
            &settings(24),
            &Rolling { origins: 3, every_steps: 24 },
            &SUMMARY,
            &|_, _| (),
        );
        assert_eq!((board.series, board.windows, board.left_out, board.season), (6, 18, 0, 24));
        let mase = |method: usize| board.methods[method].get(Measure::Mase).unwrap();
        assert!(mase(0).value < mase(1).value && mase(1).value < mase(2).value);
        let (low, high) = mase(0).range.unwrap();
        assert!(low <= mase(0).value && mase(0).value <= high);
        let against =
            board.comparisons.iter().find(|c| c.than == Method::LastValue && c.measure == Measure::Mase).unwrap();
        assert!(!against.is_noise() && against.ratio.value < 0.5);
        let owa = |method: usize| board.methods[method].get(Measure::Owa).unwrap().value;
        assert!((owa(3) - 1.0).abs() < 1e-12, "Naive2 is OWA's unit");
        assert_eq!(board.coverage.len(), SCORED_LEVELS.len());
        assert!(board.coverage.windows(2).all(|pair| pair[0].measured.value <= pair[1].measured.value));
    }

    #[test]
    fn quantiles_are_corrected_from_origin_to_origin() {
        // From step 420 on the load is far wilder than its past was.
        let noise = |t: usize| ((t * 7919) % 101) as f64 / 101.0 - 0.5;
        let size = |t: usize| if t < 420 { 0.2 } else { 8.0 };
        let whole: Vec<f64> =
            (0..520).map(|t| 20.0 + (t as f64 / 24.0 * std::f64::consts::TAU).sin() + noise(t) * size(t)).collect();
        let settings = settings(6).with_levels(&SCORED_LEVELS);
        let input = series(std::slice::from_ref(&whole), 1);
        let board = score_rolling(&input, &settings, &Rolling { origins: 15, every_steps: 6 }, &SUMMARY, &|_, _| ());
        let of_models = settings.for_models(&input.axis);
        let (levels, row) = (of_models.levels(), 3);
        let (mut chained, mut plain) = (0.0, 0.0);
        let mut deployment = Deployment::default();
        for cut in (430..=514).step_by(6) {
            let outcome = plimsoll_models::forecast::forecast(&whole[..cut], &of_models);
            let issued = deployment.issue(&outcome, &levels, &whole[..cut]);
            let held = |outcome: &Outcome| {
                let quantile = outcome.quantiles.row(row).to_vec();
                plimsoll_models::forecast::scores::coverage(&whole[cut..cut + 6], &quantile).unwrap() / 15.0
            };
            (chained, plain) = (chained + held(&issued), plain + held(&outcome));
        }
        let measured = board.coverage.iter().find(|c| (c.level - levels[row]).abs() < 1e-9).unwrap().measured.value;
        assert!((measured - chained).abs() < 1e-9 && (plain - chained).abs() > 1e-3, "{measured} {chained} {plain}");
    }

    #[test]
    fn a_truth_that_numbers_its_steps_anew_scores_like_one_that_goes_on() {
        let whole: Vec<Vec<f64>> = (0..3).map(|row| (0..324).map(|t| load(row, t)).collect()).collect();
        let cut: Vec<Vec<f64>> = whole.iter().map(|row| row[..300].to_vec()).collect();
        let tail: Vec<Vec<f64>> = whole.iter().map(|row| row[300..].to_vec()).collect();
        let input = series(&cut, 1);
        let settings = settings(24).with_levels(&SCORED_LEVELS);
        let forecasts = forecast_series(&input, &settings, &|_, _| ());
        let board = |truth: &Series| score_truth(&input, &forecasts, truth, "truth", &settings, &SUMMARY);
        let anew = board(&series(&tail, 1));
        assert_eq!(anew, board(&series(&whole, 1)));
        // And it is what one rolling origin of the whole gives.
        let rolled =
            score_rolling(&series(&whole, 1), &settings, &Rolling { origins: 1, every_steps: 1 }, &SUMMARY, &|_, _| ());
        assert_eq!(anew.methods, rolled.methods);
        assert_eq!(anew.coverage, rolled.coverage);
    }

    #[test]
    fn one_series_has_no_range_and_short_ones_are_left_out() {
        let mut rows: Vec<Vec<f64>> = vec![(0..300).map(|t| load(0, t)).collect()];
        rows.push(vec![1.0; 20]);
        let board = score_rolling(
            &series(&rows, 1),
            &settings(24),
            &Rolling { origins: 2, every_steps: 24 },
            &SUMMARY,
            &|_, _| (),
        );
        assert_eq!((board.series, board.left_out, board.windows), (1, 1, 2));
        assert!(board.methods[0].get(Measure::Mase).unwrap().range.is_none());
        assert!(board.comparisons.iter().all(crate::domain::scores::Comparison::is_noise));
        let none = score_rolling(
            &series(&[], 1),
            &settings(24),
            &Rolling { origins: 2, every_steps: 24 },
            &SUMMARY,
            &|_, _| (),
        );
        assert_eq!((none.series, none.windows), (0, 0));
    }
}
