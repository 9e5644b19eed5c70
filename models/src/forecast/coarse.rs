//! The bank on a coarser step: a day ahead in minutes is 1440 steps of a regression that looks back half an hour, and
//! errors pile up. On means of an hour it is 24 steps; the shape within the hour is put back afterwards.

use super::bank::{self, Member, bounds};
use super::windows::{Window, Windows};

/// Coarse steps ahead that a horizon is cut into, at most; and those of a day, at least.
const COARSE_HORIZON: usize = 12;
const COARSE_DAY: usize = 24;

/// The one lag set run on the coarse step: all three together did no better on validation windows of the traces, and
/// crowded out the others where the coarse step is no help.
const LAG_SET: &str = "dense";

/// Steps that are taken together: the largest divisor of the shortest season that leaves both long enough; 1 is not
/// at all.
pub(crate) fn grain(seasons: &[usize], horizon: usize) -> usize {
    let Some(&day) = seasons.first() else { return 1 };
    let most = (horizon / COARSE_HORIZON).min(day / COARSE_DAY);
    (1..=most).rev().find(|grain| day % grain == 0).unwrap_or(1)
}

/// The bank's members on means over the windows' grain. None where the grain is 1 or a season is no multiple of it.
pub(crate) fn members(values: &[f64], seasons: &[usize], windows: &Windows) -> Vec<Member> {
    let grain = windows.grain;
    let (Some(&day), true) = (seasons.first(), grain > 1) else { return Vec::new() };
    let coarse_seasons: Vec<usize> = seasons.iter().filter(|&s| s % grain == 0).map(|s| s / grain).collect();
    let offset = values.len() % grain;
    let means: Vec<f64> =
        values[offset..].chunks_exact(grain).map(|chunk| chunk.iter().sum::<f64>() / grain as f64).collect();
    let at = |step: usize| (step - offset) / grain;
    let coarse = Windows {
        cuts: windows.cuts.iter().map(|&cut| at(cut)).collect(),
        list: windows.list.iter().map(|w| Window { cut: w.cut, start: at(w.start) }).collect(),
        horizon: windows.horizon.div_ceil(grain),
        grain: 1,
    };
    let shape = shape_within(&values[offset..], &means, coarse.cuts[0], grain, day);
    let limits: Vec<(f64, f64)> = windows.cuts.iter().map(|&cut| bounds(&values[..cut])).collect();
    let mut members = bank::regressions(&means, &bank::bent(&means), &coarse_seasons, &coarse, Some(LAG_SET));
    for member in &mut members {
        member.name = format!("{} in {grain}s", member.name);
        let mut fine = Vec::with_capacity(windows.list.len() * windows.horizon);
        for (window, path) in windows.list.iter().zip(member.paths.chunks_exact(coarse.horizon)) {
            let (low, high) = limits[window.cut];
            let before = means[at(window.start) - 1];
            let phase = window.start - offset;
            fine.extend((0..windows.horizon).map(|h| {
                let value = between(before, path, h, grain) + shape[(phase + h) % day];
                value.clamp(low, high)
            }));
        }
        member.paths = fine;
    }
    members
}

/// The value at fine step `h` on the straight lines between the middles of the coarse steps; `before` is the mean of the
/// coarse step before the first.
fn between(before: f64, means: &[f64], h: usize, grain: usize) -> f64 {
    let place = (h as f64 + 0.5) / grain as f64 - 0.5;
    let low = place.floor();
    let share = place - low;
    let mean = |i: f64| if i < 0.0 { before } else { means[(i as usize).min(means.len() - 1)] };
    mean(low) * (1.0 - share) + mean(low + 1.0) * share
}

/// What is left of each step of the day when the lines between coarse means are taken away: its mean over the days before
/// `end` (in coarse steps).
fn shape_within(values: &[f64], means: &[f64], end: usize, grain: usize, day: usize) -> Vec<f64> {
    let mut shape = vec![(0.0, 0.0); day];
    for (t, value) in values.iter().enumerate().take(end * grain) {
        let first = t / grain;
        let line = between(means[first.saturating_sub(1)], &means[first..(first + 2).min(end)], t % grain, grain);
        shape[t % day].0 += value - line;
        shape[t % day].1 += 1.0;
    }
    shape.into_iter().map(|(sum, count): (f64, f64)| sum / count.max(1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_minutes_is_taken_by_the_hour_and_a_day_of_hours_as_it_is() {
        assert_eq!(grain(&[1440], 1440), 60);
        assert_eq!(grain(&[1440], 60), 5);
        assert_eq!(grain(&[288], 288), 12);
        assert_eq!(grain(&[24], 48), 1);
        assert_eq!(grain(&[], 1000), 1);
    }

    #[test]
    fn a_wave_with_a_tooth_every_quarter_is_continued() {
        let load = |t: usize| {
            let tooth = if t.is_multiple_of(15) { 2.0 } else { 0.0 };
            20.0 + 5.0 * (t as f64 / 1440.0 * std::f64::consts::TAU).sin() + tooth
        };
        let values: Vec<f64> = (0..14_407).map(load).collect();
        let windows = Windows::new(values.len(), 1440, 2, 2 * 1440, 1440, 60);
        let members = members(&values, &[1440], &windows);
        assert!(!members.is_empty());
        for member in &members {
            let path = &member.paths[member.paths.len() - 1440..];
            let error = path.iter().enumerate().map(|(h, v)| (v - load(values.len() + h)).abs()).sum::<f64>() / 1440.0;
            assert!(error < 0.4, "{}: {error}", member.name);
        }
    }
}
