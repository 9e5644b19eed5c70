//! Erlang's loss and waiting formulas.

/// Erlang B: the probability that an arrival finds all `servers` busy where nobody waits (M/M/c/c).
///
/// `offered_load` is arrival rate × mean service time, in Erlangs, ≥ 0. Range 0..=1; NaN for a load that is negative
/// or no number.
///
/// Computed by the recursion on the inverse, `I₀ = 1`, `I_n = 1 + I_{n−1}·n/a` with B = 1/I (Erlang 1917; the form
/// is in Gross et al. §2.4). Every term is positive, so no digits cancel, and nothing like aᶜ/c! is ever formed; where I
/// exceeds the range of f64, B is 0 to within it.
#[must_use]
pub fn erlang_b(servers: u32, offered_load: f64) -> f64 {
    if offered_load.is_nan() || offered_load < 0.0 {
        return f64::NAN;
    }
    (1..=servers).fold(InverseErlangB::none(), |inverse, _| inverse.one_more(offered_load)).blocking()
}

/// Erlang C: the probability that an arrival has to wait in a queue with `servers` servers (M/M/c).
///
/// `offered_load` as for [`erlang_b`]. Range 0..=1; 1 where the load is at least the number of servers, for then the
/// queue grows without end. C = B / (1 − ρ(1 − B)) with ρ = a/c.
#[must_use]
pub fn erlang_c(servers: u32, offered_load: f64) -> f64 {
    waiting(servers, offered_load, erlang_b(servers, offered_load))
}

/// Erlang C from Erlang B.
fn waiting(servers: u32, offered_load: f64, blocking: f64) -> f64 {
    let utilisation = offered_load / f64::from(servers);
    if utilisation >= 1.0 || servers == 0 {
        return 1.0;
    }
    blocking / (1.0 - utilisation * (1.0 - blocking))
}

/// The recursion's state, so that a search over rising numbers of servers takes each step once.
#[derive(Debug, Clone, Copy)]
pub(super) struct InverseErlangB {
    servers: u32,
    inverse: f64,
}

impl InverseErlangB {
    /// No servers: every arrival is lost.
    pub(super) fn none() -> Self {
        Self { servers: 0, inverse: 1.0 }
    }

    /// One server more.
    pub(super) fn one_more(self, offered_load: f64) -> Self {
        let servers = self.servers + 1;
        // A load of 0 makes the quotient infinite, hence B = 0: nobody arrives, nobody is lost.
        Self { servers, inverse: 1.0 + self.inverse * f64::from(servers) / offered_load }
    }

    fn blocking(self) -> f64 {
        1.0 / self.inverse
    }

    /// Number of servers reached.
    pub(super) fn servers(self) -> u32 {
        self.servers
    }

    /// Erlang C at this number of servers.
    pub(super) fn waiting(self, offered_load: f64) -> f64 {
        waiting(self.servers, offered_load, self.blocking())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The defining sum, for few servers only.
    fn erlang_b_by_definition(servers: u32, a: f64) -> f64 {
        let mut term = 1.0;
        let mut sum = 1.0;
        for n in 1..=servers {
            term *= a / f64::from(n);
            sum += term;
        }
        term / sum
    }

    #[test]
    fn loss_agrees_with_hand_worked_and_published_tables() {
        assert!((erlang_b(1, 1.0) - 0.5).abs() < 1e-15);
        assert!((erlang_b(2, 1.0) - 0.2).abs() < 1e-15);
        assert!((erlang_b(3, 2.0) - 4.0 / 19.0).abs() < 1e-15);
        // Standard Erlang B tables: loads that lose 1 % with 10, 50 and 100 lines.
        for (lines, load) in [(10, 4.461), (50, 37.901), (100, 84.064)] {
            assert!((erlang_b(lines, load) - 0.01).abs() < 1e-5, "{lines}");
        }
    }

    #[test]
    fn waiting_agrees_with_hand_worked_and_published_values() {
        assert!((erlang_c(1, 0.7) - 0.7).abs() < 1e-15, "one server: the wait probability is the load");
        assert!((erlang_c(2, 1.0) - 1.0 / 3.0).abs() < 1e-15);
        // The call-centre textbook case: 10 Erlangs, 14 agents.
        assert!((erlang_c(14, 10.0) - 0.1741).abs() < 5e-5);
    }

    #[test]
    fn extremes_stay_in_range() {
        assert!((erlang_b(0, 3.0) - 1.0).abs() < f64::EPSILON);
        assert!(erlang_b(5, 0.0).abs() < f64::EPSILON);
        assert!((erlang_c(4, 4.0) - 1.0).abs() < f64::EPSILON);
        assert!((erlang_c(0, 0.0) - 1.0).abs() < f64::EPSILON);
        assert!(erlang_b(3, -1.0).is_nan() && erlang_b(3, f64::NAN).is_nan());
        let many = erlang_c(100_000, 99_900.0);
        assert!((0.0..1.0).contains(&many) && many > 0.5, "{many}");
        assert!(erlang_b(100_000, 10.0).abs() < f64::MIN_POSITIVE);
    }

    proptest! {
        #[test]
        fn the_recursion_equals_the_defining_sum(servers in 0u32..60, load in 0.001f64..50.0) {
            let (got, expected) = (erlang_b(servers, load), erlang_b_by_definition(servers, load));
            prop_assert!((got - expected).abs() <= 1e-12 * expected.max(1e-300) + 1e-15);
        }

        #[test]
        fn waiting_grows_with_load_and_falls_with_servers(servers in 1u32..200, share in 0.01f64..0.98) {
            let load = share * f64::from(servers);
            prop_assert!(erlang_c(servers, load) <= erlang_c(servers, load * 1.01) + 1e-15);
            prop_assert!(erlang_c(servers + 1, load) <= erlang_c(servers, load));
        }
    }
}
