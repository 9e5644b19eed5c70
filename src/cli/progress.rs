//! Progress bars on standard error, only where it is a terminal.

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::domain::progress::{Observer, Stage};
use crate::domain::{Clock, StopRule};

use super::arguments::StopArguments;

/// The clock of one command: time since it began.
#[derive(Debug, Clone, Copy)]
pub(super) struct SinceStart(Instant);

impl SinceStart {
    pub(super) fn now() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SinceStart {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The stop rule that the arguments state.
pub(super) fn stop_rule(arguments: &StopArguments) -> StopRule {
    let StopArguments { time_limit, gap, seed, threads } = *arguments;
    StopRule { time_limit: Duration::from_secs_f64(time_limit), gap, seed, threads: usize::from(threads) }
}

/// Shows the stage under way.
pub(super) struct Bars {
    bar: Mutex<Option<ProgressBar>>,
    shown: bool,
}

impl Bars {
    pub(super) fn new() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        Self { bar: Mutex::new(None), shown: io::stderr().is_terminal() && !dumb }
    }

    fn with(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        if self.shown
            && let Ok(mut bar) = self.bar.lock()
        {
            act(&mut bar);
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.with(|bar| bar.take().into_iter().for_each(|b| b.finish_and_clear()));
    }
}

impl Observer for Bars {
    fn begin(&self, stage: Stage, total: Option<u64>) {
        let label = match stage {
            Stage::Reading => "reading",
            Stage::Fetching => "fetching",
            Stage::Aligning => "aligning",
            Stage::Forecasting => "forecasting",
            Stage::Solving => "solving",
        };
        self.with(|bar| {
            bar.take().into_iter().for_each(|b| b.finish_and_clear());
            let new = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr()).with_message(label);
            let template = if total.is_some() {
                "{msg:12} {bar:30} {pos}/{len} {eta}"
            } else {
                "{msg:12} {spinner} {prefix} {elapsed}"
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                new.set_style(style);
            }
            new.enable_steady_tick(Duration::from_millis(120));
            *bar = Some(new);
        });
    }

    fn done(&self, units: u64) {
        self.with(|bar| bar.iter().for_each(|b| b.set_position(units.max(b.position()))));
    }

    fn note(&self, text: &str) {
        self.with(|bar| bar.iter().for_each(|b| b.set_prefix(text.to_owned())));
    }
}
