//! The choices of one workload: every size that meets the objective, at several numbers of replicas.

use std::collections::BTreeSet;

use crate::domain::menu::{Basis, DeclaredReason};
use crate::domain::policy::{Objective, PackBy, Policy, Target};
use crate::domain::resources::{CPU, MEMORY};
use crate::domain::snapshot::{Amount, Held, Workload};
use crate::domain::{Forecast, MenuEntry, Resources, Signal, Snapshot};

use super::bounds::Bounds;
use super::candidates::{self, Candidate};
use super::demand::{Carries, Demand};
use super::evidence::Evidence;
use super::history::History;
use super::memory::MemoryNeed;
use super::usage::level_of;

/// CPU requests are multiples of this many millicores.
const CPU_STEP_MILLIS: i64 = 10;
/// Memory requests are multiples of this many bytes (4 MiB).
const MEMORY_STEP_BYTES: i64 = 4 << 20;
/// A change of a request by less than this share is not worth a restart.
const HYSTERESIS: f64 = 0.1;
/// The safer choices use this part of the acceptable risk.
pub(super) const SAFER: f64 = 0.2;

/// Everything the sizing of one workload rests on.
pub(super) struct Sizer<'a> {
    policy: &'a Policy,
    target: &'a Target,
    workload: &'a Workload,
    declared: &'a Resources,
    bounds: Bounds,
    zones: u32,
    cpu: Option<&'a Forecast>,
    demand: Option<Demand<'a>>,
    memory: Option<MemoryNeed<'a>>,
}

impl<'a> Sizer<'a> {
    pub(super) fn new(
        snapshot: &Snapshot,
        policy: &'a Policy,
        target: &'a Target,
        workload: &'a Workload,
        declared: &'a Resources,
        held: Option<Held<'_>>,
        known: &Evidence<'a>,
    ) -> Self {
        // The acceptable risk is split evenly between what is measured, so that the sum keeps it (union bound).
        let throughput = known.cpu.or(known.rate).or(known.queue).is_some();
        let parts = 1 + u32::from(throughput && known.memory.is_some());
        let may_break = target.max_risk / f64::from(parts);
        let memory = known.memory.map(|forecast| MemoryNeed {
            forecast,
            level: 1.0 - may_break,
            margin: policy.planning.memory_margin,
            seen: known.history.as_ref().and_then(History::memory_peak),
            replicas_now: workload.replicas,
            follows_load: known.history.as_ref().and_then(|h| h.memory_follows_load(workload.replicas)).unwrap_or(1.0),
        });
        let lead_time_s = f64::from(policy.planning.lead_time_s);
        let zones: std::collections::BTreeSet<_> = snapshot.nodes.iter().map(|n| &n.zone).collect();
        Self {
            policy,
            target,
            workload,
            declared,
            bounds: Bounds::new(snapshot, target, lead_time_s, workload.replicas, held, declared),
            zones: zones.len() as u32,
            cpu: known.cpu,
            demand: Demand::new(known, target, workload, policy, may_break),
            memory,
        }
    }

    /// The menu's entries, cheapest in resources first; never empty.
    pub(super) fn entries(&self) -> Vec<MenuEntry> {
        if self.policy.planning.pack_by == PackBy::Usage && self.bounds.resize && self.cpu.is_some() {
            return self.entries_by_use();
        }
        let level = self.level();
        let safer = 1.0 - SAFER * (1.0 - level);
        let now = self.workload.replicas;
        let mut choices = Vec::new();
        let fixed = self.least_replicas(self.declared, level);
        choices.push((fixed, self.kept(fixed, level), level));
        let safest = self.least_replicas(self.declared, safer);
        choices.push((safest, self.kept(safest, safer), safer));
        for replicas in self.replica_counts(fixed) {
            choices.push((replicas, self.resized(replicas, level), level));
        }
        choices.push((self.within(now), self.resized(self.within(now), safer), safer));

        let mut candidates: Vec<Candidate> = Vec::new();
        if self.bounds.allow(now, self.declared) {
            let mut current = self.candidate(now, self.declared.clone(), level);
            current.entry.basis = self.basis_of_current(level);
            current.keep = true;
            candidates.push(current);
        }
        candidates
            .extend(choices.into_iter().map(|(replicas, requests, level)| self.candidate(replicas, requests, level)));
        candidates::select(candidates, &self.policy.planning, self.target.zone_loss.is_some())
    }

    /// The entries where nodes are filled by use: each size carries the peak as ever, but is set aside on its node only
    /// when it is used ([`Self::set_aside`]), and the pods request what they use on average. Sizes that differ only in
    /// what would be requested for the peak are one choice.
    fn entries_by_use(&self) -> Vec<MenuEntry> {
        let (now, level) = (self.workload.replicas, self.level());
        let fixed = self.least_replicas(self.declared, level);
        let sized = |replicas: u32| self.candidate(replicas, self.resized(replicas, level), level);
        let candidates: Vec<Candidate> =
            std::iter::once(self.within(fixed)).chain(self.replica_counts(fixed)).map(sized).collect();
        let current = self.bounds.allow(now, self.declared).then(|| {
            let mut current = sized(now);
            if !current.meets && candidates.iter().any(|c| c.meets) {
                current.entry.risk_cost_per_hour = current.breach_cost_per_hour;
            }
            MenuEntry { requests: self.declared.clone(), basis: self.basis_of_current(level), ..current.entry }
        });
        let planning = &self.policy.planning;
        let mut entries = candidates::select(candidates, planning, self.target.zone_loss.is_some());
        for entry in &mut entries {
            let most = entry.requests.cpu_millis();
            set(&mut entry.requests, CPU, self.bounds.clip(CPU, self.mean_request(entry.replicas)).min(most));
        }
        if let Some(current) = current.filter(|c| !entries.iter().any(|e| candidates::same_choice(e, c))) {
            entries.push(current);
        }
        candidates::sort_by_price(&mut entries, planning);
        entries
    }

    /// Each number of replicas at the requests there are, with its risk; fewest first. One that misses the objective costs
    /// a sure breach where another meets it.
    pub(super) fn rated(&self, replicas: &BTreeSet<u32>) -> Vec<MenuEntry> {
        let level = self.level();
        let candidates: Vec<Candidate> =
            replicas.iter().map(|replicas| self.candidate(*replicas, self.declared.clone(), level)).collect();
        let met = candidates.iter().any(|c| c.meets);
        let price = |mut candidate: Candidate| {
            if met && !candidate.meets {
                candidate.entry.risk_cost_per_hour = candidate.breach_cost_per_hour;
            }
            candidate.entry
        };
        candidates.into_iter().map(price).collect()
    }

    /// Quantile of the peak that is sized for, 0..1. Where nodes are filled by use, what may be exceeded is at most the
    /// contention that the policy allows, so that a node whose sizes fit is within it.
    pub(super) fn level(&self) -> f64 {
        let level = self.demand.as_ref().map_or(0.5, |d| d.level);
        match self.policy.planning.pack_by {
            PackBy::Requests => level,
            PackBy::Usage => level.max(level_of(self.policy)),
        }
    }

    /// Millicores that one of so many replicas has set aside at the peak: the size that carries it, whatever bounds there
    /// are on requests.
    pub(super) fn set_aside(&self, replicas: u32) -> i64 {
        let needed = rounded_up(self.needed_millis(replicas, self.level()).unwrap_or(0.0), CPU_STEP_MILLIS);
        let sized = self.resized(replicas, self.level()).cpu_millis();
        if self.bounds.resize { needed.max(sized) } else { needed }
    }

    /// Millicores one of so many replicas uses on average over the horizon.
    fn mean_request(&self, replicas: u32) -> i64 {
        let declared = self.declared.cpu_millis();
        let Some(cpu) = self.cpu.filter(|cpu| cpu.horizon() > 0) else { return declared };
        let mean = cpu.mean.iter().map(|cores| cores.max(0.0)).sum::<f64>() / cpu.horizon() as f64;
        let needed = rounded_up(1000.0 * mean / f64::from(replicas.max(1)), CPU_STEP_MILLIS);
        settle(declared, needed, CPU_STEP_MILLIS)
    }

    /// Why what stands today stays, where it does.
    fn basis_of_current(&self, level: f64) -> Basis {
        let now = self.workload.replicas;
        match &self.bounds.held_by {
            Some((pod, by_ordinal))
                if now == self.bounds.fewest && self.needed_replicas(self.declared, level) < now =>
            {
                Basis::Held { pod: pod.clone(), by_ordinal: *by_ordinal }
            }
            _ => Basis::Declared { reason: DeclaredReason::Current },
        }
    }

    /// Numbers of replicas worth trying with requests of their own, the most useful first.
    fn replica_counts(&self, fixed: u32) -> Vec<u32> {
        let now = self.workload.replicas;
        let times = |n: u32, numerator: u64, denominator: u64| {
            u32::try_from((u64::from(n) * numerator).div_ceil(denominator)).unwrap_or(u32::MAX)
        };
        let mut counts = vec![now, fixed];
        if let Some(Amount::Count(left)) = self.target.zone_loss
            && self.zones > 1
        {
            // With replicas spread evenly, one of z zones holds about 1/z of them.
            counts.push(times(left, u64::from(self.zones), u64::from(self.zones - 1)));
        }
        counts.extend([times(now, 3, 4), times(now, 1, 2), times(now, 3, 2), times(now, 2, 1), times(fixed, 1, 2)]);
        counts.into_iter().map(|n| self.within(n)).collect()
    }

    fn within(&self, replicas: u32) -> u32 {
        replicas.clamp(self.bounds.fewest, self.bounds.most)
    }

    /// The smallest number of replicas within the bounds that meets the demand with these requests.
    fn least_replicas(&self, requests: &Resources, level: f64) -> u32 {
        self.within(self.needed_replicas(requests, level))
    }

    /// The smallest number of replicas that carries the peak with these requests, and whose pods the memory fits.
    fn needed_replicas(&self, requests: &Resources, level: f64) -> u32 {
        let by_demand = self.demand.as_ref().map_or(self.workload.replicas, |demand| {
            let carried = demand.per_replica(requests.cpu_millis());
            // `as` saturates: nothing carried asks for as many as there may be.
            (demand.peak(level) / carried - 1e-9).ceil().max(1.0) as u32
        });
        let by_memory = self.memory.map_or(1, |memory| {
            if self.bounds.resize { 1 } else { memory.least_replicas(requests.memory_bytes() as f64) }
        });
        by_demand.max(by_memory)
    }

    /// The declared requests, raised where the peaks ask for more and the policy allows it.
    fn kept(&self, replicas: u32, level: f64) -> Resources {
        let mut requests = self.declared.clone();
        requests.raise_to(&self.resized(replicas, level));
        if self.bounds.resize {
            for name in [CPU, MEMORY] {
                let amount = self.bounds.clip(name, requests.get(name));
                set(&mut requests, name, amount);
            }
        }
        requests
    }

    /// Requests that meet the objective with this many replicas, as far as the bounds allow.
    fn resized(&self, replicas: u32, level: f64) -> Resources {
        let mut requests = self.declared.clone();
        if self.bounds.resize {
            let cpu = self.cpu_request(replicas, level);
            set(&mut requests, CPU, self.bounds.clip(CPU, cpu));
            set(&mut requests, MEMORY, self.bounds.clip(MEMORY, self.memory_request(replicas)));
        }
        requests
    }

    /// Millicores a pod needs: its part of the peak at the share aimed at, or of the peak use where another signal
    /// decides the replicas. `None` where nothing tells.
    fn needed_millis(&self, replicas: u32, level: f64) -> Option<f64> {
        let (cpu, demand) = (self.cpu?, self.demand.as_ref()?);
        let (peak, share) = match demand.carries {
            Carries::CpuShare(share) => (demand.peak(level), share),
            Carries::Fixed { .. } | Carries::Law { .. } => (cpu.peak_at(level), 1.0),
        };
        Some(1000.0 * peak / (share * f64::from(replicas.max(1))))
    }

    fn cpu_request(&self, replicas: u32, level: f64) -> i64 {
        let declared = self.declared.cpu_millis();
        self.needed_millis(replicas, level)
            .map_or(declared, |needed| settle(declared, rounded_up(needed, CPU_STEP_MILLIS), CPU_STEP_MILLIS))
    }

    fn memory_request(&self, replicas: u32) -> i64 {
        let declared = self.declared.memory_bytes();
        self.memory.map_or(declared, |memory| {
            settle(declared, rounded_up(memory.bytes(replicas), MEMORY_STEP_BYTES), MEMORY_STEP_BYTES)
        })
    }

    /// Rates a choice made for the demand at `level`: its risk, whether it meets the objective, and on what it rests.
    fn candidate(&self, replicas: u32, requests: Resources, level: f64) -> Candidate {
        let carried = self.demand.as_ref().map(|d| f64::from(replicas) * d.per_replica(requests.cpu_millis()));
        let demand_risk = self.demand.as_ref().zip(carried).map(|(demand, carried)| demand.risk(carried));
        let memory = requests.memory_bytes() as f64;
        let memory_risk = self.memory.map(|need| need.risk(replicas, memory));
        let risk = match (demand_risk, memory_risk) {
            (None, None) => None,
            (a, b) => Some((a.unwrap_or(0.0) + b.unwrap_or(0.0)).min(1.0)),
        };
        let carries_peak = self
            .demand
            .as_ref()
            .zip(carried)
            .is_none_or(|(demand, carried)| carried >= demand.peak(demand.level) * (1.0 - 1e-9));
        let holds_memory = self.memory.is_none_or(|need| memory >= need.bytes(replicas) * (1.0 - 1e-9));
        let hopeless = self.demand.as_ref().is_some_and(|d| d.hopeless);
        let basis = if hopeless {
            Basis::Bound { rule: self.bounds.objective_rule() }
        } else if !carries_peak {
            Basis::Bound { rule: self.bounds.most_rule.clone() }
        } else if !holds_memory {
            Basis::Bound { rule: self.bounds.request_rule(MEMORY) }
        } else {
            self.basis(replicas, &requests, level)
        };
        let memory_attained = holds_memory || self.least_bad_memory(replicas, requests.memory_bytes());
        let breach_cost_per_hour = self.policy.costs.breach_per_replica_hour * f64::from(self.workload.replicas);
        let risk_cost_per_hour = risk.unwrap_or(0.0) * breach_cost_per_hour;
        Candidate {
            entry: MenuEntry { replicas, requests, risk, risk_cost_per_hour, basis },
            meets: carries_peak && memory_attained,
            carried: carried.unwrap_or(0.0),
            breach_cost_per_hour,
            keep: false,
        }
    }

    /// Whether a pod's memory, though too small, is as much as the bounds allow: a shortage that every choice shares
    /// excludes none. Where requests stay as they are, that holds unless fewer replicas would make it worse.
    fn least_bad_memory(&self, replicas: u32, memory_bytes: i64) -> bool {
        if self.bounds.resize {
            return memory_bytes >= self.bounds.clip(MEMORY, self.memory_request(replicas));
        }
        let now = self.workload.replicas;
        replicas >= now && self.memory.is_some_and(|need| need.bytes(now) > memory_bytes as f64)
    }

    fn basis(&self, replicas: u32, requests: &Resources, level: f64) -> Basis {
        match (&self.demand, &self.memory) {
            (Some(demand), _) => self.demand_basis(demand, replicas, requests, level),
            (None, Some(memory)) => Basis::Demand {
                signal: Signal::MemoryBytes,
                quantile: memory.level,
                peak: memory.forecast.peak_at(memory.level),
                peak_at_ms: memory.forecast.start_ms,
                per_replica: requests.memory_bytes() as f64,
                utilisation: 1.0 / (1.0 + memory.margin),
            },
            (None, None) => Basis::Declared { reason: DeclaredReason::NoMetrics },
        }
    }

    fn demand_basis(&self, demand: &Demand, replicas: u32, requests: &Resources, level: f64) -> Basis {
        let (peak, peak_at_ms) = (demand.peak(level), demand.peak_at_ms());
        let by_share = |utilisation| Basis::Demand {
            signal: demand.signal,
            quantile: level,
            peak,
            peak_at_ms,
            per_replica: demand.per_replica(requests.cpu_millis()),
            utilisation,
        };
        match (demand.carries, self.target.objective) {
            (Carries::Law { law, goal, .. }, Objective::Latency { .. }) => {
                let load = peak / f64::from(replicas.max(1));
                Basis::Latency {
                    target_s: goal.target_s,
                    quantile: goal.quantile,
                    arrivals_per_s: peak,
                    peak_at_ms,
                    service_rate_per_s: law.capacity_per_s,
                    expected_s: law.quantile_s(load, goal.quantile),
                    utilisation: load / law.capacity_per_s,
                }
            }
            (Carries::CpuShare(utilisation) | Carries::Fixed { utilisation, .. }, _) => by_share(utilisation),
            (Carries::Law { law, per_replica, .. }, _) => by_share(per_replica / law.capacity_per_s),
        }
    }
}

/// Sets an amount, but does not name a resource that nobody asks for.
fn set(requests: &mut Resources, resource: &str, amount: i64) {
    if amount > 0 || requests.get(resource) > 0 {
        requests.set(resource, amount);
    }
}

/// The next multiple of `step`, at least one step; saturates.
fn rounded_up(amount: f64, step: i64) -> i64 {
    ((amount / step as f64 - 1e-9).ceil() as i64).max(1).saturating_mul(step)
}

/// Keeps the declared amount where the change would be smaller than the hysteresis; where that is too little, grows by
/// the hysteresis at once.
fn settle(declared: i64, needed: i64, step: i64) -> i64 {
    let change = HYSTERESIS * declared as f64;
    if needed <= declared && ((declared - needed) as f64) < change {
        declared
    } else if needed > declared && ((needed - declared) as f64) < change {
        rounded_up(declared as f64 + change, step)
    } else {
        needed
    }
}
