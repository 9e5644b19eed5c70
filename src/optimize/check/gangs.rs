//! Gangs: as many pods as they need have a node, or none of them comes.

use super::after::{After, AfterPod};
use super::{Given, Violation};

/// Pods that stay may stay, however few are left.
pub(super) fn check(given: &Given<'_>, after: &After<'_>, violations: &mut Vec<Violation>) {
    for gang in &given.snapshot.gangs {
        let is_member = |pod: &&AfterPod<'_>| {
            let template = after.templates.get(pod.template);
            let in_gang =
                template.is_some_and(|t| t.namespace == gang.namespace && t.gang.as_ref() == Some(&gang.name));
            in_gang && !pod.deleting()
        };
        let members: Vec<&AfterPod<'_>> = after.pods.iter().filter(is_member).collect();
        let placed = u32::try_from(members.len()).unwrap_or(u32::MAX);
        if placed < gang.min_members && members.iter().any(|pod| pod.comes()) {
            let name = format!("{}/{}", gang.namespace, gang.name);
            violations.push(Violation::GangIncomplete { gang: name, placed, needed: gang.min_members });
        }
    }
}
