//! A run's document.

use super::{
    API_VERSION, CertificateDocument, ClusterDocument, ForecastDocument, KIND, NodeDocument, PlanDocument,
    PolicyDocument, ProvenanceDocument, StepsDocument, WorkloadDocument,
};
use crate::domain::plan::{Binding, CostParts, NodePlan, WorkloadPlan};
use crate::domain::policy::Planning;
use crate::domain::run::Provenance;
use crate::domain::{Certificate, Outlook, Policy, Run, Snapshot};
use crate::{format, prose};

pub(super) fn document(run: &Run) -> PlanDocument {
    let plan = &run.plan;
    let made_at_ms = run.provenance.generated_at_ms;
    PlanDocument {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        provenance: provenance(&run.provenance),
        policy: policy(&run.policy, &run.snapshot),
        cluster: cluster(&run.snapshot),
        kept: run.kept,
        certificate: certificate(&plan.certificate, &run.outlook),
        workloads: plan.workloads.iter().map(|w| workload(w, &run.policy.planning, made_at_ms)).collect(),
        nodes: plan.nodes.iter().map(|n| node(n, &run.outlook)).collect(),
        placements: plan.placements.clone(),
        removals: plan.removals.clone(),
        preempted: plan.preempted.clone(),
        unplaced: plan.unplaced.clone(),
        pending: plan.pending.clone(),
        binding: plan.binding.iter().map(binding).collect(),
        conflict: plan.conflict.clone(),
        steps: StepsDocument::from(&run.steps),
        packing: run.outlook.packing.as_ref().map(Into::into),
        scenarios: run.outlook.scenarios.iter().map(Into::into).collect(),
        schedule: run.outlook.schedule.as_ref().map(Into::into),
        lead_time: run.outlook.lead_time.clone(),
        forecasts: run.forecasts.iter().map(ForecastDocument::from).collect(),
    }
}

/// Six decimals; what is not finite becomes 0, since JSON has no such number.
pub(super) fn rounded(value: f64) -> f64 {
    if !value.is_finite() {
        0.0
    } else if value.abs() < 1e9 {
        (value * 1e6).round() / 1e6
    } else {
        value
    }
}

/// So many significant digits.
pub(super) fn significant_digits(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value)
}

fn provenance(provenance: &Provenance) -> ProvenanceDocument {
    ProvenanceDocument {
        version: provenance.version.clone(),
        command: provenance.command.clone(),
        inputs: provenance.inputs.clone(),
        generated_at: format::rfc3339(provenance.generated_at_ms),
    }
}

fn policy(policy: &Policy, snapshot: &Snapshot) -> PolicyDocument {
    PolicyDocument {
        name: policy.name.clone(),
        source: policy.source.clone(),
        mode: policy.mode,
        max_moves: Some(max_moves(policy, snapshot)),
        lead_time_seconds: policy.planning.holds_s(),
    }
}

/// The churn budget as a number: a percentage is of the pods that run and may be evicted.
fn max_moves(policy: &Policy, snapshot: &Snapshot) -> usize {
    let movable = snapshot.pods.iter().filter(|pod| pod.node.is_some() && !pod.do_not_evict).count();
    policy.disruption.max_moves.of_rounded_up(u32::try_from(movable).unwrap_or(u32::MAX)) as usize
}

fn cluster(snapshot: &Snapshot) -> ClusterDocument {
    ClusterDocument {
        taken_at: snapshot.taken_at_ms.map(format::rfc3339),
        nodes: snapshot.nodes.len(),
        pods: snapshot.pods.len(),
        pending_pods: snapshot.pods.iter().filter(|pod| pod.node.is_none()).count(),
        ignored_kinds: snapshot.ignored_kinds.clone(),
        warnings: snapshot.warnings.clone(),
    }
}

fn certificate(certificate: &Certificate, outlook: &Outlook) -> CertificateDocument {
    CertificateDocument {
        cost_per_hour: rounded(certificate.cost_per_hour),
        bound_per_hour: rounded(certificate.bound_per_hour),
        gap: rounded(certificate.gap),
        model_gap: rounded(certificate.model_gap),
        packing_gap: rounded(certificate.packing_gap),
        feasible: certificate.feasible,
        stopped: certificate.stopped,
        unmodelled_rules: certificate.unmodelled_rules.clone(),
        unplaceable_per_hour: rounded(certificate.unplaceable_per_hour),
        cost: cost_parts(&certificate.cost),
        cost_now: cost_parts(&certificate.cost_now),
        now_feasible: certificate.now_feasible,
        prices: certificate.prices,
        violations: certificate.violations.clone(),
        contention: outlook.packing.as_ref().and_then(|p| p.worst()).map(|(_, worst)| rounded(worst.probability)),
    }
}

fn cost_parts(parts: &CostParts) -> CostParts {
    CostParts {
        nodes: rounded(parts.nodes),
        risk: rounded(parts.risk),
        change: rounded(parts.change),
        unplaced: rounded(parts.unplaced),
        preferences: rounded(parts.preferences),
    }
}

fn workload(workload: &WorkloadPlan, planning: &Planning, made_at_ms: i64) -> WorkloadDocument {
    let share = |risk: Option<f64>| risk.filter(|r| r.is_finite()).map(rounded);
    WorkloadDocument {
        namespace: workload.id.namespace.clone(),
        kind: workload.id.kind.clone(),
        name: workload.id.name.clone(),
        replicas_now: workload.replicas_now,
        replicas: workload.replicas,
        requests_now: (&workload.requests_now).into(),
        requests: (&workload.requests).into(),
        risk: share(workload.risk),
        risk_now: share(workload.risk_now),
        why: prose::why(&workload.basis, made_at_ms),
        target: workload.target.clone(),
        moves: workload.moves,
        released_per_hour: rounded(released_per_hour(workload, planning)),
    }
}

/// What an hour of the resources given back is worth at the policy's estimated prices.
fn released_per_hour(workload: &WorkloadPlan, planning: &Planning) -> f64 {
    let worth = |replicas: u32, requests: &crate::domain::Resources| {
        let cores = requests.cpu_millis() as f64 / 1000.0;
        let gib = requests.memory_bytes() as f64 / (1_u64 << 30) as f64;
        f64::from(replicas) * (cores * planning.estimate_per_core_hour + gib * planning.estimate_per_gib_hour)
    };
    worth(workload.replicas_now, &workload.requests_now) - worth(workload.replicas, &workload.requests)
}

fn node(node: &NodePlan, outlook: &Outlook) -> NodeDocument {
    NodeDocument {
        name: node.name.clone(),
        offer: node.offer.clone(),
        zone: node.zone.clone(),
        capacity_type: node.capacity_type,
        state: node.state,
        price_per_hour: rounded(node.price_per_hour),
        allocatable: (&node.allocatable).into(),
        used_now: (&node.used_now).into(),
        used: (&node.used).into(),
        contention: outlook.packing.as_ref().and_then(|p| p.nodes.get(&node.name)).map(Into::into),
    }
}

fn binding(binding: &Binding) -> Binding {
    Binding { saves_per_hour: rounded(binding.saves_per_hour), ..binding.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_and_never_leave_json() {
        assert!((rounded(0.016_000_000_4) - 0.016).abs() < 1e-12);
        assert!(rounded(f64::NAN).abs() < 1e-12);
        assert!((significant_digits(412.345_678, 4) - 412.3).abs() < 1e-12);
    }
}
