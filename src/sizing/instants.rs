//! Menus for instants further ahead: the same requests, as many replicas as each instant needs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::domain::policy::{Behavior, Policy, Target};
use crate::domain::snapshot::{Snapshot, Workload};
use crate::domain::{Forecast, Menu, Series, WorkloadId};

use super::{Ties, as_declared, candidates, declared_requests, evidence, reach, sizer_of};

/// Numbers of replicas on one menu at most.
const MOST_COUNTS: usize = 64;

/// The forecasts over some steps of their horizon alone, as if these were the lead time.
#[must_use]
pub fn over(forecasts: &[Forecast], steps: &Range<usize>) -> Vec<Forecast> {
    let of = |forecast: &Forecast| {
        let end = steps.end.min(forecast.horizon());
        let steps = steps.start.min(end)..end;
        let offset_ms = forecast.step_ms * i64::try_from(steps.start).unwrap_or(i64::MAX / forecast.step_ms.max(1));
        Forecast {
            start_ms: forecast.start_ms + offset_ms,
            mean: forecast.mean[steps.clone()].to_vec(),
            quantiles: forecast.quantiles.slice(ndarray::s![.., steps.clone()]).to_owned(),
            lead_steps: steps.len().max(1),
            peak: forecast.largest_within(steps),
            ..forecast.clone()
        }
    };
    forecasts.iter().map(of).collect()
}

/// For each instant, given by its forecasts ([`over`]), one menu a workload. Requests stay as they are. Every menu of a
/// workload has the same replicas: those that some instant's own menu has, today's, and those passed on the way as far as
/// `behavior` goes within `instant_s` (64 at most); each is rated for its instant, and one that misses the objective costs a sure
/// breach. So whatever came before, the replicas that stand are on the menu, and those that can be reached from them.
#[must_use]
pub fn menus_of_instants(
    snapshot: &Snapshot,
    series: Option<&Series>,
    instants: &[Vec<Forecast>],
    policy: &Policy,
    instant_s: f64,
) -> Vec<Vec<Menu>> {
    let policy = with_requests_as_they_are(policy);
    let mut counts: BTreeMap<WorkloadId, BTreeSet<u32>> = BTreeMap::new();
    for menu in instants.iter().flat_map(|forecasts| super::menus(snapshot, series, forecasts, &policy)) {
        counts.entry(menu.workload).or_default().extend(menu.entries.iter().map(|entry| entry.replicas));
    }
    for workload in &snapshot.workloads {
        let Some(counts) = counts.get_mut(&workload.id) else { continue };
        counts.insert(workload.replicas);
        if let Some(target) = policy.target_for(workload) {
            add_passed(counts, &target.behavior, instant_s);
        }
    }
    instants.iter().map(|forecasts| rated(snapshot, series, forecasts, &policy, &counts)).collect()
}

/// The policy with no request to change, and as far as replicas reach within the horizon.
fn with_requests_as_they_are(policy: &Policy) -> Policy {
    let fixed = |target: &Target| Target { resize_requests: false, ..target.clone() };
    let mut policy = Policy { targets: policy.targets.iter().map(fixed).collect(), ..policy.clone() };
    policy.planning.lead_time_s = policy.planning.horizon_s;
    policy
}

/// Adds what is reached from each number of replicas, instant by instant, down to the fewest and up to the most there are.
fn add_passed(counts: &mut BTreeSet<u32>, behavior: &Behavior, instant_s: f64) {
    let (Some(&fewest), Some(&most)) = (counts.first(), counts.last()) else { return };
    let down = |now: u32| reach::fewest_replicas(&behavior.scale_down, now, instant_s).clamp(fewest, now.max(fewest));
    let up = |now: u32| reach::most_replicas(&behavior.scale_up, now, instant_s).clamp(now.min(most), most);
    for from in counts.clone() {
        for step in [&down as &dyn Fn(u32) -> u32, &up] {
            let mut now = from;
            while counts.len() < MOST_COUNTS {
                let next = step(now);
                if next == now {
                    break;
                }
                counts.insert(next);
                now = next;
            }
        }
    }
}

/// One menu a workload, with these replicas.
fn rated(
    snapshot: &Snapshot,
    series: Option<&Series>,
    forecasts: &[Forecast],
    policy: &Policy,
    counts: &BTreeMap<WorkloadId, BTreeSet<u32>>,
) -> Vec<Menu> {
    let (evidence, ties) = (evidence::by_workload(series, forecasts), Ties::new(snapshot));
    let nothing = evidence::Evidence::default();
    let menu = |workload: &Workload| {
        let (declared, counts) = (declared_requests(snapshot, workload)?, counts.get(&workload.id)?);
        let known = evidence.get(&workload.id).unwrap_or(&nothing);
        Some(match sizer_of(snapshot, policy, workload, declared, known, &ties) {
            Ok(sizer) => candidates::menu(workload, declared, sizer.rated(counts)),
            Err(reason) => as_declared(workload, declared, reason),
        })
    };
    snapshot.workloads.iter().filter(|workload| !workload.daemon).filter_map(menu).collect()
}

/// The menus as far as `behavior` reaches within `instant_s` from the replicas that stand.
#[must_use]
pub fn within_reach(snapshot: &Snapshot, menus: &[Menu], policy: &Policy, instant_s: f64) -> Vec<Menu> {
    let workloads: BTreeMap<&WorkloadId, &Workload> = snapshot.workloads.iter().map(|w| (&w.id, w)).collect();
    let reached = |menu: &Menu| {
        let mut menu = menu.clone();
        let Some(workload) = workloads.get(&menu.workload) else { return menu };
        let now = workload.replicas;
        if let Some(target) = policy.target_for(workload) {
            let fewest = reach::fewest_replicas(&target.behavior.scale_down, now, instant_s);
            let most = reach::most_replicas(&target.behavior.scale_up, now, instant_s);
            menu.entries.retain(|entry| entry.replicas == now || (fewest..=most).contains(&entry.replicas));
        }
        menu.current = menu.entries.iter().position(|entry| entry.replicas == now);
        menu
    };
    menus.iter().map(reached).collect()
}
