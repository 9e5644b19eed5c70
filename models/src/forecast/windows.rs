//! Which past moments the method is tested at.

/// One forecast made in the past (or, last, now): fitted on everything before `cuts[cut]`, started at `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Index into [`Windows::cuts`].
    pub cut: usize,
    /// First step forecast, at or after the fit's end.
    pub start: usize,
}

/// Rolling origins. Refitting is dear and forecasting from an old fit is cheap, so a few fits serve many starts: the
/// last steps of the history are split into blocks of equal length, each with one fit at its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Windows {
    /// Fit ends, rising; one a block, and the end of the history.
    pub cuts: Vec<usize>,
    /// Windows in rising order of start; the last is the forecast itself, all others have a known truth.
    pub list: Vec<Window>,
    /// Steps of each.
    pub horizon: usize,
    /// All cuts and starts lie a multiple of so many steps before the end.
    pub grain: usize,
}

/// Starts in each block: so many that every step is forecast about twice, but no fewer than the first number and no more
/// than the second. Weights and quantiles of a short horizon would otherwise rest on a few moments of the day.
const STARTS_PER_BLOCK: (usize, usize) = (2, 12);
/// Forecasts that a step of a block takes part in.
const OVERLAP: usize = 2;

impl Windows {
    /// Windows for a history of `len` steps of which the first `needed` must stay for fitting: up to `origins` blocks
    /// of the horizon's length, or of `shortest_block` where that is longer and there is room. Blocks and the strides
    /// between starts are multiples of `grain`.
    pub(crate) fn new(
        len: usize,
        horizon: usize,
        origins: usize,
        needed: usize,
        shortest_block: usize,
        grain: usize,
    ) -> Self {
        let whole = |steps: usize| steps.next_multiple_of(grain);
        let room = len.saturating_sub(needed.max(1));
        let block = shortest_block.min(room / origins.max(1)).max(horizon).max(1);
        let block = whole(block);
        let origins = (room / block).min(origins);
        let cuts: Vec<usize> = (0..=origins).rev().map(|back| len - back * block).collect();
        let starts = (block * OVERLAP / horizon.max(1)).clamp(STARTS_PER_BLOCK.0, STARTS_PER_BLOCK.1);
        let stride = (block / starts).max(1);
        let stride = whole(stride);
        let mut list = Vec::new();
        for (cut, &from) in cuts.iter().enumerate().take(origins) {
            let starts = (0..block / stride).map(|k| from + k * stride).filter(|start| start + horizon <= len);
            list.extend(starts.map(|start| Window { cut, start }));
        }
        list.push(Window { cut: origins, start: len });
        Self { cuts, list, horizon, grain }
    }

    /// Blocks tested.
    pub(crate) fn origins(&self) -> usize {
        self.cuts.len() - 1
    }

    /// The windows with a known truth.
    pub(crate) fn past(&self) -> &[Window] {
        &self.list[..self.list.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_window_sees_its_own_truth_and_all_truth_exists(
            len in 1_usize..3000, horizon in 1_usize..300, origins in 1_usize..5, needed in 0_usize..500,
            block in 0_usize..400, grain in 1_usize..20,
        ) {
            let windows = Windows::new(len, horizon, origins, needed, block, grain);
            prop_assert!(windows.cuts.iter().all(|cut| (len - cut) % grain == 0));
            prop_assert!(windows.list.iter().all(|window| (len - window.start) % grain == 0));
            prop_assert!(windows.origins() <= origins);
            prop_assert_eq!(*windows.list.last().unwrap(), Window { cut: windows.origins(), start: len });
            for block in 0..windows.origins() {
                prop_assert!(windows.past().iter().any(|window| window.cut == block));
            }
            for window in windows.past() {
                prop_assert!(windows.cuts[window.cut] <= window.start);
                prop_assert!(window.start + horizon <= len);
                prop_assert!(windows.cuts[window.cut] >= needed.min(len));
            }
        }
    }
}
