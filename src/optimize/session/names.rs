//! Names of nodes to be bought, and of the pods of `DaemonSets` on them, that stay the same from plan to plan.

use std::collections::{BTreeMap, BTreeSet};

use super::super::instance::Instance;
use super::super::occupancy::Occupancy;
use super::super::plan::Names;
use super::index::Index;

/// The names given so far. A node that is given up and bought again has its old name.
pub(super) struct NodeNames {
    names: Names,
    taken: BTreeSet<String>,
    /// Next number to try by workload.
    daemons: BTreeMap<usize, u32>,
}

impl NodeNames {
    pub(super) fn new(instance: &Instance<'_>) -> Self {
        let taken = instance.snapshot.nodes.iter().map(|node| node.name.clone()).collect();
        Self { names: Names::default(), taken, daemons: BTreeMap::new() }
    }

    pub(super) fn all(&self) -> &Names {
        &self.names
    }

    /// Names the nodes that came to the state since, as `given` says or by the next free number.
    pub(super) fn extend(&mut self, state: &Occupancy<'_>, index: &Index, given: &BTreeMap<usize, String>) {
        self.taken.extend(given.values().cloned());
        for node in self.names.nodes.len()..state.nodes.len() {
            let facts = &state.nodes[node];
            let site = &state.instance.sites[facts.site];
            let name = match given.get(&node) {
                Some(name) => name.clone(),
                None if !facts.bought => facts.name.to_string(),
                None => {
                    let mut names = (1_u32..).map(|number| format!("{}-{number}", site.name));
                    names.find(|name| !self.taken.contains(name)).unwrap_or_default()
                }
            };
            self.taken.insert(name.clone());
            self.names.nodes.push(name);
            for &daemon in site.daemons.iter().filter(|_| facts.bought) {
                let id = &state.instance.snapshot.workloads[daemon].id;
                let number = self.daemons.entry(daemon).or_insert(0);
                let name = loop {
                    *number += 1;
                    let name = format!("{}-new-{number}", id.name);
                    if index.find(&id.namespace, &name).is_none() {
                        break name;
                    }
                };
                self.names.daemons.insert((node, daemon), name);
            }
        }
    }
}
