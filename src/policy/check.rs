//! What `plimsoll policy check` says of a document: what is wrong, and what is allowed but probably not meant.

use std::collections::BTreeSet;

use super::read::parse_all;
use crate::domain::policy::{Mode, Objective, PackBy, Place, Policy, Target};
use crate::domain::series::Signal;
use crate::domain::{InputError, Location};
use crate::ingest::Source;

/// What checking a document found. It is sound if there are no problems.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What is wrong, from top to bottom.
    pub problems: Vec<InputError>,
    /// What is allowed but probably not meant, from top to bottom.
    pub warnings: Vec<InputError>,
    /// The policy, if nothing is wrong.
    pub policy: Option<Policy>,
}

/// Checks a policy document.
#[must_use]
pub fn check(source: &Source) -> Report {
    match parse_all(source) {
        Err(problems) => Report { problems, warnings: Vec::new(), policy: None },
        Ok(policy) => Report { problems: Vec::new(), warnings: warnings(&policy), policy: Some(policy) },
    }
}

/// What is allowed but probably not meant.
fn warnings(policy: &Policy) -> Vec<InputError> {
    let mut found: Vec<(Place, String, &'static str)> = Vec::new();
    let whole = Place { line: 1, column: 1 };
    let place = |path: &str| policy.places.get(path).copied();
    let mut warn = |path: &str, problem: String, hint| {
        let parent = path.rsplit_once('.').and_then(|(parent, _)| place(parent));
        found.push((place(path).or(parent).unwrap_or(whole), problem, hint));
    };
    let measured: BTreeSet<Signal> = policy.metrics.rules.iter().map(|rule| rule.signal).collect();
    for (i, target) in policy.targets.iter().enumerate() {
        let path = |field: &str| format!("targets.{}.{field}", target.name);
        if let Some(earlier) = policy.targets[..i].iter().find(|earlier| covers(earlier, target)) {
            let problem = format!("{:?} never applies: {:?} selects all it selects", target.name, earlier.name);
            warn(&path("selector"), problem, "put the narrower target first");
        }
        if target.scale_replicas && target.min_replicas == target.max_replicas {
            let problem = format!("minReplicas and maxReplicas are both {}", target.min_replicas);
            warn(&path("maxReplicas"), problem, "nothing is left to decide; say scaleReplicas: false if that is meant");
        }
        if !target.scale_replicas && !target.resize_requests {
            let problem = format!("{:?} leaves neither replicas nor requests to decide", target.name);
            warn(&path("scaleReplicas"), problem, "its pods are placed as they are");
        }
        if target.zone_loss.is_some() && target.max_replicas == 1 {
            let problem = "one replica cannot survive the loss of its zone".to_owned();
            warn(&path("zoneLoss"), problem, "allow at least two replicas");
        }
        let (needs, what) = match target.objective {
            Objective::Latency { .. } => (&[Signal::RequestsPerSecond][..], "a latency objective needs requests"),
            Objective::Utilisation { .. } | Objective::Demand { .. } => {
                (&[Signal::CpuCores, Signal::RequestsPerSecond, Signal::QueueLength][..], "the objective needs demand")
            }
        };
        if !needs.iter().any(|signal| measured.contains(signal)) {
            let problem = format!("{what}, and no metric rule measures it");
            warn(&path("objective"), problem, "add a rule under metrics.rules, or set extendDefaults: true");
        }
    }
    for field in ["planning.maxContention", "planning.usageBuckets"] {
        if policy.planning.pack_by == PackBy::Requests && place(field).is_some() {
            let problem = "nodes are filled by requests, so this holds nothing".to_owned();
            warn(field, problem, "set planning.packBy: usage to fill nodes by what pods use");
        }
    }
    if policy.mode < Mode::Schedule && place("disruption.addNodes").is_some() && policy.disruption.add_nodes {
        let problem = "nodes are bought only in mode schedule; in this mode it is a recommendation".to_owned();
        warn("disruption.addNodes", problem, "set mode: schedule to act on it");
    }
    found.sort_by(|a, b| (a.0.line, a.0.column, &a.1).cmp(&(b.0.line, b.0.column, &b.1)));
    found
        .into_iter()
        .map(|(at, problem, hint)| {
            InputError::at(&policy.source, Location::LineColumn(at.line, at.column), problem).hint(hint)
        })
        .collect()
}

/// Whether every workload that `later` selects is certainly selected by `earlier`.
fn covers(earlier: &Target, later: &Target) -> bool {
    let listed = |wide: &[String], narrow: &[String]| {
        wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(|name| wide.contains(name)))
    };
    let (wide, narrow) = (&earlier.selects, &later.selects);
    listed(&wide.namespaces, &narrow.namespaces)
        && listed(&wide.kinds, &narrow.kinds)
        && listed(&wide.names, &narrow.names)
        && wide.labels.match_labels.iter().all(|(key, value)| narrow.labels.match_labels.get(key) == Some(value))
        && wide.labels.match_expressions.iter().all(|r| narrow.labels.match_expressions.contains(r))
}
