//! How far replicas may change within a time, by HPA's rate limits.

use crate::domain::policy::{ScalingPolicy, ScalingRules, SelectPolicy};
use crate::domain::snapshot::Amount;

/// The most replicas that growing from `from` may reach within `seconds`; `u32::MAX` without a limit.
///
/// A policy of n pods (or n %) in p seconds may be used once at the start and again after each full p seconds, as in
/// HPA, where a percentage is rounded up when growing.
#[must_use]
pub fn most_replicas(rules: &ScalingRules, from: u32, seconds: f64) -> u32 {
    combine(rules, from, u32::MAX, |policy| match policy.amount {
        Amount::Count(n) => from.saturating_add(n.saturating_mul(uses(policy, seconds))),
        Amount::Percent(p) => repeat(uses(policy, seconds), from, |now| {
            u32::try_from(u64::from(now).saturating_mul(100 + u64::from(p)).div_ceil(100)).unwrap_or(u32::MAX)
        }),
    })
}

/// The fewest replicas that shrinking from `from` may reach within `seconds`; 0 without a limit.
///
/// What is left after a percentage is rounded down, as in HPA.
#[must_use]
pub fn fewest_replicas(rules: &ScalingRules, from: u32, seconds: f64) -> u32 {
    combine(rules, from, 0, |policy| match policy.amount {
        Amount::Count(n) => from.saturating_sub(n.saturating_mul(uses(policy, seconds))),
        Amount::Percent(p) => repeat(uses(policy, seconds), from, |now| {
            (u64::from(now) * u64::from(100_u32.saturating_sub(p)) / 100) as u32
        }),
    })
}

/// Combines what each policy reaches: the furthest (`Max`), the nearest (`Min`), or no change.
fn combine(rules: &ScalingRules, from: u32, unlimited: u32, reached: impl Fn(&ScalingPolicy) -> u32) -> u32 {
    let distance = |to: &u32| to.abs_diff(from);
    let ends = rules.policies.iter().map(reached);
    match rules.select_policy {
        SelectPolicy::Disabled => from,
        SelectPolicy::Max => ends.max_by_key(distance).unwrap_or(unlimited),
        SelectPolicy::Min => ends.min_by_key(distance).unwrap_or(unlimited),
    }
}

/// How often a policy may be used within `seconds`: at once, and after each full period.
fn uses(policy: &ScalingPolicy, seconds: f64) -> u32 {
    // `as` saturates: no time (or none that is a number) is no further period.
    ((seconds / f64::from(policy.period_s.max(1))) as u32).saturating_add(1)
}

/// Applies a relative change up to `times` times, or until it changes nothing more: some 2,000 steps of 1 % pass
/// through the whole range.
fn repeat(times: u32, from: u32, change: impl Fn(u32) -> u32) -> u32 {
    let mut now = from;
    for _ in 0..times {
        let next = change(now);
        if next == now {
            break;
        }
        now = next;
    }
    now
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::Behavior;

    fn rules(select_policy: SelectPolicy, policies: &[(Amount, u32)]) -> ScalingRules {
        let policies = policies.iter().map(|&(amount, period_s)| ScalingPolicy { amount, period_s }).collect();
        ScalingRules { stabilization_window_s: 0, select_policy, policies }
    }

    #[test]
    fn hpa_defaults_double_every_quarter_minute() {
        let up = Behavior::default().scale_up;
        assert_eq!(most_replicas(&up, 1, 0.0), 5, "four pods are more than 100 % of one");
        assert_eq!(most_replicas(&up, 10, 0.0), 20);
        assert_eq!(most_replicas(&up, 10, 15.0), 40);
        let down = Behavior::default().scale_down;
        assert_eq!(fewest_replicas(&down, 10, 0.0), 0);
    }

    #[test]
    fn counts_and_percentages_combine_as_selected() {
        let both = [(Amount::Count(2), 60), (Amount::Percent(10), 60)];
        assert_eq!(most_replicas(&rules(SelectPolicy::Max, &both), 10, 59.0), 12);
        assert_eq!(most_replicas(&rules(SelectPolicy::Min, &both), 10, 59.0), 11);
        assert_eq!(most_replicas(&rules(SelectPolicy::Disabled, &both), 10, 1e9), 10);
        assert_eq!(fewest_replicas(&rules(SelectPolicy::Max, &both), 10, 120.0), 4);
        assert_eq!(fewest_replicas(&rules(SelectPolicy::Min, &both), 10, 60.0), 8, "10 → 9 → 8, rounded down");
    }

    #[test]
    fn no_policy_is_no_limit_and_extremes_do_not_overflow() {
        let free = rules(SelectPolicy::Max, &[]);
        assert_eq!((most_replicas(&free, 3, 0.0), fewest_replicas(&free, 3, 0.0)), (u32::MAX, 0));
        let huge = rules(SelectPolicy::Max, &[(Amount::Percent(u32::MAX), 1), (Amount::Count(u32::MAX), 1)]);
        assert_eq!(most_replicas(&huge, 3, f64::MAX), u32::MAX);
        assert_eq!(fewest_replicas(&huge, 3, f64::NAN), 0);
        assert_eq!(fewest_replicas(&rules(SelectPolicy::Max, &[(Amount::Count(2), 1)]), 0, 9.0), 0);
    }
}
