//! A queue in front of several servers: M/M/c exactly, general arrivals and services by Allen and Cunneen.

use super::erlang::{InverseErlangB, erlang_c};

/// A queue served in order by `servers` alike servers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MultiServer {
    /// Number of servers, at least 1.
    pub servers: u32,
    /// Mean seconds a request holds a server, > 0.
    pub service_s: f64,
    /// `(c_a² + c_s²)/2`: half the sum of the squared coefficients of variation of the times between arrivals and of the
    /// service times, > 0. 1 is M/M/c; M/D/c has 0.5.
    pub variability: f64,
}

/// What is asked of the response time: P(response > `target_s`) ≤ 1 − `quantile`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyGoal {
    /// Target in seconds, > 0.
    pub target_s: f64,
    /// Quantile that must stay below it, 0..1.
    pub quantile: f64,
}

impl MultiServer {
    /// Busy share of the servers, ρ = λ·s/c; 1 and above means that the queue grows without end.
    #[must_use]
    pub fn utilisation(&self, arrivals_per_s: f64) -> f64 {
        arrivals_per_s * self.service_s / f64::from(self.servers)
    }

    /// Probability that a request waits at all (Erlang C), 0..=1.
    #[must_use]
    pub fn wait_probability(&self, arrivals_per_s: f64) -> f64 {
        erlang_c(self.servers, arrivals_per_s * self.service_s)
    }

    /// Rate at which the waiting time of those who wait decays, (c/s − λ)/variability; ≤ 0 without a steady state.
    fn decay_per_s(&self, arrivals_per_s: f64) -> f64 {
        (f64::from(self.servers) / self.service_s - arrivals_per_s) / self.variability
    }

    /// Mean seconds of waiting: v·C/(c/s − λ). Exact for M/M/c (v = 1) and for M/G/1, where it is the
    /// Pollaczek–Khinchine formula; for the rest the Allen–Cunneen approximation. Infinite without a steady state.
    #[must_use]
    pub fn mean_wait_s(&self, arrivals_per_s: f64) -> f64 {
        if self.utilisation(arrivals_per_s) >= 1.0 {
            return f64::INFINITY;
        }
        self.wait_probability(arrivals_per_s) / self.decay_per_s(arrivals_per_s)
    }

    /// P(wait > t) = C·e^(−θt) with θ = (c/s − λ)/v. Exact for v = 1; otherwise those who wait are taken to wait an
    /// exponential time with the Allen–Cunneen mean.
    #[must_use]
    pub fn wait_exceedance(&self, arrivals_per_s: f64, t_s: f64) -> f64 {
        if self.utilisation(arrivals_per_s) >= 1.0 {
            return 1.0;
        }
        self.wait_probability(arrivals_per_s) * (-self.decay_per_s(arrivals_per_s) * t_s.max(0.0)).exp()
    }

    /// The waiting time that is exceeded with probability 1 − `quantile`, seconds: ln(C/(1 − quantile))/θ, or 0 where
    /// fewer than that wait at all. Infinite without a steady state.
    #[must_use]
    pub fn wait_quantile_s(&self, arrivals_per_s: f64, quantile: f64) -> f64 {
        if self.utilisation(arrivals_per_s) >= 1.0 {
            return f64::INFINITY;
        }
        let waits = self.wait_probability(arrivals_per_s);
        if waits <= 1.0 - quantile {
            return 0.0;
        }
        (waits / (1.0 - quantile)).ln() / self.decay_per_s(arrivals_per_s)
    }

    /// P(wait + service > t) with exponential service times:
    /// (1 − C)·e^(−t/s) + C·P(Exp(1/s) + Exp(θ) > t), Gross et al. §2.3.
    #[must_use]
    pub fn response_exceedance(&self, arrivals_per_s: f64, t_s: f64) -> f64 {
        if self.utilisation(arrivals_per_s) >= 1.0 {
            return 1.0;
        }
        let waits = self.wait_probability(arrivals_per_s);
        response_exceedance(waits, 1.0 / self.service_s, self.decay_per_s(arrivals_per_s), t_s.max(0.0))
    }

    /// The response time that is exceeded with probability 1 − `quantile`, seconds, by bisection to a relative 1e-9.
    /// Infinite without a steady state.
    #[must_use]
    pub fn response_quantile_s(&self, arrivals_per_s: f64, quantile: f64) -> f64 {
        if self.utilisation(arrivals_per_s) >= 1.0 || quantile >= 1.0 {
            return f64::INFINITY;
        }
        let above = |t: f64| self.response_exceedance(arrivals_per_s, t) > 1.0 - quantile;
        let mut high = self.service_s;
        while above(high) && high.is_finite() {
            high *= 2.0;
        }
        bisect(0.0, high, |t| !above(t))
    }

    /// The largest arrival rate whose response time meets the goal, requests a second; 0 where even an idle server
    /// is too slow.
    #[must_use]
    pub fn largest_arrival_rate(&self, goal: LatencyGoal) -> f64 {
        let meets = |rate: f64| self.response_exceedance(rate, goal.target_s) <= 1.0 - goal.quantile;
        if !meets(0.0) {
            return 0.0;
        }
        let saturation = f64::from(self.servers) / self.service_s;
        largest_meeting(saturation, meets)
    }
}

/// The smallest number of servers with P(response > target) ≤ 1 − quantile at this arrival rate, at most
/// `max_servers`; `None` where no number up to it suffices.
///
/// Takes one step of Erlang's recursion a server, so the whole search costs as much as one evaluation.
#[must_use]
pub fn servers_needed(
    arrivals_per_s: f64,
    service_s: f64,
    variability: f64,
    goal: LatencyGoal,
    max_servers: u32,
) -> Option<u32> {
    let load = arrivals_per_s * service_s;
    let may_miss = 1.0 - goal.quantile;
    if !(load >= 0.0 && (-goal.target_s / service_s).exp() <= may_miss) {
        return None;
    }
    let mut erlang = InverseErlangB::none();
    while erlang.servers() < max_servers {
        erlang = erlang.one_more(load);
        let servers = f64::from(erlang.servers());
        if servers <= load {
            continue;
        }
        let decay = (servers / service_s - arrivals_per_s) / variability;
        if response_exceedance(erlang.waiting(load), 1.0 / service_s, decay, goal.target_s) <= may_miss {
            return Some(erlang.servers());
        }
    }
    None
}

/// (1 − C)·e^(−µt) + C·P(Exp(µ) + Exp(θ) > t). The sum of two exponentials is symmetric in its rates, so it is written
/// with the slower one in front: no difference of large terms, and no special case where the rates are equal.
fn response_exceedance(waits: f64, service_rate: f64, decay: f64, t: f64) -> f64 {
    let (slow, fast) = if service_rate < decay { (service_rate, decay) } else { (decay, service_rate) };
    let apart = (fast - slow) * t;
    let lead = if apart > 1e-12 { -(-apart).exp_m1() / apart } else { 1.0 };
    let waited = (-slow * t).exp() * (1.0 + slow * t * lead);
    ((1.0 - waits) * (-service_rate * t).exp() + waits * waited).clamp(0.0, 1.0)
}

/// The smallest x in [low, high] with `holds(x)`, for a condition that turns true once.
fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if high - low <= 1e-9 * high || !middle.is_finite() {
            break;
        }
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

/// The largest x in [0, limit) with `meets(x)`, for a condition that turns false once, to a relative 1e-9 from below.
pub(super) fn largest_meeting(limit: f64, meets: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, limit);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if high - low <= 1e-9 * high {
            break;
        }
        if meets(middle) { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mmc(servers: u32, service_s: f64) -> MultiServer {
        MultiServer { servers, service_s, variability: 1.0 }
    }

    #[test]
    fn one_server_agrees_with_the_hand_worked_queue() {
        // λ = 3, µ = 4: ρ = ¾, W_q = ρ/(µ−λ) = ¾ s, response is exponential with rate µ−λ = 1.
        let queue = mmc(1, 0.25);
        assert!((queue.mean_wait_s(3.0) - 0.75).abs() < 1e-12);
        assert!((queue.response_exceedance(3.0, 2.0) - (-2.0_f64).exp()).abs() < 1e-12);
        assert!((queue.response_quantile_s(3.0, 0.95) - 20.0_f64.ln()).abs() < 1e-6);
        assert!((queue.wait_quantile_s(3.0, 0.95) - 15.0_f64.ln()).abs() < 1e-9);
        assert!(queue.wait_quantile_s(3.0, 0.2).abs() < f64::EPSILON, "a quarter does not wait at all");
    }

    #[test]
    fn service_level_of_the_textbook_call_centre() {
        // 200 calls an hour of 3 minutes, 14 agents: 88.8 % are answered within 20 s.
        let queue = mmc(14, 180.0);
        assert!((queue.wait_exceedance(200.0 / 3600.0, 20.0) - (1.0 - 0.888)).abs() < 1e-3);
    }

    #[test]
    fn deterministic_service_halves_the_wait() {
        let queue = MultiServer { servers: 1, service_s: 0.25, variability: 0.5 };
        // Pollaczek–Khinchine for M/D/1: ρ·s/(2(1−ρ)) = 0.75·0.25/0.5.
        assert!((queue.mean_wait_s(3.0) - 0.375).abs() < 1e-12);
    }

    #[test]
    fn equal_rates_of_service_and_decay_are_no_special_case() {
        // c = 2, s = 1, λ = 1: θ = 1 = µ, C = 1/3; P(T > t) = e^(−t)(1 + t/3).
        let queue = mmc(2, 1.0);
        for t in [0.0, 0.5, 3.0] {
            assert!((queue.response_exceedance(1.0, t) - (-t).exp() * (1.0 + t / 3.0)).abs() < 1e-12);
        }
    }

    #[test]
    fn an_overloaded_queue_says_so() {
        let queue = mmc(2, 1.0);
        assert!(queue.mean_wait_s(2.0).is_infinite());
        assert!(queue.response_quantile_s(2.5, 0.5).is_infinite());
        assert!((queue.response_exceedance(2.0, 1e9) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn no_number_of_servers_makes_a_service_faster_than_itself() {
        let goal = LatencyGoal { target_s: 0.1, quantile: 0.99 };
        assert_eq!(servers_needed(5.0, 0.1, 1.0, goal, 10_000), None);
        assert!(mmc(50, 0.1).largest_arrival_rate(goal).abs() < f64::EPSILON);
    }

    /// First come, first served, event by event, with a generator of its own: an oracle that shares no formula.
    fn simulated_exceedance(servers: usize, arrivals_per_s: f64, service_s: f64, t: f64) -> f64 {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut exponential = |mean: f64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let uniform = ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
            -mean * uniform.ln()
        };
        let customers = 400_000;
        let (mut now, mut free_at, mut late) = (0.0, vec![0.0_f64; servers], 0_u32);
        for _ in 0..customers {
            now += exponential(1.0 / arrivals_per_s);
            let service = exponential(service_s);
            let next = free_at.iter_mut().min_by(|a, b| a.total_cmp(b)).unwrap();
            let done = next.max(now) + service;
            *next = done;
            late += u32::from(done - now > t);
        }
        f64::from(late) / f64::from(customers)
    }

    #[test]
    fn response_tails_agree_with_a_simulation() {
        for (servers, share, t) in [(1, 0.5, 2.0), (3, 0.8, 3.0), (8, 0.9, 4.0)] {
            let arrivals = share * servers as f64;
            let simulated = simulated_exceedance(servers, arrivals, 1.0, t);
            let exact = mmc(servers as u32, 1.0).response_exceedance(arrivals, t);
            assert!((simulated - exact).abs() < 0.01, "{servers} servers: {simulated} against {exact}");
        }
    }

    proptest! {
        #[test]
        fn the_search_finds_the_first_number_that_meets_the_goal(
            load in 0.1f64..300.0, variability in 0.2f64..4.0, slack in 3.1f64..12.0,
        ) {
            let goal = LatencyGoal { target_s: 0.05 * slack, quantile: 0.95 };
            let found = servers_needed(load / 0.05, 0.05, variability, goal, 10_000).unwrap();
            let misses = |servers| {
                MultiServer { servers, service_s: 0.05, variability }.response_exceedance(load / 0.05, goal.target_s) > 0.05
            };
            prop_assert!(!misses(found));
            prop_assert!(found == 1 || misses(found - 1));
        }

        #[test]
        fn the_largest_rate_is_where_the_goal_is_just_met(servers in 1u32..80, variability in 0.2f64..4.0) {
            let queue = MultiServer { servers, service_s: 0.1, variability };
            let goal = LatencyGoal { target_s: 0.4, quantile: 0.95 };
            let rate = queue.largest_arrival_rate(goal);
            prop_assert!(rate > 0.0 && queue.utilisation(rate) < 1.0);
            prop_assert!(queue.response_exceedance(rate, 0.4) <= 0.05 + 1e-12);
            prop_assert!(queue.response_exceedance(rate * 1.001, 0.4) > 0.05);
        }

        #[test]
        fn a_response_quantile_is_exceeded_as_often_as_it_says(
            servers in 1u32..40, share in 0.0f64..0.97, quantile in 0.1f64..0.999,
        ) {
            let queue = mmc(servers, 0.2);
            let rate = share * f64::from(servers) / 0.2;
            let t = queue.response_quantile_s(rate, quantile);
            prop_assert!((queue.response_exceedance(rate, t) - (1.0 - quantile)).abs() < 1e-6);
        }
    }
}
