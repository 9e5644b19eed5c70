//! Data into sentences. What is said here is all derived from values; nothing is decided.

use super::document::{ActionDocument, CertificateDocument, PlanDocument};
use super::format::{
    change, count, counted, duration, moment, money, money_at_most, percent, printable, quantile, signal_name,
    signal_value, significant,
};
use crate::domain::earlier::{Kept, KeptOf};
use crate::domain::menu::{Basis, DeclaredReason};
use crate::domain::plan::{Binding, Conflict, NodeState, Preempted, Stopped};
use crate::domain::{PriceSource, Signal};

/// Why a workload got its number, e.g. `14:05 UTC peak 412 req/s (p95), 70 % safe load`. A time on another day than
/// `reference_ms` carries its date.
#[must_use]
pub fn why(basis: &Basis, reference_ms: i64) -> String {
    match basis {
        Basis::Declared { reason } => declared(*reason).to_owned(),
        Basis::Demand { signal, quantile: level, peak, peak_at_ms, per_replica: _, utilisation } => format!(
            "{} peak {} ({}), {} safe load",
            moment(*peak_at_ms, reference_ms),
            demand(*signal, *peak),
            quantile(*level),
            percent(*utilisation)
        ),
        Basis::Latency { target_s, quantile: level, arrivals_per_s, peak_at_ms, expected_s, utilisation, .. } => {
            format!(
                "{} peak {} keeps {} latency at {} (limit {}), {} busy",
                moment(*peak_at_ms, reference_ms),
                demand(Signal::RequestsPerSecond, *arrivals_per_s),
                quantile(*level),
                duration(*expected_s),
                duration(*target_s),
                percent(*utilisation)
            )
        }
        Basis::Held { pod, by_ordinal } => {
            let order = if *by_ordinal { ", and pods go from the highest ordinal down" } else { "" };
            format!("no fewer: {} must not be evicted{order}", printable(pod))
        }
        Basis::Bound { rule } => format!("at {}", bound(rule)),
    }
}

/// A bound that was met: a field of the policy, or what the cluster itself allows.
fn bound(rule: &str) -> String {
    let rule = printable(rule);
    if rule.starts_with("targets.") { format!("the policy's {rule}") } else { format!("the {rule}") }
}

/// The same at length: what one replica carries, and what the choice follows from.
#[must_use]
pub fn why_at_length(basis: &Basis, replicas: u32, reference_ms: i64) -> String {
    match basis {
        Basis::Declared { .. } | Basis::Held { .. } | Basis::Bound { .. } => {
            let mut sentence = why(basis, reference_ms);
            if let Some(first) = sentence.get(..1) {
                let capital = first.to_uppercase();
                sentence.replace_range(..1, &capital);
            }
            sentence + "."
        }
        Basis::Demand { signal, quantile: level, peak, peak_at_ms, per_replica, utilisation } => format!(
            "The {} peak of {} is {}, expected around {}; at {} load one replica carries {}, so {} {} {}.",
            quantile(*level),
            signal_name(*signal),
            demand(*signal, *peak),
            moment(*peak_at_ms, reference_ms),
            percent(*utilisation),
            demand(*signal, *per_replica),
            counted(replicas as usize, "replica"),
            if replicas == 1 { "carries" } else { "carry" },
            demand(*signal, *per_replica * f64::from(replicas)),
        ),
        Basis::Latency {
            target_s,
            quantile: level,
            arrivals_per_s,
            peak_at_ms,
            service_rate_per_s,
            expected_s,
            utilisation,
        } => {
            format!(
                "Around {} up to {} arrive; a busy replica serves {}, so with {} each is busy {} of the time and {} \
                 latency is {}, within the limit of {}.",
                moment(*peak_at_ms, reference_ms),
                demand(Signal::RequestsPerSecond, *arrivals_per_s),
                demand(Signal::RequestsPerSecond, *service_rate_per_s),
                counted(replicas as usize, "replica"),
                percent(*utilisation),
                quantile(*level),
                duration(*expected_s),
                duration(*target_s),
            )
        }
    }
}

fn demand(signal: Signal, value: f64) -> String {
    signal_value(signal, value)
}

fn declared(reason: DeclaredReason) -> &'static str {
    match reason {
        DeclaredReason::NoMetrics => "as declared: no metrics were given for it",
        DeclaredReason::TooFewMeasurements => "as declared: too few measurements to size it",
        DeclaredReason::NotTargeted => "as declared: no target of the policy selects it",
        DeclaredReason::NotScalable => "as declared: it cannot be scaled",
        DeclaredReason::DrivenByAutoscaler => "as declared: another autoscaler drives it",
        DeclaredReason::Current => "as it stands: nothing else is worth its change",
    }
}

/// The finding of the whole plan in one sentence, without a full stop.
#[must_use]
pub fn headline(document: &PlanDocument) -> String {
    let certificate = &document.certificate;
    let (now, then) = (document.nodes_now().count(), document.nodes_then().count());
    let (cost_now, cost) = (certificate.cost_now.nodes, certificate.cost.nodes);
    let unplaced = document.unplaced_pods();
    if !certificate.feasible {
        return match certificate.violations.len() {
            0 => "This plan is not feasible and must not be applied".to_owned(),
            n => format!("This plan breaks {} and must not be applied", counted(n, "rule")),
        };
    }
    if document.workloads.is_empty() && document.nodes.is_empty() {
        return "There is nothing to plan: no workloads and no nodes".to_owned();
    }
    if then == 0 {
        return match unplaced {
            0 => "No node is needed".to_owned(),
            n => format!("No pod can be placed: {} fit no node and no offer", counted(n, "pod")),
        };
    }
    let saved = cost_now - cost;
    let nodes = if then == now { format!("the same {}", counted(then, "node")) } else { counted(then, "node") };
    let finding = if saved > 0.005 * cost_now.abs().max(1e-9) {
        let work = if then < now { format!("do the work of {}", count(now)) } else { "can cost less".to_owned() };
        format!("{} {work} and save {} an hour ({})", capitalised(&nodes), money(saved), percent(saved / cost_now))
    } else if now == 0 {
        let pods = document.placements.len();
        format!("{} at {} an hour hold all {}", capitalised(&nodes), money(cost), counted(pods, "pod"))
    } else if then > now {
        let pods = document.cluster.pending_pods.saturating_sub(unplaced);
        let purpose =
            if pods > 0 { format!("place {}", counted(pods, "pending pod")) } else { "carry the load".to_owned() };
        let price = if saved < 0.0 { format!("{} more an hour", money(-saved)) } else { "no more money".to_owned() };
        format!("{} more {purpose} for {price}", counted(then - now, "node"))
    } else if document.workloads.iter().any(super::document::WorkloadDocument::is_changed) {
        format!("{} carry the forecast load once workloads are resized", capitalised(&nodes))
    } else {
        "Nothing needs to change".to_owned()
    };
    match unplaced {
        0 => finding,
        1 => format!("{finding}; 1 pod fits nowhere"),
        n => format!("{finding}; {} fit nowhere", counted(n, "pod")),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// What is proven, in words.
#[must_use]
pub fn certificate(certificate: &CertificateDocument) -> String {
    let mut sentences = Vec::new();
    if certificate.feasible {
        sentences.push(format!(
            "No plan under this policy can cost less than {} an hour; this one costs {}, {}.",
            money_at_most(certificate.bound_per_hour),
            money(certificate.cost_per_hour),
            distance(certificate)
        ));
        sentences.push("An independent check found every hard rule kept for every placed pod.".to_owned());
    } else {
        sentences
            .push("The independent check failed, so nothing is proven and the plan must not be applied.".to_owned());
    }
    sentences.push(stopped(certificate.stopped).to_owned());
    if !certificate.now_feasible {
        sentences.push("Changing nothing is not an option: it breaks a rule or leaves pods without a node.".to_owned());
    }
    if certificate.prices == PriceSource::Estimated {
        sentences.push("Prices are estimated from the nodes' resources, because no catalog states them.".to_owned());
    }
    sentences.join(" ")
}

fn distance(certificate: &CertificateDocument) -> String {
    if certificate.gap <= 1e-9 {
        "which is the least possible".to_owned()
    } else {
        format!("within {} of the best possible", percent(certificate.gap))
    }
}

fn stopped(stopped: Stopped) -> &'static str {
    match stopped {
        Stopped::Gap => "The search stopped at the gap that was asked for.",
        Stopped::Deadline => "The search stopped at its time limit.",
        Stopped::Optimal => "The plan is proven optimal.",
        Stopped::Exhausted => "The search ended with nothing left to try.",
    }
}

/// What one unit more of a binding rule is worth.
#[must_use]
pub fn binding(binding: &Binding) -> String {
    let rule = printable(&binding.rule);
    let unit = printable(&binding.unit);
    if binding.saves_per_hour > 0.0 {
        let about = if binding.confirmed { "" } else { "about " };
        format!("{rule}: one {unit} more would save {about}{} an hour", money(binding.saves_per_hour))
    } else {
        format!("{rule}: binds, but one {unit} more would save nothing")
    }
}

/// What keeps pods from a node, and what would let them in.
#[must_use]
pub fn conflict(conflict: &Conflict) -> Vec<String> {
    let rules: Vec<String> = conflict.rules.iter().map(|rule| printable(rule)).collect();
    let repair = conflict.repair.iter();
    let repair: Vec<String> =
        repair.map(|r| format!("{} by {} ({})", printable(&r.rule), r.units, printable(&r.unit))).collect();
    let cause = match rules.as_slice() {
        [] => None,
        [rule] => Some(format!("{rule} alone leaves pods without a node, whatever else is decided.")),
        rules => Some(format!(
            "Together {} leave pods without a node; without any one of them the others leave a way.",
            rules.join(" and ")
        )),
    };
    let remedy = (!repair.is_empty()).then(|| format!("To let all in, loosen at least {}.", repair.join(", ")));
    cause.into_iter().chain(remedy).collect()
}

/// Pods named of those that go with a smaller workload.
const GOING_SHOWN: usize = 5;

/// A change as an order.
#[must_use]
pub fn action(action: &ActionDocument) -> String {
    let p = |text: &str| printable(text);
    match action {
        ActionDocument::AddNode { node, offer, zone } if zone.is_empty() => format!("add {} ({})", p(node), p(offer)),
        ActionDocument::AddNode { node, offer, zone } => format!("add {} ({} in {})", p(node), p(offer), p(zone)),
        ActionDocument::Scale { workload, from_replicas, to_replicas, going } => {
            let scale = format!("scale {} from {from_replicas} to {to_replicas}", p(&workload.to_string()));
            let pods: Vec<String> = going.iter().take(GOING_SHOWN).map(|pod| p(pod)).collect();
            match going.len() - pods.len() {
                0 if pods.is_empty() => scale,
                0 => format!("{scale}; first give {} the lowest deletion cost", pods.join(", ")),
                more => format!("{scale}; first give {} and {more} more the lowest deletion cost", pods.join(", ")),
            }
        }
        ActionDocument::Resize { workload, from_requests, to_requests } => {
            let names = from_requests.0.keys().chain(to_requests.0.keys());
            let names: std::collections::BTreeSet<&String> = names.collect();
            let changes: Vec<String> = names
                .into_iter()
                .filter(|name| from_requests.written(name) != to_requests.written(name))
                .map(|name| {
                    format!("{} {} to {}", p(name), p(from_requests.written(name)), p(to_requests.written(name)))
                })
                .collect();
            format!("resize {}: {}", p(&workload.to_string()), changes.join(", "))
        }
        ActionDocument::Bind { namespace, pod, node } => format!("place {}/{} on {}", p(namespace), p(pod), p(node)),
        ActionDocument::Move { namespace, pod, from_node, to_node } => {
            format!("move {}/{} from {} to {}", p(namespace), p(pod), p(from_node), p(to_node))
        }
        ActionDocument::Preempt { namespace, pod, node, by } => {
            format!("stop {}/{} on {} for {}/{}", p(namespace), p(pod), p(node), p(&by.namespace), p(&by.pod))
        }
        ActionDocument::Cordon { node } => format!("cordon {}", p(node)),
        ActionDocument::RemoveNode { node } => format!("remove {} once it is empty", p(node)),
    }
}

/// Who is stopped, where, and for whom.
#[must_use]
pub fn preempted(preempted: &Preempted) -> String {
    let Preempted { namespace, pod, node, by, .. } = preempted;
    let p = |text: &str| printable(text);
    format!("{}/{} on {}, for {}/{}", p(namespace), p(pod), p(node), p(&by.namespace), p(&by.pod))
}

/// How a forecast did against the better naive method, e.g. `34 % less error than naive`.
#[must_use]
pub fn skill(mase: Option<f64>, seasonal_naive: Option<f64>, last_value: Option<f64>) -> Option<String> {
    let naive = [seasonal_naive, last_value].into_iter().flatten().fold(f64::INFINITY, f64::min);
    let mase = mase?;
    if !naive.is_finite() || naive <= 0.0 || !mase.is_finite() {
        return None;
    }
    Some(match change(naive, mase)?.as_str() {
        "±0 %" => "as good as naive".to_owned(),
        text if mase < naive => format!("{} less error than naive", text.trim_start_matches('−')),
        text => format!("{} more error than naive", text.trim_start_matches('+')),
    })
}

/// How much of the plan it was begun from a plan keeps.
#[must_use]
pub fn kept(kept: &Kept) -> String {
    let part = |part: KeptOf, what| format!("{} of {}", count(part.kept), counted(part.of, what));
    format!("{} and {}", part(kept.workloads, "choice"), part(kept.placements, "place"))
}

/// How many workloads the plan changes and how it gets there.
#[must_use]
pub fn way_there(document: &PlanDocument) -> String {
    let waves = document.steps.waves.len();
    if waves == 0 {
        return "No step is needed".to_owned();
    }
    let moves = document.steps.moves();
    let budget = document.policy.max_moves.map_or_else(String::new, |limit| format!(" (budget {limit})"));
    let stopped = match document.steps.preemptions() {
        0 => String::new(),
        n => format!(", {} stopped for others", counted(n, "pod")),
    };
    let held = match document.steps.deferred.len() {
        0 => String::new(),
        n => format!(", {} held back by limits", counted(n, "change")),
    };
    format!("{}, {}{budget}{stopped}{held}", counted(waves, "wave"), counted(moves, "move"))
}

/// What a node's state is called.
#[must_use]
pub fn node_state(state: NodeState) -> &'static str {
    match state {
        NodeState::Keep => "keep",
        NodeState::Add => "add",
        NodeState::Remove => "remove",
    }
}

/// A probability in words fit for a table: `0.4 %`, or an en dash where nothing was measured.
#[must_use]
pub fn risk(risk: Option<f64>) -> String {
    risk.map_or_else(|| super::format::UNKNOWN.to_owned(), percent)
}

/// A number of any kind to three significant digits.
#[must_use]
pub fn number(value: f64) -> String {
    significant(value, 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::CostParts;

    const NOON: i64 = 1_795_348_800_000;

    fn proven(feasible: bool) -> CertificateDocument {
        CertificateDocument {
            cost_per_hour: 3.368,
            bound_per_hour: 3.3419,
            gap: 0.0077,
            model_gap: 0.0,
            packing_gap: 0.0077,
            feasible,
            stopped: Stopped::Gap,
            unplaceable_per_hour: 0.0,
            unmodelled_rules: vec![],
            cost: CostParts::default(),
            cost_now: CostParts::default(),
            now_feasible: true,
            prices: PriceSource::Listed,
            violations: vec![],
            contention: None,
        }
    }

    #[test]
    fn demand_is_told_by_its_peak_and_its_load() {
        let basis = Basis::Demand {
            signal: Signal::RequestsPerSecond,
            quantile: 0.95,
            peak: 412.3,
            peak_at_ms: NOON + 7_500_000,
            per_replica: 140.0,
            utilisation: 0.7,
        };
        assert_eq!(why(&basis, NOON), "14:05 UTC peak 412 req/s (p95), 70 % safe load");
        assert_eq!(
            why_at_length(&basis, 3, NOON),
            "The p95 peak of requests a second is 412 req/s, expected around 14:05 UTC; at 70 % load one replica \
             carries 140 req/s, so 3 replicas carry 420 req/s."
        );
    }

    #[test]
    fn latency_is_told_by_arrivals_and_limit() {
        let basis = Basis::Latency {
            target_s: 0.25,
            quantile: 0.95,
            arrivals_per_s: 88.0,
            peak_at_ms: NOON,
            service_rate_per_s: 40.0,
            expected_s: 0.18,
            utilisation: 0.73,
        };
        assert_eq!(why(&basis, NOON), "12:00 UTC peak 88 req/s keeps p95 latency at 180 ms (limit 250 ms), 73 % busy");
    }

    #[test]
    fn what_is_left_alone_says_why() {
        let basis = Basis::Declared { reason: DeclaredReason::DrivenByAutoscaler };
        assert_eq!(why(&basis, NOON), "as declared: another autoscaler drives it");
        let bound = Basis::Bound { rule: "targets.web.minReplicas".into() };
        assert_eq!(why_at_length(&bound, 1, NOON), "At the policy's targets.web.minReplicas.");
        let held = |by_ordinal| Basis::Held { pod: "db-2".into(), by_ordinal };
        assert_eq!(why(&held(false), NOON), "no fewer: db-2 must not be evicted");
        assert_eq!(
            why_at_length(&held(true), 3, NOON),
            "No fewer: db-2 must not be evicted, and pods go from the highest ordinal down."
        );
    }

    #[test]
    fn a_bound_is_rounded_down_and_an_infeasible_plan_claims_nothing() {
        let text = certificate(&proven(true));
        assert!(
            text.starts_with(
                "No plan under this policy can cost less than 3.34 an hour; this one costs 3.37, within 0.77 % of \
                 the best possible."
            ),
            "{text}"
        );
        let text = certificate(&proven(false));
        assert!(!text.contains("No plan under") && text.contains("must not be applied"), "{text}");
    }

    #[test]
    fn skill_is_against_the_better_naive_method() {
        assert_eq!(skill(Some(0.66), Some(1.0), Some(1.4)).as_deref(), Some("34 % less error than naive"));
        assert_eq!(skill(Some(1.2), Some(1.0), None).as_deref(), Some("20 % more error than naive"));
        assert_eq!(skill(None, Some(1.0), None), None);
        assert_eq!(skill(Some(1.0), None, None), None);
    }
}
