//! What is new about one workload, as a value, and how it enters the inputs.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::domain::menu::Menu;
use crate::domain::resources::{PODS, Resources};
use crate::domain::snapshot::{Pod, WorkloadId};

/// What is new about one workload. What is `None` or empty is as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Which workload.
    pub workload: WorkloadId,
    /// Replicas it declares now.
    pub replicas: Option<u32>,
    /// What its template asks for now: pods to come are made from it, those that exist keep theirs.
    pub requests: Option<Resources>,
    /// Its menu now; one without entries takes it away.
    pub menu: Option<Menu>,
    /// Pods of it that came. Their template is one that its pods or the workload have: an index into the templates of
    /// [`super::Session::snapshot`].
    pub came: Vec<Pod>,
    /// Names of pods of it that are gone. A pod that was bound since is gone and came again.
    pub gone: Vec<String>,
    /// Names of pods of it that became ready (`true`) or stopped being so.
    pub ready: Vec<(String, bool)>,
}

impl Change {
    /// Nothing new about the workload: its pods are placed again.
    #[must_use]
    pub fn of(workload: WorkloadId) -> Self {
        Self {
            workload,
            replicas: None,
            requests: None,
            menu: None,
            came: Vec::new(),
            gone: Vec::new(),
            ready: Vec::new(),
        }
    }
}

/// A change that a session cannot take in. The session is as it was; what has really changed asks for a new one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// There is no such workload whose pods are placed.
    #[error("{workload} is no workload of this session: expected one that is placed; start a new session")]
    WorkloadUnknown {
        /// Which.
        workload: WorkloadId,
    },
    /// The workload has no pod of that name.
    #[error("{workload} has no pod {pod}: expected the name of one that exists")]
    PodUnknown {
        /// Which workload.
        workload: WorkloadId,
        /// Which pod.
        pod: String,
    },
    /// A pod came whose name another one has.
    #[error("pod {pod} of {workload} came, but a pod of this name exists: name it as gone first")]
    PodTwice {
        /// Which workload.
        workload: WorkloadId,
        /// Which pod.
        pod: String,
    },
    /// A pod came that belongs to another workload or namespace.
    #[error("pod {pod} came, but is none of {workload}: expected a pod of the workload that the change names")]
    PodOfOther {
        /// Which workload.
        workload: WorkloadId,
        /// Which pod.
        pod: String,
    },
    /// A pod came with a template that the workload does not have.
    #[error(
        "pod {pod} of {workload} came with template {template}, which the workload does not have: start a new session"
    )]
    TemplateUnknown {
        /// Which workload.
        workload: WorkloadId,
        /// Which pod.
        pod: String,
        /// Index of the template.
        template: usize,
    },
    /// Requests are given for a workload without a template.
    #[error("{workload} has no template to ask for other requests: start a new session")]
    NoTemplate {
        /// Which workload.
        workload: WorkloadId,
    },
    /// A resource that nothing asked for or offered when the session began.
    #[error("{workload} asks for {resource}, which nothing had when the session began: start a new session")]
    ResourceUnknown {
        /// Which workload.
        workload: WorkloadId,
        /// Which resource.
        resource: String,
    },
    /// The menu is another workload's.
    #[error("the menu is of {found}, not of {workload}")]
    MenuOfOther {
        /// Which workload.
        workload: WorkloadId,
        /// Whose menu it is.
        found: String,
    },
    /// A risk cost that is negative or no number.
    #[error("risk cost of {workload} is {value}: expected a finite number of at least 0")]
    Price {
        /// Which workload.
        workload: WorkloadId,
        /// What it is.
        value: String,
    },
}

/// Checks what can be checked of a change by itself.
pub(super) fn validate(change: &Change, knows: impl Fn(&str) -> bool) -> Result<(), ChangeError> {
    let workload = || change.workload.clone();
    let mut asked: BTreeSet<&str> = BTreeSet::new();
    if let Some(requests) = &change.requests {
        asked.extend(requests.iter().map(|(name, _)| name));
    }
    if let Some(menu) = &change.menu {
        if menu.workload != change.workload {
            return Err(ChangeError::MenuOfOther { workload: workload(), found: menu.workload.to_string() });
        }
        asked.extend(menu.entries.iter().flat_map(|e| e.requests.iter().map(|(name, _)| name)));
        let costs = menu.entries.iter().map(|e| e.risk_cost_per_hour);
        if let Some(value) = costs.into_iter().find(|cost| !(cost.is_finite() && *cost >= 0.0)) {
            return Err(ChangeError::Price { workload: workload(), value: value.to_string() });
        }
    }
    if let Some(resource) = asked.into_iter().find(|name| *name != PODS && !knows(name)) {
        return Err(ChangeError::ResourceUnknown { workload: workload(), resource: resource.to_owned() });
    }
    if let Some(pod) =
        change.came.iter().find(|pod| pod.workload != change.workload || pod.namespace != change.workload.namespace)
    {
        return Err(ChangeError::PodOfOther { workload: workload(), pod: pod.name.clone() });
    }
    Ok(())
}
