//! Placing pods one by one, as they come, when what comes next is known only in kind.
//!
//! A node is worth what could still be placed on it: pods drawn from the mix are put on it one after another until
//! nothing more comes that fits, and the worth of those placed is averaged over a few such futures. A pod goes to the
//! node, and on it to the devices, that lose least by it. The futures are the same for every node, so that differences
//! between nodes are not differences of luck.
//!
//! Fragmentation gradient descent (Weng et al., Beware of Fragmentation, ATC 2023) asks of a node how much of its room
//! the *next* pod could not use. That does not see that a node with room for one large pod, or for two small ones, soon
//! has room for neither; a future of several pods does.

mod fleet;
mod room;

pub use fleet::{Fleet, Placed};
pub use room::{Demand, Room};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Futures that a worth is averaged over. More of them change little: 24 in place of 8 moved the share of GPUs allocated in
/// `benches/online.rs` by less than the seeds of the arrivals do.
const FUTURES: usize = 8;
/// Pods of a future.
const LENGTH: usize = 60;
/// Pods in a row that do not fit, after which a node counts as full.
const MOST_MISSES: usize = 20;

/// What may come: a few futures drawn from a mix.
#[derive(Debug, Clone, Default)]
pub struct Futures {
    kinds: Vec<Demand>,
    /// Indices of kinds, in the order they come.
    sequences: Vec<Vec<usize>>,
}

impl Futures {
    /// Draws from a mix of demands with their frequencies, which need not sum to one; those that are not above 0 never
    /// come. Without any, every node is worth nothing, and pods go where they leave least room. Equal mixes and seeds give
    /// equal futures.
    #[must_use]
    pub fn of(mix: impl IntoIterator<Item = (Demand, f64)>, seed: u64) -> Self {
        let (mut kinds, mut sums, mut sum) = (Vec::new(), Vec::new(), 0.0);
        for (kind, frequency) in mix {
            if frequency.is_finite() && frequency > 0.0 {
                sum += frequency;
                kinds.push(kind);
                sums.push(sum);
            }
        }
        if kinds.is_empty() {
            return Self::default();
        }
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut draw = || {
            let at = random.random::<f64>() * sum;
            sums.partition_point(|s| *s <= at).min(kinds.len() - 1)
        };
        let sequences = (0..FUTURES).map(|_| (0..LENGTH).map(|_| draw()).collect()).collect();
        Self { kinds, sequences }
    }

    /// What could still be placed in the room, in the unit of the demands' worth, averaged over the futures.
    #[must_use]
    pub fn worth(&self, room: &Room) -> f64 {
        let total: f64 = self.sequences.iter().map(|sequence| self.filled(room.clone(), sequence)).sum();
        total / self.sequences.len().max(1) as f64
    }

    fn filled(&self, mut room: Room, sequence: &[usize]) -> f64 {
        let (mut worth, mut misses) = (0.0, 0);
        for &kind in sequence {
            let demand = &self.kinds[kind];
            if let Some(devices) = room.tightest(demand) {
                room.take(demand, &devices);
                worth += demand.worth;
                misses = 0;
            } else {
                misses += 1;
                if misses == MOST_MISSES {
                    break;
                }
            }
        }
        worth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(share: i64) -> Demand {
        Demand { amounts: vec![1], devices: 1, share, classes: None, worth: share as f64 }
    }

    #[test]
    fn room_is_worth_what_fits_of_what_comes() {
        let futures = Futures::of([(demand(400), 1.0)], 1);
        let room = |devices: &[i64], cores| Room { amounts: vec![cores], devices: devices.to_vec(), class: 0 };
        assert!((futures.worth(&room(&[1000], 9)) - 800.0).abs() < 1e-9);
        assert!((futures.worth(&room(&[1000], 1)) - 400.0).abs() < 1e-9, "one core, one pod");
        assert!((futures.worth(&room(&[399, 399], 9))).abs() < 1e-9);
    }

    #[test]
    fn a_mix_of_nothing_makes_every_room_worthless_and_equal_seeds_draw_alike() {
        let room = Room { amounts: vec![9], devices: vec![1000; 4], class: 0 };
        for mix in [vec![], vec![(demand(10), 0.0)], vec![(demand(10), f64::NAN)]] {
            assert!(Futures::of(mix, 1).worth(&room).abs() < 1e-12);
        }
        let mix = || [(demand(300), 2.0), (demand(700), 1.0)];
        assert!((Futures::of(mix(), 5).worth(&room) - Futures::of(mix(), 5).worth(&room)).abs() < 1e-12);
    }
}
