//! How forecasts did against naive ones, each figure with its range.

use serde::Serialize;

use crate::domain::scores::{Against, Estimate, Measure, Scoreboard};
use crate::format::{counted, percent, printable, significant};

/// Scores of a fleet.
#[derive(Serialize)]
pub(super) struct ScoresView {
    finding: String,
    basis: String,
    measures: Vec<&'static str>,
    methods: Vec<(String, Vec<String>)>,
    verdicts: Vec<String>,
}

impl ScoresView {
    pub(super) fn of(board: &Scoreboard) -> Self {
        let ranged = |e: Estimate| {
            let range = e.range.map(|(low, high)| format!(" ({}–{})", significant(low, 3), significant(high, 3)));
            format!("{}{}", significant(e.value, 3), range.unwrap_or_default())
        };
        let verdicts = board.comparisons.iter().map(|c| {
            let (measure, than) = (c.measure.name(), c.than.name());
            match c.ratio.range {
                None => format!(
                    "{measure} against {than}: ratio {}; one series, no telling from chance",
                    significant(c.ratio.value, 3)
                ),
                Some(_) if c.is_noise() => format!("{measure} against {than}: ratio {}, noise", ranged(c.ratio)),
                Some(_) => format!("{measure} against {than}: ratio {}", ranged(c.ratio)),
            }
        });
        let against = match &board.against {
            Against::RollingOrigins { origins, every_steps } => {
                format!("{origins} rolling origins {every_steps} steps apart")
            }
            Against::Truth { file } => format!("the truth in {}", printable(file)),
        };
        let mase = board.comparisons.iter().find(|c| c.measure == Measure::Mase);
        Self {
            finding: match mase {
                Some(c) if c.is_noise() => format!("No telling from {} beyond chance", c.than.name()),
                Some(c) if c.ratio.value < 1.0 => {
                    format!("{} less {} than {}", percent(1.0 - c.ratio.value), c.measure.name(), c.than.name())
                }
                Some(c) => format!("{} more {} than {}", percent(c.ratio.value - 1.0), c.measure.name(), c.than.name()),
                None => "Scores".to_owned(),
            },
            basis: format!(
                "{}, {} of {} steps against {against}; season {}. Ranges hold 95 of 100 fleets drawn anew from these series.",
                counted(board.series, "series"),
                counted(board.windows, "window"),
                board.horizon_steps,
                board.season
            ),
            measures: Measure::ALL.iter().map(|m| m.name()).collect(),
            methods: board
                .methods
                .iter()
                .map(|m| {
                    let cell = |measure: &Measure| m.get(*measure).map_or_else(|| "–".to_owned(), ranged);
                    (m.method.name().to_owned(), Measure::ALL.iter().map(cell).collect())
                })
                .collect(),
            verdicts: verdicts.collect(),
        }
    }
}
