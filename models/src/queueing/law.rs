//! How the latency of a service grows with the load on one replica.

use super::multi_server::{LatencyGoal, MultiServer, largest_meeting};

/// Loads up to this multiple of the largest one seen are believed; beyond it nothing has been measured that could
/// contradict the law, so a plan gets there in steps, each of which is measured.
const BELIEVED_BEYOND_SEEN: f64 = 1.25;

/// What of the latency is meant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LatencyMeasure {
    /// The mean.
    Mean,
    /// A quantile, 0..1.
    Quantile(f64),
}

/// latency(x) = base + v·W(x): what a request takes on an idle replica, and the waiting of an M/M/k queue in which the
/// k slots of one replica together serve µ requests a second.
///
/// Replicas are taken as queues of their own, each with its part of the load, and not as one pooled queue: that is
/// what a load balancer without knowledge of queue lengths makes of them, and where balancing is better the history
/// the law is fitted to already shows it at the same load a replica.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyLaw {
    /// What the law was fitted to.
    pub measure: LatencyMeasure,
    /// Latency of an idle replica, seconds, > 0.
    pub base_s: f64,
    /// Requests a second at which one replica saturates, µ.
    pub capacity_per_s: f64,
    /// Requests one replica serves side by side, k ≥ 1.
    pub slots: u32,
    /// Factor on the waiting, v: the Allen–Cunneen variability as the history shows it.
    pub variability: f64,
    /// The largest load a replica has been seen with (median of the highest bin), requests a second.
    pub largest_seen_per_s: f64,
    /// Share of the variance over the bins that the law explains, ≤ 1.
    pub r_squared: f64,
    /// Measurements behind it.
    pub measurements: usize,
}

impl LatencyLaw {
    /// Latency in the measure the law was fitted to, seconds; infinite from saturation on.
    #[must_use]
    pub fn latency_s(&self, load_per_s: f64) -> f64 {
        self.base_s + self.variability * waiting_s(self.measure, self.slots, self.capacity_per_s, load_per_s)
    }

    /// A quantile of latency at a load a replica, seconds.
    ///
    /// Exact to the law where it was fitted to this quantile. Otherwise the idle latency is taken as exponential
    /// (ln(1 − q) carries it from one quantile, or from the mean, to another) and the quantiles of service and waiting
    /// are added, which overstates the sum's quantile.
    #[must_use]
    pub fn quantile_s(&self, load_per_s: f64, quantile: f64) -> f64 {
        let tail = -(1.0 - quantile).ln();
        let base_s = match self.measure {
            LatencyMeasure::Quantile(fitted) if (fitted - quantile).abs() < 1e-9 => self.base_s,
            LatencyMeasure::Quantile(fitted) => self.base_s * tail / -(1.0 - fitted).ln(),
            LatencyMeasure::Mean => self.base_s * tail,
        };
        let measure = LatencyMeasure::Quantile(quantile);
        base_s + self.variability * waiting_s(measure, self.slots, self.capacity_per_s, load_per_s)
    }

    /// The largest load a replica that meets the goal, requests a second; 0 where even an idle replica is too slow.
    /// Never more than 1.25 times the largest load seen.
    #[must_use]
    pub fn largest_load_per_s(&self, goal: LatencyGoal) -> f64 {
        let meets = |load: f64| self.quantile_s(load, goal.quantile) <= goal.target_s;
        if !meets(0.0) {
            return 0.0;
        }
        let believed = BELIEVED_BEYOND_SEEN * self.largest_seen_per_s;
        if believed < self.capacity_per_s && meets(believed) {
            return believed;
        }
        largest_meeting(self.capacity_per_s.min(believed), meets)
    }
}

/// Waiting of M/M/k at a load, in the measure asked for, seconds.
pub(super) fn waiting_s(measure: LatencyMeasure, slots: u32, capacity_per_s: f64, load_per_s: f64) -> f64 {
    let queue = MultiServer { servers: slots, service_s: f64::from(slots) / capacity_per_s, variability: 1.0 };
    match measure {
        LatencyMeasure::Mean => queue.mean_wait_s(load_per_s),
        LatencyMeasure::Quantile(quantile) => queue.wait_quantile_s(load_per_s, quantile),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn law(measure: LatencyMeasure) -> LatencyLaw {
        LatencyLaw {
            measure,
            base_s: 0.1,
            capacity_per_s: 10.0,
            slots: 1,
            variability: 1.0,
            largest_seen_per_s: 9.0,
            r_squared: 1.0,
            measurements: 100,
        }
    }

    #[test]
    fn the_mean_of_one_slot_is_the_hand_worked_queue() {
        // M/M/1 with µ = 10: mean response 1/(µ − x).
        let law = law(LatencyMeasure::Mean);
        for load in [0.0, 5.0, 9.0] {
            assert!((law.latency_s(load) - 1.0 / (10.0 - load)).abs() < 1e-12);
        }
        assert!(law.latency_s(10.0).is_infinite());
    }

    #[test]
    fn the_largest_load_meets_the_goal_and_a_little_more_does_not() {
        let law = law(LatencyMeasure::Quantile(0.95));
        let goal = LatencyGoal { target_s: 0.5, quantile: 0.95 };
        let load = law.largest_load_per_s(goal);
        assert!(law.quantile_s(load, 0.95) <= 0.5 && law.quantile_s(load * 1.001, 0.95) > 0.5);
    }

    #[test]
    fn a_load_far_beyond_any_seen_is_not_believed() {
        let law = LatencyLaw { largest_seen_per_s: 2.0, ..law(LatencyMeasure::Mean) };
        let goal = LatencyGoal { target_s: 100.0, quantile: 0.5 };
        assert!((law.largest_load_per_s(goal) - 2.5).abs() < 1e-12);
    }

    #[test]
    fn a_target_below_the_idle_latency_carries_nothing() {
        let goal = LatencyGoal { target_s: 0.05, quantile: 0.95 };
        assert!(law(LatencyMeasure::Quantile(0.95)).largest_load_per_s(goal).abs() < f64::EPSILON);
    }

    #[test]
    fn a_higher_quantile_is_never_shorter() {
        let law = law(LatencyMeasure::Quantile(0.95));
        assert!(law.quantile_s(5.0, 0.99) > law.quantile_s(5.0, 0.95));
        assert!(law.quantile_s(5.0, 0.5) < law.quantile_s(5.0, 0.95));
    }
}
