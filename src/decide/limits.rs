//! What the policy lets one plan change, whatever the plan says.

use crate::domain::policy::{ScalingRules, Target};
use crate::domain::snapshot::Workload;
use crate::domain::{Policy, Snapshot};
use crate::sizing::reach;

/// A replica count within the limits, and why it is not what was wished, if it is not.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ScaleLimit {
    /// Replicas allowed.
    pub(super) to: u32,
    /// Seconds the rate limits and the stabilisation window take to get there.
    pub(super) seconds: f64,
    /// The rule that keeps it from the wish.
    pub(super) rule: Option<String>,
}

/// How far from `from` towards `wish` the workload may go within one plan.
pub(super) fn scale(snapshot: &Snapshot, policy: &Policy, workload: &Workload, from: u32, wish: u32) -> ScaleLimit {
    let held = |rule: String| ScaleLimit { to: from, seconds: 0.0, rule: Some(rule) };
    let target = match may_change(snapshot, policy, workload) {
        Ok(target) => target,
        Err(rule) => return held(rule),
    };
    let field = |name: &str| format!("targets.{}.{name}", target.name);
    if !target.scale_replicas {
        return held(field("scaleReplicas"));
    }
    let lead_time_s = f64::from(policy.planning.lead_time_s);
    // Replicas outside the bounds are brought back at once, as HPA does; rate limits count from there.
    let start = from.clamp(target.min_replicas, target.max_replicas.max(target.min_replicas));
    let (rules, reached, bound, bound_rule, rate_rule) = if wish > from {
        let rules = &target.behavior.scale_up;
        let reached = reach::most_replicas(rules, start, lead_time_s);
        (rules, reached, target.max_replicas, "maxReplicas", "behavior.scaleUp")
    } else {
        let rules = &target.behavior.scale_down;
        let reached = reach::fewest_replicas(rules, start, lead_time_s);
        (rules, reached, target.min_replicas, "minReplicas", "behavior.scaleDown")
    };
    let nearer = |a: u32, b: u32| if wish > from { a.min(b).max(from) } else { a.max(b).min(from) };
    let bounded = nearer(wish, bound);
    let to = nearer(bounded, reached);
    let rule = match (to == bounded, bounded == wish) {
        (false, _) => Some(field(rate_rule)),
        (true, false) => Some(field(bound_rule)),
        (true, true) => None,
    };
    let window_s = f64::from(rules.stabilization_window_s);
    ScaleLimit { to, seconds: window_s + seconds_to_reach(rules, start, to, lead_time_s), rule }
}

/// Whether the requests of the workload may change.
pub(super) fn resize(snapshot: &Snapshot, policy: &Policy, workload: &Workload) -> Result<(), String> {
    let target = may_change(snapshot, policy, workload)?;
    if target.resize_requests { Ok(()) } else { Err(format!("targets.{}.resizeRequests", target.name)) }
}

/// The workload's target, if Plimsoll may drive it at all.
fn may_change<'p>(snapshot: &Snapshot, policy: &'p Policy, workload: &Workload) -> Result<&'p Target, String> {
    let target = policy.target_for(workload).ok_or_else(|| format!("no target selects {}", workload.id))?;
    if !workload.scalable {
        return Err(format!("{} {} cannot be scaled", workload.id.kind, workload.id));
    }
    match snapshot.autoscalers.iter().find(|a| a.target == workload.id) {
        Some(driver) => Err(format!("{} {}/{} drives it", driver.kind, driver.namespace, driver.name)),
        None => Ok(target),
    }
}

/// The fewest whole seconds after which the rate limits reach `to`.
fn seconds_to_reach(rules: &ScalingRules, from: u32, to: u32, most_s: f64) -> f64 {
    let reached = |seconds: u32| {
        let seconds = f64::from(seconds);
        if to > from {
            reach::most_replicas(rules, from, seconds) >= to
        } else {
            reach::fewest_replicas(rules, from, seconds) <= to
        }
    };
    let (mut low, mut high) = (0, most_s as u32);
    while low < high {
        let middle = low + (high - low) / 2;
        if reached(middle) { high = middle } else { low = middle + 1 }
    }
    f64::from(low)
}
