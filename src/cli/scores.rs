//! Scores as a table, CSV and JSON.

use std::fmt::Write as _;

use serde_json::json;

use crate::domain::scores::{Against, Comparison, Coverage, Estimate, Measure, Scoreboard};

/// A sentence, a table, coverage, and what the differences are worth.
pub(super) fn table(board: &Scoreboard) -> String {
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = writeln!(text, "{}", headline(board));
    let _ = writeln!(text, "ranges hold 95 of 100 fleets drawn anew from these series (seed {})\n", board.seed);
    let _ = write!(text, "{:15}", "METHOD");
    for measure in Measure::ALL {
        let _ = write!(text, " {:>22}", measure.name());
    }
    text.push('\n');
    for method in &board.methods {
        let _ = write!(text, "{:15}", method.method.name());
        for measure in Measure::ALL {
            let cell = method.get(measure).map_or_else(|| "-".to_owned(), |e| ranged(e, |v| format!("{v:.3}")));
            let _ = write!(text, " {cell:>22}");
        }
        text.push('\n');
    }
    text.push_str("\nCOVERAGE (share of the truth at or below; one series in ten below, above)\n");
    board.coverage.iter().for_each(|c| text.push_str(&coverage(c)));
    if let Some(inside) = board.interval_coverage {
        let _ = writeln!(text, "{:15} {:>22}", "95 % interval", ranged(inside, percent));
    }
    if board.lead_steps > 1 {
        let _ = writeln!(text, "of the maximum over {} steps", board.lead_steps);
        board.peak_coverage.iter().for_each(|c| text.push_str(&coverage(c)));
    }
    text.push_str("\nPLIMSOLL AGAINST\n");
    board.comparisons.iter().for_each(|c| text.push_str(&comparison(c)));
    text
}

fn headline(board: &Scoreboard) -> String {
    let against = match &board.against {
        Against::RollingOrigins { origins, every_steps } => {
            format!("{origins} rolling origins {every_steps} steps apart")
        }
        Against::Truth { file } => format!("the truth in {file}"),
    };
    let left_out = match board.left_out {
        0 => String::new(),
        n => format!(", {n} left out (too short or constant)"),
    };
    format!(
        "scored against {against}: {} series, {} windows of {} steps, season {}{left_out}",
        board.series, board.windows, board.horizon_steps, board.season
    )
}

fn ranged(estimate: Estimate, write: impl Fn(f64) -> String) -> String {
    let range = estimate.range.map(|(low, high)| format!(" ({}–{})", write(low), write(high)));
    format!("{}{}", write(estimate.value), range.unwrap_or_default())
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn coverage(coverage: &Coverage) -> String {
    let name = format!("q{}", coverage.level);
    let (low, high) = coverage.deciles;
    format!("{name:15} {:>26} {:>10} {:>10}\n", ranged(coverage.measured, percent), percent(low), percent(high))
}

fn comparison(comparison: &Comparison) -> String {
    let Comparison { measure, than, ratio, geometric } = comparison;
    let change = 100.0 * (ratio.value - 1.0);
    let verdict = match ratio.range {
        None => "one series: no telling from chance".to_owned(),
        Some(_) if comparison.is_noise() => "noise: the range holds no difference".to_owned(),
        Some(_) if change < 0.0 => format!("{:.1} % less", -change),
        Some(_) => format!("{change:.1} % more"),
    };
    let typical =
        geometric.map_or_else(String::new, |g| format!("; geometric mean {}", ranged(g, |v| format!("{v:.3}"))));
    format!(
        "{:15} {:6} ratio {:22} {verdict}{typical}\n",
        than.name(),
        measure.name(),
        ranged(*ratio, |v| format!("{v:.3}"))
    )
}

/// `method,measure,value,low,high`; coverage as `coverage q0.9`, ratios as `MASE / seasonal naive`.
pub(super) fn csv(board: &Scoreboard) -> String {
    let mut text = "method,measure,value,low,high\n".to_owned();
    let mut line = |method: &str, measure: &str, estimate: Estimate| {
        let range = estimate.range.map_or_else(|| ",".to_owned(), |(low, high)| format!("{low},{high}"));
        let _ = writeln!(text, "{method},{measure},{},{range}", estimate.value);
    };
    for method in &board.methods {
        method.scores.iter().for_each(|(measure, estimate)| line(method.method.name(), measure.name(), *estimate));
    }
    let ours = "Plimsoll";
    board.coverage.iter().for_each(|c| line(ours, &format!("coverage q{}", c.level), c.measured));
    board.interval_coverage.into_iter().for_each(|e| line(ours, "coverage of the 95 % interval", e));
    board.peak_coverage.iter().for_each(|c| line(ours, &format!("peak coverage q{}", c.level), c.measured));
    for c in &board.comparisons {
        line(ours, &format!("{} / {}", c.measure.name(), c.than.name()), c.ratio);
        let geometric = format!("{} / {} (geometric mean)", c.measure.name(), c.than.name());
        c.geometric.into_iter().for_each(|e| line(ours, &geometric, e));
    }
    text
}

/// Everything, each series' scores among it.
pub(super) fn json(board: &Scoreboard) -> String {
    let mut document = json!({ "apiVersion": "plimsoll.dev/v1alpha1", "kind": "ForecastScores" });
    document["scores"] = json!(board);
    format!("{document:#}\n")
}
