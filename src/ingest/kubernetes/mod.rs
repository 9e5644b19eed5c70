//! What `kubectl get … -o json|yaml` prints, into a [`Snapshot`].
//!
//! ```text
//! Source ─read─▶ Document of values ─object─▶ drafts ─inventory─▶ by name ─assemble─▶ Snapshot
//! ```
//!
//! Every object goes through `k8s-openapi`'s own type for it, so that a dump means here what it means to the API
//! server, and is cut down to a draft at once: a dump is never held as a whole tree.

mod assemble;
mod inventory;
mod nodes;
mod object;
mod pods;
mod quantities;
mod read;
mod requests;
mod rules;
mod services;
mod times;
mod volumes;
mod warnings;
mod workloads;

use crate::domain::snapshot::Snapshot;
use crate::domain::{InputError, Location};

use super::Source;
use inventory::Inventory;

/// The command whose output is asked for, for hints.
const KUBECTL: &str = "kubectl get nodes,pods,deployments,statefulsets,daemonsets,replicasets,jobs,cronjobs,services,\
endpointslices,poddisruptionbudgets,horizontalpodautoscalers,priorityclasses,namespaces,persistentvolumeclaims,\
persistentvolumes,storageclasses -A -o json";

/// Reads a cluster from one or several exports: Lists, single objects, several YAML documents, concatenated JSON, in
/// any order and mix. Where an object is given twice the later one counts, with a warning. Objects of kinds that
/// say nothing about scheduling are counted in [`Snapshot::ignored_kinds`].
///
/// A pod bound to a node that is not in the export keeps that node's name: it counts as a replica, holds nothing
/// that can be planned, and stays where it is. Where the export has no nodes at all, every pod is taken as unbound.
///
/// # Errors
/// If a source is no JSON or YAML (with line and column), if an object contradicts its kind's schema or states an
/// impossible amount (with object and field), or if there is no node, pod or workload in any of the sources.
pub fn snapshot(sources: &[Source]) -> Result<Snapshot, InputError> {
    let mut inventory = Inventory::default();
    for source in sources {
        for object in read::read(source)? {
            let object = object.map_err(|rejected| {
                let location = Location::Object { object: rejected.object, field: rejected.field };
                InputError::at(&source.name, location, rejected.problem)
            })?;
            inventory.add(object);
        }
    }
    if inventory.is_empty() {
        let names: Vec<&str> = sources.iter().map(|s| s.name.as_str()).collect();
        let others = inventory.ignored_kinds.keys().cloned().collect::<Vec<_>>().join(", ");
        let problem = if others.is_empty() {
            "holds no Kubernetes objects".to_owned()
        } else {
            format!("holds no nodes, pods or workloads, only {others}")
        };
        return Err(InputError::whole(names.join(", "), problem).hint(format!("export the cluster with `{KUBECTL}`")));
    }
    Ok(assemble::assemble(inventory))
}
